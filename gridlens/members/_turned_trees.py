"""Base class of trees that are fitted to rows in their eight orientations."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridlens.features import dihedral
from gridlens.features._symmetry import dihedral_columns
from gridlens.members._features import ExplainedMember

__all__ = ["TurnedTrees"]


@dataclass(eq=False, repr=False, kw_only=True)
class TurnedTrees(ExplainedMember):
    """Trees fitted to the eight flips and quarter turns of each row, whose log-odds are averaged for the score.

    A lens remains a lens when its image is turned, but the nine patches are nine sets of columns: without the turns,
    the trees would have to learn each position separately.

    Subclasses grow trees in `_train`, score one orientation of the rows in `_raw`, and compute the contributions of its
    columns in `_raw_contributions`.
    """

    turns: bool = True

    def _learn(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        repeats = 8 if self.turns else 1
        self._train(
            self._turned(X),
            np.tile(y, repeats),
            None if weight is None else np.tile(weight, repeats),
            np.tile(groups, repeats),
        )

    def _turned(self, X: np.ndarray) -> Any:
        """Return the rows in all orientations, one after the other, as input for `_train`."""
        return dihedral(X).reshape(-1, X.shape[1]) if self.turns else X

    @abstractmethod
    def _train(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        """Set the fitted state from rows in all orientations."""

    @abstractmethod
    def _raw(self, X: np.ndarray) -> np.ndarray:
        """Return the log-odds of the trees for rows of the columns that they were grown on."""

    @abstractmethod
    def _raw_contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the contribution of each column to `_raw`, of the shape of `X`, and the base to add them to."""

    def _offset(self) -> float:
        """Return the log-odds to add to those of the trees."""
        return 0.0

    def _log_odds(self, X: np.ndarray) -> np.ndarray:
        versions = dihedral(X) if self.turns else X[None]
        total = np.zeros(len(X))
        for version in versions:
            total += self._raw(version)
        return total / len(versions) + self._offset()

    def _contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        if not self.turns:
            values, base = self._raw_contributions(X)
            return values, base + self._offset()
        versions, base = self._raw_contributions(dihedral(X).reshape(-1, X.shape[1]))
        total = np.zeros(X.shape)
        for values, source in zip(versions.reshape(8, *X.shape), dihedral_columns(), strict=True):
            total[:, source] += values
        return total / 8.0, base + self._offset()
