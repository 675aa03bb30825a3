"""Simulation of one scene with its truth, determined by a seed and an index."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from gridlens.cutouts import METADATA_NAMES, get_survey
from gridlens.cutouts._surveys import SIMULATED_SURVEYS, Survey
from gridlens.simulate._canvas import Canvas, Geometry
from gridlens.simulate._catalogue import catalogue_metadata
from gridlens.simulate._ingredients import PLAIN, REALISTIC, draw_galaxies
from gridlens.simulate._lens import ClusterMass, critical_radius, draw_mass
from gridlens.simulate._observe import (
    Conditions,
    add_artefact,
    add_noise,
    add_saturation,
)
from gridlens.simulate._population import Cluster
from gridlens.simulate._randomised import RANDOMISED, Streams
from gridlens.simulate._real_sky import add_sky_residual
from gridlens.simulate._sources import Source, draw_lensed, draw_sources
from gridlens.simulate._wide_background import add_background
from gridlens.simulate._wide_lens import draw_wide_mass, draw_wide_sources
from gridlens.simulate._wide_sky import draw_sampling, widened

__all__ = [
    "TRUTH_COLUMNS",
    "Scene",
    "SceneSettings",
    "arc_truth",
    "draw_lens",
    "draw_scene",
    "simulate_scene",
    "usual_einstein_radius",
]

GalaxyMaker = Callable[[np.random.Generator, Canvas], Cluster]

# Richness of a group relative to that of the cluster that it replaces.
_GROUP_RICHNESS = 0.3
# Range of Einstein radii of lensing groups, arcsec.
_GROUP_RADII = (4.0, 8.0)
# Sizes of scenes with varied geometry: only a few, so that shards of one size fill up.
_VARIED_SIZES = (64, 96, 128, 160, 200)

TRUTH_COLUMNS = (
    "id",
    "seed",
    "label",
    "kind",
    "theta_e",
    "theta_e_halo",
    "halo",
    "halo_axis_ratio",
    "halo_angle",
    "core",
    "scale_radius",
    "shear",
    "n_sources",
    "source_redshift",
    "source_mag_r",
    "source_gr",
    "source_ri",
    "magnification",
    "arc_mag_r",
    "arc_snr",
    "arc_length",
    "arc_width",
    "arc_distance",
    "impostor",
    "artefact",
    "survey",
    "varied",
    "size",
    "pixel_scale",
    "bcg_x",
    "bcg_y",
    "bcg_mag_r",
    *METADATA_NAMES,
)


@dataclass(frozen=True)
class SceneSettings:
    """Settings of a set of scenes.

    Parameters
    ----------
    surveys : tuple of str
        Presets from `gridlens.cutouts.SIMULATED_SURVEYS`; one is drawn per scene.
    lens_fraction : float, default=0.5
        Fraction of the scenes with a lens.
    varied_fraction : float, default=1/3
        Fraction of the scenes with another geometry than the canonical one and other depth and seeing than the preset.
    cluster_cluster : float, default=0.0
        Fraction of the lenses whose source is a background cluster. The same fraction of scenes without a lens have the
        wide field of these lenses, so the size of a cutout carries no information.
    randomisation : tuple of str, default=()
        Parts drawn from wider distributions than those of the survey, from `RANDOMISED`.
    randomised_fraction : float, default=1.0
        Fraction of the scenes that are randomized; each part is then randomized in half of these scenes.
    realistic_fraction : float, default=0.0
        Fraction of the scenes with realistic galaxies, stars, PSF and noise, and with nearby spirals in some scenes
        without a lens. A sixth of them are groups of galaxies, whose lenses have Einstein radii of 4 to 8 arcsec.
    """

    surveys: tuple[str, ...] = SIMULATED_SURVEYS
    lens_fraction: float = 0.5
    varied_fraction: float = 1.0 / 3.0
    cluster_cluster: float = 0.0
    randomisation: tuple[str, ...] = ()
    randomised_fraction: float = 1.0
    realistic_fraction: float = 0.0

    def __post_init__(self) -> None:
        if not self.surveys:
            raise ValueError("The 'surveys' parameter must name at least one survey. Got none instead.")
        for name in self.surveys:
            if get_survey(name).name not in SIMULATED_SURVEYS:
                raise ValueError(
                    f"The 'surveys' parameter must hold names that are each one of {', '.join(SIMULATED_SURVEYS)}. "
                    f"Got {name!r} instead."
                )
        for name in self.randomisation:
            if name not in RANDOMISED:
                raise ValueError(
                    f"The 'randomisation' parameter must hold names that are each one of {', '.join(RANDOMISED)}. "
                    f"Got {name!r} instead."
                )
        for name in (
            "lens_fraction",
            "varied_fraction",
            "cluster_cluster",
            "randomised_fraction",
            "realistic_fraction",
        ):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"The '{name}' parameter must be between 0 and 1. Got {value!r} instead.")


@dataclass(frozen=True)
class Scene:
    """A simulated cutout and its truth."""

    pixels: np.ndarray
    """(H, W, 3) float32, g, r, i; AB zero point 27, or the unit of the real image into which arcs are injected"""
    bcg_xy: tuple[float, float]
    """pixels"""
    pixel_scale: float
    truth: dict[str, Any]
    arc: np.ndarray
    """(H, W, 3) float32: only the lensed light, without noise, in the unit of the pixels"""


def simulate_scene(
    seed: int, index: int, settings: SceneSettings | None = None, *, geometry: Geometry | None = None
) -> Scene:
    """Simulate scene number `index` of the set with the seed `seed`.

    The result depends only on the arguments, not on earlier calls.

    Parameters
    ----------
    seed, index : int
        Non-negative.
    settings : SceneSettings, optional
    geometry : Geometry, optional
        Size and pixel scale, which override those drawn by `settings`.

    Returns
    -------
    Scene

    Examples
    --------
    >>> from gridlens.simulate import simulate_scene
    >>> scene = simulate_scene(seed=1, index=0)
    >>> scene.pixels.shape[2], scene.truth["label"] in (0, 1)
    (3, True)
    """
    settings = settings or SceneSettings()
    rng = np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(index,)))
    survey = get_survey(str(rng.choice(settings.surveys)))
    return draw_scene(rng, survey, settings, seed, index, geometry=geometry)


def draw_scene(
    rng: np.random.Generator,
    survey: Survey,
    settings: SceneSettings,
    seed: int,
    index: int,
    *,
    geometry: Geometry | None = None,
    draw_centre: GalaxyMaker | None = None,
) -> Scene:
    """Draw a scene for `survey`; `settings.surveys` is not used, and `seed` and `index` only name the scene.

    `geometry` replaces the canonical one, and `draw_centre` draws a galaxy or a cluster instead of the cluster and the
    impostors.
    """
    parts = REALISTIC if _is_realistic(settings, seed, index) else PLAIN
    is_lens = bool(rng.random() < settings.lens_fraction)
    streams = Streams(seed, index, settings.randomisation, settings.randomised_fraction)
    # If there are no such lenses, no random number is drawn for the other scenes.
    wide = (is_lens or settings.cluster_cluster > 0.0) and bool(rng.random() < settings.cluster_cluster)
    cluster_cluster = is_lens and wide
    varied = bool(rng.random() < settings.varied_fraction)
    drawn, sampling = _draw_geometry(rng, varied, wide), draw_sampling(streams)
    geometry = geometry or drawn
    if geometry == Geometry() and sampling.pixel_scale is not None:
        geometry = Geometry(geometry.size, sampling.pixel_scale)
    conditions = widened(parts.conditions(rng, survey, geometry, varied), streams, geometry, sampling, varied)
    canvas = Canvas(geometry, floor=0.05 * float(conditions.sky_sigma.min()) / geometry.pixel_scale**2)

    redshift = float(rng.uniform(0.2, 0.7))
    richness = float(rng.lognormal(math.log(50.0), 0.45))
    is_group = parts.groups > 0.0 and bool(rng.random() < parts.groups)
    if is_group:
        richness *= _GROUP_RICHNESS
    impostors: list[str] = []
    if draw_centre is not None:
        cluster = draw_centre(rng, canvas)
        parts.field(rng, canvas)
    else:
        cluster, impostors = draw_galaxies(rng, canvas, redshift, richness, sampling.offset, is_lens, streams, parts)
    saturated = parts.stars(rng, canvas)

    arc = np.zeros((3, geometry.size, geometry.size))
    truth: dict[str, Any] = {}
    if is_lens:
        wide_sources = streams.in_half("sources")
        low, high = np.log(_GROUP_RADII)
        theta_e = math.exp(rng.uniform(low, high)) if is_group and not cluster_cluster else None
        arc, truth = draw_lens(rng, canvas, cluster, conditions, cluster_cluster, wide_sources, theta_e)
    light = conditions.observe(canvas) + arc
    pixels = add_noise(rng, light * conditions.gains[:, None, None], conditions, geometry.pixel_scale)
    if parts.sky_residual > 0.0:
        add_sky_residual(rng, pixels, conditions.sky_sigma, parts.sky_residual)
    add_saturation(rng, pixels, saturated, conditions, geometry)
    artefacts = [add_artefact(rng, pixels, conditions.sky_sigma)] if rng.random() < parts.artefacts else []
    artefacts += add_background(streams, pixels, light, conditions.sky_sigma, saturated, geometry, cluster.bcg)
    # The sky level varies, since the sky subtraction of coadds is never exact.
    pixels += (conditions.sky_sigma * rng.normal(0.0, 0.3, 3))[:, None, None]

    centre = 0.5 * (geometry.size - 1)
    bcg_xy = tuple(centre + (c + e) / geometry.pixel_scale for c, e in zip(cluster.bcg, sampling.error, strict=True))
    truth |= {
        "id": f"sim-{seed}-{index:06d}",
        "seed": seed,
        "label": int(is_lens),
        "kind": "cluster-cluster" if cluster_cluster else "galaxy-cluster" if is_lens else "none",
        "impostor": "+".join(impostors),
        "artefact": "+".join(artefacts),
        "survey": survey.name,
        "varied": varied,
        "size": geometry.size,
        "pixel_scale": geometry.pixel_scale,
        "bcg_x": bcg_xy[0],
        "bcg_y": bcg_xy[1],
        "bcg_mag_r": cluster.bcg_mag,
        **catalogue_metadata(rng, cluster, conditions),
    }
    return Scene(
        np.ascontiguousarray(np.moveaxis(pixels, 0, 2), dtype=np.float32),
        (bcg_xy[0], bcg_xy[1]),
        geometry.pixel_scale,
        {name: truth.get(name, math.nan) for name in TRUTH_COLUMNS},
        np.ascontiguousarray(np.moveaxis(arc, 0, 2), dtype=np.float32),
    )


def _is_realistic(settings: SceneSettings, seed: int, index: int) -> bool:
    """Return whether a scene is realistic, from a separate random number."""
    stream = np.random.SeedSequence(entropy=seed, spawn_key=(index, 2 + len(RANDOMISED)))
    return bool(np.random.default_rng(stream).random() < settings.realistic_fraction)


def _draw_geometry(rng: np.random.Generator, varied: bool, wide: bool) -> Geometry:
    """Draw the geometry: canonical, or with 0.19 to 0.7 arcsec per pixel and 30 to 90 arcsec across."""
    if not varied:
        # Images of a background cluster extend to 50 arcsec and need a wide field.
        return Geometry(192, 0.6) if wide else Geometry()
    size = int(rng.choice(_VARIED_SIZES))
    low = max(0.19, (60.0 if wide else 30.0) / size)
    high = min(0.7, 90.0 / size)
    return Geometry(size, float(rng.uniform(min(low, high), high)))


def draw_lens(
    rng: np.random.Generator,
    scene: Canvas,
    cluster: Cluster,
    conditions: Conditions,
    cluster_cluster: bool,
    wide: np.random.Generator | None = None,
    theta_e: float | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the observed lensed light without noise, (3, size, size), and its truth.

    With `wide`, the stream of the randomized sources, mass and sources are drawn from wide distributions. `theta_e` is
    the Einstein radius of the cluster's halo, arcsec; None draws one.
    """
    if theta_e is None:
        theta_e = usual_einstein_radius(rng, scene.geometry, cluster_cluster)
    mass = draw_mass(rng, cluster.redshift, theta_e, cluster.bcg, cluster.bcg_angle, cluster.members[:25])
    sheet = Canvas(scene.geometry, scene.floor)
    measured, curve = critical_radius(mass, cluster.bcg)
    sources = draw_sources(rng, mass, curve, cluster.bcg, cluster_cluster)
    if wide is not None:
        mass = draw_wide_mass(wide, cluster.redshift, theta_e, cluster.bcg, cluster.bcg_angle, cluster.members[:25])
        measured, curve = critical_radius(mass, cluster.bcg)
        sources = draw_wide_sources(wide, mass, curve, cluster.bcg, cluster_cluster)
    magnification = draw_lensed(sheet, mass, sources)
    arc = conditions.observe(sheet)
    truth = _mass_truth(mass, measured) | _source_truth(sources)
    truth["magnification"] = magnification
    truth |= arc_truth(arc, conditions.sky_sigma, cluster.bcg, scene.geometry)
    return arc, truth


def usual_einstein_radius(rng: np.random.Generator, geometry: Geometry, cluster_cluster: bool = False) -> float:
    """Draw the Einstein radius of a cluster's halo, arcsec."""
    low, high = (20.0, 50.0) if cluster_cluster else (8.0, 32.0)
    # The Einstein radius is limited to the size of the cutout: beyond its edge there is no arc to learn from.
    high = max(min(high, 0.5 * geometry.field), low)
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _mass_truth(mass: ClusterMass, theta_e: float) -> dict[str, Any]:
    """Return the truth of the mass model, with Einstein radii for a source at the reference redshift."""
    return {"theta_e": theta_e, "theta_e_halo": mass.theta_e_halo, "halo": mass.halo, **mass.extra}


def _source_truth(sources: list[Source]) -> dict[str, Any]:
    """Return the truth of the brightest source, which represents all sources."""
    brightest = min(sources, key=lambda source: source.r_mag)
    return {
        "n_sources": len(sources),
        "source_redshift": brightest.redshift,
        "source_mag_r": brightest.r_mag,
        "source_gr": brightest.colours[0],
        "source_ri": brightest.colours[1],
    }


def arc_truth(arc: np.ndarray, sky_sigma: np.ndarray, bcg: tuple[float, float], geometry: Geometry) -> dict[str, float]:
    """Measure brightness, S/N and shape of the lensed light.

    Parameters
    ----------
    arc : ndarray of shape (3, H, W)
        Lensed light without noise.
    sky_sigma : ndarray of shape (3,)
        rms of the sky per pixel, in the same unit.
    bcg : tuple of float
        Position of the BCG, arcsec from the cutout's centre.
    geometry : Geometry

    Returns
    -------
    dict
        ``arc_mag_r`` (total, AB, zero point 27), ``arc_snr`` (per band the flux in pixels above one sky sigma, over
        sigma times the root of their number; summed over bands), and for the longest image ``arc_length``,
        ``arc_width`` (area over length) and ``arc_distance`` of its centroid from the BCG, arcsec; NaN if no pixel of
        the summed image is above the noise.
    """
    total = float(arc[1].sum())
    snr = 0.0
    for band in range(3):
        bright = arc[band][arc[band] > sky_sigma[band]]
        if bright.size:
            snr += float(bright.sum()) / (float(sky_sigma[band]) * math.sqrt(bright.size))
    result = {
        "arc_mag_r": 27.0 - 2.5 * math.log10(total) if total > 0.0 else math.nan,
        "arc_snr": snr,
        "arc_length": math.nan,
        "arc_width": math.nan,
        "arc_distance": math.nan,
    }
    stacked = (arc / sky_sigma[:, None, None]).sum(axis=0) / math.sqrt(3.0)
    labels, count = ndimage.label(stacked > 1.0, structure=np.ones((3, 3)))
    half, scale = 0.5 * (geometry.size - 1), geometry.pixel_scale
    for label in range(1, count + 1):
        y, x = np.nonzero(labels == label)
        dx, dy = (x - half) * scale - bcg[0], (y - half) * scale - bcg[1]
        r = float(np.hypot(dx, dy).mean())
        middle = math.atan2(float(dy.mean()), float(dx.mean()))
        along = (np.arctan2(dy, dx) - middle + math.pi) % (2.0 * math.pi) - math.pi
        around = r * float(np.ptp(along))
        across = math.hypot(float(np.ptp(dx)), float(np.ptp(dy)))
        length = max(around if r > 3.0 else 0.0, across, scale)
        if not length <= result["arc_length"]:
            result["arc_length"] = length
            result["arc_width"] = x.size * scale**2 / length
            result["arc_distance"] = math.hypot(float(dx.mean()), float(dy.mean()))
    return result
