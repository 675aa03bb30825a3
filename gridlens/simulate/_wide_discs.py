"""Disc galaxies with structure: a redder bulge, spiral arms and a bar made of many small knots, star-forming clumps."""

import math
from typing import Any

import numpy as np

from gridlens.simulate._canvas import Canvas, band_fluxes

__all__ = ["draw_arms", "draw_disc", "draw_spots", "turned"]

# Minimum size of discs with arms and bars, arcsec: the seeing blurs smaller ones.
_SMALLEST_WITH_ARMS = 0.7


def turned(x: float, y: float, along: Any, across: Any, angle: float) -> tuple[Any, Any]:
    """Return the positions at `along` and `across` an axis through `x`, `y`, arcsec, at `angle`, rad, from x."""
    cos, sin = math.cos(angle), math.sin(angle)
    return x + along * cos - across * sin, y + along * sin + across * cos


def draw_spots(
    canvas: Canvas,
    places: tuple[np.ndarray, np.ndarray],
    sizes: np.ndarray,
    fluxes: np.ndarray,
    axis_ratio: float = 1.0,
    angle: float = 0.0,
) -> None:
    """Draw Gaussians with half-light radii `sizes` (n,) at `places`, x and y (n,), arcsec; `fluxes` is (n, 3)."""
    for x, y, size, light in zip(*places, sizes, fluxes, strict=True):
        canvas.galaxy(float(x), float(y), float(size), 0.5, axis_ratio, angle, light)


def draw_arms(
    rng: np.random.Generator,
    canvas: Canvas,
    x: float,
    y: float,
    radius: float,
    axis_ratio: float,
    angle: float,
    fluxes: np.ndarray,
    knots: int,
) -> None:
    """Draw two to four logarithmic spiral arms in an inclined disc, each a chain of `knots` Gaussians.

    Parameters
    ----------
    rng : numpy.random.Generator
    canvas : Canvas
    x, y : float
        Centre of the disc, arcsec.
    radius : float
        Effective radius along the disc, arcsec; the arms extend from a third of it to about twice.
    axis_ratio, angle : float
        Axis ratio and angle of the disc; the angle is in rad from the x axis.
    fluxes : ndarray of shape (3,)
        Total flux of all arms in each band.
    knots : int
        Number of knots per arm, 1 or more. With 12 or more, the knots overlap.
    """
    arms = int(rng.integers(2, 5))
    pitch = float(rng.choice([-1.0, 1.0])) * math.tan(math.radians(rng.uniform(8.0, 35.0)))
    start = float(rng.uniform(0.0, 2.0 * math.pi))
    inner, outer = radius * float(rng.uniform(0.3, 0.6)), radius * float(rng.uniform(1.4, 2.2))
    distance = np.tile(np.geomspace(inner, outer, knots), arms)
    phase = start + np.log(distance / inner) / pitch + np.repeat(2.0 * math.pi * np.arange(arms) / arms, knots)
    distance = distance * rng.normal(1.0, 0.04, distance.size)
    along, across = distance * np.cos(phase), axis_ratio * distance * np.sin(phase)
    # Bright and faint knots alternate along an arm, and the arm fades outwards.
    shares = rng.lognormal(0.0, float(rng.uniform(0.1, 0.9)), distance.size) * np.exp(-distance / radius)
    shares /= shares.sum()
    sizes = radius * rng.uniform(0.07, 0.16, distance.size) * np.sqrt(distance / radius)
    places = turned(x, y, along, across, angle)
    draw_spots(canvas, places, sizes, shares[:, None] * fluxes, max(axis_ratio, 0.4), angle)


def draw_disc(
    rng: np.random.Generator,
    canvas: Canvas,
    x: float,
    y: float,
    radius: float,
    mag: float,
    colours: tuple[float, float],
    *,
    axis_ratio: float,
    angle: float,
    structured: bool = False,
) -> None:
    """Draw a disc, usually with a bulge, and with arms, a bar or clumps if it is `structured`.

    Parameters
    ----------
    rng : numpy.random.Generator
    canvas : Canvas
    x, y : float
        Centre, arcsec.
    radius : float
        Effective radius along the disc, arcsec.
    mag : float
        Total r magnitude.
    colours : tuple of float
        g-r and r-i of the disc; a bulge and a bar are redder, arms and clumps bluer.
    axis_ratio, angle : float
        Axis ratio and angle of the disc; the angle is in rad from the x axis.
    structured : bool, default=False
        Whether to draw arms, a bar or clumps if the disc is large enough to show them.
    """
    gr, ri = colours
    bulge = float(rng.uniform(0.05, 0.5)) if rng.random() < 0.6 else 0.0
    redder = float(rng.uniform(0.1, 0.5))
    knotty = 0.0
    if structured and radius > _SMALLEST_WITH_ARMS:
        knotty = float(rng.uniform(0.1, 0.5))
        young = knotty * (1.0 - bulge) * band_fluxes(mag, gr - redder, ri - 0.4 * redder)
        if rng.random() < 0.7 and axis_ratio > 0.35:
            draw_arms(rng, canvas, x, y, radius, axis_ratio, angle, young, int(rng.integers(8, 17)))
        else:
            _draw_clumps(rng, canvas, x, y, radius, axis_ratio, angle, young)
        if rng.random() < 0.35 and axis_ratio > 0.4:
            bar = 0.1 * band_fluxes(mag, gr + redder, ri + 0.4 * redder)
            canvas.galaxy(x, y, 0.3 * radius, 0.6, 0.3, angle + float(rng.uniform(-0.8, 0.8)), bar)
    disc = (1.0 - knotty) * (1.0 - bulge) * band_fluxes(mag, gr, ri)
    # The profile uses the radius of sqrt(a b); `radius` is along the disc.
    canvas.galaxy(x, y, radius * math.sqrt(axis_ratio), float(rng.uniform(0.7, 1.3)), axis_ratio, angle, disc)
    if bulge:
        light = bulge * band_fluxes(mag, gr + redder, ri + 0.4 * redder)
        shape = max(axis_ratio, float(rng.uniform(0.5, 0.9)))
        canvas.galaxy(x, y, radius * float(rng.uniform(0.12, 0.35)), float(rng.uniform(1.5, 4.0)), shape, angle, light)


def _draw_clumps(
    rng: np.random.Generator,
    canvas: Canvas,
    x: float,
    y: float,
    radius: float,
    axis_ratio: float,
    angle: float,
    fluxes: np.ndarray,
) -> None:
    """Draw two to eight clumps at random positions in a disc."""
    count = int(rng.integers(2, 9))
    shares = rng.dirichlet(np.ones(count))
    along, across = rng.normal(0.0, 0.9 * radius, count), rng.normal(0.0, 0.9 * radius * axis_ratio, count)
    sizes = radius * rng.uniform(0.06, 0.2, count)
    draw_spots(canvas, turned(x, y, along, across, angle), sizes, shares[:, None] * fluxes)
