"""Lensed arcs made differently from those of the training scenes: cluster lenses, HST source shapes, a PSF.

This module does not use `gridlens.simulate`. Positions are in arcsec from the cutout's centre, x along the second axis.
Images have the shape (3, H, W), with bands g, r, i. Fluxes have the AB zero point 27.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import fft, ndimage

from gridlens.lensing import DPIE, NFW, ExternalShear, MassModel, lensing_efficiency

__all__ = [
    "FAINTEST_ARC",
    "REFERENCE_REDSHIFT",
    "HstSource",
    "MoffatPsf",
    "Picture",
    "arc_snr",
    "band_fluxes",
    "binned",
    "cluster_lens",
    "convolved",
    "draw_psf",
    "flux_of",
    "image_place",
    "lensed_shape",
    "load_hst_sources",
]

REFERENCE_REDSHIFT = 2.0
# Arcs with a lower S/N than this are drawn again, because no eye would find them.
FAINTEST_ARC = 15.0
_HST_PIXEL = 0.03  # arcsec
# Threshold of the galaxy's light, in units of the noise of the HST image.
_HST_THRESHOLD = 1.5
# Number of member galaxies that act as lenses; the effect of the others is negligible.
_LENSING_MEMBERS = 8


@dataclass(frozen=True)
class Picture:
    """A generated cutout and its truth."""

    pixels: np.ndarray
    """(H, W, 3) float32, in any flux unit"""
    bcg_xy: tuple[float, float]
    """pixels"""
    pixel_scale: float
    """arcsec per pixel"""
    arc: np.ndarray
    """(3, H, W): the noise-free lensed light alone, in the unit of the pixels; 0 without a lens"""
    sky_sigma: np.ndarray
    """(3,) rms of the sky per pixel, in the unit of the pixels"""
    truth: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HstSource:
    """A galaxy as observed by HST, with its ground-based photometry."""

    name: str
    shape: np.ndarray
    """(2, n, n): light outside and inside the bright core; the total sum is 1"""
    r_mag: float
    colours: tuple[float, float]
    """g-r and r-i"""
    redshift: float


@dataclass(frozen=True)
class MoffatPsf:
    """An elliptical Moffat profile."""

    fwhm: float
    """arcsec, of a circular profile of the same area"""
    beta: float
    ellipticity: float = 0.0
    """1 - b / a"""
    angle: float = 0.0
    """of the major axis, rad"""

    def kernel(self, step: float, size: int) -> np.ndarray:
        """Return the profile, normalised to a sum of 1, on a square grid of `size` cells of `step` arcsec."""
        axis = (np.arange(size) - size // 2) * step
        x, y = np.meshgrid(axis, axis)
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        q = 1.0 - self.ellipticity
        along, across = (x * cos + y * sin) * math.sqrt(q), (-x * sin + y * cos) / math.sqrt(q)
        core = 0.5 * self.fwhm / math.sqrt(2.0 ** (1.0 / self.beta) - 1.0)
        profile = (1.0 + (along**2 + across**2) / core**2) ** -self.beta
        return np.asarray(profile / profile.sum())


def flux_of(magnitude: Any) -> np.ndarray:
    """Return the flux of an AB magnitude."""
    return np.asarray(10.0 ** (-0.4 * (np.asarray(magnitude, dtype=float) - 27.0)))


def band_fluxes(r_mag: float, gr: float, ri: float) -> np.ndarray:
    """Return the fluxes (3,) of an r magnitude and the colours g-r and r-i."""
    return flux_of([r_mag + gr, r_mag, r_mag - ri])


def arc_snr(arc: np.ndarray, sky_sigma: np.ndarray) -> float:
    """Return the S/N of lensed light (3, H, W), defined as in the truth of simulated scenes.

    In each band, the flux in the pixels above one sky sigma is divided by sigma times the square root of their number.
    The S/N is the sum over the bands.
    """
    snr = 0.0
    for light, sigma in zip(arc, sky_sigma, strict=True):
        bright = light[light > sigma]
        if bright.size:
            snr += float(bright.sum()) / (float(sigma) * math.sqrt(bright.size))
    return snr


def draw_psf(rng: np.random.Generator, fwhm: np.ndarray) -> tuple[MoffatPsf, ...]:
    """Draw an elliptical PSF for each band with about the widths `fwhm`, arcsec, and similar shapes in all bands."""
    ellipticity, angle = float(rng.uniform(0.0, 0.12)), float(rng.uniform(0.0, math.pi))
    return tuple(
        MoffatPsf(
            float(width),
            float(rng.uniform(2.2, 4.5)),
            float(np.clip(ellipticity + rng.normal(0.0, 0.02), 0.0, 0.2)),
            angle + float(rng.normal(0.0, 0.15)),
        )
        for width in fwhm
    )


def convolved(light: np.ndarray, psfs: tuple[MoffatPsf, ...], step: float) -> np.ndarray:
    """Convolve each band of `light` (3, n, n) with its PSF, without wrapping around at the edges."""
    size = light.shape[-1]
    reach = min(size // 2, math.ceil(12.0 * max(psf.fwhm for psf in psfs) / step)) | 1
    padded = fft.next_fast_len(size + reach, real=True)
    result = np.empty_like(light)
    for band, psf in enumerate(psfs):
        kernel = np.zeros((padded, padded))
        kernel[:reach, :reach] = psf.kernel(step, reach)
        kernel = np.roll(kernel, (-(reach // 2), -(reach // 2)), axis=(0, 1))
        product = fft.rfft2(light[band], (padded, padded)) * fft.rfft2(kernel)
        result[band] = fft.irfft2(product, (padded, padded))[:size, :size]
    return result


def binned(light: np.ndarray, sampling: int) -> np.ndarray:
    """Sum sub-pixels (bands, n * sampling, n * sampling) into pixels (bands, n, n)."""
    size = light.shape[-1] // sampling
    return np.asarray(light.reshape(len(light), size, sampling, size, sampling).sum(axis=(2, 4)))


def cluster_lens(
    rng: np.random.Generator, kind: str, redshift: float, theta_e: float, bcg: tuple[float, float], members: np.ndarray
) -> MassModel:
    """Draw a cluster lens, for sources at redshift 2.

    Parameters
    ----------
    rng : numpy.random.Generator
    kind : {"two-halo", "dpie", "dpie+nfw"}
        "two-halo" is two NFW halos side by side, "dpie" one halo of finite extent with a core, and "dpie+nfw" an NFW
        halo with a massive BCG and a second clump.
    redshift : float
    theta_e : float
        Einstein radius of the main halo, arcsec.
    bcg : tuple of float
        Position of the BCG.
    members : ndarray of shape (m, 3)
        x, y and luminosity over L* of the galaxies, the BCG first.

    Returns
    -------
    MassModel
    """
    x, y = bcg
    ratio, angle = float(rng.uniform(0.45, 0.9)), float(rng.uniform(0.0, math.pi))
    away, direction = float(rng.uniform(0.6, 1.6)) * theta_e, float(rng.uniform(0.0, 2.0 * math.pi))
    other = x + away * math.cos(direction), y + away * math.sin(direction)
    if kind == "two-halo":
        share = float(rng.uniform(0.25, 0.6))
        components: list[Any] = [
            NFW.from_einstein_radius(theta_e, rng.uniform(20.0, 90.0), x=x, y=y, axis_ratio=ratio, angle=direction),
            NFW.from_einstein_radius(share * theta_e, rng.uniform(20.0, 60.0), x=other[0], y=other[1], axis_ratio=0.8),
        ]
    elif kind == "dpie":
        core, cut = float(rng.uniform(1.0, 6.0)), float(rng.uniform(40.0, 200.0))
        components = [DPIE(_dpie_strength(theta_e, core, cut), core, cut, x, y, ratio, angle)]
    else:
        galaxy = float(rng.uniform(1.0, 3.0))
        components = [
            NFW.from_einstein_radius(0.85 * theta_e, rng.uniform(25.0, 120.0), x=x, y=y, axis_ratio=ratio, angle=angle),
            DPIE(galaxy, 0.1, rng.uniform(8.0, 25.0), x, y, float(rng.uniform(0.6, 0.95)), angle),
            DPIE(float(rng.uniform(0.5, 0.25 * theta_e)), 1.0, rng.uniform(15.0, 40.0), *other, axis_ratio=0.7),
        ]
    components.append(ExternalShear(float(rng.uniform(0.0, 0.12)), float(rng.uniform(0.0, math.pi))))
    efficiency = float(lensing_efficiency(redshift, REFERENCE_REDSHIFT))
    for member_x, member_y, luminosity in members[1 : 1 + _LENSING_MEMBERS]:
        # The scaling relation is shallower, and the halos smaller, than in the training scenes.
        strength = efficiency * float(rng.uniform(0.5, 1.4)) * luminosity**0.6
        components.append(DPIE(strength, 0.1, 2.5 * luminosity**0.3 + 0.5, float(member_x), float(member_y)))
    return MassModel(components)


def _dpie_strength(theta_e: float, core: float, cut: float) -> float:
    """Return the strength at which a round dPIE has the Einstein radius `theta_e`: its deflection there is theta_e."""
    unit = (math.hypot(core, theta_e) - core - math.hypot(cut, theta_e) + cut) / theta_e
    return theta_e / unit


def image_place(
    rng: np.random.Generator, lens: MassModel, centre: tuple[float, float], nearest: float, reach: float
) -> tuple[float, float] | None:
    """Return a source position whose image is a tangential arc, or None if the lens forms no such arc.

    An image position is drawn between `nearest` and `reach` arcsec from `centre`, where the image is stretched at least
    3 times in the tangential direction, and at least 3 times as much as in the radial one. Positions stretched more
    than 20 times get a lower weight. The position is traced to the source plane.
    """
    x, y = rng.uniform(-reach, reach, (2, 1500))
    inside = (np.hypot(x, y) > nearest) & (np.hypot(x, y) < reach)
    x, y = x[inside] + centre[0], y[inside] + centre[1]
    tangential, radial = np.abs(lens.eigenvalues(x, y))
    arc = (tangential < 1.0 / 3.0) & (radial > 3.0 * tangential)
    weight = np.where(arc, np.minimum(1.0, 20.0 * tangential), 0.0)
    if not weight.sum() > 0.0:
        return None
    chosen = rng.choice(len(x), p=weight / weight.sum())
    source_x, source_y = lens.trace(x[chosen], y[chosen])
    return float(source_x), float(source_y)


def lensed_shape(
    lens: MassModel,
    shape: np.ndarray,
    pixel: float,
    place: tuple[float, float],
    turn: float,
    size: int,
    step: float,
) -> np.ndarray:
    """Return the lensed image of a source.

    Parameters
    ----------
    lens : MassModel
        Lens scaled to the source's redshift.
    shape : ndarray of shape (k, n, n)
        Light per pixel of k components of the source.
    pixel : float
        Width of a pixel of `shape`, arcsec.
    place : tuple of float
        Position of the middle of `shape` in the source plane.
    turn : float
        Angle by which `shape` is rotated, rad.
    size, step : int, float
        Side of the result in cells, and the width of a cell in arcsec.

    Returns
    -------
    ndarray of shape (k, size, size)
        Lensed light per cell. Surface brightness is conserved.
    """
    axis = (np.arange(size) - 0.5 * (size - 1)) * step
    x, y = np.meshgrid(axis, axis)
    source_x, source_y = lens.trace(x, y)
    dx, dy = source_x - place[0], source_y - place[1]
    middle = 0.5 * (shape.shape[-1] - 1)
    column = (dx * math.cos(turn) + dy * math.sin(turn)) / pixel + middle
    row = (-dx * math.sin(turn) + dy * math.cos(turn)) / pixel + middle
    area = (step / pixel) ** 2
    return area * np.stack([ndimage.map_coordinates(part, [row, column], order=1, mode="constant") for part in shape])


def load_hst_sources(folder: Path) -> list[HstSource]:
    """Return the source galaxies in `folder`, sorted by name.

    The folder holds ``sources_f814w_0p03.npz`` with an image of each galaxy at 0.03 arcsec per pixel, and ``sim.csv``
    with their magnitudes and redshifts.
    """
    table = pd.read_csv(folder / "sim.csv").drop_duplicates("Source_ID").set_index("Source_ID")
    sources = []
    with np.load(folder / "sources_f814w_0p03.npz") as images:
        for name in sorted(images.files):
            row = table.loc[int(name)]
            g, r, i = (float(row[f"source_mag_{band}"]) for band in "gri")
            sources.append(HstSource(name, _clean(images[name]), r, (g - r, r - i), float(row["source_z"])))
    return sources


def _clean(image: np.ndarray) -> np.ndarray:
    """Return the light of the central galaxy, outside and inside its core, without noise and neighbours."""
    smooth = ndimage.gaussian_filter(np.nan_to_num(image.astype(float)), 2.0)
    values = smooth[smooth != 0.0]
    noise = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    labels, count = ndimage.label(smooth > _HST_THRESHOLD * noise)
    y, x = np.indices(labels.shape) - 0.5 * (np.array(labels.shape)[:, None, None] - 1)
    if count == 0:
        raise ValueError("The HST image has no light above its noise.")
    # The galaxy is the segment with the most light near the middle.
    light = ndimage.sum_labels(smooth * np.exp(-(x**2 + y**2) / 60.0**2), labels, np.arange(1, count + 1))
    galaxy = np.where(labels == 1 + int(np.argmax(light)), np.clip(smooth, 0.0, None), 0.0)
    galaxy /= galaxy.sum()
    core = galaxy > 0.4 * galaxy.max()
    return np.stack([np.where(core, 0.0, galaxy), np.where(core, galaxy, 0.0)])
