"""KM2: the fraction of positives among unlabelled rows, from the distances between kernel means."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls
from scipy.spatial.distance import pdist, squareform

__all__ = ["SLOPE_FROM", "KernelMeans", "hull_distance"]

# Ramaswamy et al. 2016, section 6: the widths that are tried, in units of the median distance; the weight of the final
# slope in the threshold; the lambda of the initial slope, here as the fraction of positives 1 - 1/lambda.
_WIDTHS = np.logspace(-1.0, 1.0, 5)
_THRESHOLD = 0.2
_FIRST_LAMBDA = 1.05
SLOPE_FROM = 1.0 - 1.0 / _FIRST_LAMBDA
# Largest fraction in the search, and its resolution. The authors stop at lambda = 8, a fraction of 0.875.
_LARGEST_LAMBDA = 20.0
_RESOLUTION = 4e-3
# Squared kernel-space norm that the factor may omit of a row, which has norm 1, and the largest number of dimensions.
# The latter is reached with four features or more: the hull of n rows in n dimensions is slow to search, and contains
# nearly everything.
_LEFT_OUT = 1e-6
_DIMENSIONS = 200


class KernelMeans:
    """Rows in the feature space of a Gaussian kernel, as far as they span it, and KM2 on them.

    With `a` the mean of the unlabelled rows and `b` that of the positives, ``lambda a + (1 - lambda) b`` is the mean of
    some population, and therefore inside the hull of all rows, for lambda up to ``1 / (1 - share)``; beyond, its
    distance d from the hull increases. KM2 takes the lambda where the slope of d exceeds ``0.8 * initial slope + 0.2 *
    |a - b|``, where ``|a - b|`` is the asymptotic slope [1]_.

    Parameters
    ----------
    positive : ndarray of shape (n_p, d), float64
        Finite features, at least one row.
    unlabelled : ndarray of shape (n_u, d), float64
        Finite features, at least one row. Memory and time scale with the square of ``n_p + n_u``.

    References
    ----------
    .. [1] Ramaswamy, Scott & Tewari 2016, "Mixture Proportion Estimation via Kernel Embeddings of Distributions",
       ICML 48, 2052; arXiv:1603.02501. The widths and the initial lambda, 1.05, are those of the authors' code.
    """

    def __init__(self, positive: np.ndarray, unlabelled: np.ndarray) -> None:
        x = np.concatenate([positive, unlabelled])
        spread = x.std(axis=0)
        # A constant feature carries no information; avoid a division by zero.
        x = (x - x.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
        difference = np.concatenate(
            [np.full(len(positive), 1.0 / len(positive)), np.full(len(unlabelled), -1.0 / len(unlabelled))]
        )
        self._n_positive = len(positive)
        self._rows = _factor(x, _best_width(x, difference))

    def share(self, positive_weights: np.ndarray | None = None, unlabelled_weights: np.ndarray | None = None) -> float:
        """Return the fraction of positives among the unlabelled rows, from 0 to 0.95, with weighted rows.

        The weights change the means but not the hull and the kernel, so that a resample does not need a new kernel.
        """
        b = np.average(self._rows[: self._n_positive], axis=0, weights=positive_weights)
        a = np.average(self._rows[self._n_positive :], axis=0, weights=unlabelled_weights)
        far_slope = float(np.linalg.norm(a - b))
        if far_slope <= np.sqrt(_LEFT_OUT):
            # If the two means are equal, all unlabelled rows may be positives.
            return 1.0 - 1.0 / _LARGEST_LAMBDA
        # d is zero at lambda = 1, because `a` is a mean of rows.
        first_slope = self._distance(a, b, _FIRST_LAMBDA)[0] / (_FIRST_LAMBDA - 1.0)
        threshold = (1.0 - _THRESHOLD) * first_slope + _THRESHOLD * far_slope
        low, high = 0.0, 1.0 - 1.0 / _LARGEST_LAMBDA
        # d is convex, so its slope crosses the threshold once.
        while high - low > _RESOLUTION:
            middle = (low + high) / 2.0
            if self._distance(a, b, 1.0 / (1.0 - middle))[1] > threshold:
                high = middle
            else:
                low = middle
        return (low + high) / 2.0

    def _distance(self, a: np.ndarray, b: np.ndarray, factor: float) -> tuple[float, float]:
        """Return d at lambda = `factor`, and its slope there, along the vector from the hull to the target."""
        off = hull_distance(self._rows, factor * a + (1.0 - factor) * b)
        d = float(np.linalg.norm(off))
        return d, float((a - b) @ off) / d if d > np.sqrt(_LEFT_OUT) * 1e-3 else 0.0


def hull_distance(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the vector from the nearest point of the convex hull of `rows` to `target`, ``target - w @ rows``.

    The weights w on the simplex follow from non-negative least squares: the w >= 0 that minimises ``|w @ (rows -
    target)|^2 + (sum(w) - 1)^2`` has, after division by its sum, the smallest first term, because for any direction of
    w the best length leaves ``r / (1 + r)`` of the squared distance r. The solution is exact after a finite number of
    steps. An accelerated projected gradient had not converged after five thousand steps on two Gaussians in the plane,
    and took five to a hundred times as long.

    Parameters
    ----------
    rows : ndarray of shape (n, r), float64
    target : ndarray of shape (r,), float64

    Returns
    -------
    ndarray of shape (r,), float64
    """
    system = np.vstack([(rows - target).T, np.ones(len(rows))])
    goal = np.zeros(len(system))
    goal[-1] = 1.0
    weights, _ = nnls(system, goal, maxiter=30 * len(rows))
    return target - (weights / weights.sum()) @ rows


def _best_width(x: np.ndarray, difference: np.ndarray) -> float:
    """Return ``1 / (2 width^2)`` for the width at which the two means are furthest apart."""
    squared = squareform(pdist(x, "sqeuclidean"))
    median = float(np.median(squared))
    if median <= 0.0:
        # More than half of all pairs are equal, so the median is not a scale; rows are standardised, so use 1.
        median = 1.0
    factors = 1.0 / (2.0 * _WIDTHS**2 * median)
    return float(max(factors, key=lambda factor: difference @ np.exp(-factor * squared) @ difference))


def _factor(x: np.ndarray, factor: float) -> np.ndarray:
    """Return F of shape (n, r) with ``F @ F.T`` close to the Gaussian kernel of `x`, by pivoted Cholesky."""
    left = np.ones(len(x))
    rows = np.zeros((len(x), min(_DIMENSIONS, len(x))))
    r = 0
    while r < rows.shape[1]:
        i = int(np.argmax(left))
        if left[i] <= _LEFT_OUT:
            break
        column = np.exp(-factor * ((x - x[i]) ** 2).sum(axis=1)) - rows[:, :r] @ rows[i, :r]
        rows[:, r] = column / np.sqrt(left[i])
        left -= rows[:, r] ** 2
        r += 1
    return rows[:, :r].copy()
