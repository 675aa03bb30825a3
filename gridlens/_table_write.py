"""Writers of tables of scores, with the units, UCDs and descriptions of their columns."""

import contextlib
import json
import warnings
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridlens._cells import ascii_cells, marked_cells, quoted_formulas
from gridlens._ids import as_ascii
from gridlens._table_columns import Column, describe_columns

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["csv_cells", "write_csv", "write_fits_table", "write_parquet", "write_votable"]

Batches = Iterable[pd.DataFrame]


def csv_cells(table: pd.DataFrame, quote_formulas: bool) -> pd.DataFrame:
    """Return a table as in a CSV file; `quote_formulas` prevents spreadsheets from running text."""
    return quoted_formulas(table) if quote_formulas else marked_cells(table)


def write_csv(batches: Batches, path: Path, quote_formulas: bool) -> None:
    """Write batches of a table as CSV, which does not support units."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        for k, batch in enumerate(batches):
            csv_cells(batch, quote_formulas).to_csv(file, index=False, header=k == 0)


def write_parquet(batches: Batches, path: Path, attrs: Mapping[Any, Any]) -> None:
    """Write batches of a table as Parquet, with units and descriptions in the places of astropy and LSDB."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with contextlib.ExitStack() as stack:
        writer = None
        for batch in batches:
            table = pa.Table.from_pandas(batch, preserve_index=False)
            if writer is None:
                # The place where pandas stores its attrs.
                metadata = {**(table.schema.metadata or {}), b"PANDAS_ATTRS": json.dumps(dict(attrs)).encode()}
                known = describe_columns(table.schema.names, attrs)
                schema = pa.schema([_described(field, known) for field in table.schema], metadata)
                # Open the file in Python, because pyarrow only accepts paths in UTF-8.
                writer = stack.enter_context(pq.ParquetWriter(stack.enter_context(open(path, "wb")), schema))
            writer.write_table(table.cast(writer.schema))


def _described(field: Any, known: Mapping[str, Column]) -> Any:
    if field.name not in known:
        return field
    column = known[field.name]
    stated = {"unit": column.unit, "ucd": column.ucd, "description": column.description}
    return field.with_metadata({name: value for name, value in stated.items() if value})


def write_fits_table(batches: Batches, path: Path, attrs: Mapping[Any, Any]) -> None:
    """Write batches of a table, held in memory, as FITS: TUNITn, TUCDn and TCOMMn describe the columns."""
    from astropy.io import fits

    whole, changed = ascii_cells(_joined(batches))
    if changed:
        warnings.warn(
            f"Text in a FITS table must be ASCII: {changed} cells with other characters are written with escapes such "
            "as \\u00e9. gridlens restores them when it reads the file; other formats do not need escapes.",
            UserWarning,
            stacklevel=2,
        )
    hdu = fits.table_to_hdu(_astropy_table(whole.rename(columns=as_ascii), attrs))
    known = describe_columns(whole.columns, attrs)
    for k, name in enumerate(whole.columns, start=1):
        if name in known:
            hdu.header[f"TCOMM{k}"] = known[name].description
            if known[name].unit:
                hdu.columns[k - 1].unit = _fits_unit(known[name].unit)
            if known[name].ucd:
                hdu.header[f"TUCD{k}"] = known[name].ucd
    hdu.writeto(path, overwrite=True)


def _fits_unit(unit: str) -> str:
    """Return a unit in FITS spelling, or in that of the catalogue if FITS has none."""
    from astropy.units import Unit

    try:
        return Unit(unit).to_string("fits")
    except ValueError:
        return as_ascii(unit)


def write_votable(batches: Batches, path: Path, attrs: Mapping[Any, Any]) -> None:
    """Write batches of a table, held in memory, as VOTable, with unit, UCD and description of each field."""
    whole = _joined(batches)
    table = _astropy_table(whole, attrs)
    for name, column in describe_columns(whole.columns, attrs).items():
        table[name].unit = column.unit or None
        table[name].description = column.description
        if column.ucd:
            table[name].meta["ucd"] = column.ucd
    table.write(path, format="votable", overwrite=True)


def _joined(batches: Batches) -> pd.DataFrame:
    return pd.concat(list(batches), ignore_index=True)


def _astropy_table(whole: pd.DataFrame, attrs: Mapping[Any, Any]) -> "Table":
    from astropy.table import Table

    # Neither format supports missing truth values.
    truth = {name: "Int64" for name in whole if whole[name].dtype == "boolean"}
    # Older versions of pandas store text with missing values as objects, which neither format supports.
    missing = {name: "" for name in whole if whole[name].dtype == object}
    table = Table.from_pandas(whole.astype(truth).fillna(missing) if missing else whole.astype(truth))
    for name in table.colnames:
        if hasattr(table[name], "mask") and table[name].dtype.kind == "i":
            # Value that FITS uses for missing integers: astropy's own, 999999, may be a valid one.
            table[name].fill_value = np.iinfo(table[name].dtype).min
    table.meta["PREVAL"] = attrs.get("prevalence")
    table.meta["CREATOR"] = f"gridlens {version('gridlens')}"
    return table
