"""Models of one's own labelled cutouts: gather, fit, calibrate, judge out of fold, write down."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gridlens._tables import some_names
from gridlens.cutouts import CutoutBatch, CutoutSet
from gridlens.detector import LensDetector
from gridlens.errors import GridlensError
from gridlens.features import keep_metadata
from gridlens.models._bundle import check_new_bundle, save_model
from gridlens.models._kept import KeptRows
from gridlens.models._labels import Labels, read_labels
from gridlens.models._manifest import hash_arrays, sha256_of
from gridlens.models._mine import Mined, mine, pool_features
from gridlens.models._own_card import HeldOut, Learned, write_own_card
from gridlens.models._sources import Sources, measured_of
from gridlens.models.recipe import RECIPES
from gridlens.stacking import build_member, member_log_odds

__all__ = ["Trained", "train_on_data"]

_Progress = Callable[[int], Any] | None


class Trained(NamedTuple):
    """A model that was written, in words."""

    card: str
    """Markdown"""
    notes: list[str]
    """what was left out, a sentence each"""


def train_on_data(
    out: str | os.PathLike[str],
    data: Sources,
    labels: str | os.PathLike[str],
    *,
    members: Sequence[str] = ("lightgbm", "patch"),
    metadata: str = "image",
    positive_unlabelled: bool = False,
    groups: str | None = None,
    pool: Sources | None = None,
    random_state: int = 0,
    n_jobs: int | None = -1,
    progress: _Progress = None,
) -> Trained:
    """Train a detector on labelled cutouts, or on the features of them, and write its bundle to `out`.

    Rows that the table of labels marks for calibration are kept from the members. Without any the probabilities are
    calibrated on out-of-fold scores of the rows that were learned from, whose labels must then be clean. The features
    are gathered in a file in the folder of temporary files, 1260 bytes a row, and mapped into memory.

    Parameters
    ----------
    out : str or path
        A new or empty folder, or a new .zip file.
    data : Sources
    labels : str or path
        Table with `id` and `label`, and maybe `cluster` and `calibration`; see `read_labels`.
    members, metadata, random_state, n_jobs
        As in `LensDetector`.
    positive_unlabelled, groups
        As in `read_labels`.
    pool : Sources, optional
        Unlabelled cutouts. Those that the model scores highest are learned as negatives in one round more; needs rows
        for calibration, since what was chosen by its score tells nothing of how many negatives score so. Rows of the
        pool that have a label are passed over.
    progress : callable, optional
        Called with the number of cutouts that were read since the last call.

    Returns
    -------
    Trained

    Raises
    ------
    GridlensError
        The output is there, the labels are wrong or meet no cutout, a member is unknown or looks at cutouts where
        features alone are there, a cutout comes twice, or there are too few lenses or clusters for the folds.
    """
    check_new_bundle(out)
    looking = _checked_members(members, data, pool)
    known = read_labels(labels, positive_unlabelled=positive_unlabelled, groups=groups)
    if pool is not None and not known.calibration.any():
        raise GridlensError(
            "A model that learns from a pool must be calibrated on rows of its own: mark some by a 1 in the column "
            "'calibration' of the table of labels. Got none."
        )
    # Before the fits, not after.
    unlabelled = None if pool is None else pool_features(_without(pool, known), metadata, progress=progress)
    with tempfile.TemporaryDirectory(prefix="gridlens-train-") as folder:
        learn, calibrate, notes = _gather(data, known, metadata, Path(folder), looking, progress)
        y, group = known.label[learn.places], known.group[learn.places]
        _check_classes(y, "to learn from")
        held = None
        arrays = _arrays("train", learn, known)
        if len(calibrate):
            held = (calibrate.inputs, known.label[calibrate.places], known.group[calibrate.places])
            _check_classes(held[1], "to calibrate on")
            arrays |= _arrays("calibrate", calibrate, known)
        detector = LensDetector(tuple(members), metadata, n_jobs=n_jobs, random_state=random_state)
        _fit(detector, learn.inputs, y, group, held)
        mined = None
        if unlabelled is not None:
            mined = mine(detector, unlabelled, max(1, int(RECIPES["default"].mined_fraction * len(y))))
            arrays["mined.features"] = mined.features
            _fit_with(detector, learn, y, group, held, mined)
        training: dict[str, Any] = {
            "labelled": {
                "labels": {"path": os.fspath(labels), "sha256": sha256_of(Path(labels))},
                "sources": data.record,
                "positive_unlabelled": positive_unlabelled,
                "clusters": known.grouped,
            },
            "data": hash_arrays(arrays),
        }
        if mined is not None and pool is not None:
            weight = float(mined.weight.sum())
            training["mined"] = {"pool": mined.pool, "taken": len(mined.weight), "weight": weight}
            training["mined"]["sources"] = pool.record
        card = write_own_card(
            detector,
            _held_out(detector, y, group, held),
            Learned(y, group if known.grouped else None, positive_unlabelled, bool(data.caches), notes, mined),
        )
        save_model(detector, out, card=card, training=training)
    return Trained(card, notes)


def _checked_members(members: Sequence[str], data: Sources, pool: Sources | None) -> bool:
    """Whether a member looks at cutouts, which must be there then."""
    looking = [name for name in members if build_member(name).consumes == "cutouts"]
    if looking and data.caches:
        raise GridlensError(
            f"The 'members' parameter must name members on features where the data are feature caches. Got "
            f"{looking[0]!r} instead, which looks at cutouts; give the cutouts themselves."
        )
    if looking and pool is not None:
        raise GridlensError(
            f"The 'pool' parameter must be left out with members that look at cutouts. Got {looking[0]!r} among the "
            "members: a pool is kept as features."
        )
    return bool(looking)


def _gather(
    data: Sources, known: Labels, metadata: str, folder: Path, pixels: bool, progress: _Progress
) -> tuple[KeptRows, KeptRows, list[str]]:
    """Rows to learn from and to calibrate on, and what was left out."""
    learn, calibrate = KeptRows(folder, "learn"), KeptRows(folder, "calibrate")
    seen: set[str] = set()
    without: list[str] = []
    rejected: list[str] = []
    for batch in data:
        measured = measured_of(batch)
        names = measured.ids.tolist()
        doubled = []
        for name in names:
            if name in seen and name in known.row:
                doubled.append(name)
            seen.add(name)
        if doubled:
            raise GridlensError(
                f"The data must hold each labelled cutout once. Got {some_names(doubled)} again instead; leave out the "
                "copies."
            )
        places = np.array([known.row.get(name, -1) for name in names], dtype=np.int64)
        without += [name for name, place in zip(names, places, strict=True) if place < 0]
        rejected += measured.ids[(places >= 0) & measured.rejected].tolist()
        cutouts = batch.cutouts if pixels and isinstance(batch, CutoutBatch) else None
        for rows, kept in ((known.calibration, calibrate), (~known.calibration, learn)):
            chosen = np.flatnonzero((places >= 0) & ~measured.rejected & rows[places]) if len(rows) else places[:0]
            kept.add(
                measured.ids[chosen],
                keep_metadata(measured.features[chosen], metadata),
                places[chosen],
                None if cutouts is None else cutouts[chosen],
            )
        if progress is not None:
            progress(len(names))
    return learn, calibrate, _notes(known, seen, without, rejected)


def _notes(known: Labels, seen: set[str], without: list[str], rejected: list[str]) -> list[str]:
    if known.row and not seen & known.row.keys():
        raise GridlensError(
            f"No id of the table of labels ({some_names(known.row)}) is among those of the cutouts "
            f"({some_names(sorted(seen))}). Check that they are of the same cutouts."
        )
    notes = []
    if without:
        notes.append(f"{len(without)} cutouts have no label and are left out: {some_names(without)}.")
    missing = [name for name in known.row if name not in seen]
    if missing:
        notes.append(f"{len(missing)} labels have no cutout: {some_names(missing)}.")
    if rejected:
        notes.append(f"{len(rejected)} labelled cutouts were rejected and are left out: {some_names(rejected)}.")
    return notes


def _without(pool: Sources, known: Labels) -> Any:
    """The pool's cutouts, measured, without those that have a label."""
    for batch in pool:
        measured = measured_of(batch)
        new = np.array([name not in known.row for name in measured.ids], dtype=bool)
        yield measured[new]


def _check_classes(y: np.ndarray, what: str) -> None:
    if not 0 < y.sum() < len(y):
        raise GridlensError(
            f"The rows {what} must be of both classes. Got {int(y.sum())} lenses and {int(len(y) - y.sum())} others "
            "instead; label some of the other kind."
        )


def _arrays(name: str, rows: KeptRows, known: Labels) -> dict[str, np.ndarray]:
    """All that a training sees of rows, by name."""
    return {
        f"{name}.features": rows.features,
        f"{name}.label": known.label[rows.places],
        f"{name}.cluster": known.group[rows.places],
        f"{name}.id": np.array(rows.ids, dtype=str),
    }


def _fit_with(
    detector: LensDetector,
    learn: KeptRows,
    y: np.ndarray,
    group: np.ndarray,
    held: tuple[Any, ...] | None,
    mined: Mined,
) -> None:
    """Fit once more, what was mined as negatives of their own clusters."""
    m = len(mined.weight)
    learn.add(np.full(m, ""), mined.features, np.full(m, -1))
    _fit(
        detector,
        learn.inputs,
        np.concatenate([y, np.zeros(m, dtype=y.dtype)]),
        np.concatenate([group, group.max() + 1 + np.arange(m)]),
        held,
        np.concatenate([np.ones(len(y)), mined.weight]),
    )


def _fit(
    detector: LensDetector,
    X: CutoutSet | np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    held: tuple[Any, ...] | None,
    weight: np.ndarray | None = None,
) -> None:
    try:
        detector.fit(X, y, groups=group, sample_weight=weight, calibration=held)
    except ValueError as exc:
        raise GridlensError(str(exc)) from exc


def _held_out(detector: LensDetector, y: np.ndarray, group: np.ndarray, held: tuple[Any, ...] | None) -> HeldOut:
    """Log-odds of the stack and of its members for rows that the members were not fitted on."""
    if held is None:
        members = detector.stack_.out_of_fold_
        return HeldOut(False, y, detector.stack_.combine(members), members, group)
    p = detector.member_probabilities(held[0])
    usable = np.isfinite(p).all(axis=1)
    members = member_log_odds(p[usable])
    return HeldOut(True, held[1][usable], detector.stack_.combine(members), members, held[2][usable])
