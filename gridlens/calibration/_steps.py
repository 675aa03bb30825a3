"""Steps of an isotonic regression: rows pooled until their fraction of positives increases with the score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

__all__ = ["SLACK", "Steps", "flat", "interpolate", "pool", "pool_ends", "sloping", "tied"]

# Fraction of the way to 0 or 1 that p moves in the outer half of an end step, and at most again beyond the fitted
# scores. It is small because no label constrains p there, except that it must not decrease with the score.
SLACK = 0.1


class Steps(NamedTuple):
    """Groups of rows with equal probability, from the lowest scores to the highest; arrays of shape (n_steps,)."""

    positives: np.ndarray
    """sum of the weights of the positives, float64"""
    rows: np.ndarray
    """sum of the weights of all rows, float64"""
    low: np.ndarray
    """lowest score, float64"""
    high: np.ndarray
    """highest score, float64"""
    squares: np.ndarray
    """sum of the squared weights of all rows, float64"""

    @property
    def unit(self) -> np.ndarray:
        """Weight of one effective row; ``rows / unit`` is Kish's effective number."""
        return self.squares / self.rows

    @property
    def shares(self) -> np.ndarray:
        """Fraction of positives."""
        return self.positives / self.rows

    @property
    def middle(self) -> np.ndarray:
        """Middle of the range of scores."""
        # Halve first, because the sum may overflow; clip, because halves of the smallest floats may round out of the
        # step.
        return np.clip(self.low / 2 + self.high / 2, self.low, self.high)

    def part(self, which: slice) -> Steps:
        """Return a slice of the steps."""
        return Steps(*(column[which] for column in self))

    def joined(self, starts: np.ndarray) -> Steps:
        """Return wider steps that begin at each of `starts` and end before the next."""
        columns = (self.positives, self.rows, self.squares)
        positives, rows, squares = (np.add.reduceat(column, starts) for column in columns)
        return Steps(positives, rows, self.low[starts], self.high[np.append(starts[1:], len(self.rows)) - 1], squares)


def tied(scores: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Steps:
    """Return one step for each distinct score, from the lowest."""
    # Sort the rows: sums of floats depend on their order, but the steps must not depend on the order of the rows.
    order = np.lexsort((weight, y, scores))
    y, weight = y[order], weight[order]
    values, inverse = np.unique(scores[order], return_inverse=True)
    positives, rows, squares = (np.bincount(inverse, column) for column in (weight * y, weight, weight**2))
    return Steps(positives, rows, values, values, squares)


def pool(levels: Steps) -> Steps:
    """Return the steps of the isotonic regression on `levels`, with strictly increasing fractions of positives."""
    if not len(levels.rows):
        return levels
    steps = levels.joined(isotonic_regression(levels.shares, weights=levels.rows).blocks[:-1])
    # Rounding may keep neighbours separate whose fractions, as ratios of whole numbers, are equal.
    return steps.joined(np.flatnonzero(np.diff(steps.shares, prepend=-1.0) > 0.0))


def bounded_shares(steps: Steps) -> np.ndarray:
    """Return the probability of each step; the end steps follow Laplace's rule with half effective counts."""
    shares, unit = steps.shares, steps.unit
    for end in (0, -1):
        shares[end] = (steps.positives[end] / unit[end] + 0.5) / (steps.rows[end] / unit[end] + 1.0)
    return shares


def pool_ends(steps: Steps) -> Steps:
    """Pool the end steps inwards until `bounded_shares` increases, because Laplace's rule can pass a neighbour."""
    while len(steps.rows) > 1:
        shares = bounded_shares(steps)
        starts = np.arange(len(shares))
        if shares[0] >= shares[1]:
            steps = steps.joined(np.delete(starts, 1))
        elif shares[-1] <= shares[-2]:
            steps = steps.joined(starts[:-1])
        else:
            break
    return steps


def sloping(steps: Steps) -> tuple[np.ndarray, np.ndarray]:
    """Return thresholds x and y at the middle of each step, and at the outer ends of the range."""
    x, y = steps.middle, bounded_shares(steps)
    low, high = steps.low[0], steps.high[-1]
    first, last = y[0] * (1.0 - SLACK), y[-1] + SLACK * (1.0 - y[-1])
    if high > x[-1]:
        x, y = np.append(x, high), np.append(y, last)
    if low < x[0]:
        x, y = np.insert(x, 0, low), np.insert(y, 0, first)
    return x, y


def flat(steps: Steps) -> tuple[np.ndarray, np.ndarray]:
    """Return thresholds x and y at both ends of each step, or one if the ends coincide."""
    kept = np.column_stack([np.ones(len(steps.rows), dtype=bool), steps.high > steps.low]).ravel()
    return np.column_stack([steps.low, steps.high]).ravel()[kept], np.repeat(bounded_shares(steps), 2)[kept]


def interpolate(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolate linearly without decreasing: `np.interp` can exceed the right end of a segment by rounding."""
    if len(x) == 1:
        return np.where(np.isnan(values), np.nan, y[0])
    left = np.clip(np.searchsorted(x, values, side="right") - 1, 0, len(x) - 2)
    share = (values - x[left]) / (x[left + 1] - x[left])
    return np.minimum(y[left] + share * (y[left + 1] - y[left]), y[left + 1])
