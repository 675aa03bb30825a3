"""Measured cutouts with labels, and the fit of a detector on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridlens.detector import LensDetector
from gridlens.errors import GridlensError
from gridlens.training._bundled import Beside
from gridlens.training._card import HeldOut, Words
from gridlens.training._mine import Mined
from gridlens.training._store import MeasuredStore

__all__ = ["Examples", "TrainingSet", "fit"]


@dataclass(frozen=True)
class Examples:
    """Measured cutouts in a store, and their labels.

    Parameters
    ----------
    store : MeasuredStore of n
    label : ndarray of shape (n,), int64
    group : ndarray of shape (n,), int64, default=None
        Clusters; None makes each row a separate cluster.
    weight : ndarray of shape (n,), float64, default=None
        Weights for the members; None for equal weights.
    vetted : ndarray of shape (n,), bool, default=None
        In positive-unlabelled learning, rows that are certain non-lenses; None if there are none.
    meta_weight, calibration_weight : ndarray of shape (n,), float64, default=None
        Weights for fitting the stack and for an out-of-fold calibration; None for equal weights.
    """

    store: MeasuredStore
    label: np.ndarray
    group: np.ndarray | None = None
    weight: np.ndarray | None = None
    vetted: np.ndarray | None = None
    meta_weight: np.ndarray | None = None
    calibration_weight: np.ndarray | None = None

    def with_negatives(self, mined: Mined) -> Examples:
        """Return the rows and mined negatives, each a separate cluster; the negatives are added to the same store."""
        n, m = len(self.label), len(mined.weight)
        group = np.arange(n) if self.group is None else self.group
        weight = np.ones(n) if self.weight is None else self.weight
        self.store.add(mined.rows)
        return Examples(
            self.store,
            np.concatenate([self.label, np.zeros(m, dtype=self.label.dtype)]),
            np.concatenate([group, group.max() + 1 + np.arange(m)]),
            np.concatenate([weight, mined.weight]),
        )


def fit(detector: LensDetector, learn: Examples, calibrate: Examples | None) -> None:
    """Fit a detector on training rows, and calibrate it on separate rows or out of fold.

    Raises
    ------
    GridlensError
        There are fewer positives, or clusters with positives, than folds; or a member fails.
    """
    held = None
    if calibrate is not None:
        groups = () if calibrate.group is None else (calibrate.group,)
        held = (calibrate.store.measured(), calibrate.label, *groups)
    try:
        detector.fit(
            learn.store.measured(),
            learn.label,
            groups=learn.group,
            sample_weight=learn.weight,
            meta_weight=learn.meta_weight,
            calibration=held,
            calibration_weight=learn.calibration_weight,
        )
    except ValueError as exc:
        raise GridlensError(str(exc)) from exc


@dataclass(frozen=True)
class TrainingSet:
    """The rows of a training, and their description for the card and the manifest."""

    learn: Examples
    calibrate: Examples | None
    """None calibrates on out-of-fold scores of the training rows"""
    held_out: Callable[[LensDetector], HeldOut]
    """function that scores rows with a fitted detector whose members have not seen them"""
    words: Words
    notes: list[str]
    """sentences on rows that were left out"""
    record: dict[str, Any]
    """source of the rows, for the manifest"""
    arrays: dict[str, np.ndarray]
    """all training data by name, for the hashes in the manifest"""
    positive_unlabelled: bool = False
    """whether the labels of the training rows are 1 for a known lens and 0 for unlabelled cutouts"""
    sections: Callable[[LensDetector], list[tuple[str, str]]] | None = None
    """function that returns headings and texts of further sections of the card; None if there are none"""
    judged: Callable[[LensDetector], Beside] | None = None
    """function that compares a fitted detector with the model to replace; None compares it with the bundled model"""
