"""The ranked table in files and on paper."""

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from gridlens._cells import ascii_cells, marked_cells, quoted_formulas, restored_cells
from gridlens._files import atomic_path
from gridlens._ids import escaped
from gridlens._table_files import open_table
from gridlens._table_source import UNNAMED_INDEX, TableError
from gridlens.errors import GridlensError

__all__ = [
    "TABLE_SUFFIXES",
    "check_writable",
    "print_table",
    "read_table",
    "some_names",
    "write_batches",
    "write_table",
]

# Columns whose values are names.
_TEXT = ("id", "path", "cluster")

TABLE_SUFFIXES = (".csv", ".parquet", ".fits", ".votable")

_PRINTED = {
    "rank": "{:d}",
    "id": "{}",
    "p_any": "{:.2g}",
    "p_gc": "{:.2g}",
    "p_cc": "{:.2g}",
    "p_lens": "{:.2g}",
    "score": "{:.4f}",
    "arc_distance": "{:.1f}",
    "arcness": "{:.1f}",
    "arc_color_gr": "{:+.2f}",
    "arc_snr": "{:.0f}",
    "status": "{}",
    "message": "{}",
}


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise GridlensError before the work begins if no table can be written to `path` after it."""
    path = Path(path)
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise GridlensError(f"The output must end in {', '.join(TABLE_SUFFIXES)}. Got {path.name!r} instead.")
    if escaped(str(path)) != str(path):
        # Parts are kept beside the output in Parquet, whose library opens paths of UTF-8 alone.
        raise GridlensError(
            f"The output must have a path of printable UTF-8 text. Got {escaped(str(path))} instead. Name another."
        )
    if path.is_dir():
        raise GridlensError(f"The output {path} is a folder. Name a file in it, such as {path / 'scores.csv'}.")
    if not path.parent.is_dir():
        raise GridlensError(f"The output folder {path.parent} does not exist. Make it, or name another.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise GridlensError(f"The output folder {path.parent} cannot be written to. Name another.")


def write_table(table: pd.DataFrame, path: str | os.PathLike[str], *, quote_formulas: bool = False) -> None:
    """Write a table of scores in the format that the suffix of `path` names, whole or not at all.

    The prevalence, ``table.attrs["prevalence"]``, goes into the metadata of Parquet, FITS and VOTable files too.

    Parameters
    ----------
    table : DataFrame
    path : str or path
    quote_formulas : bool, default=False
        In CSV, put an apostrophe before ids, paths and messages that begin with =, +, - or @: spreadsheets run them as
        formulas. `read_table` removes it.

    Raises
    ------
    GridlensError
        The suffix is unknown or the file cannot be written.

    Warns
    -----
    UserWarning
        Text of a FITS table is not ASCII. It is written with escapes, which `read_table` undoes.
    """
    write_batches([table], path, table.attrs, quote_formulas=quote_formulas)


def write_batches(
    batches: Iterable[pd.DataFrame],
    path: str | os.PathLike[str],
    attrs: Mapping[Any, Any],
    *,
    quote_formulas: bool = False,
) -> None:
    """Write a table that comes in batches, as `write_table` does; CSV and Parquet hold one of them in memory at a time.

    `attrs` are those of the whole table.
    """
    check_writable(path)
    suffix = Path(path).suffix.lower()
    with atomic_path(path) as temporary:
        if suffix == ".csv":
            with open(temporary, "w", encoding="utf-8", newline="") as file:
                for k, batch in enumerate(batches):
                    _csv_cells(batch, quote_formulas).to_csv(file, index=False, header=k == 0)
        elif suffix == ".parquet":
            _write_parquet(batches, temporary, attrs)
        else:
            from astropy.table import Table

            whole = pd.concat(list(batches), ignore_index=True)
            rows = Table.from_pandas(_fits_cells(whole) if suffix == ".fits" else whole)
            rows.meta["PREVAL"] = attrs.get("prevalence")
            rows.meta["CREATOR"] = f"gridlens {version('gridlens')}"
            rows.write(temporary, format="fits" if suffix == ".fits" else "votable", overwrite=True)


def _csv_cells(table: pd.DataFrame, quote_formulas: bool) -> pd.DataFrame:
    return quoted_formulas(table) if quote_formulas else marked_cells(table)


def _fits_cells(table: pd.DataFrame) -> pd.DataFrame:
    table, changed = ascii_cells(table)
    if changed:
        warnings.warn(
            f"Text in a FITS table is ASCII: {changed} ids, paths or messages with other characters are written with "
            "escapes such as \\u00e9. gridlens reads them back as they were; other formats keep them as they are.",
            UserWarning,
            stacklevel=2,
        )
    return table


def _write_parquet(batches: Iterable[pd.DataFrame], path: Path, attrs: Mapping[Any, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with contextlib.ExitStack() as stack:
        writer = None
        for batch in batches:
            table = pa.Table.from_pandas(batch, preserve_index=False)
            if writer is None:
                # Where pandas keeps and finds what it calls attrs.
                metadata = {**(table.schema.metadata or {}), b"PANDAS_ATTRS": json.dumps(dict(attrs)).encode()}
                # Opened by Python: pyarrow takes paths of UTF-8 alone.
                file = stack.enter_context(open(path, "wb"))
                writer = stack.enter_context(pq.ParquetWriter(file, table.schema.with_metadata(metadata)))
            writer.write_table(table.cast(writer.schema))


def read_table(path: str | os.PathLike[str], *, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a table in one of the formats of `write_table`.

    The columns `id`, `path` and `cluster`, and those in `text`, are read as text exactly as it is written, "" where it
    is missing. Levels of the index of a Parquet file are columns.

    Raises
    ------
    GridlensError
        The file is missing, its suffix is unknown, or it cannot be read as a table.
    """
    path = Path(path)
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise GridlensError(f"A table must end in {', '.join(TABLE_SUFFIXES)}. Got {path.name!r} instead.")
    if not path.is_file():
        raise GridlensError(f"There is no table {path}. Name a file that exists.")
    try:
        with open_table(path, _has_ids, remarks=False) as source:
            table = source.read(set(source.names) - {UNNAMED_INDEX}, {*_TEXT, *text})
            notes = list(source.notes)
            table.attrs = getattr(source, "attrs", {})
    except TableError as exc:
        raise GridlensError(f"The table {path} cannot be read: {exc}") from exc
    for note in notes:
        warnings.warn(f"In the table {path} {note}.", UserWarning, stacklevel=2)
    return restored_cells(table, path.suffix.lower())


def _has_ids(names: Sequence[Any]) -> int:
    return int("id" in names)


def some_names(names: Any) -> str:
    """The first five names, for a message."""
    first = ", ".join(map(str, list(names)[:5]))
    return first + (", ..." if len(names) > 5 else "")


def print_table(table: pd.DataFrame, *, quote_formulas: bool = False) -> None:
    """Print to stdout: the columns that people read on a terminal, all of them as CSV in a pipe."""
    if not sys.stdout.isatty():
        _csv_cells(table, quote_formulas).to_csv(sys.stdout, index=False)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    printed = {name: form for name, form in _PRINTED.items() if name in table}
    shown = Table(box=None, header_style="bold")
    for name in printed:
        numeric = pd.api.types.is_numeric_dtype(table[name])
        shown.add_column(name, justify="right" if numeric else "left", no_wrap=name != "message")
    for _, row in table.iterrows():
        # As Text, so that brackets in an id are not taken for markup.
        shown.add_row(*(Text("" if pd.isna(row[name]) else form.format(row[name])) for name, form in printed.items()))
    Console().print(shown)
