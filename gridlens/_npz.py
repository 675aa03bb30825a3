"""Flat arrays in an npz file that may come from a stranger."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

__all__ = ["read_npz"]

_ENCRYPTED = 0x1
# numpy writes the first version of its header for names and shapes as short as these.
_HEADER_VERSION = (1, 0)
_NUMBERS = "biuf"


def read_npz(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file as `numpy.savez` writes it: single numbers and arrays of one dimension.

    Nothing is unpickled. No more memory is used than a few times the size of the file, whatever its headers declare.

    Parameters
    ----------
    path : Path
    names : collection of str
        The arrays that the file holds; it may hold no others.

    Returns
    -------
    dict of str to ndarray
        Numbers or booleans, in the order of `names`.

    Raises
    ------
    ValueError
        The file is damaged, compressed, or holds other arrays.
    OSError
        The file cannot be read.
    """
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if sorted(entry.filename for entry in entries) != sorted(f"{name}.npy" for name in names):
                raise ValueError(f"it must hold the arrays {', '.join(names)}")
            for entry in entries:
                # A compressed entry could fill the memory.
                stored = entry.compress_type == zipfile.ZIP_STORED and entry.file_size <= len(content)
                if not stored or entry.flag_bits & _ENCRYPTED:
                    raise ValueError(f"{entry.filename} must be neither compressed nor encrypted")
            return {name: _array(archive.read(f"{name}.npy")) for name in names}
    # zipfile and the parser of headers raise a dozen kinds for damaged content.
    except Exception as exc:
        said = (str(exc).splitlines() or [type(exc).__name__])[0][:200]
        raise ValueError(f"The arrays in {path.name} are damaged: {said}.") from exc


def _array(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != _HEADER_VERSION:
        raise ValueError("a header has an unknown version")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in _NUMBERS or len(shape) > 1 or any(n < 0 for n in shape):
        raise ValueError("an array must hold numbers in at most one dimension")
    values = content[file.tell() :]
    if len(values) != math.prod(shape) * dtype.itemsize:
        raise ValueError("an array has another size than its header declares")
    return np.frombuffer(values, dtype).astype(dtype.newbyteorder("=")).reshape(shape)
