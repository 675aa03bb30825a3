"""The image files of one band: a file, a folder of tiles, or a glob."""

import glob
import os
from collections.abc import Mapping

from gridlens.cutouts._conventions import PathsLike
from gridlens.cutouts._file_names import parse_stem, split_suffix
from gridlens.cutouts._walk import walk
from gridlens.errors import CutoutError

__all__ = ["image_files"]


def image_files(paths: PathsLike, band: str, filters: Mapping[str, str] | None = None) -> list[str]:
    """List the FITS files of a band, sorted; `filters` maps lower-case filter names to bands.

    Files that are named explicitly are all used. Companion maps (weights, PSFs, masks) matched by a glob or in a folder
    are ignored, unless there are no other files. In a folder, files whose names contain the token of another band are
    ignored too.

    Raises
    ------
    CutoutError
        A path does not exist, or there is no image of the band.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: set[str] = set()
    for path in given:
        item = os.fspath(path)
        if os.path.isdir(item):
            found.update(_of_band(item, band, filters))
        elif os.path.exists(item):
            found.add(item)
        elif glob.has_magic(item):
            found.update(_science([path for path in glob.glob(item, recursive=True) if _is_fits(path)], filters))
        else:
            raise CutoutError(
                f'There is no image {item} of the band {band}. Check images={{"{band}": PATH}}: a FITS file, a folder '
                "of tiles or a glob."
            )
    if not found:
        raise CutoutError(f"No FITS image of the band {band} matches {', '.join(map(str, given))}. Check the path.")
    return sorted(found)


def _is_fits(path: str) -> bool:
    split = split_suffix(path)
    return split is not None and split[1] == "fits" and os.path.isfile(path)


def _science(paths: list[str], filters: Mapping[str, str] | None) -> list[str]:
    """Return the paths without companion maps, or all of them if there are no others."""
    stems = [(path, split_suffix(path)) for path in paths]
    return [path for path, split in stems if split is not None and not parse_stem(split[0], filters)[2]] or paths


def _of_band(folder: str, band: str, filters: Mapping[str, str] | None) -> list[str]:
    named: list[str] = []
    nameless: list[str] = []
    others: set[str] = set()
    for path in walk(folder):
        if not _is_fits(path):
            continue
        split = split_suffix(path)
        assert split is not None
        _, token, companion = parse_stem(split[0], filters)
        if companion:
            continue
        if token == band:
            named.append(path)
        elif token:
            others.add(token)
        else:
            nameless.append(path)
    if named or nameless:
        # If some files name the band, files that do not are something else.
        return named or nameless
    if others:
        raise CutoutError(
            f"The folder {folder} holds images of {', '.join(sorted(others))} but none of the band {band}. "
            f'Check images={{"{band}": PATH}}.'
        )
    return []
