"""Partitions: the units of work that a worker reads at a time."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import NamedTuple, overload

from gridlens.cutouts.readers._chunks import RowRange
from gridlens.cutouts.readers._scan import Entry

__all__ = ["Partition", "Partitions"]


class Partition(NamedTuple):
    """A group of files, or a range of the cutouts of one file."""

    entries: tuple[Entry, ...]
    rows: RowRange | None = None
    """range in the single entry, or in a source without files; None for all"""

    def halves(self) -> list[Partition]:
        """Split the partition by its rows into two; return an empty list if it holds a single row."""
        start, stop = self.rows or (0, 0)
        middle = (start + stop) // 2
        return [self._replace(rows=(start, middle)), self._replace(rows=(middle, stop))] if stop - start > 1 else []


class Partitions(Sequence[Partition]):
    """A sequence of partitions that are created on access, since a file may hold, or claim, billions of cutouts.

    Parameters
    ----------
    entries : sequence of Entry
        The entries to split.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        # Runs of entries: start, stop, cutouts of a single entry and cutouts per partition (0, 0 means whole entries).
        # `_ends` has the number of partitions up to the end of each run.
        self._runs: list[tuple[int, int, int, int]] = []
        self._ends: list[int] = []

    def add(self, start: int, stop: int) -> None:
        """Add the entries from `start` to `stop` as one partition."""
        self._append(start, stop, 0, 0, 1)

    def add_rows(self, k: int, n: int, size: int) -> None:
        """Add the `n` cutouts of entry `k`, `size` per partition; one partition if `n` is 0."""
        self._append(k, k + 1, n, size, max(1, -(-n // size)))

    def _append(self, start: int, stop: int, n: int, size: int, count: int) -> None:
        self._runs.append((start, stop, n, size))
        self._ends.append(len(self) + count)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Partition: ...

    @overload
    def __getitem__(self, index: slice) -> list[Partition]: ...

    def __getitem__(self, index: int | slice) -> Partition | list[Partition]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        k = bisect.bisect_right(self._ends, index)
        first, stop, n, size = self._runs[k]
        partition = Partition(tuple(self._entries[first:stop]))
        start = (index - (self._ends[k - 1] if k else 0)) * size
        return partition._replace(rows=(start, min(start + size, n))) if n else partition
