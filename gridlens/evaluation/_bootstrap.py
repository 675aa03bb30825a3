"""One bootstrap for many measures: rows sorted once, whole groups drawn, every measure taken from the same draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from gridlens.evaluation._intervals import Estimate, widest

__all__ = ["Draw", "Pending", "Sample", "both_classes", "percentiles", "settled"]


class Draw:
    """The rows of a sample, each counted so many times.

    Attributes
    ----------
    weight : ndarray of shape (n,), float64
        How often each row was drawn.
    tp, fp : ndarray of shape (n_levels,), float64
        Positives and negatives with at least each of the distinct scores, from the highest; `fp` with `unseen`.
    unseen : float
        Negatives taken to lie above all scores.
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
    positive, negative : ndarray of int64
        Rows of either class.
    groups_with : tuple of int
        Groups that hold a negative, groups that hold a positive.
    """

    def __init__(self, y: np.ndarray, score: np.ndarray, groups: np.ndarray | None) -> None:
        distinct, rising = np.unique(score, return_inverse=True)
        self.y = y
        self.grouped = groups is not None
        self.n_levels = len(distinct)
        self.level = self.n_levels - 1 - rising
        self.group = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
        self.positive = np.flatnonzero(y == 1)
        self.negative = np.flatnonzero(y == 0)
        self.groups_with = tuple(len(np.unique(self.group[rows])) for rows in (self.negative, self.positive))
        self.whole = Draw(self, np.ones(len(y)))

    def draws(self, n_boot: int, random_state: int) -> Iterator[tuple[Draw, Draw]]:
        """Whole groups with replacement, those that hold a positive apart from the others, so that both stay as many.

        Of each draw a second version has a random number of negatives above all scores: one group of them is expected,
        exponentially distributed. That is what a sample cannot tell of the negatives to come: the share of them beyond
        its highest one, of n, is about 1 / n with that distribution. Without it a sample whose highest negatives happen
        to be low would know its false positive rate to be zero.
        """
        n_groups = int(self.group.max()) + 1
        holds = np.bincount(self.group, self.y, n_groups) > 0
        strata = [part for part in (np.flatnonzero(holds), np.flatnonzero(~holds)) if len(part)]
        rng, beyond = np.random.default_rng(random_state), np.random.default_rng([random_state, 1])
        size = len(self.negative) / max(self.groups_with[0], 1)
        for _ in range(n_boot):
            chosen = np.concatenate([part[rng.integers(len(part), size=len(part))] for part in strata])
            weight = np.bincount(chosen, minlength=n_groups)[self.group].astype(np.float64)
            plain, wary = Draw(self, weight), Draw(self, weight, size * beyond.exponential())
            # What is not changed need not be counted twice.
            wary.__dict__["tp"] = plain.tp
            wary.__dict__["fp"] = plain.fp + wary.unseen
            yield plain, wary


class Pending(NamedTuple):
    """A measure that waits for its interval.

    Attributes
    ----------
    value : float
    statistic : callable
        The measure of a `Draw`; NaN where the draw has none.
    ends : callable
        Both ends of the interval from the measures of the wary draws and of the plain ones.
    wary : bool
        Whether to take the measure of wary draws at all; otherwise `ends` gets those of the plain ones twice.
    """

    value: float
    statistic: Callable[[Draw], float]
    ends: Callable[[np.ndarray, np.ndarray], tuple[float, float]]
    wary: bool = False


def percentiles(
    value: float, n: int, without_spread: tuple[float, float] | None = None
) -> Callable[[np.ndarray, np.ndarray], tuple[float, float]]:
    """Ends of an interval: the 2.5 % quantile of the wary draws and the 97.5 % quantile of the plain ones.

    Of fewer than two groups, or where the draws do not differ, it is `without_spread`, by default the widest that a
    share of `n` groups can have.
    """
    return partial(_percentiles, n, widest(value, n) if without_spread is None else without_spread)


def _percentiles(
    n: int, without_spread: tuple[float, float], wary: np.ndarray, plain: np.ndarray
) -> tuple[float, float]:
    # A draw without one of the classes may have no measure.
    wary, plain = wary[np.isfinite(wary)], plain[np.isfinite(plain)]
    if n < 2 or not len(wary) or not len(plain):
        return without_spread
    low, high = float(np.quantile(wary, 0.025)), float(np.quantile(plain, 0.975))
    return (low, high) if high > low else without_spread


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
        for i, (plain, wary) in enumerate(sample.draws(n_boot, random_state)):
            for place, plan in zip(drawn, waiting, strict=True):
                place[1, i] = plan.statistic(plain)
                place[0, i] = plan.statistic(wary) if plan.wary else place[1, i]
    ready = iter([Estimate(plan.value, *plan.ends(*place)) for place, plan in zip(drawn, waiting, strict=True)])
    return [next(ready) if isinstance(plan, Pending) else plan for plan in plans]
