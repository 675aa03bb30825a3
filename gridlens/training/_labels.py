"""Tables of labels: training rows, calibration rows, and clusters."""

from __future__ import annotations

import os
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gridlens._groups import group_of_each
from gridlens._labels import binary_values, check_columns, check_label_column, check_no_context, rows_by_id
from gridlens._tables import read_table
from gridlens.errors import GridlensError

__all__ = ["Labels", "read_labels"]

_CLUSTER, _CALIBRATION = "cluster", "calibration"
# The column of known lenses, and its name in tables of version 0.1.
_KNOWN = ("known_lens", "s")


class Labels(NamedTuple):
    """Labels by id; rows without a label are left out.

    Attributes
    ----------
    row : dict of str to int
        Position of each id in the arrays below.
    label : ndarray of shape (n,), int64
        1 for a lens, 0 for a non-lens. In positive-unlabelled learning, the training rows have 1 for a known lens and 0
        otherwise.
    calibration : ndarray of shape (n,), bool
        Whether the row is reserved for calibration; its label is clean.
    group : ndarray of shape (n,), int64
        Rows with the same number show the same cluster.
    grouped : bool
        Whether the table identifies clusters; if not, each row is a separate cluster.
    vetted : ndarray of shape (n,), bool
        In positive-unlabelled learning, training rows that are certain non-lenses.
    unlabelled : bool
        Whether cutouts that are not in the table are unlabelled training rows, as in positive-unlabelled learning.
    left_out : frozenset of str
        Ids of the table that have no label.
    """

    row: dict[str, int]
    label: np.ndarray
    calibration: np.ndarray
    group: np.ndarray
    grouped: bool
    vetted: np.ndarray
    unlabelled: bool
    left_out: frozenset[str]

    def at(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return labels, groups and vetted rows at positions; -1 denotes a cutout that is not in the table."""
        absent = places < 0
        if not len(self.row):
            return np.zeros(len(places), dtype=np.int64), np.arange(len(places)), np.zeros(len(places), dtype=bool)
        group = self.group[places]
        group[absent] = self.group.max() + 1 + np.arange(int(absent.sum()))
        return np.where(absent, 0, self.label[places]), group, ~absent & self.vetted[places]

    def negative(self, places: np.ndarray) -> np.ndarray:
        """Return a mask of the positions of non-lenses: rows with a clean label of 0, not unlabelled rows."""
        if not len(self.row):
            return np.zeros(len(places), dtype=bool)
        clean = self.vetted[places] | self.calibration[places] if self.unlabelled else np.ones(len(places), dtype=bool)
        return (places >= 0) & clean & (self.label[places] == 0)


def read_labels(
    labels: str | os.PathLike[str] | pd.DataFrame, *, positive_unlabelled: bool = False, groups: str | None = None
) -> Labels:
    """Read a table of labels.

    Parameters
    ----------
    labels : str, path or DataFrame
        CSV, Parquet, FITS or VOTable with the columns `id` and `label` (1 for a lens, 0 for a certain non-lens, blank
        if unknown), and optionally `cluster` and `calibration` (1 for calibration rows).
    positive_unlabelled : bool, default=False
        Training rows have the column `known_lens` (or `s`), 1 for a known lens and 0 or blank for an unlabelled row;
        calibration rows have a clean `label`. Without that column, a `label` of 1 is a known lens, 0 a vetted non-lens
        and blank an unlabelled row.
    groups : str, default=None
        Column that identifies clusters; None uses `cluster` if it exists.

    Returns
    -------
    Labels

    Raises
    ------
    GridlensError
        The table cannot be read, a column is missing, an id is repeated, a label is neither 0 nor 1, or a cluster has
        both training and calibration rows.
    """
    what, table = "table of labels", labels
    if not isinstance(table, pd.DataFrame):
        what, table = f"{what} {labels}", read_table(table, text=() if groups is None else (groups,))
    check_no_context(table, what)
    if not positive_unlabelled:
        check_label_column(table, what, "; use positive_unlabelled=True to learn from it.")
    elif "label" not in table and not any(name in table for name in _KNOWN):
        raise GridlensError(
            f"The {what} must have a column {_KNOWN[0]!r}, 1 for a known lens and 0 for an unlabelled cutout, or a "
            f"column 'label'. Got {', '.join(map(str, table.columns[:8])) or 'no column'} instead; rename its columns."
        )
    check_columns(table, ["id", *([groups] if groups else [])], what)
    rows, nameless = rows_by_id(table, what)
    if nameless:
        warnings.warn(f"{nameless} rows of the {what} have no id and are left out.", UserWarning, stacklevel=2)
    calibration = _calibration(rows, what)
    values, vetted = _learned(rows, calibration, positive_unlabelled, what)
    column = groups if groups is not None else _CLUSTER if _CLUSTER in rows else None
    group = np.arange(len(rows)) if column is None else _numbered(rows[column])
    known = ~np.isnan(values)
    found = Labels(
        {name: place for place, name in enumerate(rows.index[known])},
        values[known].astype(np.int64),
        calibration[known],
        group[known],
        column is not None,
        vetted[known],
        positive_unlabelled,
        frozenset(rows.index[~known]),
    )
    if column is not None:
        _check_clusters(found, rows.loc[known, column], what)
    return found


def _learned(
    rows: pd.DataFrame, calibration: np.ndarray, positive_unlabelled: bool, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of the rows, NaN if missing, and a mask of vetted non-lenses."""
    everywhere = np.ones(len(rows), dtype=bool)
    if not positive_unlabelled:
        return _values(rows, "label", everywhere, what), ~everywhere
    column = next((name for name in _KNOWN if name in rows), None)
    if column is None:
        values = _values(rows, "label", everywhere, what)
        vetted = (values == 0) & ~calibration
    else:
        if calibration.any():
            check_columns(rows, ("label",), what, "Calibration rows need a clean 'label'.")
        values = _values(rows, "label", calibration, what)
        values[~calibration] = _values(rows, column, ~calibration, what)[~calibration]
        vetted = ~everywhere
    return np.where(calibration, values, np.nan_to_num(values)), vetted


def _calibration(rows: pd.DataFrame, what: str) -> np.ndarray:
    """Return a mask of the calibration rows; a blank cell counts as 0."""
    if _CALIBRATION not in rows:
        return np.zeros(len(rows), dtype=bool)
    way_out = "Set calibration rows to 1, and the others to 0."
    column = f"column '{_CALIBRATION}' of the {what}"
    flags = binary_values(rows[_CALIBRATION], rows.index, column, way_out, blank=True)
    return np.nan_to_num(flags).astype(bool)


def _values(rows: pd.DataFrame, name: str, asked: np.ndarray, what: str) -> np.ndarray:
    """Return the labels in a column, NaN if blank; rows outside the mask `asked` are not checked."""
    values = np.full(len(rows), np.nan)
    chosen = rows[asked]
    if not len(chosen):
        return values
    way_out = "Leave uncertain labels blank."
    values[asked] = binary_values(chosen[name], chosen.index, f"column '{name}' of the {what}", way_out, blank=True)
    return values


def _check_clusters(labels: Labels, names: pd.Series[Any], what: str) -> None:
    shared = np.intersect1d(labels.group[labels.calibration], labels.group[~labels.calibration])
    if len(shared):
        raise GridlensError(
            f"The column '{_CALIBRATION}' of the {what} must have the same value in all rows of a cluster, because the "
            f"calibration needs clusters that the members have not seen. Got both values for {len(shared)} clusters "
            f"instead, such as {names[labels.group == shared[0]].iloc[0]}."
        )


def _numbered(column: pd.Series[Any]) -> np.ndarray:
    """Return a number for each name; rows without a name are separate clusters."""
    return pd.factorize(group_of_each(column))[0].astype(np.int64)
