"""Reader of Parquet tables: a single file, or a folder of files as in HATS catalogues."""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridlens._table_source import UNNAMED_INDEX, TableError, check_width, text_column

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ParquetTable", "parquet_files"]

# A constant column takes a few bytes per million rows; a file beyond both limits is probably damaged.
_FREE_BYTES = 256 * 1024**2
_MAX_RATIO = 1000
# pandas types that support missing values.
_NULLABLE = {f"int{bits}": f"Int{bits}" for bits in (8, 16, 32, 64)} | {"bool": "boolean"}
_NULLABLE |= {f"u{name}": f"U{nullable}" for name, nullable in _NULLABLE.items() if name != "bool"}
_COLLECTION, _PRIMARY = "collection.properties", "hats_primary_table_url"


class ParquetTable:
    """Table in one or several Parquet files with the same columns; a `gridlens._table_source.TableSource`.

    An index that pandas wrote is read as ordinary columns. Lists and structures are skipped.
    """

    typed = True
    units: dict[str, str]

    def __init__(self, paths: list[Path]) -> None:
        import pyarrow.parquet as pq

        self._paths = paths
        schema = pq.read_schema(paths[0])
        check_width(len(schema.names))
        self.names = [name for name in schema.names if schema.names.count(name) == 1 and _is_flat(schema.field(name))]
        self.units = {name: unit for name in self.names if (unit := _unit(schema.field(name)))}
        self.notes: list[str] = []
        self.attrs = json.loads((schema.metadata or {}).get(b"PANDAS_ATTRS", b"{}"))

    def read(self, names: Collection[str] | None, text: Collection[str]) -> pd.DataFrame:
        """Read the rows, see `TableSource`."""
        wanted = [name for name in self.names if names is None or name in names]
        parts = [self._part(path, wanted, text) for path in self._paths]
        return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)

    def _part(self, path: Path, wanted: list[str], text: Collection[str]) -> pd.DataFrame:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            missing = [name for name in wanted if name not in file.schema_arrow.names]
            if missing:
                raise TableError(
                    f"its file {path} lacks the column {missing[0]!r} of {self._paths[0]}",
                    "Give one catalogue, whose files have the same columns.",
                )
            _check_size(file, path, len(wanted))
            table = file.read(columns=wanted)
        columns = {name: _column(table[name], name in text) for name in wanted}
        return pd.DataFrame(columns, index=range(table.num_rows))


def parquet_files(folder: Path) -> list[Path]:
    """List the Parquet files of a table in a folder, sorted; a HATS collection names its own.

    Raises
    ------
    TableError
        If the folder contains no Parquet file.
    """
    collection = folder / _COLLECTION
    if collection.is_file():
        folder = _primary(collection)
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] not in "._")
        # beside the data are _metadata and _common_metadata
        found += [Path(place) / name for name in files if name.endswith((".parquet", ".pq")) and name[0] not in "._"]
    if not found:
        raise TableError("it is a folder without Parquet files", "Give a table, or a folder of Parquet files.")
    return sorted(found)


def _primary(collection: Path) -> Path:
    """Return the folder of the catalogue itself, without its margins and indices, which repeat its rows."""
    with open(collection, encoding="utf-8", errors="replace") as lines:
        pairs = [line.partition("=") for line in lines]
    name = next((value.strip() for key, _, value in pairs if key.strip() == _PRIMARY), "")
    folder = collection.parent / name
    if not name or not folder.is_dir() or folder.resolve().parent != collection.parent.resolve():
        raise TableError(f"its {_COLLECTION} names no catalogue in it", "Give the folder of the catalogue itself.")
    return folder


def _is_flat(field: "pa.Field") -> bool:
    """Return whether a column has one value per row; an unnamed index counts if it is text."""
    from pyarrow import types

    kind = field.type.value_type if types.is_dictionary(field.type) else field.type
    if field.name == UNNAMED_INDEX:
        return types.is_string(kind) or types.is_large_string(kind)
    return not types.is_nested(kind)


def _unit(field: "pa.Field") -> str:
    """Return the unit that astropy and LSDB store with a column."""
    return (field.metadata or {}).get(b"unit", b"").decode(errors="replace")


def _check_size(file: Any, path: Path, columns: int) -> None:
    claimed, size = 8 * file.metadata.num_rows * columns, os.path.getsize(path)
    if claimed > max(_FREE_BYTES, _MAX_RATIO * size):
        raise TableError(f"it declares {file.metadata.num_rows} rows in {size} bytes", "Write it again.")


def _column(column: "pa.ChunkedArray", is_text: bool) -> "pd.Series[Any]":
    from pyarrow import types

    if not is_text:
        if column.null_count and (types.is_integer(column.type) or types.is_boolean(column.type)):
            # pandas would convert integers to floats, which hold 16 digits
            return pd.Series(pd.array(column.to_pylist(), dtype=_NULLABLE[str(column.type)]))
        return column.to_pandas()
    # pandas would convert integers with a missing one to floats, and Python has only one length of float
    return text_column(column.to_numpy() if types.is_floating(column.type) else column.to_pylist())
