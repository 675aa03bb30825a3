"""Precision and recall of the list of the k highest scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gridlens.calibration import wilson
from gridlens.calibration._checks import checked_share, checked_whole
from gridlens.evaluation._bootstrap import Draw, Pending, Sample, both_classes, percentiles, settled
from gridlens.evaluation._intervals import Estimate, unresolvable
from gridlens.evaluation._ranking import sample_of

__all__ = ["precision_at_k", "recall_at_k"]


def precision_at_k(
    y: Any,
    score: Any,
    k: int,
    prevalence: float | None = None,
    groups: Any = None,
    sample_weight: Any = None,
    *,
    out_of: int | None = None,
    n_boot: int = 1000,
    random_state: int = 0,
) -> Estimate:
    """Compute the fraction of positives among the `k` rows with the highest scores.

    Rows that tie at the end of the list are selected at random, so the list contains the expected number of positives
    of such a draw (the mean of the hypergeometric distribution): their fraction among the ties, for each place.

    At a given prevalence pi, the list contains the top `k` of `out_of` rows of that prevalence. Its threshold t
    satisfies ``pi TPR(t) + (1 - pi) FPR(t) = k / out_of``, interpolated between two scores, and its precision is ``pi
    TPR(t) out_of / k``.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    k : int
        Length of the list, from 1 to `out_of`.
    prevalence : float, default=None
        Fraction of positives among the rows that will be scored, between 0 and 1 (exclusive). If None, the prevalence
        of these rows is used.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, are drawn together.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, such as the inverse of the probability with which each row was selected
        to be labelled. The list is then selected from that population: `k` and `out_of` refer to it, and each row
        counts as its weight. If None, every row has weight 1.
    out_of : int, default=None
        Number of rows that will be scored; only the ratio ``k / out_of`` matters. If None, the number of rows, or the
        sum of their weights.
    n_boot : int, default=1000
        Number of bootstrap draws.
    random_state : int, default=0
        Random seed of the bootstrap.

    Returns
    -------
    Estimate
        With Wilson's interval for the number of rows on the list. With a prevalence or groups, it is that of the
        bootstrap of `average_precision`; where the draws do not differ, Wilson's for the groups on the list. With
        weights and no prevalence, the bootstrap draws positives and negatives together, because the weights only
        estimate their numbers, and the interval is at least as wide as Wilson's for effective numbers of rows. NaN with
        a note where one negative (or row) represents more rows than the list has, or where there are no rows or, with a
        prevalence, only one class.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, NaN scores, a `k` or `out_of` outside its range, a `prevalence`
        outside (0, 1), missing groups or groups of mixed types, fewer than 1 draw, weights that are negative, not
        finite or all 0.

    Examples
    --------
    >>> from gridlens.evaluation import precision_at_k
    >>> y, score = [0, 0, 0, 0, 1, 1, 1, 1], [1, 2, 6, 6, 3, 6, 7, 8]
    >>> print(precision_at_k(y, score, 2))
    1.000 [0.342, 1.000]
    >>> round(precision_at_k(y, score, 4).value, 3)  # Two of the three that tie are on the list.
    0.667
    >>> print(precision_at_k(y, score, 100, prevalence=1e-3, out_of=1_000_000))
    not resolvable with 4 negatives
    """
    sample = sample_of(y, score, groups, sample_weight)
    share = None if prevalence is None else checked_share("prevalence", prevalence)
    plan = top_plan("precision", sample, *_checked_list(k, out_of, sample), share)
    return settled(sample, [plan], checked_whole("n_boot", n_boot, 1), random_state)[0]


def recall_at_k(
    y: Any,
    score: Any,
    k: int,
    prevalence: float | None = None,
    groups: Any = None,
    sample_weight: Any = None,
    *,
    out_of: int | None = None,
    n_boot: int = 1000,
    random_state: int = 0,
) -> Estimate:
    """Compute the fraction of the positives that are among the `k` rows with the highest scores.

    See `precision_at_k` for ties and for the list at a given prevalence.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    k : int
        Length of the list, from 1 to `out_of`.
    prevalence : float, default=None
        Fraction of positives among the rows that will be scored, between 0 and 1 (exclusive). If None, the prevalence
        of these rows is used.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, are drawn together.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, such as the inverse of the probability with which each row was selected
        to be labelled. The list is then selected from that population: `k` and `out_of` refer to it, and each row
        counts as its weight. If None, every row has weight 1.
    out_of : int, default=None
        Number of rows that will be scored; only the ratio ``k / out_of`` matters. If None, the number of rows, or the
        sum of their weights.
    n_boot : int, default=1000
        Number of bootstrap draws.
    random_state : int, default=0
        Random seed of the bootstrap.

    Returns
    -------
    Estimate
        With Wilson's interval for the number of positives at a fixed threshold. With a prevalence or groups, it is that
        of the bootstrap of `average_precision`; where the draws do not differ, Wilson's for the number of positives or
        their groups. For weights see `precision_at_k`. NaN with a note where one negative (or row) represents more rows
        than the list has, or where there are no positives or, with a prevalence, only one class.

    Raises
    ------
    ValueError
        As in `precision_at_k`.

    Examples
    --------
    >>> from gridlens.evaluation import recall_at_k
    >>> y, score = [0, 0, 0, 0, 1, 1, 1, 1], [1, 2, 6, 6, 3, 6, 7, 8]
    >>> print(recall_at_k(y, score, 2))
    0.500 [0.150, 0.850]
    """
    sample = sample_of(y, score, groups, sample_weight)
    share = None if prevalence is None else checked_share("prevalence", prevalence)
    plan = top_plan("recall", sample, *_checked_list(k, out_of, sample), share)
    return settled(sample, [plan], checked_whole("n_boot", n_boot, 1), random_state)[0]


def top_plan(measure: str, sample: Sample, k: int, out_of: float, prevalence: float | None) -> Estimate | Pending:
    """Plan `precision_at_k` or `recall_at_k` for a sample, before the bootstrap."""
    n = len(sample.y)
    if not n:
        return unresolvable(0, "row")
    if prevalence is not None:
        missing = both_classes(sample)
        if missing is not None:
            return missing
        if sample.passing(k / out_of / (1.0 - prevalence), sample.negative) < 1.0 - 1e-12:
            return unresolvable(len(sample.negative), "negative")
    elif sample.passing(k / out_of, np.arange(n)) < 1.0 - 1e-12:
        return unresolvable(n, "row")
    if measure == "recall" and not len(sample.positive):
        return unresolvable(0, "positive")

    def statistic(draw: Draw) -> float:
        return _on_the_list(draw, k, out_of, prevalence)[measure == "recall"]

    value = statistic(sample.whole)
    if prevalence is None and not sample.grouped and not sample.weighted:
        trials = k * n / out_of if measure == "precision" else len(sample.positive)
        low, high = wilson(min(value, 1.0) * trials, trials)
        return Estimate(value, float(low), float(high))
    size = sample.groups_with[1] if measure == "recall" else _groups_on_the_list(sample, k, out_of, prevalence)
    ends = percentiles(value, size, no_narrower=sample.weighted)
    if prevalence is not None:
        return Pending(value, statistic, ends, "wary")
    return Pending(value, statistic, ends, "free" if sample.weighted else "plain")


def _on_the_list(draw: Draw, k: int, out_of: float, prevalence: float | None) -> tuple[float, float]:
    """Return precision and recall of the top `k` of `out_of`, NaN where a required class is missing."""
    a, b, length = _masses(draw, k, out_of, prevalence)
    positives = float(draw.tp[-1])
    if not np.isfinite(a + b):
        return math.nan, math.nan
    # Positives are evenly spread within a tie and within the rows that one row represents; unseen negatives come first.
    mass = np.concatenate([[draw.unseen * b], a * draw.tp + b * draw.fp])
    found = float(np.interp(length, mass, np.concatenate([[0.0], draw.tp])))
    return found * a / length, found / positives if positives else math.nan


def _masses(draw: Draw, k: int, out_of: float, prevalence: float | None) -> tuple[float, float, float]:
    """Return how many rows a positive and a negative represent, and the length of the list in the same unit."""
    positives, negatives = float(draw.tp[-1]), float(draw.fp[-1])
    if prevalence is None:
        return 1.0, 1.0, k * (positives + negatives) / out_of
    if not positives or not negatives:
        return math.nan, math.nan, k / out_of
    return prevalence / positives, (1.0 - prevalence) / negatives, k / out_of


def _groups_on_the_list(sample: Sample, k: int, out_of: float, prevalence: float | None) -> float:
    """Return the number of groups of the rows at or above the list's last level."""
    whole = sample.whole
    a, b, length = _masses(whole, k, out_of, prevalence)
    # The list ends in this level; the tolerance keeps rounding from placing its end just before the level's first row.
    last = int(np.searchsorted(a * whole.tp + b * whole.fp, length * (1.0 - 1e-12)))
    return sample.effective(np.flatnonzero(sample.level <= last))


def _checked_list(k: Any, out_of: Any, sample: Sample) -> tuple[int, float]:
    """Return `k` and `out_of` as whole numbers; without rows, any length is accepted."""
    length = checked_whole("k", k, 1)
    total = sample.total if out_of is None else checked_whole("out_of", out_of, 1)
    if length > total and (total or out_of is not None):
        kind = "rows that the weights add up to" if sample.weighted else "rows available"
        what = kind if out_of is None else "'out_of' rows that will be scored"
        raise ValueError(f"The 'k' parameter must be at most the {total:g} {what}. Got {length} instead.")
    return length, total
