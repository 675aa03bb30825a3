"""More and larger arc impostors: nearby spirals, rings around the BCG, stripped tails, chance alignments."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gridlens.simulate._canvas import Canvas, band_fluxes
from gridlens.simulate._impostors import IMPOSTORS, impostor_place
from gridlens.simulate._population import Cluster, draw_field
from gridlens.simulate._wide_discs import draw_arms, draw_spots, turned

__all__ = ["WIDE_IMPOSTORS", "draw_nearby_spiral", "draw_wide_impostors"]

# Fraction of the scenes without a lens that contain a nearby spiral, and the fraction of these with it in the centre.
_NEARBY, _CENTRAL = 0.15, 0.5


def _arc_colours(rng: np.random.Generator) -> tuple[float, float]:
    """Draw g-r and r-i of lensed light: mostly blue."""
    gr = float(rng.normal(0.3, 0.25)) if rng.random() < 0.75 else float(rng.uniform(0.6, 1.5))
    return gr, 0.05 + 0.4 * gr + float(rng.normal(0.0, 0.12))


def _central_ring(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw a ring around the BCG, from gas or a merger: faint, complete, often off-centre."""
    x, y = (c + float(rng.normal(0.0, 0.5)) for c in cluster.bcg)
    radius = float(rng.uniform(1.5, 9.0))
    fluxes = band_fluxes(cluster.bcg_mag + float(rng.uniform(2.5, 5.5)), *_arc_colours(rng))
    canvas.arc(x, y, radius, 0.0, 2.0 * math.pi, float(rng.uniform(0.3, 1.5)), fluxes)


def _tidal_tail(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw a red galaxy with one or two long tails that widen outwards."""
    x, y, _ = impostor_place(rng, canvas, cluster)
    gr, ri = (c + float(rng.normal(0.0, 0.15)) for c in cluster.red_colours)
    mag, start = float(rng.uniform(18.0, 21.5)), float(rng.uniform(0.0, 2.0 * math.pi))
    canvas.galaxy(
        x, y, float(rng.uniform(0.5, 2.0)), 3.0, float(rng.uniform(0.5, 1.0)), start % math.pi, band_fluxes(mag, gr, ri)
    )
    bluer = float(rng.uniform(0.0, 0.5))
    tail = band_fluxes(mag + float(rng.uniform(1.0, 3.0)), gr - bluer, ri - 0.4 * bluer)
    for k in range(int(rng.integers(1, 3))):
        pitch = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.3, 1.0))
        radius, opening, width = (float(rng.uniform(*ends)) for ends in ((2.5, 10.0), (0.8, 2.5), (0.25, 0.7)))
        canvas.arc(x, y, radius, start + math.pi * k, opening, width, tail, pitch)


def _stripped(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw a blue member that loses its gas: a tail of knots in any direction, often tangential."""
    x, y, tangent = impostor_place(rng, canvas, cluster)
    towards = tangent if rng.random() < 0.5 else float(rng.uniform(0.0, 2.0 * math.pi))
    gr, ri = _arc_colours(rng)
    mag, count = float(rng.uniform(18.5, 22.0)), int(rng.integers(4, 12))
    body = band_fluxes(mag, gr + 0.2, ri + 0.1)
    canvas.galaxy(x, y, float(rng.uniform(0.4, 1.2)), 1.0, float(rng.uniform(0.3, 0.9)), towards, body)
    total = band_fluxes(mag + float(rng.uniform(0.3, 2.0)), gr, ri)
    length, bend = float(rng.uniform(2.0, 10.0)), float(rng.normal(0.0, 0.03))
    shares = rng.dirichlet(np.ones(count))
    for k in range(count):
        along = length * (k + 1.0) / count
        across = bend * along**2 + float(rng.normal(0.0, 0.25))
        canvas.galaxy(
            *turned(x, y, along, across, towards), float(rng.uniform(0.15, 0.5)), 0.6, 0.6, towards, shares[k] * total
        )


def _alignment(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw two to five galaxies of one colour aligned tangentially by chance, each with a random orientation."""
    radius, start = float(rng.uniform(4.0, 25.0)), float(rng.uniform(0.0, 2.0 * math.pi))
    gr, ri = _arc_colours(rng)
    for k in range(int(rng.integers(2, 6))):
        direction = start + k * float(rng.uniform(0.8, 2.5)) / radius
        distance = radius + float(rng.normal(0.0, 0.4))
        x, y = cluster.bcg[0] + distance * math.cos(direction), cluster.bcg[1] + distance * math.sin(direction)
        fluxes = band_fluxes(float(rng.uniform(21.0, 24.5)), gr + float(rng.normal(0.0, 0.1)), ri)
        shape = float(rng.uniform(0.3, 1.0)), float(rng.uniform(0.0, math.pi))
        canvas.galaxy(x, y, float(rng.uniform(0.2, 0.6)), 1.0, *shape, fluxes)


def _spikes(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw thin straight streaks towards or across the BCG."""
    for _ in range(int(rng.integers(1, 4))):
        x, y, tangent = impostor_place(rng, canvas, cluster)
        across = 0.5 * math.pi if rng.random() < 0.7 else 0.0
        length, ratio = float(rng.uniform(1.0, 4.0)), float(rng.uniform(0.04, 0.12))
        fluxes = band_fluxes(float(rng.uniform(20.5, 23.5)), *_arc_colours(rng))
        canvas.galaxy(x, y, length * math.sqrt(ratio), 0.6, ratio, tangent + across, fluxes)


def _tangential_disc(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw a long tangential edge-on disc with the colours of an arc."""
    x, y, tangent = impostor_place(rng, canvas, cluster)
    gr, ri = _arc_colours(rng)
    mag, ratio, angle = float(rng.uniform(20.0, 24.0)), float(rng.uniform(0.08, 0.2)), tangent + rng.normal(0.0, 0.2)
    length = float(rng.uniform(0.8, 3.0))
    canvas.galaxy(x, y, length * math.sqrt(ratio), 1.0, ratio, angle, band_fluxes(mag, gr, ri))
    canvas.galaxy(x, y, 0.2 * length, 2.0, 0.6, angle, float(rng.uniform(0.0, 0.3)) * band_fluxes(mag, gr + 0.3, ri))


def _loose_arc(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw an arc with the colours of lensed light that is not centred on the BCG."""
    radius, opening = float(rng.uniform(3.0, 20.0)), float(rng.uniform(0.2, 1.2))
    middle = float(rng.uniform(0.0, 2.0 * math.pi))
    x, y, _ = impostor_place(rng, canvas, cluster)
    # The arc is at this position, and its centre is one radius away.
    fluxes = band_fluxes(float(rng.uniform(20.5, 24.0)), *_arc_colours(rng))
    centre = x - radius * math.cos(middle), y - radius * math.sin(middle)
    canvas.arc(*centre, radius, middle, opening, float(rng.uniform(0.2, 0.6)), fluxes)


WIDE_IMPOSTORS: dict[str, Callable[[np.random.Generator, Canvas, Cluster], None]] = {
    **IMPOSTORS,
    "central-ring": _central_ring,
    "tidal-tail": _tidal_tail,
    "stripped": _stripped,
    "alignment": _alignment,
    "spikes": _spikes,
    "tangential-disc": _tangential_disc,
    "loose-arc": _loose_arc,
}


def draw_wide_impostors(
    rng: np.random.Generator, canvas: Canvas, cluster: Cluster, *, is_lens: bool
) -> tuple[Cluster, list[str]]:
    """Draw up to three impostors from `WIDE_IMPOSTORS`, and a nearby spiral in some scenes without a lens.

    Parameters
    ----------
    rng : numpy.random.Generator
        Generator of the randomized impostors.
    canvas : Canvas
    cluster : Cluster
    is_lens : bool
        Whether the scene contains a lens. A nearby spiral would hide it and is drawn only in scenes without a lens.

    Returns
    -------
    cluster : Cluster
        The given cluster, or, if a nearby spiral replaces it, a cluster with the spiral as its only member.
    kinds : list of str
    """
    kinds = []
    if not is_lens and rng.random() < _NEARBY:
        cluster = draw_nearby_spiral(rng, canvas, cluster, draw_field)
        kinds.append("nearby-spiral")
    for _ in range(int(rng.choice(4, p=[0.4, 0.35, 0.17, 0.08]))):
        kinds.append(str(rng.choice(list(WIDE_IMPOSTORS))))
        WIDE_IMPOSTORS[kinds[-1]](rng, canvas, cluster)
    return cluster, kinds


def draw_nearby_spiral(
    rng: np.random.Generator,
    canvas: Canvas,
    cluster: Cluster,
    field: Callable[[np.random.Generator, Canvas], None],
) -> Cluster:
    """Draw a spiral with arms of 5 to 25 arcsec in front of the cluster, or alone in the centre of the field.

    `field` draws the field galaxies around an isolated spiral. The cluster, or the spiral that replaces it, is
    returned.
    """
    mag, half = float(rng.uniform(14.0, 17.0)), 0.5 * canvas.geometry.field
    x, y = cluster.bcg
    if rng.random() < _CENTRAL:
        canvas.images.fill(0.0)
        field(rng, canvas)
        cluster = replace(cluster, bcg_mag=mag, members=np.array([[x, y, 1.0]]))
    else:
        x, y = x + float(rng.uniform(-0.8, 0.8)) * half, y + float(rng.uniform(-0.8, 0.8)) * half
    # The arms end at about twice the effective radius.
    radius = 0.5 * math.exp(rng.uniform(math.log(5.0), math.log(25.0)))
    axis_ratio, angle = float(rng.uniform(0.3, 1.0)), float(rng.uniform(0.0, math.pi))
    gr, ri = float(rng.normal(0.55, 0.12)), float(rng.normal(0.28, 0.07))
    redder, bulge, arms = float(rng.uniform(0.1, 0.4)), float(rng.uniform(0.03, 0.35)), float(rng.uniform(0.15, 0.5))
    disc = (1.0 - bulge - arms) * band_fluxes(mag, gr, ri)
    canvas.galaxy(x, y, radius * math.sqrt(axis_ratio), 1.0, axis_ratio, angle, disc)
    inner = band_fluxes(mag, gr + redder, ri + 0.4 * redder)
    shape = max(axis_ratio, float(rng.uniform(0.6, 0.9)))
    canvas.galaxy(
        x, y, radius * float(rng.uniform(0.1, 0.3)), float(rng.uniform(1.5, 4.0)), shape, angle, bulge * inner
    )
    # Broad arms with small knots of young stars.
    knotty = float(rng.uniform(0.1, 0.4)) * arms
    young = band_fluxes(mag, gr - redder, ri - 0.4 * redder)
    draw_arms(rng, canvas, x, y, radius, axis_ratio, angle, (arms - knotty) * young, int(rng.integers(16, 33)))
    _draw_knots(rng, canvas, x, y, radius, axis_ratio, angle, knotty * band_fluxes(mag, gr - 0.4, ri - 0.2))
    return cluster


def _draw_knots(
    rng: np.random.Generator,
    canvas: Canvas,
    x: float,
    y: float,
    radius: float,
    axis_ratio: float,
    angle: float,
    fluxes: np.ndarray,
) -> None:
    """Draw 20 to 60 blue knots over an inclined disc of `radius`, arcsec; `fluxes` (3,) are the total fluxes."""
    count = int(rng.integers(20, 61))
    shares = rng.dirichlet(np.full(count, 0.7))
    distance, phase = radius * rng.gamma(3.0, 0.4, count), rng.uniform(0.0, 2.0 * math.pi, count)
    along, across = distance * np.cos(phase), axis_ratio * distance * np.sin(phase)
    sizes = rng.uniform(0.15, 0.6, count)
    draw_spots(canvas, turned(x, y, along, across, angle), sizes, shares[:, None] * fluxes)
