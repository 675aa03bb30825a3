"""Conversion of table text to the limits of file formats, and back."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from gridlens._ids import as_ascii, as_id, from_ascii

__all__ = ["ascii_cells", "decoded_cells", "is_of_scores", "marked_cells", "quoted_formulas", "restored_cells"]

# Characters that begin a formula in a spreadsheet. Tabs and carriage returns, which also do, are escaped in every text.
_FORMULA = re.compile(r"'*[=+\-@]")
_MARKED = re.compile(r"'+[=+\-@]")
# Columns that identify a table written by `gridlens score`.
_OF_SCORES = {"id", "path", "rank", "status", "flags"}


def is_of_scores(names: Iterable[Any]) -> bool:
    """Return whether the columns are those of a table that `gridlens score` wrote."""
    return _OF_SCORES.issubset(names)


def quoted_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an apostrophe before text that a spreadsheet would run as a formula."""
    return _mapped(table, lambda text: f"'{text}" if _FORMULA.match(text) else text)


def marked_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of scores with another apostrophe before text that looks as if `quoted_formulas` had quoted it.

    A reader can then remove one from every such text, without knowing whether the table was quoted. A table without the
    columns of scores is returned unchanged.
    """
    if not is_of_scores(table.columns):
        return table
    return _mapped(table, lambda text: f"'{text}" if _MARKED.match(text) else text)


def ascii_cells(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the table with its text in ASCII, and the number of changed cells."""
    made = _mapped(table, as_ascii)
    changed = sum(int(((made[name] != table[name]) & made[name].notna()).sum()) for name in _text_columns(table))
    return made, changed


def restored_cells(table: pd.DataFrame, suffix: str) -> pd.DataFrame:
    """Return a table of scores with its original text.

    Parameters
    ----------
    table : DataFrame
        Table as read from a file.
    suffix : str
        Suffix of the file: apostrophes are removed for ".csv", escapes for ".fits"; other formats do not change the
        text. A table that `gridlens score` did not write is returned unchanged.
    """
    if not is_of_scores(table.columns):
        return table
    if suffix == ".csv":
        return _mapped(table, lambda text: text[1:] if _MARKED.match(text) else text)
    return _mapped(table, from_ascii) if suffix == ".fits" else table


def decoded_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with text instead of bytes, as `astropy.table.Table.to_pandas` returns it for FITS files.

    Text that `ascii_cells` escaped is restored in these columns.
    """
    columns = {
        name: table[name].map(lambda value: from_ascii(as_id(value)) if isinstance(value, bytes) else value)
        for name in table.columns
        if table[name].dtype == object and any(isinstance(value, bytes) for value in table[name])
    }
    return table.assign(**columns) if columns else table


def _mapped(table: pd.DataFrame, function: Callable[[str], str]) -> pd.DataFrame:
    """Return a copy of the table with `function` applied to each text; other values, such as NaN, are kept."""
    columns = {
        name: table[name].map(lambda value: function(value) if isinstance(value, str) else value)
        for name in _text_columns(table)
    }
    return table.assign(**columns)


def _text_columns(table: pd.DataFrame) -> list[str]:
    kinds = (pd.api.types.is_object_dtype, pd.api.types.is_string_dtype)
    return [name for name in table if any(is_text(table[name]) for is_text in kinds)]
