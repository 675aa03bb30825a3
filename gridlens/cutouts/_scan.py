"""Find the files to read and group those that make up one cutout."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from gridlens._errors import CutoutError
from gridlens._ids import as_id
from gridlens.cutouts._planes import BANDS, KNOWN_BANDS, missing_bands

__all__ = ["Entry", "Kind", "PathsLike", "find_entries", "parse_stem", "split_suffix", "walk"]

PathsLike: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
Kind: TypeAlias = Literal["npy", "npz", "fits", "hdf5", "zarr", "picture"]

_SUFFIXES: dict[str, Kind] = {
    ".npy": "npy",
    ".npz": "npz",
    ".fits": "fits",
    ".fit": "fits",
    ".fits.gz": "fits",
    ".fit.gz": "fits",
    ".fits.fz": "fits",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".zarr": "zarr",
    ".zarr.zip": "zarr",
    ".jpg": "picture",
    ".jpeg": "picture",
    ".png": "picture",
}
_KINDS = (
    f"Cutouts are {', '.join(suffix for suffix, kind in _SUFFIXES.items() if kind != 'picture')} files, "
    f"and with --uncalibrated {', '.join(suffix for suffix, kind in _SUFFIXES.items() if kind == 'picture')}."
)
_PICTURES = (
    "Stretched pictures of 8 bits have no photometry; --uncalibrated (uncalibrated=True in Python) accepts them and "
    "flags every row."
)
# What surveys and pipelines put beside a science image.
_COMPANIONS = frozenset(
    {"wht", "weight", "weights", "rms", "psf", "mask", "msk", "var", "variance", "ivar", "invvar", "err", "error"}
    | {"flag", "flags", "dq", "seg", "segm", "exp", "chi2"}
)
_SCIENCE = frozenset({"sci", "science"})
_DASHES = str.maketrans("_.", "--")


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


def find_entries(
    paths: PathsLike, *, uncalibrated: bool = False, filters: Mapping[str, str] | None = None
) -> list[Entry]:
    """List what there is to read below `paths`, sorted by path, each file once.

    Parameters
    ----------
    paths : str, path or iterable of them
        Files, folders (searched with their subfolders; hidden names and other kinds of file are passed over) and
        globs. FITS files whose names differ in a band token alone make one entry, and companions (weights, PSFs,
        masks) are left aside. A folder NAME.zarr is one entry.
    uncalibrated : bool, default=False
        Whether to take pictures. Otherwise folders and globs pass over those that lie beside other cutouts.
    filters : mapping of str to str, default=None
        Filters, in lower case, that stand for a band in names of files without a letter for it. They may be of
        several tokens, such as "hsc-r".

    Raises
    ------
    CutoutError
        A path does not exist or is of an unknown kind, a glob matches nothing, there is no cutout at all, or
        pictures are named, or are all there is, and `uncalibrated` is false.
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
    return entries


def _expand(item: str, uncalibrated: bool) -> list[str]:
    store = _kind(os.path.normpath(item)) == "zarr"
    if os.path.isdir(item) and not store:
        found, where = sorted(walk(item)), f"in the folder {item}"
        nothing = f"There are no cutouts {where}. {_KINDS}"
    elif os.path.exists(item):
        found, where = [os.path.normpath(item)], f"to read, {item}"
        nothing = f"The file {item} is of no known kind. {_KINDS}"
    elif glob.has_magic(item):
        found, where = [], f"that match {item}"
        for match in glob.glob(item, recursive=True):
            if os.path.isdir(match) and _kind(os.path.normpath(match)) != "zarr":
                found.extend(walk(match))
            else:
                found.append(os.path.normpath(match))
        nothing = f"No cutouts match {item}. {_KINDS}"
    else:
        raise CutoutError(f"There is no file or folder {item}. Check the path; globs may hold *, ? and [].")
    found = [path for path in found if _kind(path) is not None]
    if not found:
        raise CutoutError(nothing)
    if not uncalibrated:
        found = [path for path in found if _kind(path) != "picture"]
        if not found:
            raise CutoutError(f"There are only pictures {where}. {_PICTURES}")
    return found


def walk(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        stores = [name for name in folders if _kind(name) == "zarr"]
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in stores)
        for name in (*names, *stores):
            if not name.startswith("."):
                yield os.path.normpath(os.path.join(parent, name))


def _kind(path: str) -> Kind | None:
    split = split_suffix(path)
    return split and split[1]


def split_suffix(path: str) -> tuple[str, Kind] | None:
    """Return the stem and the kind, or None for another kind of file. Names hold dots, so Path.stem is no help."""
    name = os.path.basename(path)
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], _SUFFIXES[suffix]
    return None


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
            groups.setdefault((os.path.dirname(path), name), {}).setdefault(band, []).append(path)
        else:
            entries.append(Entry(as_id(name), path, kind, {}))
    for (folder, name), found in groups.items():
        entries.append(_band_entry(folder, name, found))
    return sorted(entries, key=lambda entry: entry.path)


def parse_stem(stem: str, filters: Mapping[str, str] | None = None) -> tuple[str, str, bool]:
    """Return the name without its band token, the band ("" if none) and whether the file is a companion.

    `filters` are names of one or more tokens, in lower case, that stand for a band where there is no letter.
    """
    # the separators stay in the list, at odd places, so that the name keeps its own
    words = re.split(r"([-_.])", stem)
    tokens = words[::2]
    if tokens[-1].lower() in _SCIENCE and len(tokens) > 1:
        words, tokens = words[:-2], tokens[:-1]
    last = len(tokens) - 1
    place = next((k for k in range(last, -1, -1) if len(tokens[k]) == 1 and tokens[k] in KNOWN_BANDS), None)
    end, band = last + 1, ""
    if place is not None:
        end, band = place + 1, tokens[place]
    elif filters:
        place, end, band = _find_filter(tokens, filters)
    # NAME_g_wht and NAME_wht_g: a companion's word stands at the end or just before the band at the end
    tail = tokens[place - 1 :] if place is not None and place > 1 and end > last else tokens[last:]
    if any(word.lower() in _COMPANIONS for word in tail):
        return stem, "", True
    if place is None:
        return "".join(words), "", False
    # the band goes with the separator before it, or after it where it comes first
    rest = words[2 * end :] if place == 0 else words[: 2 * place - 1] + words[2 * end - 1 :]
    return "".join(rest), band, False


def _find_filter(tokens: list[str], filters: Mapping[str, str]) -> tuple[int | None, int, str]:
    """Return where the last filter among the tokens begins (None if there is none) and ends, and its band."""
    text = f"-{'-'.join(tokens)}-".lower()
    # whatever separates the tokens: HSC-R, HSC_R
    dashed = [(name.translate(_DASHES), band) for name, band in filters.items()]
    at, name, band = max((text.rfind(f"-{name}-"), name, band) for name, band in dashed)
    if at < 0:
        return None, len(tokens), ""
    place = text.count("-", 0, at)
    return place, place + name.count("-") + 1, band


def _band_entry(folder: str, name: str, found: dict[str, list[str]]) -> Entry:
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
    return Entry(as_id(name or Path(os.path.abspath(folder)).name), path, "fits", bands, problem)
