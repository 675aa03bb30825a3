"""Read any number of cutouts, of any size, in batches."""

import importlib.util
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from gridlens._ids import escaped
from gridlens.cutouts._bands import BANDS
from gridlens.cutouts._batch import CutoutBatch, ReadFailure
from gridlens.cutouts._conventions import CatalogLike, PathsLike
from gridlens.cutouts._damage import damage_message, import_library
from gridlens.cutouts._declared import check_declared
from gridlens.cutouts._keywords import options_of
from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts._sniff import content_kind
from gridlens.cutouts.catalogs._join import CatalogJoin, JoinGaps, JoinReport
from gridlens.cutouts.readers._chunks import BATCH_BYTES, RowRange
from gridlens.cutouts.readers._dispatch import by_content, count_entry, read_arrays
from gridlens.cutouts.readers._fits import read_fits
from gridlens.cutouts.readers._options import ReadOptions
from gridlens.cutouts.readers._resolved import Resolved
from gridlens.cutouts.readers._salvage import Unreadable
from gridlens.cutouts.readers._scan import Entries, Entry, find_entries
from gridlens.errors import CutoutError

__all__ = [
    "count_cutouts",
    "count_entries",
    "find_readable",
    "read_batches",
    "read_entries",
    "read_set",
]

_BATCH_SIZE = 256
_MAX_HEADERS = 10_000
_SINGLE = ("fits", "picture")
_PICTURE = (
    "The content of the file is a picture, and pictures have no photometry; uncalibrated=True accepts them and flags "
    "every row."
)
_LIBRARIES = {"hdf5": "h5py", "zarr": "zarr", "picture": "PIL"}


def read_batches(
    paths: PathsLike,
    *,
    catalog: CatalogLike | None = None,
    columns: Mapping[str, str] | None = None,
    batch_size: int = _BATCH_SIZE,
    **options: Any,
) -> Iterator[CutoutBatch]:
    """Read cutouts in batches of one size each; unreadable files are returned as failures, not raised.

    Files are read in the order of their sorted paths. Files of many cutouts are read in parts, so the cutouts before a
    damaged part are kept. Cutouts of different sizes are collected separately, at most `batch_size` of them (or 32 MiB)
    in total, so that a mixed folder still gives full batches. The same files always give the same batches.

    Parameters
    ----------
    paths, catalog, columns
        As in `CutoutSet.read`.
    batch_size : int, default=256
        Maximum number of cutouts per batch.
    **options
        Fields of `ReadOptions`.

    Yields
    ------
    CutoutBatch
        `cutouts`, a CutoutSet or None, and `failures`, a list of ReadFailure(id, path, message).

    Raises
    ------
    CutoutError
        At the call, before anything is read: no file is found, a parameter is invalid, or the packages needed for all
        files are missing.
    GridlensError
        At the call: the catalogue cannot be read.
    TypeError
        At the call: an option is not a field of `ReadOptions`.

    Examples
    --------
    >>> for cutouts, failures in read_batches("cutouts/"):  # doctest: +SKIP
    ...     print(cutouts, failures)

    A folder with cutouts of several sizes gives sets of one size each:

    >>> sizes = set()
    >>> for cutouts, _ in read_batches("cutouts/"):  # doctest: +SKIP
    ...     if cutouts is not None:
    ...         sizes.add(cutouts.pixels.shape[1:3])
    """
    if batch_size < 1:
        raise CutoutError(f"The 'batch_size' parameter must be 1 or more. Got {batch_size!r} instead.")
    resolved = Resolved.of(options_of(ReadOptions, options))
    entries = find_readable(paths, resolved)
    join = None if catalog is None else CatalogJoin(catalog, columns)
    return _gather(_read_joined_sets(entries, resolved, join), batch_size)


def read_set(
    paths: PathsLike,
    *,
    catalog: CatalogLike | None,
    columns: Mapping[str, str] | None,
    on_error: Literal["raise", "skip"],
    options: Mapping[str, Any],
) -> CutoutSet:
    """Read all cutouts into one set; see `CutoutSet.read`."""
    if on_error not in ("raise", "skip"):
        raise CutoutError(f"The 'on_error' parameter must be 'raise' or 'skip'. Got {on_error!r} instead.")
    resolved = Resolved.of(options_of(ReadOptions, options))
    join = None if catalog is None else CatalogJoin(catalog, columns)
    sets: list[CutoutSet] = []
    failures: list[ReadFailure] = []
    sizes: dict[tuple[int, ...], str] = {}
    for item in _read_joined_sets(find_readable(paths, resolved), resolved, join):
        if isinstance(item, ReadFailure):
            if on_error == "raise":
                raise CutoutError(f"Cannot read {item.path}: {item.message}")
            failures.append(item)
            continue
        sets.append(item)
        if len(item):
            sizes.setdefault(item.pixels.shape[1:3], item.paths[0])
        if len(sizes) > 1:
            found = " and ".join(f"{w} x {h} px ({path})" for (h, w), path in sizes.items())
            raise CutoutError(
                f"A CutoutSet holds cutouts of one size, but there are {found}. "
                "Score them with gridlens.score, or read one set per size with gridlens.cutouts.read_batches."
            )
    if not sets:
        raise CutoutError(
            f"None of the {len(failures)} cutouts can be read. The first one is {failures[0].path}: "
            f"{failures[0].message}"
        )
    if failures:
        names = ", ".join(failure.path for failure in failures[:5])
        more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
        warnings.warn(
            f"{len(failures)} cutouts could not be read and are omitted: {names}{more}. The error of the first one: "
            f"{failures[0].message}",
            UserWarning,
            stacklevel=3,
        )
    return CutoutSet.concatenate(sets)


def count_cutouts(paths: PathsLike, **options: Any) -> int | None:
    """Count the cutouts in `paths` without reading their pixels, for a progress bar.

    Parameters
    ----------
    paths
        As in `CutoutSet.read`.
    **options
        Fields of `ReadOptions`; `uncalibrated` and `survey` determine which files are cutouts.

    Returns
    -------
    int or None
        Number of cutouts; a file that will fail counts as one. None if counting would take long: with more than 10,000
        array files, whose headers would all have to be read.

    Raises
    ------
    CutoutError
        No file is found.

    Examples
    --------
    >>> count_cutouts("cutouts/")  # doctest: +SKIP
    12
    """
    resolved = Resolved.of(options_of(ReadOptions, options))
    return count_entries(find_entries(paths, uncalibrated=resolved.uncalibrated, filters=resolved.filters))


def count_entries(entries: Sequence[Entry]) -> int | None:
    """Count the cutouts of entries; None if too many headers would have to be read."""
    opened = [entry for entry in entries if entry.kind not in _SINGLE]
    if len(opened) > _MAX_HEADERS:
        return None
    # A file named like a single image may hold many cutouts. If there are too many files, this is not checked.
    sniffed = entries if len(entries) <= _MAX_HEADERS else opened
    return sum(map(count_entry, sniffed)) + len(entries) - len(sniffed)


def find_readable(paths: PathsLike, options: Resolved) -> Entries:
    """List the entries to read; raise CutoutError if none of them can be read.

    That is the case if the packages for all of them are missing, or if all files are .npy, which declare nothing.
    """
    entries = find_entries(paths, uncalibrated=options.uncalibrated, filters=options.filters)
    if all(entry.kind == "npy" for entry in entries) and _holds_npy(entries[0].path):
        check_declared(bands=options.bands is not None, pixel_scale=options.knows_scale, subject="A .npy file does")
    needed = {_LIBRARIES.get(entry.kind, "") for entry in entries}
    if all(name and importlib.util.find_spec(name) is None for name in needed):
        import_library(min(needed), f"the {len(entries)} files found" if len(entries) > 1 else entries[0].path)
    return entries


def _holds_npy(path: str) -> bool:
    """Return whether a file holds a NumPy array; False if it cannot be opened, which is reported when it is read."""
    try:
        return content_kind(path) == "npy"
    except (OSError, CutoutError):
        return False


def read_entries(
    entries: Iterable[Entry], rows: RowRange | None, options: Resolved, join: CatalogJoin | None, gaps: JoinGaps
) -> Iterator[CutoutBatch]:
    """Read entries, or some rows of a single one, in batches like `read_batches`; add the gaps of a join."""
    return _gather(_read_sets(entries, options, join, gaps, rows), _BATCH_SIZE)


def _read_joined_sets(
    entries: Sequence[Entry], options: Resolved, join: CatalogJoin | None
) -> Iterator[CutoutSet | ReadFailure]:
    """Read all entries; warn about the gaps of the join at the end."""
    report = JoinReport()
    for entry in entries:
        gaps = JoinGaps()
        yield from _read_sets((entry,), options, join, gaps)
        report.add(gaps)
    report.warn()


def _read_sets(
    entries: Iterable[Entry],
    options: Resolved,
    join: CatalogJoin | None,
    gaps: JoinGaps,
    rows: RowRange | None = None,
) -> Iterator[CutoutSet | ReadFailure]:
    for entry in entries:
        done = lost = 0
        try:
            for item in _read_entry(entry, options, join, gaps, rows):
                if isinstance(item, Unreadable):
                    lost += item.stop - item.start
                    yield from _lost(item, entry)
                    continue
                done += len(item)
                yield item
                del item  # otherwise it stays in memory while the next one is read
            continue
        except CutoutError as exc:
            message = str(exc)
        except Exception as exc:
            # A damaged file may raise almost any error in the libraries used, and must not stop a run over a million
            # files.
            message = damage_message(exc)
        name = entry.id
        if rows is not None:
            name = f"{entry.id}_{rows[0] + done + lost:06d}"
            message = f"Cutouts {rows[0]} to {rows[1] - 1} of this file: {message}"
        if done:
            message += f" {done} could be read." if rows or lost else f" Its first {done} cutouts could be read."
        # Messages from libraries may contain bytes of the file.
        yield ReadFailure(name, entry.joined, escaped(message))


def _lost(lost: Unreadable, entry: Entry) -> Iterator[ReadFailure]:
    """Yield a failure for each unreadable cutout of a file whose other cutouts can be read."""
    said = str(lost.error) if isinstance(lost.error, CutoutError) else damage_message(lost.error)
    for place, name in enumerate(lost.ids, start=lost.start):
        yield ReadFailure(name, entry.joined, escaped(f"Cutout {place} of this file: {said}"))


def _read_entry(
    entry: Entry, options: Resolved, join: CatalogJoin | None, gaps: JoinGaps, rows: RowRange | None
) -> Iterator[CutoutSet | Unreadable]:
    if entry.problem:
        raise CutoutError(entry.problem)
    entry = by_content(entry)
    if entry.kind == "picture" and not options.uncalibrated:
        raise CutoutError(_PICTURE)
    if entry.kind == "fits":
        cutouts, wcs = read_fits(entry, options)
        yield _filled(cutouts if join is None else join.join(cutouts, wcs, gaps), options)
        return
    for item in read_arrays(entry, options, rows):
        if not isinstance(item, Unreadable):
            item = _filled(item if join is None else join.join(item, None, gaps), options)
        yield item
        del item  # otherwise it stays in memory while the next one is read


def _filled(cutouts: CutoutSet, options: Resolved) -> CutoutSet:
    """Fill in the survey's seeing and depth in r where neither file nor catalogue gives them."""
    if options.survey is not None:
        for name, usual in (("seeing", options.survey.seeing), ("depth", options.survey.depth)):
            cutouts.metadata[name] = cutouts.metadata[name].fillna(usual[BANDS.index("r")])
    return cutouts


def _gather(sets: Iterator[CutoutSet | ReadFailure], batch_size: int) -> Iterator[CutoutBatch]:
    waiting = _Waiting(batch_size)
    failures: list[ReadFailure] = []
    for item in sets:
        if isinstance(item, ReadFailure):
            failures.append(item)
            if len(failures) >= batch_size:
                yield CutoutBatch(None, failures)
                failures = []
            continue
        left: CutoutSet | None = item if len(item) else None
        del item  # otherwise it stays in memory while the next one is read
        while left is not None:
            left = waiting.add(left)
            if waiting.full:
                yield CutoutBatch(waiting.take(), failures)
                failures = []
    while waiting.count:
        yield CutoutBatch(waiting.take(), failures)
        failures = []
    if failures:
        yield CutoutBatch(None, failures)


class _Waiting:
    """Cutouts waiting to be batched, by size."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._sets: dict[tuple[int, ...], list[CutoutSet]] = {}
        self._bytes = 0
        self.count = 0

    @property
    def full(self) -> bool:
        return self.count >= self._batch_size or self._bytes >= BATCH_BYTES

    def add(self, cutouts: CutoutSet) -> CutoutSet | None:
        """Add as many cutouts as fit, at least one, and return the rest, or None if there are none left."""
        each = cutouts.pixels[0].nbytes
        room = max(1, min(self._batch_size - self.count, (BATCH_BYTES - self._bytes) // each))
        taken, rest = (cutouts, None) if len(cutouts) <= room else (cutouts[:room], cutouts[room:])
        self._sets.setdefault(taken.pixels.shape[1:3], []).append(taken)
        self.count += len(taken)
        self._bytes += taken.pixels.nbytes
        return rest

    def take(self) -> CutoutSet:
        """Remove and return the cutouts of the most frequent size waiting, the first of equals."""
        size = max(self._sets, key=lambda key: sum(map(len, self._sets[key])))
        batch = CutoutSet.concatenate(self._sets.pop(size))
        self.count -= len(batch)
        self._bytes -= batch.pixels.nbytes
        return batch
