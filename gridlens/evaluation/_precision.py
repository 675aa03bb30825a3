"""Purity of a list: average precision, and the true positive rate at a given precision."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from gridlens.calibration._checks import checked_share, checked_whole
from gridlens.evaluation._bootstrap import Draw, Pending, Sample, both_classes, percentiles, settled
from gridlens.evaluation._intervals import Estimate, unresolvable
from gridlens.evaluation._ranking import sample_of

__all__ = ["average_precision", "required_fpr", "tpr_at_precision"]


def average_precision(
    y: Any,
    score: Any,
    prevalence: float | None = None,
    groups: Any = None,
    sample_weight: Any = None,
    *,
    n_boot: int = 1000,
    random_state: int = 0,
) -> Estimate:
    """Compute the average precision, ``sum_t (R(t) - R(t_before)) P(t)`` over the distinct scores, highest first.

    R(t) is the fraction of the positives at or above t, and P(t) the fraction of positives among all rows there. At a
    given prevalence pi it is ``P(t) = pi TPR(t) / (pi TPR(t) + (1 - pi) FPR(t))``, as if the negatives were weighted.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    prevalence : float, default=None
        Fraction of positives among the rows that will be scored, between 0 and 1 (exclusive). If None, the prevalence
        of these rows is used.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, are drawn together.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, such as the inverse of the probability with which each row was selected
        to be labelled; the metric then refers to the population from which the rows were selected. If None, every row
        has weight 1.
    n_boot : int, default=1000
        Number of bootstrap draws.
    random_state : int, default=0
        Random seed of the bootstrap.

    Returns
    -------
    Estimate
        With the interval of a bootstrap of whole groups, or of rows, stratified into those with and without a positive.
        Its lower end does not rely on a false positive rate that the negatives are too few to show: each draw gets a
        random number of further negatives above all scores, one row or group on average, with the mean weight of the
        ten highest. With weights and no prevalence, positives and negatives are drawn together, because the weights
        only estimate their numbers. NaN with a note where a class is missing, or where one negative represents more
        future rows than all positives do, ``(1 - prevalence) / n_negative > prevalence``: a precision of one half or
        more cannot be resolved then.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, NaN scores, a `prevalence` outside (0, 1),
        missing groups or groups of mixed types, fewer than 1 draw, weights that are negative, not finite or all 0.

    See Also
    --------
    required_fpr : False positive rate that a given precision requires.

    References
    ----------
    .. [1] Boyd, Eng & Page 2013, "Area under the precision-recall curve: point estimates and confidence intervals",
       ECML PKDD 2013, 451. Section 3.2 has this sum.

    Examples
    --------
    >>> from gridlens.evaluation import average_precision
    >>> y, score = [0, 0, 0, 0, 0, 1, 1, 1], [1, 2, 3, 4, 6, 5, 7, 8]
    >>> print(average_precision(y, score))
    0.917 [0.347, 1.000]
    >>> print(average_precision(y, score, prevalence=1e-3))
    not resolvable with 5 negatives
    """
    sample = sample_of(y, score, groups, sample_weight)
    share = None if prevalence is None else checked_share("prevalence", prevalence)
    plan = average_precision_plan(sample, share)
    return settled(sample, [plan], checked_whole("n_boot", n_boot, 1), random_state)[0]


def average_precision_plan(sample: Sample, prevalence: float | None) -> Estimate | Pending:
    """Plan `average_precision` for a sample, before the bootstrap."""
    missing = both_classes(sample)
    if missing is not None:
        return missing
    if prevalence is not None and _beyond_reach(sample, required_fpr(0.5, 1.0, prevalence)):
        return unresolvable(len(sample.negative), "negative")
    value = _average(sample.whole, prevalence)
    ends = percentiles(value, min(sample.groups_with))
    version: Literal["wary", "free_wary"] = "free_wary" if sample.weighted and prevalence is None else "wary"
    return Pending(value, lambda draw: _average(draw, prevalence), ends, version)


def _average(draw: Draw, prevalence: float | None) -> float:
    tp, fp = draw.tp, draw.fp
    positives, negatives = tp[-1], fp[-1]
    if not positives or not negatives:
        return math.nan
    odds = 1.0 if prevalence is None else (1.0 - prevalence) / prevalence * positives / negatives
    found = np.diff(tp, prepend=0.0)
    # Levels without a positive add nothing, and the first of them may contain no row of this draw.
    some = found > 0.0
    return float((found[some] * tp[some] / (tp[some] + odds * fp[some])).sum() / positives)


def required_fpr(precision: float, tpr: float, prevalence: float) -> float:
    """Return the false positive rate required for a precision: ``FPR = TPR pi / (1 - pi) (1 - precision) / precision``.

    This is Bayes' rule, ``precision = pi TPR / (pi TPR + (1 - pi) FPR)``, solved for the FPR.

    Parameters
    ----------
    precision : float
        Wanted fraction of positives in the list, between 0 and 1 (exclusive).
    tpr : float
        Fraction of the positives that are in the list, above 0 and at most 1.
    prevalence : float
        Fraction of positives among the rows that will be scored, between 0 and 1 (exclusive).

    Returns
    -------
    float
        At most 1, where the precision is below that of the whole list and every rate is sufficient. A sample with fewer
        negatives than the inverse of the result cannot show that a ranking reaches the precision.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Examples
    --------
    At a prevalence of one lens in a thousand cutouts, half of the list must be lenses, and half of the lenses in the
    list.

    >>> from gridlens.evaluation import required_fpr
    >>> round(required_fpr(0.5, 0.5, 1e-3), 7)
    0.0005005
    """
    wanted = checked_share("precision", precision)
    share = checked_share("prevalence", prevalence)
    try:
        found = float(tpr)
    except (TypeError, ValueError):
        found = math.nan
    if not 0.0 < found <= 1.0:
        raise ValueError(f"The 'tpr' parameter must be a number above 0 and at most 1. Got {tpr} instead.")
    return min(1.0, found * _slope(wanted, share))


def tpr_at_precision(
    y: Any,
    score: Any,
    precision: float,
    prevalence: float,
    groups: Any = None,
    sample_weight: Any = None,
    *,
    n_boot: int = 1000,
    random_state: int = 0,
) -> Estimate:
    """Return the largest fraction of the positives in a list of a given precision, at a given prevalence.

    This is the largest TPR over all thresholds where ``FPR <= required_fpr(precision, TPR, prevalence)``.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    precision : float
        Wanted fraction of positives in the list, between 0 and 1 (exclusive).
    prevalence : float
        Fraction of positives among the rows that will be scored, between 0 and 1 (exclusive).
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, are drawn together.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, such as the inverse of the probability with which each row was selected
        to be labelled; the metric then refers to the population from which the rows were selected. If None, every row
        has weight 1.
    n_boot : int, default=1000
        Number of bootstrap draws.
    random_state : int, default=0
        Random seed of the bootstrap.

    Returns
    -------
    Estimate
        0 where no threshold reaches the precision. With the interval of the bootstrap of `average_precision`; where the
        draws do not differ, Wilson's for the number of positives or their groups. NaN with a note where a class is
        missing, or the FPR required at the TPR found is below that of a single negative: the precision then only
        reflects a lack of negatives.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, NaN scores, a `precision` or `prevalence` outside (0, 1),
        missing groups or groups of mixed types, fewer than 1 draw, weights that are negative, not finite or all 0.

    Examples
    --------
    >>> from gridlens.evaluation import tpr_at_precision
    >>> y, score = [0, 0, 0, 0, 1, 1, 1, 1], [1, 2, 3, 6, 4, 5, 7, 8]
    >>> print(tpr_at_precision(y, score, 0.75, 0.5))
    1.000 [0.000, 1.000]
    >>> print(tpr_at_precision(y, score, 0.75, 0.01))
    not resolvable with 4 negatives
    """
    sample = sample_of(y, score, groups, sample_weight)
    plan = tpr_at_precision_plan(sample, checked_share("precision", precision), checked_share("prevalence", prevalence))
    return settled(sample, [plan], checked_whole("n_boot", n_boot, 1), random_state)[0]


def tpr_at_precision_plan(sample: Sample, precision: float, prevalence: float) -> Estimate | Pending:
    """Plan `tpr_at_precision` for a sample, before the bootstrap."""
    missing = both_classes(sample)
    if missing is not None:
        return missing
    slope = _slope(precision, prevalence)
    value = _purest(sample.whole, slope)
    # If nothing was found, a TPR of 1 must be resolvable; otherwise, finding nothing carries no information.
    if _beyond_reach(sample, min(1.0, slope * (value or 1.0))):
        return unresolvable(len(sample.negative), "negative")
    ends = percentiles(value, sample.groups_with[1], no_narrower=sample.weighted)
    return Pending(value, lambda draw: _purest(draw, slope), ends, "wary")


def _purest(draw: Draw, slope: float) -> float:
    """Return the largest TPR of a draw with ``FPR <= slope TPR``."""
    tp, fp = draw.tp, draw.fp
    # The tolerance keeps rounding from rejecting a rate that equals the bound.
    pure = fp * tp[-1] <= slope * tp * fp[-1] * (1.0 + 1e-12)
    return float(tp[pure].max(initial=0.0) / tp[-1])


def _slope(precision: float, prevalence: float) -> float:
    """Return the false positive rate allowed for each unit of TPR."""
    return prevalence / (1.0 - prevalence) * (1.0 - precision) / precision


def _beyond_reach(sample: Sample, fpr: float) -> bool:
    """Return whether a single negative corresponds to more than a false positive rate of `fpr`."""
    return sample.passing(fpr, sample.negative) < 1.0 - 1e-12
