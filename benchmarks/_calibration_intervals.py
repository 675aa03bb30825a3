"""Coverage of intervals of a calibrated probability: the likelihood ratio, bootstraps and Venn-Abers."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit
from scipy.stats import norm

from gridlens.calibration import IsotonicCalibrator

__all__ = ["POPULATIONS", "Population", "print_coverage"]

ROWS, PREVALENCE = 20_000, 0.01
METHODS = (
    "likelihood ratio (`predict_interval`)",
    "bootstrap of the isotonic regression, percentile",
    "the same, basic",
    "bootstrap of the centred curve, percentile",
    "the same, basic",
    "Venn-Abers",
)


class Population(NamedTuple):
    """Scores with a known true probability: standard normal negatives, positives from a mixture of normals."""

    name: str
    shares: tuple[float, ...]
    means: tuple[float, ...]

    def draw(self, rng: np.random.Generator, n: int, prevalence: float = PREVALENCE) -> tuple[np.ndarray, np.ndarray]:
        y = (rng.random(n) < prevalence).astype(np.int64)
        return rng.normal(size=n) + y * rng.choice(self.means, p=self.shares, size=n), y

    def truth(self, score: np.ndarray, prevalence: float = PREVALENCE) -> np.ndarray:
        positive = prevalence * sum(w * norm.pdf(score - m) for w, m in zip(self.shares, self.means, strict=True))
        return positive / (positive + (1.0 - prevalence) * norm.pdf(score))


POPULATIONS = (
    Population("normal, 2 apart", (1.0,), (2.0,)),
    Population("normal, 40 % 0.5 and 60 % 4 apart", (0.4, 0.6), (0.5, 4.0)),
)


def print_coverage(repeats: int, draws: int) -> None:
    """Print the coverage and the width of all methods, for all rows, by fifths and for the top percent."""
    print(f"\n### Coverage of 95 % intervals of the probability, {repeats} repeats\n")
    print(f"{ROWS:,} rows at prevalence {PREVALENCE:g}, {draws} bootstrap draws. Averages over all rows, each fifth of")
    print("the scores, and the top percent.\n")
    for population in POPULATIONS:
        print(f"\n{population.name}:\n")
        print("| method | all rows | fifths, from the lowest | top 1 % | mean width | top 1 % |")
        print("|---|---|---|---|---|---|")
        # Test scores at evenly spaced quantiles of the population, then of its top percent.
        many = np.sort(population.draw(np.random.default_rng(99), 500_000)[0])
        even = (np.arange(200) + 0.5) / 200
        at = np.concatenate([np.quantile(many, even), np.quantile(many, 1.0 - 0.01 * (1.0 - even[::4]))])
        truth = population.truth(at)
        covered, width = np.zeros((len(METHODS), len(at))), np.zeros((len(METHODS), len(at)))
        for seed in range(repeats):
            rng = np.random.default_rng(seed)
            score, y = population.draw(rng, ROWS)
            for k, (low, high) in enumerate(_all_intervals(score, y, at, draws, rng)):
                covered[k] += (low <= truth) & (truth <= high)
                width[k] += high - low
        for name, share, wide in zip(METHODS, covered / repeats, width / repeats, strict=True):
            fifths = ", ".join(f"{share[40 * k : 40 * k + 40].mean():.2f}" for k in range(5))
            print(
                f"| {name} | {share[:200].mean():.3f} | {fifths} | {share[200:].mean():.3f} "
                f"| {wide[:200].mean():.4f} | {wide[200:].mean():.3f} |",
                flush=True,
            )


def _all_intervals(
    score: np.ndarray, y: np.ndarray, at: np.ndarray, draws: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the lower and upper limits at scores `at`, in the order of `METHODS`."""
    found = [IsotonicCalibrator().fit(score, y).predict_interval(at)]
    order = np.argsort(score)
    score, y = score[order], y[order].astype(np.float64)
    fitted = _curves(score, y, np.ones(len(y)), at)
    drawn = np.empty((2, draws, len(at)))
    for i in range(draws):
        weight = np.bincount(rng.integers(len(y), size=len(y)), minlength=len(y)).astype(np.float64)
        kept = weight > 0
        drawn[:, i] = _curves(score[kept], y[kept], weight[kept], at)
    for value, curves in zip(fitted, drawn, strict=True):
        low, high = np.quantile(logit(curves), [0.025, 0.975], axis=0)
        found.append((expit(low), expit(high)))
        found.append((expit(2.0 * logit(value) - high), expit(2.0 * logit(value) - low)))
    found.append((_venn_abers(score, y, at, 0.0), _venn_abers(score, y, at, 1.0)))
    return found


def _curves(score: np.ndarray, y: np.ndarray, weight: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the isotonic regression and its centred version, lines between the middles of its steps.

    The end steps follow Laplace's rule.
    """
    starts = isotonic_regression(y, weights=weight).blocks
    k, m = np.add.reduceat(y * weight, starts[:-1]), np.add.reduceat(weight, starts[:-1])
    share = k / m
    share[[0, -1]] = (k[[0, -1]] + 0.5) / (m[[0, -1]] + 1.0)
    share = np.minimum(np.maximum.accumulate(share), share[-1])
    middle = (score[starts[:-1]] + score[starts[1:] - 1]) / 2.0
    return np.array([np.interp(at, score, np.repeat(share, np.diff(starts))), np.interp(at, middle, share)])


def _venn_abers(score: np.ndarray, y: np.ndarray, at: np.ndarray, label: float) -> np.ndarray:
    """Return the isotonic regression at each of `at`, added as a row of class `label` (Vovk, Petej & Fedorova 2015)."""
    place = np.searchsorted(score, at)
    return np.array([isotonic_regression(np.insert(y, i, label)).x[i] for i in place])
