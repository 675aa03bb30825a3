"""Fingerprints of files and tables, used by a resumed run to recognize its input."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import pandas as pd

from gridlens.cutouts._conventions import CatalogLike
from gridlens.cutouts.catalogs._catalog import catalog_frame

__all__ = ["catalog_digest", "frame_digest", "stamp"]


def stamp(path: str) -> list[int | str]:
    """Return the size, modification time, inode change time (ns) and inode of a file.

    Equal stamps mean the same file with the same content: a program that restores the modification time of a changed
    file still changes its inode's time. A folder has a fifth value, the digest of the stamps of all files below it. A
    missing file has the stamp ``[-1]``.
    """
    try:
        status = os.stat(path)
    except OSError:
        return [-1]
    stamped: list[int | str] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    if not os.path.isdir(path):
        return stamped
    inside = hashlib.sha256()
    for name in _files_below(path):
        inside.update(repr((os.path.relpath(name, path), stamp(name))).encode())
    return [*stamped, inside.hexdigest()]


def _files_below(folder: str) -> Iterator[str]:
    """Yield all files below a folder, in an order that depends only on their names."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(parent, name) for name in sorted(names))


def catalog_digest(catalog: CatalogLike | None) -> str:
    """Return a digest of a table in memory, of the path and stamp of a file, or of None."""
    if catalog is None:
        return "none"
    frame = catalog_frame(catalog)
    if frame is not None:
        return frame_digest(frame)
    path = os.fspath(catalog)  # type: ignore[arg-type]
    return hashlib.sha256(repr((path, stamp(path))).encode()).hexdigest()


def frame_digest(frame: pd.DataFrame) -> str:
    """Return a digest of the names and values of a table, in their order."""
    values = hashlib.sha256(repr(list(frame.columns)).encode())
    try:
        values.update(pd.util.hash_pandas_object(frame).to_numpy().tobytes())
    except (TypeError, ValueError):  # cells are lists, or text that is not UTF-8
        values.update(repr(frame.to_dict("split")).encode())
    return values.hexdigest()
