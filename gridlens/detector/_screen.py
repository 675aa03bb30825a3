"""The cascade: slow members score only the cutouts that the stack of the other members passes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration import IsotonicCalibrator
from gridlens.errors import GridlensError
from gridlens.stacking import MemberStack

__all__ = ["SCREEN_ROWS", "Branch", "Cascade", "Screen", "checked_cascade", "fit_screen"]

SCREEN_ROWS = np.dtype([("classic", "<f8"), ("full", "<f8"), ("label", "<i4"), ("group", "<i4")])
"""a calibration row: log-odds of the classic and of the whole stack, 1 for a lens or 0, number of its cluster"""

# 95 % quantile of twice the loss of log-likelihood (chi-squared with one degree of freedom).
_SURPRISING = 3.84146


class Branch(NamedTuple):
    """A fitted stack, and the calibration of the rows that it scores."""

    stack: MemberStack
    calibrator: IsotonicCalibrator


class Cascade(NamedTuple):
    """A screen at one fraction."""

    threshold: float
    """log-odds of the classic stack from which a row passes to the whole stack"""
    classic: Branch
    """scores the rows below the threshold"""
    full: Branch
    """scores the other rows"""

    @property
    def kept(self) -> np.ndarray:
        """Mask (n_members,) of the members of the whole stack that are in the classic one."""
        return _kept(self.full.stack, self.classic.stack)

    def passes(self, classic: np.ndarray) -> np.ndarray:
        """Return whether log-odds (n,) of the classic stack reach the threshold; NaN does not."""
        return np.asarray(classic >= self.threshold)

    def calibrated(self, log_odds: np.ndarray) -> np.ndarray:
        """Calibrated probabilities (n,) from the log-odds of all members, (n, n_members); NaN where they are."""
        classic = self.classic.stack.combine(log_odds[:, self.kept])
        passed = self.passes(classic)
        p = self.classic.calibrator.predict(classic)
        p[passed] = self.full.calibrator.predict(self.full.stack.combine(log_odds[passed]))
        return p


class Screen:
    """Calibration rows from which the cascade of any fraction is made.

    Parameters
    ----------
    stack : MemberStack
        The whole stack, fitted.
    classic : MemberStack
        The stack of its members that are not screened.
    rows : ndarray of shape (n,), `SCREEN_ROWS`
        Rows of the calibration.
    """

    def __init__(self, stack: MemberStack, classic: MemberStack, rows: np.ndarray) -> None:
        self.stack, self.classic, self.rows = stack, classic, rows
        self._cascades: dict[float, Cascade] = {}

    def at(self, fraction: float) -> Cascade:
        """Return the cascade that passes a fraction of the non-lenses; it is calibrated once.

        The threshold depends on the calibration rows alone, so that the score of a cutout never depends on others. Each
        branch is calibrated on its own rows, at the prevalence of all calibration rows.

        Parameters
        ----------
        fraction : float
            Between 0 and 1, both excluded.

        Raises
        ------
        GridlensError
            No lens passes, or all non-lenses do.
        """
        if fraction not in self._cascades:
            self._cascades[fraction] = self._calibrated(fraction)
        return self._cascades[fraction]

    def threshold(self, fraction: float) -> float:
        """Return the log-odds of the classic stack that a fraction of the non-lenses reach."""
        non_lenses = self.rows["classic"][self.rows["label"] == 0]
        return float(np.quantile(non_lenses, 1.0 - fraction, method="higher"))

    def _calibrated(self, fraction: float) -> Cascade:
        threshold = self.threshold(fraction)
        above = self.rows["classic"] >= threshold
        passed, below = self.rows[above], self.rows[~above]
        lenses, others = int(passed["label"].sum()), int((below["label"] == 0).sum())
        if not lenses or not others:
            raise GridlensError(
                "The 'screen' parameter must let lenses of the calibration pass, and not all of its non-lenses. Got "
                f"{fraction:g} instead, at which {lenses} lenses pass and {others} non-lenses do not. Choose another "
                "fraction."
            )
        classic = _calibrator(below, "classic") if below["label"].any() else _without_lenses(below, threshold)
        return Cascade(threshold, Branch(self.classic, classic), Branch(self.stack, _calibrator(passed, "full")))


def _calibrator(rows: np.ndarray, name: str) -> IsotonicCalibrator:
    return IsotonicCalibrator().fit(rows[name], rows["label"], rows["group"])


def _without_lenses(rows: np.ndarray, threshold: float) -> IsotonicCalibrator:
    """Return the calibrator of rows below the threshold of which none is a lens.

    The probability is the half count in n + 1 rows that `IsotonicCalibrator` gives the end of a curve, and rises to it
    by a tenth, so that the rows are still ranked. Up to its upper limit n rows without a lens are not surprising.
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
    """Return the screen of a fitted stack; None without a classic stack.

    Parameters
    ----------
    stack, classic : MemberStack
        As in `Screen`.
    log_odds : ndarray of shape (n, n_members)
        Of all members, for the calibration rows.
    label : ndarray of shape (n,)
        Clean: 1 for a lens, 0 for none.
    groups : ndarray of shape (n,) or None
        Clusters; None makes each row one of its own.
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
    """Return the cascade of a fitted stack for a parameter `screen`; None for 1, without a cascade.

    Raises
    ------
    ValueError
        `fraction` is not above 0 and at most 1.
    GridlensError
        The model has no screen, or it cannot be calibrated at this fraction.
    """
    number = isinstance(fraction, int | float | np.number) and not isinstance(fraction, bool)
    if not number or not (math.isfinite(fraction) and 0.0 < fraction <= 1.0):
        raise ValueError(
            f"The 'screen' parameter must be a fraction above 0 and at most 1. Got {fraction!r} instead; 1 scores all "
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
    """Return a sentence on why a model has no screen."""
    screened = [member.name for member in stack.members_ if getattr(member, "screened", False)]
    if not screened:
        names = ", ".join(member.name for member in stack.members_)
        return f"None of its members ({names}) is a slow one, such as a network, that a screen could spare."
    if len(screened) == len(stack.members_):
        return f"It has no member besides {', '.join(screened)} that could screen cutouts."
    return (
        "It holds no calibration of a screen: an earlier version of gridlens wrote it, no clean labels calibrated it, "
        "or it was recalibrated. Train it again with clean labels to get one."
    )
