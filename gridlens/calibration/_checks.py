"""Validation of the arrays that this package and `gridlens.evaluation` take."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "checked_column",
    "checked_groups",
    "checked_labels",
    "checked_numbers",
    "checked_probabilities",
    "checked_share",
    "checked_whole",
]


def checked_numbers(name: str, values: Any) -> np.ndarray:
    """Return `values` as float64 of any shape; NaN is accepted."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ValueError(
            f"The '{name}' parameter must be an array of numbers. Got a non-numeric {type(values).__name__} instead."
        ) from exc


def checked_column(name: str, values: Any, length: int | None = None) -> np.ndarray:
    """Return `values` as float64 of shape (n,), of the given length if any; NaN is accepted."""
    column = checked_numbers(name, values)
    if column.ndim != 1:
        raise ValueError(f"The '{name}' parameter must be of shape (n,). Got shape {column.shape} instead.")
    if length is not None and len(column) != length:
        raise ValueError(
            f"The '{name}' parameter must be as long as 'y', of length {length}. Got length {len(column)} instead."
        )
    return column


def checked_labels(y: Any) -> np.ndarray:
    """Return `y` as int64 of shape (n,), all 0 or 1; bool and whole floats are accepted."""
    try:
        labels = np.asarray(y)
    except ValueError as exc:
        raise ValueError("The 'y' parameter must be of shape (n,). Got rows of unequal lengths instead.") from exc
    if labels.ndim != 1:
        raise ValueError(f"The 'y' parameter must be of shape (n,). Got shape {labels.shape} instead.")
    if len(labels) and labels.dtype.kind not in "biuf":
        raise ValueError(f"The 'y' parameter must contain the numbers 0 and 1. Got an array of {labels.dtype} instead.")
    strange = labels[(labels != 0) & (labels != 1)]
    if len(strange):
        raise ValueError(f"The 'y' parameter must be 0 or 1 in each row. Got {strange[0]} instead.")
    return labels.astype(np.int64)


def checked_probabilities(p: Any, length: int) -> np.ndarray:
    """Return `p` as float64 of shape (length,), from 0 to 1."""
    values = checked_column("p", p, length)
    strange = values[~((values >= 0.0) & (values <= 1.0))]
    if len(strange):
        raise ValueError(
            "The 'p' parameter must be probabilities from 0 to 1, without the rows of rejected cutouts. "
            f"Got {strange[0]:g} instead."
        )
    return values


def checked_share(name: str, value: Any) -> float:
    """Return `value` as a float strictly between 0 and 1."""
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = np.nan
    if not 0.0 < share < 1.0:
        raise ValueError(f"The '{name}' parameter must be a number between 0 and 1 (exclusive). Got {value} instead.")
    return share


def checked_groups(groups: Any, length: int) -> np.ndarray:
    """Return `groups` as an array of shape (length,), all numbers or all text, without missing values."""
    try:
        members = np.asarray(groups)
    except ValueError as exc:
        raise ValueError("The 'groups' parameter must be of shape (n,). Got rows of unequal lengths instead.") from exc
    if members.shape != (length,):
        raise ValueError(
            f"The 'groups' parameter must be of shape ({length},), a group for each row. "
            f"Got shape {members.shape} instead."
        )
    # numpy puts all NaN into one group, which would tie unrelated rows together.
    try:
        missing = sum(value is None or value != value for value in members.tolist())
        if not missing:
            np.unique(members)
    except TypeError as exc:
        raise ValueError(
            "The 'groups' parameter must be all numbers or all text, one group for each row. Got a mixture instead."
        ) from exc
    if missing:
        raise ValueError(
            "The 'groups' parameter must have a group for each row; give each independent row its own group. "
            f"Got none in {missing} of {length} rows instead."
        )
    return members


def checked_whole(name: str, value: Any, least: int) -> int:
    """Return `value` as an int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"The '{name}' parameter must be an integer of at least {least}. Got {value!r} instead.")
    return int(value)
