"""Clusters and field galaxies with wide distributions of colours, luminosities, sizes, shapes and numbers."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridlens.simulate._canvas import Canvas, band_fluxes
from gridlens.simulate._population import Cluster, red_sequence, schechter_magnitudes
from gridlens.simulate._wide_discs import draw_disc, turned

__all__ = ["Blank", "draw_wide_cluster", "draw_wide_field"]

_CANONICAL_AREA = 64.0**2
_FAINTEST = 26.0
# Fraction of the scenes without a cluster around the central galaxy.
_ALONE = 0.15


class Blank(Canvas):
    """A canvas that discards everything drawn on it, while random numbers are still consumed.

    If other galaxies replace the plain galaxies of a scene, the plain ones are drawn here, so that the rest of the
    scene gets the same random numbers.
    """

    def galaxy(self, *args: Any) -> None:
        """Draw nothing."""

    def arc(self, *args: Any) -> None:
        """Draw nothing."""

    def point(self, *args: Any) -> None:
        """Draw nothing."""


@dataclass(frozen=True)
class _Sequence:
    """Red sequence of a scene: colours at the knee, slope with magnitude, scatter."""

    gr: float
    ri: float
    slope: float
    scatter: float
    knee: float

    def colours(self, rng: np.random.Generator, mag: float) -> tuple[float, float]:
        """Draw g-r and r-i of a galaxy of `mag`: fainter ones are bluer."""
        tilt = -self.slope * (mag - self.knee)
        return self.gr + tilt + rng.normal(0.0, self.scatter), self.ri + 0.5 * tilt + rng.normal(0.0, self.scatter)


def _loguniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def draw_wide_cluster(
    rng: np.random.Generator,
    canvas: Canvas,
    redshift: float,
    richness: float,
    offset: tuple[float, float] = (0.0, 0.0),
    colours: tuple[float, float] | None = None,
) -> Cluster:
    """Draw a BCG with its intracluster light and the members onto `canvas`, all from wide distributions.

    Parameters
    ----------
    rng : numpy.random.Generator
        Generator of the randomized galaxies.
    canvas : Canvas
    redshift, richness : float
        Redshift and richness of the plain cluster; the number of members differs from the richness by a factor of up to
        2.2. In some scenes the BCG is alone, and the richness of the result is a tenth of this.
    offset : tuple of float, default=(0.0, 0.0)
        Approximate position of the BCG, arcsec from the cutout's centre.
    colours : tuple of float, optional
        Mean g-r and r-i of the red sequence; by default, those of `red_sequence`.

    Returns
    -------
    Cluster
    """
    gr, ri = colours or red_sequence(redshift)
    knee = 18.5 + 5.0 * (redshift - 0.2) + float(rng.uniform(-0.7, 0.7))
    sequence = _Sequence(
        gr + float(rng.uniform(-0.25, 0.25)),
        ri + float(rng.uniform(-0.15, 0.15)),
        float(rng.uniform(0.0, 0.06)),
        float(rng.uniform(0.03, 0.12)),
        knee,
    )
    x, y = (float(c) for c in rng.uniform(-0.35, 0.35, 2) + offset)
    mag = knee - 1.5 + float(rng.normal(0.0, 0.5))
    angle = float(rng.uniform(0.0, math.pi))
    _draw_bcg(rng, canvas, x, y, mag, angle, sequence, 1.0 - 0.5 * (redshift - 0.2))

    alone = bool(rng.random() < _ALONE)
    count = 0 if alone else int(rng.poisson(0.5 * richness * _loguniform(rng, 0.45, 2.2)))
    mags = np.sort(schechter_magnitudes(rng, count, knee, min(knee + 4.0, _FAINTEST), float(rng.uniform(-1.3, -0.6))))
    # A gamma distribution of shape 1 is exponential; a larger shape gives a less crowded centre.
    distance = rng.gamma(float(rng.uniform(0.8, 1.8)), float(rng.uniform(10.0, 26.0)), count)
    direction, flat = rng.uniform(0.0, 2.0 * math.pi, count), float(rng.uniform(0.45, 1.0))
    along, across = distance * np.cos(direction), flat * distance * np.sin(direction)
    positions = np.column_stack(turned(x, y, along, across, angle))
    _draw_members(rng, canvas, positions, mags, sequence, 1.0 - 0.5 * (redshift - 0.2))
    luminosity = np.append(10.0 ** (-0.4 * (mag - knee)), 10.0 ** (-0.4 * (mags - knee)))
    members = np.column_stack([np.vstack([[x, y], positions]), luminosity])
    return Cluster(redshift, 0.1 * richness if alone else richness, (x, y), mag, angle, members, colours)


def _draw_bcg(
    rng: np.random.Generator,
    canvas: Canvas,
    x: float,
    y: float,
    mag: float,
    angle: float,
    sequence: _Sequence,
    nearness: float,
) -> None:
    """Draw the central galaxy: n from 2 to 6, half to twice the size, a halo, maybe two nuclei or boxy isophotes."""
    radius = 4.0 * nearness * _loguniform(rng, 0.4, 2.4)
    axis_ratio, n = float(rng.uniform(0.5, 0.98)), float(rng.uniform(2.0, 6.0))
    gr, ri = sequence.colours(rng, mag)
    gr, ri = gr + float(rng.normal(0.0, 0.08)), ri + float(rng.normal(0.0, 0.05))
    halo = float(rng.uniform(0.0, 0.45))
    body = (1.0 - halo) * band_fluxes(mag, gr, ri)
    if rng.random() < 0.25:
        # Two crossed ellipses make a box.
        for turn in (-0.35, 0.35):
            canvas.galaxy(x, y, radius, n, axis_ratio, angle + turn, 0.5 * body)
    else:
        canvas.galaxy(x, y, radius, n, axis_ratio, angle, body)
    # The halo has the galaxy's colour or is bluer.
    bluer = float(rng.uniform(-0.05, 0.25))
    light = halo * band_fluxes(mag, gr - bluer, ri - 0.4 * bluer)
    halo_n = float(rng.uniform(0.8, 2.0))
    canvas.galaxy(x, y, radius * float(rng.uniform(3.0, 7.0)), halo_n, 0.5 + 0.5 * axis_ratio, angle, light)
    if rng.random() < 0.2:
        away, towards = float(rng.uniform(0.6, 3.0)), float(rng.uniform(0.0, 2.0 * math.pi))
        second = band_fluxes(mag + float(rng.uniform(0.7, 2.5)), *sequence.colours(rng, mag))
        place = x + away * math.cos(towards), y + away * math.sin(towards)
        canvas.galaxy(*place, float(rng.uniform(0.4, 1.5)), float(rng.uniform(2.0, 4.0)), 0.8, angle, second)


def _draw_members(
    rng: np.random.Generator,
    canvas: Canvas,
    positions: np.ndarray,
    mags: np.ndarray,
    sequence: _Sequence,
    nearness: float,
) -> None:
    """Draw the members: early types on the red sequence and discs, some of them blue with arms or clumps."""
    blue = float(rng.uniform(0.05, 0.6))
    size = 0.9 * nearness * _loguniform(rng, 0.6, 1.6)
    power, steepness = float(rng.uniform(0.08, 0.16)), _loguniform(rng, 0.7, 1.4)
    radii = size * 10.0 ** (-power * (mags - sequence.knee) + rng.normal(0.0, 0.15, mags.size))
    for (x, y), mag, radius in zip(positions.tolist(), mags.tolist(), np.clip(radii, 0.12, 4.0).tolist(), strict=True):
        gr, ri = sequence.colours(rng, mag)
        angle = float(rng.uniform(0.0, math.pi))
        is_blue = rng.random() < blue
        if is_blue:
            bluer = float(rng.uniform(0.15, 0.8))
            gr, ri = gr - bluer, ri - 0.4 * bluer
        if is_blue or rng.random() < 0.25:
            axis_ratio, structured = float(rng.uniform(0.12, 1.0)), rng.random() < 0.5
            draw_disc(
                rng, canvas, x, y, radius, mag, (gr, ri), axis_ratio=axis_ratio, angle=angle, structured=structured
            )
        else:
            n = float(np.clip(steepness * rng.uniform(1.5, 5.0), 1.0, 6.0))
            canvas.galaxy(x, y, radius, n, float(rng.uniform(0.4, 1.0)), angle, band_fluxes(mag, gr, ri))


def draw_wide_field(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draw field galaxies with other counts, sizes and colours than the plain ones, occasionally bright.

    Parameters
    ----------
    rng : numpy.random.Generator
        Generator of the randomized galaxies.
    canvas : Canvas
    """
    width = canvas.size * canvas.step
    expected = 40.0 * _loguniform(rng, 0.4, 2.2) * width**2 / _CANONICAL_AREA
    rise, size = float(rng.uniform(0.2, 0.4)), _loguniform(rng, 0.6, 1.6)
    low, high = 10.0 ** (rise * 19.0), 10.0 ** (rise * _FAINTEST)
    mags = np.log10(low + rng.random(int(rng.poisson(expected))) * (high - low)) / rise
    mags = np.append(mags, rng.uniform(15.5, 19.0, int(rng.poisson(0.4 * width**2 / _CANONICAL_AREA))))
    red, edge_on = float(rng.uniform(0.05, 0.5)), float(rng.uniform(0.1, 0.45))
    blue_gr, red_gr = float(rng.uniform(0.15, 0.55)), float(rng.uniform(0.9, 1.5))
    places = rng.uniform(-0.5 * width, 0.5 * width, (mags.size, 2))
    radii = size * 0.5 * 10.0 ** (-0.1 * (mags - 23.0) + rng.normal(0.0, 0.18, mags.size))
    for (x, y), mag, radius in zip(places.tolist(), mags.tolist(), np.clip(radii, 0.1, 6.0).tolist(), strict=True):
        is_red = rng.random() < red
        gr = float(rng.normal(red_gr, 0.25)) if is_red else float(rng.normal(blue_gr, 0.25))
        ri = 0.05 + 0.4 * gr + float(rng.normal(0.0, 0.15))
        angle = float(rng.uniform(0.0, math.pi))
        if is_red and rng.random() < 0.6:
            axis_ratio = float(rng.uniform(0.4, 1.0))
            n = float(rng.uniform(1.5, 5.0))
            canvas.galaxy(x, y, radius * math.sqrt(axis_ratio), n, axis_ratio, angle, band_fluxes(mag, gr, ri))
        else:
            axis_ratio = float(rng.uniform(0.1, 0.3) if rng.random() < edge_on else rng.uniform(0.3, 1.0))
            draw_disc(
                rng,
                canvas,
                x,
                y,
                radius,
                mag,
                (gr, ri),
                axis_ratio=axis_ratio,
                angle=angle,
                structured=rng.random() < 0.6,
            )
