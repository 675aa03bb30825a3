"""The smallest class prior that each method of `estimate_class_prior` resolves, for `benchmarks/pu.py`.

The rows are 200 labelled positives and 200,000 unlabelled rows of two Gaussians, drawn separately. Elkan-Noto gets the
true probabilities of ``s = 1``, a best case that no model reaches. KM2 gets two features, one of them informative.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, product
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import norm

from gridlens.pu import estimate_class_prior
from gridlens.pu._prior import ClassPrior

PRIORS = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)
SEPARATIONS = (2.0, 4.0)
METHODS = ("best-bin", "elkan-noto", "km2")
# KM2 takes a third of a second per resample, the others a few milliseconds.
BOOTSTRAP = {"best-bin": 40, "elkan-noto": 40, "km2": 4}


class Limit(NamedTuple):
    """Result of a method at one prior and separation, over the seeds.

    Attributes
    ----------
    mean, spread : float
        Mean and standard deviation of the estimates.
    flagged : float
        Fraction of the runs whose note starts with "not resolvable".
    resolved : bool
        Whether the mean is within a factor of two of the truth and more than two spreads above 0.
    """

    method: str
    separation: float
    prior: float
    mean: float
    spread: float
    flagged: float
    resolved: bool


def limits(
    seeds: Iterable[int] = range(3),
    priors: Sequence[float] = PRIORS,
    separations: Sequence[float] = SEPARATIONS,
    n_positive: int = 200,
    n_unlabelled: int = 200_000,
) -> list[Limit]:
    """Return a row for each method, separation and prior."""
    seeds = list(seeds)
    settings = product(separations, priors)
    found = Parallel(n_jobs=2)(delayed(setting)(*one, seeds, n_positive, n_unlabelled) for one in settings)
    order = {method: i for i, method in enumerate(METHODS)}
    return sorted(chain.from_iterable(found), key=lambda row: (order[row.method], row.separation, -row.prior))


def setting(separation: float, prior: float, seeds: Sequence[int], n_positive: int, n_unlabelled: int) -> list[Limit]:
    """Return a row for each method."""
    found: dict[str, list[ClassPrior]] = {method: [] for method in METHODS}
    for seed in seeds:
        x, s = draw(seed, prior, separation, n_positive, n_unlabelled)
        inputs = {"best-bin": x[:, 0], "elkan-noto": probability(x[:, 0], prior, separation, s), "km2": x}
        for method in METHODS:
            estimate = estimate_class_prior(
                inputs[method], s, method=method, scheme="separate", n_bootstrap=BOOTSTRAP[method], random_state=seed
            )
            assert isinstance(estimate, ClassPrior)
            found[method].append(estimate)
    return [summary(method, separation, prior, found[method]) for method in METHODS]


def draw(seed: int, prior: float, separation: float, n_p: int, n_u: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of two features, of which only the first separates the classes, and the labels s."""
    rng = np.random.default_rng([seed, int(1e6 * prior), int(10 * separation)])
    x = rng.normal(size=(n_p + n_u, 2))
    x[:n_p, 0] += separation
    x[n_p:, 0] += separation * (rng.random(n_u) < prior)
    return x, np.repeat([1, 0], [n_p, n_u])


def probability(x: np.ndarray, prior: float, separation: float, s: np.ndarray) -> np.ndarray:
    """Return the true probability of ``s = 1`` at each score."""
    positive, negative = norm.pdf(x - separation), norm.pdf(x)
    n_p = s.sum()
    n_u = len(s) - n_p
    return n_p * positive / (n_p * positive + n_u * (prior * positive + (1.0 - prior) * negative))


def summary(method: str, separation: float, prior: float, estimates: list[ClassPrior]) -> Limit:
    """Return the row of one method at one prior and separation."""
    values = np.array([e.value for e in estimates])
    mean, spread = float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    flagged = float(np.mean([e.note.startswith("not resolvable") for e in estimates]))
    # Not `mean > 2 * spread`: the spread is NaN for a single seed, and then the factor alone decides.
    resolved = prior / 2.0 <= mean <= 2.0 * prior and not mean <= 2.0 * spread
    return Limit(method, separation, prior, mean, spread, flagged, resolved)


def print_limits(rows: Sequence[Limit]) -> None:
    """Print the table and the smallest prior that each method resolves."""
    print("\n### Class prior: limit of each method\n")
    print(
        "200 positives and 200,000 unlabelled rows; mean and standard deviation of 3 seeds; resolved: within a factor"
    )
    print("of two, and two standard deviations above 0; flagged: the note of the estimate says 'not resolvable'.\n")
    print("| method | separation | prior | estimate | flagged | resolved |\n|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.method} | {row.separation:g} | {row.prior:g} | {row.mean:.2g} ± {row.spread:.1g} "
            f"| {row.flagged:.0%} | {'yes' if row.resolved else 'no'} |"
        )
    print()
    for method in METHODS:
        for separation in SEPARATIONS:
            # Go down from the largest prior to the first failure: a smaller one resolved by chance does not count.
            last = None
            for row in (row for row in rows if (row.method, row.separation) == (method, separation)):
                if not row.resolved:
                    break
                last = row.prior
            print(f"- {method}, separation {separation:g}: {'none' if last is None else f'down to {last:g}'}")
