"""The recipe of the bundled model: simulate, extract, fit, calibrate, test, write down.

Three sets of scenes that share no seed: one to learn from, one to calibrate on, one to test on. A third of the first
is drawn away from the canonical geometry, so that what is learned carries over; the others are canonical.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from gridlens._files import check_new_folder
from gridlens.cutouts import SIMULATED_SURVEYS
from gridlens.detector import LensDetector
from gridlens.features import METADATA_CHOICES, METADATA_NAMES, N_IMAGE_FEATURES, GridPatchExtractor
from gridlens.models._bundle import save_model
from gridlens.models._card import SNR_BINS, write_card
from gridlens.stacking import member_class

__all__ = ["RECIPES", "SNR_BINS", "Recipe", "SceneRows", "fit_detector", "simulate_rows", "train_recipe"]

_Progress = Callable[[int], Any] | None


@dataclass(frozen=True)
class Recipe:
    """What a model is made of. Scenes to learn from and to test on are drawn half with, half without a lens.

    Those of the calibration are rarer: what is said of one cluster in a thousand hangs on the few clusters without a
    lens that score highest, and it takes many of them to tell how few.

    Lenses whose arcs have an S/N below `faint_snr` weigh `faint_weight` in the training: nobody could see them, and
    what they teach is noise. They count in full in the calibration and in the test.
    """

    surveys: tuple[str, ...] = SIMULATED_SURVEYS
    n_train: int = 32768
    n_calibrate: int = 20480
    calibrate_lens_fraction: float = 0.1
    n_test: int = 8192
    train_seed: int = 1
    calibrate_seed: int = 3
    test_seed: int = 7
    members: tuple[str, ...] = ("lightgbm",)
    metadata: str = "image"
    faint_snr: float = 20.0
    faint_weight: float = 0.25
    random_state: int = 0

    @property
    def n_scenes(self) -> int:
        """Scenes in all."""
        return self.n_train + self.n_calibrate + self.n_test


RECIPES = {"default": Recipe()}


@dataclass(frozen=True)
class SceneRows:
    """Features and truth of simulated scenes; the pixels are not kept."""

    features: np.ndarray
    """(n, 315) float32, the nine metadata columns filled"""
    truth: pd.DataFrame = field(repr=False)

    @property
    def label(self) -> np.ndarray:
        """1 for a lens, 0 for none."""
        return self.truth["label"].to_numpy()

    def features_with(self, metadata: str) -> np.ndarray:
        """The features with the metadata that `GridPatchExtractor(metadata=...)` keeps, the others NaN."""
        kept = self.features.copy()
        for k, name in enumerate(METADATA_NAMES):
            if name not in METADATA_CHOICES[metadata]:
                kept[:, N_IMAGE_FEATURES + k] = np.nan
        return kept


def simulate_rows(
    n: int,
    seed: int,
    surveys: tuple[str, ...] = SIMULATED_SURVEYS,
    *,
    canonical: bool = False,
    lens_fraction: float = 0.5,
    n_jobs: int | None = -1,
    progress: _Progress = None,
) -> SceneRows:
    """Simulate `n` scenes and extract their features, in processes; the same for any number of them.

    A share `lens_fraction` of them is drawn with a lens. A third is drawn away from the canonical geometry, none where
    `canonical` is True. Needs ``gridlens[sim]``.
    """
    from gridlens.simulate import SceneSettings, map_blocks, simulate_scene

    settings = SceneSettings(surveys=surveys, lens_fraction=lens_fraction)
    if canonical:
        settings = replace(settings, varied_fraction=0.0)
    make = partial(simulate_scene, seed, settings=settings)
    parts: list[np.ndarray] = []
    truths: list[dict[str, Any]] = []
    for done, (features, truth) in map_blocks(_extract_block, make, n, n_jobs):
        parts.append(features)
        truths.extend(truth)
        if progress is not None:
            progress(done)
    return SceneRows(np.concatenate(parts), pd.DataFrame(truths))


def _extract_block(make: Callable[[int], Any], start: int, stop: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
    from gridlens.simulate import scenes_to_cutouts

    extractor = GridPatchExtractor(metadata="all")
    rows, truth = [], []
    for scene in map(make, range(start, stop)):
        rows.append(extractor.transform(scenes_to_cutouts([scene]))[0])
        truth.append(scene.truth)
    return np.stack(rows), truth


def fit_detector(train: SceneRows, calibrate: SceneRows, recipe: Recipe) -> LensDetector:
    """Fit and calibrate the detector of `recipe` on simulated rows."""
    detector = LensDetector(recipe.members, recipe.metadata, random_state=recipe.random_state)
    faint = train.truth["arc_snr"].to_numpy() < recipe.faint_snr  # NaN, no lens, is not faint
    return detector.fit(
        train.features_with(recipe.metadata),
        train.label,
        groups=np.arange(len(train.label)),
        sample_weight=np.where(faint, recipe.faint_weight, 1.0),
        calibration=(calibrate.features_with(recipe.metadata), calibrate.label),
    )


def train_recipe(
    out: str | os.PathLike[str], recipe: Recipe, *, n_jobs: int | None = -1, progress: _Progress = None
) -> str:
    """Make the model of `recipe` and write its bundle to the new folder `out`.

    Parameters
    ----------
    out : str or path
        New, or empty.
    recipe : Recipe
    n_jobs : int, default=-1
        Processes that simulate; -1 for all cores.
    progress : callable, optional
        Called with the number of scenes that were finished since the last call.

    Returns
    -------
    str
        The model card, Markdown.

    Raises
    ------
    GridlensError
        The folder is not empty, or a member is unknown.
    """
    check_new_folder(out)
    for name in recipe.members:
        member_class(name)  # Known, before anything is simulated.
    rows = partial(simulate_rows, surveys=recipe.surveys, n_jobs=n_jobs, progress=progress)
    train, calibrate, test = (
        rows(recipe.n_train, recipe.train_seed),
        rows(recipe.n_calibrate, recipe.calibrate_seed, canonical=True, lens_fraction=recipe.calibrate_lens_fraction),
        rows(recipe.n_test, recipe.test_seed, canonical=True),
    )
    detector = fit_detector(train, calibrate, recipe)
    card = write_card(detector, recipe, test)
    save_model(detector, out, card=card, training={"recipe": asdict(recipe)})
    return card
