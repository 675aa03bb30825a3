"""Real windows without an arc, and simulated scenes without a lens in the same pixels and conditions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from _real_windows import complete_survey, survey_windows, window_cell
from _scenes import cache_key, cache_path
from joblib import Parallel, delayed

from gridlens import CutoutSet
from gridlens._turns import turned
from gridlens.cutouts._surveys import Survey
from gridlens.features import measure
from gridlens.features._contract import N_IMAGE_FEATURES
from gridlens.simulate import SceneSettings
from gridlens.simulate._backgrounds import Backgrounds, _measure, planes_of
from gridlens.simulate._canvas import Canvas, Geometry, flux_of
from gridlens.simulate._observe import sky_noise
from gridlens.simulate._population import Cluster
from gridlens.simulate._scene import Scene, draw_scene

__all__ = ["SKIES", "Sky", "conditions_of", "real_sky", "simulated_sky"]

# Median FWHM in g, r and i, arcsec, of Moffat profiles fitted to the unsaturated stars of the images.
_SEEING = {
    "hsc": (0.77, 0.75, 0.60),
    "sdss": (1.17, 0.92, 0.90),
    "kids": (1.04, 0.84, 0.92),
    "ps1": (1.27, 1.28, 1.09),
    "des": (1.16, 0.89, 0.82),
}
# The zero points of the KiDS field are unknown. This depth gives its galaxies the counts and colours of those in other
# fields. It is shallower than the survey, whose pixels are finer than the 0.34 arcsec of this file.
_KIDS_DEPTH = (24.8, 25.0, 24.1)
# AB zero point of the images.
_ZERO_POINT = {"hsc": 27.0, "sdss": 22.5, "ps1": 25.0, "des": 30.0}
_SCENE_ZERO_POINT = 27.0
# Width of the windows, pixels: narrower than in the injected sets, so that more of the small fields have room for one.
_SIZE = {"hsc": 200}
# Largest offset of a central galaxy from the centre of a pixel, pixels: the stamps of DES are centred on the galaxy.
_OFF_PIXEL = {"des": 0.08}
# If there are fewer windows than this, all their eight flips and turns are used.
_FEW = 100
# Half-light radius / FWHM of a Moffat profile with an exponent of 4.
_HALF_LIGHT = 0.58
SKIES = ("clusters", "galaxies")
"""centres of the simulated scenes: clusters as in the training scenes, or one galaxy as in the windows"""


@dataclass(frozen=True)
class Sky:
    """Features of cutouts without a lens.

    Parameters
    ----------
    features : ndarray of shape (n, 306), float32
    groups : ndarray of shape (n,), str
        Rows of one group show the same part of the sky.
    images : ndarray of shape (n,), str
        Rows of one image share its noise, its PSF and its processing.
    """

    features: np.ndarray = field(repr=False)
    groups: np.ndarray = field(repr=False)
    images: np.ndarray = field(repr=False)


def real_sky(folder: Path, name: str) -> tuple[Sky, Backgrounds]:
    """Return the features of the windows of a survey, flipped and turned, and the windows themselves.

    A group is a part of the sky one window wide or, in HSC and DES, a field.
    """
    windows = survey_windows(folder, name, _SIZE.get(name))
    cutouts = windows.cutouts()
    centre = 0.5 * (cutouts.pixels.shape[1] - 1)
    rows = []
    # Two orientations are enough if there are many windows.
    turns = range(8) if len(windows) < _FEW else (0, 5)
    for turn in turns:
        places = [_turned_place(x - centre, y - centre, turn) for x, y in cutouts.bcg_xy]
        pixels = np.stack([turned(cutout, turn) for cutout in cutouts.pixels])
        rows.append(_features(pixels, [(centre + x, centre + y) for x, y in places], float(cutouts.pixel_scale[0])))
    fields = name in ("hsc", "des")
    groups = [str(window.image) if fields else window_cell(window) for window in windows.windows]
    images = [str(window.image) for window in windows.windows]
    copies = len(turns)
    return Sky(np.concatenate(rows), np.array(groups * copies), np.array(images * copies)), windows


def _turned_place(x: float, y: float, turn: int) -> tuple[float, float]:
    """Flip and turn a position, relative to the centre, in the same way as `turned` flips and turns the pixels."""
    x = -x if turn >= 4 else x
    for _ in range(turn % 4):
        x, y = y, -x
    return x, y


def conditions_of(name: str, windows: Backgrounds) -> Survey:
    """Return the preset of a survey with the seeing and the depth of the images, measured or, for KiDS, assumed."""
    survey = replace(complete_survey(name), seeing=_SEEING[name])
    if name == "kids":
        return replace(survey, depth=_KIDS_DEPTH)
    sigma = np.median([image.sky_sigma for image in windows.images if image.sky_sigma.min() > 0.0], axis=0)
    sigma = sigma * 10.0 ** (0.4 * (_SCENE_ZERO_POINT - _ZERO_POINT[name]))
    scale = windows.images[0].pixel_scale
    depth = 2.5 * np.log10(sky_noise(np.zeros(3), np.array(survey.seeing), scale) / sigma)
    return replace(survey, depth=tuple(float(mag) for mag in depth))


def simulated_sky(
    name: str, windows: Backgrounds, settings: SceneSettings, centres: str, n: int, seed: int, jobs: int
) -> Sky:
    """Return `n` scenes without a lens, with the pixels and conditions of a survey's windows.

    Parameters
    ----------
    name : str
        A survey of `REAL_SURVEYS`.
    windows : Backgrounds
        Windows of the survey. If `centres` is "galaxies", the scenes have central galaxies like theirs.
    settings : SceneSettings
        Only the ingredients are used; the fractions of lenses and of varied scenes are set to 0.
    centres : str
        One of `SKIES`.
    n, seed, jobs : int
        Number of scenes, their seed, and the number of processes.
    """
    settings = replace(settings, lens_fraction=0.0, varied_fraction=0.0)
    survey = conditions_of(name, windows)
    key = cache_key((settings, survey, centres, n, seed), ("cutouts", "features", "simulate"), ("_realism_sets",))
    path = cache_path(f"realism-{name}-{centres}-{key}.npy")
    if not path.exists():
        galaxies = _central_galaxies(windows, survey) if centres == "galaxies" else None
        geometry = Geometry(windows.windows[0].size, windows.images[0].pixel_scale)
        make = partial(realism_scene, survey, settings, geometry, galaxies, seed)
        scenes = Parallel(n_jobs=jobs, batch_size=16)(delayed(make)(index) for index in range(n))
        # Scenes with an impostor are dropped: the simulator draws far more impostors than the sky has, on purpose.
        kept = [scene for scene in scenes if not scene.truth["impostor"]]
        np.save(path, _features(np.stack([s.pixels for s in kept]), [s.bcg_xy for s in kept], geometry.pixel_scale))
    features = np.load(path)
    names = np.array([f"scene-{number}" for number in range(len(features))])
    return Sky(features, names, names)


def realism_scene(
    survey: Survey, settings: SceneSettings, geometry: Geometry, galaxies: np.ndarray | None, seed: int, index: int
) -> Scene:
    """Return one scene. If `galaxies` (n, 4) is given, one of them (g, r, i and radius) replaces the cluster."""
    rng = np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(index,)))
    alone = None if galaxies is None else partial(_galaxy_alone, galaxies, _OFF_PIXEL.get(survey.name, 0.5))
    return draw_scene(rng, survey, settings, seed, index, geometry=geometry, draw_centre=alone)


def _galaxy_alone(galaxies: np.ndarray, off: float, rng: np.random.Generator, canvas: Canvas) -> Cluster:
    """Draw one of the `galaxies` (n, 4) of the windows, offset by at most `off` pixels from the centre of a pixel."""
    *mags, radius = rng.choice(galaxies)
    fluxes = flux_of(np.array(mags) + rng.normal(0.0, 0.2)) * 10.0 ** rng.normal(0.0, 0.02, 3)
    x, y = (float(c) for c in rng.uniform(-off, off, 2) * canvas.geometry.pixel_scale)
    n, axis_ratio = float(rng.uniform(2.0, 5.0)), float(np.clip(rng.normal(0.8, 0.15), 0.35, 1.0))
    angle = float(rng.uniform(0.0, math.pi))
    canvas.galaxy(x, y, float(radius), n, axis_ratio, angle, fluxes)
    return Cluster(math.nan, math.nan, (x, y), float(mags[1]), angle, np.array([[x, y, 1.0]]))


def _central_galaxies(windows: Backgrounds, survey: Survey) -> np.ndarray:
    """Return g, r and i magnitudes and the half-light radius, arcsec, of the central galaxy of each window.

    The zero point of the magnitudes makes the noise of the image that of the survey's depth.
    """
    scale = windows.images[0].pixel_scale
    expected = sky_noise(np.array(survey.depth), np.array(survey.seeing), scale)
    star = _HALF_LIGHT * np.mean(survey.seeing)
    rows = []
    for number, image in enumerate(windows.images):
        places = [window.bcg_xy for window in windows.windows if window.image == number]
        if not places:
            continue
        sources = _measure(image, planes_of(image), np.round(places).astype(np.int64))
        # The flux is scaled from the core to the whole galaxy, so the colours are those of the core.
        flux = sources.flux / np.maximum(sources.core, 0.1)[:, None] * expected / image.sky_sigma
        radii = np.sqrt(np.maximum(sources.half_light**2 - star**2, 0.04))
        mags = _SCENE_ZERO_POINT - 2.5 * np.log10(np.maximum(flux, expected))
        rows.append(np.column_stack([mags, radii]))
    return np.concatenate(rows)


def _features(pixels: np.ndarray, bcg_xy: list[tuple[float, float]], pixel_scale: float) -> np.ndarray:
    """Return the image features of cutouts, (n, 306)."""
    cutouts = CutoutSet(pixels, bcg_xy=bcg_xy, pixel_scale=[pixel_scale] * len(pixels))
    measured = measure(cutouts)
    return np.asarray(measured.features[~measured.rejected, :N_IMAGE_FEATURES])
