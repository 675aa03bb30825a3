"""Read .npy and .npz files."""

import contextlib
import math
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts.readers._chunks import (
    MAX_COLUMN_BYTES,
    RowRange,
    Rows,
    Stored,
    column_names,
    count_stored,
    pixels_name,
    read_stored,
)
from gridlens.cutouts.readers._npy import NpyHeader, read_header
from gridlens.cutouts.readers._resolved import Resolved
from gridlens.cutouts.readers._salvage import Unreadable
from gridlens.cutouts.readers._scan import Entry
from gridlens.errors import CutoutError

__all__ = ["count_npy", "count_npz", "read_npy", "read_npz"]

_READ_BYTES = 256 * 1024
# Deflate expands one byte to at most this many.
_MAX_DEFLATE_RATIO = 1032
# A compressed array in Fortran order must be held in memory completely to read any cutout from it.
_MAX_WHOLE_BYTES = 256 * 1024**2
# Other arrays up to this size are read together with their headers.
_SMALL_BYTES = 1024**2
_IS_ENCRYPTED = 0x1
_CUT_OFF = "the array ends before its last value"


def read_npy(entry: Entry, options: Resolved, rows: RowRange | None = None) -> Iterator[CutoutSet | Unreadable]:
    """Read one array of shape (H, W, 3), (3, H, W) or (n, H, W, 3), in batches."""
    with open(entry.path, "rb") as file:
        yield from read_stored(_npy_stored(file), entry, options, rows)


def read_npz(entry: Entry, options: Resolved, rows: RowRange | None = None) -> Iterator[CutoutSet | Unreadable]:
    """Read a shard written by `write_npz`, or one cutout under `pixels`, `image` or `images`, in batches.

    Further keys: `bands` or `filters` (names of the planes), `bcg_xy`, `pixel_scale`, `ids`, `flags`, `sky_axes`,
    `bcg_radec` and the metadata names. Other keys are ignored.
    """
    with _npz_stored(entry.path) as stored:
        yield from read_stored(stored, entry, options, rows)


def count_npy(path: str | os.PathLike[str]) -> int:
    """Count the cutouts in a .npy file using the header of its array and the size of the file."""
    with open(path, "rb") as file:
        return count_stored(_npy_stored(file))


def count_npz(path: str | os.PathLike[str]) -> int:
    """Count the cutouts in a .npz file using the header of its array and the sizes of its members."""
    with _npz_stored(path) as stored:
        return count_stored(stored)


def _npy_stored(file: Any) -> Stored:
    header = read_header(file)
    held = os.fstat(file.fileno()).st_size - header.length
    pixels: Rows = _Stream(file, header)
    if header.fortran_order and header.nbytes:
        if header.nbytes > held:
            raise EOFError(_CUT_OFF)
        # The first axis varies fastest, so a slice is scattered over the file. The memory map reads only what is
        # needed.
        pixels = np.memmap(file, header.dtype, "r", header.length, header.shape, order="F")
    return Stored("", pixels, {}, held=lambda: _rows_held(header, held))


@contextlib.contextmanager
def _npz_stored(path: str | os.PathLike[str]) -> Iterator[Stored]:
    size = os.path.getsize(path)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        name = pixels_name(members)
        columns: dict[str, Rows] = {
            column: _Member(archive, members[stored], size) for column, stored in column_names(members).items()
        }
        info = members[name]
        with _open_member(archive, info) as file:
            header = read_header(file)
            held = _member_bytes(info, size) - header.length
            pixels = _whole(file, header, held) if header.fortran_order else _Stream(file, header)
            yield Stored(name, pixels, columns, held=lambda: _rows_held(header, held))


def _rows_held(header: NpyHeader, held: int) -> int:
    """Return the number of whole rows in `held` bytes."""
    return max(0, held) // max(1, header.row_bytes)


def _open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    if info.flag_bits & _IS_ENCRYPTED:
        raise CutoutError(f"The member {info.filename} of the file is encrypted. Write it again without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CutoutError(
            f"The member {info.filename} of the file is compressed by a method that NumPy does not use (number "
            f"{info.compress_type}). Write it again with numpy.savez or numpy.savez_compressed."
        )
    return archive.open(info)


def _member_bytes(info: zipfile.ZipInfo, archive_size: int) -> int:
    """Return the maximum size of a member in bytes, regardless of the size that it claims."""
    ratio = 1 if info.compress_type == zipfile.ZIP_STORED else _MAX_DEFLATE_RATIO
    return min(info.file_size, ratio * min(info.compress_size, archive_size))


def _whole(file: Any, header: NpyHeader, held: int) -> NDArray[Any]:
    """Read a whole array stored in Fortran order, in which no cutout is complete before the end."""
    if header.nbytes > _MAX_WHOLE_BYTES:
        raise CutoutError(
            f"The array is in Fortran order, so it must be read completely, and takes {header.nbytes / 1e9:.1f} GB. "
            "Write it again in C order (numpy.ascontiguousarray)."
        )
    if header.nbytes > held:
        raise EOFError(_CUT_OFF)
    return _column_values(file, header)


def _column_values(file: Any, header: NpyHeader) -> NDArray[Any]:
    if header.fortran_order:
        return _read_values(file, header.shape[::-1], header.dtype).T
    return _read_values(file, header.shape, header.dtype)


def _read_values(file: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    values = np.empty(shape, dtype)
    data = values.reshape(-1).view(np.uint8).data
    # Small reads let the zip checksum be computed while the bytes are still in the cache.
    for start in range(0, len(data), _READ_BYTES):
        part = data[start : start + _READ_BYTES]
        if file.readinto(part) < len(part):
            raise EOFError(_CUT_OFF)
    return values


class _Member:
    """An array in a zip file other than the pixels; a large one is read when its values are first needed."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, archive_size: int) -> None:
        self._archive, self._info = archive, info
        self._most = min(MAX_COLUMN_BYTES, _member_bytes(info, archive_size))
        self._values: NDArray[Any] | None = None
        with _open_member(archive, info) as file:
            header = read_header(file)
            if header.nbytes <= min(_SMALL_BYTES, self._most):
                self._values = _column_values(file, header)
        self.shape, self.dtype, self._nbytes = header.shape, header.dtype, header.nbytes

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        if self._values is None:
            self._values = self._load()
        return self._values[key]

    def _load(self) -> NDArray[Any]:
        if self._nbytes > self._most:
            raise CutoutError(
                f"The array '{self._info.filename.removesuffix('.npy')}' claims {self._nbytes / 1e6:.0f} MB, more "
                "than the file stores or a column of a file may take. Write the file again."
            )
        with _open_member(self._archive, self._info) as file:
            return _column_values(file, read_header(file))


class _Stream:
    """An array in an open file, compressed or not, whose rows are read in ascending order."""

    def __init__(self, file: Any, header: NpyHeader) -> None:
        self._file = file
        self._begin = header.length
        self._at = 0
        self.shape = header.shape
        self.dtype = header.dtype

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Return the rows of the slice `key`, or the whole array for `...`."""
        if key is ...:
            return _read_values(self._file, self.shape, self.dtype)
        if key.start != self._at:
            # In a compressed file, the rows in between are read and discarded.
            self._file.seek(self._begin + key.start * self.dtype.itemsize * math.prod(self.shape[1:]))
        self._at = key.stop
        return _read_values(self._file, (key.stop - key.start, *self.shape[1:]), self.dtype)
