"""Background galaxies behind a lens: properties, positions and lensed images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gridlens.lensing import SersicSource, lensing_efficiency, render_sources
from gridlens.simulate._canvas import Canvas, band_fluxes
from gridlens.simulate._lens import REFERENCE_REDSHIFT, ClusterMass

__all__ = ["Source", "draw_lensed", "draw_sources", "source_position"]

# Samples of lensed light per side of a sub-pixel.
_SAMPLING = 3


@dataclass(frozen=True)
class Source:
    """One background galaxy, unlensed; positions in arcsec in the source plane."""

    x: float
    y: float
    redshift: float
    r_mag: float
    colours: tuple[float, float]
    components: Sequence[tuple[float, float, float, float, float, float, float | np.ndarray]]
    """x, y, effective radius (arcsec), Sersic index, axis ratio, angle (rad), fraction of the flux (may be per band)"""


def source_position(
    rng: np.random.Generator,
    mass: ClusterMass,
    scale: float,
    curve: np.ndarray,
    centre: tuple[float, float],
    reach: float,
    *,
    near: float = 0.6,
    scatter: float = 0.5,
) -> tuple[float, float]:
    """Draw a position in the source plane: mostly near the caustic, else within `reach` of the centre.

    Lensed sources are magnified, so a magnitude-limited sample is concentrated towards the caustics and the centre,
    where sources are drawn more often than the area suggests (magnification bias, Turner et al. 1984, ApJ 284, 1).

    Parameters
    ----------
    rng : numpy.random.Generator
    mass : ClusterMass
    scale : float
        Lensing efficiency of the source relative to that at the reference redshift.
    curve : ndarray of shape (k, 2)
        Points on the critical curve, arcsec.
    centre : tuple of float
        Centre of the lens, arcsec.
    reach : float
        Maximum distance from the centre, arcsec.
    near : float, default=0.6
        Fraction of the positions near the caustic.
    scatter : float, default=0.5
        Standard deviation of these positions around the caustic in x and y, arcsec.
    """
    if curve.size and rng.random() < near:
        point = curve[rng.integers(len(curve))]
        alpha_x, alpha_y = mass.model.deflection(*point)
        x = float(point[0] - scale * alpha_x + rng.normal(0.0, scatter))
        y = float(point[1] - scale * alpha_y + rng.normal(0.0, scatter))
        return x, y
    distance, direction = reach * rng.random(), float(rng.uniform(0.0, 2.0 * math.pi))
    return centre[0] + distance * math.cos(direction), centre[1] + distance * math.sin(direction)


def _galaxy(
    rng: np.random.Generator, position: tuple[float, float], redshift: float, mag: float, colours: tuple[float, float]
) -> Source:
    """Draw a source with a smooth body and, in a third of the cases, clumps with up to half of its light."""
    x, y = position
    radius = float(np.clip(rng.lognormal(math.log(0.38), 0.35), 0.2, 0.7))
    axis_ratio, angle = float(rng.uniform(0.4, 1.0)), float(rng.uniform(0.0, math.pi))
    clumps = int(rng.integers(2, 7)) if rng.random() < 1.0 / 3.0 else 0
    shares = rng.dirichlet(np.ones(clumps)) * rng.uniform(0.2, 0.5) if clumps else np.empty(0)
    components = [(x, y, radius, float(rng.uniform(0.7, 1.5)), axis_ratio, angle, float(1.0 - shares.sum()))]
    for share in shares:
        offset = rng.normal(0.0, 0.8 * radius, 2)
        size = float(rng.uniform(0.05, 0.12))
        components.append((x + float(offset[0]), y + float(offset[1]), size, 0.5, 1.0, 0.0, float(share)))
    return Source(x, y, redshift, mag, colours, components)


def draw_sources(
    rng: np.random.Generator,
    mass: ClusterMass,
    curve: np.ndarray,
    centre: tuple[float, float],
    cluster_cluster: bool,
) -> list[Source]:
    """Draw one to four blue galaxies behind the lens, or the red members of a background cluster.

    Parameters
    ----------
    rng : numpy.random.Generator
    mass : MassModel
    curve : ndarray of shape (k, 2)
        Points on the critical curve, arcsec.
    centre : tuple of float
        Centre of the lens, arcsec.
    cluster_cluster : bool
        Whether to draw a background cluster: 6 to 15 red members at one redshift between 0.8 and 1.5.
    """
    # The Einstein radius for other sources scales with the efficiency, which sets the scale of their positions.
    reference = float(lensing_efficiency(mass.redshift, REFERENCE_REDSHIFT))
    sources = []
    if cluster_cluster:
        redshift = float(rng.uniform(max(0.8, mass.redshift + 0.2), 1.5))
        scale = float(lensing_efficiency(mass.redshift, redshift)) / reference
        middle = source_position(rng, mass, scale, curve, centre, 0.4 * mass.theta_e_halo * scale)
        gr, ri = 1.3 + float(rng.normal(0.0, 0.1)), 1.0 + float(rng.normal(0.0, 0.1))
        for _ in range(int(rng.integers(6, 16))):
            at = middle[0] + float(rng.normal(0.0, 4.0)), middle[1] + float(rng.normal(0.0, 4.0))
            mag = 22.3 + 2.5 * (redshift - 0.8) + float(rng.gamma(2.0, 0.6))
            colours = gr + float(rng.normal(0.0, 0.06)), ri + float(rng.normal(0.0, 0.06))
            sources.append(_galaxy(rng, at, redshift, mag, colours))
        return sources
    for _ in range(int(rng.integers(1, 5))):
        redshift = float(rng.uniform(max(0.8, mass.redshift + 0.2), 3.0))
        scale = float(lensing_efficiency(mass.redshift, redshift)) / reference
        position = source_position(rng, mass, scale, curve, centre, 0.5 * mass.theta_e_halo * scale)
        gr, ri = float(rng.normal(0.35, 0.25)), float(rng.normal(0.15, 0.15))
        if rng.random() < 0.07:
            gr, ri = gr + 0.8, ri + 0.5
        sources.append(_galaxy(rng, position, redshift, float(rng.uniform(22.8, 26.0)), (gr, ri)))
    return sources


def draw_lensed(canvas: Canvas, mass: ClusterMass, sources: list[Source]) -> float:
    """Draw the images of `sources` onto `canvas`; return the total magnification (r band)."""
    reference = float(lensing_efficiency(mass.redshift, REFERENCE_REDSHIFT))
    intrinsic = 0.0
    components = []
    for source in sources:
        scale = float(lensing_efficiency(mass.redshift, source.redshift)) / reference
        fluxes = band_fluxes(source.r_mag, *source.colours)
        intrinsic += float(fluxes[1])
        for x, y, radius, n, axis_ratio, angle, share in source.components:
            components.append(SersicSource(x, y, radius, n, share * fluxes, axis_ratio, angle, scale))
    # Sub-pixels are fine enough, and another sampling would change the pixels of a seed.
    shape = (canvas.size, canvas.size)
    images = render_sources(mass.model, components, shape, canvas.step, supersampling=_SAMPLING)
    canvas.images += images
    return float(images[1].sum()) / intrinsic
