"""Read a window of a tile's pixels, and no more of the file than it must."""

import functools
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens.cutouts._tiles import Tile

__all__ = ["read_window"]

# Files with coded pixels stay open, a few of them: a zipped one keeps its pixels in memory.
_OPEN = 6


def read_window(tile: Tile, x0: int, y0: int, width: int, height: int) -> NDArray[np.float32]:
    """Read the window of which (x0, y0), 0-based px of the tile, is the first pixel.

    Returns
    -------
    ndarray of shape (height, width), float32
        In the tile's own flux unit, NaN where the window leaves the image.
    """
    from astropy.nddata import NoOverlapError, overlap_slices

    window = np.full((height, width), np.nan, dtype=np.float32)
    centre = (y0 + (height - 1) / 2, x0 + (width - 1) / 2)
    try:
        there, here = overlap_slices((tile.ny, tile.nx), (height, width), centre, mode="partial")
    except NoOverlapError:
        return window
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes inf: a bad pixel
        if tile.layout not in ("packed", "scaled"):
            # A map of its own for each window, so that what was read is not held on to.
            pixels: Any = np.memmap(tile.path, tile.layout, "r", offset=tile.start, shape=(tile.ny, tile.nx))
            window[here] = pixels[there]
        else:
            window[here] = _open(tile.path, tile.mtime_ns, tile.layout == "packed")[tile.hdu].section[there]
    return window


@functools.lru_cache(maxsize=_OPEN)
def _open(path: str, mtime_ns: int, memmap: bool) -> Any:
    """Open a FITS file whose pixels must be decoded; a changed file is another one. astropy maps no scaled integers."""
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        return fits.open(path, memmap=memmap)
