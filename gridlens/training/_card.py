"""The model card: the training data, the scores and the limits of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gridlens.calibration import calibrate_out_of_fold, expected_calibration_error
from gridlens.detector import LensDetector
from gridlens.evaluation import auroc, average_precision, calibration_error, compare, tpr_at_fpr
from gridlens.features import CONTRACT_VERSION, FEATURE_NAMES
from gridlens.models import PretrainedMember
from gridlens.training._bundled import Beside
from gridlens.training._markdown import markdown_table
from gridlens.training._mine import Mined
from gridlens.training._screened import completeness_lost, lenses_that_pass

__all__ = ["SNR_BINS", "HeldOut", "Words", "write_card"]

# Bins in arc S/N that every report uses: name, lower and upper edge.
SNR_BINS = (
    ("all arcs", 0.0, np.inf),
    ("over 300", 300.0, np.inf),
    ("100 to 300", 100.0, 300.0),
    ("0 to 100", 0.0, 100.0),
)
# Folds of the out-of-fold calibration; each class needs as many clusters.
_FOLDS = 5
_DRAWS = 500
_COMPARED_DRAWS = 300
_OF_UNLABELLED = """\
These metrics compare known lenses
with unlabelled cutouts. Unlabelled lenses count as false positives, so the metrics are underestimated if the known
lenses are a random sample of all lenses. The calibration error cannot be measured without clean labels."""


@dataclass(frozen=True)
class Words:
    """The parts of a model card that describe the training data."""

    title: str
    trained_on: str
    calibrated_on: str
    """without a full stop, since the prevalence follows"""
    scored_on: str
    """continues the heading "Scores" """
    scored_how: str
    """a paragraph on the evaluation, or "" """
    limits: str
    """items of a list"""


@dataclass(frozen=True)
class HeldOut:
    """Scores of n rows by members that were not fitted on them.

    The labels are clean, unless `clean` is False; in that case they are 1 for a known lens and 0 for an unlabelled
    cutout.
    """

    label: np.ndarray
    score: np.ndarray
    """of the stack (n,): log-odds before the calibration, or calibrated probabilities for simulated scenes"""
    members: np.ndarray
    """of the members (n, n_members)"""
    group: np.ndarray | None = None
    """clusters (n,), for intervals"""
    snr: np.ndarray | None = None
    """S/N of the arcs in simulated scenes (n,), NaN without a lens"""
    bundled: np.ndarray | None = None
    """log-odds of the bundled model (n,), for your own cutouts"""
    clean: bool = True
    weight: np.ndarray | None = None
    """number of cutouts that a row represents (n,); None for equal weights"""
    p: np.ndarray | None = None
    """probabilities (n,) calibrated on other rows; None calibrates out of fold"""


def write_card(
    detector: LensDetector,
    words: Words,
    held: HeldOut,
    notes: Sequence[str] = (),
    mined: Mined | None = None,
    beside: Beside | None = None,
    sections: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the model card in Markdown, with metrics on held-out rows.

    It begins with the comparison with another model, if there is one. `sections` are headings and texts that are placed
    between the scores and the limits.
    """
    names = detector.member_names_
    members = f"One member, {names[0]}," if len(names) == 1 else f"A stack of {', '.join(names)}"
    told = "".join(f"{note}\n" for note in [*_pretrained(detector), *_mined(mined), *notes])
    scores = _scores(names, held) if held.snr is None else _scores_by_snr(detector, held, held.snr)
    how = f"{words.scored_how}\n\n" if words.scored_how else ""
    prevalence = "prevalence" if held.clean else "estimated prevalence"
    first = "" if beside is None else f"{beside.verdict}\n\n"
    told_more = [*_compared_with(beside), *_screened(detector, held), *sections]
    more = "".join(f"## {heading}\n\n{text}\n\n" for heading, text in told_more)
    return f"""\
{first}# {words.title}

{members} on the {len(FEATURE_NAMES)} features of contract version {CONTRACT_VERSION}, metadata
"{detector.metadata}"; isotonic calibration.

## Trained on

{words.trained_on}
{words.calibrated_on}; the {prevalence} of lenses among them is {detector.calibration_prevalence_:.3g}.
{told}
## Scores {words.scored_on}

{how}{scores}

{more}## Limits

{words.limits}
"""


def _compared_with(beside: Beside | None) -> list[tuple[str, str]]:
    if beside is None or not beside.table:
        return []
    paired = (
        "Differences are this model minus the other model, with paired 95 % intervals from a bootstrap over clusters."
    )
    return [(f"Compared with {beside.other}", f"{beside.table}\n\n{paired}")]


def _screened(detector: LensDetector, held: HeldOut) -> list[tuple[str, str]]:
    screen = detector.screen_
    if screen is None:
        return []
    # Held-out cutouts of your own are also used by the calibration, so they cannot test that of the branches.
    unseen = held.snr is not None
    text = completeness_lost(screen, held.label, held.score, held.members) if unseen else lenses_that_pass(screen)
    return [("Screened by the other members", text)]


def _pretrained(detector: LensDetector) -> list[str]:
    return [
        f"The member {member.name} is the model {member.model!r} (SHA-256 of its manifest {member.digest_[:12]}...), "
        "which was not refitted."
        for member in detector.stack_.members_
        if isinstance(member, PretrainedMember)
    ]


def _mined(mined: Mined | None) -> list[str]:
    if mined is None:
        return []
    return [
        f"Of {mined.pool:,} unlabelled cutouts the {len(mined.weight):,} with the highest scores in a first round\n"
        f"were used as negatives, with a mean weight of {mined.weight.mean():.2f}."
    ]


def _scores(names: Sequence[str], held: HeldOut) -> str:
    """Return metrics of the stack and its members with intervals over clusters, and the calibration error."""
    scored = [("the stack", held.score)] if len(names) > 1 else []
    scored += [(name, held.members[:, k]) for k, name in enumerate(names)]
    measures: list[Any] = [auroc, partial(tpr_at_fpr, fpr=0.01), partial(tpr_at_fpr, fpr=0.001), average_precision]
    options = {"groups": held.group, "sample_weight": held.weight, "n_boot": _DRAWS}
    rows = [[name, *(measure(held.label, score, **options) for measure in measures)] for name, score in scored]
    head = ["scored by", "AUROC", "TPR at FPR 0.01", "TPR at FPR 0.001", "average precision"]
    brackets = "Brackets are 95 % intervals from a bootstrap over clusters."
    more = _calibration_error(held) if held.clean else _OF_UNLABELLED
    return f"{markdown_table(head, rows)}\n\n{brackets} {more}"


def _calibration_error(held: HeldOut) -> str:
    groups = np.arange(len(held.label)) if held.group is None else held.group
    if held.p is not None:
        error = calibration_error(held.label, held.p, groups, held.weight, n_boot=_DRAWS)
        return f"Calibration error at the prevalence of these rows: {error}."
    fewest = min(len(np.unique(groups[held.label == one])) for one in (0, 1))
    if fewest < _FOLDS:
        return f"The calibration error was not measured: one class has only {fewest} clusters."
    p = calibrate_out_of_fold(held.score, held.label, groups, held.weight, cv=_FOLDS)
    error = calibration_error(held.label, p, groups=groups, sample_weight=held.weight, n_boot=_DRAWS)
    return f"Calibration error, calibrated out of fold: {error}."


def _scores_by_snr(detector: LensDetector, held: HeldOut, snr: np.ndarray) -> str:
    """Return metrics of the stack in bins of arc S/N, and of its members on the same scenes.

    Each bin contains all scenes without a lens.
    """
    rows = []
    for name, low, high in SNR_BINS:
        chosen = (held.label == 0) | ((snr >= low) & (snr < high))
        y, score = held.label[chosen], held.score[chosen]
        rows.append([name, int(y.sum()), auroc(y, score), tpr_at_fpr(y, score, 0.01), tpr_at_fpr(y, score, 0.001)])
    table = markdown_table(["arc S/N", "lenses", "AUROC", "TPR at FPR 0.01", "TPR at FPR 0.001"], rows)
    error = expected_calibration_error(held.label, held.score, n_bins=15)
    return f"""\
{table}

Brackets are 95 % intervals. Expected calibration error at the prevalence of these scenes, 15 bins of equal mass:
{error:.4f}.{_members(detector, held)}"""


def _members(detector: LensDetector, held: HeldOut) -> str:
    """Return a table of the members, and whether the stack is better than its first member alone."""
    names = detector.member_names_
    if len(names) == 1:
        return ""
    rows = [
        [name, f"{weight:.2f}", auroc(held.label, score), tpr_at_fpr(held.label, score, 0.01)]
        for name, weight, score in zip(names, detector.stack_.weights_, held.members.T, strict=True)
    ]
    table = markdown_table(["member", "weight of its log-odds", "AUROC", "TPR at FPR 0.01"], rows)
    return f"\n\n## Members on the same scenes\n\n{table}\n\n{_compared(names[0], held)}"


def _compared(first: str, held: HeldOut) -> str:
    metrics: dict[str, Any] = {"AUROC": auroc, "TPR at FPR 0.01": partial(tpr_at_fpr, fpr=0.01)}
    said = []
    for name, comparison in compare(
        held.label, held.members[:, 0], held.score, metrics, n_boot=_COMPARED_DRAWS
    ).items():
        gain = comparison.difference
        if gain.note:
            said.append(f"The stack and {first} alone cannot be compared in {name}: {gain.note}.")
            continue
        verdict = "better than" if gain.low > 0.0 else "worse than" if gain.high < 0.0 else "not distinguished from"
        said.append(
            f"In {name} the stack is {verdict} {first} alone: {gain.value:+.3f} "
            f"[{gain.low:+.3f}, {gain.high:+.3f}] (paired)."
        )
    return "\n".join(said)
