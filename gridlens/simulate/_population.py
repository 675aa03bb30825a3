"""Objects of every scene, with or without a lens: the BCG, cluster members, field galaxies, stars.

Magnitudes are AB, in the r band unless stated otherwise.
"""

import math
from dataclasses import dataclass

import numpy as np

from gridlens.simulate._canvas import Canvas, band_fluxes

__all__ = ["Cluster", "draw_cluster", "draw_field", "draw_stars"]

# Numbers are given per canonical field of 64 x 64 arcsec.
_CANONICAL_AREA = 64.0**2
_FAINTEST = 26.0


@dataclass(frozen=True)
class Cluster:
    """The foreground cluster: properties for catalogue metadata and for the lens model."""

    redshift: float
    richness: float
    bcg: tuple[float, float]
    bcg_mag: float
    bcg_angle: float
    members: np.ndarray
    """(m, 3): x, y in arcsec and luminosity over L*; the BCG first, then the brightest members"""
    sequence: tuple[float, float] | None = None
    """g-r and r-i of its early types; None means those of `red_sequence`"""

    @property
    def red_colours(self) -> tuple[float, float]:
        """Return the colours g-r and r-i of its early types."""
        return red_sequence(self.redshift) if self.sequence is None else self.sequence


def red_sequence(redshift: float) -> tuple[float, float]:
    """Return the colours g-r and r-i of the red sequence at `redshift`."""
    return 0.9 + 1.4 * (redshift - 0.2), 0.42 + 0.5 * (redshift - 0.2)


def schechter_magnitudes(
    rng: np.random.Generator, count: int, knee: float, faintest: float, slope: float
) -> np.ndarray:
    """Draw `count` magnitudes from a Schechter function, from 1.5 mag brighter than its `knee` to `faintest`."""
    grid = np.linspace(knee - 1.5, faintest, 200)
    luminosity = 10.0 ** (-0.4 * (grid - knee))
    density = luminosity ** (slope + 1.0) * np.exp(-luminosity)
    cumulative = np.cumsum(density)
    return np.interp(rng.random(count) * cumulative[-1], cumulative, grid)


def draw_cluster(
    rng: np.random.Generator,
    canvas: Canvas,
    redshift: float,
    richness: float,
    offset: tuple[float, float] = (0.0, 0.0),
) -> Cluster:
    """Draw the BCG with its intracluster light and the members onto `canvas`; return the cluster.

    The BCG is near `offset`, arcsec from the cutout's centre.
    """
    gr, ri = red_sequence(redshift)
    x, y = rng.uniform(-0.35, 0.35, 2) + offset
    mag = 17.0 + 5.0 * (redshift - 0.2) + float(rng.normal(0.0, 0.4))
    radius = float(rng.uniform(2.5, 6.0)) * (1.0 - 0.5 * (redshift - 0.2))
    axis_ratio, angle = float(rng.uniform(0.6, 0.95)), float(rng.uniform(0.0, math.pi))
    colours = (gr + float(rng.normal(0.0, 0.05)), ri + float(rng.normal(0.0, 0.05)))
    fluxes = band_fluxes(mag, *colours)
    halo = float(rng.uniform(0.1, 0.3))
    canvas.galaxy(x, y, radius, 4.0, axis_ratio, angle, (1.0 - halo) * fluxes)
    canvas.galaxy(x, y, 5.0 * radius, 1.0, 0.5 + 0.5 * axis_ratio, angle, halo * fluxes)

    count = int(rng.poisson(richness / 2.0))
    knee = 18.5 + 5.0 * (redshift - 0.2)
    mags = np.sort(schechter_magnitudes(rng, count, knee, min(knee + 4.0, _FAINTEST), -0.9))
    distance, direction = rng.exponential(22.0, count), rng.uniform(0.0, 2.0 * math.pi, count)
    positions = np.column_stack([x + distance * np.cos(direction), y + distance * np.sin(direction)])
    scale = (1.0 - 0.5 * (redshift - 0.2)) * 10.0 ** rng.normal(0.0, 0.15, count)
    radii = np.clip(0.9 * 10.0 ** (-0.12 * (mags - knee)) * scale, 0.15, 3.0)
    for k in range(count):
        bluer = 0.45 + float(rng.normal(0.0, 0.1)) if rng.random() < 0.25 else 0.0
        member_gr = gr - bluer + float(rng.normal(0.0, 0.05))
        member_ri = ri - 0.4 * bluer + float(rng.normal(0.0, 0.05))
        disc = bluer > 0.0 or rng.random() < 0.2
        n = 1.0 if disc else float(rng.uniform(1.5, 4.0))
        flat = float(rng.uniform(0.2, 1.0)) if disc else float(rng.uniform(0.5, 1.0))
        # An inclined disc keeps its length but is narrower.
        radius = radii[k] * math.sqrt(flat) if disc else radii[k]
        member_x, member_y = positions[k]
        turn = rng.uniform(0.0, math.pi)
        canvas.galaxy(member_x, member_y, radius, n, flat, turn, band_fluxes(mags[k], member_gr, member_ri))
    # For the lens, the BCG is a member like the others, with its halo truncated where the cluster's begins.
    luminosity = np.append(10.0 ** (-0.4 * (mag - knee)), 10.0 ** (-0.4 * (mags - knee)))
    members = np.column_stack([np.vstack([[x, y], positions]), luminosity])
    return Cluster(redshift, richness, (float(x), float(y)), mag, angle, members)


def draw_field(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draw field galaxies, 30 to 50 in a canonical field: blue, small, a third of them edge-on discs."""
    width = canvas.size * canvas.step
    count = int(rng.poisson(rng.uniform(30.0, 50.0) * width**2 / _CANONICAL_AREA))
    # Counts rise as 10^(0.3 m) between 19 and 26 mag: inverse of the cumulative distribution.
    low, high = 10.0 ** (0.3 * 19.0), 10.0 ** (0.3 * _FAINTEST)
    mags = np.log10(low + rng.random(count) * (high - low)) / 0.3
    for mag in mags:
        x, y = rng.uniform(-0.5 * width, 0.5 * width, 2)
        # Half-light radius along the major axis: 0.8 arcsec at 21 mag, 0.32 at 25.
        radius = float(np.clip(0.5 * 10.0 ** (-0.1 * (mag - 23.0) + rng.normal(0.0, 0.18)), 0.12, 3.0))
        edge_on = rng.random() < 1.0 / 3.0
        axis_ratio = float(rng.uniform(0.12, 0.3)) if edge_on else float(rng.uniform(0.35, 1.0))
        gr, ri = float(rng.normal(0.5, 0.3)), float(rng.normal(0.25, 0.2))
        n = 1.0 if edge_on or rng.random() < 0.7 else float(rng.uniform(1.5, 4.0))
        canvas.galaxy(
            x, y, radius * math.sqrt(axis_ratio), n, axis_ratio, rng.uniform(0.0, math.pi), band_fluxes(mag, gr, ri)
        )


def draw_stars(rng: np.random.Generator, canvas: Canvas) -> list[tuple[float, float, np.ndarray]]:
    """Draw 0 to 8 stars in a canonical field; return positions and fluxes of those bright enough to saturate."""
    width = canvas.size * canvas.step
    count = int(rng.poisson(rng.uniform(0.0, 8.0) * width**2 / _CANONICAL_AREA))
    saturated = []
    for _ in range(count):
        x, y = rng.uniform(-0.5 * width, 0.5 * width, 2)
        mag = 25.0 - float(rng.gamma(2.0, 1.6))
        gr = float(rng.choice([0.4, 0.7, 1.35])) + float(rng.normal(0.0, 0.12))
        ri = 0.4 * gr + float(rng.gamma(1.0, 0.25)) * (gr > 1.0)
        fluxes = band_fluxes(max(mag, 14.0), gr, ri)
        canvas.point(x, y, fluxes)
        if mag < 18.0:
            saturated.append((float(x), float(y), fluxes))
    return saturated
