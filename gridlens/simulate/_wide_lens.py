"""Masses and sources with wide distributions: two or truncated halos; red, clumpy or merging sources."""

import math
from typing import Any

import numpy as np

from gridlens.lensing import DPIE, NFW, SIE, ExternalShear, MassModel, lensing_efficiency
from gridlens.simulate._lens import FINITE_HALO, ISOTHERMAL, NFW_HALO, REFERENCE_REDSHIFT, ClusterMass, member_halos
from gridlens.simulate._sources import Source, draw_sources, source_position

__all__ = ["draw_wide_mass", "draw_wide_sources"]

# Mean g-r, scatter and fraction of each source population: blue, intermediate, dusty red.
_POPULATIONS = ((0.15, 0.15, 0.5), (0.6, 0.2, 0.3), (1.2, 0.25, 0.2))
_COLOUR_RANGE = (-0.1, 1.6)


def draw_wide_mass(
    rng: np.random.Generator,
    redshift: float,
    theta_e: float,
    centre: tuple[float, float],
    angle: float,
    members: np.ndarray,
) -> ClusterMass:
    """Draw the mass model of a cluster: isothermal with a core, NFW or dPIE, in some scenes with a second halo.

    Parameters and result are as for `gridlens.simulate._lens.draw_mass`. The truth describes the main halo; the second
    halo has 20 to 60 % of its Einstein radius and is 10 to 40 arcsec away.
    """
    axis_ratio, tilt = float(rng.uniform(0.45, 0.98)), angle + float(rng.normal(0.0, 0.4))
    x, y = (float(c + rng.normal(0.0, 0.8)) for c in centre)
    extra = {"halo_axis_ratio": axis_ratio, "halo_angle": tilt}
    kind = str(rng.choice([ISOTHERMAL, NFW_HALO, FINITE_HALO]))
    components: list[Any]
    if kind == NFW_HALO:
        extra["scale_radius"] = scale = float(rng.uniform(20.0, 110.0))
        components = [NFW.from_einstein_radius(theta_e, scale, x=x, y=y, axis_ratio=axis_ratio, angle=tilt)]
    else:
        # A core larger than a third of the Einstein radius would give no radial and few tangential arcs.
        extra["core"] = core = float(rng.uniform(0.05, min(8.0, theta_e / 3.0)))
        if kind == ISOTHERMAL:
            components = [SIE(core + math.hypot(core, theta_e), x, y, axis_ratio, tilt, core)]
        else:
            cut = float(rng.uniform(3.0, 10.0)) * theta_e
            components = [DPIE(_strength(theta_e, core, cut), core, cut, x, y, axis_ratio, tilt)]
    offset = 0.0
    if rng.random() < 0.35:
        offset, direction = float(rng.uniform(10.0, 40.0)), float(rng.uniform(0.0, 2.0 * math.pi))
        second = theta_e * float(rng.uniform(0.2, 0.6))
        other_x, other_y = x + offset * math.cos(direction), y + offset * math.sin(direction)
        other_core, other_cut = float(rng.uniform(0.2, 2.0)), float(rng.uniform(15.0, 80.0))
        strength = _strength(second, other_core, other_cut)
        components.append(DPIE(strength, other_core, other_cut, other_x, other_y, float(rng.uniform(0.6, 1.0)), tilt))
    extra["shear"] = shear = float(rng.uniform(0.0, 0.12))
    components.append(ExternalShear(shear, float(rng.uniform(0.0, math.pi))))
    # The mass of galaxies of a given luminosity varies between scenes.
    weight = float(rng.uniform(0.6, 1.4))
    heavier = members * np.array([1.0, 1.0, weight**2])
    model = MassModel([*components, *member_halos(redshift, heavier)])
    return ClusterMass(model, redshift, theta_e, kind, extra, offset)


def _strength(theta_e: float, core: float, cut: float) -> float:
    """Return the strength of a round dPIE profile with the Einstein radius `theta_e`, arcsec."""
    # Deflection of the core term minus that of the cut term (Eliasdottir et al. 2007, equation A20), for strength 1.
    return theta_e**2 / (math.hypot(core, theta_e) - core - math.hypot(cut, theta_e) + cut)


def draw_wide_sources(
    rng: np.random.Generator, mass: ClusterMass, curve: np.ndarray, centre: tuple[float, float], cluster_cluster: bool
) -> list[Source]:
    """Draw one to five galaxies behind the lens, with several populations and structures.

    Parameters and result are as for `gridlens.simulate._sources.draw_sources`, including the members of a background
    cluster.
    """
    if cluster_cluster:
        return draw_sources(rng, mass, curve, centre, cluster_cluster)
    reference = float(lensing_efficiency(mass.redshift, REFERENCE_REDSHIFT))
    near, scatter, within = float(rng.uniform(0.3, 0.85)), float(rng.uniform(0.15, 1.2)), float(rng.uniform(0.3, 0.9))
    sources = []
    for _ in range(int(rng.integers(1, 6))):
        redshift = float(rng.uniform(max(0.7, mass.redshift + 0.2), 4.0))
        scale = float(lensing_efficiency(mass.redshift, redshift)) / reference
        reach = within * mass.theta_e_halo * scale
        position = source_position(rng, mass, scale, curve, centre, reach, near=near, scatter=scatter)
        centres, scatters, fractions = zip(*_POPULATIONS, strict=True)
        population = int(rng.choice(len(_POPULATIONS), p=fractions))
        gr = float(np.clip(rng.normal(centres[population], scatters[population]), *_COLOUR_RANGE))
        ri = 0.05 + 0.4 * gr + float(rng.normal(0.0, 0.15))
        sources.append(_galaxy(rng, position, redshift, float(rng.uniform(21.5, 26.5)), (gr, ri)))
    return sources


class _Parts:
    """Components of one source, with weights and colours relative to the source."""

    def __init__(self) -> None:
        self.shapes: list[tuple[float, float, float, float, float, float]] = []
        self.light: list[tuple[float, float, float]] = []

    def add(
        self, shape: tuple[float, float, float, float, float, float], weight: float, bluer: float, bluer_ri: float
    ) -> None:
        """Add a component (x, y, radius, n, axis ratio, angle), bluer than the source in g-r and r-i."""
        self.shapes.append(shape)
        self.light.append((weight * 10.0 ** (0.4 * bluer), weight, weight * 10.0 ** (-0.4 * bluer_ri)))

    def components(self) -> list[tuple[float, float, float, float, float, float, np.ndarray]]:
        """Return the components with their fractions of the flux, which sum to 1 in each band."""
        light = np.array(self.light)
        return [(*shape, share) for shape, share in zip(self.shapes, light / light.sum(axis=0), strict=True)]


def _galaxy(
    rng: np.random.Generator, position: tuple[float, float], redshift: float, mag: float, colours: tuple[float, float]
) -> Source:
    """Draw a source: smooth, with a bulge, clumpy, with arms of clumps, or two merging galaxies."""
    x, y = position
    radius = float(np.clip(rng.lognormal(math.log(0.36), 0.5), 0.1, 1.2))
    kind = str(rng.choice(["smooth", "bulge", "clumpy", "arms", "merger"], p=[0.3, 0.2, 0.25, 0.1, 0.15]))
    parts = _Parts()
    body = _body(rng, x, y, radius)
    if kind == "smooth":
        parts.add((*body[:3], float(rng.uniform(0.5, 4.0)), *body[4:]), 1.0, 0.0, 0.0)
    elif kind == "bulge":
        redder, share = float(rng.uniform(0.1, 0.7)), float(rng.uniform(0.1, 0.6))
        parts.add(body, 1.0 - share, 0.0, 0.0)
        inner = float(rng.uniform(0.15, 0.4)) * radius
        shape = (x, y, max(inner, 0.04), float(rng.uniform(1.5, 4.0)), max(body[4], 0.6), body[5])
        parts.add(shape, share, -redder, -0.4 * redder)
    elif kind == "merger":
        parts.add(body, 1.0, 0.0, 0.0)
        away, direction = float(rng.uniform(0.3, 1.6)), float(rng.uniform(0.0, 2.0 * math.pi))
        place = x + away * math.cos(direction), y + away * math.sin(direction)
        other = _body(rng, *place, radius * float(rng.uniform(0.4, 1.2)))
        parts.add(other, float(rng.uniform(0.15, 1.0)), float(rng.normal(0.0, 0.3)), float(rng.normal(0.0, 0.12)))
    else:
        parts.add(body, 1.0, 0.0, 0.0)
        _add_clumps(rng, parts, body, along_arms=kind == "arms")
    return Source(x, y, redshift, mag, colours, parts.components())


def _body(
    rng: np.random.Generator, x: float, y: float, radius: float
) -> tuple[float, float, float, float, float, float]:
    """Draw the smooth body of a source: x, y, radius, n, axis ratio, angle."""
    n, axis_ratio = float(rng.uniform(0.5, 1.6)), float(rng.uniform(0.2, 1.0))
    return x, y, max(radius, 0.1), n, axis_ratio, float(rng.uniform(0.0, math.pi))


def _add_clumps(
    rng: np.random.Generator,
    parts: _Parts,
    body: tuple[float, float, float, float, float, float],
    *,
    along_arms: bool,
) -> None:
    """Add 3 to 15 clumps with different colours and up to 80 % of the light to a body of weight 1."""
    x, y, radius, _, axis_ratio, angle = body
    count = int(rng.integers(3, 16))
    total = float(rng.uniform(0.15, 0.8))
    weights = rng.dirichlet(np.full(count, 1.5)) * total / (1.0 - total)
    long, short = radius / math.sqrt(axis_ratio), radius * math.sqrt(axis_ratio)
    if along_arms:
        distance = rng.uniform(0.3, 2.2, count)
        phase = math.pi * rng.integers(0, 2, count) + np.log(distance) * float(rng.uniform(1.5, 4.0))
        u, v = long * distance * np.cos(phase), short * distance * np.sin(phase)
    else:
        u, v = rng.normal(0.0, 0.9 * long, count), rng.normal(0.0, 0.9 * short, count)
    cos, sin = math.cos(angle), math.sin(angle)
    bluer, spread = float(rng.uniform(-0.1, 0.4)), float(rng.uniform(0.0, 0.3))
    for k in range(count):
        place = x + float(u[k] * cos - v[k] * sin), y + float(u[k] * sin + v[k] * cos)
        colour = bluer + float(rng.normal(0.0, spread))
        shape = (*place, float(rng.uniform(0.03, 0.15)), 0.5, 1.0, 0.0)
        parts.add(shape, float(weights[k]), colour, 0.4 * colour)
