"""A cutout as a colour image."""

from __future__ import annotations

import numpy as np

from gridlens.cutouts import band_noise

__all__ = ["lupton_rgb"]

_SCALES = (0.8, 1.0, 1.5)  # of i, r, g: most galaxies of a cluster are yellow
_SMOOTHING = 1.0  # smoothing of the colours, px
_APART = 4  # px
_GREY = 3.0  # S/N of smoothed light at which half of the colour is left


def lupton_rgb(pixels: np.ndarray) -> np.ndarray:
    """Return one cutout as a colour image: i, r, g as red, green, blue, in units of the noise in r.

    The bands are scaled so that most galaxies of a cluster are yellow. Colours are smoothed over a pixel and fade to
    grey in faint light, so that noise is grey.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3)
        Bands g, r, i; NaN is black.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
        Row 0 is at y = 0: draw it with ``origin="lower"``.

    References
    ----------
    .. [1] Lupton et al. 2004, "Preparing red-green-blue images from CCD data", PASP 116, 133.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.reports import lupton_rgb
    >>> rgb = lupton_rgb(np.random.default_rng(0).normal(size=(8, 8, 3)))
    >>> rgb.shape, rgb.dtype
    ((8, 8, 3), dtype('uint8'))
    """
    from astropy.visualization import make_lupton_rgb

    fine = np.isfinite(pixels)
    values = np.where(fine, pixels, np.nan)
    sky = values - np.nanpercentile(values, 40, axis=(0, 1))
    noise = np.nan_to_num(np.asarray(band_noise(pixels), dtype=np.float64))
    light = np.nan_to_num(sky / (noise[1] or 1.0))[:, :, ::-1] * _SCALES
    red, green, blue = np.moveaxis(_with_grey_noise(light), 2, 0)
    rgb = make_lupton_rgb(red, green, blue, minimum=-1.0, stretch=6.0, Q=8)
    rgb[~fine.all(axis=2)] = 0
    return rgb


def _with_grey_noise(light: np.ndarray) -> np.ndarray:
    """Return light (H, W, 3) with the colours of its surroundings, and grey at low S/N."""
    from scipy.ndimage import gaussian_filter

    mean = light.mean(axis=2, keepdims=True)
    smooth = gaussian_filter(light, (_SMOOTHING, _SMOOTHING, 0.0))
    level = smooth.mean(axis=2, keepdims=True)
    # The noise is estimated from pixels far enough apart to be independent after resampling and smoothing.
    steps = level[:, _APART:] - level[:, :-_APART]
    noise = 1.4826 * np.median(np.abs(steps)) / np.sqrt(2.0) if steps.size else 0.0
    snr = np.maximum(level / (noise or 1.0), 0.0)
    kept = snr**2 / (snr**2 + _GREY**2)
    return mean + kept * (smooth - level)
