"""The files of a Zarr store, in a folder or a zip file, with their sizes and with checks that they may be read."""

import json
import os
import stat
import zipfile
from collections.abc import Iterator
from typing import Any, Protocol

from gridlens._ids import escaped
from gridlens.errors import CutoutError

__all__ = ["FolderFiles", "StoreFiles", "ZipFiles", "open_files", "read_json"]

_MAX_JSON_BYTES = 16 * 1024**2
_METADATA_NAMES = ("zarr.json", ".zarray", ".zgroup")
_IS_ENCRYPTED = 0x1


class StoreFiles(Protocol):
    """The files of a store by their keys, such as "pixels/zarr.json"."""

    def size(self, key: str) -> int | None:
        """Return the size of a file in bytes, or None if it is missing; raise CutoutError if it must not be read."""
        ...

    def read(self, key: str) -> bytes: ...

    def names(self, folder: str) -> Iterator[str]:
        """Yield the names in a folder of the store; a name may occur twice."""
        ...


def read_json(files: StoreFiles, key: str) -> dict[str, Any] | None:
    """Read a metadata file; return None if it is missing."""
    size = files.size(key)
    if size is None:
        return None
    if size > _MAX_JSON_BYTES:
        raise CutoutError(f"The metadata {key} of the store take {size / 1e6:.0f} MB. Write the store again.")
    try:
        value = json.loads(files.read(key))
    except (ValueError, RecursionError) as exc:
        raise CutoutError(
            f"The file is damaged or does not match its name (the metadata {key} are not JSON: {exc}). Download or "
            "write it again."
        ) from exc
    if not isinstance(value, dict):
        raise CutoutError(
            f"The metadata {key} of the store are damaged: they are not a JSON object. Write the store again."
        )
    return value


def open_files(path: str) -> "FolderFiles | ZipFiles":
    """Open the files of a store, which the caller must close."""
    return FolderFiles(path) if os.path.isdir(path) else ZipFiles(path)


class FolderFiles:
    """A store in a folder. Links out of the folder are not followed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._inside = os.path.join(os.path.realpath(path), "")

    def size(self, key: str) -> int | None:
        path = os.path.join(self._path, key)
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not os.path.realpath(path).startswith(self._inside):
            raise CutoutError(f"The file {escaped(key)} of the store is a link out of the store. Copy the whole store.")
        if not stat.S_ISREG(status.st_mode):
            raise CutoutError(f"The file {escaped(key)} of the store is not a regular file. Write the store again.")
        return status.st_size

    def read(self, key: str) -> bytes:
        with open(os.path.join(self._path, key), "rb") as file:
            return file.read()

    def names(self, folder: str) -> Iterator[str]:
        try:
            with os.scandir(os.path.join(self._path, folder)) as found:
                yield from (item.name for item in found)
        except (FileNotFoundError, NotADirectoryError):
            return

    def close(self) -> None:
        pass


class ZipFiles:
    """A store in a zip file, at its root or in its only top-level folder."""

    def __init__(self, path: str) -> None:
        self._archive = zipfile.ZipFile(path)
        roots = {name.split("/")[0] for name in self._archive.namelist()} - {"__MACOSX"}
        lone = len(roots) == 1 and not roots.intersection(_METADATA_NAMES)
        self.folder = roots.pop() if lone else ""
        self._prefix = f"{self.folder}/" if self.folder else ""

    def size(self, key: str) -> int | None:
        try:
            info = self._archive.getinfo(self._prefix + key)
        except KeyError:
            return None
        if info.flag_bits & _IS_ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CutoutError(
                f"The member {escaped(key)} of the zip file is encrypted or compressed by a method other than deflate. "
                "Zip the store again, without compression."
            )
        return info.file_size

    def read(self, key: str) -> bytes:
        return self._archive.read(self._prefix + key)

    def names(self, folder: str) -> Iterator[str]:
        prefix = self._prefix + (f"{folder}/" if folder else "")
        for name in self._archive.namelist():
            if name.startswith(prefix):
                yield name[len(prefix) :].split("/")[0]

    def close(self) -> None:
        self._archive.close()
