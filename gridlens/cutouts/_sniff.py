"""Identify the format of a file from its first bytes, regardless of its name."""

import os
import stat

from gridlens._content import HDF5_SIGNATURE, kind_of_bytes
from gridlens._ids import escaped
from gridlens.errors import CutoutError

__all__ = ["check_regular", "content_kind"]

_HEAD_BYTES = 64
_FIRST_USER_BLOCK = (
    512  # bytes; in HDF5, other data may precede the signature, in blocks of this size times a power of two
)
_TYPES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def content_kind(path: str | os.PathLike[str]) -> str:
    """Return the kind of a file from its first bytes: "fits", "npy", "zip" or another key of `KIND_WORDS`.

    "" means an unknown kind, such as an empty file.

    Raises
    ------
    CutoutError
        The path is not a regular file. It is not opened.
    OSError
        The file does not exist or cannot be read.
    """
    size = check_regular(path)
    with open(path, "rb", buffering=0) as file:
        head = file.read(_HEAD_BYTES)
        if kind := kind_of_bytes(head):
            return kind
        start = _FIRST_USER_BLOCK
        while start < size:
            file.seek(start)
            if file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE:
                return "hdf5"
            start *= 2
    return ""


def check_regular(path: str | os.PathLike[str]) -> int:
    """Return the size of a regular file in bytes; raise CutoutError for pipes, devices and folders, also behind links.

    Opening a named pipe would wait forever, and a device may never end.
    """
    status = os.stat(path)
    if stat.S_ISREG(status.st_mode):
        return status.st_size
    words = next((words for test, words in _TYPES if test(status.st_mode)), "not a file")
    raise CutoutError(
        f"The path {escaped(os.fspath(path))} is {words}, but cutouts are read from regular files only. Use the path "
        "of a regular file."
    )
