"""Conditions, galaxies and stars of a scene: plain or realistic, optionally drawn from wider distributions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gridlens.cutouts._surveys import Survey
from gridlens.simulate._canvas import Canvas, Geometry
from gridlens.simulate._impostors import draw_impostors
from gridlens.simulate._observe import Conditions, draw_conditions
from gridlens.simulate._population import Cluster, draw_cluster, draw_field, draw_stars
from gridlens.simulate._randomised import Streams
from gridlens.simulate._real_population import draw_real_cluster, draw_real_field, draw_real_stars
from gridlens.simulate._real_sky import draw_real_conditions
from gridlens.simulate._wide_galaxies import Blank, draw_wide_cluster, draw_wide_field
from gridlens.simulate._wide_impostors import draw_nearby_spiral, draw_wide_impostors

__all__ = ["PLAIN", "REALISTIC", "Ingredients", "draw_galaxies"]

Stars = list[tuple[float, float, np.ndarray]]


@dataclass(frozen=True)
class Ingredients:
    """Functions and parameters that differ between plain and realistic scenes."""

    conditions: Callable[[np.random.Generator, Survey, Geometry, bool], Conditions]
    cluster: Callable[[np.random.Generator, Canvas, float, float, tuple[float, float]], Cluster]
    field: Callable[[np.random.Generator, Canvas], None]
    stars: Callable[[np.random.Generator, Canvas], Stars]
    groups: float
    """fraction of the scenes with a group of galaxies instead of a cluster"""
    nearby_spirals: float
    """fraction of the scenes without a lens that contain a nearby spiral"""
    artefacts: float
    """fraction of the scenes with an artefact"""
    sky_residual: float
    """largest residual of the sky subtraction, in units of the sky rms"""


PLAIN = Ingredients(draw_conditions, draw_cluster, draw_field, draw_stars, 0.0, 0.0, 0.15, 0.0)
REALISTIC = Ingredients(
    draw_real_conditions, draw_real_cluster, draw_real_field, draw_real_stars, 1.0 / 6.0, 0.03, 0.08, 0.45
)


def draw_galaxies(
    rng: np.random.Generator,
    canvas: Canvas,
    redshift: float,
    richness: float,
    offset: tuple[float, float],
    is_lens: bool,
    streams: Streams,
    parts: Ingredients,
) -> tuple[Cluster, list[str]]:
    """Draw the cluster, the field and the impostors; return the cluster and the kinds of impostors."""
    blank = Blank(canvas.geometry, canvas.floor)
    wide = streams.in_half("galaxies")
    # Plain galaxies are drawn in every scene, so that later parts of the scene get the same random numbers.
    cluster = parts.cluster(rng, blank if wide else canvas, redshift, richness, offset)
    parts.field(rng, blank if wide else canvas)
    if wide is not None:
        cluster = draw_wide_cluster(wide, canvas, redshift, richness, offset, cluster.sequence)
        draw_wide_field(wide, canvas)
    wide = streams.in_half("impostors")
    impostors = draw_impostors(rng, blank if wide else canvas, cluster)
    if wide is not None:
        return draw_wide_impostors(wide, canvas, cluster, is_lens=is_lens)
    if not is_lens and parts.nearby_spirals > 0.0 and rng.random() < parts.nearby_spirals:
        cluster = draw_nearby_spiral(rng, canvas, cluster, parts.field)
        impostors.append("nearby-spiral")
    return cluster, impostors
