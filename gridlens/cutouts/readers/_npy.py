"""Headers of .npy data, checked before memory is allocated for the claimed size."""

import io
import math
from typing import Any, NamedTuple

import numpy as np

from gridlens.errors import CutoutError

__all__ = ["NpyHeader", "read_header"]

_MAGIC_BYTES = 8
# NumPy writes headers of a few hundred bytes. It parses them as Python literals, which is slow for long headers.
_MAX_HEADER_BYTES = 10_000
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}


class NpyHeader(NamedTuple):
    """Content of the header of an array, and its length in bytes."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    length: int

    @property
    def nbytes(self) -> int:
        """Size of all values, bytes."""
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def row_bytes(self) -> int:
        """Size of the values at one index of the first axis, bytes."""
        return self.dtype.itemsize * math.prod(self.shape[1:])


def read_header(file: Any) -> NpyHeader:
    """Read the header at the start of an open file, and leave the file at the first value.

    Raises
    ------
    CutoutError
        The header is damaged, or the values are Python objects, which would have to be unpickled.
    """
    begin = file.read(_MAGIC_BYTES)
    try:
        version = np.lib.format.read_magic(io.BytesIO(begin))
        width = _LENGTH_BYTES[version]
        size = file.read(width)
        length = int.from_bytes(size, "little")
        if length > _MAX_HEADER_BYTES:
            raise ValueError(f"it claims a header of {length} bytes")
        text = io.BytesIO(size + file.read(length))
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read(text)
    except Exception as exc:  # NumPy evaluates the header as Python, so the parser may raise any error
        reason = (str(exc) or type(exc).__name__).splitlines()[0]
        raise CutoutError(
            f"The file is damaged or does not match its name (the header of the array cannot be read: {reason}). "
            "Download or write it again."
        ) from exc
    if any(isinstance(side, bool) or side < 0 for side in shape):
        raise CutoutError(f"The file is damaged: its header claims the shape {shape}. Download or write it again.")
    if dtype.hasobject:
        raise CutoutError(
            "The array holds Python objects, which cannot be read without running code from the file. "
            "Write it again as an array of numbers or text."
        )
    return NpyHeader(tuple(int(side) for side in shape), bool(fortran_order), dtype, _MAGIC_BYTES + width + length)
