"""XGBoost on the features."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gridlens.members._trees import TreeMember
from gridlens.members._turned_trees import TurnedTrees
from gridlens.trees import Trees, from_xgboost
from gridlens.trees._xgboost import xgboost_booster

__all__ = ["XGBoostMember"]


@dataclass(eq=False, repr=False, kw_only=True)
class XGBoostMember(TreeMember, TurnedTrees):
    """XGBoost on the 315 features, fitted to the eight flips and quarter turns of each row.

    Requires ``gridlens[xgboost]``. Parameters have the names of `xgboost.XGBClassifier`.

    Parameters
    ----------
    n_estimators : int, default=400
        Number of trees.
    learning_rate : float, default=0.05
    max_depth : int, default=6
    min_child_weight : float, default=20.0
        Smallest sum of the second derivatives in a leaf, over the eightfold set.
    colsample_bytree : float, default=0.3
        Fraction of the columns for each tree.
    subsample : float, default=0.5
        Fraction of the rows for each tree.
    reg_lambda : float, default=10.0
        L2 penalty on the leaves.
    turns : bool, default=True
        Whether to fit the eight orientations of each row, and to average their log-odds for the score.
    n_jobs : int, default=1
        Number of threads.
    random_state : int, default=0

    Attributes
    ----------
    trees_ : gridlens.trees.Trees
        Fitted trees; `booster()` returns them as a booster of XGBoost.

    Notes
    -----
    The trees follow Chen & Guestrin 2016, KDD, 785, with thresholds from histograms. The scores are bit-identical to
    those of XGBoost's booster.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.members import XGBoostMember
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 315)).astype(np.float32)
    >>> y = (X[:, 20] > 0).astype(int)
    >>> member = XGBoostMember(n_estimators=20, turns=False).fit(X, y)
    >>> member.predict_proba(X[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "xgboost"
    requires: ClassVar[tuple[str, str]] = ("xgboost", "gridlens[xgboost]")
    _model_file: ClassVar[str] = "trees.json"

    max_depth: int = 6
    min_child_weight: float = 20.0
    colsample_bytree: float = 0.3
    subsample: float = 0.5

    def _train(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        import xgboost

        parameters: dict[str, Any] = {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "min_child_weight": self.min_child_weight,
            "colsample_bytree": self.colsample_bytree,
            "subsample": self.subsample,
            "reg_lambda": self.reg_lambda,
            "nthread": self.n_jobs or 1,
            "seed": 0 if self.random_state is None else self.random_state,
            "verbosity": 0,
        }
        data = xgboost.QuantileDMatrix(X, y, weight=weight, nthread=self.n_jobs or 1)
        booster = xgboost.train(parameters, data, num_boost_round=self.n_estimators)
        self._keep(bytes(booster.save_raw("json")))

    @staticmethod
    def _trees_of(model: bytes) -> Trees:
        return from_xgboost(model)

    @staticmethod
    def _booster_of(model: bytes) -> Any:
        return xgboost_booster(model)
