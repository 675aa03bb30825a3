"""A table of labels: what is learned from, what is calibrated on, and which rows are of one cluster."""

from __future__ import annotations

import os
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gridlens._groups import group_of_each
from gridlens._ids import as_ids
from gridlens._tables import read_table, some_names
from gridlens.errors import GridlensError

__all__ = ["Labels", "read_labels"]

_CLUSTER, _CALIBRATION = "cluster", "calibration"
_TRUE, _FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no", "", "nan", "none", "<na>")


class Labels(NamedTuple):
    """Labels by id; rows without one are left out.

    Attributes
    ----------
    row : dict of str to int
        Of each id, the place in what follows.
    label : ndarray of shape (n,), int64
        1 for a lens, 0 for none; of rows to learn from and positives with unlabelled ones, 1 for a labelled lens.
    calibration : ndarray of shape (n,), bool
        Whether the row is kept from the members, to calibrate on; its label is a clean one.
    group : ndarray of shape (n,), int64
        Rows of one number are views of one cluster.
    grouped : bool
        Whether the table tells clusters; else each row is one of its own.
    unlabelled : list of str
        Ids in the table whose label is blank.
    """

    row: dict[str, int]
    label: np.ndarray
    calibration: np.ndarray
    group: np.ndarray
    grouped: bool
    unlabelled: list[str]


def read_labels(
    path: str | os.PathLike[str], *, positive_unlabelled: bool = False, groups: str | None = None
) -> Labels:
    """Read a table of labels.

    Parameters
    ----------
    path : str or path
        csv, Parquet, FITS or VOTable with `id`, `label` (1 a lens, 0 surely none, blank not known), and maybe
        `cluster` and `calibration` (1 for rows to calibrate on).
    positive_unlabelled : bool, default=False
        Rows to learn from have `s` in place of `label`, 1 for a lens that is known and 0 for what nobody has labelled.
        Rows to calibrate on must be there, with a clean `label`: a probability of being labelled is none of a lens.
    groups : str, default=None
        Column that names clusters; None takes `cluster` where there is one.

    Raises
    ------
    GridlensError
        The table cannot be read, a column is missing, an id is named twice, a label is neither 0 nor 1, a cluster is
        both learned from and calibrated on, or one class is missing.
    """
    table = read_table(path, text=() if groups is None else (groups,))
    has_calibration = _CALIBRATION in table
    if not positive_unlabelled and "label" not in table and "s" in table:
        raise GridlensError(
            f"The table of labels {path} must have a column 'label' of clean labels, 1 for a lens and 0 for surely "
            "none. Got 's' instead, which says what was labelled; --positive-unlabelled learns from that."
        )
    needed = ["id", "label", *(["s", _CALIBRATION] if positive_unlabelled else []), *([groups] if groups else [])]
    missing = [name for name in needed if name not in table]
    if missing:
        why = (
            " Positives and unlabelled rows are learned from the column 's'; what they are calibrated on has a 1 in "
            "'calibration' and a clean 'label'."
            if positive_unlabelled
            else ""
        )
        raise GridlensError(
            f"The table of labels {path} must have the columns {', '.join(needed)}. Got "
            f"{', '.join(map(str, table.columns[:8]))} instead; rename its columns.{why}"
        )
    table, ids = _named(table, path)
    doubled = ids[ids.duplicated()]
    if len(doubled):
        raise GridlensError(
            f"The table of labels {path} must name each id once. Got {len(doubled)} ids again instead: "
            f"{some_names(doubled)}. Remove the copies."
        )
    calibration = _flags(table[_CALIBRATION], ids) if has_calibration else np.zeros(len(table), dtype=bool)
    values = _numbers(table["label"], "label", ids, calibration | (not positive_unlabelled))
    if positive_unlabelled:
        values = np.where(calibration, values, _numbers(table["s"], "s", ids, ~calibration))
    column = groups if groups is not None else _CLUSTER if _CLUSTER in table else None
    group = np.arange(len(table)) if column is None else _numbered(table[column])
    known = ~np.isnan(values)
    labels = Labels(
        {name: place for place, name in enumerate(ids[known])},
        values[known].astype(np.int64),
        calibration[known],
        group[known],
        column is not None,
        ids[~known].tolist(),
    )
    shared = np.intersect1d(labels.group[labels.calibration], labels.group[~labels.calibration])
    if len(shared):
        where = str(table.loc[group == shared[0], column].iloc[0])
        raise GridlensError(
            f"The column '{_CALIBRATION}' of the table of labels must be the same in all rows of a cluster: what is "
            f"calibrated on must be new to the members. Got both for {len(shared)} clusters, as for {where}, instead."
        )
    if positive_unlabelled and not labels.calibration.any():
        raise GridlensError(
            "Positives and unlabelled rows must be calibrated on others, of clean labels: mark some by a 1 in the "
            f"column '{_CALIBRATION}' of the table of labels. Got none."
        )
    return labels


def _named(table: pd.DataFrame, path: str | os.PathLike[str]) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Return the rows that have an id, and their ids."""
    ids = pd.Series(as_ids(table["id"]), dtype=object)
    known = ids != ""
    if known.all():
        return table, ids
    warnings.warn(
        f"{(~known).sum()} rows of the table of labels {path} have no id and are left out.", UserWarning, stacklevel=3
    )
    return table[known.to_numpy()].reset_index(drop=True), ids[known].reset_index(drop=True)


def _numbers(column: pd.Series[Any], name: str, ids: pd.Series[Any], asked: np.ndarray) -> np.ndarray:
    """Labels as float64, NaN where blank; those that are not asked for may be anything."""
    text = column.astype(str).str.strip().str.lower()
    numbers = pd.to_numeric(text.replace({"true": "1", "false": "0"}), errors="coerce").to_numpy(dtype=np.float64)
    blank = column.isna().to_numpy() | text.isin(["", "nan", "none", "<na>"]).to_numpy()
    strange = np.flatnonzero(asked & ~blank & ~np.isin(numbers, (0.0, 1.0)))
    if len(strange):
        raise GridlensError(
            f"The column '{name}' of the table of labels must be 1 or 0, or blank. Got "
            f"{str(column.iloc[strange[0]])!r} in {len(strange)} rows instead, as of {ids.iloc[strange[0]]}; "
            "blank those that nobody is sure of."
        )
    return np.where(blank, np.nan, numbers)


def _flags(column: pd.Series[Any], ids: pd.Series[Any]) -> np.ndarray:
    text = column.astype(str).str.strip().str.lower()
    strange = np.flatnonzero(~text.isin([*_TRUE, *_FALSE]))
    if len(strange):
        raise GridlensError(
            f"The column '{_CALIBRATION}' of the table of labels must be 1 or 0. Got {str(column.iloc[strange[0]])!r} "
            f"instead, as of {ids.iloc[strange[0]]}."
        )
    return text.isin(_TRUE).to_numpy()


def _numbered(column: pd.Series[Any]) -> np.ndarray:
    """A number for each name; rows without one are clusters of their own."""
    return pd.factorize(group_of_each(column))[0].astype(np.int64)
