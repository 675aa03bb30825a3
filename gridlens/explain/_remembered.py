"""The origin of a score table: its model and its cutouts, from the record next to it."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gridlens.engine._record import recorded_options
from gridlens.features._cache import is_feature_cache
from gridlens.sources._arguments import checked_arguments

__all__ = ["NOT_REMEMBERED", "Remembered", "remembered"]


class Remembered(NamedTuple):
    """The known origin of a table.

    Attributes
    ----------
    arguments : dict of str to object
        Arguments of `open_source`, with existing paths if found; empty if they are unknown.
    model : str or None
        Name or path, as it was given, of the model that computed the column `score`.
    folders : tuple of str
        Folders in which the paths of the table are searched, in order; "" is the working directory.
    """

    arguments: dict[str, Any]
    model: str | None
    folders: tuple[str, ...]

    def with_stated(self, stated: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of `open_source`, in which the `stated` ones take precedence.

        If another kind of source is stated, the remembered arguments are not used.
        """
        given = {name: value for name, value in stated.items() if value is not None and value is not False}
        source, is_images = given.get("source"), "images" in self.arguments
        other_kind = (is_images and source is not None) or (not is_images and "images" in given)
        if other_kind or not _are_cutouts(source):
            return given
        return {**self.arguments, **given}


NOT_REMEMBERED = Remembered({}, None, ("",))
"""origin of a table in memory"""


def remembered(table: str | os.PathLike[str]) -> Remembered:
    """Return the origin of a table in a file.

    Relative paths are searched in the folder in which the table was made, then in the working directory, and then in
    the folder of the table.
    """
    path = Path(table)
    options = recorded_options(path)
    made_in = options.get("folder")
    folders = _distinct([*([made_in] if isinstance(made_in, str) else []), "", str(path.parent)])
    arguments = _of_cutouts(_found(checked_arguments(options.get("source")), folders), folders)
    models = options.get("models")
    first = models[0] if isinstance(models, list) and models else None
    return Remembered(arguments, first if isinstance(first, str) else None, folders)


def _distinct(folders: Sequence[str]) -> tuple[str, ...]:
    """Return the folders in order, each once; the working directory becomes "", which keeps paths short."""
    here = os.path.abspath("")
    named = dict.fromkeys(map(os.path.abspath, folders))
    return tuple("" if path == here else path for path in named)


def _of_cutouts(arguments: dict[str, Any], folders: Sequence[str]) -> dict[str, Any]:
    """Return the arguments; for feature caches, those of the cutouts from which they were measured."""
    caches = arguments.get("source") or []
    if _are_cutouts(caches):
        return arguments
    made = []
    for cache in caches:
        options = recorded_options(Path(cache))
        found = _found(checked_arguments(options.get("source")), folders)
        made.append({name: value for name, value in found.items() if name != "source"})
    return made[0] if made and all(one == made[0] for one in made) else {}


def _are_cutouts(source: Any) -> bool:
    """Return whether a source is None or paths of cutouts, rather than an open source or feature caches."""
    paths = [source] if isinstance(source, str | os.PathLike) else source
    if paths is None:
        return True
    return isinstance(paths, list | tuple) and not any(
        os.fspath(path).lower().endswith(".parquet") and is_feature_cache(path) for path in paths
    )


def _found(arguments: dict[str, Any], folders: Sequence[str]) -> dict[str, Any]:
    """Return the arguments with paths as found in the folders."""
    found = dict(arguments)
    if "source" in found:
        found["source"] = [_existing(path, folders) for path in found["source"]]
    if "images" in found:
        found["images"] = {
            band: [_existing(path, folders) for path in paths] for band, paths in found["images"].items()
        }
    if "catalog" in found:
        found["catalog"] = _existing(found["catalog"], folders)
    return found


def _existing(path: str, folders: Sequence[str]) -> str:
    """Return the path or glob as found in one of the folders, or unchanged."""
    for folder in folders:
        place = os.path.join(folder, path)
        if os.path.exists(place) or (glob.has_magic(place) and next(glob.iglob(place, recursive=True), None)):
            return place
    return path
