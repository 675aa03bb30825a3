"""Open HDF5 files for reading cutouts, without following links to other files and with bounded memory."""

import contextlib
import itertools
import math
import os
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens._ids import escaped
from gridlens.cutouts._damage import import_library
from gridlens.cutouts._expansion import check_deflate, check_length
from gridlens.cutouts.readers._chunks import (
    MAX_CHUNK_BYTES,
    MAX_COLUMN_BYTES,
    Stored,
    believed_rows,
    find_columns,
    pixels_name,
)
from gridlens.errors import CutoutError

__all__ = ["open_hdf5"]

_MAX_LINKS = 16
_DEFLATE, _SHUFFLE, _FLETCHER32, _LZF = 1, 2, 3, 32000
_CHECKSUM_BYTES = 4
# Filters whose output size is bounded by their input size: deflate expands one byte to at most 1032.
_BOUNDED = {_DEFLATE, _SHUFFLE, _FLETCHER32, _LZF}
_MAX_RATIO = 1032


@contextlib.contextmanager
def open_hdf5(path: str) -> Iterator[Stored]:
    """Open the arrays of cutouts in an HDF5 file, without reading their values.

    Raises
    ------
    CutoutError
        There are no pixels, or an array lies in another file (an external link, external storage or a virtual data
        set), has no shape, or needs a filter that is not installed.
    """
    h5py = import_library("h5py", "HDF5 files")
    with h5py.File(path, "r") as file:
        names = list(file)
        name = pixels_name(names)
        pixels = _array(h5py, file, name)
        attributes = [_Attributes(h5py, owner) for owner in (pixels.data, file)]
        columns = find_columns(names, lambda column: _array(h5py, file, column), attributes)
        size = os.path.getsize(path)
        yield Stored(name, pixels, columns, pixels.chunk, lambda: pixels.held(size), pixels.has, random=True)


def _array(h5py: Any, file: Any, name: str) -> "_Dataset":
    data = _follow(h5py, file, name)
    if isinstance(data, h5py.Group):
        raise CutoutError(
            f"There is a group {name!r} where an array is expected. Store the array itself under that name."
        )
    if not isinstance(data, h5py.Dataset) or data.shape is None:
        raise CutoutError(f"The array {name!r} of the file is empty: it has no shape. Write the file again.")
    if data.is_virtual or data.external:
        how = "a virtual data set" if data.is_virtual else "external storage"
        raise CutoutError(
            f"The array {name!r} stores its values in other files ({how}), which is not supported. Copy them into one "
            "file."
        )
    if data.dtype.kind == "O" and h5py.check_string_dtype(data.dtype) is None:
        raise CutoutError(f"The array {name!r} holds references or lists, but must hold numbers or text.")
    return _Dataset(h5py, data, name)


def _follow(h5py: Any, file: Any, name: str, links: int = 0) -> Any:
    """Return the object at a path, following soft links; raise CutoutError for links out of the file."""
    item: Any = file
    for part in filter(None, name.split("/")):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if isinstance(link, h5py.ExternalLink):
            raise CutoutError(
                f"The array {name!r} is a link to another file, {escaped(link.filename)}, which is not followed. Copy "
                "the array into the file, or use the other file."
            )
        if isinstance(link, h5py.SoftLink):
            if links >= _MAX_LINKS:
                raise CutoutError(f"The array {name!r} is a link to itself. Write the file again.")
            base = "" if link.path.startswith("/") else item.name
            item = _follow(h5py, file, f"{base}/{link.path}", links + 1)
        elif link is None:
            raise CutoutError(f"The array {name!r} is a broken link. Write the file again.")
        else:
            item = item[part]
    return item


class _Attributes:
    """The attributes of a file or array; only small attributes of numbers or text are accepted."""

    def __init__(self, h5py: Any, owner: Any) -> None:
        self._h5py, self._attrs = h5py, owner.attrs

    def __contains__(self, name: str) -> bool:
        return name in self._attrs

    def __getitem__(self, name: str) -> Any:
        stored = self._attrs.get_id(name)
        text = self._h5py.check_string_dtype(stored.dtype)
        if stored.get_storage_size() > MAX_COLUMN_BYTES or (stored.dtype.kind == "O" and text is None):
            raise CutoutError(f"The attribute {name!r} must hold numbers or text. Got type {stored.dtype} instead.")
        value = self._attrs[name]
        if isinstance(value, self._h5py.Empty):
            raise CutoutError(f"The attribute {name!r} of the file is empty. Write it again, or remove it.")
        return value


class _Dataset:
    """An array of an HDF5 file. A chunk that would take more memory than it claims is not decompressed."""

    def __init__(self, h5py: Any, data: Any, name: str) -> None:
        self.data, self._name = data, name
        self.shape, self.dtype, self._chunks = data.shape, data.dtype, data.chunks
        self.chunk = data.chunks[0] if data.chunks else 1
        plist = data.id.get_create_plist()
        filters = [plist.get_filter(k) for k in range(plist.get_nfilters())]
        self._filters = [number for number, *_ in filters]
        for number, _, _, words in filters:
            if not h5py.h5z.filter_avail(number):
                raise CutoutError(
                    f"The array {name!r} is compressed with the HDF5 filter {number} "
                    f"({escaped(words.decode('utf-8', 'replace'))}), which is not installed. Write it with gzip, or "
                    "repack it where the filter is installed: h5repack -f GZIP=4."
                )
        if self._filters.count(_DEFLATE) > 1:
            raise CutoutError(f"The array {name!r} is compressed twice. Write it with one gzip filter.")
        self._chunk_bytes = math.prod(self._chunks or ()) * self.dtype.itemsize
        if self._chunks and self._chunk_bytes > MAX_CHUNK_BYTES:
            raise CutoutError(
                f"The array {name!r} is stored in chunks of {self._chunk_bytes / 1e6:.0f} MB, each of which must be "
                "read completely. Write it in chunks of one cutout, or use h5repack."
            )

    def held(self, file_size: int) -> int:
        """Return the number of rows that the stored chunks and bytes can hold."""
        each = max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)
        stored = min(self.data.id.get_storage_size(), file_size)
        if not self._chunks:
            return int(stored // each)
        rows = self.data.id.get_num_chunks() * self.chunk
        if _BOUNDED.issuperset(self._filters):
            rows = min(rows, stored * (_MAX_RATIO if self._filters else 1) // each)
        return believed_rows(self.shape[0], rows, self.chunk)

    def has(self, row: int) -> bool:
        """Return whether the first chunk of a row is stored."""
        if not self._chunks:
            return False
        corner = (row // self.chunk * self.chunk, *(0 for _ in self.shape[1:]))
        return self._read_chunk(corner) is not None

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        if self._filters:
            self._check_chunks(key)
        return np.asarray(self.data[key])

    def _check_chunks(self, key: Any) -> None:
        sides = [range(0, side, step) for side, step in zip(self.shape, self._chunks, strict=True)]
        if key is not ...:
            first = key.start // self.chunk * self.chunk
            sides[0] = range(first, min(key.stop, self.shape[0]), self.chunk)
        for corner in itertools.product(*sides):
            self._check_chunk(corner)

    def _read_chunk(self, corner: tuple[int, ...]) -> tuple[int, bytes] | None:
        """Return the filters that a chunk skipped and its bytes; None if it was never written or is damaged."""
        try:
            return self.data.id.read_direct_chunk(corner)  # type: ignore[no-any-return]
        except (OSError, RuntimeError, ValueError):
            return None

    def _check_chunk(self, corner: tuple[int, ...]) -> None:
        found = self._read_chunk(corner)
        if found is None:
            return
        skipped, data = found
        check_length(len(data), self._chunk_bytes, self._name)
        applied = [number for k, number in enumerate(self._filters) if not skipped >> k & 1]
        if _DEFLATE not in applied:
            return
        if applied[-1] == _FLETCHER32:
            data, applied = data[:-_CHECKSUM_BYTES], applied[:-1]
        if applied[-1] != _DEFLATE:
            raise CutoutError(f"The array {self._name!r} has filters in an unsupported order. Write it with gzip.")
        check_deflate(data, self._chunk_bytes, self._name, zlib.MAX_WBITS)
