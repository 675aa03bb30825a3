"""Simulation of many scenes on many cores; the result does not depend on the number of cores."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from gridlens._files import atomic_folder, atomic_path
from gridlens.cutouts import METADATA_NAMES, CutoutSet, write_npz
from gridlens.simulate._scene import TRUTH_COLUMNS, Scene, SceneSettings, simulate_scene

__all__ = ["BLOCK", "map_blocks", "scenes_to_cutouts", "write_scenes", "write_training_set"]

# Scenes per task and per shard. The file names for a seed depend on it; it is small enough for a progress bar to
# advance every few seconds.
BLOCK = 64

SceneMaker = Callable[[int], Scene]
Result = TypeVar("Result")


def map_blocks(
    task: Callable[[SceneMaker, int, int], Result], make: SceneMaker, n: int, n_jobs: int | None = -1
) -> Iterator[tuple[int, Result]]:
    """Run ``task(make, start, stop)`` for batches of ``range(n)`` in processes.

    Parameters
    ----------
    task : callable
        Function of `make` and the bounds of a batch of at most `BLOCK` scenes; must be importable (it is pickled).
    make : callable
        Function that returns the `Scene` with a given number; must be picklable.
    n : int
        Number of scenes.
    n_jobs : int, default=-1
        Number of processes; -1 means all cores, 1 means no additional process.

    Yields
    ------
    tuple of int and object
        Number of scenes in the batch and the result of `task`, in order.
    """
    bounds = [(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]
    results = Parallel(n_jobs=n_jobs, return_as="generator", batch_size=1)(
        delayed(task)(make, start, stop) for start, stop in bounds
    )
    for (start, stop), result in zip(bounds, results, strict=True):
        yield stop - start, result


def scenes_to_cutouts(scenes: list[Scene]) -> CutoutSet:
    """Return scenes of one size as cutouts with catalogue metadata."""
    return CutoutSet(
        np.stack([scene.pixels for scene in scenes]),
        bcg_xy=[scene.bcg_xy for scene in scenes],
        pixel_scale=[scene.pixel_scale for scene in scenes],
        ids=[scene.truth["id"] for scene in scenes],
        metadata={name: [scene.truth[name] for scene in scenes] for name in METADATA_NAMES},
    )


def write_training_set(
    out: str | os.PathLike[str],
    n: int,
    *,
    settings: SceneSettings | None = None,
    seed: int = 0,
    n_jobs: int | None = -1,
    progress: Callable[[int], Any] | None = None,
) -> pd.DataFrame:
    """Simulate `n` scenes and write them to the folder `out` as npz shards and ``truth.csv``.

    Parameters
    ----------
    out : str or path
        A folder that does not exist or is empty. It is created when everything is written; an error or an interrupt
        leaves nothing behind.
    n : int
        Number of scenes, 1 or more.
    settings : SceneSettings, optional
        Settings of the scenes.
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
    >>> from gridlens.simulate import write_training_set
    >>> truth = write_training_set("training/", 1000, seed=1)  # doctest: +SKIP
    """
    make = partial(simulate_scene, seed, settings=settings or SceneSettings())
    return write_scenes(out, n, make, n_jobs=n_jobs, progress=progress)


def write_scenes(
    out: str | os.PathLike[str],
    n: int,
    make: SceneMaker,
    *,
    n_jobs: int | None = -1,
    progress: Callable[[int], Any] | None = None,
) -> pd.DataFrame:
    """Write the scenes ``make(0)`` to ``make(n - 1)``; parameters and result as in `write_training_set`."""
    if n < 1:
        raise ValueError(f"The 'n' parameter must be 1 or more. Got {n!r} instead.")
    rows: list[dict[str, Any]] = []
    with atomic_folder(out) as folder:
        for done, truths in map_blocks(partial(_write_block, folder), make, n, n_jobs):
            rows.extend(truths)
            if progress is not None:
                progress(done)
        truth = pd.DataFrame(rows, columns=list(TRUTH_COLUMNS))
        with atomic_path(folder / "truth.csv") as temporary:
            truth.to_csv(temporary, index=False, float_format="%.7g")
    return truth


def _write_block(folder: Path, make: SceneMaker, start: int, stop: int) -> list[dict[str, Any]]:
    """Write one batch, with a shard for each cutout size, and return the truth in the order of the scenes."""
    scenes = [make(index) for index in range(start, stop)]
    by_size: dict[int, list[Scene]] = {}
    for scene in scenes:
        by_size.setdefault(scene.pixels.shape[0], []).append(scene)
    for size, group in sorted(by_size.items()):
        write_npz(folder / f"scenes-{start:07d}-{size}px.npz", scenes_to_cutouts(group))
    return [scene.truth for scene in scenes]
