"""Cutouts of a table of scores, read by id and cached."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.triage._scores import ScoreTable, release_memory
from gridlens.triage._views import pixel_sha256

if TYPE_CHECKING:
    from gridlens.explain._remembered import Remembered
    from gridlens.sources._selection import Selection

__all__ = ["CutoutReader"]

_MOST_BYTES = 28 * 1024**2
# Largest number of cutouts of one file that are read together.
_MOST_BESIDE = 100


class CutoutReader:
    """Read cutouts by id, in any thread, without reading the files of others.

    Parameters
    ----------
    table : ScoreTable
    past : Remembered
        How the table was made.
    stated : mapping
        Arguments of `open_source`, which take precedence.
    elsewhere : mapping of str to str, optional
        Files of objects that are not in the table, such as injected gold objects.
    """

    def __init__(
        self,
        table: ScoreTable,
        past: Remembered,
        stated: Mapping[str, Any],
        elsewhere: Mapping[str, str] | None = None,
    ) -> None:
        self._table, self._past, self._stated = table, past, dict(stated)
        self._elsewhere = dict(elsewhere or {})
        # Only one thread reads at a time, but cached cutouts are returned without waiting for it.
        self._lock, self._cache_lock = threading.Lock(), threading.Lock()
        self._kept: OrderedDict[str, tuple[CutoutSet, str]] = OrderedDict()
        self._bytes = 0
        # Cutouts that share one source, because opening a source may require reading a catalogue.
        self._together: dict[str, int] = {}
        self._selection: Selection | None = None
        self._paths: dict[str, str] = {}

    def expect(self, ids: Iterable[str]) -> None:
        """Announce the cutouts that will be read, such as those of a queue, so that one source is opened for all."""
        with self._lock:
            if (named := {name: place for place, name in enumerate(ids)}) != self._together:
                self._together, self._selection = named, None

    def read(self, name: str) -> tuple[CutoutSet, str]:
        """Return a cutout and the SHA-256 of its pixels.

        Raises
        ------
        GridlensError
            If the object is unknown, or its cutout cannot be read.
        """
        if (found := self._cached(name)) is not None:
            return found
        with self._lock:
            # Another thread may have read it in the meantime.
            if (found := self._cached(name)) is None:
                found = self._fetch(name)
        return found

    def prefetch(self, names: Sequence[str]) -> list[str]:
        """Read cutouts ahead of their use; return the ids of those that can be read."""
        found = []
        for name in names:
            with contextlib.suppress(GridlensError):
                self.read(name)
                found.append(name)
        return found

    def _cached(self, name: str) -> tuple[CutoutSet, str] | None:
        with self._cache_lock:
            if name not in self._kept:
                return None
            self._kept.move_to_end(name)
            return self._kept[name]

    def _fetch(self, name: str) -> tuple[CutoutSet, str]:
        """Read a cutout, and cache it together with the expected ones of the same file."""
        if name in self._elsewhere and not self._table.rows_of([name]):
            from gridlens.explain._remembered import NOT_REMEMBERED

            rows = pd.DataFrame({"id": [name], "path": [self._elsewhere[name]]})
            return self._take(name, self._opened(rows, NOT_REMEMBERED, {}), {name}, {name: self._elsewhere[name]})
        if name in self._together:
            if self._selection is None:
                rows = self._table.places(sorted(self._together))
                self._paths = dict(zip(rows["id"], rows["path"], strict=True))
                self._selection = self._opened(rows, self._past, self._stated)
            selection, paths = self._selection, self._paths
        else:
            rows = self._table.places([name])
            paths = dict(zip(rows["id"], rows["path"], strict=True))
            if rows.empty:
                raise GridlensError(f"There is no object with the id {name!r} in the table of scores.")
            selection = self._opened(rows, self._past, self._stated)
        if name not in paths:
            raise GridlensError(f"There is no object with the id {name!r} in the table of scores.")
        # A file of many cutouts is read once for all expected cutouts.
        return self._take(name, selection, {name, *self._beside(name, paths)}, paths)

    def _beside(self, name: str, paths: Mapping[str, str]) -> list[str]:
        """Return the next expected cutouts of the same file, as many as fit into half of the cache."""
        with self._cache_lock:
            kept = set(self._kept)
            mean = self._bytes / len(kept) if kept else _MOST_BYTES / _MOST_BESIDE / 2
        place = self._together.get(name, 0)
        same = [one for one, path in paths.items() if path and path == paths[name] and one not in kept]
        following = [one for one in same if self._together.get(one, 0) > place]
        return sorted(following, key=self._together.__getitem__)[: min(_MOST_BESIDE, int(_MOST_BYTES / 2 / mean))]

    def _opened(self, rows: pd.DataFrame, past: Remembered, stated: Mapping[str, Any]) -> Selection:
        from gridlens.explain._rows import selected_rows

        return selected_rows(rows, past, stated)

    def _take(
        self, name: str, selection: Selection, wanted: set[str], paths: Mapping[str, str]
    ) -> tuple[CutoutSet, str]:
        """Cache the wanted cutouts and return that of `name`; raise GridlensError if it is missing."""
        from gridlens._file_names import existing_paths

        files = existing_paths(paths[name], self._past.folders) if paths[name] else []
        gone = next((file for file in files if not os.path.exists(file)), None)
        if gone is not None and not self._has_other_files:
            # A file of many cutouts may contain any id, and would be searched for every missing one.
            raise GridlensError(f"The cutout of {name} cannot be read: there is no {gone!r}. Give its new location.")
        missing, left, taken, many = "", set(wanted), None, False
        for partition in selection.find(left, files):
            for batch in selection.read(partition):
                cutouts, failures = getattr(batch, "cutouts", None), getattr(batch, "failures", ())
                missing = next((one.message for one in failures if one.id == name), missing)
                if not isinstance(cutouts, CutoutSet):
                    continue
                many |= len(cutouts) > 1
                for k, one in enumerate(cutouts.ids):
                    if one in left:
                        left.discard(one)
                        # A copy, because a slice would keep the pixels of the whole batch in memory.
                        kept = self._keep(one, cutouts[[k]])
                        taken = kept if one == name else taken
            if not left:
                break
        if many:
            release_memory()
        if taken is None:
            where = f" in {paths[name]}" if paths[name] else ""
            raise GridlensError(f"The cutout of {name} cannot be read{where}. {missing or 'It is no longer there.'}")
        return taken

    @property
    def _has_other_files(self) -> bool:
        """True if cutouts may be in other files than the table states: in given files, or in survey images."""
        return self._stated.get("source") is not None or "images" in self._past.with_stated(self._stated)

    def _keep(self, name: str, cutout: CutoutSet) -> tuple[CutoutSet, str]:
        kept = cutout, pixel_sha256(cutout.pixels[0])
        with self._cache_lock:
            if (before := self._kept.pop(name, None)) is not None:
                self._bytes -= before[0].pixels.nbytes
            self._kept[name] = kept
            self._bytes += cutout.pixels.nbytes
            while self._bytes > _MOST_BYTES and len(self._kept) > 1:
                _, (dropped, _) = self._kept.popitem(last=False)
                self._bytes -= dropped.pixels.nbytes
        return kept
