"""Numbers of positives and negatives above each threshold of a score."""

from __future__ import annotations

from typing import Any

import numpy as np

from gridlens.calibration._weights import weighed
from gridlens.evaluation._discovery import Counts
from gridlens.evaluation._ranking import _checked

__all__ = ["counts_above"]


def counts_above(y: Any, score: Any, sample_weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Count positives and negatives above each threshold of a score.

    Divided by their last elements, they are the true and false positive rates of an ROC curve.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative; each row counts as its weight. If None, every row has weight 1.

    Returns
    -------
    positives, negatives : ndarray of shape (m + 1,), float64
        For m distinct scores, from none to all; tied rows pass together.

    Raises
    ------
    ValueError
        If labels are not 0 and 1 or of only one class, lengths differ, a score is NaN, or weights are negative, not
        finite or all 0.

    Examples
    --------
    >>> from gridlens.evaluation._thresholds import counts_above
    >>> positives, negatives = counts_above([1, 0, 1, 0], [0.9, 0.8, 0.8, 0.1])
    >>> positives.tolist(), negatives.tolist()
    ([0.0, 1.0, 2.0, 2.0], [0.0, 0.0, 1.0, 2.0])
    """
    labels, values = _checked(y, score)
    weight, labels, values = weighed(sample_weight, labels, values)
    if not 0 < labels.sum() < len(labels):
        raise ValueError(
            "The 'y' parameter must contain both classes, at least one 0 and one 1. "
            f"Got {int(labels.sum())} of 1 among {len(labels)} instead."
        )
    weights = np.ones(len(labels)) if weight is None else weight
    counts = Counts.of(labels, np.unique(-values, return_inverse=True)[1], weights)
    return counts.positives, counts.negatives
