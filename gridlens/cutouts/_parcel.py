"""What one worker reads at a time."""

from __future__ import annotations

import os
from typing import NamedTuple

from gridlens.cutouts._chunks import RowRange
from gridlens.cutouts._scan import Entry

__all__ = ["Parcel", "stamp"]


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


def stamp(path: str) -> list[int]:
    """Size and time of the last change (ns) of a file or folder, to tell whether it has changed; [-1] for none."""
    try:
        status = os.stat(path)
    except OSError:
        return [-1]
    return [status.st_size, status.st_mtime_ns]
