"""Cutout files as a source of partitions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gridlens.cutouts._batch import CutoutBatch, ReadFailure
from gridlens.cutouts._conventions import CatalogLike, PathsLike
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts.catalogs._join import CatalogJoin, JoinGaps
from gridlens.cutouts.catalogs._kept import KeptColumns
from gridlens.cutouts.readers._batches import count_entries, find_readable, read_entries
from gridlens.cutouts.readers._dispatch import by_content, count_entry
from gridlens.cutouts.readers._options import ReadOptions
from gridlens.cutouts.readers._resolved import Resolved
from gridlens.cutouts.readers._scan import Entry
from gridlens.sources._arguments import arguments_of
from gridlens.sources._partition import Partition, Partitions
from gridlens.sources._stamps import catalog_digest, stamp

__all__ = ["FileSource"]

# Cutouts of a partition, about a second of work: small enough that little is lost if a worker fails, large enough that
# workers do not wait.
_PARTITION_CUTOUTS = 512
_PARTITION_BYTES = 64 * 1024**2
# With fewer files, larger partitions would occupy only a few workers.
_FEWEST_FILES, _MANY_PARTITIONS = 64, 64
# Maximum number of paths in a record: a shell may expand a glob to a million paths.
_MOST_NAMED = 100
# Array files larger than this may be split into partitions; smaller ones are not opened to check.
_WHOLE_BYTES = 16 * 1024**2
# These files are always read from the first cutout to the last, because they are compressed or have a checksum.
_WHOLE_KINDS = ("npz", "fits", "picture")
# A file of these kinds holds one cutout, unless its name is wrong.
_SINGLE_KINDS = ("fits", "picture")


class FileSource:
    """Cutout files, read in partitions, in any order and in any number of processes; pickled without cached data.

    Parameters
    ----------
    paths, catalog, columns
        As in `CutoutSet.read`.
    keep_columns : sequence of str, default=()
        Columns of the catalogue that are added to each cutout's row of a score table.
    options : ReadOptions, default=None
        Options for reading; None means the defaults.

    Raises
    ------
    CutoutError
        At the call, before anything is read: no file is found, a parameter is invalid, or the packages needed for all
        files are missing.
    GridlensError
        At the call: the catalogue cannot be read.

    See Also
    --------
    read_batches : Read all files, in batches.

    Examples
    --------
    >>> from gridlens.sources import FileSource
    >>> source = FileSource("cutouts/", catalog="clusters.csv")  # doctest: +SKIP
    >>> for partition in source.partitions():  # doctest: +SKIP
    ...     for cutouts, failures in source.read(partition):
    ...         print(cutouts, failures)
    """

    def __init__(
        self,
        paths: PathsLike,
        *,
        catalog: CatalogLike | None = None,
        columns: Mapping[str, str] | None = None,
        keep_columns: Sequence[str] = (),
        options: ReadOptions | None = None,
    ) -> None:
        self._given = [os.fspath(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
        self._options = ReadOptions() if options is None else options
        self._resolved = Resolved.of(self._options)
        self._entries = find_readable(self._given, self._resolved)
        self._catalog, self._columns, self._keep = catalog, columns, tuple(keep_columns)
        self._join = self._make_join()

    def __getstate__(self) -> dict[str, Any]:
        # Other processes get partitions and read the catalogue themselves.
        return {**self.__dict__, "_entries": [], "_join": None, "_resolved": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._resolved = Resolved.of(self._options)
        self._join = self._make_join()

    def _make_join(self) -> CatalogJoin | None:
        return None if self._catalog is None else CatalogJoin(self._catalog, self._columns, self._keep)

    @property
    def kept(self) -> KeptColumns | None:
        """Catalogue columns kept for each cutout, or None."""
        return None if self._join is None else self._join.kept

    def partitions(self) -> Sequence[Partition]:
        """Split all files into partitions; the same files always give the same partitions.

        The headers of large array files are read. An npz file is never split.

        Returns
        -------
        sequence of Partition
            The partitions of a file are created on access.
        """
        return _partitioned(self._entries)

    def find(self, ids: Collection[str], paths: Collection[str] = ()) -> Sequence[Partition]:
        """Return the partitions of the files in `paths`, or if none is found, of files that may hold the `ids`.

        A single image is identified by its name; a file of many cutouts may hold any id.
        """
        known = {os.path.abspath(path) for path in paths}
        found = [entry for entry in self._entries if known and known & set(map(os.path.abspath, entry.files))]
        if not found:
            found = [entry for entry in self._entries if entry.kind not in _SINGLE_KINDS or entry.id in ids]
        return _partitioned(found)

    @property
    def record(self) -> list[dict[str, Any]]:
        """Return the paths as they were given."""
        return [{"path": path} for path in self._given]

    @property
    def arguments(self) -> dict[str, Any] | None:
        """Return the arguments of `open_source` that open the files again; None if the catalogue is not a file.

        Long lists of paths are omitted: a score table contains the file of each row.
        """
        named = self._given if len(self._given) <= _MOST_NAMED else []
        return arguments_of(self._options, self._catalog, self._columns, source=named)

    @property
    def n(self) -> int | None:
        """Total number of cutouts, as in `count_cutouts`; None if counting would take long."""
        return count_entries(self._entries)

    def read(self, partition: Partition, gaps: JoinGaps | None = None) -> Iterator[CutoutBatch]:
        """Read a partition in batches, like `read_batches`; unreadable files are returned as failures.

        Unresolved cases of the join are added to `gaps`.
        """
        gaps = JoinGaps() if gaps is None else gaps
        return read_entries(partition.entries, partition.rows, self._resolved, self._join, gaps)

    def split(self, partition: Partition) -> list[Partition]:
        """Return the halves of a partition; an empty list if it holds a single cutout."""
        if len(partition.entries) > 1:
            middle = len(partition.entries) // 2
            return [Partition(partition.entries[:middle]), Partition(partition.entries[middle:])]
        (entry,) = partition.entries
        return partition._replace(rows=partition.rows or (0, count_entry(entry))).halves()

    def lost(self, partition: Partition, message: str) -> ReadFailure:
        """Return the failure for a single cutout that crashes every process that reads it."""
        (entry,) = partition.entries
        name = entry.id if partition.rows is None or partition.rows == (0, 1) else f"{entry.id}_{partition.rows[0]:06d}"
        return ReadFailure(name, entry.joined, message, int(CutoutFlag.FAILED))

    def identity(self) -> dict[str, str]:
        """Return digests of the inputs of the cutouts, by parameter name."""
        files = hashlib.sha256()
        for entry in self._entries:
            for path in entry.files:
                files.update(repr((path, stamp(path))).encode())
        columns = (sorted((self._columns or {}).items()), self._keep)
        return {
            "cutouts": files.hexdigest(),
            "catalogue": hashlib.sha256(repr((catalog_digest(self._catalog), columns)).encode()).hexdigest(),
            "reading options": hashlib.sha256(repr(self._options).encode()).hexdigest(),
        }


def _partitioned(entries: Sequence[Entry]) -> Partitions:
    """Split entries into partitions of about a second of work each, or less if there are few entries."""
    partitions = Partitions(entries)
    most = _most_files(len(entries))
    first = held = 0
    for k, entry in enumerate(entries):
        size = _size(entry.path)
        splits = entry.kind not in _WHOLE_KINDS and (entry.kind == "zarr" or size > _WHOLE_BYTES)
        if k > first and (splits or k - first == most or held + size > _PARTITION_BYTES):
            partitions.add(first, k)
            first, held = k, 0
        held += size
        # Rows with equal scores are sorted in the order of the files.
        if splits:
            n = _countable(entry)
            if n > 1:
                partitions.add_rows(k, n, _PARTITION_CUTOUTS)
            else:
                partitions.add(k, k + 1)
            first, held = k + 1, 0
    if first < len(entries):
        partitions.add(first, len(entries))
    return partitions


def _most_files(n: int) -> int:
    """Return the number of files per partition that gives partitions of equal size for `n` files."""
    most = min(max(n // _MANY_PARTITIONS, _FEWEST_FILES), _PARTITION_CUTOUTS)
    return -(-n // max(1, -(-n // most)))


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _countable(entry: Entry) -> int:
    """Count the cutouts of a file that may be read in parts; 0 for a file that is read completely."""
    try:
        kind = by_content(entry).kind
    except Exception:  # a damaged zip file may raise almost any error, which is reported when the file is read
        return 0
    return 0 if kind in _WHOLE_KINDS else count_entry(entry)
