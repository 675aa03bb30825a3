"""`Estimate`, and the intervals that need no draws: DeLong's of an AUROC, the widest where there is no spread."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import rankdata

from gridlens._constants import Z_95
from gridlens.calibration import wilson

__all__ = ["Estimate", "delong_interval", "unresolvable", "widest"]


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
        if self.note:
            return self.note
        # Shares have three decimals, and small ones two digits that count; numbers of rows have one decimal or none.
        size = abs(self.value)
        form = (
            ".3f" if size == 0.0 or 0.01 <= size < 10.0 else "#.2g" if size < 0.01 else ".1f" if size < 1e3 else ",.0f"
        )
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


def unresolvable(count: int, kind: str) -> Estimate:
    """The estimate that is none, for `count` rows of a `kind` in the singular."""
    note = f"not resolvable with {count} {kind}" + ("" if count == 1 else "s")
    return Estimate(math.nan, math.nan, math.nan, note)


def delong_interval(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float, float]:
    """AUROC of the scores of both classes, with DeLong's 95 % interval on the logit scale.

    The midranks of Sun & Xu give each row's placement: the fraction of the other class that it beats, ties half.
    """
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    beaten = (ranks[:m] - rankdata(positive)) / n
    beating = 1.0 - (ranks[m:] - rankdata(negative)) / m
    value = float(beaten.mean())
    variance = beaten.var(ddof=1) / m + beating.var(ddof=1) / n if min(m, n) > 1 else 0.0
    if variance <= 0.0 or not 0.0 < value < 1.0:
        return value, *widest(value, min(m, n))
    half = Z_95 * math.sqrt(variance) / (value * (1.0 - value))
    return value, float(expit(logit(value) - half)), float(expit(logit(value) + half))


def widest(value: float, n: int) -> tuple[float, float]:
    """Interval where the rows show no spread to compute one of: perfect separation, all scores equal, one row.

    No mean of n numbers from 0 to 1 varies by more than ``value (1 - value) / n``, and no AUROC does, n the rows of the
    rarer class (Birnbaum & Klose 1957, Annals of Mathematical Statistics 28, 933). That is the variance of a fraction
    of n, so Wilson's interval applies.
    """
    # Sums of shares may pass 1 by a last digit.
    low, high = wilson(min(value, 1.0) * n, n)
    return float(low), float(high)
