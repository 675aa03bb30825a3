"""Blank parts of an image, filled with a constant value."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["mark_blank"]

# px; noise does not produce a square of equal values of this side, but the filling beyond the edge of a mosaic does.
_SIDE = 5
# Next to a filled area, the values are as large as elsewhere. In a noiseless image, light that fades to zero is not a
# filled area: the values next to it are much fainter.
_STEP = 0.1


def mark_blank(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Set the filled parts of an image to NaN, in place.

    Mosaics are filled with zeros, or with a value such as -99, outside the exposures. Areas of at least 5 x 5 px count
    as filled if all their values are zero, or the lowest value of the image if that is negative, and if they end in a
    step.

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
