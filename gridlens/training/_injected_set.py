"""The training set of arcs injected into your own clusters."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import effective_n_jobs

from gridlens.cutouts._conventions import CatalogLike
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.detector import LensDetector
from gridlens.simulate import Geometry
from gridlens.sources import Source
from gridlens.training._card import HeldOut, Words
from gridlens.training._examples import Examples, TrainingSet
from gridlens.training._injected_card import Scored, control_sections, learned_section, scored
from gridlens.training._injected_rows import (
    CONTROLLED,
    CONTROLS,
    LEARN,
    InjectedRows,
    PoolTable,
    injected_rows,
)
from gridlens.training._injected_source import Injection
from gridlens.training._kept import KeptRows
from gridlens.training._known_lenses import read_known_lenses
from gridlens.training._pool_sky import PoolSky, pool_sky
from gridlens.training._recipe import Recipe
from gridlens.training._scenes import keep_scenes, measured_scenes, weights
from gridlens.training._store import MeasuredStore
from gridlens.training._tuned import Tuned, tune

__all__ = ["MeasuredPool", "PoolOptions", "injected_set", "measure_pool", "rows_of"]

# Largest number of simulated scenes added to a pool; more cost more time than they gain.
_MOST_SCENES = 4096
_SEED = 1
_LIMITS = """\
- The arcs are simulated and the images are real. The controls above test whether the model depends on the shape of the
  arcs, but the performance on real arcs is unknown; evaluate the model on known lenses of the survey.
- The cutouts of the pool are assumed to be lens-free. About one in a thousand contains a lens, so the number of false
  alarms above is slightly overestimated.
- Intended for cutouts of this survey. For another survey, use a model that was trained on it."""


@dataclass(frozen=True)
class PoolOptions:
    """Options of `train` for a pool."""

    table: PoolTable
    known_lenses: CatalogLike | None
    survey: str | None
    seeing: Mapping[str, float] | None
    prevalence: float


def rows_of(n: int) -> int:
    """Return the approximate number of cutouts and scenes that are measured for a pool of `n` cutouts."""
    return 2 * n + len(CONTROLS) * min(n, CONTROLLED) + min(round(2 * LEARN * n), _MOST_SCENES)


class MeasuredPool(NamedTuple):
    """A measured pool, with and without arcs."""

    rows: InjectedRows
    sky: PoolSky
    scenes: Examples | None
    """simulated scenes with the size and pixel scale of the cutouts; None if a class is missing"""
    record: dict[str, Any]


def measure_pool(
    stack: contextlib.ExitStack,
    pool: Source,
    options: PoolOptions,
    settings: Recipe,
    folder: Path,
    *,
    parts: Path,
    pixels: bool,
    **run: Any,
) -> MeasuredPool:
    """Measure a pool: each cutout unchanged and with the arcs of a lens, controls, and simulated scenes.

    Parameters
    ----------
    stack : ExitStack
        Finished parts are kept until the stack is closed without an error.
    pool : Source
    options : PoolOptions
    settings : Recipe
        Its metadata, weights of faint arcs and `random_state` are used.
    folder : Path
        Folder for memory-mapped files.
    parts : Path
        Folder of the finished parts.
    pixels : bool
        Whether members need pixels.
    **run
        `resume`, `overwrite`, `engine`, `scheduler`, `n_jobs` and `progress`.
    """
    surveys = options.table.surveys or {}
    sky = pool_sky(pool, surveys, options.survey, options.seeing)
    for sentence in sky.assumed:
        warnings.warn(sentence, UserWarning, stacklevel=3)
    known = read_known_lenses(options.known_lenses, options.table.lenses)
    rows = injected_rows(
        stack,
        pool,
        Injection(_SEED, sky.skies, surveys, known),
        options.table,
        metadata=settings.metadata,
        folder=folder,
        parts=parts,
        pixels=pixels,
        random_state=settings.random_state,
        **run,
    )
    scenes = _scenes(options.survey, len(rows.learn.ids), sky.geometry, pixels, settings, folder, run)
    record = {"sources": pool.record, "seed": _SEED, "sky": sky.words, "known_lenses": len(rows.known.ids)}
    return MeasuredPool(rows, sky, scenes, record)


def injected_set(
    measured: MeasuredPool, settings: Recipe, *, prevalence: float, n_jobs: int | None, verbose: int
) -> TrainingSet:
    """Return the training set of a pool, with weights chosen out of fold.

    Parameters
    ----------
    measured : MeasuredPool
    settings : Recipe
        As for `measure_pool`.
    prevalence : float
        Prevalence of lenses among the unchanged cutouts.
    n_jobs : int
        Number of threads.
    verbose : int
        1 shows the progress.
    """
    rows, scenes = measured.rows, measured.scenes
    learn, calibrate = (_examples(rows, kept, settings) for kept in (rows.learn, rows.calibrate))
    tuned = _tuned(learn, scenes, prevalence, int(effective_n_jobs(n_jobs)), verbose)
    weights = {"scene_weight": tuned.scene_weight, "hard_weight": tuned.hard_weight}

    @functools.cache  # the scores and the controls on the card use the same rows
    def tested(detector: LensDetector) -> Scored:
        return scored(detector, rows, rows.test)

    return TrainingSet(
        _joined(learn, scenes, tuned),
        calibrate,
        lambda detector: _held_out(tested(detector)),
        _words(measured, tuned),
        rows.notes,
        {"injected": measured.record | weights},
        _arrays(rows),
        sections=lambda detector: [
            ("Training choices", learned_section(tuned)),
            *control_sections(detector, rows, tested(detector)),
        ],
    )


def _examples(rows: InjectedRows, kept: KeptRows, settings: Recipe) -> Examples:
    told = rows.truth.iloc[kept.places]
    faint = told["arc_snr"].to_numpy() < settings.faint_snr
    weight = np.where(faint, settings.faint_weight, 1.0)
    return Examples(kept.store, told["label"].to_numpy(), told["group"].to_numpy(), weight)


def _scenes(
    survey: str | None,
    n: int,
    geometry: Geometry,
    pixels: bool,
    settings: Recipe,
    folder: Path,
    run: dict[str, Any],
) -> Examples | None:
    """Return simulated scenes with the size and scale of the cutouts, of the survey if it can be simulated."""
    surveys = (survey,) if survey in SIMULATED_SURVEYS else SIMULATED_SURVEYS
    store = MeasuredStore(folder, "scenes")
    n = min(n, _MOST_SCENES)
    blocks = measured_scenes(n, settings.train_seed, surveys, pixels=pixels, geometry=geometry, n_jobs=run["n_jobs"])
    truth = keep_scenes(store, blocks, run["progress"])
    if not 0 < truth["label"].sum() < len(truth):
        return None
    return Examples(store, truth["label"].to_numpy(), np.arange(len(truth)), weights(truth, settings))


def _tuned(learn: Examples, scenes: Examples | None, prevalence: float, n_jobs: int, verbose: int) -> Tuned:
    drawn = None
    if scenes is not None:
        assert scenes.weight is not None
        drawn = np.asarray(scenes.store.measured().features), scenes.label, scenes.weight
    assert learn.group is not None and learn.weight is not None
    features = np.asarray(learn.store.measured().features)
    given = features, learn.label, learn.group, learn.weight, drawn
    return tune(*given, prevalence=prevalence, n_jobs=n_jobs, verbose=verbose)


def _joined(learn: Examples, scenes: Examples | None, tuned: Tuned) -> Examples:
    """Return the rows of the pool and the weighted simulated scenes, each a separate cluster."""
    assert learn.group is not None and learn.weight is not None
    weight = learn.weight * np.where(tuned.hard, tuned.hard_weight, 1.0)
    if scenes is None or tuned.scene_weight == 0.0:
        return Examples(learn.store, learn.label, learn.group, weight)
    assert scenes.weight is not None
    learn.store.add(scenes.store.measured())
    first = int(learn.group.max()) + 1
    return Examples(
        learn.store,
        np.concatenate([learn.label, scenes.label]),
        np.concatenate([learn.group, first + np.arange(len(scenes.label))]),
        np.concatenate([weight, tuned.scene_weight * scenes.weight]),
    )


def _held_out(test: Scored) -> HeldOut:
    usable = np.isfinite(test.members).all(axis=1)
    return HeldOut(
        test.truth["label"].to_numpy()[usable],
        test.score[usable],
        test.members[usable],
        test.truth["group"].to_numpy()[usable],
        bundled=test.bundled[usable],
    )


def _arrays(rows: InjectedRows) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for name in ("learn", "calibrate", "test"):
        kept: KeptRows = getattr(rows, name)
        told = rows.truth.iloc[kept.places]
        arrays |= {
            f"{name}.features": kept.store.measured().features,
            f"{name}.label": told["label"].to_numpy(),
            f"{name}.cluster": told["group"].to_numpy(),
            f"{name}.id": told["id"].to_numpy().astype(str),
        }
    return arrays


def _words(measured: MeasuredPool, tuned: Tuned) -> Words:
    rows, sky, scenes, _ = measured
    counts = {name: len(getattr(rows, name).ids) // 2 for name in ("learn", "calibrate", "test")}
    joined = ""
    if scenes is not None and tuned.scene_weight:
        joined = f"\n{len(scenes.label):,} simulated scenes were added with a weight of {tuned.scene_weight:g}."
    told = "\n".join(sky.words)
    return Words(
        title="A model of arcs injected into your own clusters",
        trained_on=f"{counts['learn']:,} cutouts of the pool, each unchanged and with the arcs of a lens simulated "
        f"for its cluster.\n{told}{joined}",
        calibrated_on=f"Calibrated on {counts['calibrate']:,} other cutouts, with and without arcs",
        scored_on=f"on {counts['test']:,} cutouts of the pool that the model has not seen",
        scored_how="Each cutout is scored unchanged and with arcs. No cluster is in more than one part of the pool.",
        limits=_LIMITS,
    )
