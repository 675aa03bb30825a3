"""Ranked tables in files."""

import os
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gridlens._cells import is_of_scores, restored_cells
from gridlens._files import atomic_path
from gridlens._ids import escaped
from gridlens._table_files import open_table
from gridlens._table_source import UNNAMED_INDEX, TableError
from gridlens._table_write import write_csv, write_fits_table, write_parquet, write_votable
from gridlens.errors import GridlensError

__all__ = [
    "TABLE_SUFFIXES",
    "check_writable",
    "read_table",
    "some_names",
    "write_batches",
    "write_table",
]

# Columns of text, "" where there is no value.
_TEXT = ("id", "path", "cluster")
_TEXT_OF_SCORES = ("status", "message")
_VOTABLE = (".votable", ".vot", ".xml")

_MOST_EXACT = 2**53
TABLE_SUFFIXES = (".csv", ".parquet", ".fits", *_VOTABLE)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise GridlensError before the work begins if the table cannot be written to `path` afterwards."""
    path = Path(path)
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise GridlensError(f"The output must end in {', '.join(TABLE_SUFFIXES)}. Got {path.name!r} instead.")
    if escaped(str(path)) != str(path):
        # Parts are stored beside the output as Parquet, whose library only opens paths in UTF-8.
        raise GridlensError(
            f"The output must have a path of printable UTF-8 text. Got {escaped(str(path))} instead. Choose another."
        )
    if path.is_dir():
        raise GridlensError(f"The output {path} is a folder. Choose a file in it, such as {path / 'scores.csv'}.")
    if not path.parent.is_dir():
        raise GridlensError(f"The output folder {path.parent} does not exist. Create it, or choose another.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise GridlensError(f"The output folder {path.parent} cannot be written to. Choose another.")


def write_table(table: pd.DataFrame, path: str | os.PathLike[str], *, quote_formulas: bool = False) -> None:
    """Write a table of scores in the format given by the suffix of `path`, completely or not at all.

    Parquet, FITS and VOTable files also contain the prevalence, ``table.attrs["prevalence"]``, in their metadata, and
    the unit, UCD and description of each known column.

    Parameters
    ----------
    table : DataFrame
    path : str or path
    quote_formulas : bool, default=False
        In CSV, put an apostrophe before text that begins with =, +, - or @, which spreadsheets run as formulas.
        `read_table` removes it.

    Raises
    ------
    GridlensError
        If the suffix is unknown or the file cannot be written.

    Warns
    -----
    UserWarning
        If text of a FITS table is not ASCII. It is written with escapes, which `read_table` undoes.
    """
    write_batches([table], path, table.attrs, quote_formulas=quote_formulas)


def write_batches(
    batches: Iterable[pd.DataFrame],
    path: str | os.PathLike[str],
    attrs: Mapping[Any, Any],
    *,
    quote_formulas: bool = False,
) -> None:
    """Write a table in batches, as `write_table` does; for CSV and Parquet, only one batch is in memory at a time.

    `attrs` are those of the complete table.
    """
    check_writable(path)
    suffix = Path(path).suffix.lower()
    with atomic_path(path) as temporary:
        if suffix == ".csv":
            write_csv(batches, temporary, quote_formulas)
        elif suffix == ".parquet":
            write_parquet(batches, temporary, attrs)
        elif suffix == ".fits":
            write_fits_table(batches, temporary, attrs)
        else:
            write_votable(batches, temporary, attrs)


def read_table(path: str | os.PathLike[str], *, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a table in one of the formats of `write_table`.

    The columns `id`, `path` and `cluster`, and those in `text`, are read as text exactly as written, "" if missing; in
    a table of scores also `status` and `message`. Index levels of a Parquet file become columns.

    Raises
    ------
    GridlensError
        If the file is missing, its suffix is unknown, or it cannot be read as a table.
    """
    path = Path(path)
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise GridlensError(f"A table must end in {', '.join(TABLE_SUFFIXES)}. Got {path.name!r} instead.")
    if not path.is_file():
        raise GridlensError(f"There is no table {path}. Choose an existing file.")
    try:
        with open_table(path, _has_ids, remarks=False) as source:
            words = {*_TEXT, *text, *(_TEXT_OF_SCORES if is_of_scores(source.names) else ())}
            table = source.read(set(source.names) - {UNNAMED_INDEX}, words).apply(_plain)
            notes = list(source.notes)
            table.attrs = getattr(source, "attrs", {})
    except TableError as exc:
        raise GridlensError(f"The table {path} cannot be read: {exc}") from exc
    for note in notes:
        warnings.warn(f"In the table {path} {note}.", UserWarning, stacklevel=2)
    return restored_cells(table, path.suffix.lower())


def _plain(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return a column with NaN for missing integers and truth values, unless floats cannot represent the integers."""
    if pd.api.types.is_integer_dtype(column.dtype) and column.hasnans and not (column.abs() > _MOST_EXACT).any():
        return column.astype(float)
    return column.astype(object).where(column.notna(), float("nan")) if column.dtype == "boolean" else column


def _has_ids(names: Sequence[Any]) -> int:
    return int("id" in names)


def some_names(names: Any) -> str:
    """Return the first five names as text for a message."""
    first = ", ".join(map(str, list(names)[:5]))
    return first + (", ..." if len(names) > 5 else "")
