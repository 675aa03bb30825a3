"""What members of boosted trees on the features have in common: turned rows, scoring, files."""

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from gridlens.features import dihedral

__all__ = ["TurnedTrees"]

_MODEL_FILE = "trees.txt"
_PARAMETER_FILE = "parameters.json"
_STATE_FILE = "state.json"


class TurnedTrees(ClassifierMixin, BaseEstimator):
    """Trees that learn each row in its eight flips and quarter turns, and score by the mean log-odds of the eight.

    A lens stays one when it is turned, and the nine patches are nine sets of columns: without the turns the trees
    would have to learn every position on its own.

    Subclasses have the parameters `turns` and `n_jobs`, and grow `booster_` in `_train`.
    """

    consumes: ClassVar[Literal["features", "cutouts"]] = "features"
    # What is learned beside the trees: attributes that are numbers, by name.
    _learned: ClassVar[tuple[str, ...]] = ()

    turns: bool
    n_jobs: int | None
    booster_: Any

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> Self:
        """Learn from features.

        Parameters
        ----------
        X : ndarray of shape (n, 315)
            NaN is a value like another.
        y : ndarray of shape (n,)
            1 for a (labelled) lens, 0 for the rest.
        sample_weight : ndarray of shape (n,), default=None
        groups : ndarray of shape (n,), default=None
            Rows with one value are views of one cluster; None makes each row one of its own.

        Returns
        -------
        Self

        Raises
        ------
        ValueError
            `y` does not hold both 0 and 1, or its length is not that of `X`.
        """
        X, y = np.asarray(X, dtype=np.float32), np.asarray(y)
        if y.shape != (len(X),) or set(np.unique(y).tolist()) != {0, 1}:
            raise ValueError(
                f"The 'y' parameter must hold one 0 or 1 for each of the {len(X)} rows, and both must occur. "
                f"Got shape {y.shape} with the values {np.unique(y)[:5].tolist()} instead."
            )
        repeats = 8 if self.turns else 1
        rows = np.concatenate(list(dihedral(X))) if self.turns else X
        weight = None if sample_weight is None else np.tile(np.asarray(sample_weight, dtype=np.float64), repeats)
        names = np.tile(np.arange(len(X)) if groups is None else np.asarray(groups), repeats)
        self._train(rows, np.tile(y, repeats), weight, names)
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = X.shape[1]
        return self

    @abstractmethod
    def _train(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        """Set `booster_`, and what `_learned` names."""

    def _offset(self) -> float:
        """Log-odds to add to those of the trees."""
        return 0.0

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities of no lens and of a lens, uncalibrated.

        Parameters
        ----------
        X : ndarray of shape (n, 315)

        Returns
        -------
        ndarray of shape (n, 2), float64
            A row of NaN for a row without any finite value.
        """
        check_is_fitted(self, "booster_")
        X = np.asarray(X, dtype=np.float32)
        if not len(X):
            return np.empty((0, 2))
        versions = dihedral(X) if self.turns else X[None]
        log_odds = np.zeros(len(X))
        for version in versions:
            log_odds += self.booster_.predict(version, raw_score=True, num_threads=self.n_jobs or 1)
        p = 1.0 / (1.0 + np.exp(-log_odds / len(versions) - self._offset()))
        p[~np.isfinite(X).any(axis=1)] = np.nan
        return np.column_stack([1.0 - p, p])

    def save(self, folder: Path) -> None:
        """Write the trees in LightGBM's text format, the parameters and what else was learned as JSON."""
        check_is_fitted(self, "booster_")
        (folder / _MODEL_FILE).write_text(self.booster_.model_to_string())
        (folder / _PARAMETER_FILE).write_text(json.dumps(self.get_params(), indent=1) + "\n")
        if self._learned:
            state = {name: float(getattr(self, name)) for name in self._learned}
            (folder / _STATE_FILE).write_text(json.dumps(state, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a member that `save` wrote.

        LightGBM's parser ends the process on most damaged files: whoever calls has checked the files' hashes
        (`gridlens.load_model` does).
        """
        import lightgbm

        member = cls(**json.loads((folder / _PARAMETER_FILE).read_text()))
        member.booster_ = lightgbm.Booster(model_str=(folder / _MODEL_FILE).read_text())
        if cls._learned:
            for name, value in json.loads((folder / _STATE_FILE).read_text()).items():
                setattr(member, name, value)
        member.classes_ = np.array([0, 1])
        member.n_features_in_ = member.booster_.num_feature()
        return member
