"""What one worker reads at a time."""

from __future__ import annotations

import bisect
import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

import pandas as pd

from gridlens.cutouts._chunks import RowRange
from gridlens.cutouts._scan import Entry

__all__ = ["Parcel", "Parcels", "frame_digest", "stamp"]


class Parcel(NamedTuple):
    """Some files, or some of the cutouts of one file: the same split of the same files every time."""

    entries: tuple[Entry, ...]
    rows: RowRange | None = None
    """of the only entry, or of what is no files; None for all"""

    def halves(self) -> list[Parcel]:
        """The parcel in two, by its rows; none where it holds a single one."""
        start, stop = self.rows or (0, 0)
        middle = (start + stop) // 2
        return [self._replace(rows=(start, middle)), self._replace(rows=(middle, stop))] if stop - start > 1 else []


class Parcels(Sequence[Parcel]):
    """A list of partitions that makes those of one file as they are asked for: a file may hold, or claim, billions."""

    def __init__(self) -> None:
        # Each file with its cutouts and the cutouts in a partition (0, 0: all), and the partitions up to its end.
        self._files: list[tuple[Parcel, int, int]] = []
        self._ends: list[int] = []

    def add(self, parcel: Parcel) -> None:
        """Add a partition."""
        self._append(parcel, 0, 0, 1)

    def add_rows(self, entry: Entry, n: int, size: int) -> None:
        """Add the `n` cutouts of an entry, `size` to a partition; one partition if there is none."""
        self._append(Parcel((entry,)), n, size, max(1, -(-n // size)))

    def _append(self, parcel: Parcel, n: int, size: int, count: int) -> None:
        self._files.append((parcel, n, size))
        self._ends.append(len(self) + count)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Parcel: ...

    @overload
    def __getitem__(self, index: slice) -> list[Parcel]: ...

    def __getitem__(self, index: int | slice) -> Parcel | list[Parcel]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        k = bisect.bisect_right(self._ends, index)
        parcel, n, size = self._files[k]
        start = (index - (self._ends[k - 1] if k else 0)) * size
        return parcel._replace(rows=(start, min(start + size, n))) if n else parcel


def stamp(path: str) -> list[int | str]:
    """Return size, time of the last change and of the last change of the inode (ns) and inode of a file.

    Two stamps that are equal are those of one file with one content: a program that restores the time of a file that it
    changed still changes its inode's. A folder has a fifth value, the digest of the stamps of all files below it, and
    a missing file the stamp ``[-1]``.
    """
    try:
        status = os.stat(path)
    except OSError:
        return [-1]
    stamped: list[int | str] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    if not os.path.isdir(path):
        return stamped
    inside = hashlib.sha256()
    for name in _files_below(path):
        inside.update(repr((os.path.relpath(name, path), stamp(name))).encode())
    return [*stamped, inside.hexdigest()]


def _files_below(folder: str) -> Iterator[str]:
    """Yield all files below a folder, in an order that depends on their names alone."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(parent, name) for name in sorted(names))


def frame_digest(frame: pd.DataFrame) -> str:
    """Return a digest of the names and values of a table, in their order."""
    values = hashlib.sha256(repr(list(frame.columns)).encode())
    try:
        values.update(pd.util.hash_pandas_object(frame).to_numpy().tobytes())
    except (TypeError, ValueError):  # cells that are lists, or text that is not UTF-8
        values.update(repr(frame.to_dict("split")).encode())
    return values.hexdigest()
