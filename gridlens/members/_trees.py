"""What members of boosted trees have in common: LightGBM's scores and files, and rows in their eight turns."""

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gridlens.features import FEATURE_NAMES, dihedral, dihedral_columns
from gridlens.members._features import ExplainedMember, FeatureMember
from gridlens.members._tree_text import checked_booster

__all__ = ["LightGBMTrees", "TurnedTrees", "grow", "parameters_of"]

_MODEL_FILE = "trees.txt"
_STATE_FILE = "state.json"
# More turned rows than this (400,000 are 500 MB) are turned while LightGBM reads them, and its bins are drawn from a
# quarter of the rows that it takes by itself, which is all that sets the trees apart: `benchmarks/training.py`.
_MOST_COPIES = 400_000
_BIN_ROWS = 50_000


class LightGBMTrees(FeatureMember):
    """A member that keeps what it learned in a LightGBM booster, and in numbers.

    Subclasses have the parameter `n_jobs`.
    """

    # What is learned beside the trees: attributes that are fractions above 0, by name.
    _learned: ClassVar[tuple[str, ...]] = ()
    # Columns of the rows that the trees are grown on.
    _n_columns: ClassVar[int] = len(FEATURE_NAMES)

    n_jobs: int | None
    booster_: Any

    def _raw(self, X: np.ndarray) -> np.ndarray:
        """Log-odds that the trees give to rows of what they were grown on."""
        from gridlens.members._tree_masks import lightgbm_scores

        return lightgbm_scores(self.booster_, X, self.n_jobs or 1)

    def _raw_contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        """What each column adds to `_raw`, of the shape of `X`, and what they are added to."""
        from gridlens.members._contributions import lightgbm_contributions

        return lightgbm_contributions(self.booster_, X, self.n_jobs or 1)

    def _write(self, folder: Path) -> None:
        (folder / _MODEL_FILE).write_text(self.booster_.model_to_string())
        if self._learned:
            state = {name: float(getattr(self, name)) for name in self._learned}
            (folder / _STATE_FILE).write_text(json.dumps(state, indent=1) + "\n")

    def _read(self, folder: Path) -> None:
        self.booster_ = checked_booster((folder / _MODEL_FILE).read_text(), self._n_columns)
        if self._learned:
            state = json.loads((folder / _STATE_FILE).read_text())
            for name in self._learned:
                value = float(state[name])
                if not 0.0 < value <= 1.0:
                    raise ValueError(f"The state must hold {name} above 0 and up to 1. Got {value:g} instead.")
                setattr(self, name, value)


def parameters_of(member: Any) -> dict[str, Any]:
    """LightGBM's parameters from those that `LightGBMMember` and its like have in common."""
    return {
        "objective": "binary",
        "learning_rate": member.learning_rate,
        "num_leaves": member.num_leaves,
        "min_data_in_leaf": member.min_child_samples,
        "feature_fraction": member.column_fraction,
        "bagging_fraction": member.row_fraction,
        "bagging_freq": 1,
        "extra_trees": member.random_splits,
        "lambda_l2": member.reg_lambda,
        "num_threads": member.n_jobs or 1,
        "seed": 0 if member.random_state is None else member.random_state,
        # The same trees on any number of threads; by rows they are the same too, and take longer on one.
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }


def grow(member: Any, X: Any, y: np.ndarray, weight: np.ndarray | None) -> Any:
    """A LightGBM booster on rows of any kind, an array or `TurnedRows`."""
    import lightgbm

    parameters = parameters_of(member)
    bins = None
    if not isinstance(X, np.ndarray):
        # LightGBM would draw rows one by one, in float64, and print a warning of few that no parameter silences.
        drawn = X.drawn(_BIN_ROWS, parameters["seed"])
        # A column is left out where no split of it leaves this many rows on both sides: of those that are drawn, fewer.
        fewest = max(1, parameters["min_data_in_leaf"] * len(drawn) // len(X))
        bins = lightgbm.Dataset(drawn, params=parameters | {"min_data_in_leaf": fewest})
    data = lightgbm.Dataset(X, y, reference=bins, weight=weight, params=parameters, free_raw_data=True)
    return lightgbm.train(parameters, data, num_boost_round=member.n_trees)


class TurnedTrees(ExplainedMember):
    """Trees that learn each row in its eight flips and quarter turns, and score by the mean log-odds of the eight.

    A lens stays one when it is turned, and the nine patches are nine sets of columns: without the turns the trees
    would have to learn every position on its own.

    Subclasses have the parameter `turns`, grow trees in `_train`, score one version of the rows in `_raw` and say in
    `_raw_contributions` what its columns add.
    """

    turns: bool

    def _learn(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        repeats = 8 if self.turns else 1
        self._train(
            self._turned(X),
            np.tile(y, repeats),
            None if weight is None else np.tile(weight, repeats),
            np.tile(groups, repeats),
        )

    def _turned(self, X: np.ndarray) -> Any:
        """Rows in all their turns, one version after the other, as `_train` takes them."""
        return dihedral(X).reshape(-1, X.shape[1]) if self.turns else X

    @abstractmethod
    def _train(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        """Set what is learned from rows in all their turns."""

    @abstractmethod
    def _raw(self, X: np.ndarray) -> np.ndarray:
        """Log-odds that the trees give to rows of what they were grown on."""

    @abstractmethod
    def _raw_contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        """What each column adds to `_raw`, of the shape of `X`, and what they are added to."""

    def _offset(self) -> float:
        """Log-odds to add to those of the trees."""
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
        # One call for all versions: trees are read once.
        versions, base = self._raw_contributions(dihedral(X).reshape(-1, X.shape[1]))
        total = np.zeros(X.shape)
        for values, source in zip(versions.reshape(8, *X.shape), dihedral_columns(), strict=True):
            total[:, source] += values
        return total / 8.0, base + self._offset()
