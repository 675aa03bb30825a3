"""Read a window of a tile's pixels, with as little of the file as possible."""

import functools
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens.cutouts.images._blank import mark_blank
from gridlens.cutouts.images._fits_open import is_compressed, open_fits, quiet
from gridlens.cutouts.images._fits_pixels import Scaling, image_scaling
from gridlens.cutouts.images._tile_files import PACKED, Tile

__all__ = ["read_window"]

# A few files whose pixels must be decoded stay open: a file that is compressed as a whole is held in memory. At least
# one file per band stays open, or each cluster would decompress all of them again.
_OPEN, _BANDS = 6, 3
_OPEN_BYTES = 2 * 1024**3


def read_window(tile: Tile, x0: int, y0: int, width: int, height: int) -> NDArray[np.float32]:
    """Read the window whose first pixel is (x0, y0), 0-based px of the tile.

    Returns
    -------
    ndarray of shape (height, width), float32
        In the tile's flux unit; NaN outside the image and in blank pixels.
    """
    from astropy.nddata import NoOverlapError, overlap_slices

    window = np.full((height, width), np.nan, dtype=np.float32)
    centre = (y0 + (height - 1) / 2, x0 + (width - 1) / 2)
    try:
        there, here = overlap_slices((tile.ny, tile.nx), (height, width), centre, mode="partial")
    except NoOverlapError:
        return window
    if tile.layout != PACKED:
        # Each window has its own memory map, so that pages that were read are released.
        pixels: Any = np.memmap(tile.path, tile.layout, "r", offset=tile.start, shape=(tile.ny, tile.nx))
        stored = pixels[there]
    else:
        stored = _files.section(tile, there)
    window[here] = mark_blank(_scaling(tile).apply(np.asarray(stored)))
    return window


@functools.lru_cache(maxsize=1024)
def _scaling(tile: Tile) -> Scaling:
    return image_scaling(tile.cards())


class _OpenFiles:
    """Cache of the most recently used files with encoded pixels; a changed file gets a new entry."""

    def __init__(self) -> None:
        self._hdus: OrderedDict[tuple[str, int], tuple[Any, int]] = OrderedDict()
        # Reading changes the file position, so threads must take turns.
        self._lock = threading.Lock()

    def section(self, tile: Tile, window: tuple[slice, slice]) -> NDArray[Any]:
        """Return the stored values of a window."""
        with self._lock, quiet():
            hdu = self._open(tile)[tile.hdu]
            leading = (0,) * (len(hdu.shape) - 2)
            return np.asarray(hdu.section[(*leading, *window)])

    def _open(self, tile: Tile) -> Any:
        key = tile.path, tile.changed_ns
        if key not in self._hdus:
            whole = is_compressed(tile.path)
            self._hdus[key] = open_fits(tile.path, memmap=not whole), 4 * tile.nx * tile.ny if whole else 0
            while len(self._hdus) > _BANDS and (len(self._hdus) > _OPEN or self._held() > _OPEN_BYTES):
                self._hdus.popitem(last=False)[1][0].close()
        self._hdus.move_to_end(key)
        return self._hdus[key][0]

    def _held(self) -> int:
        return sum(held for _, held in self._hdus.values())


_files = _OpenFiles()
