"""Parts of an image that hold no data but a filling."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["mark_blank"]

# Noise does not give a square of so many equal values; the filling beyond the edge of a mosaic does.
_SIDE = 5
# Beside a filling the values are as large as elsewhere. Light that fades to zero in an image without noise is no
# filling: it is far fainter there.
_STEP = 0.1


def mark_blank(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Set the filled parts of an image to NaN, in place.

    Mosaics are filled up with zeros, or with a value such as -99, where no exposure lies. Squares of 5 px and more
    count as filled that hold zero, or the lowest and negative value of the image, throughout, and end in a step.

    Parameters
    ----------
    pixels : ndarray of shape (ny, nx), float32

    Returns
    -------
    ndarray of shape (ny, nx), float32
        The same array.
    """
    if not pixels.size:
        return pixels
    filling = pixels == 0.0
    lowest = np.fmin.reduce(pixels, axis=None)
    if lowest < 0.0:
        filling |= pixels == lowest
    if np.count_nonzero(filling) >= _SIDE**2:
        from scipy.ndimage import binary_opening

        filled = binary_opening(filling, np.ones((_SIDE, _SIDE), dtype=bool))
        if filled.any() and _ends_in_a_step(pixels, filled):
            pixels[filled] = np.nan
    return pixels


def _ends_in_a_step(pixels: NDArray[np.float32], filled: NDArray[np.bool_]) -> bool:
    from scipy.ndimage import binary_dilation

    rest = ~filled & np.isfinite(pixels)
    border = rest & binary_dilation(filled, np.ones((3, 3), dtype=bool))
    if not border.any():
        return True
    return bool(np.median(np.abs(pixels[border])) >= _STEP * np.median(np.abs(pixels[rest])))
