"""How well a score ranks positives above negatives: over all thresholds, and at a false positive rate."""

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
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half.

    For a rare class see `tpr_at_fpr` first: an AUROC is mostly made of false positive rates that are too high in
    practice.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Higher for more likely positives; infinite scores are taken, NaN is not.
    groups : array-like of shape (n,), default=None
        Rows with the same value belong together, such as views of one cluster. The interval is then of a bootstrap that
        draws whole groups, those with a positive apart from those without; without groups it is DeLong's [1]_, [2]_, on
        the logit scale, which holds for independent rows.
    sample_weight : array-like of shape (n,), default=None
        Weights of the rows, finite and from 0, such as the inverse of the probability with which each was chosen to be
        labelled: the measure is then that of all rows to choose from. None: 1 for each.
    n_boot : int, default=1000
        Draws of the bootstrap.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    Estimate
        Where there is no spread to learn an interval from (perfect separation, all scores equal, a single row or group
        of a class), it is the widest that an AUROC can have, with groups for rows. With weights the lower end allows
        for positives of large weight and low score of which the sample has none, and the interval of groups is no
        narrower than that of rows. NaN with a note when one class is missing, also for no rows.

    Raises
    ------
    ValueError
        Lengths that differ, labels other than 0 and 1, scores of NaN, groups that are missing or of mixed types, fewer
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
    """`auroc` of a sample, its bootstrap still to come."""
    missing = both_classes(sample)
    if missing is not None:
        return missing
    # Levels fall with the score.
    if not sample.grouped:
        return Estimate(*delong_interval(sample.y, -sample.level, sample.weight if sample.weighted else None))
    value = _area(sample.whole)
    ends = percentiles(value, min(sample.groups_with))
    if sample.weighted:
        by_rows = delong_interval(sample.y, -sample.level, sample.weight)[1:]
        ends = percentiles(value, min(sample.groups_with), by_rows, no_narrower=True)
    return Pending(value, _area, ends)


def _area(draw: Draw) -> float:
    """AUROC of a draw, ties half: trapezia between the points of the ROC curve. NaN for one class."""
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
    """Fraction of the positives found where at most a share `fpr` of the negatives is let through.

    Rows strictly above the threshold pass; the threshold is the lowest score of a negative that keeps to `fpr`.
    Positives that tie with that negative do not pass.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Higher for more likely positives; infinite scores are taken, NaN is not.
    fpr : float
        False positive rate, between 0 and 1, both left out.
    groups : array-like of shape (n,), default=None
        Rows with the same value belong together, such as views of one cluster. The interval is then of a bootstrap that
        draws whole groups, those with a positive apart from those without, and sets the threshold again in each draw.
    sample_weight : array-like of shape (n,), default=None
        Weights of the rows, finite and from 0, such as the inverse of the probability with which each was chosen to be
        labelled: the measure is then that of all rows to choose from. None: 1 for each.
    n_boot : int, default=1000
        Draws of the bootstrap.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    Estimate
        With Wilson's interval for the number of positives, the threshold taken as known, or that of the bootstrap;
        where the draws do not differ, Wilson's for the number of groups with a positive. With weights it is that of the
        bootstrap, no narrower than Wilson's for the effective number of positives. NaN with a note when
        ``fpr`` times the negatives is under 1 (with weights, where this fraction of their weight is less than that of
        one effective row among the highest), or there are no positives. With ``fpr`` times the negatives below about
        10 the rate let through is itself uncertain by a third or more, which Wilson's interval leaves out.

    Raises
    ------
    ValueError
        Lengths that differ, labels other than 0 and 1, scores of NaN, an `fpr` that is not between 0 and 1, groups that
        are missing or of mixed types, fewer than 1 draw, weights that are negative, not finite or all 0.

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
    """`tpr_at_fpr` of a sample, its bootstrap still to come."""
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
    """TPR of the lowest threshold that lets through at most a share `rate` of the draw's negatives."""
    tp, fp = draw.tp, draw.fp
    # The product alone rounds 29 to 28.99.
    passed = int(np.searchsorted(fp, rate * fp[-1] * (1.0 + 1e-12), side="right"))
    return float(tp[passed - 1] / tp[-1]) if passed else 0.0


def sample_of(y: Any, score: Any, groups: Any, sample_weight: Any) -> Sample:
    """The checked rows of a weight above 0, sorted."""
    labels, values = _checked(y, score)
    members = None if groups is None else checked_groups(groups, len(labels))
    weight, labels, values, members = weighed(sample_weight, labels, values, members)
    return Sample(labels, values, members, weight)


def _checked(y: Any, score: Any) -> tuple[np.ndarray, np.ndarray]:
    labels = checked_labels(y)
    values = checked_column("score", score, len(labels))
    if np.isnan(values).any():
        raise ValueError(
            "The 'score' parameter must be without NaN; leave out the rows of rejected cutouts. "
            f"Got NaN in {int(np.isnan(values).sum())} of {len(values)} rows instead."
        )
    return labels, values
