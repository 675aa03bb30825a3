"""Ranking metrics: the area under the ROC curve, and the true positive rate at a false positive rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gridlens.calibration import wilson
from gridlens.calibration._checks import checked_column, checked_groups, checked_labels, checked_share, checked_whole
from gridlens.calibration._weights import weighed
from gridlens.evaluation._bootstrap import Draw, Pending, Sample, both_classes, percentiles, settled
from gridlens.evaluation._intervals import Estimate, delong_interval, unresolvable

__all__ = ["auroc", "tpr_at_fpr"]


def auroc(
    y: Any, score: Any, groups: Any = None, sample_weight: Any = None, *, n_boot: int = 1000, random_state: int = 0
) -> Estimate:
    """Compute the area under the ROC curve: the probability that a positive scores above a negative; ties count half.

    For a rare class, prefer `tpr_at_fpr`: most of the AUROC comes from false positive rates that are too high in
    practice.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, belong together. The interval is then from
        a bootstrap that draws whole groups, stratified into those with and without a positive. Without groups, it is
        DeLong's [1]_, [2]_ on the logit scale, which is valid for independent rows.
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
        Where there is no spread to estimate an interval from (perfect separation, all scores equal, a single row or
        group of a class), it is the widest that an AUROC can have, with groups instead of rows where given. With
        weights, the lower end allows for positives of large weight and low score that the sample does not contain, and
        the interval of groups is at least as wide as that of rows. NaN with a note if a class is missing or there are
        no rows.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, NaN scores, missing groups or groups of mixed types, fewer
        than 1 draw, weights that are negative, not finite or all 0.

    References
    ----------
    .. [1] DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, 837.
    .. [2] Sun & Xu 2014, IEEE Signal Processing Letters 21, 1389.

    Examples
    --------
    >>> from gridlens.evaluation import auroc
    >>> print(auroc([0, 0, 0, 1, 0, 1, 1, 1], [1, 2, 3, 4, 5, 6, 7, 8]))
    0.938 [0.438, 0.997]
    >>> print(auroc([1, 1], [0.2, 0.7]))
    not resolvable with 0 negatives
    """
    sample = sample_of(y, score, groups, sample_weight)
    return settled(sample, [auroc_plan(sample)], checked_whole("n_boot", n_boot, 1), random_state)[0]


def auroc_plan(sample: Sample) -> Estimate | Pending:
    """Plan `auroc` for a sample, before the bootstrap."""
    missing = both_classes(sample)
    if missing is not None:
        return missing
    # Levels decrease with the score.
    if not sample.grouped:
        return Estimate(*delong_interval(sample.y, -sample.level, sample.weight if sample.weighted else None))
    value = _area(sample.whole)
    ends = percentiles(value, min(sample.groups_with))
    if sample.weighted:
        by_rows = delong_interval(sample.y, -sample.level, sample.weight)[1:]
        ends = percentiles(value, min(sample.groups_with), by_rows, no_narrower=True)
    return Pending(value, _area, ends)


def _area(draw: Draw) -> float:
    """Return the AUROC of a draw by the trapezoidal rule, ties counting half; NaN if a class is missing."""
    tp, fp = draw.tp, draw.fp
    total = tp[-1] * fp[-1]
    if not total:
        return math.nan
    before = np.concatenate([[0.0], tp[:-1]])
    return float((np.diff(fp, prepend=0.0) * (tp + before)).sum() / 2.0 / total)


def tpr_at_fpr(
    y: Any,
    score: Any,
    fpr: float,
    groups: Any = None,
    sample_weight: Any = None,
    *,
    n_boot: int = 1000,
    random_state: int = 0,
) -> Estimate:
    """Return the fraction of the positives found where at most a fraction `fpr` of the negatives passes.

    Rows strictly above the threshold pass; the threshold is the lowest score of a negative that satisfies `fpr`.
    Positives that tie with that negative do not pass.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    fpr : float
        False positive rate, between 0 and 1 (exclusive).
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, belong together. The interval is then from
        a bootstrap that draws whole groups, stratified into those with and without a positive, and sets the threshold
        again in each draw.
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
        With Wilson's interval for the number of positives at a fixed threshold, or that of the bootstrap; where the
        draws do not differ, Wilson's for the number of groups with a positive. With weights, it is that of the
        bootstrap, at least as wide as Wilson's for the effective number of positives. NaN with a note if there are no
        positives, or ``fpr`` times the number of negatives is below 1 (with weights, where this fraction of their
        weight is less than that of one effective row among the highest). With ``fpr`` times the number of negatives
        below about 10, the false positive rate itself is uncertain by a third or more, which Wilson's interval does not
        include.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, NaN scores, an `fpr` outside (0, 1), missing groups or groups
        of mixed types, fewer than 1 draw, weights that are negative, not finite or all 0.

    Examples
    --------
    >>> from gridlens.evaluation import tpr_at_fpr
    >>> y, score = [0, 0, 0, 0, 1, 1, 1, 1], [1, 2, 3, 6, 3, 5, 7, 8]
    >>> print(tpr_at_fpr(y, score, 0.25))
    0.750 [0.301, 0.954]
    >>> print(tpr_at_fpr(y, score, 0.01))
    not resolvable with 4 negatives
    """
    sample = sample_of(y, score, groups, sample_weight)
    plan = tpr_at_fpr_plan(sample, checked_share("fpr", fpr))
    return settled(sample, [plan], checked_whole("n_boot", n_boot, 1), random_state)[0]


def tpr_at_fpr_plan(sample: Sample, rate: float) -> Estimate | Pending:
    """Plan `tpr_at_fpr` for a sample, before the bootstrap."""
    n_positive, n_negative = len(sample.positive), len(sample.negative)
    if not n_negative or sample.passing(rate, sample.negative) < 1.0 - 1e-12:
        return unresolvable(n_negative, "negative")
    if not n_positive:
        return unresolvable(0, "positive")
    value = _tpr_at(sample.whole, rate)
    if not sample.grouped and not sample.weighted:
        low, high = wilson(round(value * n_positive), n_positive)
        return Estimate(value, float(low), float(high))
    ends = percentiles(value, sample.groups_with[1], no_narrower=sample.weighted)
    return Pending(value, lambda draw: _tpr_at(draw, rate), ends)


def _tpr_at(draw: Draw, rate: float) -> float:
    """Return the TPR of the lowest threshold that at most a fraction `rate` of the draw's negatives passes."""
    tp, fp = draw.tp, draw.fp
    # The product alone would round 29 to 28.99.
    passed = int(np.searchsorted(fp, rate * fp[-1] * (1.0 + 1e-12), side="right"))
    return float(tp[passed - 1] / tp[-1]) if passed else 0.0


def sample_of(y: Any, score: Any, groups: Any, sample_weight: Any) -> Sample:
    """Return the validated and sorted rows with a weight above 0."""
    labels, values = _checked(y, score)
    members = None if groups is None else checked_groups(groups, len(labels))
    weight, labels, values, members = weighed(sample_weight, labels, values, members)
    return Sample(labels, values, members, weight)


def _checked(y: Any, score: Any) -> tuple[np.ndarray, np.ndarray]:
    labels = checked_labels(y)
    values = checked_column("score", score, len(labels))
    if np.isnan(values).any():
        raise ValueError(
            "The 'score' parameter must not contain NaN; leave out the rows of rejected cutouts. "
            f"Got NaN in {int(np.isnan(values).sum())} of {len(values)} rows instead."
        )
    return labels, values
