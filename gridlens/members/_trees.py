"""Base classes of members of boosted trees: parameters, scores, files, and the training with LightGBM."""

import json
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from gridlens.features import FEATURE_NAMES
from gridlens.members._features import FeatureMember
from gridlens.trees import Trees, from_lightgbm
from gridlens.trees._lightgbm import lightgbm_booster

__all__ = ["LightGBMTrees", "SampledTrees", "TreeMember"]

_ARRAY_FILE = "trees.npz"
_STATE_FILE = "state.json"
# For rows that are read in batches, bins are drawn from a quarter of the rows that LightGBM uses by default; this is
# the only difference between the trees: `benchmarks/training.py`.
_BIN_ROWS = 50_000


@dataclass(eq=False, repr=False, kw_only=True)
class TreeMember(FeatureMember):
    """Member whose fitted state consists of boosted trees and numbers.

    Parameters have the names of `lightgbm.LGBMClassifier`. Subclasses override defaults and add their own, train in
    `_learn`, and pass the trained model to `_keep`.
    """

    # Names of further fitted attributes, fractions above 0.
    _learned: ClassVar[tuple[str, ...]] = ()
    # Number of columns that the trees are grown on.
    _n_columns: ClassVar[int] = len(FEATURE_NAMES)
    # File with the model in the format of the library that grew it, for use with that library.
    _model_file: ClassVar[str]

    n_estimators: int = 400
    learning_rate: float = 0.05
    colsample_bytree: float = 0.6
    reg_lambda: float = 10.0
    n_jobs: int | None = 1
    random_state: int | None = 0

    @staticmethod
    @abstractmethod
    def _trees_of(model: bytes) -> Trees:
        """Convert the library's model; raise ValueError if it is damaged."""

    @staticmethod
    @abstractmethod
    def _booster_of(model: bytes) -> Any:
        """Return the library's booster of the model; raise ValueError if it is damaged."""

    def _keep(self, model: bytes) -> None:
        """Set the fitted state from the library's model."""
        self.trees_ = self._trees_of(model)
        self._model = model

    def booster(self) -> Any:
        """Return the trees as a booster of the library that grew them, which must be installed.

        The booster is created from the text that is saved beside the arrays, which is validated before the library's
        own parser reads it.

        Returns
        -------
        lightgbm.Booster or xgboost.Booster
            Booster for the rows that the trees were grown on, see the member.

        Raises
        ------
        ValueError
            If the text is damaged, or its trees differ from those that the member scores with.
        """
        check_is_fitted(self, "trees_")
        if not self._trees_of(self._model).equals(self.trees_):
            raise ValueError(
                f"The text of the trees of {self.name!r} differs from the trees that it scores with. Download or train "
                "the model again."
            )
        return self._booster_of(self._model)

    def _raw(self, X: np.ndarray) -> np.ndarray:
        """Return the log-odds of the trees for rows of the columns that they were grown on."""
        return self.trees_.raw_scores(X, self.n_jobs or 1)

    def _raw_contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the contribution of each column to `_raw`, of the shape of `X`, and the base to add them to."""
        return self.trees_.shap_values(X, self.n_jobs or 1), self.trees_.expected_value

    def _write(self, folder: Path) -> None:
        self.trees_.save(folder / _ARRAY_FILE)
        (folder / self._model_file).write_bytes(self._model)
        if self._learned:
            state = {name: float(getattr(self, name)) for name in self._learned}
            (folder / _STATE_FILE).write_text(json.dumps(state, indent=1) + "\n")

    def _read(self, folder: Path) -> None:
        self._model = (folder / self._model_file).read_bytes()
        arrays = folder / _ARRAY_FILE
        # Version 0.1 saved no arrays.
        self.trees_ = Trees.load(arrays) if arrays.is_file() else self._trees_of(self._model)
        if self.trees_.n_features != self._n_columns:
            raise ValueError(
                f"The trees must be grown on {self._n_columns} columns. Got {self.trees_.n_features} instead."
            )
        if self._learned:
            state = json.loads((folder / _STATE_FILE).read_text())
            for name in self._learned:
                value = float(state[name])
                if not 0.0 < value <= 1.0:
                    raise ValueError(f"The state must contain {name} above 0 and at most 1. Got {value:g} instead.")
                setattr(self, name, value)


@dataclass(eq=False, repr=False, kw_only=True)
class LightGBMTrees(TreeMember):
    """Member of trees that LightGBM grows leaf by leaf."""

    _model_file: ClassVar[str] = "trees.txt"

    num_leaves: int = 31
    min_child_samples: int = 100

    @staticmethod
    def _trees_of(model: bytes) -> Trees:
        return from_lightgbm(model.decode())

    @staticmethod
    def _booster_of(model: bytes) -> Any:
        return lightgbm_booster(model.decode())


@dataclass(eq=False, repr=False, kw_only=True)
class SampledTrees(LightGBMTrees):
    """Member of LightGBM trees on random subsets of the rows and columns, with the plain log loss."""

    subsample: float = 0.5
    extra_trees: bool = True

    def _lightgbm_parameters(self) -> dict[str, Any]:
        """Return the parameters of `lightgbm.train`."""
        return {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_child_samples,
            "feature_fraction": self.colsample_bytree,
            "bagging_fraction": self.subsample,
            "bagging_freq": 1,
            "extra_trees": self.extra_trees,
            "lambda_l2": self.reg_lambda,
            "num_threads": self.n_jobs or 1,
            "seed": 0 if self.random_state is None else self.random_state,
            # This gives the same trees for any number of threads; so does growing by rows, which is slower on one
            # thread.
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }

    def _grow(self, X: Any, y: np.ndarray, weight: np.ndarray | None) -> None:
        """Fit the trees to rows, an array or `TurnedRows`."""
        import lightgbm

        parameters = self._lightgbm_parameters()
        bins = None
        if not isinstance(X, np.ndarray):
            # LightGBM would draw rows one by one, in float64, and print a warning for few rows that no parameter
            # disables.
            drawn = X.drawn(_BIN_ROWS, parameters["seed"])
            # LightGBM drops columns without a split that leaves this many rows on both sides; only a sample of the rows
            # is counted, so lower the number accordingly.
            fewest = max(1, parameters["min_data_in_leaf"] * len(drawn) // len(X))
            bins = lightgbm.Dataset(drawn, params=parameters | {"min_data_in_leaf": fewest})
        data = lightgbm.Dataset(X, y, reference=bins, weight=weight, params=parameters, free_raw_data=True)
        booster = lightgbm.train(parameters, data, num_boost_round=self.n_estimators)
        self._keep(booster.model_to_string().encode())
