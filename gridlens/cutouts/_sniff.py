"""Tell what a file is from its first bytes, whatever its name says."""

import os
import stat

from gridlens._errors import CutoutError
from gridlens._ids import escaped

__all__ = ["KIND_WORDS", "check_regular", "content_kind"]

_SIGNATURES = {
    b"SIMPLE  =": "fits",
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # without members
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x1f\x9d": "compress",
    b"PAR1": "parquet",
}
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HTML = (b"<!doctype html", b"<html")
_HEAD_BYTES = 64
_FIRST_USER_BLOCK = 512  # bytes; HDF5 lets other data precede its signature, in blocks of this size and its doubles

KIND_WORDS = {
    "fits": "a FITS file",
    "npy": "a NumPy array as in .npy",
    "zip": "a zip archive",
    "png": "a PNG picture",
    "jpeg": "a JPEG picture",
    "gzip": "compressed with gzip",
    "bzip2": "compressed with bzip2",
    "xz": "compressed with xz",
    "zstd": "compressed with zstd",
    "compress": "compressed with the program compress",
    "parquet": "a Parquet table",
    "hdf5": "an HDF5 file",
    "html": "a web page, perhaps the error message of a server",
    "": "of no known kind",
}
"""what an error message says that a file is, by the kinds of `content_kind`"""

_TYPES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def content_kind(path: str | os.PathLike[str]) -> str:
    """Return the kind of a file from its first bytes, a key of `KIND_WORDS`: "fits", "npy", "zip" or others.

    "" means a kind that is not known, such as an empty file.

    Raises
    ------
    CutoutError
        The path does not lead to a regular file. Nothing is opened then.
    OSError
        The file does not exist or cannot be read.
    """
    size = check_regular(path)
    with open(path, "rb", buffering=0) as file:
        head = file.read(_HEAD_BYTES)
        for signature, kind in _SIGNATURES.items():
            if head.startswith(signature):
                return kind
        if head.startswith(_HDF5):
            return "hdf5"
        if head.lstrip().lower().startswith(_HTML):
            return "html"
        start = _FIRST_USER_BLOCK
        while start < size:
            file.seek(start)
            if file.read(len(_HDF5)) == _HDF5:
                return "hdf5"
            start *= 2
    return ""


def check_regular(path: str | os.PathLike[str]) -> int:
    """Return the size of a regular file in bytes; raise CutoutError for pipes, devices and folders, also by a link.

    Opening a named pipe would wait forever, and a device may never end.
    """
    status = os.stat(path)
    if stat.S_ISREG(status.st_mode):
        return status.st_size
    words = next((words for test, words in _TYPES if test(status.st_mode)), "not a file")
    raise CutoutError(
        f"The path {escaped(os.fspath(path))} is {words}, and cutouts are read from regular files only. "
        "Name a regular file."
    )
