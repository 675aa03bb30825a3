"""The function `train`, which makes a model bundle from labelled cutouts or simulated scenes."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gridlens._files import locked, writable_folder
from gridlens._progress import progress_bar
from gridlens.cutouts._conventions import CatalogLike
from gridlens.cutouts.images._options import checked_seeing
from gridlens.detector import LensDetector
from gridlens.engine._output import parts_folder
from gridlens.features import Measured
from gridlens.models._manifest import hash_arrays
from gridlens.sources import Source, open_source
from gridlens.training._bundled import beside_bundled, builds_on_bundled
from gridlens.training._card import write_card
from gridlens.training._checks import (
    check_calibration,
    check_cutouts,
    check_init_model,
    check_injection,
    check_members,
    check_no_injection,
    check_out,
    check_parameters,
    check_ranking,
    check_unseen,
    check_with_grades,
)
from gridlens.training._context import ListedLenses
from gridlens.training._examples import TrainingSet, fit
from gridlens.training._graded import GradedTraining, graded_training
from gridlens.training._injected_rows import read_pool_table
from gridlens.training._injected_set import PoolOptions, injected_set, measure_pool, rows_of
from gridlens.training._labelled import gather, measured_partitions, without_labelled
from gridlens.training._labels import read_labels
from gridlens.training._mine import Mined, mine, usable_pool
from gridlens.training._own_data import own_data_set
from gridlens.training._positive_unlabelled import learn_from_known_lenses
from gridlens.training._recipe import Recipe, settings_of
from gridlens.training._simulated import simulated_set
from gridlens.training._write import ranking_path, write_bundle, write_ranking

__all__ = ["Trained", "train"]


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Parameters
    ----------
    detector : LensDetector
        Fitted and calibrated detector.
    card : str
        Model card in Markdown.
    notes : list of str
        Sentences on rows that were left out of the training.
    path : Path or None
        Path of the bundle; None if it was not written.
    comparison : str, default=""
        Sentence on whether the model or the bundled model is better on held-out rows; "" for simulated scenes.
    ranking : DataFrame or None, default=None
        In positive-unlabelled learning, the training cutouts, best first: `id`, `known_lens` (1 or 0), `score` (out of
        fold, at even prevalence), `rank`, `top_fraction` (rank divided by the number of cutouts) and `fold`.
    accepted : bool, default=True
        False for a model of grades that is worse than the model to replace; in this case no bundle is written.
    """

    detector: LensDetector = field(repr=False)
    card: str = field(repr=False)
    notes: list[str]
    path: Path | None
    comparison: str = ""
    ranking: pd.DataFrame | None = field(default=None, repr=False)
    accepted: bool = True


def train(
    source: Any = None,
    labels: str | os.PathLike[str] | pd.DataFrame | None = None,
    *,
    grades: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    recipe: str | Recipe | None = None,
    members: Sequence[Any] | None = None,
    metadata: str | None = None,
    positive_unlabelled: bool = False,
    groups: str | None = None,
    pool: Any = None,
    inject_into: Any = None,
    known_lenses: CatalogLike | None = None,
    seeing: float | Mapping[str, float] | None = None,
    prevalence: float = 1e-3,
    init_model: str | os.PathLike[str] | None = None,
    random_state: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    engine: str = "local",
    scheduler: str | None = None,
    n_jobs: int | None = -1,
    verbose: int = 0,
    progress: Callable[[int], Any] | None = None,
    **options: Any,
) -> Trained:
    """Train a detector on your own labelled cutouts, or on simulated scenes, and write its bundle.

    Your own cutouts are measured in parts beside `out`, so that an interrupted training can be resumed. Features, and
    pixels if a member needs them, are kept in memory-mapped temporary files: 1260 bytes per row, and 200 kB for a
    cutout of 128 px. Rows that the table of labels marks for calibration are not shown to the members. Without such
    rows, the probabilities are calibrated on out-of-fold scores of the training rows, whose labels must be clean, or,
    with `positive_unlabelled`, with the estimated label frequency.

    The model card of a model of your own cutouts begins with a comparison with the bundled model on held-out rows, with
    paired intervals.

    Parameters
    ----------
    source : str, path, sequence of them, or Source, default=None
        Your cutouts, as in `gridlens.sources.open_source`: files, folders and globs, or feature caches; or a source
        that it returned, such as survey images with a catalogue. None simulates the scenes of `recipe`, which is then
        required.
    labels : str, path or DataFrame, default=None
        Table for `source` with the columns `id` and `label` (1 for a lens, 0 for a certain non-lens, blank if unknown),
        and optionally `cluster` (rows with the same value show the same cluster) and `calibration` (1 for calibration
        rows).
    grades : str or path, default=None
        Grade book (see `gridlens.grading.GradeBook`) with grades of objects in `source`, the pool that they were chosen
        from. The consensus of the graders gives the labels: an object with a probability of at least 0.9 is a lens, an
        object with at most 0.1 a non-lens, and other objects have both labels, with weights. The training rows of
        `init_model` (by default "default") are used again, with a weight chosen out of fold: scenes of its recipe, or
        the cutouts of `labels`, which is optional in this case. The calibration and the metrics on the card use graded
        objects that represent the pool. The new model is written only if it is not worse on them or on gold objects,
        and no known lens is lost.
    out : str or path, default=None
        New or empty folder, or new .zip file. None does not write a bundle.
    recipe : str or Recipe, default=None
        Name of a recipe in `RECIPES`, or your own recipe. It must be None if `source` is given.
    members, metadata, random_state : default=None
        As in `LensDetector`. None uses those of the recipe, or of the recipe "default" if `source` is given.
    positive_unlabelled : bool, default=False
        Learn from known lenses among unlabelled cutouts: the column `known_lens` of `labels` (or `s`) is 1 for a known
        lens and 0 for an unlabelled one. Without that column, a `label` of 1 is a known lens, 0 a vetted non-lens,
        which is used as a negative, and blank an unlabelled cutout. Cutouts that are not in the table are unlabelled.
        Calibration rows have a clean `label`; without them, the probabilities depend on the estimated fraction of
        lenses that are known, which assumes that known lenses are a random sample of the lenses. An out-of-fold ranking
        is written beside the bundle, to ``NAME.ranking.csv``.
    groups : str, default=None
        Column of `labels` that identifies clusters; None uses `cluster` if it exists.
    pool : as `source`, default=None
        Unlabelled cutouts. In a second round, those with the highest scores are used as negatives. With `source`,
        calibration rows are then required, because scores that were used for the selection cannot be used for the
        calibration. Rows of the pool that have a label are left out.
    inject_into : as `source`, default=None
        At least 200 cutouts of clusters from your own survey, instead of `source`. Almost all must be lens-free. Each
        is used unchanged as a non-lens, and as a lens with arcs simulated for its cluster, see
        `gridlens.simulate.inject_arcs`. A fifth of the clusters is used for calibration, and another fifth for the test
        and the controls. `labels` is optional: `label` is 1 for known lenses, `cluster` groups cutouts, and `survey` is
        the survey of each cutout.
    known_lenses : path or table, default=None
        Known lenses by `id`, or by `ra` and `dec` (deg). Cutouts of `inject_into` that match, within 60 arcsec for
        positions, are not used as non-lenses, and no arcs are injected into them.
    seeing : float or mapping of band to float, default=None
        FWHM of the images of `inject_into` in arcsec: one number, or a number for each of g, r and i. None takes it
        from the catalogue or the headers, or measures it on stars.
    prevalence : float, default=1e-3
        Prevalence of lenses in `inject_into`, for the comparison with learning from unlabelled cutouts.
    init_model : str or path, default=None
        Model to build on, as in `gridlens.load_model`, such as "default". It becomes the member `pretrained` of the
        stack, in addition to `members`. It is not refitted; the weight of its log-odds is learned out of fold together
        with those of the other members. It must not have been trained on the same cutouts.
    resume : bool, default=False
        Reuse the cutouts measured by an interrupted call. Scenes are simulated again.
    overwrite : bool, default=False
        Replace the bundle, and discard the cutouts measured by an earlier call.
    engine, scheduler
        As in `gridlens.engine.score_files`, for measuring cutouts.
    n_jobs : int, default=-1
        Number of workers for simulating, measuring and fitting; -1 uses all processors.
    verbose : int, default=0
        1 shows the stages and their progress (cutouts or scenes, fits by member and fold, calibration and test) on a
        terminal, or as one line per minute in a log; 0 is silent.
    progress : callable, optional
        Called with the number of cutouts and scenes finished since the last call.
    **options
        Options of `gridlens.sources.open_source`, for a `source` and a `pool` given by paths.

    Returns
    -------
    Trained

    Raises
    ------
    GridlensError
        The output exists, the labels are invalid or match no cutout, a member is unknown or needs pixels where only
        features are available, a labelled cutout occurs twice, or there are too few lenses or clusters for the folds.
    ModelError
        The model to build on cannot be loaded.
    ValueError
        Parameters cannot be combined, neither cutouts nor a recipe are given, or the recipe is unknown.

    Examples
    --------
    >>> import gridlens
    >>> trained = gridlens.train("cutouts/", "labels.csv", out="my-model/")  # doctest: +SKIP
    >>> print(trained.card)  # doctest: +SKIP
    """
    check_with_grades(grades, source, inject_into, positive_unlabelled, pool)
    if inject_into is not None:
        check_injection(source, recipe, positive_unlabelled, pool, prevalence)
        source = inject_into
    else:
        check_no_injection(known_lenses, seeing)
        check_parameters(
            source,
            labels if grades is None else grades,
            recipe,
            positive_unlabelled,
            groups,
            pool,
            init_model,
            resume,
            overwrite,
            options,
        )
    settings = settings_of(recipe, members=members, metadata=metadata, random_state=random_state)
    known, grading = None, None
    if labels is not None and inject_into is None:
        known = read_labels(labels, positive_unlabelled=positive_unlabelled, groups=groups)
    if grades is not None:
        grading = graded_training(grades, known, init_model)
        settings = grading.settings(settings, members is not None, metadata)
    elif init_model is not None:
        member = check_init_model(init_model, settings.metadata)
        settings = replace(settings, members=(*settings.members, member))
    if out is not None:
        check_out(Path(out), overwrite)
        if positive_unlabelled:
            check_ranking(ranking_path(Path(out)), overwrite)
    data = None if source is None else open_source(source, **options)
    # An open source does not accept options.
    unlabelled = None if pool is None else open_source(pool, **({} if hasattr(pool, "partitions") else options))
    pixels = check_members(settings.members, data, unlabelled)
    injecting = None
    if inject_into is not None:
        check_cutouts(data)
        survey = options.get("survey") or ((data and data.arguments) or {}).get("survey")
        injecting = PoolOptions(
            read_pool_table(labels, groups), known_lenses, survey, checked_seeing(seeing), prevalence
        )
    elif known is not None:
        check_calibration(known, unlabelled)
    workers: dict[str, Any] = {"engine": engine, "scheduler": scheduler, "n_jobs": n_jobs}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gridlens-train-")))
        bundle = folder / "model" if out is None else Path(out)
        if out is not None:
            writable_folder(bundle.absolute().parent)
            stack.enter_context(locked(bundle))
        # This bar closes before the fits, which have their own bars.
        total = _total(data, unlabelled, settings, injecting is not None, grading)
        with _progress_of("Simulating" if data is None else "Measuring", total, verbose, progress) as advance:
            measured: Callable[..., Any] = functools.partial(
                measured_partitions, stack, resume=resume, overwrite=overwrite, progress=advance, **workers
            )
            # The pool is measured first, so that a pool that is too small is rejected before hours of work.
            negatives, listed = None, ListedLenses()
            if unlabelled is not None:
                rows = measured(unlabelled, parts_folder(f"{bundle}.pool"))
                unknown = listed.pool(without_labelled(rows, known))
                negatives = usable_pool(part.with_metadata(settings.metadata) for part in unknown)
            if injecting is not None and data is not None:
                pooled = measure_pool(
                    stack,
                    data,
                    injecting,
                    settings,
                    folder,
                    parts=parts_folder(bundle),
                    pixels=pixels,
                    resume=resume,
                    overwrite=overwrite,
                    progress=advance,
                    **workers,
                )
            elif data is not None and grading is not None:
                rows = measured(data, parts_folder(bundle))
                looked_at = data if pixels else None
                kept = grading.measure(rows, settings.metadata, folder, looked_at, n_jobs=n_jobs, progress=advance)
            elif data is None or known is None:
                taught = simulated_set(settings, folder, pixels=pixels, n_jobs=n_jobs, progress=advance)
            else:
                rows = measured(data, parts_folder(bundle))
                labelled = gather(rows, known, settings.metadata, folder, data if pixels else None)
                taught = own_data_set(labelled, known, labels, data)
                check_unseen(settings.members, taught)
        if injecting is not None:
            taught = injected_set(pooled, settings, prevalence=prevalence, n_jobs=n_jobs, verbose=verbose)
            check_unseen(settings.members, taught)
        if grading is not None and data is not None:
            taught = grading.training_set(kept, data, n_jobs=n_jobs, verbose=verbose)
        taught.notes.extend(listed.notes)
        detector = LensDetector(
            settings.members,
            settings.metadata,
            # Objects selected by a model contain more lenses than the earlier training rows, so the stack needs an
            # intercept.
            meta="auto" if grading is None else "logistic",
            n_jobs=n_jobs,
            random_state=settings.random_state,
            verbose=verbose,
        )
        made = _teach(detector, taught, negatives, settings.mined_fraction)
        if unlabelled is not None:
            made.training["mined"]["sources"] = unlabelled.record
        if out is not None and made.accepted:
            write_bundle(detector, bundle, made.card, made.training, overwrite)
            write_ranking(made.ranking, ranking_path(bundle))
    path = bundle if out is not None and made.accepted else None
    return Trained(detector, made.card, taught.notes, path, made.comparison, made.ranking, made.accepted)


class _Taught(NamedTuple):
    """Description of a fitted detector."""

    card: str
    training: dict[str, Any]
    """record for the manifest"""
    comparison: str
    ranking: pd.DataFrame | None
    accepted: bool


def _teach(detector: LensDetector, taught: TrainingSet, negatives: Measured | None, mined_fraction: float) -> _Taught:
    """Fit a detector, and return its card and the record of the training for the manifest."""
    data = hash_arrays(taught.arrays)
    training = dict(taught.record)
    mined: Mined | None = None
    learn = taught.learn
    fit(detector, learn, taught.calibrate)
    if negatives is not None:
        mined = mine(detector, negatives, max(1, int(mined_fraction * len(learn.label))))
        learn = learn.with_negatives(mined)
        fit(detector, learn, taught.calibrate)
        data |= hash_arrays({"mined.features": mined.rows.features})
        training["mined"] = {"pool": mined.pool, "taken": len(mined.weight), "weight": float(mined.weight.sum())}
    sections, ranking = [], None
    if taught.positive_unlabelled:
        known = learn_from_known_lenses(detector, taught, learn)
        sections, ranking = known.sections, known.ranking
        training |= known.record
    with progress_bar("Testing", None, visible=detector.verbose > 0):
        held = taught.held_out(detector)
        beside = None
        if taught.judged is not None:
            beside = taught.judged(detector)
        elif held.bundled is not None:
            builds_on_it = builds_on_bundled(detector.stack_.members_)
            beside = beside_bundled(held.label, held.score, held.bundled, held.group, builds_on_it)
        if taught.sections is not None:
            sections += taught.sections(detector)
        card = write_card(detector, taught.words, held, taught.notes, mined, beside, sections)
    comparison, accepted = ("", True) if beside is None else (beside.verdict, beside.accepted)
    return _Taught(card, training | {"data": data}, comparison, ranking, accepted)


def _total(
    data: Source | None, pool: Source | None, recipe: Recipe, injecting: bool, grading: GradedTraining | None
) -> int | None:
    """Return the number of cutouts and scenes to measure; None if unknown."""
    n = recipe.n_scenes if data is None else data.n
    waiting = 0 if pool is None else pool.n
    if n is None or waiting is None:
        return None
    return rows_of(n) if injecting else n + waiting + (0 if grading is None else grading.n_scenes)


@contextlib.contextmanager
def _progress_of(
    stage: str, total: int | None, verbose: int, progress: Callable[[int], Any] | None
) -> Iterator[Callable[[int], Any]]:
    """Yield a function that reports finished cutouts to a progress bar and to the caller."""
    with progress_bar(stage, total, visible=verbose > 0) as advance:

        def finished(count: int) -> None:
            advance(count)
            if progress is not None:
                progress(count)

        yield finished
