"""Find the files to read and group those that make up one cutout."""

import glob
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gridlens._file_names import joined_paths
from gridlens._ids import as_id
from gridlens.cutouts._bands import BANDS, missing_bands
from gridlens.cutouts._conventions import PathsLike
from gridlens.cutouts._file_names import SUFFIXES, Kind, kind_of, parse_stem, split_suffix
from gridlens.cutouts._walk import walk
from gridlens.cutouts.images._alike import check_alike_files
from gridlens.errors import CutoutError

__all__ = ["Entry", "Kind", "find_entries"]

_SHOWN_SUFFIXES = ", ".join(suffix for suffix, kind in SUFFIXES.items() if kind != "picture")
_KINDS = (
    f"Cutouts are {_SHOWN_SUFFIXES} files, and with uncalibrated=True "
    f"{', '.join(suffix for suffix, kind in SUFFIXES.items() if kind == 'picture')}."
)
_PICTURES = "Stretched pictures of 8 bits have no photometry; uncalibrated=True accepts them and flags every row."


class Entry(NamedTuple):
    """One thing to read: an array file, a Zarr store, a picture, a FITS file or the FITS files of one cutout."""

    id: str
    path: str
    """the file, or the first of the band files"""
    kind: Kind
    bands: dict[str, str]
    """path by band letter; under three where one file holds all bands"""
    problem: str = ""
    """why it cannot be read, found before opening anything"""

    @property
    def files(self) -> list[str]:
        """All files of the entry, those of bands in the order g, r, i."""
        return list(dict.fromkeys(self.bands.values())) or [self.path]

    @property
    def joined(self) -> str:
        """The files as one text, for tables and messages."""
        return joined_paths(self.files)


def find_entries(
    paths: PathsLike, *, uncalibrated: bool = False, filters: Mapping[str, str] | None = None
) -> list[Entry]:
    """List what there is to read below `paths`, sorted by path, each file once.

    Parameters
    ----------
    paths : str, path or iterable of them
        Files, folders (searched with their subfolders and links to folders; hidden names and other kinds of file are
        passed over) and globs. FITS files whose names differ in a band token alone make one entry, and companions
        (weights, PSFs, masks) are left aside. A folder NAME.zarr is one entry.
    uncalibrated : bool, default=False
        Whether to take pictures. Otherwise folders and globs pass over those that lie beside other cutouts.
    filters : mapping of str to str, default=None
        Filters, in lower case, that stand for a band in names of files without a letter for it. They may be of
        several tokens, such as "hsc-r".

    Raises
    ------
    CutoutError
        A path does not exist or is of an unknown kind, a glob matches nothing, there is no cutout at all, or
        pictures are named, or are all there is, and `uncalibrated` is false; or files that differ in one word of their
        names show one place, so that one of them may be a map that is not known as such.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given:
        raise CutoutError("The 'paths' parameter must name at least one file, folder or glob. Got none instead.")
    files: set[str] = set()
    for item in given:
        files.update(_expand(os.fspath(item), uncalibrated))
    entries = _group(sorted(files), filters or {})
    if not entries:
        where = ", ".join(str(item) for item in given[:3])
        raise CutoutError(f"There are only weights, PSFs, masks and the like in {where}. Name the science images.")
    check_alike_files([entry.path for entry in entries if entry.kind == "fits"])
    return entries


def _expand(item: str, uncalibrated: bool) -> list[str]:
    store = kind_of(os.path.normpath(item)) == "zarr"
    if os.path.isdir(item) and not store:
        found, where = sorted(walk(item)), f"in the folder {item}"
        nothing = f"There are no cutouts {where}. {_KINDS}"
    elif os.path.exists(item):
        found, where = [os.path.normpath(item)], f"to read, {item}"
        nothing = f"The file {item} is of no known kind. {_KINDS}"
    elif glob.has_magic(item):
        found, where = [], f"that match {item}"
        for match in glob.glob(item, recursive=True):
            if os.path.isdir(match) and kind_of(os.path.normpath(match)) != "zarr":
                found.extend(walk(match))
            else:
                found.append(os.path.normpath(match))
        nothing = f"No cutouts match {item}. {_KINDS}"
    else:
        raise CutoutError(f"There is no file or folder {item}. Check the path; globs may hold *, ? and [].")
    found = [path for path in found if kind_of(path) is not None]
    if not found:
        raise CutoutError(nothing)
    if not uncalibrated:
        found = [path for path in found if kind_of(path) != "picture"]
        if not found:
            raise CutoutError(f"There are only pictures {where}. {_PICTURES}")
    return found


def _group(files: list[str], filters: Mapping[str, str]) -> list[Entry]:
    entries: list[Entry] = []
    groups: dict[tuple[str, str], dict[str, list[str]]] = {}
    for path in files:
        split = split_suffix(path)
        assert split is not None  # _expand keeps known suffixes only
        stem, kind = split
        if kind != "fits":
            entries.append(Entry(as_id(stem), path, kind, {}))
            continue
        name, band, companion = parse_stem(stem, filters)
        if companion:
            continue
        if band:
            folder = _shared_folder(os.path.dirname(path), band, filters)
            groups.setdefault((folder, name), {}).setdefault(band, []).append(path)
        else:
            entries.append(Entry(as_id(name), path, kind, {}))
    entries += [_band_entry(name, found) for (_, name), found in groups.items()]
    return sorted(entries, key=lambda entry: entry.path)


def _shared_folder(folder: str, band: str, filters: Mapping[str, str]) -> str:
    """Return a folder's path with "*" for parts that name the band, which the bands of one cutout do not share."""
    parts = folder.split(os.sep)
    return os.sep.join("*" if part == band or filters.get(part.lower()) == band else part for part in parts)


def _band_entry(name: str, found: dict[str, list[str]]) -> Entry:
    first = min(path for paths in found.values() for path in paths)
    bands = {band: found[band][0] for band in BANDS if band in found}
    problem = ""
    twice = [band for band in bands if len(found[band]) > 1]
    missing = missing_bands(bands)
    if sum(map(len, found.values())) == 1:
        # A lone file: its "band" may be a part of the name of a cube, which only its content tells.
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
