"""List the files below a folder."""

import os
import warnings
from collections.abc import Iterator

from gridlens._ids import escaped
from gridlens.cutouts._file_names import kind_of

__all__ = ["walk"]


def walk(folder: str) -> Iterator[str]:
    """Yield the files below a folder, and Zarr stores as one path each; hidden names are passed over.

    Links to folders are followed, each folder once, whichever way it is reached. Folders that cannot be read are warned
    of.
    """
    waiting = [folder]
    seen: set[tuple[int, int]] = set()
    # No recursion: folders may be nested deeper than Python's stack.
    while waiting:
        parent = waiting.pop()
        try:
            status = os.stat(parent)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            folders, names = _inside(parent)
        except OSError as exc:
            warnings.warn(
                f"The folder {escaped(parent)[-200:]} cannot be read and is left out: {exc.strerror}.",
                UserWarning,
                stacklevel=2,
            )
            continue
        waiting.extend(sorted(folders, reverse=True))
        # The same for all files, which may be a million.
        before = os.path.normpath(os.path.join(parent, "x"))[:-1]
        for name in sorted(names):
            yield before + name


def _inside(folder: str) -> tuple[list[str], list[str]]:
    """Return the paths of the folders in a folder and the names of all else in it, Zarr stores too, in any order."""
    folders: list[str] = []
    names: list[str] = []
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry) and kind_of(entry.name) != "zarr":
                folders.append(entry.path)
            else:
                names.append(entry.name)
    return folders, names


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link in a circle: reading it will fail as that of a file does.
        return False
