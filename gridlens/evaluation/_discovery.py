"""Expected yield of a ranked list that is reviewed from the top, and the cost of the review."""

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
    """Result of `DiscoveryCurve.cost`.

    Attributes
    ----------
    reviewed : float
        Number of rows inspected.
    found : Estimate
        Number of positives among them.
    review_hours : float
        Time of the reviewer, h.
    follow_up_hours : Estimate
        Time for the positives found, h.
    follow_up_cost : Estimate
        Cost of these hours, in the unit of ``cost_per_hour``.
    """

    reviewed: float
    found: Estimate
    review_hours: float
    follow_up_hours: Estimate
    follow_up_cost: Estimate


class DiscoveryCurve(NamedTuple):
    """Result of `discovery_curve`; `str` summarises it in one sentence.

    Attributes
    ----------
    reviewed : ndarray of shape (n_places,), float64
        Number of rows inspected from the top, increasing up to `n_rows`.
    found : ndarray of shape (n_places,), float64
        Expected number of positives among them, NaN below `resolved_from`.
    low, high : ndarray of shape (n_places,), float64
        Pointwise 95 % interval of `found`, NaN where `found` is.
    at_random, ideal : ndarray of shape (n_places,), float64
        The same for a list in random order, and for a list with all positives on top.
    half : Estimate
        Number of rows to inspect until half of the positives are found.
    resolved_from : float
        Number of rows that the first negative of the sample represents (with groups, the first mean group of
        negatives); the curve is not resolved below it. NaN if one class is missing.
    prevalence : float
        As given.
    n_rows : int
        As given.
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
        """Return the number of positives expected among the first `reviewed` rows.

        Parameters
        ----------
        reviewed : float
            From 0 to `n_rows`. The curve is interpolated linearly.

        Returns
        -------
        Estimate
            NaN with a note below `resolved_from`.

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
                f"The 'reviewed' parameter must be a number from 0 to {self.n_rows}, the length of the list. "
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
        """Estimate the effort to review the first `reviewed` rows and to follow up the positives among them.

        All costs are given by the caller; there are no defaults. If reviewers pass on two rows for each positive, the
        follow-up takes twice as long: double `hours_per_follow_up`.

        Parameters
        ----------
        reviewed : float
            From 0 to `n_rows`.
        seconds_per_cutout : float
            Time of a reviewer for each row, s.
        hours_per_follow_up : float
            Telescope time for each positive, h.
        cost_per_hour : float
            Price of one such hour, in any unit.

        Returns
        -------
        ReviewCost
            Hours and cost of the follow-up have the interval and the note of the number of positives found.

        Raises
        ------
        ValueError
            `reviewed` outside 0 to `n_rows`, or a cost that is negative or not finite.
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
    """Estimate the positives found against the rows inspected, best first, among `n_rows` rows of a given prevalence.

    Above a threshold lie ``n_rows * (pi * TPR + (1 - pi) * FPR)`` rows, of which ``n_rows * pi * TPR`` are positives:
    each positive of the sample has the weight ``pi / n_positive`` and each negative ``(1 - pi) / n_negative``, whatever
    the fraction of positives in the sample. This is correct if future rows differ from the sample only in their
    fraction of positives. Tied rows are in random order; the curve is the mean over all orders, a straight line.

    A negative of the sample represents ``(1 - pi) / n_negative * n_rows`` future rows. Above the place of the first of
    these the list would look pure in any case, so no number is given there. With groups, as many negatives are required
    as a group has on average; with weights, as many effective ones, ``(sum w)^2 / sum w^2``.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    prevalence : float
        Fraction of positives among future rows, between 0 and 1 (exclusive).
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, are drawn together.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, such as the inverse of the probability with which each row was selected
        to be labelled. Within a class, each row represents future rows in proportion to its weight. If None, every row
        has weight 1.
    n_rows : int, default=100_000
        Length of the list.
    n_boot : int, default=1000
        Number of bootstrap draws.
    random_state : int, default=0
        Random seed of the bootstrap.

    Returns
    -------
    DiscoveryCurve
        The band includes the 2.5 to 97.5 % quantiles of a bootstrap (whole groups, stratified into those with and
        without a positive), and Wilson's interval of the fraction found, with the number of positives (or their groups)
        as trials: the bootstrap alone has no spread where all positives are found. The lower end of `half` is that of
        the ideal list where the quantile is below `resolved_from`. All NaN if one class is missing or there are no
        rows.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, NaN scores, missing groups or groups of mixed types, a
        `prevalence` outside (0, 1), fewer than 1 row or draw, weights that are negative, not finite or all 0.

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
    # The rows of a group carry about as much information as one row.
    one_negative = n_negative / len(np.unique(group[labels == 0]))
    squares = Counts.of(labels, level, weights**2).negatives
    effective = curve.negatives**2 / np.where(squares > 0.0, squares, 1.0)
    # Rows of larger weight would lower the effective number again.
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
    # There are at most as many positives as rows inspected, and at most as many missing as rows left.
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
    """Cumulative numbers of positives and negatives above each threshold, from none to all."""

    positives: np.ndarray
    negatives: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, level: np.ndarray, weight: np.ndarray) -> Counts:
        """Count weighted rows; `level` is the rank of the score among the distinct scores, 0 for the highest."""
        columns = (np.bincount(level, weight * y), np.bincount(level, weight * (1 - y)))
        return cls(*(np.concatenate([[0.0], np.cumsum(column)]) for column in columns))

    def found(self, prevalence: float, n_rows: int) -> np.ndarray:
        return n_rows * prevalence * (self.positives / self.positives[-1])

    def places(self, prevalence: float, n_rows: int) -> np.ndarray:
        # A draw that contains only groups of positives has no negatives above any threshold.
        negatives = self.negatives / (self.negatives[-1] or 1.0)
        return self.found(prevalence, n_rows) + n_rows * (1.0 - prevalence) * negatives

    def half(self, prevalence: float, n_rows: int) -> float:
        """Return the place where half of the positives are found, the first one where the curve is flat."""
        return _first(self.positives[-1] / 2, self.positives, self.places(prevalence, n_rows))


def _first(wanted: float, counts: np.ndarray, places: np.ndarray) -> float:
    """Return the first place where `counts` reach `wanted`, a number above 0; `np.interp` would give the last."""
    after = int(np.searchsorted(counts, wanted))
    ends = [after - 1, after]
    return float(np.interp(wanted, counts[ends], places[ends]))


def _band(found: np.ndarray, drawn: np.ndarray, total: float, n: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the bootstrap quantiles, at least as wide as Wilson's interval for n positives or groups."""
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    # Rounding may leave the fraction slightly above 1.
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
        raise ValueError(f"The '{name}' parameter must be a finite number of at least 0. Got {value!r} instead.")
    return amount
