"""Replay of grading and retraining on a labelled pool, to compare strategies before people grade."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gridlens.calibration import shift_prior
from gridlens.detector import LensDetector
from gridlens.errors import GridlensError
from gridlens.evaluation import Estimate, auroc, calibration_error
from gridlens.features import Measured
from gridlens.grading import GradeBook
from gridlens.grading._next_queue import add_next_queue
from gridlens.grading._oracle import simulated_grades
from gridlens.sources import Partition, Source
from gridlens.training._examples import fit
from gridlens.training._graded import GradedTraining
from gridlens.training._graded_old import OldRows, calibrated_on, old_rows
from gridlens.training._graded_set import FEWEST_OF_A_CLASS, class_counts
from gridlens.training._grades import read_grades
from gridlens.training._kept import KeptRows
from gridlens.training._labelled import measured_partitions
from gridlens.training._old_model import OldModel, read_old_model
from gridlens.training._recipe import RECIPES

__all__ = ["WITHOUT", "measured_pool", "replay_grading"]

WITHOUT = "top, no retraining"
"""strategy with which the others are compared"""
# Number of objects in the next list.
_NEXT = 200


def replay_grading(
    pool: Measured,
    truth: Mapping[str, int],
    source: Source,
    *,
    init_model: str | os.PathLike[str] = "default",
    strategies: Sequence[str] = ("mix", "top", "random"),
    batch: int = 100,
    rounds: int = 4,
    graders: int = 2,
    random_state: int = 0,
    n_jobs: int | None = -1,
    progress: Callable[[int, str], Any] | None = None,
) -> pd.DataFrame:
    """Simulate rounds of grading queues of a labelled pool and retraining the model.

    The model is retrained like in `gridlens.train` with `grades`, and a model that is not accepted is not used. The
    strategy `WITHOUT` grades the best objects of the old model, which is never retrained.

    Parameters
    ----------
    pool : Measured of n
    truth : mapping of str to int
        1 for a lens and 0 otherwise, by id; required for all rows of the pool that are not rejected.
    source : Source
        Source of the pool, for the record of the models.
    init_model : str or path, default="default"
        Model to begin with.
    strategies : sequence of {"mix", "top", "random"}
        As in `gridlens.grading.make_queue`.
    batch, rounds : int, default=100, 4
        Number of objects per round, and number of rounds.
    graders : int, default=2
        Number of simulated graders, each of whom grades every object; see `gridlens.grading` for their errors.
    random_state : int, default=0
        Seed of the draws.
    n_jobs : int, default=-1
        Number of processes; -1 uses all processors.
    progress : callable, default=None
        Called with the number of rounds finished since the last call, and the name of the next round.

    Returns
    -------
    DataFrame
        One row for each strategy and round, from 0: `strategy`, `round`, `n_graded` (objects), `lenses_found` among
        them, `recall` (fraction of all lenses) and `lenses_per_100` of the last batch. For the model after the round,
        on the objects not graded yet: `recall_next` (fraction of their lenses among its best 200), `auroc`, and
        `calibration_error` at their prevalence, with `calibration_low` and `calibration_high` (95 %). For the old model
        on the same objects: `recall_next_old`, `auroc_old` and `calibration_error_old`. `accepted` is True if the model
        of the round replaced the previous one.

    Raises
    ------
    GridlensError
        A row has no truth, or a class is missing.
    """
    usable = pool[~pool.rejected].without_cutouts()
    missing = [name for name in usable.ids if name not in truth]
    if missing:
        raise GridlensError(
            f"The truth must contain each object of the pool. Got none for {len(missing)} of {len(usable)} instead, "
            f"such as {missing[0]!r}; add them, or leave them out of the pool."
        )
    label = np.array([truth[name] for name in usable.ids], dtype=np.int64)
    if not 0 < label.sum() < len(label):
        raise GridlensError(
            f"The pool must contain lenses and non-lenses. Got {int(label.sum())} lenses among {len(label)} objects "
            "instead."
        )
    old = read_old_model(init_model)
    replay = _Replay(usable, label, dict(truth), source, old, batch, rounds, graders, random_state, n_jobs, progress)
    return pd.concat([replay.run(one) for one in (WITHOUT, *strategies)], ignore_index=True)


def measured_pool(source: Source, *, n_jobs: int | None, progress: Callable[[int], Any]) -> Measured:
    """Measure all rows of a source.

    Parameters
    ----------
    source : Source
    n_jobs : int
        Number of processes.
    progress : callable
        Called with the number of cutouts finished since the last call.
    """
    with tempfile.TemporaryDirectory(prefix="gridlens-replay-") as folder, contextlib.ExitStack() as stack:
        run = {"resume": False, "overwrite": False, "engine": "local", "scheduler": None, "n_jobs": n_jobs}
        parts = measured_partitions(stack, source, Path(folder) / "parts", progress=progress, **run)
        return Measured.concatenate([rows for _, rows in parts])


class _Replay:
    """The pool, with the scores of the old model and the simulated scenes that all strategies share."""

    def __init__(
        self,
        pool: Measured,
        label: np.ndarray,
        truth: dict[str, int],
        source: Source,
        old: OldModel,
        batch: int,
        rounds: int,
        graders: int,
        random_state: int,
        n_jobs: int | None,
        progress: Callable[[int, str], Any] | None,
    ) -> None:
        self.pool, self.label, self.truth, self.source, self.old = pool, label, truth, source, old
        self.batch, self.rounds, self.random_state, self.n_jobs = batch, rounds, random_state, n_jobs
        self.names = [f"grader-{k + 1}" for k in range(graders)]
        self.tell = progress or (lambda count, name: None)
        self.prevalence = float(label.mean())
        self._scenes: dict[str, OldRows] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="gridlens-replay-")
        self._old = self._scored(old.detector)

    def run(self, strategy: str) -> pd.DataFrame:
        """Return the rows of one strategy."""
        path = Path(self._folder.name) / f"{strategy}.sqlite"
        retrained = strategy != WITHOUT
        model, accepted = self._old, False
        lines = [self._line(strategy, 0, set(), [], model, accepted)]
        with GradeBook.open(path) as book:
            for k in range(1, self.rounds + 1):
                self.tell(0, f"{strategy}, round {k} of {self.rounds}")
                items = add_next_queue(
                    book,
                    model.table,
                    strategy=strategy if retrained else "top",
                    batch=self.batch,
                    random_state=self.random_state,
                )
                book.add_many(simulated_grades(items, self.truth, self.names, self.random_state))
                done = set(book.current()["object_id"])
                if retrained:
                    new = self._retrained(path)
                    accepted = new is not None
                    if new is not None:
                        model = self._scored(new)
                lines.append(self._line(strategy, k, done, list(items["object_id"]), model, accepted))
                self.tell(1, "")
        return pd.DataFrame(lines)

    def _scored(self, detector: LensDetector) -> _Scored:
        table = detector.score_cutouts(self.pool, prevalence=self.prevalence)
        p = detector.calibrator_.predict(detector.decision_function(self.pool))
        return _Scored(table, p, detector.calibration_prevalence_)

    def _retrained(self, path: Path) -> LensDetector | None:
        """Return a model of the grades so far; None if there are too few, or the model is not accepted."""
        graded = read_grades(path)
        if min(class_counts(graded)) < FEWEST_OF_A_CLASS:
            return None
        on = calibrated_on(graded, None, self.old)
        grading = GradedTraining(path, graded, None, self.old, on)
        settings = grading.settings(RECIPES["default"], False, None)
        with tempfile.TemporaryDirectory(dir=self._folder.name) as folder:
            whole = [(Partition((), (0, len(self.pool))), self.pool)]
            kept = grading.keep(whole, settings.metadata, Path(folder), None)
            taught = grading.training_set((kept, self._old_rows(on)), self.source, n_jobs=self.n_jobs, verbose=0)
            detector = LensDetector(
                settings.members, settings.metadata, meta="logistic", n_jobs=self.n_jobs, random_state=self.random_state
            )
            fit(detector, taught.learn, taught.calibrate)
            assert taught.judged is not None
            return detector if taught.judged(detector).accepted else None

    def _old_rows(self, on: str) -> OldRows:
        """Return scenes of the recipe of the old model, which are simulated only once."""
        if on not in self._scenes:
            folder = Path(self._folder.name) / on
            folder.mkdir()
            empty = KeptRows(folder, "labelled")
            self._scenes[on] = old_rows(
                empty, None, self.old, on, folder, pixels=False, n_jobs=self.n_jobs, progress=lambda count: None
            )
        return self._scenes[on]

    def _line(
        self, strategy: str, k: int, done: set[str], last: list[str], model: _Scored, accepted: bool
    ) -> dict[str, Any]:
        """Return the counts so far, and the metrics of the model on the objects that are left."""
        left = np.array([name not in done for name in self.pool.ids], dtype=bool)
        before, now = self._left(self._old, left), self._left(model, left)
        found = sum(self.truth[name] for name in done)
        return {
            "strategy": strategy,
            "round": k,
            "n_graded": len(done),
            "lenses_found": found,
            "recall": found / self.label.sum(),
            "lenses_per_100": 100.0 * np.mean([self.truth[name] for name in last]) if last else np.nan,
            "recall_next": now.recall,
            "auroc": now.auroc,
            "calibration_error": now.error.value,
            "calibration_low": now.error.low,
            "calibration_high": now.error.high,
            "recall_next_old": before.recall,
            "auroc_old": before.auroc,
            "calibration_error_old": before.error.value,
            "accepted": accepted,
        }

    def _left(self, model: _Scored, left: np.ndarray) -> _Left:
        y, p = self.label[left], model.p[left]
        if 0 < y.sum() < len(y):
            p = shift_prior(p, model.prevalence, float(y.mean()))
        best = y[np.argsort(-p, kind="stable")[:_NEXT]]
        return _Left(best.sum() / max(y.sum(), 1), auroc(y, p).value, calibration_error(y, p, n_boot=200))


class _Scored(NamedTuple):
    """A model's scores of the pool, which all rounds until the next model use."""

    table: pd.DataFrame
    p: np.ndarray
    """calibrated probabilities (n,), at the prevalence of the calibration"""
    prevalence: float


class _Left(NamedTuple):
    """Metrics on the objects that are not graded."""

    recall: float
    auroc: float
    error: Estimate
