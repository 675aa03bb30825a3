"""Flat arrays from an untrusted npz file."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

__all__ = ["read_npz"]

_ENCRYPTED = 0x1
# numpy uses version 1 of its header for names and shapes of this length.
_HEADER_VERSION = (1, 0)
_NUMBERS = "biuf"


def read_npz(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file from `numpy.savez`: single numbers and one-dimensional arrays.

    Nothing is unpickled. The memory use is limited to a few times the size of the file, whatever its headers declare.

    Parameters
    ----------
    path : Path
    names : collection of str
        Names of the arrays that the file must contain; others are not allowed.

    Returns
    -------
    dict of str to ndarray
        Arrays of numbers or booleans, in the order of `names`.

    Raises
    ------
    ValueError
        If the file is damaged or compressed, or contains other arrays.
    OSError
        If the file cannot be read.
    """
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if sorted(entry.filename for entry in entries) != sorted(f"{name}.npy" for name in names):
                raise ValueError(f"it must contain the arrays {', '.join(names)}")
            for entry in entries:
                # A compressed entry could use up the memory.
                stored = entry.compress_type == zipfile.ZIP_STORED and entry.file_size <= len(content)
                if not stored or entry.flag_bits & _ENCRYPTED:
                    raise ValueError(f"{entry.filename} must be neither compressed nor encrypted")
            return {name: _array(archive.read(f"{name}.npy")) for name in names}
    # zipfile and the parser of headers raise a dozen kinds of exceptions for damaged content.
    except Exception as exc:
        said = (str(exc).splitlines() or [type(exc).__name__])[0][:200]
        raise ValueError(f"The arrays in {path.name} are damaged: {said}.") from exc


def _array(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != _HEADER_VERSION:
        raise ValueError("a header has an unknown version")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in _NUMBERS or len(shape) > 1 or any(n < 0 for n in shape):
        raise ValueError("an array must contain numbers in at most one dimension")
    values = content[file.tell() :]
    if len(values) != math.prod(shape) * dtype.itemsize:
        raise ValueError("the size of an array differs from its header")
    return np.frombuffer(values, dtype).astype(dtype.newbyteorder("=")).reshape(shape)
