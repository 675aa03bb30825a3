"""What one worker reads at a time."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import NamedTuple, overload

from gridlens.cutouts.readers._chunks import RowRange
from gridlens.cutouts.readers._scan import Entry

__all__ = ["Partition", "Partitions"]


class Partition(NamedTuple):
    """Some files, or some of the cutouts of one file: the same split of the same files every time."""

    entries: tuple[Entry, ...]
    rows: RowRange | None = None
    """of the only entry, or of what is no files; None for all"""

    def halves(self) -> list[Partition]:
        """The partition in two, by its rows; none where it holds a single one."""
        start, stop = self.rows or (0, 0)
        middle = (start + stop) // 2
        return [self._replace(rows=(start, middle)), self._replace(rows=(middle, stop))] if stop - start > 1 else []


class Partitions(Sequence[Partition]):
    """A list of partitions that are made as they are asked for: a file may hold, or claim, billions of cutouts.

    Parameters
    ----------
    entries : sequence of Entry
        What is split.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        # Each run of entries from one to another, with the cutouts of a single entry and the cutouts in a partition
        # (0, 0: all), and the partitions up to its end.
        self._runs: list[tuple[int, int, int, int]] = []
        self._ends: list[int] = []

    def add(self, start: int, stop: int) -> None:
        """Add the entries from `start` to `stop` as one partition."""
        self._append(start, stop, 0, 0, 1)

    def add_rows(self, k: int, n: int, size: int) -> None:
        """Add the `n` cutouts of entry `k`, `size` to a partition; one partition if there is none."""
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
