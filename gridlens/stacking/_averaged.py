"""Average of the members of several folds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.special import expit, logit

from gridlens.stacking._contributions import bounded_contributions

__all__ = ["AveragedMember"]

_FILE = "folds.json"
# Probabilities are clipped, because opposite certainties would cancel to NaN.
_CERTAIN = 1e-12


class AveragedMember:
    """Members of one kind, fitted to different rows, whose log-odds are averaged.

    Parameters
    ----------
    members : sequence of Member
        Fitted members, all of one class.
    """

    def __init__(self, members: Sequence[Any]) -> None:
        self.members = list(members)
        self.name = self.members[0].name
        self.consumes = self.members[0].consumes
        self.screened = bool(getattr(self.members[0], "screened", False))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities (n, 2); NaN where a member gives NaN."""
        return self.predict_with_spread(X)[0]

    def predict_with_spread(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities (n, 2) and the standard deviation (n,) of the members' log-odds; NaN if one is NaN."""
        first = self.members[0]
        # Members of one kind share their input, so it is prepared once.
        prepared = first.prepare(X) if hasattr(first, "prepare") else X
        p = np.array([member.predict_proba(prepared)[:, 1] for member in self.members])
        log_odds = logit(np.clip(p, _CERTAIN, 1.0 - _CERTAIN))
        mean = expit(log_odds.mean(axis=0))
        return np.column_stack([1.0 - mean, mean]), log_odds.std(axis=0)

    @property
    def contributions(self) -> Any:
        """Mean of the members' `contributions`; AttributeError if they have none."""
        _ = self.members[0].contributions
        return self._mean_contributions

    @property
    def attribution(self) -> Any:
        """Mean of the members' `attribution`; AttributeError if they have none."""
        _ = self.members[0].attribution
        return self._mean_attribution

    def _mean_contributions(self, X: Any) -> tuple[np.ndarray, float]:
        found = [member.contributions(X) for member in self.members]
        limit = float(-logit(_CERTAIN))
        values = np.mean([bounded_contributions(values, base, limit) for values, base in found], axis=0)
        return values, float(np.mean([base for _, base in found]))

    def _mean_attribution(self, X: Any) -> np.ndarray:
        return np.mean([member.attribution(X) for member in self.members], axis=0)

    def save(self, folder: Path) -> None:
        """Save each member in its own folder."""
        (folder / _FILE).write_text(json.dumps({"folds": len(self.members)}) + "\n")
        for k, member in enumerate(self.members):
            place = _place(folder, k)
            place.mkdir()
            member.save(place)

    @classmethod
    def load(cls, folder: Path, kind: Any) -> Self:
        """Load members of the class `kind` that `save` wrote."""
        n = json.loads((folder / _FILE).read_text())["folds"]
        if type(n) is not int or n < 1:
            raise ValueError(f"The number of folds must be an integer of at least 1. Got {n!r} instead.")
        return cls([kind.load(_place(folder, k)) for k in range(n)])

    @staticmethod
    def is_saved_in(folder: Path) -> bool:
        """Return whether the folder contains several members."""
        return (folder / _FILE).is_file()

    @staticmethod
    def first_folder(folder: Path) -> Path:
        """Return the folder of the first member that `save` wrote."""
        return _place(folder, 0)


def _place(folder: Path, fold: int) -> Path:
    return folder / f"fold-{fold}"
