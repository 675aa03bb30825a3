"""Intervals of a probability that rises with the score, by inverting a likelihood ratio test."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit, xlogy

from gridlens.calibration._steps import Step, push

__all__ = ["design_effect", "likelihood_limits"]

# 95 % quantiles of the statistic where each row has a score of its own (Banerjee & Wellner 2001, Annals of Statistics
# 29, 1699, Table 2), and where all rows share one (chi-squared with one degree of freedom).
_DISTINCT, _TIED = 2.26916, 3.84146
_N_PLACES = 64
# The search for an end starts this far out in log-odds, and narrows twice as many times by as many places.
_FAR = 35.0
_ROUNDS, _PLACES = 3, 33


def likelihood_limits(
    levels: list[Step], steps: list[Step], effect: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends of the 95 % interval of the probability at some of the scores.

    Parameters
    ----------
    levels : list of Step
        From `tied`, of both classes.
    steps : list of Step
        The same, pooled.
    effect : float
        What the critical value is multiplied by, see `design_effect`.

    Returns
    -------
    x, low, high : ndarray of shape (m,), float64
        Up to 130 scores, from the lowest to the highest; none of the three falls.
    """
    places = _places(levels)
    below = _pooled_before(levels, places)
    flipped = [Step(level.rows - level.positives, level.rows, level.low, level.high) for level in reversed(levels)]
    above = _pooled_before(flipped, [len(levels) - 1 - place for place in reversed(places)])[::-1]
    ends = np.array([step.high for step in steps])
    limits = []
    for place, left, right in zip(places, below, above, strict=True):
        level = levels[place]
        step = steps[int(np.searchsorted(ends, level.low))]
        tied_share = (level.rows - 1) / max(step.rows - 1, 1)
        critical = effect * (_DISTINCT + tied_share * (_TIED - _DISTINCT))
        # Of the rows above, positives and negatives are the other way round.
        test = _Test(left, level, [Step(s.rows - s.positives, s.rows, s.low, s.high) for s in right])
        limits.append(test.limits(step.positives / step.rows, critical))
    low, high = np.array(limits).T
    x = np.array([levels[place].low for place in places])
    # Tied rows have wider limits than their neighbours, and the search stops at a grid: neither may turn the order.
    return x, np.minimum.accumulate(low[::-1])[::-1], np.maximum.accumulate(high)


def design_effect(steps: list[Step], scores: np.ndarray, y: np.ndarray, groups: np.ndarray) -> float:
    """How many times as much groups vary about pooled `steps` as independent rows would: at least 1.

    The sum over groups of the squared sum of residuals, over the sum of their squares. Rows of a group that lie in
    different steps do not add up: what holds the curve at a score is the rows about it.
    """
    step = np.searchsorted(np.array([step.high for step in steps]), scores)
    residual = y - np.array([step.positives / step.rows for step in steps])[step]
    # A cell for the rows of a group in a step.
    cell = np.unique(np.unique(groups, return_inverse=True)[1] * len(steps) + step, return_inverse=True)[1]
    total = float((residual**2).sum())
    if total == 0.0:
        # Scores that part the classes leave no residuals to tell: the most that the groups can do.
        return float(np.bincount(cell).max())
    return max(float((np.bincount(cell, residual) ** 2).sum()) / total, 1.0)


def _places(levels: list[Step]) -> list[int]:
    """Numbers of the levels to compute limits at: even steps through the rows and through the positives, the ends."""
    shares = (np.arange(_N_PLACES) + 0.5) / _N_PLACES
    chosen = {0, len(levels) - 1}
    for counts in ([level.rows for level in levels], [level.positives for level in levels]):
        total = np.cumsum(counts)
        chosen |= set(np.searchsorted(total, shares * total[-1]).tolist())
    return sorted(chosen)


def _pooled_before(levels: list[Step], places: list[int]) -> list[list[Step]]:
    """The steps of the levels before each of `places`: pooling from below has them all on its way."""
    wanted = set(places)
    found, steps = [], list[Step]()
    for number, level in enumerate(levels):
        if number in wanted:
            found.append(list(steps))
        push(steps, level)
    return found


class _Test:
    """Log-likelihood of the rows where the probability at one level is held: below it no row may pass that."""

    def __init__(self, left: list[Step], level: Step, right: list[Step]) -> None:
        counts = np.array([(step.positives, step.rows) for step in [*left, level, *right]], dtype=np.float64)
        self.positives = counts[:, 0]
        self.negatives = counts[:, 1] - counts[:, 0]
        share = counts[:, 0] / counts[:, 1]
        # Rows on the left go up to their share or to what is held, those on the right down to it.
        self.lowest = np.where(np.arange(len(share)) > len(left), share, 0.0)
        self.highest = np.where(np.arange(len(share)) < len(left), share, 1.0)

    def log_likelihood(self, held: np.ndarray) -> np.ndarray:
        p = np.clip(held[:, None], self.lowest, self.highest)
        return (xlogy(self.positives, p) + xlogy(self.negatives, 1.0 - p)).sum(axis=1)

    def limits(self, share: float, critical: float) -> tuple[float, float]:
        """Where twice the log-likelihood falls by `critical` from its maximum at `share`."""
        least = float(self.log_likelihood(np.array([share]))[0]) - critical / 2.0
        start = float(np.clip(logit(share), -_FAR, _FAR))
        return self._end(start, -_FAR, least), self._end(start, _FAR, least)

    def _end(self, inside: float, outside: float, least: float) -> float:
        """Probability between log-odds `inside` and `outside` where the log-likelihood passes below `least`."""
        for _ in range(_ROUNDS):
            tried = np.linspace(inside, outside, _PLACES)
            passed = np.flatnonzero(self.log_likelihood(expit(tried)) < least)
            if not len(passed):
                return 0.0 if outside < 0.0 else 1.0
            first = max(int(passed[0]), 1)
            inside, outside = float(tried[first - 1]), float(tried[first])
        return float(expit(outside))
