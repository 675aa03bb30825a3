"""Choose the reader of a file from its content; its name only selects it for reading."""

import os
import zipfile
from collections.abc import Iterator

from gridlens._content import KIND_WORDS
from gridlens.cutouts._bands import BANDS
from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts._sniff import content_kind
from gridlens.cutouts.readers._arrays import count_npy, count_npz, read_npy, read_npz
from gridlens.cutouts.readers._chunks import RowRange
from gridlens.cutouts.readers._groups import count_in_group, read_group
from gridlens.cutouts.readers._pictures import read_picture
from gridlens.cutouts.readers._resolved import Resolved
from gridlens.cutouts.readers._salvage import Unreadable
from gridlens.cutouts.readers._scan import Entry, Kind
from gridlens.errors import CutoutError

__all__ = ["by_content", "count_entry", "read_arrays"]

_KINDS: dict[str, Kind] = {
    "npy": "npy",
    "fits": "fits",
    "hdf5": "hdf5",
    "png": "picture",
    "jpeg": "picture",
}
_COMPRESSED = ("gzip", "bzip2", "xz", "zstd", "compress")
_ZARR_METADATA = ("zarr.json", ".zgroup", ".zarray")


def by_content(entry: Entry) -> Entry:
    """Return the entry with the kind of its content, or the kind of its name if the content is not recognized.

    Raises
    ------
    CutoutError
        The file is not a regular file, cannot be opened, or is known not to hold cutouts.
    """
    if len(entry.bands) == len(BANDS) or (entry.kind == "zarr" and os.path.isdir(entry.path)):
        return entry
    try:
        content = content_kind(entry.path)
    except OSError as exc:
        raise CutoutError(
            f"The file cannot be opened: {exc.strerror or exc}. Check that it exists and that you have permission to "
            "read it."
        ) from exc
    if content == "" or (content in _COMPRESSED and entry.kind == "fits"):
        return entry
    if content in _COMPRESSED:
        raise CutoutError(
            f"The file is {KIND_WORDS[content]}, which is supported for FITS images only. Decompress it first."
        )
    if content != "zip" and content not in _KINDS:
        raise CutoutError(f"The file is {KIND_WORDS[content]}, which does not hold cutouts. Use the right file.")
    return entry._replace(kind=_zip_kind(entry) if content == "zip" else _KINDS[content])


def _zip_kind(entry: Entry) -> Kind:
    with zipfile.ZipFile(entry.path) as archive:
        names = archive.namelist()
    if any(name.rpartition("/")[2] in _ZARR_METADATA for name in names):
        return "zarr"
    return "zarr" if entry.kind == "zarr" and not any(name.endswith(".npy") for name in names) else "npz"


def read_arrays(entry: Entry, options: Resolved, rows: RowRange | None) -> Iterator[CutoutSet | Unreadable]:
    """Read an entry of any kind except FITS, in batches."""
    match entry.kind:
        case "npy":
            return read_npy(entry, options, rows)
        case "npz":
            return read_npz(entry, options, rows)
        case "picture":
            return iter((read_picture(entry, options),))
        case _:
            return read_group(entry, options, rows)


def count_entry(entry: Entry) -> int:
    """Count the cutouts of an entry from its header; an entry that will fail counts as 1."""
    try:
        if entry.problem:
            return 1
        entry = by_content(entry)
        match entry.kind:
            case "npy":
                return count_npy(entry.path)
            case "npz":
                return count_npz(entry.path)
            case "fits" | "picture":
                return 1
            case _:
                return count_in_group(entry)
    except Exception:  # a damaged file may raise almost any error in the libraries used, and is rejected later
        return 1
