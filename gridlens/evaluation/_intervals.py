"""`Estimate`, and intervals without a bootstrap: DeLong's for the AUROC, and the widest possible ones."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtri
from scipy.stats import rankdata

from gridlens._constants import Z_95
from gridlens.calibration import wilson
from gridlens.calibration._weights import effective_number

__all__ = ["Estimate", "delong_interval", "expected_labels", "mean_variance", "unresolvable", "widest"]

_NEWTON_STEPS = 30


class Estimate(NamedTuple):
    """Estimated value with its 95 % interval, or the reason why it is missing.

    Attributes
    ----------
    value : float
        Estimated value; NaN where it cannot be resolved.
    low, high : float
        Ends of the interval, NaN where `value` is.
    note : str
        "", or the reason why there is no value, such as "not resolvable with 200 negatives".

    Examples
    --------
    >>> from gridlens.evaluation import Estimate
    >>> print(Estimate(0.9621, 0.9514, 0.9712))
    0.962 [0.951, 0.971]
    >>> print(Estimate(float("nan"), float("nan"), float("nan"), "not resolvable with 200 negatives"))
    not resolvable with 200 negatives
    """

    value: float
    low: float
    high: float
    note: str = ""

    def __str__(self) -> str:
        if self.note:
            return self.note
        # Fractions have three decimals, small ones two significant digits; numbers of rows have one decimal or none.
        size = abs(self.value)
        form = (
            ".3f" if size == 0.0 or 0.01 <= size < 10.0 else "#.2g" if size < 0.01 else ".1f" if size < 1e3 else ",.0f"
        )
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


def unresolvable(count: int, kind: str) -> Estimate:
    """Return an empty estimate with the note "not resolvable with <count> <kind>s"; `kind` is in the singular."""
    note = f"not resolvable with {count} {kind}" + ("" if count == 1 else "s")
    return Estimate(math.nan, math.nan, math.nan, note)


def delong_interval(y: np.ndarray, score: np.ndarray, weight: np.ndarray | None) -> tuple[float, float, float]:
    """Return the AUROC of rows of both classes, with DeLong's 95 % interval on the logit scale.

    The placement of a row is the weighted fraction of the other class that it beats, ties counting half. Its weighted
    mean has the variance of a ratio of sums. Where low scores have large weights, however, most samples contain none of
    the few positives there, and underestimate the variance. With weights, the lower end is therefore also at most that
    of a normal interval with the variance at the expected labels of all rows, see `expected_labels`.
    """
    weights = np.ones(len(y)) if weight is None else weight
    positive, negative = y == 1, y == 0
    beaten = _placements(score, score[negative], weights[negative])
    beating = 1.0 - _placements(score[negative], score[positive], weights[positive])
    total = weights[positive].sum()
    value = float((weights[positive] * beaten[positive]).sum() / total)
    numbers = [effective_number(weights[rows]) for rows in (positive, negative)]
    n = min(numbers)
    if n <= 1.0 or not 0.0 < value < 1.0:
        return value, *widest(value, n)
    of_positives = mean_variance(beaten[positive], weights[positive])
    of_negatives = mean_variance(beating, weights[negative])
    if of_positives + of_negatives <= 0.0:
        return value, *widest(value, n)
    half = Z_95 * math.sqrt(of_positives + of_negatives) / (value * (1.0 - value))
    low, high = float(expit(logit(value) - half)), float(expit(logit(value) + half))
    if weight is not None:
        expected = float((weight**2 * expected_labels(y, score) * (beaten - value) ** 2).sum() / total**2)
        expected *= numbers[0] / (numbers[0] - 1.0)
        low = min(low, max(value - Z_95 * math.sqrt(max(of_positives, expected) + of_negatives), 0.0))
    return value, low, high


def expected_labels(y: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the probability of a positive for each row, by a logistic regression on the normal scores of the ranks.

    All rows count equally, because the prediction is for the rows of the sample, not for the population. Platt's
    targets keep the curve finite.
    """
    n, positives = len(y), int(y.sum())
    columns = np.column_stack([ndtri((rankdata(score) - 0.5) / n), np.ones(n)])
    target = np.where(y == 1, (positives + 1.0) / (positives + 2.0), 1.0 / (n - positives + 2.0))
    slopes = np.array([0.0, float(logit((positives + 0.5) / (n + 1.0)))])
    for _ in range(_NEWTON_STEPS):
        p = expit(columns @ slopes)
        curvature = (columns.T * (p * (1.0 - p))) @ columns + 1e-6 * np.eye(2)
        step = np.clip(np.linalg.solve(curvature, columns.T @ (target - p)), -1.0, 1.0)
        slopes += step
        if np.abs(step).max() < 1e-6:
            break
    return np.asarray(expit(columns @ slopes))


def _placements(values: np.ndarray, others: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the fraction of the weight of `others` that lies below each of `values`, ties counting half."""
    order = np.argsort(others, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weight[order])])
    ends = (np.searchsorted(others[order], values, side=side) for side in ("left", "right"))
    return np.asarray(sum(below[end] for end in ends) / 2.0 / below[-1])


def mean_variance(values: np.ndarray, weight: np.ndarray) -> float:
    """Return the variance of a weighted mean, ``n / (n - 1) sum w^2 (x - mean)^2 / (sum w)^2`` for n effective rows.

    The sum of the weights is random too, so this is the linearised variance of a ratio. It has no correction for a
    finite population.
    """
    total = weight.sum()
    residual = values - (weight * values).sum() / total
    n = effective_number(weight)
    return float((weight**2 * residual**2).sum() / total**2 * n / (n - 1.0))


def widest(value: float, n: float) -> tuple[float, float]:
    """Return an interval for rows without a spread: perfect separation, all scores equal, or a single row.

    The variance of a mean of n numbers from 0 to 1 is at most ``value (1 - value) / n``, and so is that of an AUROC,
    where n is the number of rows of the rarer class (Birnbaum & Klose 1957, Annals of Mathematical Statistics 28, 933).
    That is the variance of a fraction of n, so Wilson's interval applies.
    """
    # Rounding may leave a sum of fractions slightly above 1.
    low, high = wilson(min(value, 1.0) * n, n)
    return float(low), float(high)
