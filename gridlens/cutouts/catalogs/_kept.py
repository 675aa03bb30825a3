"""Columns of a catalogue that follow its rows into a table of scores."""

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
    """Raise GridlensError where a column to keep is not among the `names` of the catalogue."""
    known = list(names)
    for name in keep:
        if name not in known:
            shown = ", ".join(map(str, known[:50])) + (f" and {len(known) - 50} more" if len(known) > 50 else "")
            raise GridlensError(
                f"The 'keep_columns' parameter must name columns of the catalogue {source}. Got {name!r} instead; the "
                f"catalogue has {shown}."
            )


class KeptColumns:
    """Values of some columns of a catalogue, by row.

    Integers and truth values have types of pandas that know missing values, other numbers are float64, and everything
    else is text, "" where it is missing: a column has one type, however few rows of it are taken.

    Parameters
    ----------
    frame : DataFrame of n rows
        The columns to keep, as the catalogue has them.
    units : mapping of str to str
        Units by column, where they are known.
    typed : bool, default=True
        False for columns of text, whose types are guessed: numbers where every value is one.
    """

    def __init__(self, frame: pd.DataFrame, units: Mapping[Any, str], *, typed: bool = True) -> None:
        plain = _plain if typed else _guessed
        self.frame = pd.DataFrame({str(name): plain(frame[name].reset_index(drop=True)) for name in frame.columns})
        self._units = {str(name): units.get(name, "") for name in frame.columns}
        self._row_of_id: Mapping[str, int] = {}

    def of_rows(self, mask: np.ndarray, row_of_id: Mapping[str, int]) -> KeptColumns:
        """Return the columns of the rows in a mask (n,), which are numbered again.

        Cutouts that no join has seen, such as files that cannot be read, go by their ids: `row_of_id`.
        """
        kept = copy(self)
        kept.frame, kept._row_of_id = self.frame[mask].reset_index(drop=True), row_of_id
        return kept

    def names(self, taken: Collection[str]) -> dict[str, str]:
        """Return the names that the columns have in a table beside columns `taken`, with their units.

        A name that is taken gets "_catalog" behind it, in capitals too: FITS does not distinguish RA from ra.
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
            What a join found, -1 for no row, in the order of the cutouts. Others go by their ids.
        taken : collection of str
            As in `names`.

        Returns
        -------
        DataFrame of n rows
            Missing values where a cutout has no row in the catalogue.
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
    """Return a column of text as integers, truth values or other numbers where all its values are, else as text.

    A number with a zero before it, such as 0012, is text, and so is an integer beyond 64 bits.
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
