"""Validation of labels, priors and folds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens._groups import group_of_each

__all__ = ["checked_groups", "checked_prior", "checked_s", "min_positives"]


def checked_s(s: Any, n: int, name: str = "y") -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return labels as 0 and 1, and the two values for unlabelled and positive: 0 or -1, and 1.

    `name` is the name of the caller's parameter.

    Raises
    ------
    ValueError
        If the length differs, a label is invalid, or one kind is missing.
    """
    labels = np.asarray(s)
    if labels.shape != (n,):
        raise ValueError(
            f"The '{name}' parameter must contain one label for each of the {n} rows. Got shape {labels.shape} instead."
        )
    try:
        numbers = labels.astype(np.float64)
    except (TypeError, ValueError):
        numbers = np.full(n, 2.0)
    values = np.unique(numbers)
    if np.isnan(numbers).any() or not set(values) <= {-1.0, 0.0, 1.0} or {-1.0, 0.0} <= set(values):
        shown = ", ".join(map(str, np.unique(labels.astype(str))[:5]))
        if (np.isfinite(numbers) & (numbers != np.round(numbers))).any():
            shown = f"continuous values, as {shown},"
        raise ValueError(
            f"The '{name}' parameter must contain 1 for a labelled positive and 0 (or -1) for an unlabelled row. "
            f"Got {shown} instead. Only binary classification is supported."
        )
    positive = (numbers == 1.0).astype(np.int64)
    if positive.sum() in (0, n):
        kind, other = ("unlabelled", "positive") if positive.all() else ("positive", "unlabelled")
        raise ValueError(
            f"The '{name}' parameter must contain positives and unlabelled rows, not only one class. "
            f"Got only {other} rows; add {kind} ones."
        )
    classes = np.array([values[0], 1.0])
    return positive, classes.astype(labels.dtype if labels.dtype.kind in "biu" else np.float64)


def checked_prior(prior: Any) -> float:
    """Return the class prior as a float between 0 and 1; raise ValueError if it is invalid."""
    if isinstance(prior, bool) or not isinstance(prior, int | float | np.number) or not 0.0 < prior < 1.0:
        raise ValueError(
            f"The 'class_prior' parameter must be the fraction of positives in the population, between 0 and 1. Got "
            f"{prior!r} instead; estimate_class_prior estimates it."
        )
    return float(prior)


def checked_groups(groups: Any, n: int) -> NDArray[Any] | None:
    """Return groups as an array of shape (n,), or None; raise ValueError for another shape. Missing ones are kept."""
    if groups is None:
        return None
    names = group_of_each(groups)
    if names.shape != (n,):
        raise ValueError(
            f"The 'groups' parameter must contain one value for each of the {n} rows. Got shape {names.shape} instead."
        )
    return names


def min_positives(labels: NDArray[np.int64], cv: Any, groups: NDArray[Any] | None = None, name: str = "cv") -> int:
    """Return the number of folds if there are at least as many positives and unlabelled rows, or groups with some.

    `name` is the name of the caller's parameter for these.

    Raises
    ------
    ValueError
        If `cv` is not an integer of at least 2, or there are fewer positives or unlabelled rows than folds.
    """
    if isinstance(cv, bool) or not isinstance(cv, int | np.integer) or cv < 2:
        raise ValueError(f"The '{name}' parameter must be an integer of at least 2. Got {cv!r} instead.")
    for value, kind in ((1, "labelled positives"), (0, "unlabelled rows")):
        held = labels == value
        n = int(held.sum()) if groups is None else len(np.unique(groups[held]))
        if n < cv:
            where = "" if groups is None else "groups with "
            raise ValueError(
                f"The '{name}' parameter must not be larger than the number of {where}{kind}, so that every fold "
                f"has some. Got {cv} folds for {n} instead; use fewer folds."
            )
    return int(cv)
