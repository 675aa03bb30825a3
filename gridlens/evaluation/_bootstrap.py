"""One bootstrap for many metrics: sort the rows once, draw whole groups, and compute every metric from the same draw.

Metrics use `sum` instead of ``@``: for vectors of this length, starting the threads of a BLAS takes longer than the
product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Literal, NamedTuple

import numpy as np

from gridlens.calibration._weights import effective_number
from gridlens.evaluation._draws import draws, groups_of
from gridlens.evaluation._intervals import Estimate, widest

__all__ = ["Draw", "Pending", "Sample", "both_classes", "percentiles", "settled"]

# Number of highest negatives whose mean weight is taken for the next negative, which the sample does not contain.
_HIGHEST = 10


class Draw:
    """Rows of a sample with the number of times each was drawn.

    Attributes
    ----------
    weight : ndarray of shape (n,), float64
        Number of times that each row was drawn, times its weight.
    tp, fp : ndarray of shape (n_levels,), float64
        Cumulative weight of the positives and negatives at or above each of the distinct scores, from the highest; `fp`
        includes `unseen`.
    unseen : float
        Weight of the unseen negatives that are assumed to score above all rows.
    """

    def __init__(self, sample: Sample, weight: np.ndarray, unseen: float = 0.0) -> None:
        self.sample = sample
        self.weight = weight
        self.unseen = unseen

    @cached_property
    def tp(self) -> np.ndarray:
        sample = self.sample
        positive = sample.positive
        return np.cumsum(np.bincount(sample.level[positive], self.weight[positive], sample.n_levels))

    @cached_property
    def fp(self) -> np.ndarray:
        sample = self.sample
        negative = sample.negative
        return self.unseen + np.cumsum(np.bincount(sample.level[negative], self.weight[negative], sample.n_levels))


class Sample:
    """Labelled and scored rows in groups, sorted once for the bootstrap.

    Attributes
    ----------
    y : ndarray of shape (n,), int64
    level : ndarray of shape (n,), int64
        Rank of the row's score among the `n_levels` distinct scores, 0 for the highest.
    group : ndarray of shape (n,), int64
        Index of the row's group; without groups, each row is its own group.
    weight : ndarray of shape (n,), float64
        Weight of the row, above 0.
    weighted : bool
        Whether weights were given; otherwise all are 1.
    positive, negative : ndarray of int64
        Indices of the rows of each class.
    groups_with : tuple of float
        Number of groups with a negative and of groups with a positive; with weights, their effective numbers.
    """

    def __init__(
        self, y: np.ndarray, score: np.ndarray, groups: np.ndarray | None, weight: np.ndarray | None = None
    ) -> None:
        distinct, rising = np.unique(score, return_inverse=True)
        self.y = y
        self.grouped = groups is not None
        self.n_levels = len(distinct)
        self.level = self.n_levels - 1 - rising
        self.group = groups_of(groups, len(y))
        self.positive = np.flatnonzero(y == 1)
        self.negative = np.flatnonzero(y == 0)
        self.weighted = weight is not None
        self.weight = np.ones(len(y)) if weight is None else weight
        self.groups_with = tuple(self.effective(rows) for rows in (self.negative, self.positive))
        self.whole = Draw(self, self.weight)

    @property
    def total(self) -> float:
        """Sum of the weights, rounded where it differs from a whole number only by rounding errors."""
        total = float(self.weight.sum())
        return round(total) if math.isclose(total, round(total), rel_tol=1e-9) else total

    def effective(self, rows: np.ndarray) -> float:
        """Return the number of groups among the given rows; with weights, their effective number."""
        if not self.weighted:
            return len(np.unique(self.group[rows]))
        return effective_number(self.weight[rows], self.group[rows] if self.grouped else None)

    def passing(self, fraction: float, rows: np.ndarray) -> float:
        """Return the effective number of highest rows that make up a fraction of the weight of the given rows.

        The weight of one effective row, ``sum w^2 / sum w``, is computed from the highest rows down to this fraction.
        """
        weight = self.weight[rows]
        mass = np.cumsum(np.bincount(self.level[rows], weight, self.n_levels))
        squares = np.cumsum(np.bincount(self.level[rows], weight**2, self.n_levels))
        wanted = fraction * mass[-1]
        place = int(np.searchsorted(mass, min(wanted, mass[-1]) * (1.0 - 1e-12)))
        return float(wanted / (squares[place] / mass[place]))

    def draws(self, n_boot: int, random_state: int) -> Iterator[Drawn]:
        """Draw whole groups with replacement, in the versions of `Drawn`."""
        n_groups = int(self.group.max()) + 1
        beyond, anew = np.random.default_rng([random_state, 1]), np.random.default_rng([random_state, 2])
        size = self._unseen_group()
        for drawn in draws(self.y, self.group, n_boot, random_state):
            weight, unseen = drawn * self.weight, size * beyond.exponential()
            plain, wary = Draw(self, weight), Draw(self, weight, unseen)
            # Only `fp` differs, so reuse the counts of the other draw.
            wary.__dict__["tp"] = plain.tp
            wary.__dict__["fp"] = plain.fp + wary.unseen
            times = np.bincount(anew.integers(n_groups, size=n_groups), minlength=n_groups)
            freely = times[self.group] * self.weight
            yield Drawn(plain, wary, Draw(self, freely), Draw(self, freely, unseen))

    def _unseen_group(self) -> float:
        """Return the weight of an unseen group of negatives: mean group size times mean weight of the highest."""
        n_groups = max(len(np.unique(self.group[self.negative])), 1)
        highest = self.negative[np.argsort(self.level[self.negative], kind="stable")[:_HIGHEST]]
        return len(self.negative) / n_groups * float(self.weight[highest].mean() if len(highest) else 1.0)


class Drawn(NamedTuple):
    """Four versions of one bootstrap draw.

    Attributes
    ----------
    plain : Draw
        Groups with a positive are drawn separately from the others, so that the number of both is constant.
    wary : Draw
        As `plain`, with an exponentially distributed number of unseen negatives above all scores, one group on average.
        This is the uncertainty that a sample of n negatives leaves: the fraction of future negatives above its highest
        one is about 1 / n with that distribution. Otherwise, a sample whose highest negatives happen to be low would
        give a false positive rate of exactly zero.
    free : Draw
        All groups are drawn together, for metrics that depend on the number of positives.
    free_wary : Draw
        As `free`, with the unseen negatives of `wary`.
    """

    plain: Draw
    wary: Draw
    free: Draw
    free_wary: Draw


class Pending(NamedTuple):
    """Metric whose interval is not computed yet.

    Attributes
    ----------
    value : float
    statistic : callable
        Function that returns the metric of a `Draw`, NaN where it is undefined.
    ends : callable
        Function that returns both ends of the interval, from the metrics of the draws for the lower and for the upper
        end.
    version : str
        "plain" and "free" use these draws for both ends. "wary" uses the wary draws for the lower end and the plain
        ones for the upper end; "free_wary" uses the free_wary and the free draws.
    """

    value: float
    statistic: Callable[[Draw], float]
    ends: Callable[[np.ndarray, np.ndarray], tuple[float, float]]
    version: Literal["plain", "wary", "free", "free_wary"] = "plain"


def percentiles(
    value: float, n: float, without_spread: tuple[float, float] | None = None, no_narrower: bool = False
) -> Callable[[np.ndarray, np.ndarray], tuple[float, float]]:
    """Return a function that computes an interval from the 2.5 and 97.5 % quantiles of the lower and upper draws.

    With fewer than two groups, or where the draws do not differ, the interval is `without_spread`, by default the
    widest that a fraction of `n` groups can have. With `no_narrower`, the interval always includes `without_spread`:
    draws underestimate the spread where the rows of large weight agree.
    """
    return partial(_percentiles, n, widest(value, n) if without_spread is None else without_spread, no_narrower)


def _percentiles(
    n: float, without_spread: tuple[float, float], no_narrower: bool, below: np.ndarray, above: np.ndarray
) -> tuple[float, float]:
    # The metric of a draw that lacks one of the classes may be undefined.
    below, above = below[np.isfinite(below)], above[np.isfinite(above)]
    if n < 2 or not len(below) or not len(above):
        return without_spread
    low, high = float(np.quantile(below, 0.025)), float(np.quantile(above, 0.975))
    if high <= low:
        return without_spread
    return (min(low, without_spread[0]), max(high, without_spread[1])) if no_narrower else (low, high)


def both_classes(sample: Sample) -> Estimate | None:
    """Return an empty estimate with a note if a class is missing, otherwise None."""
    for rows, kind in ((sample.positive, "positives"), (sample.negative, "negatives")):
        if not len(rows):
            return Estimate(math.nan, math.nan, math.nan, f"not resolvable with 0 {kind}")
    return None


def settled(sample: Sample, plans: Sequence[Estimate | Pending], n_boot: int, random_state: int) -> list[Estimate]:
    """Return every plan as an `Estimate`; all pending ones share one bootstrap."""
    waiting = [plan for plan in plans if isinstance(plan, Pending)]
    drawn = np.empty((len(waiting), 2, n_boot))
    if waiting:
        for i, draw in enumerate(sample.draws(n_boot, random_state)):
            for place, plan in zip(drawn, waiting, strict=True):
                free = plan.version.startswith("free")
                place[:, i] = plan.statistic(draw.free if free else draw.plain)
                if plan.version.endswith("wary"):
                    place[0, i] = plan.statistic(draw.free_wary if free else draw.wary)
    ready = iter([Estimate(plan.value, *plan.ends(*place)) for place, plan in zip(drawn, waiting, strict=True)])
    return [next(ready) if isinstance(plan, Pending) else plan for plan in plans]
