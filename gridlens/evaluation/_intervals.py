"""`Estimate`, and the intervals of an AUROC: DeLong's for independent rows, a bootstrap for grouped ones."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import rankdata

from gridlens.calibration import wilson

__all__ = ["Estimate", "bootstrap_interval", "delong_interval", "unresolvable", "weighted_auroc", "wilson"]

_Z = 1.959963984540054  # Normal quantile of a 95 % interval.


class Estimate(NamedTuple):
    """A measured number with its 95 % interval, or the reason why there is none.

    Attributes
    ----------
    value : float
        NaN where it cannot be resolved.
    low, high : float
        The interval, NaN with `value`.
    note : str
        "", or why there is no value, such as "not resolvable with 200 negatives".

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
        return self.note or f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def unresolvable(count: int, kind: str) -> Estimate:
    """The estimate that is none, for `count` rows of a `kind` in the singular."""
    note = f"not resolvable with {count} {kind}" + ("" if count == 1 else "s")
    return Estimate(math.nan, math.nan, math.nan, note)


def delong_interval(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float, float]:
    """AUROC of the scores of both classes, with DeLong's 95 % interval on the logit scale.

    The midranks of Sun & Xu give each row's placement: the share of the other class that it beats, ties half.
    """
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    beaten = (ranks[:m] - rankdata(positive)) / n
    beating = 1.0 - (ranks[m:] - rankdata(negative)) / m
    value = float(beaten.mean())
    variance = beaten.var(ddof=1) / m + beating.var(ddof=1) / n if min(m, n) > 1 else 0.0
    if variance <= 0.0 or not 0.0 < value < 1.0:
        return value, *_widest(value, min(m, n))
    half = _Z * math.sqrt(variance) / (value * (1.0 - value))
    return value, float(expit(logit(value) - half)), float(expit(logit(value) + half))


def bootstrap_interval(
    y: np.ndarray, score: np.ndarray, groups: np.ndarray, n_boot: int, random_state: int
) -> tuple[float, float, float]:
    """AUROC, and the 2.5 and 97.5 % quantiles of it when whole groups are drawn with replacement."""
    _, group = np.unique(groups, return_inverse=True)
    n_groups = int(group.max()) + 1
    _, level = np.unique(score, return_inverse=True)
    value = weighted_auroc(y, level, np.ones(len(y)))
    rng = np.random.default_rng(random_state)
    drawn = np.empty(n_boot)
    for i in range(n_boot):
        times = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups)
        drawn[i] = weighted_auroc(y, level, times[group].astype(np.float64))
    # A draw without one of the classes has no AUROC.
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (value, value)
    fewest = min(len(np.unique(group[y == 1])), len(np.unique(group[y == 0])))
    if high <= low or fewest < 2:
        return value, *_widest(value, fewest)
    return value, float(low), float(high)


def weighted_auroc(y: np.ndarray, level: np.ndarray, weight: np.ndarray) -> float:
    """AUROC of weighted rows, ties half; `level` is the score's place among the distinct scores. NaN for one class."""
    positive = np.bincount(level, weight * y)
    negative = np.bincount(level, weight * (1 - y))
    total = positive.sum() * negative.sum()
    if not total:
        return math.nan
    return float(positive @ (np.cumsum(negative) - negative / 2) / total)


def _widest(value: float, n: int) -> tuple[float, float]:
    """Interval where the rows show no spread to compute one of: perfect separation, all scores equal, one row.

    No AUROC varies by more than ``value (1 - value) / n``, n the rows of the rarer class (Birnbaum & Klose 1957, Annals
    of Mathematical Statistics 28, 933). That is the variance of a share of n, so Wilson's interval applies.
    """
    low, high = wilson(value * n, n)
    return float(low), float(high)
