"""File signatures, shared by cutouts and tables: the first bytes determine the kind of a file, not its name."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["DECOMPRESSORS", "HDF5_SIGNATURE", "KIND_WORDS", "kind_of_bytes"]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
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
    b"\xd0\xcf\x11\xe0": "excel",
    b"%PDF": "pdf",
    HDF5_SIGNATURE: "hdf5",
}
_HTML = (b"<!doctype html", b"<html")

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
    "excel": "an Excel workbook",
    "pdf": "a PDF document",
    "hdf5": "an HDF5 file",
    "html": "a web page, perhaps the error message of a server",
    "": "of no known kind",
}
"""descriptions of the kinds from `kind_of_bytes`, for error messages"""

DECOMPRESSORS: Mapping[str, Callable[..., Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
"""functions that open a compressed file, by its kind"""


def kind_of_bytes(head: bytes) -> str:
    """Return the kind of a file from its first bytes, at least 16, as a key of `KIND_WORDS`; "" if it is unknown."""
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature):
            return kind
    return "html" if head.lstrip().lower().startswith(_HTML) else ""
