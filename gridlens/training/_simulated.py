"""The training set of a recipe: three sets of simulated scenes with different seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridlens.detector import LensDetector
from gridlens.training._card import HeldOut, Words
from gridlens.training._examples import Examples, TrainingSet
from gridlens.training._recipe import Recipe
from gridlens.training._scenes import keep_scenes, measured_scenes, weights
from gridlens.training._store import MeasuredStore

__all__ = ["scene_examples", "simulated_set"]

_LIMITS = """\
- Trained only on simulated scenes of the surveys above. Simulated arcs are smoother than real arcs, and the real sky
  contains objects that are not simulated: expect more false positives than these numbers suggest, and inspect the
  candidates.
{target}
- In deep images, objects blend: if everything above the noise is connected, an arc is not a separate component.
- `p_lens` is valid at the declared prevalence, for clusters like the simulated ones in canonical cutouts. It is not a
  measurement of the number of lenses.
{metadata}"""
_IMAGE_ALONE = """\
- Only the image is used. Redshift, richness, mass and position are masked, because known lenses were selected by
  them."""
_OTHER_METADATA = """\
- Metadata are used, which can leak the label: known lenses were selected by redshift, richness, mass and position."""
_TARGETS = {
    "galaxy-cluster": """\
- Intended for arcs 8 to 32 arcsec from the BCG, in cutouts 30 to 90 arcsec wide. It does not find galaxy-scale
  lenses.""",
    "cluster-cluster": """\
- Intended for a background cluster imaged 20 to 50 arcsec from the BCG, in cutouts 60 to 120 arcsec wide. **It has not
  been tested on real examples**: no sample of such lenses is known, and the simulated sources, six to fifteen red
  galaxies at the same redshift, are an assumption.""",
}
_GEOMETRY = {
    "galaxy-cluster": "64 arcsec at 0.5 arcsec per pixel",
    "cluster-cluster": "115 arcsec at 0.6 arcsec per pixel",
}
_SOURCE = {"galaxy-cluster": "a lens", "cluster-cluster": "a background cluster as the source of a lens"}


def scene_examples(store: MeasuredStore, truth: pd.DataFrame, recipe: Recipe | None = None) -> Examples:
    """Return scenes with labels, each a separate cluster, and the weights of a recipe if it is given."""
    weight = None if recipe is None else weights(truth, recipe)
    return Examples(store, truth["label"].to_numpy(), np.arange(len(truth)), weight)


def simulated_set(
    recipe: Recipe, folder: Path, *, pixels: bool, n_jobs: int | None, progress: Callable[[int], Any]
) -> TrainingSet:
    """Simulate and measure the scenes of a recipe; scenes that scoring would reject are left out.

    Parameters
    ----------
    recipe : Recipe
    folder : Path
        Folder for memory-mapped files.
    pixels : bool
        Whether the cutouts are kept, for members that need pixels.
    n_jobs : int
        Number of processes.
    progress : callable
        Called with the number of scenes finished since the last call.
    """

    def scenes(n: int, seed: int, **options: Any) -> tuple[MeasuredStore, pd.DataFrame]:
        store = MeasuredStore(folder, f"scenes-{seed}")
        blocks = measured_scenes(n, seed, recipe.surveys, target=recipe.target, pixels=pixels, n_jobs=n_jobs, **options)
        return store, keep_scenes(store, blocks, progress)

    sets = {
        "train": scenes(
            recipe.n_train,
            recipe.train_seed,
            randomisation=recipe.randomisation,
            randomised_fraction=recipe.randomised_fraction,
            realistic_fraction=recipe.realistic_fraction,
        ),
        "calibrate": scenes(
            recipe.n_calibrate, recipe.calibrate_seed, canonical=True, lens_fraction=recipe.calibrate_lens_fraction
        ),
        "test": scenes(recipe.n_test, recipe.test_seed, canonical=True),
    }
    calibrate = scene_examples(*sets["calibrate"])
    named = replace(recipe, members=tuple(map(str, recipe.members)))
    return TrainingSet(
        scene_examples(*sets["train"], recipe),
        replace(calibrate, group=None),
        lambda detector: _held_out(detector, *sets["test"]),
        _words(recipe, pixels),
        _notes(recipe.n_scenes - sum(len(store) for store, _ in sets.values()), recipe.n_scenes),
        {"recipe": asdict(named)},
        {
            f"{name}.{part}": values
            for name, (store, truth) in sets.items()
            for part, values in (
                ("features", store.measured().features),
                ("label", truth["label"].to_numpy()),
                ("arc_snr", truth["arc_snr"].to_numpy()),
            )
        },
    )


def _held_out(detector: LensDetector, store: MeasuredStore, truth: pd.DataFrame) -> HeldOut:
    members = detector.member_probabilities(store.measured())
    usable = np.isfinite(members).all(axis=1)
    members, label = members[usable], truth["label"].to_numpy()[usable]
    p = detector.calibrated(members, prevalence=float(label.mean()))
    return HeldOut(label, p, members, snr=truth["arc_snr"].to_numpy()[usable])


def _notes(rejected: int, n: int) -> list[str]:
    return [f"{rejected:,} of the {n:,} scenes would be rejected in scoring and are left out."] if rejected else []


def _words(recipe: Recipe, pixels: bool) -> Words:
    geometry = _GEOMETRY[recipe.target]
    varied = (
        f"all of them\nof the canonical size ({geometry})."
        if pixels
        else f"a third of them deviates from\nthe canonical geometry ({geometry}) in size, scale, depth and seeing."
    )
    if recipe.randomisation:
        varied += (
            f"\nIn {recipe.randomised_fraction:.0%} of the scenes, each of these ingredients is drawn, with a "
            f"probability of one half, from a wider\nrange than that of the surveys: {', '.join(recipe.randomisation)}."
        )
    if recipe.realistic_fraction:
        varied += f"\n{recipe.realistic_fraction:.0%} of the scenes are drawn as observed in survey images."
    return Words(
        title=f"A model for {recipe.target} lenses",
        trained_on=f"""\
{recipe.n_train:,} simulated scenes (seed {recipe.train_seed}), half of them with {_SOURCE[recipe.target]},
drawn from the presets {", ".join(recipe.surveys)}; {varied}
Lenses with an arc S/N below {recipe.faint_snr:g} have a weight of {recipe.faint_weight:g}.""",
        calibrated_on=f"Calibrated on {recipe.n_calibrate:,} scenes of the canonical geometry (seed "
        f"{recipe.calibrate_seed}), of equal weight",
        scored_on=f"on {recipe.n_test:,} simulated test scenes of the canonical geometry (seed {recipe.test_seed})",
        scored_how="",
        limits=_LIMITS.format(
            target=_TARGETS[recipe.target], metadata=_IMAGE_ALONE if recipe.metadata == "image" else _OTHER_METADATA
        ),
    )
