"""Reader of tables in FITS files, after validation of their headers."""

from collections.abc import Collection
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from gridlens._fits_headers import HeaderError, check_file
from gridlens._table_source import Rank, TableError, choose_table, text_column

__all__ = ["FitsTable"]

_AGAIN = "Download or write it again."


class FitsTable:
    """Table of a FITS file; a `gridlens._table_source.TableSource`. Columns of arrays are skipped.

    Parameters
    ----------
    file : binary file
        Decompressed file; it is kept open.
    size : int
        Size of the file, bytes.
    rank : callable
        Selects among several tables.
    """

    typed = True

    def __init__(self, file: BinaryIO, size: int, rank: Rank) -> None:
        tables = _tables(file, size)
        names = [_one_value_names(hdu) for hdu in tables]
        chosen = choose_table([(hdu.name, columns) for hdu, columns in zip(tables, names, strict=True)], rank)
        self._hdu, self.names = tables[chosen], names[chosen]
        self.units = {name: self._hdu.columns[name].unit for name in self.names if self._hdu.columns[name].unit}
        self.notes: list[str] = []

    def read(self, names: Collection[str] | None, text: Collection[str]) -> pd.DataFrame:
        """Read the rows, see `TableSource`."""
        wanted = [name for name in self.names if names is None or name in names]
        columns = {name: self._column(name, name in text) for name in wanted}
        return pd.DataFrame(columns, index=range(len(self._hdu.data)))

    def _column(self, name: str, is_text: bool) -> Any:
        """Return the values of a column; missing ones are "", NaN or pandas' missing integers."""
        column, values = self._hdu.columns[name], np.asarray(self._hdu.data[name])
        missing = np.zeros(len(values), dtype=bool)
        if isinstance(column.null, int) and values.dtype.kind in "iuf":
            # TNULL is the stored value
            missing = values == column.null * (column.bscale or 1) + (column.bzero or 0)
        if values.dtype.kind in "SU" or is_text:
            return text_column(np.ma.array(values, mask=missing) if missing.any() else values)
        values = values.astype(values.dtype.newbyteorder("="))
        if missing.any() and values.dtype.kind in "iu":
            return pd.Series(pd.arrays.IntegerArray(values, missing))
        return pd.Series(np.where(missing, np.nan, values) if missing.any() else values)


def _tables(file: BinaryIO, size: int) -> list[Any]:
    """Return the tables of a file.

    Raises
    ------
    TableError
        If a header is damaged, or there is no table.
    """
    from astropy.io import fits

    try:
        check_file(file, size)
    except HeaderError as exc:
        raise TableError(exc.reason, exc.way_out) from exc
    except EOFError as exc:
        raise TableError(str(exc), _AGAIN) from exc
    file.seek(0)
    tables = [hdu for hdu in fits.open(file, memmap=False) if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
    if any(hdu.header.get("ZTABLE") is True for hdu in tables):
        raise TableError("its table is compressed with fpack", "Decompress it with funpack.")
    if not tables:
        raise TableError("it is a FITS file without a table", "Give a file with a table.")
    for hdu in tables:
        _check_columns(hdu)
    return tables


def _check_columns(hdu: Any) -> None:
    """Raise TableError if the columns of a table do not add up to its rows."""
    try:
        width = hdu.columns.dtype.itemsize
    except Exception as exc:
        raise TableError(f"the types of its columns are damaged ({exc})", _AGAIN) from exc
    stated = hdu.header["NAXIS1"]
    if width > stated or (width < stated and type(hdu).__name__ == "BinTableHDU"):
        raise TableError(f"its columns take {width} bytes per row, but its header declares {stated}", _AGAIN)


def _one_value_names(hdu: Any) -> list[str]:
    """Return the names of the columns with one value per row, without repetition."""
    columns = hdu.columns
    shapes = [columns.dtype[k].shape for k in range(len(columns))]
    return list(dict.fromkeys(name for name, shape in zip(columns.names, shapes, strict=True) if not shape))
