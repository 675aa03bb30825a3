"""Selected cutouts of a source, found by their ids without reading the whole source."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from gridlens.cutouts import CutoutBatch, ReadFailure
from gridlens.cutouts.catalogs._join import JoinGaps
from gridlens.features import Measured
from gridlens.sources._partition import Partition
from gridlens.sources._source import Source

__all__ = ["Selection"]


class Selection:
    """The cutouts of a source with given ids; itself a source.

    Parameters
    ----------
    source : Source
    ids : collection of str
    paths : collection of str, default=()
        Their files, if known; see `Source.find`.
    """

    kept = None

    def __init__(self, source: Source, ids: Collection[str], paths: Collection[str] = ()) -> None:
        self._source, self._ids = source, frozenset(ids)
        self._partitions = list(source.find(self._ids, paths))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_partitions": []}

    @property
    def n(self) -> int:
        """Number of ids."""
        return len(self._ids)

    @property
    def record(self) -> list[dict[str, Any]]:
        """Return the same as the underlying source."""
        return self._source.record

    @property
    def arguments(self) -> dict[str, Any] | None:
        """Return the same as the underlying source."""
        return self._source.arguments

    def partitions(self) -> Sequence[Partition]:
        """Return the partitions that hold the cutouts."""
        return self._partitions

    def find(self, ids: Collection[str], paths: Collection[str] = ()) -> Sequence[Partition]:
        """Do the same as the underlying source."""
        return self._source.find(self._ids & set(ids), paths)

    def read(self, partition: Partition, gaps: JoinGaps | None = None) -> Iterator[CutoutBatch | Measured]:
        """Read the cutouts of a partition that have one of the ids."""
        # Gaps of the other cutouts are discarded.
        for batch in self._source.read(partition, JoinGaps()):
            if isinstance(batch, Measured):
                yield batch[self._rows(batch.ids)]
                continue
            failures = [failure for failure in batch.failures if failure.id in self._ids]
            rows = self._rows([] if batch.cutouts is None else batch.cutouts.ids)
            if len(rows) or failures:
                yield CutoutBatch(batch.cutouts[rows] if batch.cutouts is not None and len(rows) else None, failures)

    def _rows(self, ids: Collection[str]) -> np.ndarray:
        return np.flatnonzero([name in self._ids for name in ids])

    def split(self, partition: Partition) -> list[Partition]:
        """Do the same as the underlying source."""
        return self._source.split(partition)

    def lost(self, partition: Partition, message: str) -> ReadFailure:
        """Do the same as the underlying source."""
        return self._source.lost(partition, message)

    def identity(self) -> dict[str, str]:
        """Return the identity of the source, with a digest of the ids."""
        ids = hashlib.sha256(repr(sorted(self._ids)).encode()).hexdigest()
        return {**self._source.identity(), "selected ids": ids}
