"""Cascade in which slow members score only the cutouts that pass a screen by the other members."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration import IsotonicCalibrator
from gridlens.errors import GridlensError
from gridlens.stacking import MemberStack

__all__ = ["SCREEN_ROWS", "Branch", "Cascade", "Screen", "checked_cascade", "fit_screen"]

SCREEN_ROWS = np.dtype([("classic", "<f8"), ("full", "<f8"), ("label", "<i4"), ("group", "<i4")])
"""a calibration row: log-odds of the classic and of the whole stack, label (1 for a lens, else 0), cluster index"""

# 95 % quantile of twice the loss of log-likelihood (chi-squared with one degree of freedom).
_SURPRISING = 3.84146


class Branch(NamedTuple):
    """Fitted stack with the calibration of the rows that it scores."""

    stack: MemberStack
    calibrator: IsotonicCalibrator


class Cascade(NamedTuple):
    """Screen at one fraction."""

    threshold: float
    """smallest log-odds of the classic stack with which a row passes to the whole stack"""
    classic: Branch
    """scores the rows below the threshold"""
    full: Branch
    """scores the other rows"""

    @property
    def kept(self) -> np.ndarray:
        """Mask (n_members,) of the members of the whole stack that belong to the classic stack."""
        return _kept(self.full.stack, self.classic.stack)

    def passes(self, classic: np.ndarray) -> np.ndarray:
        """Return whether log-odds (n,) of the classic stack reach the threshold; False for NaN."""
        return np.asarray(classic >= self.threshold)

    def calibrated(self, log_odds: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities (n,) from the log-odds (n, n_members) of all members; NaN where they are."""
        classic = self.classic.stack.combine(log_odds[:, self.kept])
        passed = self.passes(classic)
        p = self.classic.calibrator.predict(classic)
        p[passed] = self.full.calibrator.predict(self.full.stack.combine(log_odds[passed]))
        return p


class Screen:
    """Calibration rows for cascades of any fraction.

    Parameters
    ----------
    stack : MemberStack
        The whole fitted stack.
    classic : MemberStack
        The stack of the members that are not screened.
    rows : ndarray of shape (n,), `SCREEN_ROWS`
        Calibration rows.
    """

    def __init__(self, stack: MemberStack, classic: MemberStack, rows: np.ndarray) -> None:
        self.stack, self.classic, self.rows = stack, classic, rows
        self._cascades: dict[float, Cascade] = {}

    def at(self, fraction: float) -> Cascade:
        """Return the cascade that a given fraction of the non-lenses passes; it is calibrated once.

        The threshold depends only on the calibration rows, so the score of a cutout does not depend on other cutouts.
        Each branch is calibrated on its own rows, at the prevalence of all calibration rows.

        Parameters
        ----------
        fraction : float
            Between 0 and 1 (exclusive).

        Raises
        ------
        GridlensError
            If no lens passes, or all non-lenses do.
        """
        if fraction not in self._cascades:
            self._cascades[fraction] = self._calibrated(fraction)
        return self._cascades[fraction]

    def threshold(self, fraction: float) -> float:
        """Return the log-odds of the classic stack that a given fraction of the non-lenses reach."""
        non_lenses = self.rows["classic"][self.rows["label"] == 0]
        return float(np.quantile(non_lenses, 1.0 - fraction, method="higher"))

    def _calibrated(self, fraction: float) -> Cascade:
        threshold = self.threshold(fraction)
        above = self.rows["classic"] >= threshold
        passed, below = self.rows[above], self.rows[~above]
        lenses, others = int(passed["label"].sum()), int((below["label"] == 0).sum())
        if not lenses or not others:
            raise GridlensError(
                "The 'screen' parameter must let calibration lenses pass, but not all calibration non-lenses. Got "
                f"{fraction:g} instead, at which {lenses} lenses pass and {others} non-lenses do not. Choose another "
                "fraction."
            )
        classic = _calibrator(below, "classic") if below["label"].any() else _without_lenses(below, threshold)
        return Cascade(threshold, Branch(self.classic, classic), Branch(self.stack, _calibrator(passed, "full")))


def _calibrator(rows: np.ndarray, name: str) -> IsotonicCalibrator:
    return IsotonicCalibrator().fit(rows[name], rows["label"], rows["group"])


def _without_lenses(rows: np.ndarray, threshold: float) -> IsotonicCalibrator:
    """Return the calibrator of the rows below the threshold if none of them is a lens.

    The probability is the half count in n + 1 rows that `IsotonicCalibrator` assigns to the end of a curve, with an
    increase of a tenth up to the threshold, so that the rows are still ranked. Up to its upper limit, finding no lens
    in n rows is not surprising.
    """
    n = len(np.unique(rows["group"]))
    x = [float(rows["classic"].min()), threshold]
    p = 0.5 / (n + 1)
    state = {"strictly_increasing": True, "n_positive": 0, "n_negative": len(rows), "thresholds_x": x}
    limits = [x, [0.0, 0.0], [1.0 - math.exp(-_SURPRISING / (2.0 * n))] * 2]
    return IsotonicCalibrator.from_dict(state | {"thresholds_y": [0.9 * p, p], "limits": limits})


def fit_screen(
    stack: MemberStack, classic: MemberStack | None, log_odds: np.ndarray, label: np.ndarray, groups: np.ndarray | None
) -> Screen | None:
    """Return the screen of a fitted stack; None if there is no classic stack.

    Parameters
    ----------
    stack, classic : MemberStack
        As in `Screen`.
    log_odds : ndarray of shape (n, n_members)
        Log-odds of all members for the calibration rows.
    label : ndarray of shape (n,)
        Clean labels: 1 for a lens, 0 for a non-lens.
    groups : ndarray of shape (n,) or None
        Cluster of each row; None if rows are independent.
    """
    if classic is None:
        return None
    rows = np.empty(len(label), dtype=SCREEN_ROWS)
    rows["classic"] = classic.combine(log_odds[:, _kept(stack, classic)])
    rows["full"] = stack.combine(log_odds)
    rows["label"] = label
    rows["group"] = np.arange(len(label)) if groups is None else np.unique(groups, return_inverse=True)[1]
    return Screen(stack, classic, rows)


def _kept(stack: MemberStack, classic: MemberStack) -> np.ndarray:
    names = {member.name for member in classic.members_}
    return np.array([member.name in names for member in stack.members_])


def checked_cascade(screen: Screen | None, stack: MemberStack, fraction: Any) -> Cascade | None:
    """Return the cascade of a fitted stack for the parameter `screen`; None for 1, without a cascade.

    Raises
    ------
    ValueError
        If `fraction` is not above 0 and at most 1.
    GridlensError
        If the model has no screen, or it cannot be calibrated at this fraction.
    """
    number = isinstance(fraction, int | float | np.number) and not isinstance(fraction, bool)
    if not number or not (math.isfinite(fraction) and 0.0 < fraction <= 1.0):
        raise ValueError(
            f"The 'screen' parameter must be above 0 and at most 1. Got {fraction!r} instead; 1 scores all "
            "cutouts with all members."
        )
    if fraction == 1.0:
        return None
    if screen is None:
        raise GridlensError(
            f"The 'screen' parameter must be 1 for this model. Got {fraction:g} instead. {_reason(stack)} Score "
            "all cutouts with screen=1."
        )
    return screen.at(float(fraction))


def _reason(stack: MemberStack) -> str:
    """Return a sentence with the reason why a model has no screen."""
    screened = [member.name for member in stack.members_ if getattr(member, "screened", False)]
    if not screened:
        names = ", ".join(member.name for member in stack.members_)
        return f"None of its members ({names}) is a slow one, such as a network, that a screen could skip."
    if len(screened) == len(stack.members_):
        return f"It has no members besides {', '.join(screened)} that could screen cutouts."
    return (
        "It contains no calibration of a screen: it was saved by an earlier version of gridlens, calibrated without "
        "clean labels, or recalibrated. Train it again with clean labels."
    )
