"""Stages of a training from grades."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from gridlens.features import Measured
from gridlens.sources import Partition, Source
from gridlens.training._examples import TrainingSet
from gridlens.training._graded_old import OldRows, calibrated_on, n_scenes, old_rows
from gridlens.training._graded_rows import GradedRows, graded_rows
from gridlens.training._graded_set import GRADED_MEMBERS, check_grades, graded_set
from gridlens.training._grades import Graded, read_grades
from gridlens.training._labels import Labels
from gridlens.training._old_model import OldModel, read_old_model
from gridlens.training._recipe import Recipe

__all__ = ["GradedTraining", "graded_training"]


class GradedTraining(NamedTuple):
    """The grade book, the labels and the model of a training from grades.

    Attributes
    ----------
    path : str or path
        The grade book.
    graded : Graded
    known : Labels or None
        Labels that the old model was trained on.
    old : OldModel
    on : {"grades", "labels", "scenes"}
        Calibration rows.
    """

    path: str | os.PathLike[str]
    graded: Graded
    known: Labels | None
    old: OldModel
    on: str

    @property
    def n_scenes(self) -> int:
        """Number of scenes that are simulated."""
        return n_scenes(self.known, self.old, self.on)

    def settings(self, recipe: Recipe, given: bool, metadata: str | None) -> Recipe:
        """Return settings with the old model among the members; `given` tells if the caller chose the members."""
        members = recipe.members if given else GRADED_MEMBERS
        # A recipe lists members as text; a frozen member object is accepted in the same place.
        return replace(recipe, members=(*members, self.old.member()), metadata=metadata or self.old.detector.metadata)

    def keep(
        self, rows: Iterable[tuple[Partition, Measured]], metadata: str, folder: Path, pixels: Source | None
    ) -> GradedRows:
        """Return the graded rows of a measured pool."""
        return graded_rows(rows, self.graded, self.known, metadata, folder, pixels)

    def measure(
        self,
        rows: Iterable[tuple[Partition, Measured]],
        metadata: str,
        folder: Path,
        pixels: Source | None,
        *,
        n_jobs: int | None,
        progress: Callable[[int], Any],
    ) -> tuple[GradedRows, OldRows]:
        """Return the graded rows of a measured pool, and the earlier training rows or simulated scenes."""
        kept = self.keep(rows, metadata, folder, pixels)
        looked_at = pixels is not None
        before = old_rows(
            kept.labelled, self.known, self.old, self.on, folder, pixels=looked_at, n_jobs=n_jobs, progress=progress
        )
        return kept, before

    def training_set(
        self, rows: tuple[GradedRows, OldRows], source: Source, *, n_jobs: int | None, verbose: int
    ) -> TrainingSet:
        """Return the training set of measured rows."""
        kept, before = rows
        return graded_set(
            kept,
            self.graded,
            before,
            self.known,
            self.old,
            self.on,
            source,
            self.path,
            n_jobs=n_jobs,
            verbose=verbose,
        )


def graded_training(
    path: str | os.PathLike[str], known: Labels | None, init_model: str | os.PathLike[str] | None
) -> GradedTraining:
    """Read a grade book and the model to improve, and check that a training is possible.

    Parameters
    ----------
    path : str or path
        A file of `gridlens.grading.GradeBook`.
    known : Labels or None
    init_model : str or path
        The old model; None takes the bundled one.

    Raises
    ------
    GridlensError
        The book cannot be read, contains too few grades, or there are no calibration rows.
    ModelError
        The model cannot be loaded.
    """
    graded = read_grades(path)
    check_grades(graded, known)
    old = read_old_model("default" if init_model is None else init_model)
    return GradedTraining(path, graded, known, old, calibrated_on(graded, known, old))
