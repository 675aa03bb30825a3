"""Rows of the score table, from the whole stack or from a cascade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gridlens.calibration import shift_prior
from gridlens.detector._arcs import decisive_arcs
from gridlens.detector._inputs import Inputs, check_consumed, inputs_of, selected
from gridlens.detector._members import agreement
from gridlens.detector._rows import described, reject_unscored
from gridlens.detector._screen import Branch, Cascade
from gridlens.detector._table import EVEN
from gridlens.features import Measured
from gridlens.stacking._stack import scored_with_spreads

__all__ = ["score_measured", "telling"]


def telling(members: list[Any]) -> list[str]:
    """Return the names of the members that estimate their own uncertainty."""
    return [member.name for member in members if hasattr(member, "predict_with_spread")]


@dataclass
class _Scored:
    """Scores of n rows, NaN where unknown."""

    members: np.ndarray
    """probabilities (n, n_members)"""
    spreads: dict[str, np.ndarray]
    """uncertainties (n,) by the name of the member"""
    score: np.ndarray
    """scores (n,), at even prevalence"""
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def unknown(cls, n: int, members: list[Any]) -> _Scored:
        """Return `n` rows of NaN."""
        score, low, high = (np.full(n, np.nan) for _ in range(3))
        spreads = {name: np.full(n, np.nan) for name in telling(members)}
        return cls(np.full((n, len(members)), np.nan), spreads, score, low, high)

    def ask(self, members: list[Any], places: np.ndarray, inputs: Inputs, rows: np.ndarray) -> None:
        """Score the rows of a mask with `members`, whose indices among all members are `places`."""
        if not rows.any():
            return
        needed = {member.consumes for member in members}
        found, spreads = scored_with_spreads(members, selected({name: inputs[name] for name in needed}, rows))
        self.members[np.ix_(rows, places)] = found
        for name, values in spreads.items():
            self.spreads[name][rows] = values

    def calibrate(self, branch: Branch, places: np.ndarray, rows: np.ndarray, prevalence: float) -> None:
        """Compute the scores of the rows of a mask from their members at `places`, calibrated at `prevalence`."""
        if not rows.any():
            return
        log_odds = branch.stack.decision_function(self.members[np.ix_(rows, places)])
        self.score[rows] = shift_prior(branch.calibrator.predict(log_odds), prevalence, EVEN)
        if branch.calibrator.limits_ is not None:
            ends = branch.calibrator.predict_interval(log_odds)
            self.low[rows], self.high[rows] = (shift_prior(end, prevalence, EVEN) for end in ends)

    def forget(self, rows: np.ndarray) -> None:
        """Reset the rows of a mask to unknown."""
        for values in (self.score, self.low, self.high, self.members, *self.spreads.values()):
            values[rows] = np.nan


def score_measured(
    measured: Measured, full: Branch, cascade: Cascade | None, calibration_prevalence: float, training_prevalence: float
) -> pd.DataFrame:
    """Return the rows of `LensDetector.score_rows`.

    Parameters
    ----------
    measured : Measured of n
        Measured cutouts with the metadata that the members may use.
    full : Branch
        The whole stack, which scores all rows if there is no cascade.
    cascade : Cascade or None
        If given, the table has the column `branch`.
    calibration_prevalence, training_prevalence : float
        Prevalences of the detector.
    """
    inputs, usable = inputs_of(measured)
    members: list[Any] = full.stack.members_
    found = _Scored.unknown(len(usable), members)
    everyone = np.ones(len(members), dtype=bool)
    branches = [(full, everyone, np.ones(len(usable), dtype=bool))]
    if usable.any():
        check_consumed(members, inputs)
    if cascade is None:
        found.ask(members, everyone, inputs, usable)
    else:
        kept = cascade.kept
        found.ask(cascade.classic.stack.members_, kept, inputs, usable)
        passed = usable & cascade.passes(cascade.classic.stack.decision_function(found.members[:, kept]))
        slow = [member for member, is_kept in zip(members, kept, strict=True) if not is_kept]
        found.ask(slow, ~kept, inputs, passed)
        branches = [(cascade.full, everyone, passed), (cascade.classic, kept, ~passed)]
    asked = np.zeros(found.members.shape, dtype=bool)
    for branch, places, rows in branches:
        asked[np.ix_(rows, places)] = True
        found.calibrate(branch, places, rows & usable, calibration_prevalence)
    names = [member.name for member in members]
    measured = reject_unscored(measured, found.score, found.members, asked, names)
    found.forget(usable & measured.rejected)
    patch = np.empty(len(usable), dtype=np.int64)
    in_favour, disagreement = np.empty(len(usable), dtype=np.int64), np.empty(len(usable))
    for branch, places, rows in branches:
        patch[rows] = decisive_arcs(branch.stack, measured.features[rows], found.score[rows])
        in_favour[rows], disagreement[rows] = agreement(found.members[np.ix_(rows, places)], training_prevalence)
    columns = described(measured, found.score, found.low, found.high, patch)
    columns |= {"members_in_favour": in_favour, "disagreement": disagreement}
    if cascade is not None:
        branch_names = np.where(branches[0][2], "full", "classic").astype(object)
        columns["branch"] = np.where(measured.rejected, "", branch_names)
    columns |= {name: found.members[:, k] for k, name in enumerate(names)}
    columns |= {f"{name}_spread": values for name, values in found.spreads.items()}
    return pd.DataFrame(columns)
