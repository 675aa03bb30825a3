"""The numbers and words of a candidate sheet, as the figure and the page show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logit

from gridlens.calibration import shift_prior
from gridlens.detector import LensDetector
from gridlens.detector._table import EVEN
from gridlens.explain import Explanation, because, by_group, strongest_terms
from gridlens.explain._terms import Term
from gridlens.stacking._stack import member_log_odds

__all__ = ["Bar", "SheetValues", "sheet_values"]

_POSITION = "position"
_BEGIN, _END = "before anything is known", "log-odds of the stack"


class Bar(NamedTuple):
    """A line of a bar chart."""

    label: str
    where: str
    """patches that the label is about; "" for none"""
    begin: float | None
    """where the bar begins; None for a sum, which is a mark at `end`"""
    end: float
    kind: str
    """"for" or "against" a lens, "rest", or "mark" for a sum"""

    @property
    def value(self) -> float:
        """The number beside the bar."""
        return self.end if self.begin is None else self.end - self.begin


class SheetValues(NamedTuple):
    """Text and numbers of the candidate sheet of one cutout."""

    id: str
    p: str
    """probability at the prevalence"""
    beside_p: str
    """its interval, the prevalence, and the score at even prevalence"""
    why: str
    message: str
    terms: list[Bar]
    """waterfall from the base through the ten strongest terms to the log-odds of the stack"""
    members: list[Bar]
    groups: list[Bar]


def sheet_values(detector: LensDetector, explanation: Explanation, row: int, prevalence: float) -> SheetValues:
    """Return the values of the candidate sheet of one row.

    Parameters
    ----------
    detector : LensDetector
    explanation : Explanation
        Of cutouts, by this detector.
    row : int
        Of a cutout that is not rejected.
    prevalence : float
        Between 0 and 1, of the probability.
    """
    line = explanation.table.iloc[row]
    p, low, high = (
        float(shift_prior(float(line[name]), EVEN, prevalence)) for name in ("score", "score_low", "score_high")
    )
    interval = f" [{low:.2g}, {high:.2g}]" if np.isfinite([low, high]).all() else ""
    return SheetValues(
        id=str(line["id"]),
        p=f"{p:.2g}",
        beside_p=f"{interval} at a prevalence of {prevalence:g}; score {float(line['score']):.2f} at even prevalence",
        why=because(explanation, row),
        message=str(line["message"]),
        terms=_waterfall(explanation, row),
        members=_members(detector, explanation, row),
        groups=_groups(explanation, row),
    )


def _waterfall(explanation: Explanation, row: int) -> list[Bar]:
    at = explanation.base
    bars = [Bar(_BEGIN, "", None, at, "mark")]
    for term in strongest_terms(explanation, row):
        label, where = _split(term)
        kind = _kind(term.value) if term.feature else "rest"
        bars.append(Bar(label, where, at, at + term.value, kind))
        at += term.value
    return [*bars, Bar(_END, "", None, float(explanation.log_odds[row]), "mark")]


def _members(detector: LensDetector, explanation: Explanation, row: int) -> list[Bar]:
    names = detector.member_names_
    log_odds = member_log_odds(explanation.table.loc[row, names].to_numpy(dtype=np.float64))
    over = log_odds - logit(detector.training_prevalence_)
    votes = [f"{name}: {'a lens' if value > 0 else 'no lens'}" for name, value in zip(names, over, strict=True)]
    return _from_zero(votes, over)


def _groups(explanation: Explanation, row: int) -> list[Bar]:
    sums = by_group(explanation.take([row])).drop(columns=_POSITION).iloc[0]
    sums = sums[sums != 0.0]
    return _from_zero([str(name) for name in sums.index], sums.to_numpy())


def _from_zero(labels: Sequence[str], values: np.ndarray) -> list[Bar]:
    return [Bar(label, "", 0.0, float(value), _kind(float(value))) for label, value in zip(labels, values, strict=True)]


def _split(term: Term) -> tuple[str, str]:
    """Return the words of a term without its patches, and the patches."""
    label, _, where = term.words.partition(" [")
    return label, where.removesuffix("]")


def _kind(value: float) -> str:
    return "for" if value > 0.0 else "against"
