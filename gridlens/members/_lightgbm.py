"""Boosted trees on the features: the member that the bundled model is made of."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gridlens.members._trees import SampledTrees
from gridlens.members._turned_trees import TurnedTrees

__all__ = ["LightGBMMember"]

# More turned rows than this (400,000 are 500 MB) are turned while LightGBM reads them.
_MOST_COPIES = 400_000


@dataclass(eq=False, repr=False, kw_only=True)
class LightGBMMember(SampledTrees, TurnedTrees):
    """LightGBM on the 315 features, each row learned in its eight flips and quarter turns.

    A lens stays a lens when it is turned, and the nine patches are nine sets of columns: without the turns the trees
    would have to learn every position on its own. The names of the parameters are those of `lightgbm.LGBMClassifier`.

    Parameters
    ----------
    n_estimators : int, default=1000
        Number of trees.
    learning_rate : float, default=0.1
    num_leaves : int, default=31
    min_child_samples : int, default=100
        Fewest rows in a leaf, of the eightfold set.
    colsample_bytree : float, default=0.6
        Fraction of the columns that each tree sees.
    subsample : float, default=0.5
        Fraction of the rows that each tree sees.
    extra_trees : bool, default=True
        Try one random threshold per column and leaf, not all of them (extremely randomised trees, Geurts et al. 2006,
        Machine Learning 63, 3). The features are noisy and alike, and the best threshold is mostly the noise's.
    reg_lambda : float, default=10.0
        L2 penalty on the leaves.
    turns : bool, default=True
        Learn from the eight turned versions of each row and score by their mean log-odds.
    n_jobs : int, default=1
        Threads. With another job on the processors more than one is slower, not faster.
    random_state : int, default=0

    Attributes
    ----------
    trees_ : gridlens.trees.Trees
        `booster()` gives them to LightGBM.

    Notes
    -----
    Trees: Ke et al. 2017, NeurIPS 30. The scores are those of LightGBM's booster to the bit (see `docs/scale.md`). Of
    more than 50,000 rows the turned copies are never all in memory: each is made when LightGBM reads it.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.members import LightGBMMember
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 315)).astype(np.float32)
    >>> y = (X[:, 20] > 0).astype(int)
    >>> member = LightGBMMember(n_estimators=20, turns=False).fit(X, y)
    >>> member.predict_proba(X[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "lightgbm"

    n_estimators: int = 1000
    learning_rate: float = 0.1

    def _turned(self, X: np.ndarray) -> Any:
        versions = 8 if self.turns else 1
        if versions * len(X) <= _MOST_COPIES:
            return super()._turned(X)
        from gridlens.members._turned_rows import TurnedRows

        return TurnedRows(X, versions)

    def _train(self, X: Any, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        self._grow(X, y, weight)
