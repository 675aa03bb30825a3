"""Weights of rows that were selected with unequal probabilities, and the resulting effective numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from gridlens.calibration._checks import checked_column

__all__ = ["checked_weights", "effective_number", "effective_trials", "weighed"]


def checked_weights(sample_weight: Any, length: int) -> np.ndarray | None:
    """Return weights as float64 of shape (length,), finite, non-negative and not all 0; None is returned unchanged.

    Examples
    --------
    >>> from gridlens.calibration._weights import checked_weights
    >>> checked_weights([1, 20], 2)
    array([ 1., 20.])
    """
    if sample_weight is None:
        return None
    weight = checked_column("sample_weight", sample_weight, length)
    strange = weight[~(np.isfinite(weight) & (weight >= 0.0))]
    if len(strange):
        raise ValueError(
            "The 'sample_weight' parameter must be finite and non-negative; leave out the rows without a weight. "
            f"Got {strange[0]:g} in {len(strange)} of {length} rows instead."
        )
    if length and not weight.any():
        raise ValueError(
            f"The 'sample_weight' parameter must be above 0 in at least one row. Got 0 in all {length} rows instead."
        )
    return weight


def weighed(sample_weight: Any, *columns: Any) -> tuple[Any, ...]:
    """Return the validated weights and the columns without the rows of weight 0; None is returned unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.calibration._weights import weighed
    >>> weighed([2, 0, 1], np.array([5, 6, 7]), None)
    (array([2., 1.]), array([5, 7]), None)
    """
    weight = checked_weights(sample_weight, len(columns[0]))
    if weight is None or weight.all():
        return weight, *columns
    kept = weight > 0.0
    return weight[kept], *(None if column is None else column[kept] for column in columns)


def effective_number(weight: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Compute Kish's effective number of rows, ``(sum w)^2 / sum w^2`` [1]_.

    Parameters
    ----------
    weight : ndarray of shape (n,), float64
        Weights above 0.
    groups : ndarray of shape (n,), default=None
        Group labels. Rows with the same value count as one, with their mean weight.

    Returns
    -------
    float
        From 1 to the number of rows or groups, which is reached for equal weights; 0 for no rows.

    References
    ----------
    .. [1] Kish 1965, "Survey Sampling", Wiley, section 11.7.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.calibration._weights import effective_number
    >>> effective_number(np.array([1.0, 1.0, 1.0, 3.0]))
    3.0
    """
    if not len(weight):
        return 0.0
    if groups is not None:
        _, group, rows = np.unique(groups, return_inverse=True, return_counts=True)
        weight = np.bincount(group, weight) / rows
    return float(weight.sum() ** 2 / (weight**2).sum())


def effective_trials(bins: np.ndarray, hit: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Compute the number of independent trials with the same variance as the weighted fraction of hits in each bin.

    The variance of the weighted fraction p is ``sum w^2 (hit - p)^2 / (sum w)^2``, that of n trials is ``p (1 - p) /
    n`` [1]_. The result is at most Kish's effective number, because a few rows of large weight may have no hit by
    chance, and would then not add to the variance.

    Parameters
    ----------
    bins : ndarray of shape (n,), int64
        Index of each row's bin, without gaps.
    hit : ndarray of shape (n,), int64 or bool
    weight : ndarray of shape (n,), float64
        Weights above 0.

    Returns
    -------
    ndarray of shape (n_bins,), float64
        From 0 to the effective number of rows in the bin.

    References
    ----------
    .. [1] Korn & Graubard 1998, "Confidence intervals for proportions with small expected number of positive counts
       estimated from survey data", Survey Methodology 24, 193.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.calibration._weights import effective_trials
    >>> hit, weight = np.array([1] * 8 + [0]), np.array([1.0] * 8 + [4.0])
    >>> print(effective_trials(np.zeros(9, dtype=int), hit, weight).round(6))
    [4.]
    """
    total, squares = np.bincount(bins, weight), np.bincount(bins, weight**2)
    share = np.bincount(bins, weight * hit) / total
    of_hits = np.bincount(bins, weight**2 * hit)
    spread = (1.0 - share) ** 2 * of_hits + share**2 * (squares - of_hits)
    mixed = (share > 0.0) & (share < 1.0) & (spread > 0.0)
    number = np.where(mixed, share * (1.0 - share), 1.0) * total**2 / np.where(mixed, spread, squares)
    return np.minimum(number, total**2 / squares)
