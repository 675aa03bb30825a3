"""Best bin estimation: the fraction of positives among unlabelled rows, from the purest bin of the highest scores."""

from __future__ import annotations

from math import log, sqrt
from typing import NamedTuple

import numpy as np

__all__ = ["BestBin", "TopBins"]

# Garg et al. 2021, section 4: the weight of the error terms, and the probability that the bound fails.
_GAMMA = 0.01
_DELTA = 0.1


class BestBin(NamedTuple):
    """Bin selected by `TopBins.best`.

    Attributes
    ----------
    threshold : float
        Lowest score in the bin, c*.
    value : float
        ``q_u(c*) / q_p(c*)``: the fraction of positives among the unlabelled rows if the bin contains no negatives,
        otherwise an upper limit.
    low, high : float
        Bound of that ratio in the paper, at 90 % confidence.
    """

    threshold: float
    value: float
    low: float
    high: float


class TopBins:
    """Fractions of the positives and of the unlabelled rows at or above each threshold.

    Only scores of positives are used as thresholds: between two of them q_p is constant and q_u decreases with the
    threshold, so the minimum of algorithm 1 of [1]_ is at one of them.

    Parameters
    ----------
    positive : ndarray of shape (n_p,), float64
        Scores of the labelled positives, finite, at least one.
    unlabelled : ndarray of shape (n_u,), float64
        Scores of the unlabelled rows, finite, at least one.

    References
    ----------
    .. [1] Garg, Wu, Smola, Balakrishnan & Lipton 2021, "Mixture Proportion Estimation and PU Learning: A Modern
       Approach", NeurIPS 34, algorithm 1 and lemma 1; arXiv:2111.00980.
    """

    def __init__(self, positive: np.ndarray, unlabelled: np.ndarray) -> None:
        self.thresholds, place = np.unique(positive, return_inverse=True)
        # Number of thresholds at or below the score of each row, which is in the bins of all of these.
        self._positive = place + 1
        self._unlabelled = np.searchsorted(self.thresholds, unlabelled, side="right")

    def shares(
        self, positive_weights: np.ndarray | None = None, unlabelled_weights: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return q_p and q_u at each threshold, with weighted rows."""
        q_p, q_u = (
            _at_or_above(place, weights, len(self.thresholds))
            for place, weights in ((self._positive, positive_weights), (self._unlabelled, unlabelled_weights))
        )
        return q_p, q_u

    def best(self, positive_weights: np.ndarray | None = None, unlabelled_weights: np.ndarray | None = None) -> BestBin:
        """Return the bin with the smallest upper bound of the ratio (algorithm 1), the lowest threshold of ties.

        It minimises ``q_u/q_p + (1 + gamma)/q_p * (e_u + e_p)`` with ``e = sqrt(log(4/delta) / (2 n))``.
        """
        q_p, q_u = self.shares(positive_weights, unlabelled_weights)
        n_p = len(self._positive) if positive_weights is None else float(positive_weights.sum())
        n_u = len(self._unlabelled) if unlabelled_weights is None else float(unlabelled_weights.sum())
        e_p, e_u = (sqrt(log(4.0 / _DELTA) / (2.0 * n)) for n in (n_p, n_u))
        # A resample may lack the highest positives; the ratio is undefined there.
        held = q_p > 0.0
        objective = np.full(len(q_p), np.inf)
        objective[held] = (q_u[held] + (1.0 + _GAMMA) * (e_u + e_p)) / q_p[held]
        i = int(np.argmin(objective))
        # Lemma 1, |q_u/q_p - r| <= (e_u + r e_p) / q_p for the true ratio r, solved for r.
        low = max(q_u[i] - e_u, 0.0) / (q_p[i] + e_p)
        high = (q_u[i] + e_u) / (q_p[i] - e_p) if q_p[i] > e_p else np.inf
        return BestBin(float(self.thresholds[i]), float(q_u[i] / q_p[i]), float(min(low, 1.0)), float(min(high, 1.0)))


def _at_or_above(place: np.ndarray, weights: np.ndarray | None, n: int) -> np.ndarray:
    """Return the weighted fraction of the rows in the bin of each of `n` thresholds."""
    counts = np.bincount(place, weights, n + 1).astype(np.float64)
    from_above = np.cumsum(counts[::-1])[::-1]
    return from_above[1:] / from_above[0]
