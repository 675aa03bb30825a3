"""Steps of an isotonic regression: rows pooled until their share of positives rises with the score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["SLACK", "Step", "flat", "interpolate", "pool", "pool_ends", "push", "sloping", "tied"]

# Share of the way to 0 or 1 that p goes in the outer half of an end step, and at most again beyond the fitted scores.
# Small: no label says how p changes there, only that it must not fall with the score.
SLACK = 0.1


class Step(NamedTuple):
    """Rows of one probability: how many, how many of them positive, their lowest and highest score."""

    positives: int
    rows: int
    low: float
    high: float

    def joined(self, after: Step) -> Step:
        return Step(self.positives + after.positives, self.rows + after.rows, self.low, after.high)

    @property
    def middle(self) -> float:
        # Halves first, for the sum may overflow; halves of the smallest floats may round out of the step.
        return min(max(self.low / 2 + self.high / 2, self.low), self.high)


def tied(scores: np.ndarray, y: np.ndarray) -> list[Step]:
    """A step for each distinct score, from the lowest."""
    values, inverse, rows = np.unique(scores, return_inverse=True, return_counts=True)
    positives = np.bincount(inverse[y == 1], minlength=len(values))
    return [
        Step(k, m, score, score) for k, m, score in zip(positives.tolist(), rows.tolist(), values.tolist(), strict=True)
    ]


def push(steps: list[Step], step: Step) -> None:
    """Add `step` at the upper end of pooled `steps`, and pool those that it does not lie above.

    Counts are compared as whole numbers: two steps of one share are found equal, whatever their rounding.
    """
    while steps and steps[-1].positives * step.rows >= step.positives * steps[-1].rows:
        step = steps.pop().joined(step)
    steps.append(step)


def pool(levels: list[Step]) -> list[Step]:
    """Steps of the isotonic regression on `tied` rows, by pooling adjacent violators."""
    steps: list[Step] = []
    for level in levels:
        push(steps, level)
    return steps


def shares(steps: list[Step]) -> list[float]:
    """Probability of each step, that of the end steps by Laplace's rule with half counts."""
    levels = [step.positives / step.rows for step in steps]
    for end in (0, -1):
        levels[end] = (steps[end].positives + 0.5) / (steps[end].rows + 1)
    return levels


def pool_ends(steps: list[Step]) -> list[Step]:
    """`steps` with its end steps pooled inwards until `shares` increases: Laplace's rule can pass a neighbour."""
    steps = list(steps)
    while len(steps) > 1:
        levels = shares(steps)
        if levels[0] >= levels[1]:
            steps[:2] = [steps[0].joined(steps[1])]
        elif levels[-1] <= levels[-2]:
            steps[-2:] = [steps[-2].joined(steps[-1])]
        else:
            break
    return steps


def sloping(steps: list[Step]) -> list[tuple[float, float]]:
    """Thresholds (x, y) at the middle of each step, and at the outer ends of the range."""
    levels = shares(steps)
    thresholds = [(step.middle, level) for step, level in zip(steps, levels, strict=True)]
    if steps[0].low < steps[0].middle:
        thresholds.insert(0, (steps[0].low, levels[0] * (1.0 - SLACK)))
    if steps[-1].high > steps[-1].middle:
        thresholds.append((steps[-1].high, levels[-1] + SLACK * (1.0 - levels[-1])))
    return thresholds


def flat(steps: list[Step]) -> list[tuple[float, float]]:
    """Thresholds (x, y) at both ends of each step, once where these are one score."""
    thresholds = []
    for step, level in zip(steps, shares(steps), strict=True):
        thresholds += [(score, level) for score in sorted({step.low, step.high})]
    return thresholds


def interpolate(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Linear interpolation that never falls: `np.interp` can pass the right end of a segment by a last digit."""
    if len(x) == 1:
        return np.where(np.isnan(values), np.nan, y[0])
    left = np.clip(np.searchsorted(x, values, side="right") - 1, 0, len(x) - 2)
    share = (values - x[left]) / (x[left + 1] - x[left])
    return np.minimum(y[left] + share * (y[left + 1] - y[left]), y[left + 1])
