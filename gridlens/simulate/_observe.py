"""Simulation of observations: seeing and depth near a survey preset, noise, saturated stars, artefacts."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from gridlens.cutouts._surveys import Survey
from gridlens.simulate._canvas import Canvas, Geometry, flux_of
from gridlens.simulate._noise_texture import Texture
from gridlens.simulate._point_spread import PointSpread

__all__ = [
    "ARTEFACTS",
    "FWHM_PER_SIGMA",
    "Conditions",
    "add_artefact",
    "add_noise",
    "add_saturation",
    "draw_conditions",
    "photon_noise",
    "sky_noise",
]

# A dark sky in g, r, i, AB mag per square arcsec (Ivezic et al. 2019, ApJ 873, 111, table 2, rounded): it relates the
# photon noise of sources to the sky noise, independently of the exposure time.
_SKY_BRIGHTNESS = np.array([22.3, 21.2, 20.5])
# Rounded, because the exact number would change the pixels of a seed.
FWHM_PER_SIGMA = 2.3548


@dataclass(frozen=True)
class Conditions:
    """Conditions of an observation. Array elements are for g, r, i."""

    seeing: np.ndarray
    """FWHM, arcsec"""
    depth: np.ndarray
    """5-sigma point-source depth, AB mag"""
    sky_sigma: np.ndarray
    """rms of the sky per pixel, flux"""
    correlation: float
    """standard deviation of the Gaussian that correlates the noise, pixels; 0 means white noise"""
    gains: np.ndarray
    """multiplicative error of the zero point"""
    shifts: np.ndarray
    """(3, 2): misregistration in x and y, arcsec"""
    throughput: np.ndarray = field(default_factory=lambda: np.ones(3))
    """factor applied to all light, as for a filter that differs from the survey's"""
    spreads: tuple[PointSpread, ...] | None = None
    """point-spread function of each band; None means round Moffat profiles of the seeing"""
    texture: Texture | None = None
    """texture of the noise; None means that only `correlation` applies"""
    saturation: float = 17.5
    """AB mag of a star whose peak saturates the detector"""
    quantum: float = 0.0
    """quantization step of the pixel values in units of the sky rms; 0 means no rounding"""

    def observe(self, canvas: Canvas) -> np.ndarray:
        """Return the observed light of `canvas` without noise, (3, size, size)."""
        return canvas.observe(self.seeing, self.shifts, self.spreads) * self.throughput[:, None, None]


def sky_noise(depth: np.ndarray, seeing: np.ndarray, pixel_scale: float, correlation: float = 0.0) -> np.ndarray:
    """Return the noise rms per pixel that corresponds to the 5-sigma point-source `depth` of a matched filter.

    Noise correlated by a Gaussian of `correlation` pixels has more power on the scale of a star, so its rms per pixel
    is lower for the same depth.
    """
    # A Gaussian of standard deviation s spreads a star over 4 pi s^2 of noise.
    star = seeing / FWHM_PER_SIGMA
    area = 4.0 * math.pi * star**2
    smooth = (correlation * pixel_scale) ** 2
    excess = np.maximum(1.0, 4.0 * math.pi * correlation**2 * star**2 / (star**2 + smooth))
    return flux_of(depth) / 5.0 / np.sqrt(area * excess) * pixel_scale


def draw_conditions(rng: np.random.Generator, survey: Survey, geometry: Geometry, varied: bool) -> Conditions:
    """Draw seeing and depth around the preset with 6 % scatter; `varied` allows larger deviations, as in real data."""
    scatter = rng.normal(0.0, 0.06, 3)
    seeing = np.array(survey.seeing) * np.exp(0.06 * rng.normal() + 0.5 * scatter)
    depth = np.array(survey.depth) + rng.normal(0.0, 0.06, 3) + rng.normal(0.0, 0.06)
    gains = np.ones(3)
    if varied:
        seeing *= float(rng.uniform(0.5, 1.5)) / seeing.mean()
        depth = depth + float(rng.uniform(-1.5, 1.5))
        gains = 10.0 ** (0.4 * rng.uniform(-0.05, 0.05, 3))
    # Small pixels come from resampled coadds, whose noise is always correlated to some degree.
    correlated = rng.random() < (0.7 if varied else 1.0 / 3.0)
    correlation = float(rng.uniform(0.35, 1.1 if varied else 0.7)) if correlated else 0.0
    sigma = sky_noise(depth, seeing, geometry.pixel_scale, correlation)
    conditions = Conditions(seeing, depth, sigma, correlation, gains, np.zeros((3, 2)))
    if rng.random() < 0.04:
        shifts = np.zeros((3, 2))
        shifts[rng.integers(3)] = rng.normal(0.0, 0.2 * geometry.pixel_scale, 2)
        conditions = replace(conditions, shifts=shifts)
    return conditions


def add_noise(rng: np.random.Generator, light: np.ndarray, conditions: Conditions, pixel_scale: float) -> np.ndarray:
    """Add sky noise and source photon noise to `light` (3, H, W); return a new array."""
    sky = flux_of(_SKY_BRIGHTNESS) * pixel_scale**2
    noise = rng.normal(size=light.shape)
    if conditions.texture is not None:
        noise = conditions.texture.apply(noise)
    elif conditions.correlation > 0.0:
        for band in range(3):
            noise[band] = ndimage.gaussian_filter(noise[band], conditions.correlation, mode="wrap")
            noise[band] /= noise[band].std()
    variance = conditions.sky_sigma[:, None, None] ** 2 * (1.0 + np.clip(light, 0.0, None) / sky[:, None, None])
    pixels = light + noise * np.sqrt(variance)
    if conditions.quantum > 0.0:
        step = conditions.quantum * conditions.sky_sigma[:, None, None]
        pixels = np.round(pixels / step) * step
    return np.asarray(pixels)


def photon_noise(
    rng: np.random.Generator,
    light: np.ndarray,
    sky_sigma: np.ndarray,
    pixel_scale: float,
    texture: Texture | None = None,
) -> np.ndarray:
    """Return the photon noise of `light` (3, H, W), to be added to an image that already contains sky noise.

    The noise is white, or correlated by `texture`.
    """
    sky = flux_of(_SKY_BRIGHTNESS) * pixel_scale**2
    variance = sky_sigma[:, None, None] ** 2 * np.clip(light, 0.0, None) / sky[:, None, None]
    noise = rng.normal(size=light.shape)
    if texture is not None:
        noise = texture.apply(noise)
    return np.asarray(noise * np.sqrt(variance))


def add_saturation(
    rng: np.random.Generator,
    pixels: np.ndarray,
    stars: list[tuple[float, float, np.ndarray]],
    conditions: Conditions,
    geometry: Geometry,
) -> None:
    """Add spikes, clipped cores and bleed trails of bright stars to `pixels` (3, H, W) in place."""
    # Stars far from saturation have no marks.
    faintest = float(flux_of(conditions.saturation + 0.5))
    stars = [star for star in stars if star[2][1] > faintest]
    if not stars:
        return
    yy, xx = np.indices(pixels.shape[1:])
    centre = 0.5 * (geometry.size - 1)
    filled = flux_of(conditions.saturation)
    peak = filled * geometry.pixel_scale**2 / (1.6 * conditions.seeing**2)
    turn = float(rng.choice([0.0, 0.25 * math.pi]))
    for x, y, fluxes in stars:
        dx = xx - centre - x / geometry.pixel_scale
        dy = yy - centre - y / geometry.pixel_scale
        r = np.hypot(dx, dy) * geometry.pixel_scale
        for angle in (turn, turn + 0.5 * math.pi):
            across = np.abs(-dx * math.sin(angle) + dy * math.cos(angle))
            spike = np.exp(-0.5 * (across / 0.8) ** 2) / (1.0 + r) ** 1.6
            pixels += 3e-4 * fluxes[:, None, None] * geometry.pixel_scale**2 * spike
        for band in range(3):
            if fluxes[band] > 4.0 * filled and rng.random() < 0.5:
                trail = (np.abs(dx) < 0.7) & (np.abs(dy) * geometry.pixel_scale < 2.0 * (fluxes[band] / filled) ** 0.5)
                pixels[band][trail] = peak[band]
    np.minimum(pixels, peak[:, None, None], out=pixels)


def _trail(rng: np.random.Generator, pixels: np.ndarray, sigma: np.ndarray) -> None:
    """Add a satellite trail in one band."""
    yy, xx = np.indices(pixels.shape[1:])
    size = pixels.shape[1]
    angle, offset = float(rng.uniform(0.0, math.pi)), float(rng.uniform(-0.4, 0.4)) * size
    across = (xx - 0.5 * size) * math.sin(angle) - (yy - 0.5 * size) * math.cos(angle) - offset
    band = int(rng.integers(3))
    pixels[band] += rng.uniform(1.0, 8.0) * sigma[band] * np.exp(-0.5 * (across / rng.uniform(0.8, 2.5)) ** 2)


def _cosmic_rays(rng: np.random.Generator, pixels: np.ndarray, sigma: np.ndarray) -> None:
    """Add residuals of cosmic rays: short bright streaks, each in one band."""
    size = pixels.shape[1]
    for _ in range(int(rng.integers(1, 6))):
        band = int(rng.integers(3))
        x, y = rng.uniform(2.0, size - 3.0, 2)
        angle = float(rng.uniform(0.0, math.pi))
        for step in range(int(rng.integers(1, 9))):
            i, j = round(x + step * math.cos(angle)), round(y + step * math.sin(angle))
            if 0 <= i < size and 0 <= j < size:
                pixels[band, j, i] += rng.uniform(5.0, 60.0) * sigma[band]


def _ghost(rng: np.random.Generator, pixels: np.ndarray, sigma: np.ndarray) -> None:
    """Add a reflection: part of a wide, faint ring in one or two bands."""
    yy, xx = np.indices(pixels.shape[1:])
    size = pixels.shape[1]
    x, y = rng.uniform(-0.3, 1.3, 2) * size
    r = np.hypot(xx - x, yy - y)
    radius, width = float(rng.uniform(0.15, 0.9)) * size, float(rng.uniform(0.02, 0.12)) * size
    ring = np.exp(-0.5 * ((r - radius) / width) ** 2)
    for band in rng.choice(3, size=int(rng.integers(1, 3)), replace=False):
        pixels[band] += rng.uniform(0.5, 3.0) * sigma[band] * ring


def _gradient(rng: np.random.Generator, pixels: np.ndarray, sigma: np.ndarray) -> None:
    """Add a background gradient across the cutout, different in each band."""
    yy, xx = np.indices(pixels.shape[1:]) / pixels.shape[1] - 0.5
    for band in range(3):
        slope = rng.normal(0.0, 1.5, 2)
        pixels[band] += sigma[band] * (slope[0] * xx + slope[1] * yy)


def _seam(rng: np.random.Generator, pixels: np.ndarray, sigma: np.ndarray) -> None:
    """Add the edge of a coadded exposure: a step in sky level and noise."""
    size = pixels.shape[1]
    cut = int(rng.integers(size // 6, size - size // 6))
    side = (slice(None), slice(cut)) if rng.random() < 0.5 else (slice(cut), slice(None))
    for band in range(3):
        part = pixels[band][side]
        part += sigma[band] * (rng.normal(0.0, 0.5) + rng.normal(size=part.shape) * rng.uniform(0.0, 0.8))


def _hole(rng: np.random.Generator, pixels: np.ndarray, sigma: np.ndarray) -> None:
    """Remove the data of a patch in all bands, at most an eighth of the cutout."""
    size = pixels.shape[1]
    width, height = (int(v) for v in rng.uniform(0.05, 0.35, 2) * size)
    x, y = int(rng.integers(0, size - width)), int(rng.integers(0, size - height))
    pixels[:, y : y + height, x : x + width] = np.nan


ARTEFACTS = {
    "trail": _trail,
    "cosmic-rays": _cosmic_rays,
    "ghost": _ghost,
    "gradient": _gradient,
    "seam": _seam,
    "hole": _hole,
}


def add_artefact(rng: np.random.Generator, pixels: np.ndarray, sigma: np.ndarray) -> str:
    """Add one artefact of a random kind to `pixels` (3, H, W) in place; return its name."""
    kind = str(rng.choice(list(ARTEFACTS)))
    ARTEFACTS[kind](rng, pixels, sigma)
    return kind
