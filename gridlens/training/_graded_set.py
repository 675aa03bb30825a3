"""The training set of grades: graded cutouts, weighed against the rows that the old model was trained on."""

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

__all__ = ["FEWEST_OF_A_CLASS", "GRADED_MEMBERS", "check_grades", "graded_set"]

GRADED_MEMBERS = ("patch",)
"""members that learn from grades beside the old model: single patches can be learned from few labels"""
# Weights of the rows of the training before, which stay.
_OLD_WEIGHTS = (0.05, 0.25, 1.0)
FEWEST_OF_A_CLASS = 10
"""graded objects of either class: folds of the members and of the stack need some of both in each"""


def check_grades(graded: Graded, known: Labels | None) -> None:
    """Raise GridlensError where there are too few grades of a class, or labels in the wrong form."""
    likely = (graded.objects["q"] >= 0.5).to_numpy()
    counts = int(likely.sum()), int((~likely).sum())
    if min(counts) < FEWEST_OF_A_CLASS:
        raise GridlensError(
            f"The 'grades' parameter must hold at least {FEWEST_OF_A_CLASS} objects that are likely lenses, and as "
            f"many that are not. Got {counts[0]} and {counts[1]} instead; grade more objects."
        )
    if known is not None and known.calibration.any():
        raise GridlensError(
            "The 'labels' parameter must mark no rows for calibration with 'grades'. Got "
            f"{int(known.calibration.sum())} of them; leave the column 'calibration' out."
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
    """Return the training set of grades, with weights that are chosen out of fold.

    Parameters
    ----------
    rows : GradedRows
    graded : Graded
    before : OldRows
    known : Labels or None
        Labels of the training before.
    old : OldModel
    on : {"grades", "labels", "scenes"}
        Rows to calibrate on.
    source : Source
        The pool.
    path : str or path
        The book of grades.
    n_jobs : int
        Threads.
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
    """Return the rows with facts about their objects: `represents`, `gold`, `group` and `id`.

    Of an object with both labels, the likelier one represents the pool: the consensus has the prevalence of what was
    graded, and gives a random object, which is hardly ever a lens, too high a probability. `represents` is 0 for the
    other one, for gold, and where it is unknown.
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
    """Return the rows to learn from: the graded ones first, then those of the training before."""
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
        # The old model has seen these rows: its weight in the stack is learned from the grades alone.
        meta_weight=np.concatenate([weight, np.zeros(n)]),
        calibration_weight=None if calibrating is None else np.concatenate(calibrating),
    )


def _held_out(detector: LensDetector, table: pd.DataFrame, learn: Examples, on: str) -> HeldOut:
    """Return the out-of-fold scores of the graded rows; those that represent the pool have weights."""
    stack = detector.stack_
    n = len(table)
    represents = table["represents"].to_numpy()
    # Of objects that a model chose, all count alike: there is nothing to tell which ones they represent.
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
    """Return the graded rows that the old model has not seen, with the scores of both models."""
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
