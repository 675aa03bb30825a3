"""The training set of graded cutouts, with weights relative to the rows that the old model was trained on."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs

from gridlens.calibration import shift_prior
from gridlens.detector import LensDetector
from gridlens.detector._trained import is_trained
from gridlens.errors import GridlensError
from gridlens.models._manifest import sha256_of
from gridlens.sources import Source
from gridlens.training._accepted import Scored, accepted_or_kept
from gridlens.training._bundled import Beside
from gridlens.training._card import HeldOut
from gridlens.training._examples import Examples, TrainingSet
from gridlens.training._graded_card import graded_sections, graded_words
from gridlens.training._graded_old import OldRows
from gridlens.training._graded_rows import GradedRows, labelled_twice
from gridlens.training._grades import Graded
from gridlens.training._labels import Labels
from gridlens.training._old_model import OldModel
from gridlens.training._tuned import Tuned, tune

__all__ = ["FEWEST_OF_A_CLASS", "GRADED_MEMBERS", "check_grades", "class_counts", "graded_set"]

GRADED_MEMBERS = ("patch",)
"""members trained on grades in addition to the old model; `patch` can be trained on few labels"""
# Candidate weights of the rows of the earlier training.
_OLD_WEIGHTS = (0.05, 0.25, 1.0)
FEWEST_OF_A_CLASS = 10
"""smallest number of graded objects of each class: every fold of the members and the stack needs both classes"""


def class_counts(graded: Graded) -> tuple[int, int]:
    """Return the numbers of graded objects that are likely lenses, and of the others."""
    likely = (graded.objects["q"] >= 0.5).to_numpy()
    return int(likely.sum()), int((~likely).sum())


def check_grades(graded: Graded, known: Labels | None) -> None:
    """Raise GridlensError if a class has too few grades, or the labels mark calibration rows."""
    counts = class_counts(graded)
    if min(counts) < FEWEST_OF_A_CLASS:
        raise GridlensError(
            f"The 'grades' parameter must contain at least {FEWEST_OF_A_CLASS} objects that are likely lenses, and as "
            f"many likely non-lenses. Got {counts[0]} and {counts[1]} instead; grade more objects."
        )
    if known is not None and known.calibration.any():
        raise GridlensError(
            "The 'labels' parameter must not mark calibration rows if 'grades' is given. Got "
            f"{int(known.calibration.sum())} of them instead; leave out the column 'calibration'."
        )


def graded_set(
    rows: GradedRows,
    graded: Graded,
    before: OldRows,
    known: Labels | None,
    old: OldModel,
    on: str,
    source: Source,
    path: str | os.PathLike[str],
    *,
    n_jobs: int | None,
    verbose: int,
) -> TrainingSet:
    """Return the training set of graded cutouts, with weights chosen out of fold.

    Parameters
    ----------
    rows : GradedRows
    graded : Graded
    before : OldRows
    known : Labels or None
        Labels of the earlier training.
    old : OldModel
    on : {"grades", "labels", "scenes"}
        Calibration rows.
    source : Source
        The pool.
    path : str or path
        The grade book.
    n_jobs : int
        Number of threads.
    verbose : int
        1 shows the progress.
    """
    table = _with_objects(labelled_twice(rows.graded, graded), graded)
    tuned = _tuned(rows, table, before, int(effective_n_jobs(n_jobs)), verbose)
    learn = _joined(rows, table, before, tuned, on)
    recipe = None if old.recipe is None else replace(old.recipe, members=tuple(map(str, old.recipe.members)))
    record: dict[str, Any] = {
        "grades": {"path": os.fspath(path), "sha256": sha256_of(Path(path))},
        "sources": source.record,
        "old": {"model": old.name, "sha256": old.digest},
        "base": old.base,
        "recipe": None if recipe is None else asdict(recipe),
        "old_weight": tuned.scene_weight,
        "hard_weight": tuned.hard_weight,
        "calibrated_on": on,
    }

    def judged(detector: LensDetector) -> Beside:
        return accepted_or_kept(_scored(detector, rows, table, learn, old), old.name)

    return TrainingSet(
        learn,
        before.calibrate,
        lambda detector: _held_out(detector, table, learn, on),
        graded_words(table, before, known is not None, on, tuned, old),
        rows.notes,
        {"graded": record},
        {
            "train.features": learn.store.measured().features,
            "train.label": learn.label,
            "train.cluster": np.asarray(learn.group),
            "train.id": learn.store.measured().ids.astype(str),
        },
        sections=lambda _: graded_sections(graded, table),
        judged=judged,
    )


def _with_objects(table: pd.DataFrame, graded: Graded) -> pd.DataFrame:
    """Return the rows with properties of their objects: `represents`, `gold`, `group` and `id`.

    If an object has both labels, only the row with the likelier label represents the pool. The consensus assumes the
    prevalence of the graded objects and so overestimates the probability of random objects, which are rarely lenses.
    `represents` is 0 for the other row, for gold objects, and if it is unknown.
    """
    objects = graded.objects
    of_object = objects.index.to_series().radd("\0")
    group = pd.factorize(objects["cluster"].where(objects["cluster"] != "", of_object))[0]
    place = table["place"].to_numpy()
    is_gold = objects["gold"].notna().to_numpy()[place]
    represents = objects["represents"].fillna(0.0).to_numpy()[place]
    represents = np.where(is_gold | table["place"].duplicated().to_numpy(), 0.0, represents)
    return table.assign(represents=represents, gold=is_gold, group=group[place], id=objects.index[place])


def _tuned(rows: GradedRows, table: pd.DataFrame, before: OldRows, n_jobs: int, verbose: int) -> Tuned:
    old = before.learn
    drawn = None
    if old is not None:
        assert old.weight is not None
        drawn = np.array(old.store.measured().features), old.label, old.weight
    label, group, weight = (table[name].to_numpy() for name in ("label", "group", "weight"))
    return tune(
        np.array(rows.graded.store.measured().features),
        label,
        group,
        weight,
        drawn,
        scene_weights=_OLD_WEIGHTS,
        names=("the grades", "earlier rows"),
        n_jobs=n_jobs,
        verbose=verbose,
    )


def _joined(rows: GradedRows, table: pd.DataFrame, before: OldRows, tuned: Tuned, on: str) -> Examples:
    """Return the training rows: first the graded ones, then those of the earlier training."""
    label, group, weight = (table[name].to_numpy() for name in ("label", "group", "weight"))
    represents = table["represents"].to_numpy()
    graded = Examples(
        rows.graded.store,
        label,
        group,
        weight * np.where(tuned.hard, tuned.hard_weight, 1.0),
        meta_weight=weight,
        calibration_weight=represents if on == "grades" else None,
    )
    old = before.learn
    if old is None:
        return graded
    assert old.group is not None and old.weight is not None and graded.weight is not None
    graded.store.add(old.store.measured())
    none, n = np.zeros(len(label)), len(old.label)
    calibrating = {"grades": (represents, np.zeros(n)), "labels": (none, np.ones(n))}.get(on)
    return Examples(
        graded.store,
        np.concatenate([label, old.label]),
        np.concatenate([group, group.max() + 1 + old.group]),
        np.concatenate([graded.weight, tuned.scene_weight * old.weight]),
        # The old model was trained on these rows, so its weight in the stack is learned from the grades alone.
        meta_weight=np.concatenate([weight, np.zeros(n)]),
        calibration_weight=None if calibrating is None else np.concatenate(calibrating),
    )


def _held_out(detector: LensDetector, table: pd.DataFrame, learn: Examples, on: str) -> HeldOut:
    """Return the out-of-fold scores of the graded rows, weighted by the number of objects that they represent."""
    stack = detector.stack_
    n = len(table)
    represents = table["represents"].to_numpy()
    # Objects selected by a model are weighted by their labels alone, since it is unknown how many they represent.
    weight = represents if represents[table["label"].to_numpy() == 1].any() else table["weight"].to_numpy()
    chosen = np.flatnonzero(weight > 0.0)
    label, weight = table["label"].to_numpy()[chosen], weight[chosen]
    score = stack.out_of_fold_score(learn.label, learn.meta_weight)[:n][chosen]
    p, prevalence = None, float(np.average(label, weights=weight))
    if on != "grades" and 0.0 < prevalence < 1.0:
        p = shift_prior(detector.calibrator_.predict(score), detector.calibration_prevalence_, prevalence)
    group = table["group"].to_numpy()[chosen]
    return HeldOut(label, score, stack.out_of_fold_[:n][chosen], group, weight=weight, p=p)


def _scored(detector: LensDetector, rows: GradedRows, table: pd.DataFrame, learn: Examples, old: OldModel) -> Scored:
    """Return the graded rows that the old model was not trained on, with the scores of both models."""
    n = len(table)
    features = np.array(learn.store.measured().features[:n])
    unseen = ~is_trained(features, old.detector.training_rows_)
    before = old.detector.decision_function(features)
    chosen = np.flatnonzero(unseen & np.isfinite(before))
    label, gold = table["label"].to_numpy()[chosen], table["gold"].to_numpy()[chosen]
    of_pool = [model.decision_function(rows.sample) for model in (old.detector, detector)]
    return Scored(
        label,
        table["group"].to_numpy()[chosen],
        before[chosen],
        detector.stack_.out_of_fold_score(learn.label, learn.meta_weight)[:n][chosen],
        table["represents"].to_numpy()[chosen],
        gold,
        gold & (label == 1),
        table["id"].to_numpy()[chosen],
        *(score[np.isfinite(score)] for score in of_pool),
    )
