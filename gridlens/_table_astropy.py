"""Tables that astropy reads: as a source of columns, and from its text formats."""

import warnings
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from gridlens._table_source import text_column

__all__ = ["AstropyTable", "read_ascii"]


class AstropyTable:
    """Table from astropy; a `gridlens._table_source.TableSource`. Columns of arrays are skipped."""

    typed = True

    def __init__(self, table: Any) -> None:
        from astropy.coordinates import SkyCoord

        for name in [name for name in table.colnames if isinstance(table[name], SkyCoord)]:
            sky = table[name].icrs
            table.remove_column(name)
            table[f"{name} ra" if "ra" in table.colnames else "ra"] = sky.ra.deg
            table[f"{name} dec" if "dec" in table.colnames else "dec"] = sky.dec.deg
        self._table = table
        self.names = [name for name in table.colnames if getattr(table[name], "ndim", 1) == 1]
        units = {name: getattr(table[name], "unit", None) for name in self.names}
        self.units = {name: str(unit) for name, unit in units.items() if unit is not None}
        self.notes: list[str] = []

    def read(self, names: Collection[str] | None, text: Collection[str]) -> pd.DataFrame:
        """Read the rows, see `TableSource`."""
        wanted = [name for name in self.names if names is None or name in names]
        others = [name for name in wanted if name not in text]
        masked = [name for name in others if _is_masked_integer(self._table[name])]
        plain = [name for name in others if name not in masked]
        numbers = self._table[plain].to_pandas() if plain else pd.DataFrame(index=range(len(self._table)))
        columns = {name: text_column(self._column(name)) if name in text else numbers.get(name) for name in wanted}
        columns |= {name: _integers(self._table[name]) for name in masked}
        return pd.DataFrame(columns, index=range(len(self._table)))

    def _column(self, name: str) -> Any:
        column = self._table[name]
        return np.ma.asarray(column) if hasattr(column, "mask") else np.asarray(column)


def _is_masked_integer(column: Any) -> bool:
    return hasattr(column, "mask") and column.dtype.kind in "iu"


def _integers(column: Any) -> pd.api.extensions.ExtensionArray:
    """Return masked integers as pandas integers with missing values; older versions go through floating point."""
    values = np.ma.asarray(column)
    native = values.filled(0).astype(values.dtype.newbyteorder("="))
    return pd.arrays.IntegerArray(native, np.ma.getmaskarray(values).copy())


def read_ascii(text: str, format: str) -> AstropyTable:
    """Read text in one of astropy's formats, such as "ascii.ecsv"."""
    from astropy.table import Table

    with warnings.catch_warnings():
        # warnings on the units and versions of a table do not help the user
        warnings.simplefilter("ignore")
        table = Table.read(text.splitlines(), format=format)
    if format == "ascii.cds":
        _join_sexagesimal(table)
    return AstropyTable(table)


def _join_sexagesimal(table: Any) -> None:
    """Add positions in degrees if hours, minutes and seconds have separate columns, as in the CDS standard."""
    for name, sign, parts, unit in (
        ("RAdeg", "", ("RAh", "RAm", "RAs"), 15.0),
        ("DEdeg", "DE-", ("DEd", "DEm", "DEs"), 1.0),
    ):
        if name in table.colnames or not set(parts) <= set(table.colnames):
            continue
        whole, minutes, seconds = (np.ma.filled(np.ma.asarray(table[part], dtype=np.float64), np.nan) for part in parts)
        degrees = unit * (whole + minutes / 60 + seconds / 3600)
        if sign in table.colnames:
            degrees[np.ma.filled(np.ma.asarray(table[sign]), "") == "-"] *= -1.0
        table[name] = degrees
        table[name].unit = "deg"
