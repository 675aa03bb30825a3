"""Observing conditions with wider distributions than those of a survey: PSF, noise, registration, sampling."""

import math
from dataclasses import dataclass, replace

import numpy as np

from gridlens.simulate._canvas import Geometry
from gridlens.simulate._noise_texture import Grid, Texture, drop_kernel, gaussian_kernel
from gridlens.simulate._observe import FWHM_PER_SIGMA, Conditions, sky_noise
from gridlens.simulate._point_spread import PointSpread
from gridlens.simulate._randomised import Streams

__all__ = ["PLAIN_SAMPLING", "Sampling", "draw_sampling", "widened"]

# Narrowest FWHM of a profile, in sub-pixels, that is sampled well enough.
_NARROWEST = 1.6
_LARGEST_ELLIPTICITY = 0.12
# Standard deviation of the tent function of linear interpolation, in pixels of the original grid.
_TENT_SIGMA = 1.0 / math.sqrt(6.0)


@dataclass(frozen=True)
class Sampling:
    """Position and pixel grid of a cutout on the sky."""

    pixel_scale: float | None = None
    """arcsec; None means the scale of the geometry"""
    offset: tuple[float, float] = (0.0, 0.0)
    """offset of the BCG from the centre, arcsec"""
    error: tuple[float, float] = (0.0, 0.0)
    """error of the BCG position in the catalogue, arcsec"""
    grid: Grid | None = None
    """the grid from which the cutout was interpolated"""


PLAIN_SAMPLING = Sampling()


def _disc(rng: np.random.Generator, radius: float) -> tuple[float, float]:
    """Draw a point within `radius` of the origin, uniformly in distance."""
    r, angle = float(rng.uniform(0.0, radius)), float(rng.uniform(0.0, 2.0 * math.pi))
    return r * math.cos(angle), r * math.sin(angle)


def draw_sampling(streams: Streams) -> Sampling:
    """Draw the pixel scale, the position of the BCG, and in half of the wide scenes another pixel grid."""
    rng = streams.in_half("sampling")
    if rng is None:
        return PLAIN_SAMPLING
    scale, offset, error = float(rng.uniform(0.3, 0.7)), _disc(rng, 3.0), _disc(rng, 0.3)
    resampled = rng.random() < 0.5
    grid = Grid(float(rng.uniform(0.6, 1.3)), float(rng.uniform(0.0, 0.5 * math.pi)), int(rng.choice([1, 3])))
    return Sampling(scale, offset, error, grid if resampled else None)


def widened(
    conditions: Conditions, streams: Streams, geometry: Geometry, sampling: Sampling, varied: bool
) -> Conditions:
    """Return conditions with the randomized parts drawn again.

    Parameters
    ----------
    conditions : Conditions
        Conditions of a survey; returned unchanged if no part is randomized.
    streams : Streams
    geometry : Geometry
    sampling : Sampling
    varied : bool
        Whether `conditions` already differ from the survey's depth and seeing; their common factors are then kept.
    """
    optics, noise, registration = (streams.in_half(name) for name in ("psf", "noise", "registration"))
    if registration is not None:
        conditions = replace(
            conditions,
            shifts=np.array([_disc(registration, 0.25) for _ in range(3)]),
            throughput=10.0 ** (0.4 * registration.uniform(-0.1, 0.1, 3)),
        )
    spreads = None
    if optics is not None:
        spreads = _draw_spreads(optics, conditions.seeing, varied)
    elif sampling.grid is not None:
        spreads = list(conditions.spreads or (PointSpread(float(fwhm)) for fwhm in conditions.seeing))
    if spreads is not None:
        conditions = _sampled_spreads(conditions, spreads, geometry, sampling.grid)
    texture = conditions.texture
    if noise is not None:
        depth, texture = _draw_noise(noise, conditions.depth, geometry, sampling.grid, varied)
        conditions = replace(conditions, depth=depth, texture=texture)
    elif sampling.grid is not None:
        kernel = gaussian_kernel(conditions.correlation, conditions.correlation, 0.0)
        texture = replace(texture, grid=sampling.grid) if texture else Texture((kernel,) * 3, grid=sampling.grid)
        conditions = replace(conditions, texture=texture)
    if texture is None:
        sigma = sky_noise(conditions.depth, conditions.seeing, geometry.pixel_scale, conditions.correlation)
    else:
        star = conditions.seeing / FWHM_PER_SIGMA / geometry.pixel_scale
        white = sky_noise(conditions.depth, conditions.seeing, geometry.pixel_scale)
        sigma = white * texture.rms_factor(star)
    return replace(conditions, sky_sigma=sigma)


def _draw_spreads(rng: np.random.Generator, seeing: np.ndarray, varied: bool) -> list[PointSpread]:
    """Draw a PSF for each band, with similar shapes and widths near those of the survey."""
    common = math.exp(rng.uniform(math.log(0.7), math.log(1.7)))
    widths = np.clip(seeing * (1.0 if varied else common) * np.exp(rng.normal(0.0, 0.2, 3)), 0.4, 2.5)
    winged = rng.random() < 0.25
    beta, wings = float(rng.uniform(2.0, 6.0)), float(rng.uniform(0.05, 0.3))
    shape = complex(*_disc(rng, 0.1))
    spreads = []
    for width in widths:
        own_beta = float(np.clip(beta + rng.normal(0.0, 0.3), 2.0, 6.0))
        own_wings = float(np.clip(wings + rng.normal(0.0, 0.03), 0.0, 0.35))
        ellipticity = shape + complex(*_disc(rng, 0.03))
        ellipticity *= min(1.0, _LARGEST_ELLIPTICITY / max(abs(ellipticity), 1e-9))
        if winged:
            spreads.append(PointSpread(float(width), math.inf, ellipticity, own_wings))
        else:
            spreads.append(PointSpread(float(width), own_beta, ellipticity))
    return spreads


def _sampled_spreads(
    conditions: Conditions, spreads: list[PointSpread], geometry: Geometry, grid: Grid | None
) -> Conditions:
    """Return conditions with these PSFs, limited in width by the sub-pixels and smoothed by the interpolation.

    The seeing is that of the image, including the interpolation.
    """
    narrowest = _NARROWEST * geometry.step
    smoothed = grid is not None and grid.order == 1
    pitch = grid.pitch * geometry.pixel_scale if grid is not None and smoothed else 0.0
    tent = FWHM_PER_SIGMA * _TENT_SIGMA * pitch
    fwhm = np.array([math.sqrt(max(spread.fwhm**2 - tent**2, narrowest**2)) for spread in spreads])
    turn = grid.turn if grid is not None else 0.0
    return replace(
        conditions,
        seeing=np.hypot(fwhm, tent),
        spreads=tuple(
            replace(spread, fwhm=float(width), pitch=pitch, turn=turn)
            for spread, width in zip(spreads, fwhm, strict=True)
        ),
    )


def _draw_noise(
    rng: np.random.Generator, depth: np.ndarray, geometry: Geometry, grid: Grid | None, varied: bool
) -> tuple[np.ndarray, Texture]:
    """Draw the depth near that of the survey, the correlation of the noise and its map."""
    common = float(rng.uniform(-1.2, 1.2))
    depth = depth + (0.0 if varied else common) + rng.uniform(-0.5, 0.5, 3)
    kind = str(rng.choice(["white", "round", "long", "drop"], p=[0.2, 0.3, 0.2, 0.3]))
    width, ratio, angle = float(rng.uniform(0.3, 1.5)), float(rng.uniform(0.3, 1.0)), float(rng.uniform(0.0, math.pi))
    drop = float(rng.uniform(0.6, 1.8))
    kernels = []
    for shift in rng.uniform(-0.5, 0.5, (3, 2)):
        # The bands of a survey are resampled in the same way, from different pointings.
        own = width * float(rng.uniform(0.85, 1.0))
        if kind == "drop":
            kernels.append(drop_kernel(drop, *(float(part) for part in shift)))
        elif kind == "white":
            kernels.append(np.ones((1, 1)))
        else:
            kernels.append(gaussian_kernel(own, own if kind == "round" else ratio * own, angle))
    coverage = _draw_coverage(rng, geometry.size) if rng.random() < 0.5 else None
    return depth, Texture(tuple(kernels), coverage, grid)


def _draw_coverage(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw maps (3, size, size) of the relative noise: a gradient and steps at the edges of exposures."""
    axis = np.linspace(-1.0, 1.0, size)
    x, y = axis[None, :], axis[:, None]
    turn, edge = rng.uniform(0.0, 2.0 * math.pi, 2)
    slope = (x * math.cos(turn) + y * math.sin(turn)) / math.sqrt(2.0)
    step = np.where(x * math.cos(edge) + y * math.sin(edge) > rng.uniform(-0.7, 0.7), 1.0, -1.0)
    part = float(rng.uniform())
    pattern = part * slope + (1.0 - part) * step
    maps = 1.0 + rng.uniform(0.0, 0.3, 3)[:, None, None] * pattern
    return np.asarray(maps / np.sqrt((maps**2).mean(axis=(1, 2), keepdims=True)))
