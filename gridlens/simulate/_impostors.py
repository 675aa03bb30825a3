"""Arc impostors: objects that a lens finder must not mistake for arcs."""

import math
from collections.abc import Callable

import numpy as np

from gridlens.simulate._canvas import Canvas, band_fluxes
from gridlens.simulate._population import Cluster

__all__ = ["IMPOSTORS", "draw_impostors", "impostor_place"]


def impostor_place(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> tuple[float, float, float]:
    """Return a position at 4 to 30 arcsec from the BCG inside the cutout, and the tangential direction there."""
    distance = float(rng.uniform(4.0, min(30.0, 0.5 * canvas.geometry.field)))
    direction = float(rng.uniform(0.0, 2.0 * math.pi))
    x = cluster.bcg[0] + distance * math.cos(direction)
    y = cluster.bcg[1] + distance * math.sin(direction)
    return x, y, direction + 0.5 * math.pi


def _spiral(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw a face-on spiral: a disc, a red bulge, two to four blue arms with knots."""
    x, y, _ = impostor_place(rng, canvas, cluster)
    mag = float(rng.uniform(17.8, 21.5))
    radius = float(rng.uniform(1.2, 3.5)) * 10.0 ** (-0.1 * (mag - 19.0))
    gr, ri = float(rng.normal(0.55, 0.15)), float(rng.normal(0.3, 0.1))
    arms_share = float(rng.uniform(0.2, 0.5))
    canvas.galaxy(x, y, radius, 1.0, float(rng.uniform(0.6, 1.0)), 0.0, (0.85 - arms_share) * band_fluxes(mag, gr, ri))
    canvas.galaxy(x, y, 0.25 * radius, 2.5, 0.9, 0.0, 0.15 * band_fluxes(mag, gr + 0.3, ri + 0.1))
    arms = int(rng.integers(2, 5))
    pitch = float(rng.choice([-1.0, 1.0]) * math.tan(math.radians(rng.uniform(10.0, 28.0))))
    start = float(rng.uniform(0.0, 2.0 * math.pi))
    light = arms_share / arms * band_fluxes(mag, gr - 0.2, ri - 0.1)
    for k in range(arms):
        middle = start + 2.0 * math.pi * k / arms
        canvas.arc(x, y, radius * rng.uniform(0.9, 1.5), middle, rng.uniform(1.5, 4.0), 0.12 * radius, light, pitch)


def _tidal_arc(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw a tidal stream: an arc of any colour around a galaxy other than the BCG, or around no galaxy."""
    x, y, _ = impostor_place(rng, canvas, cluster)
    radius = float(rng.uniform(2.0, 14.0))
    colours = float(rng.uniform(0.1, 1.5)), float(rng.uniform(0.0, 0.7))
    fluxes = band_fluxes(float(rng.uniform(20.0, 24.0)), *colours)
    opening = float(np.clip(rng.uniform(3.0, 14.0) / radius, 0.3, 3.5))
    canvas.arc(x, y, radius, rng.uniform(0.0, 2.0 * math.pi), opening, rng.uniform(0.3, 0.9), fluxes)
    if rng.random() < 0.6:
        gr, ri = cluster.red_colours
        host = band_fluxes(float(rng.uniform(18.5, 21.5)), gr + rng.normal(0.0, 0.1), ri)
        canvas.galaxy(x, y, rng.uniform(0.5, 1.8), 3.0, rng.uniform(0.5, 1.0), rng.uniform(0.0, math.pi), host)


def _shells(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw the shells of a merger remnant: several arcs, concentric with their galaxy and as red."""
    x, y, _ = impostor_place(rng, canvas, cluster)
    gr, ri = cluster.red_colours
    gr += float(rng.normal(0.0, 0.1))
    mag = float(rng.uniform(18.0, 20.5))
    canvas.galaxy(
        x, y, rng.uniform(0.8, 2.0), 4.0, rng.uniform(0.6, 1.0), rng.uniform(0.0, math.pi), band_fluxes(mag, gr, ri)
    )
    axis = float(rng.uniform(0.0, 2.0 * math.pi))
    for k in range(int(rng.integers(2, 5))):
        side = axis + math.pi * (k % 2) + float(rng.normal(0.0, 0.2))
        fluxes = band_fluxes(mag + float(rng.uniform(2.0, 4.0)), gr - 0.1, ri)
        canvas.arc(x, y, rng.uniform(2.0, 9.0), side, rng.uniform(0.5, 1.6), rng.uniform(0.25, 0.6), fluxes)


def _ring_galaxy(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw a collisional ring: a blue ring around a nucleus."""
    x, y, _ = impostor_place(rng, canvas, cluster)
    mag = float(rng.uniform(18.5, 22.0))
    gr, ri = float(rng.normal(0.35, 0.15)), float(rng.normal(0.15, 0.1))
    radius = float(rng.uniform(1.2, 5.0))
    canvas.arc(x, y, radius, 0.0, 2.0 * math.pi, rng.uniform(0.2, 0.5), 0.6 * band_fluxes(mag, gr, ri))
    canvas.galaxy(x, y, rng.uniform(0.3, 0.9), 2.0, 0.9, 0.0, 0.4 * band_fluxes(mag, gr + 0.4, ri + 0.15))


def _merger(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw two galaxies in contact, each with a tidal tail."""
    x, y, _ = impostor_place(rng, canvas, cluster)
    gr, ri = float(rng.uniform(0.3, 1.2)), float(rng.uniform(0.1, 0.6))
    separation, direction = float(rng.uniform(0.8, 3.0)), float(rng.uniform(0.0, 2.0 * math.pi))
    for side in (1.0, -1.0):
        mag = float(rng.uniform(18.8, 21.8))
        cx = x + 0.5 * side * separation * math.cos(direction)
        cy = y + 0.5 * side * separation * math.sin(direction)
        shape = float(rng.uniform(0.4, 1.0)), float(rng.uniform(0.0, math.pi))
        canvas.galaxy(cx, cy, rng.uniform(0.4, 1.4), rng.uniform(1.0, 3.0), *shape, band_fluxes(mag, gr, ri))
        tail = band_fluxes(mag + float(rng.uniform(1.0, 2.5)), gr - 0.15, ri - 0.05)
        canvas.arc(
            cx, cy, rng.uniform(2.0, 6.0), direction + side, rng.uniform(0.8, 2.0), rng.uniform(0.2, 0.5), tail, 0.3
        )


def _edge_on(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> None:
    """Draw a tangential edge-on disc, sometimes with a polar ring across it."""
    x, y, tangent = impostor_place(rng, canvas, cluster)
    mag = float(rng.uniform(19.0, 22.8))
    gr, ri = float(rng.normal(0.6, 0.3)), float(rng.normal(0.3, 0.15))
    radius = float(rng.uniform(1.0, 3.0)) * 10.0 ** (-0.08 * (mag - 21.0))
    angle = tangent + float(rng.normal(0.0, 0.15))
    axis_ratio = float(rng.uniform(0.1, 0.22))
    # `radius` is the half-light radius along the disc; the profile uses that of sqrt(a b).
    canvas.galaxy(x, y, radius * math.sqrt(axis_ratio), 1.0, axis_ratio, angle, band_fluxes(mag, gr, ri))
    canvas.galaxy(x, y, 0.25 * radius, 2.5, 0.7, angle, 0.25 * band_fluxes(mag, gr + 0.3, ri + 0.1))
    if rng.random() < 0.3:
        ring = band_fluxes(mag + 0.7, gr - 0.3, ri - 0.1)
        canvas.galaxy(x, y, 0.35 * radius, 0.7, 0.15, angle + 0.5 * math.pi, ring)


IMPOSTORS: dict[str, Callable[[np.random.Generator, Canvas, Cluster], None]] = {
    "spiral": _spiral,
    "tidal-arc": _tidal_arc,
    "shells": _shells,
    "ring": _ring_galaxy,
    "merger": _merger,
    "edge-on": _edge_on,
}


def draw_impostors(rng: np.random.Generator, canvas: Canvas, cluster: Cluster) -> list[str]:
    """Draw an impostor in a quarter of the scenes, and two in a few of them; return their kinds."""
    kinds = []
    for _ in range(int(rng.choice([0, 1, 2], p=[0.75, 0.2, 0.05]))):
        kinds.append(str(rng.choice(list(IMPOSTORS))))
        IMPOSTORS[kinds[-1]](rng, canvas, cluster)
    return kinds
