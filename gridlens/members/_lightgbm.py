"""LightGBM on the features, the main member of the bundled model."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gridlens.members._trees import SampledTrees
from gridlens.members._turned_trees import TurnedTrees

__all__ = ["LightGBMMember"]

# Above this number of rows in all orientations (400,000 rows are 500 MB), they are computed while LightGBM reads them.
_MOST_COPIES = 400_000


@dataclass(eq=False, repr=False, kw_only=True)
class LightGBMMember(SampledTrees, TurnedTrees):
    """LightGBM on the 315 features, fitted to the eight flips and quarter turns of each row.

    A lens remains a lens when its image is turned, but the nine patches are nine sets of columns: without the turns,
    the trees would have to learn each position separately. Parameters have the names of `lightgbm.LGBMClassifier`.

    Parameters
    ----------
    n_estimators : int, default=1000
        Number of trees.
    learning_rate : float, default=0.1
    num_leaves : int, default=31
    min_child_samples : int, default=100
        Smallest number of rows in a leaf, counted in the eightfold set.
    colsample_bytree : float, default=0.6
        Fraction of the columns for each tree.
    subsample : float, default=0.5
        Fraction of the rows for each tree.
    extra_trees : bool, default=True
        If True, try one random threshold per column and leaf instead of all (extremely randomised trees, Geurts et al.
        2006, Machine Learning 63, 3). The features are noisy and correlated, so that the best threshold mostly fits
        noise.
    reg_lambda : float, default=10.0
        L2 penalty on the leaves.
    turns : bool, default=True
        Whether to fit the eight orientations of each row, and to average their log-odds for the score.
    n_jobs : int, default=1
        Number of threads. While another job uses the processors, more than one is slower, not faster.
    random_state : int, default=0

    Attributes
    ----------
    trees_ : gridlens.trees.Trees
        Fitted trees; `booster()` returns them as a booster of LightGBM.

    Notes
    -----
    The trees follow Ke et al. 2017, NeurIPS 30. The scores are bit-identical to those of LightGBM's booster (see
    `docs/scale.md`). For more than 50,000 rows, the turned copies are never all in memory: each is computed when
    LightGBM reads it.

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
