"""A reader of any number of cutouts that many workers share: each reads partitions of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from gridlens.cutouts._batch import CutoutBatch, ReadFailure
from gridlens.cutouts._conventions import MAX_SIZE, PathsLike
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts.catalogs._join import CatalogJoin, JoinGaps
from gridlens.cutouts.readers._batches import count_entries, find_readable, read_entries
from gridlens.cutouts.readers._dispatch import by_content, count_entry
from gridlens.cutouts.readers._options import ReadOptions
from gridlens.cutouts.readers._scan import Entry
from gridlens.sources._partition import Partition, Partitions
from gridlens.sources._stamps import frame_digest, stamp

__all__ = ["FileSource"]

# A partition is a second of work: small enough that little is lost with a worker, large enough that no worker waits.
_PARTITION_CUTOUTS = 512
_PARTITION_BYTES = 64 * 1024**2
# What a larger file of arrays holds may be a part of a partition; smaller ones are not opened to find out.
_WHOLE_BYTES = 16 * 1024**2
# These are read from their first cutout to the last: the values lie behind a compressor, or behind a checksum.
_WHOLE_KINDS = ("npz", "fits", "picture")


class FileSource:
    """Read cutouts by partitions, in any order and in any number of processes; it is pickled without what it has read.

    Parameters
    ----------
    paths, catalog, columns, pixel_scale, bands, zeropoint, uncalibrated, survey, max_size
        As in `CutoutSet.read`.

    Raises
    ------
    CutoutError
        At the call, before anything is read: nothing is found, a parameter is wrong, or all that is found is of kinds
        for which a package is missing.
    GridlensError
        At the call: the catalogue cannot be read.

    See Also
    --------
    read_batches : all of it, one batch after another.

    Examples
    --------
    >>> from gridlens.sources import FileSource
    >>> reader = FileSource("cutouts/", catalog="clusters.csv")  # doctest: +SKIP
    >>> for partition in reader.partitions():  # doctest: +SKIP
    ...     for cutouts, failures in reader.read(partition):
    ...         print(cutouts, failures)
    """

    def __init__(
        self,
        paths: PathsLike,
        *,
        catalog: str | os.PathLike[str] | pd.DataFrame | None = None,
        columns: Mapping[str, str] | None = None,
        pixel_scale: float | None = None,
        bands: str | None = None,
        zeropoint: float | Mapping[str, float] | None = None,
        uncalibrated: bool = False,
        survey: str | None = None,
        max_size: int = MAX_SIZE,
    ) -> None:
        self._options = ReadOptions.checked(
            bands=bands,
            pixel_scale=pixel_scale,
            zeropoint=zeropoint,
            uncalibrated=uncalibrated,
            survey=survey,
            max_size=max_size,
        )
        self._entries = find_readable(paths, self._options)
        self._catalog, self._columns = catalog, columns
        self._join = self._make_join()

    def __getstate__(self) -> dict[str, Any]:
        # Another process gets partitions, and reads the catalogue itself.
        return {**self.__dict__, "_entries": [], "_join": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._join = self._make_join()

    def _make_join(self) -> CatalogJoin | None:
        return None if self._catalog is None else CatalogJoin(self._catalog, self._columns)

    def partitions(self) -> Sequence[Partition]:
        """Split all that there is to read; the same files give the same partitions every time.

        Large files of arrays are opened for their headers. An npz file is never split.

        Returns
        -------
        sequence of Partition
            The parts of a file are made when they are asked for.
        """
        partitions = Partitions()
        waiting: list[Entry] = []
        held = 0

        def close() -> None:
            nonlocal held
            if waiting:
                partitions.add(Partition(tuple(waiting)))
            waiting.clear()
            held = 0

        for entry in self._entries:
            size = _size(entry.path)
            if len(waiting) == _PARTITION_CUTOUTS or held + size > _PARTITION_BYTES:
                close()
            if entry.kind in _WHOLE_KINDS or (entry.kind != "zarr" and size <= _WHOLE_BYTES):
                waiting.append(entry)
                held += size
                continue
            # The order of the files is that of the table, for rows that score alike.
            close()
            n = _countable(entry)
            if n > 1:
                partitions.add_rows(entry, n, _PARTITION_CUTOUTS)
            else:
                partitions.add(Partition((entry,)))
        close()
        return partitions

    @property
    def n(self) -> int | None:
        """Cutouts in all, as `count_cutouts` counts them; None where that would take long."""
        return count_entries(self._entries)

    def read(self, partition: Partition, gaps: JoinGaps | None = None) -> Iterator[CutoutBatch]:
        """Read a partition in batches, as `read_batches` does; a file that cannot be read becomes a failure.

        What joining the catalogue leaves open is added to `gaps`.
        """
        gaps = JoinGaps() if gaps is None else gaps
        return read_entries(partition.entries, partition.rows, self._options, self._join, gaps)

    def split(self, partition: Partition) -> list[Partition]:
        """Halves of a partition, to find the cutout that ends whoever reads it; none where it holds a single one."""
        if len(partition.entries) > 1:
            middle = len(partition.entries) // 2
            return [Partition(partition.entries[:middle]), Partition(partition.entries[middle:])]
        (entry,) = partition.entries
        return partition._replace(rows=partition.rows or (0, count_entry(entry))).halves()

    def lost(self, partition: Partition, message: str) -> ReadFailure:
        """The failure that stands for a partition of a single cutout that nobody can read."""
        (entry,) = partition.entries
        name = entry.id if partition.rows is None or partition.rows == (0, 1) else f"{entry.id}_{partition.rows[0]:06d}"
        return ReadFailure(name, entry.path, message, int(CutoutFlag.FAILED))

    def identity(self) -> dict[str, str]:
        """What would make other cutouts of the same call: digests by the name of the parameter that they hang on."""
        files = hashlib.sha256()
        for entry in self._entries:
            for path in dict.fromkeys([entry.path, *entry.bands.values()]):
                files.update(repr((path, stamp(path))).encode())
        catalog: Any = self._catalog
        if isinstance(catalog, pd.DataFrame):
            catalog = frame_digest(catalog)
        elif catalog is not None:
            catalog = (os.fspath(catalog), stamp(os.fspath(catalog)))
        columns = sorted((self._columns or {}).items())
        return {
            "cutouts": files.hexdigest(),
            "catalogue": hashlib.sha256(repr((str(catalog), columns)).encode()).hexdigest(),
            "reading options": hashlib.sha256(repr(self._options).encode()).hexdigest(),
        }


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _countable(entry: Entry) -> int:
    """Count the cutouts of a file that may be read in parts; 0 for one that is read whole."""
    try:
        kind = by_content(entry).kind
    except Exception:  # of a damaged zip file, nearly any; reading it says why it cannot be read
        return 0
    return 0 if kind in _WHOLE_KINDS else count_entry(entry)
