"""Nearby spirals that fill the field, unlike any training scene."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from _real_windows import REAL_SURVEYS, complete_survey
from scipy import ndimage

from gridlens import CutoutSet
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.simulate._canvas import Canvas, Geometry, band_fluxes
from gridlens.simulate._observe import add_noise, draw_conditions

__all__ = ["enlarged_spiral", "nearby_spirals"]

# Position of the largest spiral in the KiDS field, pixels.
_KIDS_SPIRAL = (1208, 477)
_OFFSETS = ((0, 0), (3, 2), (-6, 4), (8, -8), (-4, -7), (6, 5))


def nearby_spirals(n: int, seed: int) -> CutoutSet:
    """Return `n` canonical cutouts of nearly face-on spirals, r = 12 to 15, with effective radii of 8 to 16 arcsec.

    Parameters
    ----------
    n, seed : int
        Number of spirals and their seed. Spiral k of a seed is the same for every `n`.
    """
    geometry = Geometry()
    pixels = np.stack([_spiral(seed, k, geometry) for k in range(n)])
    centre = 0.5 * (geometry.size - 1)
    places, scales = np.full((n, 2), centre), np.full(n, geometry.pixel_scale)
    return CutoutSet(pixels, bcg_xy=places, pixel_scale=scales, ids=[f"spiral-{seed}-{k:04d}" for k in range(n)])


def _spiral(seed: int, index: int, geometry: Geometry) -> np.ndarray:
    """Draw a disc, a red bulge, two to four arms and star-forming knots along them, (size, size, 3) float32."""
    rng = np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(index,)))
    conditions = draw_conditions(rng, complete_survey(str(rng.choice(SIMULATED_SURVEYS))), geometry, False)
    canvas = Canvas(geometry, floor=0.05 * float(conditions.sky_sigma.min()) / geometry.pixel_scale**2)
    mag, radius = float(rng.uniform(12.0, 15.0)), float(rng.uniform(8.0, 16.0))
    gr, ri = float(rng.normal(0.5, 0.08)), float(rng.normal(0.28, 0.05))
    axis_ratio, angle = float(rng.uniform(0.6, 1.0)), float(rng.uniform(0.0, math.pi))
    in_arms, in_knots = float(rng.uniform(0.15, 0.35)), float(rng.uniform(0.02, 0.08))
    canvas.galaxy(0.0, 0.0, radius, 1.0, axis_ratio, angle, (0.85 - in_arms - in_knots) * band_fluxes(mag, gr, ri))
    bulge = 0.15 * band_fluxes(mag, gr + 0.25, ri + 0.12)
    canvas.galaxy(0.0, 0.0, 0.15 * radius, 2.5, 0.9, angle, bulge)
    arms = int(rng.integers(2, 5))
    pitch = float(rng.choice([-1.0, 1.0]) * math.tan(math.radians(rng.uniform(10.0, 28.0))))
    start, opening = float(rng.uniform(0.0, 2.0 * math.pi)), float(rng.uniform(3.0, 7.0))
    light = in_arms / arms * band_fluxes(mag, gr - 0.2, ri - 0.1)
    knots = int(rng.integers(10, 40))
    for k in range(arms):
        middle = start + 2.0 * math.pi * k / arms
        canvas.arc(0.0, 0.0, radius, middle, opening, 0.1 * radius, light, pitch)
    for _ in range(knots):
        turn = float(rng.uniform(-0.5, 0.5)) * opening
        arm = start + 2.0 * math.pi * int(rng.integers(arms)) / arms
        away = radius * math.exp(pitch * turn) + float(rng.normal(0.0, 0.06 * radius))
        knot = in_knots / knots * band_fluxes(mag, gr - 0.5, ri - 0.3)
        canvas.galaxy(away * math.cos(arm + turn), away * math.sin(arm + turn), 0.6, 1.0, 0.8, 0.0, knot)
    pixels = add_noise(rng, canvas.observe(conditions.seeing, conditions.shifts), conditions, geometry.pixel_scale)
    return np.ascontiguousarray(np.moveaxis(pixels, 0, 2), dtype=np.float32)


def enlarged_spiral(folder: Path, factor: float, size: int = 160) -> CutoutSet:
    """Return six cutouts, 54 arcsec wide, of a real spiral of 70 arcsec enlarged by `factor`.

    The images are slightly smoothed and enlarged by cubic splines, and white noise of the field's sigma is added.

    Parameters
    ----------
    folder : Path
        Folder with the real images.
    factor : float
        1 leaves the image unchanged.
    size : int, default=160
        Side of the cutouts, pixels of 0.34 arcsec.
    """
    field, scale = next(iter(REAL_SURVEYS["kids"].images(folder)))
    sigma = np.median(np.abs(field - np.median(field, axis=(0, 1))), axis=(0, 1)) / 0.6745
    rng = np.random.default_rng(0)
    pixels = []
    for dx, dy in _OFFSETS:
        # Four pixels more than needed, so that the enlarged image is not smaller than the cutout.
        width = int(size / factor) + 4
        x, y = _KIDS_SPIRAL[0] + dx - width // 2, _KIDS_SPIRAL[1] + dy - width // 2
        image = field[y : y + width, x : x + width].astype(np.float64)
        if factor > 1.0:
            smooth = ndimage.gaussian_filter(image, (0.6, 0.6, 0.0))
            image = ndimage.zoom(smooth, (factor, factor, 1.0), order=3)
            image += rng.normal(size=image.shape) * sigma
        first = (image.shape[0] - size) // 2
        pixels.append(image[first : first + size, first : first + size])
    return CutoutSet(np.stack(pixels).astype(np.float32), pixel_scale=scale)
