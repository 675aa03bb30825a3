"""Read .npy and .npz files."""

import math
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens._errors import CutoutError
from gridlens.cutouts._chunks import RowRange, Rows, Stored, column_names, pixels_name, read_pieces
from gridlens.cutouts._planes import ReadOptions
from gridlens.cutouts._scan import Entry
from gridlens.cutouts._set import CutoutSet

__all__ = ["count_in_file", "read_npy", "read_npz"]

_SIP_BYTES = 256 * 1024


def read_npy(entry: Entry, options: ReadOptions, rows: RowRange | None = None) -> Iterator[CutoutSet]:
    """Read one array of shape (H, W, 3), (3, H, W) or (n, H, W, 3), in pieces."""
    with open(entry.path, "rb") as file:
        yield from read_pieces(Stored("pixels", _rows(file), {}), entry, options, rows)


def read_npz(entry: Entry, options: ReadOptions, rows: RowRange | None = None) -> Iterator[CutoutSet]:
    """Read a shard as `write_npz` leaves it, or one cutout under `pixels`, `image` or `images`, in pieces.

    Further keys: `bands` or `filters` (names of the planes), `bcg_xy`, `pixel_scale`, `ids`, `flags` and the
    metadata names. Others are passed over.
    """
    opened = np.load(entry.path, mmap_mode="r", allow_pickle=False)
    if not isinstance(opened, np.lib.npyio.NpzFile):
        raise CutoutError("The file is named .npz but holds a single array. Name it .npy.")
    with opened as file:
        name = pixels_name(file.files)
        columns = {column: file[stored] for column, stored in column_names(file.files).items()}
        assert file.zip is not None  # it is open
        with file.zip.open(f"{name}.npy") as member:
            yield from read_pieces(Stored(name, _rows(member), columns), entry, options, rows)


def count_in_file(path: str | os.PathLike[str]) -> int:
    """Count the cutouts in a .npy or .npz file from the header of its array; a file that cannot be read counts 1."""
    try:
        if str(path).lower().endswith(".npy"):
            with open(path, "rb") as file:
                return _count(file)
        with zipfile.ZipFile(path) as archive:
            name = pixels_name(member.removesuffix(".npy") for member in archive.namelist())
            with archive.open(f"{name}.npy") as member:
                return _count(member)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return 1


def _count(file: Any) -> int:
    shape = _header(file)[0]
    return shape[0] if len(shape) == 4 else 1


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(file)
    return shape, fortran_order, dtype


def _rows(file: Any) -> Rows:
    start = file.tell()
    shape, fortran_order, dtype = _header(file)
    if not fortran_order and not dtype.hasobject:
        return _Stream(file, shape, dtype)
    # The first axis runs fastest, so that no cutout is complete before the end; a pickled array is refused here.
    file.seek(start)
    array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


class _Stream:
    """The array whose values follow in an open file, compressed or not, read from one row on to a later one."""

    def __init__(self, file: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._file = file
        self._begin = file.tell()
        self._at = 0
        self.shape = shape
        self.dtype = dtype

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Return the rows that the slice `key` holds, or with ... all of the array."""
        each = self.dtype.itemsize * math.prod(self.shape[1:])
        if key is ...:
            shape = self.shape
        else:
            shape = (key.stop - key.start, *self.shape[1:])
            if key.start != self._at:
                # Behind a compressor, what lies between is read and dropped.
                self._file.seek(self._begin + key.start * each)
            self._at = key.stop
        values = np.empty(shape, self.dtype)
        data = values.reshape(-1).view(np.uint8).data
        # A zip file's checksum is taken of bytes that are still in the cache.
        for start in range(0, len(data), _SIP_BYTES):
            sip = data[start : start + _SIP_BYTES]
            if self._file.readinto(sip) < len(sip):
                raise EOFError("the array ends before its last value")
        return values
