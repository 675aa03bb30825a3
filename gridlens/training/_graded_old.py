"""Rows beside the graded ones: those that the old model was trained on, and scenes to calibrate on."""

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

__all__ = ["FEWEST_LENSES", "FEWEST_OTHERS", "OldRows", "calibrated_on", "n_scenes", "old_rows"]

FEWEST_LENSES, FEWEST_OTHERS = 30, 500
"""effective numbers of graded objects of each class that probabilities are calibrated on: of fewer others than 500, the
lowest probabilities of a calibration are far above the prevalence of lenses in a survey"""
_SCENES = 4096


class OldRows(NamedTuple):
    """Rows beside the graded ones.

    Attributes
    ----------
    learn : Examples or None
        Rows of the training before: those with a label in a table, or simulated scenes of the old model's recipe. None
        where neither is known.
    calibrate : Examples or None
        Scenes, where they calibrate.
    """

    learn: Examples | None
    calibrate: Examples | None


def calibrated_on(graded: Graded, known: Labels | None, old: OldModel) -> Literal["grades", "labels", "scenes"]:
    """Return the rows that calibrate a model of grades: the graded ones if enough of their lenses represent the pool.

    Raises
    ------
    GridlensError
        They do not, and there are no others.
    """
    objects = graded.objects[graded.objects["gold"].isna().to_numpy()]
    weight, likely = objects["represents"].fillna(0.0).to_numpy(), (objects["q"] >= 0.5).to_numpy()
    lenses, others = _effective(weight[likely]), _effective(weight[~likely])
    if lenses >= FEWEST_LENSES and others >= FEWEST_OTHERS:
        return "grades"
    if known is not None:
        return "labels"
    if old.recipe is not None:
        return "scenes"
    raise GridlensError(
        f"The 'grades' parameter must hold {FEWEST_LENSES} lenses and {FEWEST_OTHERS} others, effectively, that "
        f"represent the pool, to calibrate on. Got {lenses:.0f} and {others:.0f}, and the old model, {old.name}, was "
        "not trained on simulated scenes, which could calibrate instead. Give the labels that it was trained on by the "
        "'labels' parameter, or grade more random objects."
    )


def _effective(weight: np.ndarray) -> float:
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
    """Return the labelled rows, or simulate and measure scenes of the old model's recipe.

    Parameters
    ----------
    labelled : KeptRows
    known : Labels or None
    old : OldModel
    on : {"grades", "labels", "scenes"}
        Rows to calibrate on.
    folder : Path
        For the files that rows are mapped from.
    pixels : bool
        Whether members look at cutouts.
    n_jobs : int
        Processes.
    progress : callable
        Called with the number of scenes that were finished since the last call.
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
