"""How many positives a list yields as it is read from the top, and what that costs."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration import wilson
from gridlens.calibration._checks import checked_groups, checked_share, checked_whole
from gridlens.calibration._weights import effective_number, weighed
from gridlens.evaluation._draws import draws, groups_of
from gridlens.evaluation._intervals import Estimate, unresolvable
from gridlens.evaluation._ranking import _checked

__all__ = ["Counts", "DiscoveryCurve", "ReviewCost", "discovery_curve"]

_N_PLACES = 200


class ReviewCost(NamedTuple):
    """What `DiscoveryCurve.cost` returns.

    Attributes
    ----------
    reviewed : float
        Rows inspected.
    found : Estimate
        Positives among them.
    review_hours : float
        A person's time.
    follow_up_hours : Estimate
        For the positives found.
    follow_up_cost : Estimate
        In the unit of ``cost_per_hour``.
    """

    reviewed: float
    found: Estimate
    review_hours: float
    follow_up_hours: Estimate
    follow_up_cost: Estimate


class DiscoveryCurve(NamedTuple):
    """What `discovery_curve` returns; `str` says it in a sentence.

    Attributes
    ----------
    reviewed : ndarray of shape (n_places,), float64
        Rows inspected from the top, increasing up to `n_rows`.
    found : ndarray of shape (n_places,), float64
        Expected positives among them, NaN before `resolved_from`.
    low, high : ndarray of shape (n_places,), float64
        The 95 % band of `found`, for each place by itself, NaN with it.
    at_random, ideal : ndarray of shape (n_places,), float64
        The same for a list in random order, and for one with all positives on top.
    half : Estimate
        Rows to look at until half of the positives are found.
    resolved_from : float
        Before this place lies less than one negative of the sample (with groups, as many as a group of them has on
        average); NaN with one class alone.
    prevalence : float
        As declared.
    n_rows : int
        As declared.
    n_positive, n_negative : int
        Rows of the sample, without those of weight 0.
    """

    reviewed: np.ndarray
    found: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at_random: np.ndarray
    ideal: np.ndarray
    half: Estimate
    resolved_from: float
    prevalence: float
    n_rows: int
    n_positive: int
    n_negative: int

    def __str__(self) -> str:
        expected = f"the {self.prevalence * self.n_rows:,.4g} positives expected in {self.n_rows:,} rows"
        if self.half.note:
            return f"half of {expected}: {self.half.note}"
        return (
            f"half of {expected} (prevalence {self.prevalence:g}) in the first "
            f"{self.half.value:,.0f} [{self.half.low:,.0f}, {self.half.high:,.0f}]"
        )

    def at(self, reviewed: float) -> Estimate:
        """Positives expected among the first `reviewed` rows.

        Parameters
        ----------
        reviewed : float
            From 0 to `n_rows`. Between the places of the curve runs a straight line.

        Returns
        -------
        Estimate
            NaN with a note before `resolved_from`.

        Raises
        ------
        ValueError
            `reviewed` outside 0 to `n_rows`.
        """
        try:
            place = float(reviewed)
        except (TypeError, ValueError):
            place = math.nan
        if not 0.0 <= place <= self.n_rows:
            raise ValueError(
                f"The 'reviewed' parameter must be a number from 0 to the {self.n_rows} rows of the list. "
                f"Got {reviewed!r} instead."
            )
        if not self.n_positive or not self.n_negative:
            return self.half
        if not place >= self.resolved_from:
            return unresolvable(self.n_negative, "negative")
        known = np.isfinite(self.found)
        value, low, high = (
            float(np.interp(place, self.reviewed[known], column[known])) for column in (self.found, self.low, self.high)
        )
        return Estimate(value, low, high)

    def cost(
        self, reviewed: float, *, seconds_per_cutout: float, hours_per_follow_up: float, cost_per_hour: float
    ) -> ReviewCost:
        """What it takes to look at the first `reviewed` rows and to follow up the positives among them.

        Every figure is the caller's; none has a default. A person who passes on two rows for each positive doubles the
        follow-up: say so with `hours_per_follow_up`.

        Parameters
        ----------
        reviewed : float
            From 0 to `n_rows`.
        seconds_per_cutout : float
            A person's time for a row.
        hours_per_follow_up : float
            Time of the instrument for a positive.
        cost_per_hour : float
            Price of that hour, in any unit.

        Returns
        -------
        ReviewCost
            Hours and cost of the follow-up have the interval of the positives found, and their note.

        Raises
        ------
        ValueError
            `reviewed` outside 0 to `n_rows`; a figure that is negative or not finite.
        """
        seconds = _checked_amount("seconds_per_cutout", seconds_per_cutout)
        hours = _checked_amount("hours_per_follow_up", hours_per_follow_up)
        price = _checked_amount("cost_per_hour", cost_per_hour)
        found = self.at(reviewed)
        follow_up, cost = (
            Estimate(times * found.value, times * found.low, times * found.high, found.note)
            for times in (hours, hours * price)
        )
        return ReviewCost(float(reviewed), found, float(reviewed) * seconds / 3600.0, follow_up, cost)


def discovery_curve(
    y: Any,
    score: Any,
    prevalence: float,
    groups: Any = None,
    sample_weight: Any = None,
    *,
    n_rows: int = 100_000,
    n_boot: int = 1000,
    random_state: int = 0,
) -> DiscoveryCurve:
    """Expected positives found against rows inspected, best first, among `n_rows` rows at a declared prevalence.

    Above a threshold lie ``n_rows * (pi * TPR + (1 - pi) * FPR)`` rows, of them ``n_rows * pi * TPR`` positives: the
    positives of the sample weigh ``pi / n_positive`` each and the negatives ``(1 - pi) / n_negative``, whatever their
    share in the sample. That is right where the rows to come differ from the sample in their fraction of positives and
    in nothing else. Rows that tie come in random order, of which the curve is the mean: a straight line.

    A negative of the sample represents ``(1 - pi) / n_negative * n_rows`` rows to come. Before the place where the
    first one of them has come, the list would look pure whatever it is, so no number is given there. With groups it
    takes as many as a group of them has on average, with weights as many effective ones, ``(sum w)^2 / sum w^2``.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Higher for more likely positives; infinite scores are taken, NaN is not.
    prevalence : float
        Fraction of positives among the rows to come, between 0 and 1, both left out.
    groups : array-like of shape (n,), default=None
        Rows with the same value belong together, such as views of one cluster, and are drawn together.
    sample_weight : array-like of shape (n,), default=None
        Weights of the rows, finite and from 0, such as the inverse of the probability with which each was chosen to be
        labelled. Within a class, each row represents as many rows to come as its weight says. None: 1 for each.
    n_rows : int, default=100_000
        Length of the list.
    n_boot : int, default=1000
        Draws of the bootstrap.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    DiscoveryCurve
        The band holds the 2.5 to 97.5 % quantiles of a bootstrap (whole groups, those with a positive apart from
        those without), and Wilson's interval of the share found, with the positives (or their groups) for trials: the
        bootstrap alone has no spread where the sample is found in full. The low end of `half` is the ideal's where the
        quantile is before the place that can be resolved. All NaN with one class alone, also for no rows.

    Raises
    ------
    ValueError
        Lengths that differ, labels other than 0 and 1, scores of NaN, groups that are missing or of mixed types, a
        `prevalence` that is not between 0 and 1, fewer than 1 row or draw, weights that are negative, not finite or all
        0.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.evaluation import discovery_curve
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([1, 0], [100, 5000])
    >>> curve = discovery_curve(y, rng.normal(size=5100) + 2 * y, prevalence=1e-3, n_boot=200)
    >>> print(curve)
    half of the 100 positives expected in 100,000 rows (prevalence 0.001) in the first 1,868 [909, 3,812]
    >>> print(curve.at(10))
    not resolvable with 5000 negatives
    """
    labels, values = _checked(y, score)
    members = None if groups is None else checked_groups(groups, len(labels))
    weight, labels, values, members = weighed(sample_weight, labels, values, members)
    share = checked_share("prevalence", prevalence)
    length = checked_whole("n_rows", n_rows, 1)
    n_boot = checked_whole("n_boot", n_boot, 1)
    n_positive, n_negative = int(labels.sum()), int((1 - labels).sum())
    places = np.unique(np.geomspace(1.0, length, _N_PLACES).round())
    if not n_positive or not n_negative:
        half = unresolvable(0, "negative" if n_positive else "positive")
        found = low = high = np.full(len(places), math.nan)
        resolved = math.nan
        at_random, ideal = share * places, np.minimum(places, share * length)
        return DiscoveryCurve(
            places, found, low, high, at_random, ideal, half, resolved, share, length, n_positive, n_negative
        )
    level = np.unique(-values, return_inverse=True)[1]
    group = groups_of(members, len(labels))
    weights = np.ones(len(labels)) if weight is None else weight
    curve = Counts.of(labels, level, weights)
    # Rows of a group tell about as much as one of them.
    one_negative = n_negative / len(np.unique(group[labels == 0]))
    squares = Counts.of(labels, level, weights**2).negatives
    effective = curve.negatives**2 / np.where(squares > 0.0, squares, 1.0)
    # Rows of larger weight make them fewer again.
    effective = np.maximum.accumulate(effective)
    resolved = _first(min(one_negative, effective[-1]), effective, curve.places(share, length))
    places = np.union1d(places, min(math.ceil(resolved), length))
    found = np.interp(places, curve.places(share, length), curve.found(share, length))
    drawn = np.empty((n_boot, len(places)))
    halves = np.empty(n_boot)
    for i, times in enumerate(draws(labels, group, n_boot, random_state)):
        one = Counts.of(labels, level, times * weights)
        drawn[i] = np.interp(places, one.places(share, length), one.found(share, length))
        halves[i] = one.half(share, length)
    positive = labels == 1
    n_told = len(np.unique(group[positive])) if weight is None else effective_number(weight[positive], group[positive])
    low, high = _band(found, drawn, share * length, n_told)
    # No more positives than rows inspected, and no more of them missing than rows left.
    low = np.maximum(low, share * length - (length - places))
    high = np.minimum(high, places)
    for column in (found, low, high):
        column[places < resolved] = math.nan
    half = _half(curve.half(share, length), halves, resolved, share * length / 2, n_negative)
    at_random, ideal = share * places, np.minimum(places, share * length)
    return DiscoveryCurve(
        places, found, low, high, at_random, ideal, half, resolved, share, length, n_positive, n_negative
    )


class Counts(NamedTuple):
    """Positives and negatives above each threshold, from none to all."""

    positives: np.ndarray
    negatives: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, level: np.ndarray, weight: np.ndarray) -> Counts:
        """Counts of weighted rows; `level` is the score's place among the distinct scores, the highest 0."""
        columns = (np.bincount(level, weight * y), np.bincount(level, weight * (1 - y)))
        return cls(*(np.concatenate([[0.0], np.cumsum(column)]) for column in columns))

    def found(self, prevalence: float, n_rows: int) -> np.ndarray:
        return n_rows * prevalence * (self.positives / self.positives[-1])

    def places(self, prevalence: float, n_rows: int) -> np.ndarray:
        # A draw whose groups are all of positives has no negatives, and then none above a threshold.
        negatives = self.negatives / (self.negatives[-1] or 1.0)
        return self.found(prevalence, n_rows) + n_rows * (1.0 - prevalence) * negatives

    def half(self, prevalence: float, n_rows: int) -> float:
        """Place where half of the positives are found: the first, if it is a stretch."""
        return _first(self.positives[-1] / 2, self.positives, self.places(prevalence, n_rows))


def _first(wanted: float, counts: np.ndarray, places: np.ndarray) -> float:
    """First place where `counts`, which begin at 0, reach `wanted` above 0; `np.interp` would give the last one."""
    after = int(np.searchsorted(counts, wanted))
    ends = [after - 1, after]
    return float(np.interp(wanted, counts[ends], places[ends]))


def _band(found: np.ndarray, drawn: np.ndarray, total: float, n: float) -> tuple[np.ndarray, np.ndarray]:
    """The bootstrap's quantiles, no narrower than Wilson's interval of the share found of n positives or groups."""
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    # Rounding may leave a share a last digit above 1.
    wide_low, wide_high = wilson(np.clip(found / total, 0.0, 1.0) * n, n)
    return np.minimum(low, total * wide_low), np.maximum(high, total * wide_high)


def _half(value: float, drawn: np.ndarray, resolved: float, ideal: float, n_negative: int) -> Estimate:
    if value < resolved:
        return unresolvable(n_negative, "negative")
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low) if low >= resolved else ideal, float(high))


def _checked_amount(name: str, value: Any) -> float:
    try:
        amount = float(value)
    except (TypeError, ValueError):
        amount = math.nan
    if not (amount >= 0.0 and math.isfinite(amount)):
        raise ValueError(f"The '{name}' parameter must be a finite number from 0. Got {value!r} instead.")
    return amount
