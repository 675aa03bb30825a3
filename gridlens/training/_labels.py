"""A table of labels: rows to learn from, rows to calibrate on, and which rows show one cluster."""

from __future__ import annotations

import os
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gridlens._groups import group_of_each
from gridlens._labels import binary_values, check_columns, check_label_column, rows_by_id
from gridlens._tables import read_table
from gridlens.errors import GridlensError

__all__ = ["Labels", "read_labels"]

_CLUSTER, _CALIBRATION = "cluster", "calibration"
_WHY_POSITIVE_UNLABELLED = (
    "Positives and unlabelled rows are learned from the column 's'; rows to calibrate on have a 1 in 'calibration' and "
    "a clean 'label'."
)


class Labels(NamedTuple):
    """Labels by id; rows without a label are left out.

    Attributes
    ----------
    row : dict of str to int
        Position of each id in the arrays below.
    label : ndarray of shape (n,), int64
        1 for a lens, 0 for none. In positive-unlabelled learning, 1 marks the labelled lenses among the rows to learn
        from.
    calibration : ndarray of shape (n,), bool
        Whether the row is kept from the members, to calibrate on; its label is clean.
    group : ndarray of shape (n,), int64
        Rows of one number are views of one cluster.
    grouped : bool
        Whether the table names clusters; if not, each row is a cluster of its own.
    """

    row: dict[str, int]
    label: np.ndarray
    calibration: np.ndarray
    group: np.ndarray
    grouped: bool


def read_labels(
    labels: str | os.PathLike[str] | pd.DataFrame, *, positive_unlabelled: bool = False, groups: str | None = None
) -> Labels:
    """Read a table of labels.

    Parameters
    ----------
    labels : str, path or DataFrame
        csv, Parquet, FITS or VOTable with the columns `id` and `label` (1 a lens, 0 certainly not a lens, blank not
        known), and optionally `cluster` and `calibration` (1 for rows to calibrate on).
    positive_unlabelled : bool, default=False
        Rows to learn from have `s` instead of `label`, 1 for a known lens and 0 for an unlabelled row. Rows to
        calibrate on are required then, with a clean `label`: the probability of being labelled is not that of a lens.
    groups : str, default=None
        Column that names clusters; None takes `cluster` if there is one.

    Returns
    -------
    Labels

    Raises
    ------
    GridlensError
        The table cannot be read, a column is missing, an id is repeated, a label is neither 0 nor 1, a cluster is both
        learned from and calibrated on, or positive-unlabelled learning has no row to calibrate on.
    """
    what, table = "table of labels", labels
    if not isinstance(table, pd.DataFrame):
        what, table = f"{what} {labels}", read_table(table, text=() if groups is None else (groups,))
    if not positive_unlabelled:
        check_label_column(table, what, "; positive_unlabelled=True learns from it.")
    needed = ["id", "label", *(["s", _CALIBRATION] if positive_unlabelled else []), *([groups] if groups else [])]
    check_columns(table, needed, what, _WHY_POSITIVE_UNLABELLED if positive_unlabelled else "")
    rows, nameless = rows_by_id(table, what)
    if nameless:
        warnings.warn(f"{nameless} rows of the {what} have no id and are left out.", UserWarning, stacklevel=2)
    calibration = _calibration(rows, what)
    values = _values(rows, "label", calibration | (not positive_unlabelled), what)
    if positive_unlabelled:
        values = np.where(calibration, values, _values(rows, "s", ~calibration, what))
    column = groups if groups is not None else _CLUSTER if _CLUSTER in rows else None
    group = np.arange(len(rows)) if column is None else _numbered(rows[column])
    known = ~np.isnan(values)
    found = Labels(
        {name: place for place, name in enumerate(rows.index[known])},
        values[known].astype(np.int64),
        calibration[known],
        group[known],
        column is not None,
    )
    if column is not None:
        _check_clusters(found, rows.loc[known, column], what)
    if positive_unlabelled and not found.calibration.any():
        raise GridlensError(
            "Positives and unlabelled rows must be calibrated on others, of clean labels: mark some by a 1 in the "
            f"column '{_CALIBRATION}' of the {what}. Got none."
        )
    return found


def _calibration(rows: pd.DataFrame, what: str) -> np.ndarray:
    """Return the rows to calibrate on, a mask; a blank is a 0."""
    if _CALIBRATION not in rows:
        return np.zeros(len(rows), dtype=bool)
    way_out = "Give 1 to rows to calibrate on, and 0 to the others."
    column = f"column '{_CALIBRATION}' of the {what}"
    flags = binary_values(rows[_CALIBRATION], rows.index, column, way_out, blank=True)
    return np.nan_to_num(flags).astype(bool)


def _values(rows: pd.DataFrame, name: str, asked: np.ndarray, what: str) -> np.ndarray:
    """Return the labels in a column, NaN where blank; rows that are not in the mask `asked` may hold anything."""
    values = np.full(len(rows), np.nan)
    chosen = rows[asked]
    way_out = "Leave the label blank where it is not certain."
    values[asked] = binary_values(chosen[name], chosen.index, f"column '{name}' of the {what}", way_out, blank=True)
    return values


def _check_clusters(labels: Labels, names: pd.Series[Any], what: str) -> None:
    shared = np.intersect1d(labels.group[labels.calibration], labels.group[~labels.calibration])
    if len(shared):
        raise GridlensError(
            f"The column '{_CALIBRATION}' of the {what} must be the same in all rows of a cluster: the members must "
            f"not have seen the clusters that are calibrated on. Got both for {len(shared)} clusters instead, as for "
            f"{names[labels.group == shared[0]].iloc[0]}."
        )


def _numbered(column: pd.Series[Any]) -> np.ndarray:
    """Return a number for each name; rows without a name are clusters of their own."""
    return pd.factorize(group_of_each(column))[0].astype(np.int64)
