"""Catalogue columns that are kept in a score table."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import pandas as pd

from gridlens._table_source import text_column
from gridlens._table_text import MISSING
from gridlens.errors import GridlensError

__all__ = ["KeptColumns", "check_kept"]

_SUFFIX = "_catalog"
_INTEGER = re.compile(r"[+-]?\d+")
_ZERO_FIRST = re.compile(r"[+-]?0\d.*")
_TRUTH = {"true": True, "false": False}


def check_kept(keep: Sequence[str], names: Iterable[Any], source: str) -> None:
    """Raise GridlensError if a column to keep is not among the `names` of the catalogue."""
    known = list(names)
    for name in keep:
        if name not in known:
            shown = ", ".join(map(str, known[:50])) + (f" and {len(known) - 50} more" if len(known) > 50 else "")
            raise GridlensError(
                f"The 'keep_columns' parameter must name columns of the catalogue {source}. Got {name!r} instead. The "
                f"catalogue has {shown}."
            )


class KeptColumns:
    """Values of some columns of a catalogue, by row.

    Integers and booleans have nullable pandas types, other numbers are float64, and everything else is text, "" if
    missing. The type of a column does not depend on the selected rows.

    Parameters
    ----------
    frame : DataFrame of n rows
        The columns to keep, as in the catalogue.
    units : mapping of str to str
        Known units by column.
    typed : bool, default=True
        False for text columns, whose types are inferred: a column is numeric if all its values are numbers.
    """

    def __init__(self, frame: pd.DataFrame, units: Mapping[Any, str], *, typed: bool = True) -> None:
        plain = _plain if typed else _guessed
        self.frame = pd.DataFrame({str(name): plain(frame[name].reset_index(drop=True)) for name in frame.columns})
        self._units = {str(name): units.get(name, "") for name in frame.columns}
        self._row_of_id: Mapping[str, int] = {}

    def of_rows(self, mask: np.ndarray, row_of_id: Mapping[str, int]) -> KeptColumns:
        """Return the columns for the rows in a mask (n,), renumbered from 0.

        Cutouts that were not joined, such as unreadable files, are matched by their ids: `row_of_id`.
        """
        kept = copy(self)
        kept.frame, kept._row_of_id = self.frame[mask].reset_index(drop=True), row_of_id
        return kept

    def names(self, taken: Collection[str]) -> dict[str, str]:
        """Return the names and units of the columns in a table that already has the columns `taken`.

        "_catalog" is appended to a name that is taken, ignoring case, since FITS does not distinguish RA from ra.
        """
        named: dict[str, str] = {}
        used = {name.lower() for name in taken}
        for name, unit in self._units.items():
            while name.lower() in used:
                name += _SUFFIX
            used.add(name.lower())
            named[name] = unit
        return named

    def beside(
        self, rows: pd.DataFrame, found: Mapping[tuple[str, str], Sequence[int]], taken: Collection[str]
    ) -> pd.DataFrame:
        """Return the kept columns of the rows of a table.

        Parameters
        ----------
        rows : DataFrame of n rows
            With the columns `id` and `path`.
        found : mapping of (id, path) to rows of the catalogue
            Rows found by a join, -1 for no row, in the order of the cutouts. Other cutouts are matched by their ids.
        taken : collection of str
            As in `names`.

        Returns
        -------
        DataFrame of n rows
            Values are missing for cutouts without a row in the catalogue.
        """
        waiting = {key: deque(places) for key, places in found.items()}
        places = []
        for key in zip(rows["id"], rows["path"], strict=True):
            places.append(waiting[key].popleft() if waiting.get(key) else self._row_of_id.get(key[0], -1))
        kept = self.frame.reindex(np.array(places, dtype=np.intp)).reset_index(drop=True)
        kept = kept.fillna({name: "" for name in kept if self.frame[name].dtype == object})
        kept.columns = list(self.names(taken))
        return kept


def _guessed(words: pd.Series[Any]) -> pd.Series[Any]:
    """Convert a text column to integers, booleans or other numbers if all its values allow it, else keep it as text.

    Numbers with a leading zero, such as 0012, and integers beyond 64 bits are text.
    """
    missing = words.isin(MISSING)
    known = words[~missing]
    if not len(known) or known.str.fullmatch(_ZERO_FIRST).any():
        return words
    if known.str.fullmatch(_INTEGER).all():
        numbers = [None if gap else int(word) for word, gap in zip(words, missing, strict=True)]
        fits = max(abs(number) for number in numbers if number is not None) <= np.iinfo(np.int64).max
        return pd.Series(pd.array(numbers, dtype="Int64")) if fits else words
    if known.str.lower().isin(_TRUTH).all():
        return words.str.lower().map(_TRUTH).astype("boolean")
    values = pd.to_numeric(words.where(~missing), errors="coerce").astype(np.float64)
    return words if values[~missing].isna().any() else values


def _plain(values: pd.Series[Any]) -> pd.Series[Any]:
    kind = values.dtype
    if pd.api.types.is_bool_dtype(kind):
        return values.astype("boolean")
    if pd.api.types.is_integer_dtype(kind) and not (values.max() > np.iinfo(np.int64).max):
        return values.astype("Int64")
    if pd.api.types.is_float_dtype(kind):
        return pd.Series(values.to_numpy(dtype=np.float64, na_value=np.nan))
    return text_column(values)
