"""Pixel checks in addition to the rules of the feature contract: saturation, and a star at the BCG position."""

import functools

import numpy as np
from numpy.typing import NDArray

from gridlens._constants import MAD_TO_SIGMA
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts._order import is_reversed
from gridlens.cutouts._set import CutoutSet

__all__ = ["quality_flags", "valid_fraction"]

_SATURATED_SHARE = 0.02
# Ratio of the flux within one FWHM of the centre to the flux within three. A Moffat star of beta 3 has 0.77 and a
# Gaussian one 0.94 before pixelization; a de Vaucouleurs galaxy with an effective radius of 1.5 FWHM has 0.45.
_STAR_SHARE = 0.68
_STAR_SNR = 20.0
_SEARCH = 1.5
"""arcsec from the catalogue position to the brightest pixel"""
_RED = 1
"""the r band, whose seeing catalogues quote"""


def quality_flags(cutouts: CutoutSet) -> NDArray[np.int64]:
    """Flag problems in the pixels that the rules of the feature contract do not cover.

    Parameters
    ----------
    cutouts : CutoutSet of n

    Returns
    -------
    ndarray of shape (n,), int64
        Bits of `CutoutFlag`: `SATURATED` if 2 % or more of the finite pixels of a band have its highest value;
        `BAND_ORDER` if the object at the BCG position is bluer in both colours than any galaxy (neither is set for
        pictures flagged `UNCALIBRATED`, which are clipped and stretched); `STAR` if the flux of the object at the BCG
        position within one FWHM is over 0.68 of that within three, above the median of the ring from three to four.
        `STAR` is measured in r, and only if the seeing is known and the object has an S/N of at least 20. With n = 0,
        empty.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.cutouts import CutoutFlag, CutoutSet, quality_flags
    >>> pixels = np.random.default_rng(0).normal(size=(1, 64, 64, 3))
    >>> pixels[:, 20:40, 20:40, 0] = 65535.0
    >>> CutoutFlag(quality_flags(CutoutSet(pixels))[0])
    <CutoutFlag.SATURATED: 64>
    """
    flags = np.zeros(len(cutouts), dtype=np.int64)
    seeing = cutouts.metadata["seeing"].to_numpy()
    for k in range(len(cutouts)):
        # make each plane contiguous, since numpy is slow along an axis of length three
        planes = np.ascontiguousarray(cutouts.pixels[k].reshape(-1, cutouts.pixels.shape[3]).T)
        scale = float(cutouts.pixel_scale[k])
        if not cutouts.flags[k] & CutoutFlag.UNCALIBRATED:
            if any(_is_saturated(plane) for plane in planes):
                flags[k] |= CutoutFlag.SATURATED
            if is_reversed(planes.reshape(-1, *cutouts.pixels.shape[1:3]), cutouts.bcg_xy[k], scale):
                flags[k] |= CutoutFlag.BAND_ORDER
        if seeing[k] > 0.0:
            image = planes[_RED].reshape(cutouts.pixels.shape[1:3])
            if _is_star(image, cutouts.bcg_xy[k], seeing[k] / scale, scale):
                flags[k] |= CutoutFlag.STAR
    return flags


def valid_fraction(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the fraction of the pixels of each cutout that are finite in all bands.

    Parameters
    ----------
    pixels : ndarray of shape (n, H, W, 3)

    Returns
    -------
    ndarray of shape (n,), float64
        0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.cutouts._quality import valid_fraction
    >>> pixels = np.zeros((1, 48, 48, 3), dtype=np.float32)
    >>> pixels[0, :24, :, 1] = np.nan
    >>> valid_fraction(pixels)
    array([0.5])
    """
    # Process one cutout at a time, so that the masks of a large set are never in memory at once.
    n_valid = [np.count_nonzero(np.isfinite(cutout).all(axis=2)) for cutout in pixels]
    return np.array(n_valid, dtype=np.float64) / max(1, pixels.shape[1] * pixels.shape[2])


def _is_saturated(plane: NDArray[np.float32]) -> bool:
    """Return whether at least 2 % of the finite pixels have the highest value."""
    at_limit = np.count_nonzero(plane == np.fmax.reduce(plane))
    return bool(at_limit > 1 and at_limit >= _SATURATED_SHARE * np.count_nonzero(np.isfinite(plane)))


def _is_star(image: NDArray[np.float32], xy: NDArray[np.float64], fwhm: float, pixel_scale: float) -> bool:
    """Return whether the brightest object within 1.5 arcsec of `xy` is as narrow as the PSF (`fwhm` px)."""
    if not np.isfinite(xy).all():
        return False
    # pixelization broadens the PSF
    reach, inner, outer, ring = _apertures(round(float(np.hypot(fwhm, 1.0)), 2))
    search = max(1, round(_SEARCH / pixel_scale))
    x0, y0 = (max(0, round(float(value)) - search) for value in xy)
    near = image[y0 : y0 + 2 * search + 1, x0 : x0 + 2 * search + 1]
    if not np.isfinite(near).any():
        return False
    row, column = np.unravel_index(np.nanargmax(near), near.shape)
    y, x = y0 + int(row), x0 + int(column)
    if min(x, y) < reach or x + reach >= image.shape[1] or y + reach >= image.shape[0]:
        return False
    box = image[y - reach : y + reach + 1, x - reach : x + reach + 1].ravel()
    sky = np.median(box[ring])
    core, whole = float((box[inner] - sky).sum()), float((box[outer] - sky).sum())
    # Bad pixels make the sums NaN, so every comparison is False.
    if not core > _STAR_SHARE * whole:
        return False
    noise = MAD_TO_SIGMA * np.median(np.abs(box[ring] - sky))
    return bool(core > _STAR_SNR * noise * np.sqrt(inner.size))


@functools.lru_cache(maxsize=256)
def _apertures(width: float) -> tuple[int, NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return half the side of a box of four widths, and the pixel indices within 1, within 3 and from 3 to 4 widths."""
    reach = int(np.ceil(4 * width))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    r = np.hypot(x, y).ravel()
    found = r <= width, r <= 3 * width, (r > 3 * width) & (r <= 4 * width)
    inner, outer, ring = (np.flatnonzero(mask) for mask in found)
    return reach, inner, outer, ring
