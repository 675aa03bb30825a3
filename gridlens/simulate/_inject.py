"""Injection of arcs into real images: everything except the lensed light is real."""

import math
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens._turns import turned
from gridlens.cutouts import get_survey
from gridlens.simulate._backgrounds import Backgrounds, RealImage, Window, corner, sky_rms
from gridlens.simulate._canvas import Canvas, Geometry
from gridlens.simulate._dataset import write_scenes
from gridlens.simulate._observe import Conditions, photon_noise, sky_noise
from gridlens.simulate._population import Cluster
from gridlens.simulate._scene import TRUTH_COLUMNS, Scene, SceneSettings, draw_lens

__all__ = ["inject_scene", "write_injected_set"]

# Windows are shifted by up to this many pixels in x and y, so that repeated windows differ.
_JITTER = 2


def inject_scene(seed: int, index: int, backgrounds: Backgrounds, settings: SceneSettings | None = None) -> Scene:
    """Extract a window of a real image and add a cluster's arcs in a fraction `settings.lens_fraction` of scenes.

    Scenes use the windows in an order shuffled by `seed`, so that as many scenes as there are windows use each window
    once. A window is shifted by up to two pixels and rotated or flipped. The result depends only on the arguments.

    Parameters
    ----------
    seed, index : int
        Non-negative.
    backgrounds : Backgrounds
        From `load_backgrounds`.
    settings : SceneSettings, optional
        Only `lens_fraction` and the first of `surveys`, whose preset supplies seeing and depth, are used.

    Returns
    -------
    Scene
        Pixels and arc in the image's flux unit. Truth as for simulated scenes, with `kind` "injected" or "none"; NaN
        for values that are unknown for a real image (richness, BCG magnitude ...). Magnitudes are on the scale
        described below; `redshift` is the redshift of the lens, drawn in every scene.

    Notes
    -----
    The image's zero point is not needed. One factor for all three bands scales the image's noise to the preset's depth,
    averaged over the bands in magnitudes: the arcs have the S/N that they would have in that survey, and realistic
    colours relative to the image's galaxies. Photon noise is added for the arcs only, since the image already contains
    that of the sky. Bad pixels stay bad.

    Examples
    --------
    >>> from gridlens.simulate import SceneSettings, inject_scene, load_backgrounds
    >>> backgrounds = load_backgrounds("field.fits", pixel_scale=0.34)  # doctest: +SKIP
    >>> scene = inject_scene(1, 0, backgrounds, SceneSettings(surveys=("kids",)))  # doctest: +SKIP
    """
    settings = settings or SceneSettings()
    rng = np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(index,)))
    order = np.random.default_rng(seed).permutation(len(backgrounds))
    window = backgrounds.windows[int(order[index % len(order)])]
    image = backgrounds.images[window.image]
    pixels, bcg, angle, members = _place(rng, image, window)
    geometry = Geometry(window.size, image.pixel_scale)
    is_lens = bool(rng.random() < settings.lens_fraction)
    redshift = float(rng.uniform(0.2, 0.7))

    survey = get_survey(settings.surveys[0])
    seeing, depth = np.array(survey.seeing), np.array(survey.depth)
    expected = sky_noise(depth, seeing, image.pixel_scale)
    unit = float(np.exp(np.mean(np.log(image.sky_sigma / expected))))
    sky_sigma = sky_rms(pixels) / unit
    depth = depth - 2.5 * np.log10(sky_sigma / expected)
    conditions = Conditions(seeing, depth, sky_sigma, 0.0, np.ones(3), np.zeros((3, 2)))

    arc = np.zeros((3, window.size, window.size))
    truth: dict[str, Any] = {}
    if is_lens:
        # Properties that are unknown for real galaxies are not needed by the lens model.
        cluster = Cluster(redshift, math.nan, bcg, math.nan, angle, members)
        arc, truth = draw_lens(rng, Canvas(geometry, floor=0.0), cluster, conditions, False)
        light = arc + photon_noise(rng, arc, sky_sigma, image.pixel_scale)
        pixels = pixels + unit * np.moveaxis(light, 0, 2)

    centre = 0.5 * (window.size - 1)
    bcg_xy = (centre + bcg[0] / image.pixel_scale, centre + bcg[1] / image.pixel_scale)
    truth |= {
        "id": f"inj-{seed}-{index:06d}",
        "seed": seed,
        "label": int(is_lens),
        "kind": "injected" if is_lens else "none",
        "impostor": "",
        "artefact": "",
        "survey": survey.name,
        "varied": False,
        "size": window.size,
        "pixel_scale": image.pixel_scale,
        "bcg_x": bcg_xy[0],
        "bcg_y": bcg_xy[1],
        "seeing": float(seeing[1]),
        "depth": float(depth[1]),
        "redshift": redshift,
    }
    return Scene(
        np.ascontiguousarray(pixels, dtype=np.float32),
        bcg_xy,
        image.pixel_scale,
        {name: truth.get(name, math.nan) for name in TRUTH_COLUMNS},
        np.ascontiguousarray(unit * np.moveaxis(arc, 0, 2), dtype=np.float32),
    )


def write_injected_set(
    out: str | os.PathLike[str],
    n: int,
    backgrounds: Backgrounds,
    *,
    settings: SceneSettings | None = None,
    seed: int = 0,
    n_jobs: int | None = -1,
    progress: Callable[[int], Any] | None = None,
) -> pd.DataFrame:
    """Inject arcs into `n` windows of real images and write the cutouts to the folder `out`.

    Parameters
    ----------
    out : str or path
        A folder that does not exist or is empty. It is created when everything is written; an error or an interrupt
        leaves nothing behind.
    n : int
        Number of scenes, 1 or more. If there are fewer windows, they are used again with other shifts and rotations.
    backgrounds : Backgrounds
        From `load_backgrounds`.
    settings : SceneSettings, optional
        See `inject_scene`.
    seed : int, default=0
        The same seed gives the same files on any number of cores.
    n_jobs : int, default=-1
        Number of processes; -1 means all cores.
    progress : callable, optional
        Called with the number of scenes finished since the last call.

    Returns
    -------
    DataFrame of shape (n, 41)
        The truth table, with columns `TRUTH_COLUMNS`, as written to ``truth.csv``.

    Raises
    ------
    GridlensError
        `out` cannot be written or is not empty.

    Examples
    --------
    >>> from gridlens.simulate import SceneSettings, load_backgrounds, write_injected_set
    >>> backgrounds = load_backgrounds("field.fits")  # doctest: +SKIP
    >>> write_injected_set("injected/", 400, backgrounds, settings=SceneSettings(("kids",)))  # doctest: +SKIP
    """
    make = partial(inject_scene, seed, backgrounds=backgrounds, settings=settings)
    return write_scenes(out, n, make, n_jobs=n_jobs, progress=progress)


def _place(
    rng: np.random.Generator, image: RealImage, window: Window
) -> tuple[NDArray[np.float32], tuple[float, float], float, NDArray[np.float64]]:
    """Extract the window, shifted and rotated, with the BCG's position and angle and the members transformed.

    Returns
    -------
    pixels : ndarray of shape (size, size, 3)
    bcg : tuple of float
        arcsec from the centre.
    angle : float
        rad
    members : ndarray of shape (m, 3)
        x, y (arcsec from the centre) and luminosity over L*.
    """
    height, width = image.pixels.shape[:2]
    x, y = corner(window.bcg_xy, window.size) + rng.integers(-_JITTER, _JITTER + 1, 2)
    x = int(np.clip(x, 0, width - window.size))
    y = int(np.clip(y, 0, height - window.size))
    pixels = image.pixels[y : y + window.size, x : x + window.size]
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    # The same transformation of positions: a flip of x, then quarter turns, each of which maps (x, y) to (y, -x).
    matrix = np.diag([-1.0 if flip else 1.0, 1.0])
    for _ in range(turns):
        matrix = np.array([[0.0, 1.0], [-1.0, 0.0]]) @ matrix
    middle = np.array([x, y]) + 0.5 * (window.size - 1)
    positions = (window.members[:, :2] - middle) @ matrix.T * image.pixel_scale
    direction = matrix @ (math.cos(window.bcg_angle), math.sin(window.bcg_angle))
    bcg = (window.bcg_xy - middle) @ matrix.T * image.pixel_scale
    return (
        turned(pixels, turns + 4 * flip),
        (float(bcg[0]), float(bcg[1])),
        math.atan2(direction[1], direction[0]),
        np.column_stack([positions, window.members[:, 2]]),
    )
