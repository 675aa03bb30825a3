"""Read any number of cutouts, of any size, a batch at a time."""

import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import pandas as pd

from gridlens._errors import CutoutError
from gridlens.cutouts._arrays import count_in_file, read_npy, read_npz
from gridlens.cutouts._catalog import CatalogJoin
from gridlens.cutouts._fits import read_fits
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts._planes import ReadOptions, damage_message
from gridlens.cutouts._scan import Entry, PathsLike, find_entries
from gridlens.cutouts._set import CutoutSet

__all__ = ["CutoutBatch", "ReadFailure", "count_cutouts", "read_batches", "read_set"]

_MAX_BATCH_BYTES = 256 * 1024**2
_MAX_HEADERS = 10_000


class ReadFailure(NamedTuple):
    """A file that could not be read as a cutout."""

    id: str
    path: str
    message: str
    """one sentence or two: what is wrong, and what to do"""
    flags: int = int(CutoutFlag.UNREADABLE)
    """bits of `CutoutFlag`"""


class CutoutBatch(NamedTuple):
    """Cutouts of one size, and the files that failed while they were read."""

    cutouts: CutoutSet | None
    """None where a batch holds failures alone"""
    failures: list[ReadFailure]


def read_batches(
    paths: PathsLike,
    *,
    catalog: str | os.PathLike[str] | pd.DataFrame | None = None,
    pixel_scale: float | None = None,
    bands: str | None = None,
    zeropoint: float | Mapping[str, float] | None = None,
    batch_size: int = 256,
) -> Iterator[CutoutBatch]:
    """Read cutouts in batches of one size each; a file that cannot be read becomes a failure, never an exception.

    Files are read in the order of their sorted paths. Cutouts of different sizes are gathered apart, at most
    `batch_size` of them (or 256 MiB) in all, so that a mixed folder still gives full batches. The same files
    give the same batches every time.

    Parameters
    ----------
    paths, catalog, pixel_scale, bands, zeropoint
        As in `CutoutSet.read`.
    batch_size : int, default=256
        The most cutouts that a batch holds.

    Yields
    ------
    CutoutBatch
        `cutouts`, a CutoutSet or None, and `failures`, a list of ReadFailure(id, path, message).

    Raises
    ------
    CutoutError
        At the call, before anything is read: nothing is found, or a parameter is wrong.
    GridlensError
        At the call: the catalogue cannot be read.

    Examples
    --------
    >>> for cutouts, failures in read_batches("cutouts/"):  # doctest: +SKIP
    ...     print(cutouts, failures)
    """
    if batch_size < 1:
        raise CutoutError(f"The 'batch_size' parameter must be 1 or more. Got {batch_size!r} instead.")
    options = ReadOptions.checked(bands=bands, pixel_scale=pixel_scale, zeropoint=zeropoint)
    entries = find_entries(paths)
    join = None if catalog is None else CatalogJoin(catalog)
    return _gather(_pieces(entries, options, join), batch_size)


def read_set(
    paths: PathsLike,
    *,
    catalog: str | os.PathLike[str] | pd.DataFrame | None,
    pixel_scale: float | None,
    bands: str | None,
    zeropoint: float | Mapping[str, float] | None,
    on_error: Literal["raise", "skip"],
) -> CutoutSet:
    """Read everything into one set; see `CutoutSet.read`."""
    if on_error not in ("raise", "skip"):
        raise CutoutError(f"The 'on_error' parameter must be 'raise' or 'skip'. Got {on_error!r} instead.")
    options = ReadOptions.checked(bands=bands, pixel_scale=pixel_scale, zeropoint=zeropoint)
    join = None if catalog is None else CatalogJoin(catalog)
    sets: list[CutoutSet] = []
    failures: list[ReadFailure] = []
    sizes: dict[tuple[int, ...], str] = {}
    for piece in _pieces(find_entries(paths), options, join):
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
                "Use gridlens.cutouts.read_batches, which takes mixed sizes."
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


def count_cutouts(paths: PathsLike) -> int | None:
    """Count the cutouts below `paths` without reading their pixels, for a progress bar.

    Returns
    -------
    int or None
        Files that will fail count as one each. None where counting would take long: with more than 10,000 array
        files, whose headers would all have to be opened.

    Raises
    ------
    CutoutError
        Nothing is found.

    Examples
    --------
    >>> count_cutouts("cutouts/")  # doctest: +SKIP
    12
    """
    entries = find_entries(paths)
    arrays = [entry.path for entry in entries if entry.kind != "fits"]
    if len(arrays) > _MAX_HEADERS:
        return None
    return len(entries) - len(arrays) + sum(count_in_file(path) for path in arrays)


def _pieces(entries: list[Entry], options: ReadOptions, join: CatalogJoin | None) -> Iterator[CutoutSet | ReadFailure]:
    for entry in entries:
        try:
            yield _read_entry(entry, options, join)
        except CutoutError as exc:
            yield ReadFailure(entry.id, entry.path, str(exc))
        except Exception as exc:
            # A damaged file can raise nearly anything from the libraries below; one must not stop a million.
            yield ReadFailure(entry.id, entry.path, damage_message(exc))
    if join is not None:
        join.warn_of_gaps()


def _read_entry(entry: Entry, options: ReadOptions, join: CatalogJoin | None) -> CutoutSet:
    if entry.problem:
        raise CutoutError(entry.problem)
    wcs = None
    if entry.kind == "fits":
        cutouts, wcs = read_fits(entry, options)
    else:
        cutouts = (read_npy if entry.kind == "npy" else read_npz)(entry, options)
    return cutouts if join is None else join.join(cutouts, wcs)


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
        while len(piece):
            piece = waiting.add(piece)
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

    def add(self, piece: CutoutSet) -> CutoutSet:
        """Take as many cutouts as there is room for, at least one, and return the rest."""
        each = piece.pixels[0].nbytes
        room = max(1, min(self._batch_size - self.count, (_MAX_BATCH_BYTES - self._bytes) // each))
        taken = piece[:room]
        self._sets.setdefault(taken.pixels.shape[1:3], []).append(taken)
        self.count += len(taken)
        self._bytes += taken.pixels.nbytes
        return piece[room:]

    def take(self) -> CutoutSet:
        """Remove and return the cutouts of the size that has most of them waiting, the first of equals."""
        size = max(self._sets, key=lambda key: sum(map(len, self._sets[key])))
        batch = CutoutSet.concatenate(self._sets.pop(size))
        self.count -= len(batch)
        self._bytes -= batch.pixels.nbytes
        return batch
