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
    """A list of partitions that makes those of one file as they are asked for: a file may hold, or claim, billions."""

    def __init__(self) -> None:
        # Each file with its cutouts and the cutouts in a partition (0, 0: all), and the partitions up to its end.
        self._files: list[tuple[Partition, int, int]] = []
        self._ends: list[int] = []

    def add(self, partition: Partition) -> None:
        """Add a partition."""
        self._append(partition, 0, 0, 1)

    def add_rows(self, entry: Entry, n: int, size: int) -> None:
        """Add the `n` cutouts of an entry, `size` to a partition; one partition if there is none."""
        self._append(Partition((entry,)), n, size, max(1, -(-n // size)))

    def _append(self, partition: Partition, n: int, size: int, count: int) -> None:
        self._files.append((partition, n, size))
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
        partition, n, size = self._files[k]
        start = (index - (self._ends[k - 1] if k else 0)) * size
        return partition._replace(rows=(start, min(start + size, n))) if n else partition
