"""Feature caches as a source of partitions."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gridlens._ids import as_ids
from gridlens.cutouts import CutoutFlag, ReadFailure
from gridlens.cutouts._conventions import CatalogLike
from gridlens.cutouts.catalogs._join import CatalogJoin, JoinGaps
from gridlens.cutouts.catalogs._kept import KeptColumns
from gridlens.errors import GridlensError
from gridlens.features import FeatureCache, Measured
from gridlens.sources._partition import Partition
from gridlens.sources._stamps import catalog_digest, stamp

__all__ = ["CacheSource"]

# Rows of a partition: two seconds of work for the default stack. Each partition decodes whole row groups, which are
# larger; with fewer rows, decoding would take longer than the work.
_PARTITION_ROWS = 2048
_BATCH_ROWS = 512


class CacheSource:
    """Feature caches, read in partitions, in any order and in any number of processes.

    Parameters
    ----------
    paths : str, path or sequence of them
        Files written by `gridlens features`.
    catalog, columns
        As in `CutoutSet.read`, used for `keep_columns` only: metadata were joined when the cutouts were measured.
    keep_columns : sequence of str, default=()
        Columns of the catalogue that are added to each cutout's row of a score table.

    Raises
    ------
    GridlensError
        A file is missing, damaged, not a feature cache or of another contract version, or the catalogue cannot be read.
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        catalog: CatalogLike | None = None,
        columns: Mapping[str, str] | None = None,
        keep_columns: Sequence[str] = (),
    ) -> None:
        given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        if not given:
            raise GridlensError("The 'paths' parameter must name at least one feature cache. Got none instead.")
        self._caches = [FeatureCache(path) for path in given]
        self._catalog, self._columns, self._keep = catalog, columns, tuple(keep_columns)
        self._join = self._make_join()

    def __getstate__(self) -> dict[str, Any]:
        # Other processes read the catalogue themselves.
        return {**self.__dict__, "_join": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._join = self._make_join()

    def _make_join(self) -> CatalogJoin | None:
        if self._catalog is None or not self._keep:
            return None
        return CatalogJoin(self._catalog, self._columns, self._keep)

    @property
    def kept(self) -> KeptColumns | None:
        """Catalogue columns kept for each cutout, or None."""
        return None if self._join is None else self._join.kept

    @property
    def n(self) -> int:
        """Number of cutouts."""
        return sum(len(cache) for cache in self._caches)

    def partitions(self) -> list[Partition]:
        """Split the rows of all caches into partitions, in order."""
        return [
            Partition((), (start, min(start + _PARTITION_ROWS, self.n))) for start in range(0, self.n, _PARTITION_ROWS)
        ]

    def find(self, ids: Collection[str], paths: Collection[str] = ()) -> list[Partition]:
        """Return a partition for each row with one of the ids; `paths` is ignored."""
        import pyarrow.parquet as pq

        wanted = set(ids)
        found = [pq.read_table(cache.path, columns=["id"])["id"].to_pylist() for cache in self._caches]
        rows = [k for k, name in enumerate(as_ids(itertools.chain(*found))) if name in wanted]
        return [Partition((), (k, k + 1)) for k in rows]

    @property
    def record(self) -> list[dict[str, Any]]:
        """Return each cache with its number of rows and the digest of its source."""
        return [{"path": str(cache.path), "rows": len(cache), "source": cache.source} for cache in self._caches]

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `open_source` that open the caches again."""
        return {"source": [str(cache.path) for cache in self._caches]}

    def read(self, partition: Partition, gaps: JoinGaps | None = None) -> Iterator[Measured]:
        """Read a partition in batches.

        No metadata are joined, so only the rows of the catalogue are added to `gaps`, for kept columns.
        """
        start, stop = partition.rows or (0, self.n)
        for cache in self._caches:
            if start < len(cache) and stop > 0:
                for measured in cache.batches(max(start, 0), min(stop, len(cache)), size=_BATCH_ROWS):
                    if self._join is not None and gaps is not None:
                        rows = self._join.find(measured.ids, measured.radec, JoinGaps())
                        gaps.remember(measured.ids.tolist(), measured.paths.tolist(), rows.tolist())
                    yield measured
            start, stop = start - len(cache), stop - len(cache)

    def split(self, partition: Partition) -> list[Partition]:
        """Return the halves of a partition; an empty list if it holds a single row."""
        return partition.halves()

    def lost(self, partition: Partition, message: str) -> ReadFailure:
        """Return the failure for a row that crashes every process that scores it."""
        (measured,) = self.read(partition)
        return ReadFailure(measured.ids[0], measured.paths[0], message, int(CutoutFlag.FAILED))

    def identity(self) -> dict[str, str]:
        """Return a digest of the caches."""
        files = [(str(cache.path), stamp(str(cache.path)), cache.source) for cache in self._caches]
        known = {"feature caches": hashlib.sha256(repr(files).encode()).hexdigest()}
        if not self._keep:
            return known
        columns = (sorted((self._columns or {}).items()), self._keep)
        digest = hashlib.sha256(repr((catalog_digest(self._catalog), columns)).encode()).hexdigest()
        return {**known, "catalogue": digest}
