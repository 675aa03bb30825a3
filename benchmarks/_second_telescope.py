"""The telescope of the second generator: stars with spikes, correlated noise, an uneven sky, detector artefacts."""

from __future__ import annotations

import math

import numpy as np
from _other_arcs import band_fluxes, flux_of
from _second_galaxies import Sheet
from scipy import ndimage

__all__ = ["add_detector", "add_sky", "add_stars", "noise_of"]

# Sky brightness in g, r and i with some moonlight, mag per square arcsec.
_SKY = np.array([21.7, 20.8, 19.9])
# Stars brighter than this magnitude have spikes and a saturated core.
_BRIGHT = 18.5


def add_stars(rng: np.random.Generator, sheet: Sheet) -> list[tuple[float, float, np.ndarray]]:
    """Draw stars as points; return the x, y (arcsec) and fluxes (3,) of the bright ones."""
    bright = []
    count = int(rng.poisson(rng.gamma(2.0, 2.0) * (2.0 * sheet.half / 64.0) ** 2))
    for _ in range(count):
        x, y = (float(c) for c in rng.uniform(-sheet.half, sheet.half, 2))
        mag = float(np.clip(25.5 - rng.exponential(2.4), 15.5, 25.5))
        gr = float(rng.choice([0.35, 0.6, 1.0, 1.4])) + float(rng.normal(0.0, 0.1))
        fluxes = band_fluxes(mag, gr, 0.35 * gr + 0.5 * max(gr - 1.1, 0.0))
        # The light of a point is divided among the four nearest sub-pixels.
        column, row = (c / sheet.step + 0.5 * (sheet.size - 1) for c in (x, y))
        left, low = math.floor(column), math.floor(row)
        if 0 <= left < sheet.size - 1 and 0 <= low < sheet.size - 1:
            u, v = column - left, row - low
            weights = np.outer([1.0 - v, v], [1.0 - u, u])
            sheet.light[:, low : low + 2, left : left + 2] += fluxes[:, None, None] * weights
            if mag < _BRIGHT:
                bright.append((x, y, fluxes))
    return bright


def noise_of(rng: np.random.Generator, light: np.ndarray, sigma: np.ndarray, pixel_scale: float) -> np.ndarray:
    """Return the noise (3, H, W) of the sky and of `light`, correlated as after resampling.

    Its rms in the sky is `sigma` (3,) in each band.
    """
    sky = flux_of(_SKY) * pixel_scale**2
    amplitude = sigma[:, None, None] * np.sqrt(1.0 + np.clip(light, 0.0, None) / sky[:, None, None])
    noise = rng.normal(size=light.shape)
    for band in range(3):
        # Linear interpolation between pixels, with a different shift in each band.
        u, v = rng.uniform(0.0, 0.5, 2)
        kernel = np.outer([0.0, 1.0 - v, v], [0.0, 1.0 - u, u])
        noise[band] = ndimage.convolve(noise[band], kernel, mode="wrap") / math.sqrt(float((kernel**2).sum()))
    return np.asarray(noise * amplitude)


def add_sky(rng: np.random.Generator, pixels: np.ndarray, light: np.ndarray, sigma: np.ndarray) -> None:
    """Add residuals of the sky subtraction in place: large-scale structure, and hollows around bright light."""
    for band in range(3):
        width = float(rng.uniform(12.0, 30.0))
        waves = ndimage.gaussian_filter(rng.normal(size=pixels[band].shape), width, mode="wrap")
        pixels[band] += float(rng.uniform(0.0, 0.5)) * sigma[band] * waves / waves.std()
        hollow = ndimage.gaussian_filter(np.minimum(light[band], 20.0 * sigma[band]), 20.0, mode="nearest")
        pixels[band] -= float(rng.uniform(0.0, 0.35)) * (hollow - hollow.min())
        pixels[band] += float(rng.normal(0.0, 0.5)) * sigma[band]


def add_detector(
    rng: np.random.Generator,
    pixels: np.ndarray,
    sigma: np.ndarray,
    stars: list[tuple[float, float, np.ndarray]],
    pixel_scale: float,
) -> None:
    """Add spikes and saturation of stars in place and, in some scenes, a trail, a step or an interpolated column."""
    y, x = (np.indices(pixels.shape[1:]) - 0.5 * (pixels.shape[-1] - 1)) * pixel_scale
    well = float(flux_of(18.0)) * pixel_scale**2
    vanes, turn = int(rng.choice([2, 3])), float(rng.uniform(0.0, math.pi))
    for star_x, star_y, fluxes in stars:
        dx, dy = x - star_x, y - star_y
        r = np.hypot(dx, dy)
        for vane in range(vanes):
            angle = turn + math.pi * vane / vanes
            across = -dx * math.sin(angle) + dy * math.cos(angle)
            spike = np.exp(-0.5 * (across / (0.6 * pixel_scale)) ** 2) / (2.0 + r) ** 2
            pixels += 8e-3 * pixel_scale**2 * fluxes[:, None, None] * spike
        halo = np.exp(-0.5 * ((r - 9.0) / 3.0) ** 2) + np.exp(-r / 12.0)
        pixels += 2e-5 * pixel_scale**2 * fluxes[:, None, None] * halo
    if stars:
        np.minimum(pixels, well, out=pixels)
    mark = rng.random()
    band = int(rng.integers(3))
    if mark < 0.06:
        _trail(rng, pixels[band], sigma[band], x, y)
    elif mark < 0.14:
        side = x * math.cos(turn) + y * math.sin(turn) > float(rng.normal(0.0, 12.0))
        pixels += (rng.normal(0.0, 0.6, 3) * sigma)[:, None, None] * side
    elif mark < 0.18:
        column = int(rng.integers(2, pixels.shape[-1] - 2))
        pixels[band, :, column] = 0.5 * (pixels[band, :, column - 1] + pixels[band, :, column + 1])


def _trail(rng: np.random.Generator, band: np.ndarray, sigma: float, x: np.ndarray, y: np.ndarray) -> None:
    """Add the trail of a tumbling satellite, a line of varying brightness."""
    angle, offset = float(rng.uniform(0.0, math.pi)), float(rng.normal(0.0, 10.0))
    across = -x * math.sin(angle) + y * math.cos(angle) - offset
    along = x * math.cos(angle) + y * math.sin(angle)
    flicker = 1.0 + 0.6 * np.sin(along / float(rng.uniform(2.0, 15.0)))
    width = float(rng.uniform(0.4, 1.0))
    band += float(rng.uniform(2.0, 12.0)) * sigma * flicker * np.exp(-0.5 * (across / width) ** 2)
