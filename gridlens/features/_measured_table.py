"""Measured cutouts as rows of an Arrow table, as stored in caches and in the parts of a run."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from gridlens._ids import as_ids, escaped
from gridlens.features._contract import CONTRACT_VERSION, FEATURE_NAMES, N_PATCHES
from gridlens.features._measured import Measured

# pyarrow is imported where it is used, which makes `import gridlens` a tenth of a second faster.
if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CONTRACT", "OPTIONAL", "SOURCE", "measured_from_table", "measured_schema", "measured_to_table"]

CONTRACT, SOURCE = b"gridlens.contract_version", b"gridlens.source"
"""keys of the metadata of a table"""
_WRITER = b"gridlens.version"
# Numbers other than the features, NaN if unknown. For each name of `Measured`: the columns, the shape per row and the
# type.
_NUMBERS: dict[str, tuple[tuple[str, ...], tuple[int, ...], type]] = {
    "valid_fraction": (("valid_fraction",), (), np.float64),
    "radec": (("ra_deg", "dec_deg"), (2,), np.float64),
    "bcg_xy": (("bcg_x", "bcg_y"), (2,), np.float64),
    "bcg_radec": (("bcg_ra", "bcg_dec"), (2,), np.float64),
    "sky_axes": (("east_per_x", "east_per_y", "north_per_x", "north_per_y"), (2, 2), np.float64),
    "arc_xy": (tuple(f"patch{k}_arc_{axis}" for k in range(N_PATCHES) for axis in "xy"), (N_PATCHES, 2), np.float32),
}
OPTIONAL = tuple(name for names, _, _ in _NUMBERS.values() for name in names)
"""columns that may be missing in caches of earlier versions"""


def measured_schema(source: str) -> pa.Schema:
    """Return the schema of a table; `source` describes the measured data."""
    import pyarrow as pa

    columns = [
        *((name, pa.string()) for name in ("id", "path")),
        ("flags", pa.int64()),
        ("rejected", pa.bool_()),
        ("message", pa.string()),
        *((name, pa.from_numpy_dtype(dtype)) for names, _, dtype in _NUMBERS.values() for name in names),
        *((name, pa.float32()) for name in FEATURE_NAMES),
    ]
    return pa.schema(
        columns,
        metadata={
            CONTRACT: str(CONTRACT_VERSION).encode(),
            SOURCE: source.encode(),
            _WRITER: version("gridlens").encode(),
        },
    )


def measured_to_table(measured: Measured, schema: pa.Schema | None = None) -> pa.Table:
    """Convert measured cutouts to rows of a cache."""
    import pyarrow as pa

    parts = [(getattr(measured, name), len(names), dtype) for name, (names, _, dtype) in _NUMBERS.items()]
    parts.append((measured.features, len(FEATURE_NAMES), np.float32))
    columns = [
        column
        for values, width, dtype in parts
        for column in np.ascontiguousarray(np.asarray(values, dtype=dtype).reshape(-1, width).T)
    ]
    arrays = [
        pa.array(measured.ids, pa.string()),
        pa.array(measured.paths, pa.string()),
        pa.array(measured.flags, pa.int64()),
        pa.array(measured.rejected, pa.bool_()),
        pa.array(measured.messages, pa.string()),
        # NaN is stored as a number, not as a null.
        *(pa.array(column, from_pandas=False) for column in columns),
    ]
    return pa.Table.from_arrays(arrays, schema=measured_schema("") if schema is None else schema)


def measured_from_table(table: pa.Table) -> Measured:
    """Convert rows of a cache to measured cutouts."""
    # Columns are stacked as rows and then transposed: writing each column into rows would touch each cache line 16
    # times.
    features = np.stack([table[name].to_numpy() for name in FEATURE_NAMES])
    numbers: dict[str, Any] = {
        name: np.stack([table[column].to_numpy() for column in columns], axis=-1).reshape(-1, *shape)
        for name, (columns, shape, _) in _NUMBERS.items()
        if set(columns) <= set(table.column_names)
    }
    numbers.setdefault("valid_fraction", np.full(table.num_rows, np.nan))
    return Measured(
        # A cache of another version may contain ids that are formatted differently.
        np.array(as_ids(table["id"].to_pylist()), dtype=object),
        _texts(table["path"]),
        np.ascontiguousarray(features.T),
        table["flags"].to_numpy(),
        table["rejected"].to_numpy(),
        _texts(table["message"]),
        **numbers,
    )


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    """Return a text column as objects, escaping characters that caches of earlier versions may contain."""
    return np.array([escaped(text or "") for text in column.to_pylist()], dtype=object)
