"""How well a score ranks positives above negatives: over all thresholds, and at a false positive rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gridlens.calibration.checks import checked_column, checked_labels, checked_share
from gridlens.evaluation._intervals import Estimate, bootstrap_interval, delong_interval, unresolvable, wilson

__all__ = ["auroc", "tpr_at_fpr"]


def auroc(y: Any, score: Any, groups: Any = None, *, n_boot: int = 1000, random_state: int = 0) -> Estimate:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half.

    For a rare class look at `tpr_at_fpr` first: an AUROC is mostly made of false positive rates that nobody can afford.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Higher for more likely positives; infinite scores are taken, NaN is not.
    groups : array-like of shape (n,), default=None
        Rows of one value hang together, such as views of one cluster. The interval is then of a bootstrap that draws
        whole groups; without groups it is DeLong's [1]_, [2]_, on the logit scale, which holds for independent rows.
    n_boot : int, default=1000
        Draws of the bootstrap.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    Estimate
        Where there is no spread to learn an interval from (perfect separation, all scores equal, a single row or group
        of a class), it is the widest that an AUROC can have, with groups for rows. NaN with a note when one class is
        missing, also for no rows.

    Raises
    ------
    ValueError
        Lengths that differ, labels other than 0 and 1, scores of NaN, groups that are missing or of mixed types, fewer
        than 1 draw.

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
    labels, values = _checked(y, score)
    members = None if groups is None else _checked_groups(groups, len(labels))
    if isinstance(n_boot, bool) or not isinstance(n_boot, int | np.integer) or n_boot < 1:
        raise ValueError(f"The 'n_boot' parameter must be a whole number from 1. Got {n_boot!r} instead.")
    n_positive, n_negative = int(labels.sum()), int((1 - labels).sum())
    if not n_positive:
        return unresolvable(0, "positive")
    if not n_negative:
        return unresolvable(0, "negative")
    if members is None:
        return Estimate(*delong_interval(values[labels == 1], values[labels == 0]))
    return Estimate(*bootstrap_interval(labels, values, members, int(n_boot), random_state))


def tpr_at_fpr(y: Any, score: Any, fpr: float) -> Estimate:
    """Share of the positives found where at most a share `fpr` of the negatives is let through.

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

    Returns
    -------
    Estimate
        With Wilson's interval for the number of positives, the threshold taken as known. NaN with a note when ``fpr``
        times the negatives is under 1, or there are no positives.

    Raises
    ------
    ValueError
        Lengths that differ, labels other than 0 and 1, scores of NaN, an `fpr` that is not between 0 and 1.

    Examples
    --------
    >>> from gridlens.evaluation import tpr_at_fpr
    >>> y, score = [0, 0, 0, 0, 1, 1, 1, 1], [1, 2, 3, 6, 3, 5, 7, 8]
    >>> print(tpr_at_fpr(y, score, 0.25))
    0.750 [0.301, 0.954]
    >>> print(tpr_at_fpr(y, score, 0.01))
    not resolvable with 4 negatives
    """
    labels, values = _checked(y, score)
    rate = checked_share("fpr", fpr)
    positive = values[labels == 1]
    negative = np.sort(values[labels == 0])[::-1]
    passing = _most_passing(rate, len(negative))
    if passing < 1:
        return unresolvable(len(negative), "negative")
    if not len(positive):
        return unresolvable(0, "positive")
    found = int((positive > negative[passing]).sum())
    low, high = wilson(found, len(positive))
    return Estimate(found / len(positive), float(low), float(high))


def _most_passing(rate: float, n: int) -> int:
    """Most negatives of n that may pass, the largest k with ``k / n <= rate``; the product alone rounds 29 to 28.99."""
    if not n:
        return 0
    k = math.floor(rate * n)
    return k + ((k + 1) / n <= rate)


def _checked(y: Any, score: Any) -> tuple[np.ndarray, np.ndarray]:
    labels = checked_labels(y)
    values = checked_column("score", score, len(labels))
    if np.isnan(values).any():
        raise ValueError(
            "The 'score' parameter must be without NaN; leave out the rows of rejected cutouts. "
            f"Got NaN in {int(np.isnan(values).sum())} of {len(values)} rows instead."
        )
    return labels, values


def _checked_groups(groups: Any, length: int) -> np.ndarray:
    """`groups` of shape (length,), none missing."""
    members = np.asarray(groups)
    if members.shape != (length,):
        raise ValueError(
            f"The 'groups' parameter must be of shape ({length},), like 'y'. Got shape {members.shape} instead."
        )
    # numpy makes one group of all NaN, which would tie rows together that have nothing in common.
    try:
        missing = sum(value is None or value != value for value in members.tolist())
        if not missing:
            np.unique(members)
    except TypeError as exc:
        raise ValueError(
            "The 'groups' parameter must be numbers alone or text alone, a group for each row. Got a mixture instead."
        ) from exc
    if missing:
        raise ValueError(
            "The 'groups' parameter must have a group for each row; give rows that stand alone one each. "
            f"Got none in {missing} of {length} rows instead."
        )
    return members
