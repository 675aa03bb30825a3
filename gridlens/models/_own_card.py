"""The card of a model that was trained on labelled cutouts: what it learned from, how it scores what it did not."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration import calibrate_out_of_fold
from gridlens.detector import LensDetector
from gridlens.evaluation import auroc, average_precision, calibration_error, tpr_at_fpr
from gridlens.features import CONTRACT_VERSION, FEATURE_NAMES
from gridlens.models._mine import Mined, describe_mined

__all__ = ["HeldOut", "Learned", "write_own_card"]

# Folds of the calibration that is judged, and the fewest clusters of a class that they need.
_FOLDS = 5
_DRAWS = 500


class HeldOut(NamedTuple):
    """Scores of n rows by members that were not fitted on them."""

    apart: bool
    """whether they are rows kept apart to calibrate on; else they are out of fold"""
    label: np.ndarray
    score: np.ndarray
    """log-odds of the stack (n,), before its calibration"""
    members: np.ndarray
    """log-odds of the members (n, n_members)"""
    group: np.ndarray


class Learned(NamedTuple):
    """What was learned from."""

    label: np.ndarray
    group: np.ndarray | None
    """None where no clusters were told"""
    positive_unlabelled: bool
    cached: bool
    notes: list[str]
    mined: Mined | None


def write_own_card(detector: LensDetector, held: HeldOut, learned: Learned) -> str:
    """Card of `detector` in Markdown, its scores computed on rows that its members were not fitted on."""
    names = detector.member_names_
    what = f"One member, {names[0]}," if len(names) == 1 else f"A stack of {', '.join(names)}"
    n = len(learned.label)
    lenses = "labelled lenses, the others unlabelled" if learned.positive_unlabelled else "lenses"
    clusters = (
        "No clusters were told: each row counts as one."
        if learned.group is None
        else f"They are of {len(np.unique(learned.group)):,} clusters."
    )
    source = "features that were measured before" if learned.cached else "cutouts"
    return f"""\
# A model of labelled cutouts

{what} on the {len(FEATURE_NAMES)} features of contract version {CONTRACT_VERSION}, metadata
"{detector.metadata}"; isotonic calibration.

## Trained on

{n:,} {source}, {int(learned.label.sum()):,} of them {lenses}. {clusters}
{_calibration(detector, held)}
{describe_mined(learned.mined)}{_notes(learned.notes)}
{_scores(names, held)}
## Limits

- The scores above are of cutouts like those that were labelled. Where lenses were labelled because they were easy to
  see, or the others because they look unlike lenses, they promise too much.
- `p_lens` holds at the prevalence that is declared, for cutouts like those that were calibrated on.
"""


def _calibration(detector: LensDetector, held: HeldOut) -> str:
    share = f"{detector.calibration_prevalence_:.3g} of them are lenses"
    if held.apart:
        return f"Calibrated on {len(held.label):,} rows that the members have not seen, of clean labels; {share}."
    return f"Calibrated on out-of-fold scores of the same rows; {share}."


def _notes(notes: list[str]) -> str:
    return "".join(f"{note}\n" for note in notes)


def _scores(names: list[str], held: HeldOut) -> str:
    """Measures with intervals, of the stack and of its members, and where they come from."""
    rows = [("the stack", held.score)] if len(names) > 1 else []
    rows += [(name, held.members[:, k]) for k, name in enumerate(names)]
    measures: list[Any] = [auroc, partial(tpr_at_fpr, fpr=0.01), partial(tpr_at_fpr, fpr=0.001), average_precision]
    lines = [
        f"| {name} | "
        + " | ".join(str(measure(held.label, score, groups=held.group, n_boot=_DRAWS)) for measure in measures)
        + " |"
        for name, score in rows
    ]
    if held.apart:
        head = f"## Scores on the {len(held.label):,} rows of the calibration"
        said = (
            "No member has seen these rows. The calibration has: it is monotonic, and the measures are of the scores\n"
        )
        said += "before it."
    else:
        head = f"## Scores out of fold, {len(held.label):,} rows"
        said = (
            f"Each row is scored by members that were fitted on the other {_FOLDS - 1} of {_FOLDS} folds; views of a "
        )
        said += "cluster are in one fold."
        if len(names) > 1:
            said += "\nThe stack's few weights were learned on these very scores."
    table = ["| scored by | AUROC | TPR at FPR 0.01 | TPR at FPR 0.001 | average precision |", "|---|---|---|---|---|"]
    return "\n".join([head, "", said, "", *table, *lines, "", _calibrated(held), ""])


def _calibrated(held: HeldOut) -> str:
    brackets = "Brackets are 95 % intervals of a bootstrap over clusters."
    fewest = min(len(np.unique(held.group[held.label == one])) for one in (0, 1))
    if fewest < _FOLDS:
        return f"{brackets} The calibration was not judged: {fewest} clusters of a class are too few."
    p = calibrate_out_of_fold(held.score, held.label, held.group, cv=_FOLDS)
    error = calibration_error(held.label, p, groups=held.group, n_boot=_DRAWS)
    return f"{brackets} Calibration error, of calibrations that have not seen the row: {error}."
