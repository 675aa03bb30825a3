"""Realistic conditions and defects: PSFs, resampled noise, sky residuals."""

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np

from gridlens.cutouts._surveys import Survey
from gridlens.simulate._canvas import Geometry
from gridlens.simulate._noise_texture import Texture, drop_kernel, gaussian_kernel
from gridlens.simulate._observe import FWHM_PER_SIGMA, Conditions, draw_conditions, sky_noise
from gridlens.simulate._point_spread import PointSpread
from gridlens.simulate._wide_background import smooth_pattern

__all__ = ["add_sky_residual", "draw_real_conditions", "lanczos_kernel"]

# Order of the Lanczos kernel used for the coadds of each survey; 0 for images in camera pixels.
_RESAMPLED = {"hsc": 5, "des": 3, "lsst": 5, "kids": 3, "cfhtls": 3, "ps1": 2, "sdss": 0}
# AB magnitude of stars that saturate in single exposures.
_SATURATION = {"hsc": 18.0, "lsst": 17.5, "cfhtls": 17.0, "kids": 16.5, "des": 16.0, "ps1": 14.5, "sdss": 14.5}
# Pixel scales within this factor of the survey's are treated as those of the coadd.
_OWN_PIXELS = 1.3
_SAMPLES = 41
# Fraction of the scenes of resampled surveys with rounded values.
_ROUNDED = 0.1


@lru_cache(maxsize=64)
def lanczos_kernel(order: int, pitch: float = 1.0) -> np.ndarray:
    """Return a kernel that gives white noise the correlation of a Lanczos-interpolated image.

    Parameters
    ----------
    order : int
        Order of the Lanczos kernel, in pixels of the original image, 2 to 5.
    pitch : float, default=1.0
        Pixel scale of the result relative to the original image; 1 for a stack of exposures with sub-pixel shifts.

    Returns
    -------
    ndarray of shape (13, 13)
        A kernel whose autocorrelation is that of the interpolation, averaged over phases, along each axis.
    """
    phase = (np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5

    def weights(shift: float) -> np.ndarray:
        at = np.arange(-60, 61)[None, :] - phase[:, None] - shift
        found = np.where(np.abs(at) < order, np.sinc(at) * np.sinc(at / order), 0.0)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    first = weights(0.0)
    lags = np.array([(first * weights(lag * pitch)).sum(axis=1).mean() for lag in range(9)])
    # A symmetric kernel with this power spectrum; beyond six pixels it is below 0.01.
    power = np.fft.fft(np.concatenate([lags, np.zeros(47), lags[:0:-1]])).real
    line = np.fft.ifft(np.sqrt(np.clip(power, 0.0, None))).real[np.arange(-6, 7)]
    return np.outer(line, line)


def _noise_kernel(rng: np.random.Generator, survey: Survey, geometry: Geometry) -> np.ndarray:
    """Draw the noise kernel: that of the survey's coadds in their own pixels, or of further resampled images."""
    order = _RESAMPLED[survey.name]
    factor = geometry.pixel_scale / survey.pixel_scale
    if 1.0 / _OWN_PIXELS < factor < _OWN_PIXELS and rng.random() < 0.8:
        return lanczos_kernel(order) if order else np.ones((1, 1))
    kind = str(rng.choice(["white", "lanczos", "drop", "smooth"], p=[0.25, 0.55, 0.15, 0.05]))
    if kind == "white":
        return np.ones((1, 1))
    if kind == "lanczos":
        return lanczos_kernel(max(order, 2), round(max(factor, 1.0), 1))
    if kind == "drop":
        return drop_kernel(float(rng.uniform(0.7, 1.2)), *(float(shift) for shift in rng.uniform(-0.5, 0.5, 2)))
    width = float(rng.uniform(0.3, 0.6))
    return gaussian_kernel(width, width, 0.0)


def draw_real_conditions(rng: np.random.Generator, survey: Survey, geometry: Geometry, varied: bool) -> Conditions:
    """Draw conditions near the preset, with the PSF and noise of coadds.

    Parameters and result are as for `gridlens.simulate._observe.draw_conditions`. The profiles have wings from those of
    a Moffat profile with an exponent of 2.5 to almost none, and are slightly elliptical. The noise is correlated by the
    resampling of the survey's coadds.
    """
    conditions = draw_conditions(rng, survey, geometry, varied)
    # Within a survey, seeing varies more than depth.
    seeing = conditions.seeing * np.exp(rng.normal(0.0, 0.07) + rng.normal(0.0, 0.04, 3))
    depth = conditions.depth + float(rng.normal(0.0, 0.1))
    beta = math.exp(rng.uniform(math.log(2.5), math.log(8.0)))
    shape = complex(*rng.normal(0.0, 0.015, 2))
    spreads = tuple(
        PointSpread(float(fwhm), beta * float(rng.lognormal(0.0, 0.1)), shape + complex(*rng.normal(0.0, 0.007, 2)))
        for fwhm in seeing
    )
    # Camera counts are integers, and compressed files have coarser steps.
    quantum = 0.0
    if _RESAMPLED[survey.name] == 0:
        quantum = float(rng.uniform(0.1, 0.25))
    elif rng.random() < _ROUNDED:
        quantum = math.exp(rng.uniform(math.log(0.1), math.log(1.0)))
    kernel = _noise_kernel(rng, survey, geometry)
    texture = Texture((kernel,) * 3)
    star = seeing / FWHM_PER_SIGMA / geometry.pixel_scale
    sigma = sky_noise(depth, seeing, geometry.pixel_scale) * texture.rms_factor(star)
    return replace(
        conditions,
        seeing=seeing,
        depth=depth,
        sky_sigma=sigma,
        correlation=0.0,
        shifts=conditions.shifts + rng.normal(0.0, 0.02, (3, 2)),
        spreads=spreads,
        texture=texture,
        saturation=_SATURATION[survey.name],
        quantum=quantum,
    )


def add_sky_residual(rng: np.random.Generator, pixels: np.ndarray, sky_sigma: np.ndarray, largest: float) -> None:
    """Add a smooth residual of the sky subtraction, with the same shape in all bands, to `pixels` (3, H, W) in place.

    Its amplitude is at most `largest` times the sky rms, `sky_sigma` (3,).
    """
    size = pixels.shape[1]
    common, own = smooth_pattern(rng, size), smooth_pattern(rng, size)
    heights = float(rng.uniform(0.0, largest)) * rng.uniform(0.5, 1.0, 3)
    parts = rng.uniform(-0.3, 0.3, 3)
    for band in range(3):
        pixels[band] += sky_sigma[band] * heights[band] * ((1.0 - abs(parts[band])) * common + parts[band] * own)
