"""Out-of-fold calibration, for rows that serve both to fit and to evaluate a calibrator."""

from __future__ import annotations

from typing import Any

import numpy as np

from gridlens.calibration._checks import checked_column, checked_groups, checked_labels, checked_whole
from gridlens.calibration._folds import stratified_folds
from gridlens.calibration._isotonic import IsotonicCalibrator
from gridlens.calibration._weights import checked_weights

__all__ = ["calibrate_out_of_fold"]


def calibrate_out_of_fold(
    score: Any, y: Any, groups: Any = None, sample_weight: Any = None, *, cv: int = 5, random_state: int = 0
) -> np.ndarray:
    """Return the out-of-fold probability of each row, from a calibrator that was not fitted to the row nor its group.

    A calibration that is evaluated on the rows of its fit always looks good, because it returns their fraction of
    positives. Use this function for reliability, expected calibration error and log loss; to score new rows, fit one
    `IsotonicCalibrator` to all of them.

    Parameters
    ----------
    score : array-like of shape (n,)
        Finite scores, from a model that was not trained on these rows.
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value stay in one fold. If None, rows are independent.
    sample_weight : array-like of shape (n,), default=None
        Weights of the rows, see `IsotonicCalibrator.fit`. Rows of weight 0 also get a probability, but do not enter the
        fits. If None, every row has weight 1.
    cv : int, default=5
        Number of folds, stratified by class as far as the groups allow.
    random_state : int, default=0
        Random seed of the folds.

    Returns
    -------
    ndarray of shape (n,), float64
        Between 0 and 1. Different folds have different calibrators, so the order of rows may differ from that of the
        scores, and equal scores from different folds may differ.

    Warns
    -----
    UserWarning
        If a fold has fewer positives than isotonic regression requires, see `IsotonicCalibrator`.

    Raises
    ------
    ValueError
        Inconsistent lengths, scores that are not finite, labels other than 0 and 1, fewer rows (or groups) of a class
        than folds (rows of weight 0 do not count), missing groups or groups of mixed types, weights that are negative
        or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.calibration import calibrate_out_of_fold
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([1, 0], [200, 1800])
    >>> p = calibrate_out_of_fold(rng.normal(size=2000) + 2 * y, y)
    >>> float(p[y == 1].mean().round(2)), float(p[y == 0].mean().round(2))
    (0.49, 0.06)
    """
    labels = checked_labels(y)
    values = checked_column("score", score, len(labels))
    strange = values[~np.isfinite(values)]
    if len(strange):
        raise ValueError(
            f"The 'score' parameter must be finite; leave out the rows of rejected cutouts. Got {strange[0]} instead."
        )
    members = None if groups is None else checked_groups(groups, len(labels))
    cv = checked_whole("cv", cv, 2)
    weight = checked_weights(sample_weight, len(labels))
    p = np.empty(len(labels))
    for fitted, held in stratified_folds(labels, members, weight, cv, random_state):
        weights = None if weight is None else weight[fitted]
        calibrator = IsotonicCalibrator().fit(values[fitted], labels[fitted], None, weights)
        p[held] = calibrator.predict(values[held])
    return p
