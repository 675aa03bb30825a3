"""One bootstrap for many measures: rows sorted once, whole groups drawn, every measure taken from the same draw.

Measures add up with `sum`, not ``@``: threads of a BLAS take longer to start than vectors of this length to multiply.
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

# Highest negatives whose mean weight is that of the next one that a sample lacks.
_HIGHEST = 10


class Draw:
    """The rows of a sample, each counted so many times.

    Attributes
    ----------
    weight : ndarray of shape (n,), float64
        How often each row was drawn, times its weight.
    tp, fp : ndarray of shape (n_levels,), float64
        Weight of the positives and negatives with at least each of the distinct scores, from the highest; `fp` with
        `unseen`.
    unseen : float
        Weight of the negatives taken to lie above all scores.
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
    """Labelled rows with a score, in groups, sorted once and ready to be drawn from.

    Attributes
    ----------
    y : ndarray of shape (n,), int64
    level : ndarray of shape (n,), int64
        Place of the row's score among the `n_levels` distinct ones, 0 for the highest.
    group : ndarray of shape (n,), int64
        Number of the row's group; without groups each row is its own.
    weight : ndarray of shape (n,), float64
        Weight of the row, above 0.
    weighted : bool
        Whether there are weights; without, each is 1.
    positive, negative : ndarray of int64
        Rows of either class.
    groups_with : tuple of float
        Groups that hold a negative, groups that hold a positive; with weights, their effective numbers.
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
        """Sum of the weights; a sum of equal weights that rounding took off a whole number is that number."""
        total = float(self.weight.sum())
        return round(total) if math.isclose(total, round(total), rel_tol=1e-9) else total

    def effective(self, rows: np.ndarray) -> float:
        """Return the number of groups among some rows; with weights, the effective one."""
        if not self.weighted:
            return len(np.unique(self.group[rows]))
        return effective_number(self.weight[rows], self.group[rows] if self.grouped else None)

    def passing(self, fraction: float, rows: np.ndarray) -> float:
        """Return how many of the highest of some rows a fraction of their weight is, in rows of effective weight.

        The weight of an effective row, ``sum w^2 / sum w``, is that of the highest rows down to this fraction.
        """
        weight = self.weight[rows]
        mass = np.cumsum(np.bincount(self.level[rows], weight, self.n_levels))
        squares = np.cumsum(np.bincount(self.level[rows], weight**2, self.n_levels))
        wanted = fraction * mass[-1]
        place = int(np.searchsorted(mass, min(wanted, mass[-1]) * (1.0 - 1e-12)))
        return float(wanted / (squares[place] / mass[place]))

    def draws(self, n_boot: int, random_state: int) -> Iterator[Drawn]:
        """Whole groups with replacement, in the versions of `Drawn`."""
        n_groups = int(self.group.max()) + 1
        beyond, anew = np.random.default_rng([random_state, 1]), np.random.default_rng([random_state, 2])
        size = self._unseen_group()
        for drawn in draws(self.y, self.group, n_boot, random_state):
            weight, unseen = drawn * self.weight, size * beyond.exponential()
            plain, wary = Draw(self, weight), Draw(self, weight, unseen)
            # What is not changed need not be counted twice.
            wary.__dict__["tp"] = plain.tp
            wary.__dict__["fp"] = plain.fp + wary.unseen
            times = np.bincount(anew.integers(n_groups, size=n_groups), minlength=n_groups)
            freely = times[self.group] * self.weight
            yield Drawn(plain, wary, Draw(self, freely), Draw(self, freely, unseen))

    def _unseen_group(self) -> float:
        """Return the weight of a group of negatives above all others: rows of a group, as heavy as the highest."""
        n_groups = max(len(np.unique(self.group[self.negative])), 1)
        highest = self.negative[np.argsort(self.level[self.negative], kind="stable")[:_HIGHEST]]
        return len(self.negative) / n_groups * float(self.weight[highest].mean() if len(highest) else 1.0)


class Drawn(NamedTuple):
    """Versions of one draw.

    Attributes
    ----------
    plain : Draw
        Groups that hold a positive are drawn apart from the others, so that both stay as many.
    wary : Draw
        The same, with a random number of negatives above all scores: one group of them is expected, exponentially
        distributed. That is what a sample cannot tell of the negatives to come: the fraction of them beyond its highest
        one, of n, is about 1 / n with that distribution. Without it a sample whose highest negatives happen to be low
        would know its false positive rate to be zero.
    free : Draw
        All groups are drawn alike, for what depends on how many positives there happen to be.
    free_wary : Draw
        The same as `free`, with the further negatives of `wary`.
    """

    plain: Draw
    wary: Draw
    free: Draw
    free_wary: Draw


class Pending(NamedTuple):
    """A measure that waits for its interval.

    Attributes
    ----------
    value : float
    statistic : callable
        The measure of a `Draw`; NaN where the draw has none.
    ends : callable
        Both ends of the interval, from the measures of the draws for its lower and for its upper end.
    version : str
        "plain" and "free" take both ends from such draws, "wary" the lower from wary and the upper from plain ones,
        "free_wary" the lower from these and the upper from free ones.
    """

    value: float
    statistic: Callable[[Draw], float]
    ends: Callable[[np.ndarray, np.ndarray], tuple[float, float]]
    version: Literal["plain", "wary", "free", "free_wary"] = "plain"


def percentiles(
    value: float, n: float, without_spread: tuple[float, float] | None = None, no_narrower: bool = False
) -> Callable[[np.ndarray, np.ndarray], tuple[float, float]]:
    """Ends of an interval: the 2.5 % quantile of the draws for the lower, the 97.5 % quantile of those for the upper.

    Of fewer than two groups, or where the draws do not differ, it is `without_spread`, by default the widest that a
    fraction of `n` groups can have. With `no_narrower` it holds that one in any case: where the rows of large weight
    agree, draws know too little.
    """
    return partial(_percentiles, n, widest(value, n) if without_spread is None else without_spread, no_narrower)


def _percentiles(
    n: float, without_spread: tuple[float, float], no_narrower: bool, below: np.ndarray, above: np.ndarray
) -> tuple[float, float]:
    # A draw without one of the classes may have no measure.
    below, above = below[np.isfinite(below)], above[np.isfinite(above)]
    if n < 2 or not len(below) or not len(above):
        return without_spread
    low, high = float(np.quantile(below, 0.025)), float(np.quantile(above, 0.975))
    if high <= low:
        return without_spread
    return (min(low, without_spread[0]), max(high, without_spread[1])) if no_narrower else (low, high)


def both_classes(sample: Sample) -> Estimate | None:
    """Why there is no measure, where a class is missing."""
    for rows, kind in ((sample.positive, "positives"), (sample.negative, "negatives")):
        if not len(rows):
            return Estimate(math.nan, math.nan, math.nan, f"not resolvable with 0 {kind}")
    return None


def settled(sample: Sample, plans: Sequence[Estimate | Pending], n_boot: int, random_state: int) -> list[Estimate]:
    """Every plan as an `Estimate`, the pending ones by one bootstrap for all."""
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
