"""Rows used in addition to graded ones: the training rows of the old model, and scenes for calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from gridlens.calibration._weights import effective_number
from gridlens.errors import GridlensError
from gridlens.training._examples import Examples
from gridlens.training._grades import Graded
from gridlens.training._kept import KeptRows
from gridlens.training._labels import Labels
from gridlens.training._old_model import OldModel
from gridlens.training._scenes import keep_scenes, measured_scenes, weights
from gridlens.training._simulated import scene_examples
from gridlens.training._store import MeasuredStore

__all__ = ["FEWEST_LENSES", "FEWEST_OTHERS", "OldRows", "calibrated_on", "effective_count", "n_scenes", "old_rows"]

FEWEST_LENSES, FEWEST_OTHERS = 30, 500
"""smallest effective numbers of graded objects for a calibration: with fewer than 500 non-lenses, the lowest calibrated
probabilities are far above the prevalence of lenses in a survey"""
_SCENES = 4096


class OldRows(NamedTuple):
    """Rows used in addition to graded ones.

    Attributes
    ----------
    learn : Examples or None
        Rows of the earlier training: those with a label in a table, or simulated scenes of the recipe of the old model.
        None if neither is known.
    calibrate : Examples or None
        Scenes, if they are used for the calibration.
    """

    learn: Examples | None
    calibrate: Examples | None


def calibrated_on(graded: Graded, known: Labels | None, old: OldModel) -> Literal["grades", "labels", "scenes"]:
    """Return the kind of rows to calibrate on: graded ones if enough of them represent the pool.

    Raises
    ------
    GridlensError
        Too few graded rows represent the pool, and there are no other rows.
    """
    objects = graded.objects[graded.objects["gold"].isna().to_numpy()]
    weight, likely = objects["represents"].fillna(0.0).to_numpy(), (objects["q"] >= 0.5).to_numpy()
    lenses, others = effective_count(weight[likely]), effective_count(weight[~likely])
    if lenses >= FEWEST_LENSES and others >= FEWEST_OTHERS:
        return "grades"
    if known is not None:
        return "labels"
    if old.recipe is not None:
        return "scenes"
    raise GridlensError(
        f"The 'grades' parameter must contain effective numbers of at least {FEWEST_LENSES} lenses and {FEWEST_OTHERS} "
        f"non-lenses that represent the pool, for the calibration. Got {lenses:.0f} and {others:.0f} instead, and the "
        f"old model, {old.name}, was not trained on simulated scenes, which could be used instead. Give the labels "
        "that it was trained on with the 'labels' parameter, or grade more random objects."
    )


def effective_count(weight: np.ndarray) -> float:
    """Return the effective number of rows with these weights; 0 without a weight above 0."""
    return effective_number(weight[weight > 0.0]) if weight.any() else 0.0


def n_scenes(known: Labels | None, old: OldModel, on: str) -> int:
    """Return the number of scenes that `old_rows` simulates."""
    return 0 if known is not None or old.recipe is None else _SCENES * (1 + (on == "scenes"))


def old_rows(
    labelled: KeptRows,
    known: Labels | None,
    old: OldModel,
    on: str,
    folder: Path,
    *,
    pixels: bool,
    n_jobs: int | None,
    progress: Callable[[int], Any],
) -> OldRows:
    """Return the labelled rows, or simulate and measure scenes of the recipe of the old model.

    Parameters
    ----------
    labelled : KeptRows
    known : Labels or None
    old : OldModel
    on : {"grades", "labels", "scenes"}
        Calibration rows.
    folder : Path
        Folder for memory-mapped files.
    pixels : bool
        Whether members need pixels.
    n_jobs : int
        Number of processes.
    progress : callable
        Called with the number of scenes finished since the last call.
    """
    if known is not None:
        label, group, _ = known.at(labelled.places)
        return OldRows(Examples(labelled.store, label, group, np.ones(len(label))), None)
    recipe = old.recipe
    if recipe is None:
        return OldRows(None, None)

    def scenes(name: str, seed: int, **options: Any) -> Examples:
        store = MeasuredStore(folder, name)
        blocks = measured_scenes(
            _SCENES, seed, recipe.surveys, target=recipe.target, pixels=pixels, n_jobs=n_jobs, **options
        )
        truth = keep_scenes(store, blocks, progress)
        return replace(scene_examples(store, truth), weight=weights(truth, recipe))

    learn = scenes(
        "scenes",
        recipe.train_seed,
        randomisation=recipe.randomisation,
        randomised_fraction=recipe.randomised_fraction,
        realistic_fraction=recipe.realistic_fraction,
    )
    if on != "scenes":
        return OldRows(learn, None)
    fraction = recipe.calibrate_lens_fraction
    held = scenes("scenes-to-calibrate", recipe.calibrate_seed, canonical=True, lens_fraction=fraction)
    return OldRows(learn, replace(held, group=None, weight=None))
