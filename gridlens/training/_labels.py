"""A table of labels: rows to learn from, rows to calibrate on, and which rows show one cluster."""

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
# The column of positive-unlabelled learning, and its name in tables of version 0.1.
_KNOWN = ("known_lens", "s")


class Labels(NamedTuple):
    """Labels by id; rows without a label are left out.

    Attributes
    ----------
    row : dict of str to int
        Position of each id in the arrays below.
    label : ndarray of shape (n,), int64
        1 for a lens, 0 for none. In positive-unlabelled learning, 1 marks the known lenses among the rows to learn
        from, and 0 the others.
    calibration : ndarray of shape (n,), bool
        Whether the row is kept from the members, to calibrate on; its label is clean.
    group : ndarray of shape (n,), int64
        Rows of one number are views of one cluster.
    grouped : bool
        Whether the table names clusters; if not, each row is a cluster of its own.
    vetted : ndarray of shape (n,), bool
        In positive-unlabelled learning, rows to learn from that are certainly not lenses.
    unlabelled : bool
        Whether cutouts that are not in the table are unlabelled rows to learn from, as in positive-unlabelled learning.
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
        """Return labels, groups and vetted rows at positions; -1 is an unlabelled cutout that is not in the table."""
        absent = places < 0
        if not len(self.row):
            return np.zeros(len(places), dtype=np.int64), np.arange(len(places)), np.zeros(len(places), dtype=bool)
        group = self.group[places]
        group[absent] = self.group.max() + 1 + np.arange(int(absent.sum()))
        return np.where(absent, 0, self.label[places]), group, ~absent & self.vetted[places]

    def negative(self, places: np.ndarray) -> np.ndarray:
        """Return where positions are of a non-lens: a row of a clean label of 0, not an unlabelled one."""
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
        csv, Parquet, FITS or VOTable with the columns `id` and `label` (1 a lens, 0 certainly not a lens, blank not
        known), and optionally `cluster` and `calibration` (1 for rows to calibrate on).
    positive_unlabelled : bool, default=False
        Rows to learn from have `known_lens` (or `s`), 1 for a known lens and 0 or blank for an unlabelled row; rows to
        calibrate on have a clean `label`. Without that column, a `label` of 1 is a known lens, 0 a vetted non-lens and
        blank an unlabelled row.
    groups : str, default=None
        Column that names clusters; None takes `cluster` if there is one.

    Returns
    -------
    Labels

    Raises
    ------
    GridlensError
        The table cannot be read, a column is missing, an id is repeated, a label is neither 0 nor 1, or a cluster is
        both learned from and calibrated on.
    """
    what, table = "table of labels", labels
    if not isinstance(table, pd.DataFrame):
        what, table = f"{what} {labels}", read_table(table, text=() if groups is None else (groups,))
    check_no_context(table, what)
    if not positive_unlabelled:
        check_label_column(table, what, "; positive_unlabelled=True learns from it.")
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
    """Return the labels of the rows, NaN where there is none, and which of them are vetted non-lenses."""
    everywhere = np.ones(len(rows), dtype=bool)
    if not positive_unlabelled:
        return _values(rows, "label", everywhere, what), ~everywhere
    column = next((name for name in _KNOWN if name in rows), None)
    if column is None:
        values = _values(rows, "label", everywhere, what)
        vetted = (values == 0) & ~calibration
    else:
        if calibration.any():
            check_columns(rows, ("label",), what, "Rows to calibrate on have a clean 'label'.")
        values = _values(rows, "label", calibration, what)
        values[~calibration] = _values(rows, column, ~calibration, what)[~calibration]
        vetted = ~everywhere
    return np.where(calibration, values, np.nan_to_num(values)), vetted


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
    if not len(chosen):
        return values
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
