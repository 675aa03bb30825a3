"""Boosted trees on the features, grown by XGBoost: the same idea as LightGBM, other trees."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gridlens.features import FEATURE_NAMES
from gridlens.members._trees import TurnedTrees
from gridlens.members._xgboost_json import checked_xgboost

__all__ = ["XGBoostMember"]

_MODEL_FILE = "trees.json"


class XGBoostMember(TurnedTrees):
    """XGBoost on the 315 features, each row learned in its eight flips and quarter turns.

    Needs ``gridlens[xgboost]``.

    Parameters
    ----------
    n_trees : int, default=400
    learning_rate : float, default=0.05
    max_depth : int, default=6
    min_child_weight : float, default=20.0
        Least sum of the second derivatives in a leaf, of the eightfold set.
    column_fraction : float, default=0.3
        Share of the columns that each tree sees.
    row_fraction : float, default=0.5
        Share of the rows that each tree sees.
    reg_lambda : float, default=10.0
        L2 penalty on the leaves.
    turns : bool, default=True
        Learn from the eight turned versions of each row and score by their mean log-odds.
    n_jobs : int, default=1
        Threads.
    random_state : int, default=0

    Attributes
    ----------
    booster_ : xgboost.Booster

    Notes
    -----
    Chen & Guestrin 2016, KDD, 785. Thresholds are those of histograms.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.members import XGBoostMember
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 315)).astype(np.float32)
    >>> y = (X[:, 20] > 0).astype(int)
    >>> member = XGBoostMember(n_trees=20, turns=False).fit(X, y)
    >>> member.predict_proba(X[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "xgboost"
    requires: ClassVar[tuple[str, str]] = ("xgboost", "gridlens[xgboost]")

    def __init__(
        self,
        n_trees: int = 400,
        learning_rate: float = 0.05,
        max_depth: int = 6,
        min_child_weight: float = 20.0,
        column_fraction: float = 0.3,
        row_fraction: float = 0.5,
        reg_lambda: float = 10.0,
        turns: bool = True,
        n_jobs: int | None = 1,
        random_state: int | None = 0,
    ) -> None:
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.min_child_weight = min_child_weight
        self.column_fraction = column_fraction
        self.row_fraction = row_fraction
        self.reg_lambda = reg_lambda
        self.turns = turns
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _train(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        import xgboost

        parameters: dict[str, Any] = {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "min_child_weight": self.min_child_weight,
            "colsample_bytree": self.column_fraction,
            "subsample": self.row_fraction,
            "reg_lambda": self.reg_lambda,
            "nthread": self.n_jobs or 1,
            "seed": 0 if self.random_state is None else self.random_state,
            "verbosity": 0,
        }
        data = xgboost.QuantileDMatrix(X, y, weight=weight, nthread=self.n_jobs or 1)
        self.booster_ = xgboost.train(parameters, data, num_boost_round=self.n_trees)

    def _raw(self, X: np.ndarray) -> np.ndarray:
        self.booster_.set_param({"nthread": self.n_jobs or 1})
        return self.booster_.inplace_predict(X, predict_type="margin").astype(np.float64)

    def _raw_contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        import xgboost

        self.booster_.set_param({"nthread": self.n_jobs or 1})
        found = self.booster_.predict(xgboost.DMatrix(X), pred_contribs=True).astype(np.float64)
        return found[:, :-1].copy(), float(found[0, -1])

    def _write(self, folder: Path) -> None:
        self.booster_.save_model(folder / _MODEL_FILE)

    def _read(self, folder: Path) -> None:
        self.booster_ = checked_xgboost((folder / _MODEL_FILE).read_bytes(), len(FEATURE_NAMES))
