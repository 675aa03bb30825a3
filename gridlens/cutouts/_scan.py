"""Find the files to read and group those that make up one cutout."""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from gridlens._errors import CutoutError
from gridlens.cutouts._planes import BANDS, KNOWN_BANDS, missing_bands

__all__ = ["Entry", "PathsLike", "find_entries"]

PathsLike: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

_SUFFIXES: dict[str, Literal["npy", "npz", "fits"]] = {
    ".npy": "npy",
    ".npz": "npz",
    ".fits": "fits",
    ".fit": "fits",
    ".fits.gz": "fits",
    ".fit.gz": "fits",
    ".fits.fz": "fits",
}
# What surveys and pipelines put beside a science image.
_COMPANIONS = frozenset(
    {"wht", "weight", "weights", "rms", "psf", "mask", "msk", "var", "variance", "ivar", "invvar", "err", "error"}
    | {"flag", "flags", "dq", "seg", "segm", "exp", "chi2"}
)
_SCIENCE = frozenset({"sci", "science"})


class Entry(NamedTuple):
    """One thing to read: an array file, a FITS file, or the FITS files of one cutout by band."""

    id: str
    path: str
    """the file, or the first of the band files"""
    kind: Literal["npy", "npz", "fits"]
    bands: dict[str, str]
    """path by band letter; under three where one file holds all bands"""
    problem: str = ""
    """why it cannot be read, found before opening anything"""


def find_entries(paths: PathsLike) -> list[Entry]:
    """List what there is to read below `paths`, sorted by path, each file once.

    Parameters
    ----------
    paths : str, path or iterable of them
        Files, folders (searched with their subfolders; hidden names and other kinds of file are passed over) and
        globs. FITS files whose names differ in a band token alone make one entry, and companions (weights, PSFs,
        masks) are left aside.

    Raises
    ------
    CutoutError
        A path does not exist or is of an unknown kind, a glob matches nothing, or there is no cutout at all.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given:
        raise CutoutError("The 'paths' parameter must name at least one file, folder or glob. Got none instead.")
    files: set[str] = set()
    for item in given:
        files.update(_expand(os.fspath(item)))
    entries = _group(sorted(files))
    if not entries:
        where = ", ".join(str(item) for item in given[:3])
        raise CutoutError(f"There are only weights, PSFs, masks and the like in {where}. Name the science images.")
    return entries


def _expand(item: str) -> list[str]:
    kinds = "Cutouts are " + ", ".join(_SUFFIXES) + " files."
    if os.path.isdir(item):
        found = sorted(_walk(item))
        if not found:
            raise CutoutError(f"There are no cutouts in the folder {item}. {kinds}")
        return found
    if os.path.exists(item):
        if _split_suffix(item) is None:
            raise CutoutError(f"The file {item} is of no known kind. {kinds}")
        return [os.path.normpath(item)]
    if glob.has_magic(item):
        found = []
        for match in glob.glob(item, recursive=True):
            if os.path.isdir(match):
                found.extend(_walk(match))
            elif _split_suffix(match) is not None:
                found.append(os.path.normpath(match))
        if not found:
            raise CutoutError(f"No cutouts match {item}. {kinds}")
        return found
    raise CutoutError(f"There is no file or folder {item}. Check the path; globs may hold *, ? and [].")


def _walk(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and _split_suffix(name) is not None:
                yield os.path.normpath(os.path.join(parent, name))


def _split_suffix(path: str) -> tuple[str, Literal["npy", "npz", "fits"]] | None:
    """Return the stem and the kind, or None for another kind of file. Names hold dots, so Path.stem is no help."""
    name = os.path.basename(path)
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], _SUFFIXES[suffix]
    return None


def _group(files: list[str]) -> list[Entry]:
    entries: list[Entry] = []
    groups: dict[tuple[str, str], dict[str, list[str]]] = {}
    for path in files:
        split = _split_suffix(path)
        assert split is not None  # _expand keeps known suffixes only
        stem, kind = split
        if kind != "fits":
            entries.append(Entry(stem, path, kind, {}))
            continue
        name, band, companion = _parse_stem(stem)
        if companion:
            continue
        if band:
            groups.setdefault((os.path.dirname(path), name), {}).setdefault(band, []).append(path)
        else:
            entries.append(Entry(name, path, kind, {}))
    for (folder, name), found in groups.items():
        entries.append(_band_entry(folder, name, found))
    return sorted(entries, key=lambda entry: entry.path)


def _parse_stem(stem: str) -> tuple[str, str, bool]:
    """Return the name without its band token, the band ("" if none) and whether the file is a companion."""
    # the separators stay in the list, at odd places, so that the name keeps its own
    words = re.split(r"([-_.])", stem)
    tokens = words[::2]
    if tokens[-1].lower() in _SCIENCE and len(tokens) > 1:
        words, tokens = words[:-2], tokens[:-1]
    last = len(tokens) - 1
    place = next((k for k in range(last, -1, -1) if len(tokens[k]) == 1 and tokens[k] in KNOWN_BANDS), None)
    # NAME_g_wht and NAME_wht_g: a companion's word stands at the end or just before the band at the end
    tail = tokens[last - 1 :] if place == last and last > 1 else tokens[last:]
    if any(word.lower() in _COMPANIONS for word in tail):
        return stem, "", True
    if place is None:
        return "".join(words), "", False
    band = tokens[place]
    # the token goes with the separator before it, or after it where it comes first
    rest = words[2:] if place == 0 else words[: 2 * place - 1] + words[2 * place + 1 :]
    return "".join(rest), band, False


def _band_entry(folder: str, name: str, found: dict[str, list[str]]) -> Entry:
    first = min(path for paths in found.values() for path in paths)
    bands = {band: found[band][0] for band in BANDS if band in found}
    problem = ""
    twice = [band for band in bands if len(found[band]) > 1]
    missing = missing_bands(bands)
    if sum(map(len, found.values())) == 1:
        # A lone file: its "band" may be a part of the name of a cube, which only its content tells.
        stem = _split_suffix(first)
        assert stem is not None
        return Entry(stem[0], first, "fits", bands)
    if twice:
        names = " and ".join(os.path.basename(path) for path in found[twice[0]])
        problem = f"There are {len(found[twice[0]])} files for the band {twice[0]}: {names}. Keep one of them."
    elif missing:
        names = ", ".join(os.path.basename(path) for paths in found.values() for path in paths)
        problem = f"{missing}: there are only {names}."
    path = next(iter(bands.values()), first)
    return Entry(name or Path(os.path.abspath(folder)).name, path, "fits", bands, problem)
