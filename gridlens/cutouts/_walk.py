"""List the files below a folder."""

import os
import warnings
from collections.abc import Iterator

from gridlens._ids import escaped
from gridlens.cutouts._file_names import kind_of

__all__ = ["walk"]


def walk(folder: str) -> Iterator[str]:
    """Yield the files below a folder, and each Zarr store as one path; hidden names are skipped.

    Links to folders are followed, and each folder is visited once, even if several paths lead to it. A folder that
    cannot be read causes a warning.
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
                f"The folder {escaped(parent)[-200:]} cannot be read and is skipped: {exc.strerror}.",
                UserWarning,
                stacklevel=2,
            )
            continue
        waiting.extend(sorted(folders, reverse=True))
        # The prefix is computed once for all files, of which there may be a million.
        before = os.path.normpath(os.path.join(parent, "x"))[:-1]
        for name in sorted(names):
            yield before + name


def _inside(folder: str) -> tuple[list[str], list[str]]:
    """Return the paths of the subfolders and the names of all other entries, including Zarr stores, in any order."""
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
        # The link is circular: reading it will fail as it does for a file.
        return False
