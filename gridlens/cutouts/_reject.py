"""The rules of the feature contract for rejecting a cutout or warning about it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlens.cutouts._flags import CutoutFlag

__all__ = ["MIN_SIZE", "Rejection", "field_warning", "reject_reason", "rejection"]

MIN_SIZE = 48
"""px, the smallest cutout that the features accept"""

_SCALE_RANGE = (0.03, 2.0)
_NARROW_FIELD = 40.0
_BANDS = "gri"


class Rejection(NamedTuple):
    """The reason why a cutout is rejected; false if it is accepted."""

    flag: CutoutFlag
    reason: str
    """one sentence"""

    def __bool__(self) -> bool:
        return bool(self.flag)


FINE = Rejection(CutoutFlag(0), "")


def reject_reason(
    pixels: NDArray[np.float32], bcg_xy: Sequence[float] | NDArray[np.float64], pixel_scale: float
) -> str:
    """Return why the features cannot be computed for one cutout; "" if they can. See `rejection`.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.cutouts._reject import reject_reason
    >>> reject_reason(np.zeros((20, 20, 3)), (9.5, 9.5), 0.5)
    'The cutout is 20 x 20 px, but the features need at least 48 x 48.'
    """
    return rejection(pixels, bcg_xy, pixel_scale).reason


def rejection(
    pixels: NDArray[np.float32], bcg_xy: Sequence[float] | NDArray[np.float64], pixel_scale: float
) -> Rejection:
    """Return why the features cannot be computed for one cutout, as a flag and a message.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3)
        Flux in g, r, i. A pixel that is not finite in any band counts as bad in all of them.
    bcg_xy : sequence of two floats
        (x, y) of the BCG, pixels; integers are pixel centres.
    pixel_scale : float
        arcsec per pixel.

    Returns
    -------
    Rejection
        The named tuple ``(flag, reason)``, with no flag and an empty string if the cutout is accepted.

    Notes
    -----
    A band has zero noise if more than half of the differences between neighbours in a row are exactly zero: their
    median, and so the noise defined by the contract, is then zero. Pairs with a bad pixel do not count.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.cutouts import rejection
    >>> rejection(np.zeros((20, 20, 3)), (9.5, 9.5), 0.5).flag
    <CutoutFlag.BAD_SHAPE: 2>
    """
    height, width, planes = pixels.shape
    if planes != len(_BANDS):
        return Rejection(
            CutoutFlag.BAD_SHAPE, f"The cutout has {planes} bands, but the features need the three bands g, r, i."
        )
    if height != width:
        return Rejection(
            CutoutFlag.BAD_SHAPE, f"The cutout is {width} x {height} px, but the features need a square one."
        )
    if height < MIN_SIZE:
        return Rejection(
            CutoutFlag.BAD_SHAPE,
            f"The cutout is {width} x {height} px, but the features need at least {MIN_SIZE} x {MIN_SIZE}.",
        )
    low, high = _SCALE_RANGE
    if not low <= pixel_scale <= high:
        return Rejection(
            CutoutFlag.BAD_SCALE,
            f"The pixel scale is {pixel_scale:g} arcsec, but the features need {low:g} to {high:g}.",
        )
    x, y = bcg_xy
    if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
        return Rejection(
            CutoutFlag.BCG_OUTSIDE, f"The BCG at ({x:.1f}, {y:.1f}) is outside the cutout of {width} x {height} px."
        )
    return _bad_pixels(pixels) or _flat_band(pixels)


def field_warning(size: int, pixel_scale: float) -> str:
    """Return a warning if a field of `size` pixels is too narrow for cluster-scale arcs, else "".

    Examples
    --------
    >>> field_warning(128, 0.5)
    ''
    """
    field = size * pixel_scale
    if field >= _NARROW_FIELD:
        return ""
    return (
        f"The field is {field:.1f} arcsec across; under {_NARROW_FIELD:g} arcsec it cannot hold the arcs of a cluster, "
        "10 to 30 arcsec from the BCG."
    )


def _bad_pixels(pixels: NDArray[np.float32]) -> Rejection:
    finite = np.isfinite(pixels)
    for band, good in zip(_BANDS, np.asarray(finite.any(axis=(0, 1))), strict=True):
        if not good:
            return Rejection(CutoutFlag.EMPTY_BAND, f"The band {band} has no finite pixel.")
    good_pixels = np.asarray(finite.all(axis=2))
    bad = good_pixels.size - np.count_nonzero(good_pixels)
    if 5 * bad > good_pixels.size:
        return Rejection(
            CutoutFlag.BAD_PIXELS,
            f"{100 * bad / good_pixels.size:.0f} % of the pixels are bad, but the features accept at most 20 %.",
        )
    width = max(2, len(pixels) // 16)
    border = np.ones(good_pixels.shape, dtype=bool)
    border[width:-width, width:-width] = False
    if not good_pixels[border].any():
        return Rejection(
            CutoutFlag.BAD_PIXELS, "The border of the cutout has no finite pixel, so the sky level is unknown."
        )
    return FINE


def _flat_band(pixels: NDArray[np.float32]) -> Rejection:
    good = np.asarray(np.isfinite(pixels).all(axis=2))
    pairs = good[:, 1:] & good[:, :-1]
    n = np.count_nonzero(pairs)
    for band, name in enumerate(_BANDS):
        equal = np.count_nonzero((pixels[:, 1:, band] == pixels[:, :-1, band]) & pairs)
        if equal > n // 2 or not n:
            return Rejection(CutoutFlag.EMPTY_BAND, f"The band {name} is constant or nearly so: its noise is zero.")
    return FINE
