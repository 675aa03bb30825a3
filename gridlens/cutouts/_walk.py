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
            with os.scandir(parent) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as exc:
            warnings.warn(
                f"The folder {escaped(parent)[-200:]} cannot be read and is left out: {exc.strerror}.",
                UserWarning,
                stacklevel=2,
            )
            continue
        folders = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry) and kind_of(entry.name) != "zarr":
                folders.append(entry.path)
            else:
                yield os.path.normpath(entry.path)
        waiting.extend(reversed(folders))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link in a circle: reading it will fail as that of a file does.
        return False
