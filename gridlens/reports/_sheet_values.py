"""The numbers and texts of a candidate sheet, shared by the figure and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logit

from gridlens.calibration import shift_prior
from gridlens.cutouts import CutoutSet
from gridlens.detector import LensDetector
from gridlens.detector._table import EVEN
from gridlens.explain import Explanation, because, by_group, strongest_terms
from gridlens.explain._terms import Term
from gridlens.stacking._stack import member_log_odds

__all__ = ["Bar", "SheetValues", "context_words", "position_words", "score_words", "sheet_values"]

_POSITION = "position"
_BEGIN, _END = "before the image is seen", "sum: log-odds of the stack"


class Bar(NamedTuple):
    """A line of a bar chart."""

    label: str
    where: str
    """patches to which the label refers; "" if there are none"""
    begin: float | None
    """start of the bar; None for a sum, which is a mark at `end`"""
    end: float
    kind: str
    """"for" or "against" a lens, "rest", or "mark" for a sum"""

    @property
    def value(self) -> float:
        """Number next to the bar."""
        return self.end if self.begin is None else self.end - self.begin


class SheetValues(NamedTuple):
    """Text and numbers of the candidate sheet of one cutout."""

    id: str
    position: str
    """sky position of the BCG; "" if unknown"""
    score: str
    """score at even prevalence"""
    p: str
    """probability at the prevalence, with its interval"""
    prevalence: str
    why: str
    message: str
    context: str
    """the known lens and the expected Einstein radius, if the score table has them"""
    in_favour: str
    """number of members in favour, as text"""
    terms: list[Bar]
    """waterfall from the base through the ten strongest terms to the log-odds of the stack"""
    members: list[Bar]
    groups: list[Bar]

    @property
    def line(self) -> str:
        """Score and probability in one line."""
        return f"score {self.score} at even prevalence; p_lens {self.p} at a prevalence of {self.prevalence}"


def sheet_values(
    detector: LensDetector, cutout: CutoutSet, explanation: Explanation, row: int, prevalence: float
) -> SheetValues:
    """Return the values of the candidate sheet of one row.

    Parameters
    ----------
    detector : LensDetector
    cutout : CutoutSet of 1
        The cutout of the row.
    explanation : Explanation
        Explanation of cutouts by this detector.
    row : int
        Row of a cutout that is not rejected.
    prevalence : float
        Prevalence for the probability, between 0 and 1.
    """
    line = explanation.table.iloc[row]
    p, low, high = (
        float(shift_prior(float(line[name]), EVEN, prevalence)) for name in ("score", "score_low", "score_high")
    )
    interval = f" [{low:.2g}, {high:.2g}]" if np.isfinite([low, high]).all() else ""
    members = _members(detector, explanation, row)
    favour = sum(member.value > 0.0 for member in members)
    return SheetValues(
        id=str(line["id"]),
        position=position_words(*cutout.bcg_radec[0]),
        score=score_words(float(line["score"])),
        p=f"{p:.2g}{interval}",
        prevalence=f"{prevalence:g}",
        why=because(explanation, row),
        message=str(line["message"]),
        context=context_words(line),
        in_favour=f"{favour} of {len(members)} members {'is' if favour == 1 else 'are'} in favour",
        terms=_waterfall(explanation, row),
        members=members,
        groups=_groups(explanation, row),
    )


def context_words(line: Mapping[str, Any]) -> str:
    """Return the catalogue context of a row in one or two sentences; "" if the table has none."""
    words = []
    name = line.get("context_known_lens")
    if isinstance(name, str) and name:
        sep, chance = float(line["context_known_sep"]), float(line["context_known_chance"])
        kind, grade = line["context_known_type"], line["context_known_grade"]
        words.append(
            f"Known lens {name} ({kind}, {grade}) at {sep:.1f} arcsec; probability of a chance match {chance:.2g}."
        )
    elif name is not None:
        words.append("No known lens.")
    low, median, high = (float(line.get(f"context_theta_e_p{k}", np.nan)) for k in (16, 50, 84))
    if np.isfinite(median):
        large, proxy = float(line["context_p_theta_e_gt_10"]), _proxy_words(line["context_proxy"])
        words.append(
            f"Expected Einstein radius {median:.1f} arcsec [{low:.1f}, {high:.1f}] from the {proxy}; "
            f"probability of more than 10 arcsec {large:.2g}."
        )
    return " ".join(words)


def _proxy_words(proxy: Any) -> str:
    """Return the name of a mass proxy in words, such as X-ray luminosity for log_xray_luminosity."""
    return str(proxy).removeprefix("log_").replace("xray", "X-ray").replace("_", " ")


def score_words(score: float) -> str:
    """Format a score between 0 and 1 with two digits, or more near 1, where 1.00 would hide differences."""
    return f"{score:.2f}" if score < 0.99 else f"{score:.4f}"


def position_words(ra: float, dec: float) -> str:
    """Format a position in degrees (ICRS) as sexagesimal and degrees; "" if unknown."""
    if not np.isfinite([ra, dec]).all():
        return ""
    from astropy.coordinates import Angle

    hours = Angle(ra, "deg").to_string(unit="hourangle", sep=":", precision=2, pad=True)
    degrees = Angle(dec, "deg").to_string(unit="deg", sep=":", precision=1, pad=True, alwayssign=True)
    return f"RA {hours}, Dec {degrees} (ICRS); {ra:.5f}, {dec:+.5f} deg"


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
    sides = [f"{name}: {'in favour' if value > 0 else 'against'}" for name, value in zip(names, over, strict=True)]
    return _from_zero(sides, over)


def _groups(explanation: Explanation, row: int) -> list[Bar]:
    sums = by_group(explanation.take([row])).drop(columns=_POSITION).iloc[0]
    sums = sums[sums != 0.0]
    return _from_zero([str(name) for name in sums.index], sums.to_numpy())


def _from_zero(labels: Sequence[str], values: np.ndarray) -> list[Bar]:
    return [Bar(label, "", 0.0, float(value), _kind(float(value))) for label, value in zip(labels, values, strict=True)]


def _split(term: Term) -> tuple[str, str]:
    """Return the text of a term without its patches, and the patches."""
    label, _, where = term.words.partition(" [")
    return label, where.removesuffix("]")


def _kind(value: float) -> str:
    return "for" if value > 0.0 else "against"
