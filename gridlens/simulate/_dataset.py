"""Many scenes on many cores: the same set for the same seed, whatever the number of cores."""

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

# Scenes that one task draws and one round of shards holds. Part of what a seed means for the file names; small
# enough for a progress bar to move every few seconds.
BLOCK = 64

SceneMaker = Callable[[int], Scene]
Result = TypeVar("Result")


def map_blocks(
    task: Callable[[SceneMaker, int, int], Result], make: SceneMaker, n: int, n_jobs: int | None = -1
) -> Iterator[tuple[int, Result]]:
    """Run ``task(make, start, stop)`` for the blocks of ``range(n)`` in processes.

    Parameters
    ----------
    task : callable
        Takes `make` and the bounds of a block of at most `BLOCK` scenes; must be importable (it is pickled).
    make : callable
        Takes the number of a scene and returns the `Scene`; must be picklable.
    n : int
        Scenes in all.
    n_jobs : int, default=-1
        Processes; -1 for all cores, 1 for none beside this one.

    Yields
    ------
    tuple of int and object
        Number of scenes in the block and what `task` returned, in the order of the blocks.
    """
    bounds = [(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]
    results = Parallel(n_jobs=n_jobs, return_as="generator", batch_size=1)(
        delayed(task)(make, start, stop) for start, stop in bounds
    )
    for (start, stop), result in zip(bounds, results, strict=True):
        yield stop - start, result


def scenes_to_cutouts(scenes: list[Scene]) -> CutoutSet:
    """The pixels and what a catalogue would know of `scenes`, which all have one size."""
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
    """Simulate `n` scenes and write them to the folder `out`: npz shards and ``truth.csv``.

    Parameters
    ----------
    out : str or path
        A folder that does not exist yet or is empty. It appears once everything is written; an error or an
        interrupt leaves nothing behind.
    n : int
        Scenes, 1 or more.
    settings : SceneSettings, optional
        What the scenes are drawn from.
    seed : int, default=0
        The same seed gives the same files on any number of cores.
    n_jobs : int, default=-1
        Processes; -1 for all cores.
    progress : callable, optional
        Called with the number of scenes that were finished since the last call.

    Returns
    -------
    DataFrame of shape (n, 41)
        The truth, columns `TRUTH_COLUMNS`, as written to ``truth.csv``.

    Raises
    ------
    GridlensError
        `out` cannot be written or holds files already.

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
    """Write one block, a shard for each size that occurs in it, and return the truth in the scenes' order."""
    scenes = [make(index) for index in range(start, stop)]
    by_size: dict[int, list[Scene]] = {}
    for scene in scenes:
        by_size.setdefault(scene.pixels.shape[0], []).append(scene)
    for size, group in sorted(by_size.items()):
        write_npz(folder / f"scenes-{start:07d}-{size}px.npz", scenes_to_cutouts(group))
    return [scene.truth for scene in scenes]
