"""Detect cutouts with reversed bands from the colours of the central galaxy."""

import functools

import numpy as np
from numpy.typing import NDArray

from gridlens._constants import MAD_TO_SIGMA

__all__ = ["is_reversed", "order_warning"]

_APERTURE = 1.5  # arcsec
_LEAST_APERTURE = 1.5  # px
# The bluest common stars have g-r = -0.4; galaxies, including quasars, are redder than -0.1 in both colours.
_BLUE = 10 ** (0.4 * 0.15)
_SIGMAS = 3.0


def is_reversed(planes: NDArray[np.float32], xy: NDArray[np.float64], pixel_scale: float) -> bool:
    """Return whether the central galaxy is significantly bluer in both colours than any real galaxy.

    The flux within 1.5 arcsec of the BCG position, above the median of the ring from 3 to 4.5 arcsec, must fall by more
    than 0.15 mag from g to r and from r to i, with a significance of three times its noise. The flux of red galaxies
    rises with wavelength; it falls only if the bands are reversed or their zero points are wrong.

    Parameters
    ----------
    planes : ndarray of shape (3, H, W)
        Flux in g, r, i.
    xy : ndarray of shape (2,)
        Position of the BCG, px.
    pixel_scale : float
        arcsec per pixel.

    Returns
    -------
    bool
        False if the flux cannot be measured: bad pixels, too close to the edge, or no flux in r.
    """
    if not np.isfinite(xy).all() or not pixel_scale > 0.0:
        return False
    radius = round(max(_LEAST_APERTURE, _APERTURE / pixel_scale), 2)
    reach = int(np.ceil(3.0 * radius))
    x, y = (round(float(value)) for value in xy)
    height, width = planes.shape[1:]
    if min(x, y) < reach or x + reach >= width or y + reach >= height:
        return False
    box = planes[:, y - reach : y + reach + 1, x - reach : x + reach + 1].reshape(len(planes), -1)
    inner, ring = _aperture(radius)
    around = box[:, ring]
    # Bad pixels make the sums NaN, so every comparison is False.
    with np.errstate(invalid="ignore", over="ignore"):
        sky = np.median(around, axis=1, keepdims=True)
        light = (box[:, inner] - sky).sum(axis=1, dtype=np.float64)
        drop = light[:-1] - _BLUE * light[1:]
        if not (drop > 0.0).all():
            return False  # most cutouts return here, before the noise is measured
        noise = MAD_TO_SIGMA * np.median(np.abs(around - sky), axis=1) * np.sqrt(len(inner))
    return bool(light[1] > _SIGMAS * noise[1] and (drop > _SIGMAS * np.hypot(noise[:-1], _BLUE * noise[1:])).all())


@functools.lru_cache(maxsize=256)
def _aperture(radius: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixel indices in a box of three radii: within one radius, and from two radii to three."""
    reach = int(np.ceil(3.0 * radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    r = np.hypot(x, y).ravel()
    return np.flatnonzero(r <= radius), np.flatnonzero((r > 2.0 * radius) & (r <= 3.0 * radius))


def order_warning(n_reversed: int, n: int) -> str:
    """Return a warning if most of `n` cutouts look as if their bands were reversed, else "".

    Examples
    --------
    >>> order_warning(3, 20)
    ''
    """
    if 2 * n_reversed <= n:
        return ""
    return (
        f"The colours of the central galaxies look reversed in {n_reversed} of {n} cutouts, as if the bands were in "
        'the order i, r, g. Give the order of the planes with bands="irg", or the zero points of the bands with '
        'zeropoint={"g": .., "r": .., "i": ..}.'
    )
