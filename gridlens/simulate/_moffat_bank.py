"""Templates of point sources of many widths and sub-pixel positions, to fit to real sources."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["LARGEST_REACH", "SMALLEST_REACH", "Fits", "fit_point_sources"]

# Exponent of the Moffat profile of simulated scenes.
_BETA = 3.0
# Half-widths of stamps, pixels from the central pixel.
SMALLEST_REACH, LARGEST_REACH = 3, 10
# Step of the logarithm of the FWHM; a parabola through three steps gives it to 1 %.
_STEP = 0.11
_NARROWEST = 0.6  # pixels
# Centre positions and profile samples per pixel, along each axis.
_PLACES = 8


class Fits(NamedTuple):
    """Fits of n sources."""

    log_fwhm: NDArray[np.float64]
    """(n,) natural logarithm of the FWHM, pixels; NaN for a source narrower or wider than all templates"""
    signal: NDArray[np.float64]
    """(n,) norm of the fitted light, in the unit of the pixels"""
    residual: NDArray[np.float64]
    """(n,) squared norm of the residual over that of the fit"""


def fit_point_sources(stamps: NDArray[np.float32]) -> Fits:
    """Fit a round Moffat profile, integrated over pixels, and a constant to each stamp.

    Parameters
    ----------
    stamps : ndarray of shape (n, size, size), float32
        Sources within a pixel of the centre; the size is odd.
    """
    log_widths, bank = _bank(stamps.shape[1] // 2)
    flat = stamps.reshape(len(stamps), stamps.shape[1] ** 2)
    flat = flat - flat.mean(axis=1, keepdims=True)
    # The best position for each width: (n, width).
    overlaps = (flat @ bank.reshape(-1, bank.shape[-1]).T).reshape(len(flat), *bank.shape[:2]).max(axis=2)
    overlaps = overlaps.astype(np.float64)
    best = overlaps.argmax(axis=1)
    middle = np.clip(best, 1, len(bank) - 2)
    before, here, after = (overlaps[np.arange(len(flat)), middle + step] for step in (-1, 0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = 0.5 * (before - after) / (before + after - 2.0 * here)
        residual = (flat.astype(np.float64) ** 2).sum(axis=1) / here**2 - 1.0
    inside = (best == middle) & (here > 0.0)
    return Fits(np.where(inside, log_widths[middle] + _STEP * offset, np.nan), here, residual)


@lru_cache(maxsize=LARGEST_REACH)
def _bank(reach: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the logarithms of widths (pixels), and the templates of all widths and positions, (width, place, pixel).

    The templates have a mean of 0 and a norm of 1.
    """
    log_widths = np.arange(math.log(_NARROWEST), math.log(1.2 * reach), _STEP)
    half = (reach + 1) * _PLACES
    axis = np.arange(-half, half + 1) / _PLACES
    r2 = axis[:, None] ** 2 + axis[None, :] ** 2
    places = range(-_PLACES // 2, _PLACES // 2 + 1)
    steps = _PLACES * np.arange(-reach, reach + 1) + half
    bank = np.empty((len(log_widths), len(places) ** 2, (2 * reach + 1) ** 2), dtype=np.float32)
    for k, width in enumerate(np.exp(log_widths)):
        fine = _pixel_means((1.0 + 4.0 * (2.0 ** (1.0 / _BETA) - 1.0) * r2 / width**2) ** -_BETA)
        images = np.stack([fine[np.ix_(steps - dy, steps - dx)].ravel() for dy in places for dx in places])
        images -= images.mean(axis=1, keepdims=True)
        bank[k] = images / np.linalg.norm(images, axis=1, keepdims=True)
    return log_widths, bank


def _pixel_means(fine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of a finely sampled profile over pixels centred on its points."""
    # The trapezoidal rule: points on the borders of a pixel have half weight.
    weights = np.ones(_PLACES + 1)
    weights[[0, -1]] = 0.5
    weights /= weights.sum()
    smooth = ndimage.correlate1d(fine, weights, axis=0, mode="nearest")
    return np.asarray(ndimage.correlate1d(smooth, weights, axis=1, mode="nearest"))
