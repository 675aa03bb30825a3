"""Bias of estimates of the labelling propensity, by overlap, propensity and number of labelled positives.

For `benchmarks/pu.py`: ratios of the estimate to the truth, mean and standard deviation over seeds.
"""

from collections.abc import Callable, Iterable
from itertools import chain, product
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn.model_selection import StratifiedKFold

from gridlens.calibration import wilson
from gridlens.pu._folds import default_estimator
from gridlens.pu._propensity import calibrated_scores, estimate_propensity

PRIOR = 0.1
SEPARATIONS = (1.0, 2.0, 3.0, 4.0)
PROPENSITIES = (0.1, 0.3, 0.7)
POSITIVES = (100, 300, 1000)
REPEATS = 3
CV = 5


class Row(NamedTuple):
    """Estimates of a method in one setting: `ratios` and standard `errors`, both divided by the true propensity."""

    method: str
    separation: float
    propensity: float
    n_positive: int
    ratios: np.ndarray
    errors: np.ndarray


def counted(share: float) -> Callable[[np.ndarray, np.ndarray], float]:
    """Return the fraction of labelled rows above the threshold that a fraction `share` of the labelled rows exceed."""
    return lambda g, s: float(s[g >= np.quantile(g[s == 1], 1.0 - share)].mean())


def highest_bound(g: np.ndarray, s: np.ndarray) -> float:
    """Return the fraction of labelled rows above the threshold that maximises Wilson's lower bound of the fraction."""
    s = s[np.argsort(-g, kind="stable")]
    k, n = np.cumsum(s), np.arange(1, len(s) + 1)
    low = np.where(k >= np.clip(30.0, k[-1] / 10.0, k[-1] / 4.0), wilson(k, n)[0], 0.0)
    return float((k / n)[np.argmax(low)])


def best_bin(g: np.ndarray, s: np.ndarray) -> float:
    """Return the propensity by algorithm 1 of Garg et al. 2021, with their delta of 0.1 and gamma of 0.01."""
    order = np.argsort(-g, kind="stable")
    last = np.append(np.diff(g[order]) != 0.0, True)
    n_p, n_u = s.sum(), len(s) - s.sum()
    above = np.cumsum(s[order])
    of_p, of_u = (above / n_p)[last], ((np.arange(1, len(s) + 1) - above) / n_u)[last]
    slack = 1.01 * (np.sqrt(np.log(40.0) / (2 * n_u)) + np.sqrt(np.log(40.0) / (2 * n_p)))
    of_p, of_u = of_p[of_p > 0.0], of_u[of_p > 0.0]
    best = np.argmin((of_u + slack) / of_p)
    return float(n_p / (n_p + of_u[best] / of_p[best] * n_u))


OTHERS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "0.85 quantile, not calibrated": lambda g, s: float(np.quantile(g[s == 1], 0.85)),
    "labelled in top 25 %": counted(0.25),
    "labelled in top 50 %": counted(0.5),
    "highest lower bound": highest_bound,
    "best bin, Garg": best_bin,
}
METHODS = ("mean", "top", *OTHERS)


def draw(
    separation: float, propensity: float, n_positive: int, prior: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows of two Gaussians in five dimensions, and labels for about `n_positive` of the positives."""
    y = rng.random(round(n_positive / (propensity * prior))) < prior
    X = rng.normal(size=(len(y), 5))
    X[:, 0] += separation * y
    return X, (y & (rng.random(len(y)) < propensity)).astype(np.int64)


def scored(X: np.ndarray, s: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the out-of-fold scores of the default estimator, and the folds."""
    g, folds = np.empty(len(s)), np.empty(len(s), dtype=np.int64)
    for k, (train, held) in enumerate(StratifiedKFold(CV, shuffle=True, random_state=seed).split(X, s)):
        g[held] = default_estimator(seed).fit(X[train], s[train]).predict_proba(X[held])[:, 1]
        folds[held] = k
    return g, folds


def bias(
    separations: Iterable[float] = SEPARATIONS,
    propensities: Iterable[float] = PROPENSITIES,
    positives: Iterable[int] = POSITIVES,
    *,
    prior: float = PRIOR,
    repeats: int = REPEATS,
) -> list[Row]:
    """Return all estimates in all settings, `repeats` times on new rows; all methods get the same scores."""
    settings = product(separations, propensities, positives)
    return list(chain.from_iterable(Parallel(n_jobs=2)(delayed(setting)(*one, prior, repeats) for one in settings)))


def setting(separation: float, propensity: float, n_positive: int, prior: float, repeats: int) -> list[Row]:
    """Return all estimates in one setting."""
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(repeats):
        rng = np.random.default_rng([seed, n_positive, round(100 * propensity), round(10 * separation)])
        X, s = draw(separation, propensity, n_positive, prior, rng)
        g, folds = scored(X, s, seed)
        for method, scores in (("mean", g), ("top", calibrated_scores(g, s, folds))):
            estimate = estimate_propensity(scores, s, folds, method)
            found.setdefault(method, []).append((estimate.value, estimate.error))
        for method, function in OTHERS.items():
            found.setdefault(method, []).append((function(g, s), np.nan))
    rows = []
    for method, values in found.items():
        ratios, errors = np.array(values).T / propensity
        rows.append(Row(method, separation, propensity, n_positive, ratios, errors))
    return rows


def print_bias(rows: list[Row]) -> None:
    """Print the table."""
    print("\n### Labelling propensity: bias and spread\n")
    print(f"Estimated / true propensity, mean ± standard deviation of {REPEATS}; class prior {PRIOR:g}.\n")
    print(f"| separation | c | labelled | {' | '.join(METHODS)} |")
    print("|---" * (3 + len(METHODS)) + "|")
    settings = dict.fromkeys(row[1:4] for row in rows)
    for setting in settings:
        cells = [f"{row.ratios.mean():.2f} ± {row.ratios.std(ddof=1):.2f}" for row in rows if row[1:4] == setting]
        print(f"| {' | '.join(f'{value:g}' for value in setting)} | {' | '.join(cells)} |")
    print("\nRoot mean square of the relative error, by separation:\n")
    print(f"| separation | {' | '.join(METHODS)} |")
    print("|---" * (1 + len(METHODS)) + "|")
    for separation in dict.fromkeys(row.separation for row in rows):
        cells = []
        for method in METHODS:
            ratios = np.concatenate([r.ratios for r in rows if (r.method, r.separation) == (method, separation)])
            cells.append(f"{np.sqrt(np.mean((ratios - 1.0) ** 2)):.2f}")
        print(f"| {separation:g} | {' | '.join(cells)} |")
    print("\nReported standard error / observed spread of the estimates, at separations 3 and 4:\n")
    for method in ("mean", "top"):
        far = [row for row in rows if row.method == method and row.separation >= 3.0]
        told = np.sqrt(np.mean([np.mean(row.errors**2) for row in far]))
        print(f"- {method}: {told / np.sqrt(np.mean([row.ratios.var(ddof=1) for row in far])):.2f}")
