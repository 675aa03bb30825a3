"""Simulated scenes, measured in the same way as cutouts to score."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.features import Measured, measure
from gridlens.training._recipe import Recipe
from gridlens.training._store import MeasuredStore

if TYPE_CHECKING:
    from gridlens.simulate import Geometry

__all__ = ["keep_scenes", "measured_scenes", "weights"]


def measured_scenes(
    n: int,
    seed: int,
    surveys: tuple[str, ...] = SIMULATED_SURVEYS,
    *,
    canonical: bool = False,
    lens_fraction: float = 0.5,
    target: str = "galaxy-cluster",
    pixels: bool = False,
    randomisation: tuple[str, ...] = (),
    randomised_fraction: float = 1.0,
    realistic_fraction: float = 0.0,
    geometry: Geometry | None = None,
    n_jobs: int | None = -1,
) -> Iterator[tuple[Measured, list[dict[str, Any]]]]:
    """Simulate and measure scenes in parallel; the result does not depend on the number of processes.

    Parameters
    ----------
    n : int
        Number of scenes.
    seed : int
        Seed of the scenes.
    surveys, target, lens_fraction
        As in `Recipe`; `lens_fraction` is the fraction of scenes with a lens.
    canonical : bool, default=False
        Whether all scenes have the canonical geometry; otherwise a third of them deviates from it.
    pixels : bool, default=False
        Whether the rows keep their cutouts (200 kB each). All scenes then have the canonical size, since a set of
        cutouts has a single size; with "sampling" in `randomisation` their pixel scales differ.
    randomisation, randomised_fraction, realistic_fraction
        As in `SceneSettings`.
    geometry : Geometry, default=None
        Size and pixel scale of all scenes, instead of those above.
    n_jobs : int, default=-1
        Number of processes; -1 uses all processors.

    Yields
    ------
    measured : Measured
        The next scenes in order, with all metadata.
    truth : list of dict
        The truth of each of them.
    """
    from gridlens.simulate import SceneSettings, simulate_scene
    from gridlens.simulate._dataset import map_blocks

    settings = SceneSettings(
        surveys=surveys,
        lens_fraction=lens_fraction,
        cluster_cluster=float(target == "cluster-cluster"),
        randomisation=randomisation,
        randomised_fraction=randomised_fraction,
        realistic_fraction=realistic_fraction,
    )
    if canonical or pixels:
        settings = replace(settings, varied_fraction=0.0)
    make = partial(simulate_scene, seed, settings=settings, geometry=geometry)
    for _, block in map_blocks(partial(_measure_block, pixels), make, n, n_jobs):
        yield block


def _measure_block(
    pixels: bool, make: Callable[[int], Any], start: int, stop: int
) -> tuple[Measured, list[dict[str, Any]]]:
    from gridlens.simulate import scenes_to_cutouts

    rows, truth = [], []
    for index in range(start, stop):
        scene = make(index)
        measured = measure(scenes_to_cutouts([scene]))
        rows.append(measured if pixels else measured.without_cutouts())
        truth.append(scene.truth)
    return Measured.concatenate(rows), truth


def keep_scenes(
    store: MeasuredStore,
    blocks: Iterator[tuple[Measured, list[dict[str, Any]]]],
    progress: Callable[[int], Any],
) -> pd.DataFrame:
    """Append the scenes that are not rejected to a store, and return their truth."""
    kept: list[dict[str, Any]] = []
    for measured, truth in blocks:
        usable = ~measured.rejected
        store.add(measured if usable.all() else measured[usable])
        kept += [row for row, good in zip(truth, usable, strict=True) if good]
        progress(len(measured))
    return pd.DataFrame(kept)


def weights(truth: pd.DataFrame, recipe: Recipe) -> np.ndarray:
    """Return the training weight of each scene; lenses with faint arcs have a smaller weight."""
    faint = truth["arc_snr"].to_numpy() < recipe.faint_snr  # NaN, a scene without a lens, is not faint
    return np.where(faint, recipe.faint_weight, 1.0)
