"""Section of a model card on screening: the loss of completeness as a function of the fraction."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from gridlens.calibration import wilson
from gridlens.detector._screen import Screen
from gridlens.errors import GridlensError
from gridlens.evaluation import auroc, compare, tpr_at_fpr
from gridlens.stacking._stack import member_log_odds
from gridlens.training._markdown import markdown_table

__all__ = ["completeness_lost", "lenses_that_pass"]

_FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.5)
_DRAWS = 300
_INTRODUCTION = """\
With `gridlens score --screen FRACTION`, {slow} scores only cutouts that the other members ({classic}) rank as high as
that fraction of the non-lenses in the calibration sample; on other surveys, a different fraction may pass. Each branch
is calibrated on its own rows."""
_LOST = """\
{introduction} On the same scenes:

{table}

Brackets are 95 % intervals; the paired difference is relative to a fraction of 1. The score is not monotonic at the
threshold: a cutout just below it can have a higher score than a cutout just above it for which {slow} indicates no
lens."""
_PASSING = """\
{introduction} For the lenses in the calibration sample, whose non-lenses define the thresholds:

{table}

Brackets are 95 % intervals. A lens that does not pass keeps the score of the other members."""


def completeness_lost(screen: Screen, label: np.ndarray, score: np.ndarray, members: np.ndarray) -> str:
    """Return the text of the section from rows that neither the members nor the calibration used.

    Parameters
    ----------
    screen : Screen
    label : ndarray of shape (n,)
        Clean labels.
    score : ndarray of shape (n,)
        Scores of the whole stack.
    members : ndarray of shape (n, n_members)
        Probabilities of the members.
    """
    log_odds = member_log_odds(members)
    rows = [_row(screen, fraction, label, score, log_odds) for fraction in _FRACTIONS]
    rows.append(["1", "all", "all", auroc(label, score), tpr_at_fpr(label, score, 0.01), "0"])
    head = ["fraction", "lenses that pass", "non-lenses that pass", "AUROC", "TPR at FPR 0.01", "difference in TPR"]
    slow, introduction = _introduced(screen)
    return _LOST.format(introduction=introduction, slow=slow, table=markdown_table(head, rows))


def lenses_that_pass(screen: Screen) -> str:
    """Return the text of the section from the calibration rows alone."""
    classic, lens = screen.rows["classic"], screen.rows["label"] == 1
    rows = [[f"{fraction:g}", _passing(classic[lens] >= screen.threshold(fraction))] for fraction in _FRACTIONS]
    _, introduction = _introduced(screen)
    return _PASSING.format(introduction=introduction, table=markdown_table(["fraction", "lenses that pass"], rows))


def _introduced(screen: Screen) -> tuple[str, str]:
    """Return the names of the slow members, and the paragraph that introduces the section."""
    classic = [member.name for member in screen.classic.members_]
    slow = " and ".join(member.name for member in screen.stack.members_ if member.name not in classic)
    return slow, _INTRODUCTION.format(slow=slow, classic=", ".join(classic))


def _row(screen: Screen, fraction: float, label: np.ndarray, score: np.ndarray, log_odds: np.ndarray) -> list[Any]:
    try:
        cascade = screen.at(fraction)
    except GridlensError:
        return [f"{fraction:g}", *["cannot be calibrated"] * 5]
    passed = cascade.passes(cascade.classic.stack.combine(log_odds[:, cascade.kept]))
    p = cascade.calibrated(log_odds)
    metric = partial(tpr_at_fpr, fpr=0.01)
    lost = compare(label, score, p, {"TPR": metric}, n_boot=_DRAWS)["TPR"].difference
    return [
        f"{fraction:g}",
        *(_passing(passed[label == one]) for one in (1, 0)),
        auroc(label, p),
        metric(label, p),
        lost.note or f"{lost.value:+.3f} [{lost.low:+.3f}, {lost.high:+.3f}]",
    ]


def _passing(passed: np.ndarray) -> str:
    low, high = wilson(int(passed.sum()), len(passed))
    return f"{passed.mean():.3f} [{low:.3f}, {high:.3f}]"
