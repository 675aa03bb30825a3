"""Realistic objects of a scene: clusters, field galaxies and stars with observed colours, sizes and counts.

The functions correspond to those of `gridlens.simulate._population`, which draws simpler objects.
"""

import math
from functools import lru_cache

import numpy as np

from gridlens.simulate._canvas import Canvas, band_fluxes, flux_of
from gridlens.simulate._population import Cluster, schechter_magnitudes
from gridlens.simulate._wide_discs import draw_disc

__all__ = ["draw_real_cluster", "draw_real_field", "draw_real_stars", "observed_red_sequence"]

# Colours of early-type galaxies, from luminous red galaxies in SDSS (Eisenstein et al. 2001, AJ 122, 2267; Maraston
# et al. 2009, MNRAS 394, L107), rounded.
_REDSHIFT = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_RED_GR = (0.95, 1.20, 1.43, 1.62, 1.70, 1.74, 1.75, 1.75)
_RED_RI = (0.39, 0.44, 0.53, 0.66, 0.86, 1.02, 1.12, 1.20)
# Angular scale in kpc per arcsec at these redshifts (flat cosmology, H0 = 70, matter 0.3).
_KPC_PER_ARCSEC = (1.84, 3.30, 4.45, 5.37, 6.10, 6.69, 7.15, 7.51)
# r magnitude of an L* galaxy at these redshifts: i magnitude of redMaPPer (Rykoff et al. 2016, ApJS 224, 1) and the
# colour.
_KNEE_R = (16.65, 18.30, 19.40, 20.30, 21.10, 21.75, 22.25, 22.75)
# Members follow a projected NFW profile with this scale radius, kpc, out to this many scale radii.
_SCALE_RADIUS, _EDGE = 250.0, 4.8
# Number of members down to the faintest drawn, per member counted by the richness (brighter than 0.2 L*).
_PER_RICHNESS = 1.9
_FAINTEST_MEMBER = 3.5
# Members are drawn up to this distance beyond the canvas, arcsec.
_OUTSIDE = 1.0

# Galaxies per square arcmin and magnitude at r = 15.5, 16.5 ... 27.5: counts from SDSS and deep fields, rounded.
_COUNT_MAGS = np.arange(15.5, 28.0)
_COUNTS = np.array([0.002, 0.005, 0.015, 0.045, 0.13, 0.36, 0.95, 2.5, 6.0, 12.5, 22.0, 36.0, 55.0])
# Fractions of red early types and of galaxies at intermediate redshift by r magnitude.
_TYPE_MAGS, _EARLY, _GREEN = (18.0, 20.0, 22.0, 24.0, 26.0), (0.5, 0.45, 0.3, 0.15, 0.08), (0.1, 0.15, 0.25, 0.25, 0.2)
# Fraction of the field galaxies with a close neighbour, and the scale of the separation, arcsec.
_COMPANIONS, _COMPANION_SCALE = 0.35, 6.0
# Galaxies with a mean surface brightness below the first number times the floor of the canvas, which is about the noise
# in a star's light, are not drawn. The second number is the minimum half-light radius of a star, arcsec.
_SHOWN, _SMALLEST = 10.0, 0.45
# Discs brighter than this, r band, have a bulge, arms or a bar.
_STRUCTURED = 19.5

# Stars per square arcmin at high Galactic latitude down to r = 25, and the slope of their cumulative counts.
_STARS, _STAR_SLOPE, _BRIGHTEST, _FAINTEST_STAR = 2.0, 0.13, 13.0, 25.0
_SATURATED = 18.5


def observed_red_sequence(redshift: float) -> tuple[float, float]:
    """Return the observed colours g-r and r-i of early-type galaxies at `redshift`."""
    return float(np.interp(redshift, _REDSHIFT, _RED_GR)), float(np.interp(redshift, _REDSHIFT, _RED_RI))


@lru_cache(maxsize=1)
def _projected_nfw() -> tuple[np.ndarray, np.ndarray]:
    """Return radii in scale radii and the fraction of members within them (Bartelmann 1996, A&A 313, 697)."""
    x = np.concatenate([np.geomspace(1e-3, 0.999, 120), np.geomspace(1.001, _EDGE, 80)])
    inner, outer = x[x < 1.0], x[x > 1.0]
    bend = np.concatenate(
        [np.arccosh(1.0 / inner) / np.sqrt(1.0 - inner**2), np.arccos(1.0 / outer) / np.sqrt(outer**2 - 1.0)]
    )
    mass = np.log(0.5 * x) + bend
    return np.append(0.0, x), np.append(0.0, mass / mass[-1])


def draw_real_cluster(
    rng: np.random.Generator,
    canvas: Canvas,
    redshift: float,
    richness: float,
    offset: tuple[float, float] = (0.0, 0.0),
) -> Cluster:
    """Draw the BCG with its intracluster light and the members onto `canvas`.

    Parameters and result are as for `gridlens.simulate._population.draw_cluster`. Members have the colours of observed
    early types and follow a projected NFW profile, which is less crowded near the BCG than an exponential one.
    """
    gr, ri = observed_red_sequence(redshift)
    nearness = 1.0 - 0.5 * (redshift - 0.2)
    x, y = (float(c) for c in rng.uniform(-0.35, 0.35, 2) + offset)
    knee = float(np.interp(redshift, _REDSHIFT, _KNEE_R))
    # Poorer systems have fainter central galaxies.
    mag = knee - 1.5 - 0.8 * math.log10(richness / 50.0) + float(rng.normal(0.0, 0.35))
    radius = float(rng.uniform(2.0, 5.5)) * nearness * 10.0 ** (-0.15 * (mag - knee + 1.5))
    axis_ratio, angle, n = float(rng.uniform(0.6, 0.95)), float(rng.uniform(0.0, math.pi)), float(rng.uniform(3.0, 5.0))
    fluxes = band_fluxes(mag, gr + float(rng.normal(0.0, 0.04)), ri + float(rng.normal(0.0, 0.03)))
    halo = float(rng.uniform(0.05, 0.3))
    canvas.galaxy(x, y, radius, n, axis_ratio, angle, (1.0 - halo) * fluxes)
    canvas.galaxy(x, y, 5.0 * radius, 1.0, 0.5 + 0.5 * axis_ratio, angle, halo * fluxes)

    radii, within = _projected_nfw()
    scale = _SCALE_RADIUS / float(np.interp(redshift, _REDSHIFT, _KPC_PER_ARCSEC))
    reach = 0.75 * canvas.size * canvas.step
    seen = float(np.interp(reach / scale, radii, within))
    count = int(rng.poisson(_PER_RICHNESS * richness * seen))
    distance = scale * np.interp(seen * rng.random(count), within, radii)
    direction = rng.uniform(0.0, 2.0 * math.pi, count)
    flat = float(rng.uniform(0.6, 1.0))
    along, across = distance * np.cos(direction), flat * distance * np.sin(direction)
    cos, sin = math.cos(angle), math.sin(angle)
    positions = np.column_stack([x + along * cos - across * sin, y + along * sin + across * cos])
    mags = np.sort(schechter_magnitudes(rng, count, knee, knee + _FAINTEST_MEMBER, -0.95))
    _draw_members(rng, canvas, positions, mags, knee, (gr, ri), nearness)
    luminosity = np.append(10.0 ** (-0.4 * (mag - knee)), 10.0 ** (-0.4 * (mags - knee)))
    members = np.column_stack([np.vstack([[x, y], positions]), luminosity])
    return Cluster(redshift, richness, (x, y), mag, angle, members, (gr, ri))


def _draw_members(
    rng: np.random.Generator,
    canvas: Canvas,
    positions: np.ndarray,
    mags: np.ndarray,
    knee: float,
    colours: tuple[float, float],
    nearness: float,
) -> None:
    """Draw early types on a red sequence, and blue discs."""
    radii = np.clip(0.9 * nearness * 10.0 ** (-0.12 * (mags - knee) + rng.normal(0.0, 0.15, mags.size)), 0.12, 3.0)
    inside = np.abs(positions).max(axis=1, initial=0.0) < 0.5 * canvas.size * canvas.step + _OUTSIDE
    positions, mags, radii = positions[inside], mags[inside], radii[inside]
    count = mags.size
    # The red sequence is bluer at its faint end.
    tilt = -0.025 * (mags - knee)
    is_blue = rng.random(count) < rng.uniform(0.1, 0.35)
    bluer = np.where(is_blue, rng.uniform(0.2, 0.9, count), 0.0)
    gr = colours[0] + tilt - bluer + rng.normal(0.0, 0.05, count)
    ri = colours[1] + 0.4 * (tilt - bluer) + rng.normal(0.0, 0.03, count)
    fluxes = flux_of(np.column_stack([mags + gr, mags, mags - ri]))
    angles = rng.uniform(0.0, math.pi, count)
    shapes = np.column_stack([positions, radii, rng.uniform(1.5, 4.0, count), _early_ratio(rng, count), angles])
    _draw_smooth(canvas, shapes[~is_blue], fluxes[~is_blue])
    ratios = _disc_ratio(rng, count)
    for k in np.flatnonzero(is_blue).tolist():
        x, y = positions[k].tolist()
        draw_disc(
            rng,
            canvas,
            x,
            y,
            1.2 * float(radii[k]),
            float(mags[k]),
            (float(gr[k]), float(ri[k])),
            axis_ratio=float(ratios[k]),
            angle=float(angles[k]),
            structured=bool(mags[k] < _STRUCTURED),
        )


def _draw_smooth(canvas: Canvas, shapes: np.ndarray, fluxes: np.ndarray) -> None:
    """Draw Sersic galaxies; `shapes` (n, 6) are x, y, radius, n, axis ratio, angle, and `fluxes` (n, 3) the totals."""
    for (x, y, radius, n, ratio, angle), light in zip(shapes.tolist(), fluxes, strict=True):
        canvas.galaxy(x, y, radius, n, ratio, angle, light)


def _early_ratio(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw the axis ratios of early-type galaxies."""
    return np.clip(rng.normal(0.75, 0.15, count), 0.35, 1.0)


def _disc_ratio(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw the axis ratios of randomly oriented discs of thickness 0.2."""
    return np.asarray(np.sqrt(0.04 + 0.96 * rng.random(count) ** 2))


def draw_real_field(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draw the visible field galaxies with observed counts, sizes, colours and types.

    The number varies by a third between scenes, as in real fields of this size.
    """
    width = canvas.size * canvas.step
    per_magnitude = _COUNTS * (width / 60.0) ** 2 * float(rng.lognormal(0.0, 0.33))
    grid = np.linspace(_COUNT_MAGS[0], _COUNT_MAGS[-1], 240)
    density = np.exp(np.interp(grid, _COUNT_MAGS, np.log(per_magnitude)))
    cumulative = np.cumsum(density) * (grid[1] - grid[0])
    count = int(rng.poisson(cumulative[-1]))
    mags = np.interp(rng.random(count) * cumulative[-1], cumulative, grid)
    places = rng.uniform(-0.5 * width, 0.5 * width, (count, 2))
    kind = rng.random(count)
    early = kind < np.interp(mags, _TYPE_MAGS, _EARLY)
    green = ~early & (kind > 1.0 - np.interp(mags, _TYPE_MAGS, _GREEN))
    gr = rng.normal(np.where(early, 1.25, np.where(green, 0.95, 0.45)), np.where(early, 0.3, 0.25))
    ri = rng.normal(np.where(early, 0.15 + 0.35 * gr, np.where(green, 0.6, 0.28)), 0.17)
    # Neighbours on the sky are often neighbours in space, with the same type and colour.
    companion = rng.random(count) < _COMPANIONS
    host = rng.integers(0, max(count, 1), count)
    direction, away = rng.uniform(0.0, 2.0 * math.pi, count), rng.exponential(_COMPANION_SCALE, count)
    beside = places[host] + away[:, None] * np.column_stack([np.cos(direction), np.sin(direction)])
    places = np.where(companion[:, None], beside, places)
    early = np.where(companion, early[host], early)
    gr = np.where(companion, gr[host] + rng.normal(0.0, 0.08, count), gr)
    ri = np.where(companion, ri[host] + rng.normal(0.0, 0.05, count), ri)
    # Half-light radius along the major axis, which decreases more slowly beyond magnitude 25.
    size = 0.52 * 10.0 ** (-0.11 * (np.minimum(mags, 25.0) - 23.0) - 0.05 * np.maximum(mags - 25.0, 0.0))
    radii = np.clip(size * np.where(early, 0.8, 1.0) * 10.0 ** rng.normal(0.0, 0.17, count), 0.08, 8.0)
    angles = rng.uniform(0.0, math.pi, count)
    fluxes = flux_of(np.column_stack([mags + gr, mags, mags - ri]))
    # Half of the light is within the half-light radius, which is that of the PSF for the smallest galaxies.
    shown = 0.5 * fluxes.max(axis=1) / (math.pi * (radii**2 + _SMALLEST**2)) > _SHOWN * canvas.floor / canvas.step**2
    ratios = np.where(early, _early_ratio(rng, count), _disc_ratio(rng, count))
    steepness = np.where(early, rng.uniform(1.5, 4.0, count), rng.uniform(0.7, 1.3, count))
    structured = ~early & (mags < _STRUCTURED)
    shapes = np.column_stack([places, radii * np.sqrt(ratios), steepness, ratios, angles])
    _draw_smooth(canvas, shapes[shown & ~structured], fluxes[shown & ~structured])
    for k in np.flatnonzero(structured).tolist():
        x, y = places[k].tolist()
        draw_disc(
            rng,
            canvas,
            x,
            y,
            float(radii[k]),
            float(mags[k]),
            (float(gr[k]), float(ri[k])),
            axis_ratio=float(ratios[k]),
            angle=float(angles[k]),
            structured=True,
        )


def draw_real_stars(rng: np.random.Generator, canvas: Canvas) -> list[tuple[float, float, np.ndarray]]:
    """Draw the stars of a field at high Galactic latitude; return positions and fluxes of the bright ones."""
    width = canvas.size * canvas.step
    count = int(rng.poisson(_STARS * (width / 60.0) ** 2 * float(rng.lognormal(0.0, 0.6))))
    low, high = (10.0 ** (_STAR_SLOPE * mag) for mag in (_BRIGHTEST, _FAINTEST_STAR))
    mags = np.log10(low + rng.random(count) * (high - low)) / _STAR_SLOPE
    saturated = []
    for mag, (x, y) in zip(mags.tolist(), rng.uniform(-0.5 * width, 0.5 * width, (count, 2)).tolist(), strict=True):
        # Most faint stars are M dwarfs, with similar g-r and a wide range of r-i.
        if rng.random() < np.clip(0.15 * (mag - 16.0), 0.15, 0.75):
            gr, ri = float(rng.normal(1.42, 0.08)), 0.55 + float(rng.gamma(2.0, 0.35))
        else:
            gr = 0.25 + float(rng.gamma(2.0, 0.2))
            ri = 0.4 * gr - 0.03 + float(rng.normal(0.0, 0.03))
        fluxes = band_fluxes(mag, gr, ri)
        canvas.point(x, y, fluxes)
        if mag < _SATURATED:
            saturated.append((x, y, fluxes))
    return saturated
