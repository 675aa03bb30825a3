"""Prepared images in a memory-mapped file."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any, Self
from weakref import WeakValueDictionary

import numpy as np

from gridlens.cutouts import CutoutSet
from gridlens_deep._images import Grid, clean_rows, measured_images

__all__ = ["Images", "images_at"]

_BLOCK = 256
# Smaller numbers have reduced precision in half precision.
_LEAST_NORMAL = np.float32(2.0**-14)


class Images:
    """Network images of cutouts: rows of a file of half-precision numbers.

    They are read in batches and never all at once. Indexing with an array of row numbers or a slice selects rows
    without copying; another process opens the file again. The file is removed with the last set of this process that
    uses it.

    Parameters
    ----------
    path : Path
        Path of an npy file (m, channels, size, size), float16.
    rows : ndarray of int, shape (n,)
        Rows of the file.
    usable : ndarray of bool, shape (n,)
        Mask of the rows that gridlens does not reject.
    grid : Grid
    owner : object, optional
        Object that removes the file when it is garbage-collected.
    """

    def __init__(self, path: Path, rows: np.ndarray, usable: np.ndarray, grid: Grid, owner: Any = None) -> None:
        self.path, self.rows, self.usable, self.grid = path, rows, usable, grid
        self._owner = owner
        self._mapped: np.ndarray | None = None

    @classmethod
    def of(cls, cutouts: CutoutSet, grid: Grid, n_jobs: int | None = 1) -> Self:
        """Prepare cutouts in a temporary file, or reuse those that another network in use has prepared."""
        key = (_digest(cutouts), grid)
        prepared = _IN_USE.get(key)
        if not isinstance(prepared, cls):
            prepared = _IN_USE[key] = cls._prepared(cutouts, grid, n_jobs)
        return prepared

    @classmethod
    def _prepared(cls, cutouts: CutoutSet, grid: Grid, n_jobs: int | None) -> Self:
        folder = tempfile.TemporaryDirectory(prefix="gridlens-deep-")
        path = Path(folder.name) / "images.npy"
        shape = (len(cutouts), grid.n_channels, grid.size, grid.size)
        usable = clean_rows(cutouts)
        if len(cutouts):
            kept = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
            for start in range(0, len(cutouts), _BLOCK):
                block = slice(start, start + _BLOCK)
                kept[block], measured = measured_images(cutouts[block], grid, n_jobs)
                usable[block] &= measured
            kept.flush()
        else:
            np.save(path, np.empty(shape, dtype=np.float16))
        return cls(path, np.arange(len(cutouts)), usable, grid, folder)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> Images:
        return Images(self.path, self.rows[rows], self.usable[rows], self.grid, self._owner)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_owner": None, "_mapped": None}

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the images (k, channels, size, size) of given rows, float32."""
        if self._mapped is None:
            self._mapped = np.load(self.path, mmap_mode="r")
        return self._mapped[self.rows[rows]].astype(np.float32)


_IN_USE: WeakValueDictionary[tuple[str, Grid], Images] = WeakValueDictionary()
"""sets of this process by cutouts and grid, kept while a member uses them"""


def _digest(cutouts: CutoutSet) -> str:
    """Return a hash of all inputs of the images, which takes a fraction of the time of preparing them."""
    found = hashlib.sha256(repr(cutouts.pixels.shape).encode())
    # The seeing affects the star flag.
    seeing = cutouts.metadata["seeing"].to_numpy()
    for part in (cutouts.pixels, cutouts.bcg_xy, cutouts.pixel_scale, cutouts.flags, seeing):
        found.update(np.ascontiguousarray(part).data)
    return found.hexdigest()


def images_at(
    source: CutoutSet | Images, rows: np.ndarray, grid: Grid, n_jobs: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (k, channels, size, size) of given rows, identical for cutouts and for prepared images.

    The mask (k,) is False for a cutout that the features reject.
    """
    if isinstance(source, Images):
        return source.read(rows), source.usable[rows]
    # A slice copies no pixels.
    together = rows[-1] - rows[0] == len(rows) - 1
    images, measured = measured_images(source[rows[0] : rows[-1] + 1] if together else source[rows], grid, n_jobs)
    _round_to_half(images)
    return images, measured


def _round_to_half(images: np.ndarray) -> None:
    """Round float32 images in place to half-precision numbers; numpy's conversions take twice as long."""
    for image in images:
        tiny = np.abs(image) < _LEAST_NORMAL
        rounded = image[tiny].astype(np.float16)
        # 13 of the 23 bits of the mantissa are dropped: round to nearest, ties to even.
        bits = image.view(np.int32)
        step = bits >> 13
        step &= 1
        step += 0xFFF
        bits += step
        bits &= ~0x1FFF
        image[tiny] = rounded
