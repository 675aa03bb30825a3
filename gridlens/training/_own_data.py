"""The training set of your own labelled cutouts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridlens.detector import LensDetector
from gridlens.models._manifest import sha256_of
from gridlens.sources import CacheSource, Source
from gridlens.sources._stamps import frame_digest
from gridlens.stacking._stack import member_log_odds
from gridlens.training._bundled import bundled_log_odds
from gridlens.training._card import HeldOut, Words
from gridlens.training._examples import Examples, TrainingSet
from gridlens.training._labelled import Labelled
from gridlens.training._labels import Labels

__all__ = ["own_data_set"]

_FOLDS = 5
_LIMITS = """\
- The scores above apply to cutouts like the labelled ones. They are too optimistic if mainly obvious lenses or obvious
  non-lenses were labelled.
- `p_lens` is valid at the declared prevalence for cutouts like those of the calibration."""


def own_data_set(labelled: Labelled, known: Labels, labels: Any, source: Source) -> TrainingSet:
    """Return the training set of labelled rows.

    Parameters
    ----------
    labelled : Labelled
    known : Labels
    labels : str, path or DataFrame
        Table from which `known` was read.
    source : Source
        The source of the rows.
    """
    learn, calibrate, notes = labelled
    arrays = _arrays("train", learn)
    if calibrate is not None:
        arrays |= _arrays("calibrate", calibrate)
    table = (
        {"sha256": frame_digest(labels)}
        if isinstance(labels, pd.DataFrame)
        else {"path": os.fspath(labels), "sha256": sha256_of(Path(labels))}
    )
    return TrainingSet(
        learn,
        calibrate,
        lambda detector: _held_out(detector, learn, calibrate, known.unlabelled),
        _words(learn, calibrate, known, isinstance(source, CacheSource)),
        notes,
        {
            "labelled": {
                "labels": table,
                "sources": source.record,
                "positive_unlabelled": known.unlabelled,
                "clusters": known.grouped,
            }
        },
        arrays,
        known.unlabelled,
    )


def _arrays(name: str, rows: Examples) -> dict[str, np.ndarray]:
    measured = rows.store.measured()
    assert rows.group is not None
    return {
        f"{name}.features": measured.features,
        f"{name}.label": rows.label,
        f"{name}.cluster": rows.group,
        f"{name}.id": measured.ids.astype(str),
    }


def _held_out(
    detector: LensDetector, learn: Examples, calibrate: Examples | None, positive_unlabelled: bool
) -> HeldOut:
    """Return log-odds for rows that the members were not fitted on, and the log-odds of the bundled model."""
    if calibrate is None:
        # Rows without a separate calibration are never followed by mined rows.
        stack = detector.stack_
        return HeldOut(
            learn.label,
            stack.out_of_fold_score(learn.label),
            stack.out_of_fold_,
            learn.group,
            bundled=bundled_log_odds(learn.store.measured().features),
            clean=not positive_unlabelled,
        )
    rows = calibrate.store.measured()
    p = detector.member_probabilities(rows)
    usable = np.isfinite(p).all(axis=1)
    assert calibrate.group is not None
    members = member_log_odds(p[usable])
    return HeldOut(
        calibrate.label[usable],
        detector.stack_.combine(members),
        members,
        calibrate.group[usable],
        bundled=bundled_log_odds(rows.features)[usable],
    )


def _words(learn: Examples, calibrate: Examples | None, known: Labels, cached: bool) -> Words:
    n, group = len(learn.label), learn.group
    assert group is not None
    kind = "known lenses; the others are unlabelled" if known.unlabelled else "lenses"
    vetted = 0 if learn.vetted is None else int(learn.vetted.sum())
    if vetted:
        kind += f" or vetted non-lenses ({vetted:,}), which are used as negatives"
    clusters = (
        f"They show {len(np.unique(group)):,} clusters."
        if known.grouped
        else "No clusters were given, so each row counts as a separate cluster."
    )
    if calibrate is None:
        calibrated = "Calibrated on out-of-fold scores of the same rows"
        if known.unlabelled:
            calibrated += " and the estimated label frequency"
        scored = f"out of fold, {n:,} rows"
        how = (
            f"Each row is scored by members fitted on the other {_FOLDS - 1} of {_FOLDS} folds; all rows of a cluster "
            "are in the same fold. With several members, the weights of the stack were fitted on those folds too."
        )
    else:
        held = len(calibrate.label)
        calibrated = f"Calibrated on {held:,} rows that the members have not seen, with clean labels"
        scored = f"on the {held:,} rows of the calibration"
        how = (
            "The members were not fitted on these rows. The calibration was, but it is monotonic, and the metrics are "
            "those of the scores before it."
        )
    return Words(
        title="A model of labelled cutouts",
        trained_on=f"{n:,} {'cutouts from feature caches' if cached else 'cutouts'}, "
        f"{int(learn.label.sum()):,} of them {kind}. {clusters}",
        calibrated_on=calibrated,
        scored_on=scored,
        scored_how=how,
        limits=_LIMITS,
    )
