"""The inspected table of scores, most of which stays on disk."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gridlens._ids import as_ids
from gridlens._tables import read_table, some_names
from gridlens.errors import GridlensError

__all__ = ["ScoreTable", "release_memory", "share_arenas"]

# Columns on which the choice of a queue depends.
_QUEUED = ("p_lens", "score", "disagreement", "status", "arc_distance", "arcness", "arc_color_gr", "arc_snr")
# M_ARENA_MAX in glibc's malloc.h.
_ARENA_MAX = -8
# Number of rows decoded at a time to find a few of them.
_BATCH = 16_384


class ScoreTable:
    """A table of scores on disk. Ids and paths are in memory; other columns are read when needed.

    Parameters
    ----------
    path : str or path
        Table written by `gridlens score`: parquet, which opens fastest, csv, fits or votable.

    Raises
    ------
    GridlensError
        If the table cannot be read, lacks a column, is empty, or has a blank or repeated id.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._source = _opened(self.path)
        names = self.columns
        self._id = next((name for name in ("object_id", "id") if name in names), "")
        if not self._id or not {"score", "p_lens"} & set(names):
            raise GridlensError(
                f"A table of scores must have the columns id, and score or p_lens. {self.path} has "
                f"{some_names(names)} instead; `gridlens score` writes such a table."
            )
        kept = self._read([self._id, *(["path"] if "path" in names else [])])
        self._ids = _id_column(kept.column(0))
        self._paths = kept.column(1).cast(pa.string()) if kept.num_columns > 1 else None
        del kept
        self._check_ids()
        # Row numbers of the ids that were requested, few in a large table.
        self._rows: dict[str, int] = {}
        release_memory()

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        source = self._source
        return list(source.column_names if isinstance(source, pa.Table) else source.schema_arrow.names)

    @property
    def ids(self) -> list[str]:
        """Ids of all objects, in the order of the rows."""
        return [str(name) for name in self._ids.to_pylist()]

    @property
    def paths(self) -> list[str]:
        """Distinct values of the column `path`; empty without this column."""
        found = [] if self._paths is None else pc.unique(self._paths).to_pylist()
        return [str(path) for path in found if path]

    def __len__(self) -> int:
        return len(self._ids)

    def _check_ids(self) -> None:
        distinct = pc.count_distinct(self._ids).as_py()
        blank = pc.any(pc.equal(self._ids, "")).as_py()
        if not len(self._ids):
            raise GridlensError(f"The table of scores {self.path} is empty. Score some cutouts first.")
        if blank or distinct < len(self._ids):
            wrong = "a blank id" if blank else f"{len(self._ids) - distinct} ids twice"
            raise GridlensError(
                f"The table of scores {self.path} must name each object once. Got {wrong} instead; remove such rows."
            )

    def rows_of(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the row numbers of the ids that are in the table."""
        unknown = [name for name in ids if name not in self._rows]
        if unknown:
            # With the arguments swapped, arrow would index all ids of the table.
            places = pc.index_in(self._ids, value_set=pa.array(unknown, pa.string()))
            rows = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
            self._rows |= {unknown[k]: int(row) for k, row in zip(places.take(rows).to_pylist(), rows, strict=True)}
        return {name: self._rows[name] for name in ids if name in self._rows}

    def places(self, ids: Sequence[str]) -> pd.DataFrame:
        """Return `id` and `path` ("" if unknown) of the ids that are in the table."""
        found = self.rows_of(ids)
        rows = pa.array(list(found.values()), pa.int64())
        paths = [""] * len(found) if self._paths is None else self._paths.take(rows).fill_null("").to_pylist()
        return pd.DataFrame({"id": list(found), "path": paths}, dtype=object)

    def values(self, ids: Sequence[str], columns: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return the values of rows by id, then by column; missing numbers are None.

        Parameters
        ----------
        ids : sequence of str
            Ids that are not in the table are left out.
        columns : iterable of str, default=None
            Columns that the table lacks are left out. If None, all columns.
        """
        wanted = sorted((row, name) for name, row in self.rows_of(ids).items())
        chosen = [name for name in self.columns if columns is None or name in set(columns)]
        found: dict[str, dict[str, Any]] = {}
        first = 0
        for batch in self._batches(chosen):
            while wanted and wanted[0][0] < first + len(batch):
                row, name = wanted.pop(0)
                cells = batch.slice(row - first, 1).to_pylist()[0]
                found[name] = {column: _plain(value) for column, value in cells.items()}
            if not wanted:
                break
            first += len(batch)
        release_memory()
        return found

    def best(self, n: int) -> list[str]:
        """Return the ids of the n best scored objects, best first."""
        names = [name for name in ("p_lens", "score", "status") if name in self.columns]
        table = self._read(names).append_column("id", self._ids)
        if "status" in names:
            table = table.filter(pc.equal(table["status"], "ok"))
        keys = [(name, "descending") for name in names if name != "status"]
        return [
            str(name) for name in table.take(pc.select_k_unstable(table, min(n, len(table)), keys))["id"].to_pylist()
        ]

    def candidates(self) -> pd.DataFrame:
        """Return the columns that `add_next_queue` uses to choose objects, for all rows."""
        table = self._read([name for name in _QUEUED if name in self.columns])
        frame = table.to_pandas()
        del table
        frame.insert(0, "object_id", pd.Series(self._ids.to_numpy(zero_copy_only=False), dtype=object))
        return frame

    def positions(self, ids: Sequence[str]) -> pd.DataFrame:
        """Return `object_id`, `ra` and `dec` (deg, or NaN) and `source` of the ids that are in the table."""
        places = self.places(ids)
        known = self.values(list(places["id"]), ("ra", "dec"))
        frame = pd.DataFrame({"object_id": places["id"], "source": places["path"]})
        for name in ("ra", "dec"):
            frame[name] = [_number(known.get(one, {}).get(name)) for one in places["id"]]
        return frame

    def _read(self, names: Sequence[str]) -> pa.Table:
        if isinstance(self._source, pa.Table):
            return self._source.select(list(names))
        return self._source.read(columns=list(names)).combine_chunks()

    def _batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        if isinstance(self._source, pa.Table):
            yield from self._source.select(names).to_batches(_BATCH)
        else:
            yield from self._source.iter_batches(_BATCH, columns=names)


def share_arenas() -> None:
    """Let all threads of this process share two arenas, so that memory freed by one thread is reused by others."""
    with contextlib.suppress(OSError, AttributeError):  # only glibc has this function
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def release_memory() -> None:
    """Return freed memory to the system, because large tables leave much of it behind."""
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


def _opened(path: Path) -> pa.Table | pq.ParquetFile:
    """Open a parquet file, or read a table in another format completely."""
    if path.suffix.lower() != ".parquet":
        return pa.Table.from_pandas(read_table(path, text=("object_id",)), preserve_index=False)
    if not path.is_file():
        raise GridlensError(f"There is no table {path}. Name a file that exists.")
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as exc:
        raise GridlensError(f"The table {path} cannot be read: {exc}") from exc


def _id_column(column: pa.ChunkedArray) -> pa.Array:
    """Return ids as normalised text; see `gridlens._ids.as_id`."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = column.cast(pa.string()).fill_null("")
        spelled = pc.and_(pc.equal(text, pc.utf8_trim_whitespace(text)), pc.utf8_is_printable(text))
        if not len(text) or pc.all(spelled).as_py():
            return text.combine_chunks()
        column = text
    return pa.array(as_ids(column.to_pandas()), pa.string())


def _plain(value: Any) -> Any:
    """Return a value in a form that JSON supports."""
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
