"""Few positives: beta calibration compared with Platt's sigmoid, on scores whose true probability is known."""

from functools import cache, partial
from multiprocessing import Pool
from typing import NamedTuple

import numpy as np
from scipy.special import expit, xlog1py, xlogy
from scipy.stats import gamma, norm, t
from sklearn.linear_model import LogisticRegression

from gridlens.calibration._beta import fit_beta

__all__ = ["fit_sigmoid", "print_few_positives"]

POSITIVES = (5, 10, 20, 50)
N_TEST = 20_000


class Shape(NamedTuple):
    """Distributions of the scores of positives and of negatives."""

    name: str
    positive: tuple
    """distributions, mixed with equal weights"""
    negative: object
    as_probability: bool = False
    """whether the scores are mapped to (0, 1), like the output of a classifier trained at another prevalence"""

    def draw(self, n_positive: int, n_negative: int, rng: np.random.Generator) -> np.ndarray:
        part = rng.integers(len(self.positive), size=n_positive)
        drawn = [one.rvs(size=n_positive, random_state=rng) for one in self.positive]
        return np.concatenate([np.choose(part, drawn), self.negative.rvs(size=n_negative, random_state=rng)])

    def score(self, x: np.ndarray) -> np.ndarray:
        return expit(2.0 * x - 2.0) if self.as_probability else x

    def truth(self, x: np.ndarray, prevalence: float) -> np.ndarray:
        positive = prevalence * np.mean([one.pdf(x) for one in self.positive], axis=0)
        return positive / (positive + (1.0 - prevalence) * self.negative.pdf(x))


SHAPES = (
    Shape("normal, 2 apart", (norm(2),), norm()),
    Shape("normal, half 0.5 and half 4 apart", (norm(0.5), norm(4)), norm()),
    Shape("normal, positives twice as wide", (norm(2.5, 2),), norm()),
    Shape("normal, negatives twice as wide", (norm(4),), norm(0, 2)),
    Shape("Student's t, 3 degrees, 3 apart", (t(3, loc=3),), t(3)),
    Shape("gamma, of 1 and of 4", (gamma(4),), gamma(1)),
    Shape("normal, 2 apart, as probabilities", (norm(2),), norm(), as_probability=True),
    Shape("half 0.5 and half 4, as probabilities", (norm(0.5), norm(4)), norm(), as_probability=True),
)


def fit_sigmoid(score: np.ndarray, y: np.ndarray):
    """Fit Platt's sigmoid: each row enters once as a positive and once as a negative, weighted by Platt's targets."""
    k, m = y.sum(), len(y) - y.sum()
    target = np.where(y == 1, (k + 1) / (k + 2), 1 / (m + 2))
    X = np.concatenate([score, score])[:, None]
    model = LogisticRegression(C=1e12).fit(X, np.repeat([1, 0], len(y)), np.concatenate([target, 1.0 - target]))
    return lambda new: model.predict_proba(new[:, None])[:, 1]


@cache
def _test(shape: int, prevalence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of new rows and their true probabilities."""
    n_positive = round(N_TEST * prevalence)
    x = SHAPES[shape].draw(n_positive, N_TEST - n_positive, np.random.default_rng(1))
    return SHAPES[shape].score(x), SHAPES[shape].truth(x, prevalence)


def _errors(seed: int, shape: int, n_positive: int, prevalence: float) -> list[float]:
    """Return the expected log loss and the mean distance from the true probability, for the sigmoid and for beta."""
    n_negative = round(n_positive * (1.0 - prevalence) / prevalence)
    rng = np.random.default_rng((shape, n_positive, seed))
    score = SHAPES[shape].score(SHAPES[shape].draw(n_positive, n_negative, rng))
    y = np.repeat([1, 0], [n_positive, n_negative])
    test, truth = _test(shape, prevalence)
    # `IsotonicCalibrator` uses the curve within the range of the fit; beyond it, both curves are constant.
    low, high = score.min(), score.max()
    place, new = (score - low) / (high - low), np.clip((test - low) / (high - low), 0.0, 1.0)
    found = []
    for p in (fit_sigmoid(place, y)(new), fit_beta(place, y, np.ones(len(y))).predict(new)):
        found += [-float(np.mean(xlogy(truth, p) + xlog1py(1.0 - truth, -p))), float(np.mean(np.abs(p - truth)))]
    return found


def print_few_positives(repeats: int, jobs: int = 2) -> None:
    """Print the gain of beta calibration over the sigmoid, by distribution of the scores and number of positives."""
    with Pool(jobs) as pool:
        for prevalence in (0.01, 0.3):
            print(f"\n### Few positives at prevalence {prevalence:g}: beta minus sigmoid, {repeats} draws\n")
            numbers = ", ".join(map(str, POSITIVES))
            print(f"Differences times 1000 with standard errors, for {numbers} positives. Negative: beta is better.\n")
            print("| scores | log loss | mean distance from the true probability |\n|---|---|---|")
            total = []
            for shape in range(len(SHAPES)):
                cells = []
                for n_positive in POSITIVES:
                    errors = partial(_errors, shape=shape, n_positive=n_positive, prevalence=prevalence)
                    found = 1e3 * np.array(pool.map(errors, range(repeats)))
                    gain = found[:, 2:] - found[:, :2]
                    total.append((found[:, :2].mean(axis=0), gain.mean(axis=0)))
                    error = gain.std(axis=0, ddof=1) / np.sqrt(repeats)
                    cells.append([f"{mean:+.1f} ± {of:.1f}" for mean, of in zip(gain.mean(axis=0), error, strict=True)])
                print(f"| {SHAPES[shape].name} | {' | '.join(map(', '.join, zip(*cells, strict=True)))} |", flush=True)
            (loss, distance), (less, nearer) = np.mean(total, axis=0)
            print(f"\nMean of the table: sigmoid {loss:.1f} and {distance:.1f}, beta {less:+.1f} and {nearer:+.1f}.")
