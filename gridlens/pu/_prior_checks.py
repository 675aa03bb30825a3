"""What `estimate_class_prior` takes, said in one sentence each."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse

__all__ = ["checked_choice", "checked_folds", "checked_groups", "checked_s", "checked_x"]


def checked_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse what is not one of the choices."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(f'"{choice}"' for choice in choices[:-1])
        raise ValueError(f"The '{name}' parameter must be {listed} or \"{choices[-1]}\". Got {value!r} instead.")


def checked_x(X: Any) -> np.ndarray:
    """`X` as float64 of shape (n,), finite, or of shape (n, d), where NaN is left to the estimator."""
    if issparse(X):
        raise ValueError("The 'X' parameter must be dense; convert it with toarray(). Got a sparse matrix instead.")
    try:
        values = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ValueError(
            "The 'X' parameter must be an array of numbers, scores of shape (n,) or features of shape (n, d). "
            f"Got {type(X).__name__} that holds something else instead."
        ) from exc
    if values.ndim not in (1, 2) or (values.ndim == 2 and not values.shape[1]):
        raise ValueError(
            "The 'X' parameter must be scores of shape (n,) or features of shape (n, d). "
            f"Got shape {values.shape} instead."
        )
    bad = values[~np.isfinite(values)]
    if values.ndim == 1 and len(bad):
        raise ValueError(
            "The 'X' parameter must be finite where it holds scores; leave out the rows without a score. "
            f"Got {bad[0]} instead."
        )
    return values


def checked_s(s: Any, n: int) -> np.ndarray:
    """`s` as int64 of shape (n,), of 0 and 1, with at least one of each."""
    try:
        labels = np.asarray(s, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ValueError(
            "The 's' parameter must be 1 for a labelled positive and 0 for an unlabelled row. "
            f"Got {type(s).__name__} that holds something else instead."
        ) from exc
    if labels.shape != (n,):
        raise ValueError(
            f"The 's' parameter must be of shape ({n},), a label for each row of 'X'. Got shape {labels.shape} instead."
        )
    strange = labels[~np.isin(labels, (-1.0, 0.0, 1.0))]
    if len(strange) or ((labels == -1.0).any() and (labels == 0.0).any()):
        got = f"{strange[0]:g}" if len(strange) else "-1 beside 0"
        raise ValueError(f"The 's' parameter must be of 0 and 1, or of -1 and 1. Got {got} instead.")
    positive = labels == 1.0
    if not positive.any() or positive.all():
        raise ValueError(
            "The 's' parameter must hold labelled positives (1) and unlabelled rows (0). "
            f"Got {int(positive.sum())} of 1 and {int((~positive).sum())} of 0 instead."
        )
    return positive.astype(np.int64)


def checked_groups(groups: Any, n: int) -> np.ndarray | None:
    """`groups` as an array of shape (n,), or None."""
    if groups is None:
        return None
    names = np.asarray(groups)
    if names.shape != (n,):
        raise ValueError(
            f"The 'groups' parameter must be of shape ({n},), a group for each row of 'X'. "
            f"Got shape {names.shape} instead."
        )
    return names


def checked_folds(s: np.ndarray, cv: Any, groups: np.ndarray | None) -> None:
    """Refuse more folds than there are positives, or groups that hold one."""
    if isinstance(cv, bool) or not isinstance(cv, int | np.integer) or cv < 2:
        raise ValueError(f"The 'cv' parameter must be a whole number of folds, at least 2. Got {cv!r} instead.")
    held, what = (int(s.sum()), "labelled positives")
    if groups is not None:
        held, what = len(np.unique(groups[s == 1])), "groups with labelled positives"
    if held < cv:
        raise ValueError(
            f"The 'cv' parameter must be at most the number of {what}, {held}; take fewer folds, or give "
            f"out-of-fold scores as 'X'. Got {cv} instead."
        )
