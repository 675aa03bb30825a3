"""The recipes of the bundled models: simulate, extract, fit, calibrate, test, write down.

Three sets of scenes that share no seed: one to learn from, one to calibrate on, one to test on. A third of the first
is drawn away from the canonical geometry, so that what is learned carries over; the others are canonical.
"""

import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridlens.cutouts import SIMULATED_SURVEYS, CutoutBatch, CutoutSet
from gridlens.detector import LensDetector
from gridlens.errors import GridlensError
from gridlens.features import METADATA_NAMES, GridPatchExtractor, Measured, keep_metadata
from gridlens.models._bundle import check_new_bundle, save_model
from gridlens.models._card import SNR_BINS, write_card
from gridlens.models._manifest import hash_arrays
from gridlens.models._mine import Mined, mine, pool_features
from gridlens.stacking import build_member

__all__ = [
    "RECIPES",
    "SNR_BINS",
    "Recipe",
    "SceneRows",
    "fit_detector",
    "scene_cutouts",
    "simulate_rows",
    "train_recipe",
]

_Progress = Callable[[int], Any] | None


@dataclass(frozen=True)
class Recipe:
    """What a model is made of. Scenes to learn from and to test on are drawn half with, half without a lens.

    Those of the calibration are rarer: what is said of one cluster in a thousand hangs on the few clusters without a
    lens that score highest, and it takes many of them to tell how few.

    Lenses whose arcs have an S/N below `faint_snr` weigh `faint_weight` in the training: nobody could see them, and
    what they teach is noise. They count in full in the calibration and in the test.

    The lenses of the target "cluster-cluster" have a background cluster for a source, and all scenes of it a field wide
    enough for its images. Of a pool that is mined, as many rows are taken as `mined_fraction` of those to learn from.
    """

    target: str = "galaxy-cluster"
    surveys: tuple[str, ...] = SIMULATED_SURVEYS
    n_train: int = 32768
    n_calibrate: int = 20480
    calibrate_lens_fraction: float = 0.1
    n_test: int = 8192
    train_seed: int = 1
    calibrate_seed: int = 3
    test_seed: int = 7
    members: tuple[str, ...] = ("lightgbm", "patch")
    metadata: str = "image"
    faint_snr: float = 20.0
    faint_weight: float = 0.25
    mined_fraction: float = 1.0 / 16.0
    random_state: int = 0

    @property
    def n_scenes(self) -> int:
        """Scenes in all."""
        return self.n_train + self.n_calibrate + self.n_test


RECIPES = {
    "default": Recipe(),
    # To try a member or a pool, in minutes.
    "quick": Recipe(n_train=2048, n_calibrate=2048, n_test=1024, train_seed=301, calibrate_seed=303, test_seed=307),
    "cluster-cluster": Recipe(
        target="cluster-cluster",
        n_train=2048,
        n_calibrate=1024,
        calibrate_lens_fraction=0.5,
        n_test=1024,
        train_seed=101,
        calibrate_seed=103,
        test_seed=107,
    ),
}


@dataclass(frozen=True)
class SceneRows:
    """Features and truth of simulated scenes, and their pixels where a member asks for them."""

    features: np.ndarray
    """(n, 315) float32, the nine metadata columns filled"""
    truth: pd.DataFrame = field(repr=False)
    cutouts: CutoutSet | None = field(default=None, repr=False)

    @property
    def label(self) -> np.ndarray:
        """1 for a lens, 0 for none."""
        return self.truth["label"].to_numpy()

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All that a training sees of them, by name."""
        return {"features": self.features, "label": self.label, "arc_snr": self.truth["arc_snr"].to_numpy()}

    def features_with(self, metadata: str) -> np.ndarray:
        """The features with the metadata that `GridPatchExtractor(metadata=...)` keeps, the others NaN."""
        return keep_metadata(self.features, metadata)

    def inputs_with(self, metadata: str) -> CutoutSet | np.ndarray:
        """What a detector with `metadata` learns from and scores: the cutouts where they were kept."""
        return self.features_with(metadata) if self.cutouts is None else self.cutouts


def simulate_rows(
    n: int,
    seed: int,
    surveys: tuple[str, ...] = SIMULATED_SURVEYS,
    *,
    canonical: bool = False,
    lens_fraction: float = 0.5,
    target: str = "galaxy-cluster",
    pixels: Path | None = None,
    n_jobs: int | None = -1,
    progress: _Progress = None,
) -> SceneRows:
    """Simulate `n` scenes and extract their features, in processes; the same for any number of them.

    A share `lens_fraction` of them is drawn with a lens of the kind that `target` names. A third is drawn away from the
    canonical geometry, none where `canonical` is True. Cutouts are kept in the new file `pixels`, which is mapped into
    memory and takes 200 kB for each; all of them are canonical then, for a set has one size. Needs ``gridlens[sim]``.
    """
    from gridlens.simulate import SceneSettings, map_blocks, simulate_scene

    settings = SceneSettings(
        surveys=surveys, lens_fraction=lens_fraction, cluster_cluster=float(target == "cluster-cluster")
    )
    if canonical or pixels is not None:
        settings = replace(settings, varied_fraction=0.0)
    make = partial(simulate_scene, seed, settings=settings)
    if pixels is not None:
        shape = (n, *make(0).pixels.shape)
        np.lib.format.open_memmap(pixels, mode="w+", dtype=np.float32, shape=shape).flush()
    parts: list[np.ndarray] = []
    truths: list[dict[str, Any]] = []
    for done, (features, truth) in map_blocks(partial(_extract_block, pixels), make, n, n_jobs):
        parts.append(features)
        truths.extend(truth)
        if progress is not None:
            progress(done)
    features, truth = np.concatenate(parts), pd.DataFrame(truths)
    return SceneRows(features, truth) if pixels is None else scene_cutouts(features, truth, pixels)


def scene_cutouts(features: np.ndarray, truth: pd.DataFrame, pixels: Path) -> SceneRows:
    """Rows of scenes whose cutouts are kept in the file `pixels`, which is mapped into memory."""
    cutouts = CutoutSet(
        np.load(pixels, mmap_mode="r"),
        bcg_xy=truth[["bcg_x", "bcg_y"]].to_numpy(),
        pixel_scale=truth["pixel_scale"].to_numpy(),
        ids=truth["id"],
        metadata=truth[list(METADATA_NAMES)],
    )
    return SceneRows(features, truth, cutouts)


def _extract_block(
    pixels: Path | None, make: Callable[[int], Any], start: int, stop: int
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    from gridlens.simulate import scenes_to_cutouts

    extractor = GridPatchExtractor(metadata="all")
    rows, truth = [], []
    kept = None if pixels is None else np.lib.format.open_memmap(pixels, mode="r+")
    for index in range(start, stop):
        scene = make(index)
        rows.append(extractor.transform(scenes_to_cutouts([scene]))[0])
        truth.append(scene.truth)
        if kept is not None:
            kept[index] = scene.pixels
    return np.stack(rows), truth


def fit_detector(
    train: SceneRows, calibrate: SceneRows, recipe: Recipe, *, mined: Mined | None = None, n_jobs: int | None = 1
) -> LensDetector:
    """Fit and calibrate the detector of `recipe` on simulated rows, and on mined ones as negatives."""
    detector = LensDetector(recipe.members, recipe.metadata, n_jobs=n_jobs, random_state=recipe.random_state)
    faint = train.truth["arc_snr"].to_numpy() < recipe.faint_snr  # NaN, no lens, is not faint
    X, label, weight = train.inputs_with(recipe.metadata), train.label, np.where(faint, recipe.faint_weight, 1.0)
    if mined is not None:
        X = np.concatenate([train.features_with(recipe.metadata), mined.features])
        weight = np.concatenate([weight, mined.weight])
        label = np.concatenate([label, np.zeros(len(mined.weight), dtype=label.dtype)])
    return detector.fit(
        X,
        label,
        groups=np.arange(len(label)),
        sample_weight=weight,
        calibration=(calibrate.inputs_with(recipe.metadata), calibrate.label),
    )


def train_recipe(
    out: str | os.PathLike[str],
    recipe: Recipe,
    *,
    pool: Iterable[CutoutBatch | Measured] | None = None,
    n_jobs: int | None = -1,
    progress: _Progress = None,
) -> str:
    """Make the model of `recipe` and write its bundle to `out`.

    Parameters
    ----------
    out : str or path
        A new or empty folder, or a new .zip file.
    recipe : Recipe
    pool : iterable of CutoutBatch or Measured, optional
        Unlabelled cutouts, or what was measured of them, with all metadata.
        Those that the model scores highest are learned as negatives in one round more.
    n_jobs : int, default=-1
        Processes that simulate and fit; -1 for all cores.
    progress : callable, optional
        Called with the number of scenes, and of cutouts of the pool, that were finished since the last call.

    Returns
    -------
    str
        The model card, Markdown.

    Raises
    ------
    GridlensError
        The folder is not empty, the file exists, a member is unknown, or the pool is too small; or there is a pool and
        a member that looks at cutouts.
    """
    check_new_bundle(out)
    # Known, before anything is simulated.
    looking = [name for name in recipe.members if build_member(name).consumes == "cutouts"]
    if looking and pool is not None:
        raise GridlensError(
            f"The 'pool' parameter must be left out with members that look at cutouts. Got {looking[0]!r} among the "
            "members: a pool is kept as features."
        )
    with tempfile.TemporaryDirectory(prefix="gridlens-train-") as folder:
        return _train(out, recipe, pool, Path(folder) if looking else None, n_jobs, progress)


def _train(
    out: str | os.PathLike[str],
    recipe: Recipe,
    pool: Iterable[CutoutBatch | Measured] | None,
    folder: Path | None,
    n_jobs: int | None,
    progress: _Progress,
) -> str:
    """`train_recipe`, the pixels kept in `folder` where there is one."""
    # Before hours of work, not after.
    unlabelled = None if pool is None else pool_features(pool, recipe.metadata, progress=progress)

    def rows(n: int, seed: int, **options: Any) -> SceneRows:
        pixels = None if folder is None else folder / f"{seed}.npy"
        options |= {"surveys": recipe.surveys, "target": recipe.target, "pixels": pixels}
        return simulate_rows(n, seed, n_jobs=n_jobs, progress=progress, **options)

    train, calibrate, test = (
        rows(recipe.n_train, recipe.train_seed),
        rows(recipe.n_calibrate, recipe.calibrate_seed, canonical=True, lens_fraction=recipe.calibrate_lens_fraction),
        rows(recipe.n_test, recipe.test_seed, canonical=True),
    )
    detector = fit_detector(train, calibrate, recipe, n_jobs=n_jobs)
    sets = {"train": train, "calibrate": calibrate, "test": test}
    data = {f"{name}.{part}": values for name, made in sets.items() for part, values in made.arrays.items()}
    mined = None
    if unlabelled is not None:
        mined = mine(detector, unlabelled, int(recipe.mined_fraction * recipe.n_train))
        detector = fit_detector(train, calibrate, recipe, mined=mined, n_jobs=n_jobs)
        data["mined.features"] = mined.features
    card = write_card(detector, recipe, test, mined)
    training: dict[str, Any] = {"recipe": asdict(recipe), "data": hash_arrays(data)}
    if mined is not None:
        training["mined"] = {"pool": mined.pool, "taken": len(mined.weight), "weight": float(mined.weight.sum())}
    save_model(detector, out, card=card, training=training)
    return card
