"""Folds for out-of-fold probabilities."""

from __future__ import annotations

import numpy as np

__all__ = ["stratified_folds"]


def stratified_folds(
    y: np.ndarray, groups: np.ndarray | None, weight: np.ndarray | None, cv: int, random_state: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split rows into folds, each with the rows to fit and the rows to predict, stratified by class as far as possible.

    Parameters
    ----------
    y : ndarray of shape (n,), int64
        Labels, 0 or 1.
    groups : ndarray of shape (n,), or None
        Group labels. Rows with the same value stay in one fold.
    weight : ndarray of shape (n,), or None
        Rows of weight 0 are never among the rows to fit, and do not change the folds of the others. Each is predicted
        with the rows of its group, or in rotation if its group has no weight.
    cv : int
        Number of folds.
    random_state : int
        Random seed.

    Raises
    ------
    ValueError
        If a class has fewer rows (or groups) than there are folds.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.calibration._folds import stratified_folds
    >>> for fitted, held in stratified_folds(np.array([1, 0, 1, 0]), None, None, 2, 0):
    ...     print(fitted, held)
    [0 3] [1 2]
    [1 2] [0 3]
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    group = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
    rows = np.arange(len(y)) if weight is None else np.flatnonzero(weight > 0.0)
    fewest = min(len(np.unique(group[rows][y[rows] == one])) for one in (0, 1))
    if fewest < cv:
        raise ValueError(
            f"The 'y' parameter must have at least {cv} rows (or groups) of each class, one for each fold; use fewer "
            f"folds. Got {fewest} instead."
        )
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    together = None if groups is None else group[rows]
    split = kind(cv, shuffle=True, random_state=random_state).split(rows, y[rows], together)
    # Assign groups that are not in any fold yet in rotation.
    fold_of = np.arange(group.max() + 1) % cv
    found = [rows[held] for _, held in split]
    for fold, held in enumerate(found):
        fold_of[group[held]] = fold
    return [
        (np.setdiff1d(rows, held, assume_unique=True), np.flatnonzero(fold_of[group] == fold))
        for fold, held in enumerate(found)
    ]
