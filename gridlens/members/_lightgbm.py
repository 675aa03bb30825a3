"""Boosted trees on the features: the member that the bundled model is made of."""

from typing import Any, ClassVar

import numpy as np

from gridlens.members import _trees
from gridlens.members._trees import LightGBMTrees, TurnedTrees, grow

__all__ = ["LightGBMMember"]


class LightGBMMember(LightGBMTrees, TurnedTrees):
    """LightGBM on the 315 features, each row learned in its eight flips and quarter turns.

    A lens stays one when it is turned, and the nine patches are nine sets of columns: without the turns the trees
    would have to learn every position on its own.

    Parameters
    ----------
    n_trees : int, default=1000
    learning_rate : float, default=0.1
    num_leaves : int, default=31
    min_child_samples : int, default=100
        Fewest rows in a leaf, of the eightfold set.
    column_fraction : float, default=0.6
        Share of the columns that each tree sees.
    row_fraction : float, default=0.5
        Share of the rows that each tree sees.
    random_splits : bool, default=True
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
    booster_ : lightgbm.Booster

    Notes
    -----
    Trees: Ke et al. 2017, NeurIPS 30. A kernel reads the scores from them, those of the Booster to the bit (see
    `docs/scale.md`); trees of more than 32 leaves are left to the Booster. Of more than 50,000 rows the turned copies
    are never all in memory: each is made when LightGBM reads it.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.members import LightGBMMember
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 315)).astype(np.float32)
    >>> y = (X[:, 20] > 0).astype(int)
    >>> member = LightGBMMember(n_trees=20, turns=False).fit(X, y)
    >>> member.predict_proba(X[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "lightgbm"

    def __init__(
        self,
        n_trees: int = 1000,
        learning_rate: float = 0.1,
        num_leaves: int = 31,
        min_child_samples: int = 100,
        column_fraction: float = 0.6,
        row_fraction: float = 0.5,
        random_splits: bool = True,
        reg_lambda: float = 10.0,
        turns: bool = True,
        n_jobs: int | None = 1,
        random_state: int | None = 0,
    ) -> None:
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.column_fraction = column_fraction
        self.row_fraction = row_fraction
        self.random_splits = random_splits
        self.reg_lambda = reg_lambda
        self.turns = turns
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _turned(self, X: np.ndarray) -> Any:
        versions = 8 if self.turns else 1
        if versions * len(X) <= _trees._MOST_COPIES:
            return super()._turned(X)
        from gridlens.members._turned_rows import TurnedRows

        return TurnedRows(X, versions)

    def _train(self, X: Any, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        self.booster_ = grow(self, X, y, weight)
