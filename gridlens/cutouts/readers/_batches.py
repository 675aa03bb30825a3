"""Read any number of cutouts, of any size, a batch at a time."""

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
from gridlens.cutouts.readers._chunks import PIECE_BYTES, RowRange
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
_MAX_BATCH_BYTES = PIECE_BYTES
_MAX_HEADERS = 10_000
_SINGLE = ("fits", "picture")
_PICTURE = (
    "The file is a picture, whatever its name says, and pictures have no photometry; uncalibrated=True accepts them "
    "and flags every row."
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
    """Read cutouts in batches of one size each; a file that cannot be read becomes a failure, never an exception.

    Files are read in the order of their sorted paths, and those of many cutouts in pieces: of a file that is damaged
    half-way, the cutouts before the damage are kept. Cutouts of different sizes are gathered separately, at most
    `batch_size` of them (or 32 MiB) in all, so that a mixed folder still gives full batches. The same files
    give the same batches every time.

    Parameters
    ----------
    paths, catalog, columns
        As in `CutoutSet.read`.
    batch_size : int, default=256
        The most cutouts that a batch holds.
    **options
        Fields of `ReadOptions`.

    Yields
    ------
    CutoutBatch
        `cutouts`, a CutoutSet or None, and `failures`, a list of ReadFailure(id, path, message).

    Raises
    ------
    CutoutError
        At the call, before anything is read: nothing is found, a parameter is wrong, or all that is found is of kinds
        for which a package is missing.
    GridlensError
        At the call: the catalogue cannot be read.
    TypeError
        At the call: an option is not a field of `ReadOptions`.

    Examples
    --------
    >>> for cutouts, failures in read_batches("cutouts/"):  # doctest: +SKIP
    ...     print(cutouts, failures)

    A folder of several sizes gives sets of one size each:

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
    return _gather(_joined_pieces(entries, resolved, join), batch_size)


def read_set(
    paths: PathsLike,
    *,
    catalog: CatalogLike | None,
    columns: Mapping[str, str] | None,
    on_error: Literal["raise", "skip"],
    options: Mapping[str, Any],
) -> CutoutSet:
    """Read everything into one set; see `CutoutSet.read`."""
    if on_error not in ("raise", "skip"):
        raise CutoutError(f"The 'on_error' parameter must be 'raise' or 'skip'. Got {on_error!r} instead.")
    resolved = Resolved.of(options_of(ReadOptions, options))
    join = None if catalog is None else CatalogJoin(catalog, columns)
    sets: list[CutoutSet] = []
    failures: list[ReadFailure] = []
    sizes: dict[tuple[int, ...], str] = {}
    for piece in _joined_pieces(find_readable(paths, resolved), resolved, join):
        if isinstance(piece, ReadFailure):
            if on_error == "raise":
                raise CutoutError(f"Cannot read {piece.path}: {piece.message}")
            failures.append(piece)
            continue
        sets.append(piece)
        if len(piece):
            sizes.setdefault(piece.pixels.shape[1:3], piece.paths[0])
        if len(sizes) > 1:
            found = " and ".join(f"{w} x {h} px ({path})" for (h, w), path in sizes.items())
            raise CutoutError(
                f"A CutoutSet holds cutouts of one size, and there are {found}. "
                "Score them with gridlens.score, or read one set per size with gridlens.cutouts.read_batches."
            )
    if not sets:
        raise CutoutError(
            f"None of the {len(failures)} cutouts can be read. The first is {failures[0].path}: {failures[0].message}"
        )
    if failures:
        names = ", ".join(failure.path for failure in failures[:5])
        more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
        warnings.warn(
            f"{len(failures)} cutouts could not be read and are left out: {names}{more}. "
            f"The first because: {failures[0].message}",
            UserWarning,
            stacklevel=3,
        )
    return CutoutSet.concatenate(sets)


def count_cutouts(paths: PathsLike, **options: Any) -> int | None:
    """Count the cutouts below `paths` without reading their pixels, for a progress bar.

    Parameters
    ----------
    paths
        As in `CutoutSet.read`.
    **options
        Fields of `ReadOptions`; `uncalibrated` and `survey` decide which files are cutouts.

    Returns
    -------
    int or None
        Files that will fail count as one each. None where counting would take long: with more than 10,000 files of
        arrays, whose headers would all have to be opened.

    Raises
    ------
    CutoutError
        Nothing is found.

    Examples
    --------
    >>> count_cutouts("cutouts/")  # doctest: +SKIP
    12
    """
    resolved = Resolved.of(options_of(ReadOptions, options))
    return count_entries(find_entries(paths, uncalibrated=resolved.uncalibrated, filters=resolved.filters))


def count_entries(entries: Sequence[Entry]) -> int | None:
    """Count the cutouts of entries; None where too many headers would have to be opened."""
    opened = [entry for entry in entries if entry.kind not in _SINGLE]
    if len(opened) > _MAX_HEADERS:
        return None
    # A file that is named as a single image may hold many; too many files are not opened to find that out.
    sniffed = entries if len(entries) <= _MAX_HEADERS else opened
    return sum(map(count_entry, sniffed)) + len(entries) - len(sniffed)


def find_readable(paths: PathsLike, options: Resolved) -> Entries:
    """List what there is to read; raise CutoutError where none of it can be read.

    That is where packages for all of it are missing, and where all files are .npy, which declare nothing.
    """
    entries = find_entries(paths, uncalibrated=options.uncalibrated, filters=options.filters)
    if all(entry.kind == "npy" for entry in entries) and _holds_npy(entries[0].path):
        check_declared(bands=options.bands is not None, pixel_scale=options.knows_scale, subject="A .npy file does")
    needed = {_LIBRARIES.get(entry.kind, "") for entry in entries}
    if all(name and importlib.util.find_spec(name) is None for name in needed):
        import_library(min(needed), f"the {len(entries)} files found" if len(entries) > 1 else entries[0].path)
    return entries


def _holds_npy(path: str) -> bool:
    """Return whether a file holds a NumPy array; False where it cannot be opened, which reading it says."""
    try:
        return content_kind(path) == "npy"
    except (OSError, CutoutError):
        return False


def read_entries(
    entries: Iterable[Entry], rows: RowRange | None, options: Resolved, join: CatalogJoin | None, gaps: JoinGaps
) -> Iterator[CutoutBatch]:
    """Read entries, or some rows of a single one, in batches as `read_batches` does; add the gaps of a join."""
    return _gather(_pieces(entries, options, join, gaps, rows), _BATCH_SIZE)


def _joined_pieces(
    entries: Sequence[Entry], options: Resolved, join: CatalogJoin | None
) -> Iterator[CutoutSet | ReadFailure]:
    """Read everything; warn of what the join left open at the end."""
    report = JoinReport()
    for entry in entries:
        gaps = JoinGaps()
        yield from _pieces((entry,), options, join, gaps)
        report.add(gaps)
    report.warn()


def _pieces(
    entries: Iterable[Entry],
    options: Resolved,
    join: CatalogJoin | None,
    gaps: JoinGaps,
    rows: RowRange | None = None,
) -> Iterator[CutoutSet | ReadFailure]:
    for entry in entries:
        done = lost = 0
        try:
            for piece in _read_entry(entry, options, join, gaps, rows):
                if isinstance(piece, Unreadable):
                    lost += piece.stop - piece.start
                    yield from _lost(piece, entry)
                    continue
                done += len(piece)
                yield piece
                del piece  # or it stays in memory while the next one is read
            continue
        except CutoutError as exc:
            message = str(exc)
        except Exception as exc:
            # A damaged file can raise nearly anything from the libraries below; one must not stop a million.
            message = damage_message(exc)
        name = entry.id
        if rows is not None:
            name = f"{entry.id}_{rows[0] + done + lost:06d}"
            message = f"Of the cutouts {rows[0]} to {rows[1] - 1} of this file: {message}"
        if done:
            message += f" {done} could be read." if rows or lost else f" Its first {done} cutouts could be read."
        # Messages of libraries may repeat bytes of the file.
        yield ReadFailure(name, entry.joined, escaped(message))


def _lost(lost: Unreadable, entry: Entry) -> Iterator[ReadFailure]:
    """Make a failure of each cutout that cannot be read among others that can."""
    said = str(lost.error) if isinstance(lost.error, CutoutError) else damage_message(lost.error)
    for place, name in enumerate(lost.ids, start=lost.start):
        yield ReadFailure(name, entry.joined, escaped(f"Of the cutout {place} of this file: {said}"))


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
    for piece in read_arrays(entry, options, rows):
        if not isinstance(piece, Unreadable):
            piece = _filled(piece if join is None else join.join(piece, None, gaps), options)
        yield piece
        del piece  # or it stays in memory while the next one is read


def _filled(cutouts: CutoutSet, options: Resolved) -> CutoutSet:
    """Give the cutouts the survey's seeing and depth in r where neither file nor catalogue knows them."""
    if options.survey is not None:
        for name, usual in (("seeing", options.survey.seeing), ("depth", options.survey.depth)):
            cutouts.metadata[name] = cutouts.metadata[name].fillna(usual[BANDS.index("r")])
    return cutouts


def _gather(pieces: Iterator[CutoutSet | ReadFailure], batch_size: int) -> Iterator[CutoutBatch]:
    waiting = _Waiting(batch_size)
    failures: list[ReadFailure] = []
    for piece in pieces:
        if isinstance(piece, ReadFailure):
            failures.append(piece)
            if len(failures) >= batch_size:
                yield CutoutBatch(None, failures)
                failures = []
            continue
        left: CutoutSet | None = piece if len(piece) else None
        del piece  # or it stays in memory while the next one is read
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
    """Cutouts that wait for their batch, by size."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._sets: dict[tuple[int, ...], list[CutoutSet]] = {}
        self._bytes = 0
        self.count = 0

    @property
    def full(self) -> bool:
        return self.count >= self._batch_size or self._bytes >= _MAX_BATCH_BYTES

    def add(self, piece: CutoutSet) -> CutoutSet | None:
        """Take as many cutouts as there is room for, at least one, and return the rest, None if there is none."""
        each = piece.pixels[0].nbytes
        room = max(1, min(self._batch_size - self.count, (_MAX_BATCH_BYTES - self._bytes) // each))
        taken, rest = (piece, None) if len(piece) <= room else (piece[:room], piece[room:])
        self._sets.setdefault(taken.pixels.shape[1:3], []).append(taken)
        self.count += len(taken)
        self._bytes += taken.pixels.nbytes
        return rest

    def take(self) -> CutoutSet:
        """Remove and return the cutouts of the size that has most of them waiting, the first of equals."""
        size = max(self._sets, key=lambda key: sum(map(len, self._sets[key])))
        batch = CutoutSet.concatenate(self._sets.pop(size))
        self.count -= len(batch)
        self._bytes -= batch.pixels.nbytes
        return batch
