"""Find the files to read, and group the files of each cutout."""

import functools
import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast, overload

from gridlens._file_names import joined_paths
from gridlens._ids import as_id
from gridlens.cutouts._bands import BANDS, missing_bands
from gridlens.cutouts._conventions import PathsLike
from gridlens.cutouts._file_names import SUFFIXES, Kind, kind_of, parse_stem, split_suffix
from gridlens.cutouts._walk import walk
from gridlens.cutouts.images._alike import MOST_NAMES, check_alike_files
from gridlens.errors import CutoutError

__all__ = ["Entries", "Entry", "Kind", "find_entries"]

_SHOWN_SUFFIXES = ", ".join(suffix for suffix, kind in SUFFIXES.items() if kind != "picture")
_KINDS = (
    f"Cutouts are {_SHOWN_SUFFIXES} files, and with uncalibrated=True "
    f"{', '.join(suffix for suffix, kind in SUFFIXES.items() if kind == 'picture')}."
)
_PICTURES = "Stretched 8-bit pictures have no photometry; uncalibrated=True accepts them and flags every row."


class Entry(NamedTuple):
    """A unit of reading: an array file, a Zarr store, a picture, a FITS file or the FITS files of one cutout."""

    id: str
    path: str
    """the file, or the first of the band files"""
    kind: Kind
    bands: dict[str, str]
    """path by band letter; fewer than three if one file holds all bands"""
    problem: str = ""
    """reason why it cannot be read, found without opening any file"""

    @property
    def files(self) -> list[str]:
        """All files of the entry, band files in the order g, r, i."""
        return list(dict.fromkeys(self.bands.values())) or [self.path]

    @property
    def joined(self) -> str:
        """The files as one string, for tables and messages."""
        return joined_paths(self.files)


class Entries(Sequence[Entry]):
    """Entries in the order of their paths, each stored as one string, which takes a third of the memory.

    Parameters
    ----------
    entries : iterable of Entry
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        # A path is followed by a character that sorts before all others, so the strings sort like the paths.
        self._packed = sorted(map(_packed, entries))

    def __len__(self) -> int:
        return len(self._packed)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return [_unpacked(text) for text in self._packed[index]]
        return _unpacked(self._packed[index])


# A character that does not occur in paths or other strings of an entry.
_SEPARATOR = "\0"
_SAME_FOLDER, _OTHER_FOLDER = "=", ":"


def _packed(entry: Entry) -> str:
    """Return an entry as one string; files in the same folder as the first one are stored without their folder."""
    bands = []
    folder = os.path.dirname(entry.path)
    for band, path in entry.bands.items():
        parent, name = os.path.split(path)
        same = parent == folder and os.path.join(folder, name) == path
        bands.append(f"{band}{_SAME_FOLDER}{name}" if same else f"{band}{_OTHER_FOLDER}{path}")
    return _SEPARATOR.join((entry.path, entry.kind, entry.id, entry.problem, *bands))


def _unpacked(text: str) -> Entry:
    path, kind, name, problem, *packed = text.split(_SEPARATOR)
    folder = os.path.dirname(path)
    bands = {part[0]: os.path.join(folder, part[2:]) if part[1] == _SAME_FOLDER else part[2:] for part in packed}
    return Entry(name, path, cast(Kind, kind), bands, problem)


def find_entries(paths: PathsLike, *, uncalibrated: bool = False, filters: Mapping[str, str] | None = None) -> Entries:
    """List the entries to read in `paths`, sorted by path, each file once.

    Parameters
    ----------
    paths : str, path or iterable of them
        Files, folders (searched with their subfolders and links to folders; hidden names and other kinds of files are
        skipped) and globs. FITS files whose names differ only by a band token form one entry, and companion maps
        (weights, PSFs, masks) are ignored. A folder NAME.zarr is one entry.
    uncalibrated : bool, default=False
        Whether to include pictures. If False, pictures next to other cutouts in folders and globs are skipped.
    filters : mapping of str to str, default=None
        Mapping of lower-case filter names to bands, for file names without a band letter. The names may have several
        tokens, such as "hsc-r".

    Raises
    ------
    CutoutError
        A path does not exist or is of an unknown kind, a glob matches nothing, there are no cutouts, or pictures are
        named explicitly or are the only files and `uncalibrated` is False; or files whose names differ in one word show
        the same field, so one of them may be an unrecognized map.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given:
        raise CutoutError("The 'paths' parameter must name at least one file, folder or glob. Got none instead.")
    files: list[str] = []
    for item in given:
        files.extend(_expand(os.fspath(item), uncalibrated))
    entries = Entries(_group(files, filters or {}))
    if not entries:
        where = ", ".join(str(item) for item in given[:3])
        raise CutoutError(
            f"There are only companion maps, such as weights, PSFs and masks, in {where}. Use the science images."
        )
    check_alike_files(list(islice((entry.path for entry in entries if entry.kind == "fits"), MOST_NAMES)))
    return entries


def _expand(item: str, uncalibrated: bool) -> list[str]:
    """Return the cutout files given by a file, folder or glob, in any order."""
    store = kind_of(os.path.normpath(item)) == "zarr"
    found: Iterable[str]
    if os.path.isdir(item) and not store:
        found, where = walk(item), f"in the folder {item}"
        nothing = f"There are no cutouts {where}. {_KINDS}"
    elif os.path.exists(item):
        found, where = [os.path.normpath(item)], f"to read, {item}"
        nothing = f"The file {item} is of an unknown kind. {_KINDS}"
    elif glob.has_magic(item):
        found, where = _matches(item), f"that match {item}"
        nothing = f"No cutouts match {item}. {_KINDS}"
    else:
        raise CutoutError(f"There is no file or folder {item}. Check the path; globs may contain *, ? and [].")
    files: list[str] = []
    has_pictures = False
    for path in found:
        kind = kind_of(path)
        if kind == "picture" and not uncalibrated:
            has_pictures = True
        elif kind is not None:
            files.append(path)
    if not files:
        raise CutoutError(f"There are only pictures {where}. {_PICTURES}" if has_pictures else nothing)
    return files


def _matches(pattern: str) -> Iterator[str]:
    for match in glob.iglob(pattern, recursive=True):
        if os.path.isdir(match) and kind_of(os.path.normpath(match)) != "zarr":
            yield from walk(match)
        else:
            yield os.path.normpath(match)


def _group(files: list[str], filters: Mapping[str, str]) -> Iterator[Entry]:
    """Group files into entries, in any order; the list is emptied in the process.

    Band files are sorted by their common folder and name, so a million of them need little more memory than their
    names.
    """
    known = frozenset(filters.items())
    banded: list[str] = []
    files.sort(reverse=True)
    last = ""
    while files:
        path = files.pop()
        if path == last:
            continue
        last = path
        split = split_suffix(path)
        assert split is not None  # _expand keeps known suffixes only
        stem, kind = split
        if kind != "fits":
            yield Entry(as_id(stem), path, kind, {})
            continue
        name, band, companion = parse_stem(stem, filters)
        if companion:
            continue
        if band:
            folder = _shared_folder(os.path.dirname(path), band, known)
            banded.append(_SEPARATOR.join((folder, name, band + path)))
        else:
            yield Entry(as_id(name), path, kind, {})
    yield from _band_entries(banded)


def _band_entries(banded: list[str]) -> Iterator[Entry]:
    """Yield the entries of band files, each given as a string of the shared folder and name, the band and the path."""
    banded.sort()
    while banded:
        shared = banded[-1].rpartition(_SEPARATOR)[0]
        files: list[tuple[str, str]] = []
        while banded and banded[-1].rpartition(_SEPARATOR)[0] == shared:
            last = banded.pop().rpartition(_SEPARATOR)[2]
            files.append((last[1:], last[0]))
        found: dict[str, list[str]] = {}
        for path, band in sorted(files):
            found.setdefault(band, []).append(path)
        yield _band_entry(shared.partition(_SEPARATOR)[2], found)


@functools.lru_cache(maxsize=256)
def _shared_folder(folder: str, band: str, filters: frozenset[tuple[str, str]]) -> str:
    """Return a folder's path with "*" for parts that name a band, which differ between the bands of one cutout."""
    bands = dict(filters)
    parts = folder.split(os.sep)
    return os.sep.join("*" if part == band or bands.get(part.lower()) == band else part for part in parts)


def _band_entry(name: str, found: dict[str, list[str]]) -> Entry:
    first = min(path for paths in found.values() for path in paths)
    bands = {band: found[band][0] for band in BANDS if band in found}
    problem = ""
    twice = [band for band in bands if len(found[band]) > 1]
    missing = missing_bands(bands)
    if sum(map(len, found.values())) == 1:
        # A single file: its "band" may be part of the name of a cube, which only its content shows.
        stem = split_suffix(first)
        assert stem is not None
        return Entry(as_id(stem[0]), first, "fits", bands)
    if twice:
        names = " and ".join(os.path.basename(path) for path in found[twice[0]])
        problem = f"There are {len(found[twice[0]])} files for the band {twice[0]}: {names}. Keep one of them."
    elif missing:
        names = ", ".join(os.path.basename(path) for paths in found.values() for path in paths)
        problem = f"{missing}: there are only {names}."
    path = next(iter(bands.values()), first)
    return Entry(as_id(name or Path(os.path.abspath(first)).parent.name), path, "fits", bands, problem)
