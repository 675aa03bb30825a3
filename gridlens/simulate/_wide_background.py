"""Sky residuals and marks of stars in coadds: oversubtraction, meshes, masks, spikes in any direction."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gridlens.simulate._canvas import Geometry
from gridlens.simulate._observe import ARTEFACTS
from gridlens.simulate._randomised import Streams

__all__ = ["add_background", "smooth_pattern"]

# Largest deviation of the sky residual from zero, in units of the sky rms.
_LARGEST_RESIDUAL = 1.5
# Minimum distance from the BCG, arcsec, of the marks of a star that is not itself drawn.
_CLEAR = 8.0


def _mesh_weights(size: int, cells: int) -> np.ndarray:
    """Return weights (size, cells) that interpolate a mesh smoothly, with a sum of 1 in each row."""
    at = (np.arange(size) + 0.5) / size * cells - 0.5
    distance = np.abs(at[:, None] - np.arange(cells)[None, :])
    near = np.clip(1.0 - 0.5 * distance, 0.0, None)
    spline = 4.0 * near**3 - 16.0 * np.clip(0.5 - 0.5 * distance, 0.0, None) ** 3
    return np.asarray(spline / spline.sum(axis=1, keepdims=True))


def smooth_pattern(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a smooth pattern (size, size) between -1 and 1: a plane or random values on a mesh."""
    if rng.random() < 0.4:
        axis = np.linspace(-1.0, 1.0, size)
        turn = float(rng.uniform(0.0, 2.0 * math.pi))
        bent = float(rng.uniform(-1.0, 1.0))
        along = axis[None, :] * math.cos(turn) + axis[:, None] * math.sin(turn)
        field = along + bent * along**2
    else:
        cells = int(rng.integers(3, 9))
        weights = _mesh_weights(size, cells)
        field = weights @ rng.normal(size=(cells, cells)) @ weights.T
    return np.asarray(field / np.abs(field).max())


def _oversubtracted(rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """Return depressions around bright galaxies (3, H, W), at most 1 deep.

    A sky estimate on a mesh includes the wings of galaxies.
    """
    size = light.shape[1]
    cells = int(rng.integers(3, 9))
    cell = size // cells
    blocks = light[:, : cells * cell, : cells * cell].reshape(3, cells, cell, cells, cell)
    mesh = np.median(blocks, axis=(2, 4))
    mesh = np.minimum(mesh, rng.uniform(0.2, 1.0) * mesh.max(axis=(1, 2), keepdims=True))
    weights = _mesh_weights(size, cells)
    hollow = weights @ mesh @ weights.T
    return np.asarray(-hollow / np.maximum(hollow.max(axis=(1, 2), keepdims=True), 1e-30))


def _add_residual(rng: np.random.Generator, pixels: np.ndarray, light: np.ndarray, sky_sigma: np.ndarray) -> None:
    """Add the residual of a sky subtraction to `pixels` (3, H, W) in place."""
    size = pixels.shape[1]
    residual = np.zeros_like(pixels)
    if rng.random() < 0.7:
        common, shared = smooth_pattern(rng, size), float(rng.uniform())
        for band in range(3):
            residual[band] = shared * common + (1.0 - shared) * smooth_pattern(rng, size)
    if rng.random() < 0.6:
        residual += float(rng.uniform(0.3, 1.5)) * _oversubtracted(rng, light)
    height = float(rng.uniform(0.0, _LARGEST_RESIDUAL)) * rng.uniform(0.6, 1.0, 3)
    largest = np.maximum(np.abs(residual).max(axis=(1, 2)), 1.0)
    pixels += (sky_sigma * height / largest)[:, None, None] * residual


@dataclass(frozen=True)
class _Star:
    """A star, drawn or not, with marks on the image."""

    x: float
    y: float
    """pixels"""
    radius: float
    """radius of the marks, pixels"""


Mark = Callable[[np.random.Generator, np.ndarray, np.ndarray, list[_Star]], None]


def _inside(pixels: np.ndarray, star: _Star) -> np.ndarray:
    yy, xx = np.indices(pixels.shape[1:])
    return np.hypot(xx - star.x, yy - star.y) < star.radius


def _mask(rng: np.random.Generator, pixels: np.ndarray, sigma: np.ndarray, stars: list[_Star]) -> None:
    """Remove the data in discs."""
    for star in stars:
        pixels[:, _inside(pixels, star)] = np.nan


def _fill(rng: np.random.Generator, pixels: np.ndarray, sigma: np.ndarray, stars: list[_Star]) -> None:
    """Fill discs with a different level and noise."""
    for star in stars:
        disc = _inside(pixels, star)
        noise = rng.uniform(0.0, 1.0) * rng.normal(size=(3, int(disc.sum())))
        pixels[:, disc] = sigma[:, None] * (rng.normal(0.0, 0.5, (3, 1)) + noise)


def _spikes(rng: np.random.Generator, pixels: np.ndarray, sigma: np.ndarray, stars: list[_Star]) -> None:
    """Add diffraction spikes at any angle: two or three lines through each star."""
    lines, turn, width = int(rng.integers(2, 4)), float(rng.uniform(0.0, math.pi)), float(rng.uniform(0.5, 1.3))
    height = sigma * rng.uniform(5.0, 60.0)
    yy, xx = np.indices(pixels.shape[1:])
    for star in stars:
        dx, dy = xx - star.x, yy - star.y
        fading = height[:, None, None] / (1.0 + np.hypot(dx, dy) / star.radius) ** 2
        for line in range(lines):
            angle = turn + math.pi * line / lines
            across = dy * math.cos(angle) - dx * math.sin(angle)
            pixels += fading * np.exp(-0.5 * (across / width) ** 2)


def _bleed(rng: np.random.Generator, pixels: np.ndarray, sigma: np.ndarray, stars: list[_Star]) -> None:
    """Add charge trails along rows or columns, in one or two bands."""
    along_rows = rng.random() < 0.5
    bands = rng.choice(3, size=int(rng.integers(1, 3)), replace=False)
    yy, xx = np.indices(pixels.shape[1:])
    for star in stars:
        along, across = (xx - star.x, yy - star.y) if along_rows else (yy - star.y, xx - star.x)
        trail = (np.abs(across) < rng.uniform(0.6, 1.6)) & (np.abs(along) < star.radius * rng.uniform(1.0, 5.0))
        for band in bands:
            pixels[band][trail] = sigma[band] * rng.uniform(20.0, 200.0)


_MARKS: dict[str, Mark] = {"mask": _mask, "fill": _fill, "spikes": _spikes, "bleed": _bleed}


def _marked(
    rng: np.random.Generator, stars: list[tuple[float, float, np.ndarray]], geometry: Geometry, bcg: tuple[float, float]
) -> list[_Star]:
    """Return the saturated stars, or, if there are none, up to three positions away from the BCG."""
    places = [(x, y) for x, y, _ in stars]
    if not places:
        drawn = rng.uniform(-0.5 * geometry.field, 0.5 * geometry.field, (int(rng.integers(1, 4)), 2))
        places = [(float(x), float(y)) for x, y in drawn if math.hypot(x - bcg[0], y - bcg[1]) > _CLEAR]
    centre = 0.5 * (geometry.size - 1)
    scale = geometry.pixel_scale
    return [_Star(centre + x / scale, centre + y / scale, float(rng.uniform(1.5, 5.0)) / scale) for x, y in places]


def _add_mark(
    rng: np.random.Generator,
    pixels: np.ndarray,
    sky_sigma: np.ndarray,
    stars: list[tuple[float, float, np.ndarray]],
    geometry: Geometry,
    bcg: tuple[float, float],
) -> str:
    """Add marks of stars or an artefact to `pixels` (3, H, W) in place; return its name, or "" if there is none."""
    kind = str(rng.choice([*_MARKS, *ARTEFACTS]))
    if kind in ARTEFACTS:
        ARTEFACTS[kind](rng, pixels, sky_sigma)
        return kind
    marked = _marked(rng, stars, geometry, bcg)
    _MARKS[kind](rng, pixels, sky_sigma, marked)
    return kind if marked else ""


def add_background(
    streams: Streams,
    pixels: np.ndarray,
    light: np.ndarray,
    sky_sigma: np.ndarray,
    stars: list[tuple[float, float, np.ndarray]],
    geometry: Geometry,
    bcg: tuple[float, float],
) -> list[str]:
    """Add a sky-subtraction residual in place and, in 30 % of the wide scenes, one more artefact.

    Parameters
    ----------
    streams : Streams
    pixels, light : ndarray of shape (3, H, W)
        The image, and the same light without noise.
    sky_sigma : ndarray of shape (3,)
        rms of the sky per pixel.
    stars : list of tuple
        Saturated stars: x, y (arcsec from the centre) and fluxes.
    geometry : Geometry
    bcg : tuple of float
        Position of the BCG, arcsec from the centre.

    Returns
    -------
    list of str
        The name of the artefact; empty if there is none.
    """
    rng = streams.in_half("background")
    if rng is None:
        return []
    _add_residual(rng, pixels, light, sky_sigma)
    kind = _add_mark(rng, pixels, sky_sigma, stars, geometry, bcg) if rng.random() < 0.3 else ""
    return [kind] if kind else []
