"""Intervals of a probability that increases with the score, by inverting a likelihood ratio test."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit, xlogy

from gridlens.calibration._steps import Steps, pool

__all__ = ["design_effect", "likelihood_limits"]

# 95 % quantiles of the statistic if all scores differ (Banerjee & Wellner 2001, Annals of Statistics 29, 1699, Table
# 2), and if all rows have the same score (chi-squared with one degree of freedom).
_DISTINCT, _TIED = 2.26916, 3.84146
_N_PLACES = 64
# Start of the search for an end, in log-odds; the number of refinements, and the number of points in each.
_FAR = 35.0
_ROUNDS, _PLACES = 3, 33


def likelihood_limits(levels: Steps, steps: Steps, effect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the ends of the 95 % interval of the probability at some of the scores.

    Parameters
    ----------
    levels : Steps
        From `tied`, of both classes.
    steps : Steps
        The same, pooled.
    effect : float
        Factor on the critical value, see `design_effect`. The weight of an effective row of the step is a further
        factor: the log-likelihood of weighted rows is that of their effective number, times this weight.

    Returns
    -------
    x, low, high : ndarray of shape (m,), float64
        Up to 130 scores, from the lowest to the highest; all three arrays are non-decreasing.
    """
    places = _places(levels)
    x = levels.low[places]
    step = np.searchsorted(steps.high, x)
    limits = []
    for place, share, together, unit in zip(
        places, steps.shares[step], steps.rows[step], steps.unit[step], strict=True
    ):
        tied_share = (levels.rows[place] / unit - 1.0) / max(together / unit - 1.0, 1.0)
        critical = effect * unit * (_DISTINCT + max(tied_share, 0.0) * (_TIED - _DISTINCT))
        limits.append(_Test(levels, place).limits(float(share), critical))
    low, high = np.array(limits).T
    # Tied rows have wider limits than their neighbours, and the search stops at a grid: keep both from breaking the
    # order.
    return x, np.minimum.accumulate(low[::-1])[::-1], np.maximum.accumulate(high)


def design_effect(steps: Steps, scores: np.ndarray, y: np.ndarray, groups: np.ndarray, weight: np.ndarray) -> float:
    """Compute the design effect: the variance of groups about pooled `steps` relative to independent rows, at least 1.

    It is the sum over groups of the squared sum of weighted residuals, divided by the sum of their squares. Rows of a
    group in different steps do not add up, because only the rows near a score determine the curve there.
    """
    step = np.searchsorted(steps.high, scores)
    residual = weight * (y - steps.shares[step])
    # One cell for the rows of a group in a step.
    cell = np.unique(np.unique(groups, return_inverse=True)[1] * len(steps.rows) + step, return_inverse=True)[1]
    total = float((residual**2).sum())
    if total == 0.0:
        # Scores that separate the classes leave no residuals: use the largest effect that the groups can have.
        return float(np.bincount(cell).max())
    return max(float((np.bincount(cell, residual) ** 2).sum()) / total, 1.0)


def _places(levels: Steps) -> list[int]:
    """Choose the levels for the limits: the ends, and levels evenly spaced in rows and in positives."""
    shares = (np.arange(_N_PLACES) + 0.5) / _N_PLACES
    chosen = {0, len(levels.rows) - 1}
    for counts in (levels.rows, levels.positives):
        total = np.cumsum(counts)
        chosen |= set(np.searchsorted(total, shares * total[-1]).tolist())
    return sorted(chosen)


class _Test:
    """Log-likelihood of the rows with the probability fixed at one level, under the constraint of a monotonic curve."""

    def __init__(self, levels: Steps, place: int) -> None:
        below, above = pool(levels.part(slice(place))), pool(levels.part(slice(place + 1, None)))
        level = levels.part(slice(place, place + 1))
        self.positives, rows = (np.concatenate([part[k] for part in (below, level, above)]) for k in (0, 1))
        self.negatives = rows - self.positives
        share = self.positives / rows
        # The fixed value is the upper limit for the rows below, and the lower limit for those above.
        number, n_below = np.arange(len(share)), len(below.rows)
        self.lowest = np.where(number > n_below, share, 0.0)
        self.highest = np.where(number < n_below, share, 1.0)

    def log_likelihood(self, held: np.ndarray) -> np.ndarray:
        p = np.clip(held[:, None], self.lowest, self.highest)
        return (xlogy(self.positives, p) + xlogy(self.negatives, 1.0 - p)).sum(axis=1)

    def limits(self, share: float, critical: float) -> tuple[float, float]:
        """Return the probabilities where twice the log-likelihood falls by `critical` from its maximum at `share`."""
        least = float(self.log_likelihood(np.array([share]))[0]) - critical / 2.0
        start = float(np.clip(logit(share), -_FAR, _FAR))
        return self._end(start, -_FAR, least), self._end(start, _FAR, least)

    def _end(self, inside: float, outside: float, least: float) -> float:
        """Return the probability between log-odds `inside` and `outside` where the log-likelihood passes `least`."""
        for _ in range(_ROUNDS):
            tried = np.linspace(inside, outside, _PLACES)
            passed = np.flatnonzero(self.log_likelihood(expit(tried)) < least)
            if not len(passed):
                return 0.0 if outside < 0.0 else 1.0
            first = max(int(passed[0]), 1)
            inside, outside = float(tried[first - 1]), float(tried[first])
        return float(expit(outside))
