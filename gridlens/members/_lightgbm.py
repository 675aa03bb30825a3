"""Boosted trees on the features: the member that the bundled model is made of."""

import json
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from gridlens.features import dihedral

__all__ = ["LightGBMMember"]

_MODEL_FILE = "trees.txt"
_PARAMETER_FILE = "parameters.json"


class LightGBMMember(ClassifierMixin, BaseEstimator):
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
    Trees: Ke et al. 2017, NeurIPS 30. The Booster scores, not the scikit-learn wrapper, which takes eleven times as
    long for a row.

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
    consumes: ClassVar[Literal["features", "cutouts"]] = "features"

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
            1 for a lens, 0 for none.
        sample_weight : ndarray of shape (n,), default=None
        groups : ignored
            All turns of a row are learned together; there is nothing to keep apart.

        Returns
        -------
        LightGBMMember

        Raises
        ------
        ValueError
            `y` does not hold both 0 and 1, or its length is not that of `X`.
        """
        import lightgbm

        X, y = np.asarray(X, dtype=np.float32), np.asarray(y)
        if y.shape != (len(X),) or set(np.unique(y).tolist()) != {0, 1}:
            raise ValueError(
                f"The 'y' parameter must hold one 0 or 1 for each of the {len(X)} rows, and both must occur. "
                f"Got shape {y.shape} with the values {np.unique(y)[:5].tolist()} instead."
            )
        repeats = 8 if self.turns else 1
        rows = np.concatenate(list(dihedral(X))) if self.turns else X
        weight = None if sample_weight is None else np.tile(np.asarray(sample_weight, dtype=np.float64), repeats)
        data = lightgbm.Dataset(rows, np.tile(y, repeats), weight=weight, free_raw_data=True)
        self.booster_ = lightgbm.train(self._parameters(), data, num_boost_round=self.n_trees)
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = X.shape[1]
        return self

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
        p = 1.0 / (1.0 + np.exp(-log_odds / len(versions)))
        p[~np.isfinite(X).any(axis=1)] = np.nan
        return np.column_stack([1.0 - p, p])

    def save(self, folder: Path) -> None:
        """Write the trees in LightGBM's text format and the parameters as JSON into `folder`."""
        check_is_fitted(self, "booster_")
        (folder / _MODEL_FILE).write_text(self.booster_.model_to_string())
        (folder / _PARAMETER_FILE).write_text(json.dumps(self.get_params(), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a member that `save` wrote.

        LightGBM's parser ends the process on most damaged files: whoever calls has checked the files' hashes
        (`gridlens.load_model` does).
        """
        import lightgbm

        member = cls(**json.loads((folder / _PARAMETER_FILE).read_text()))
        member.booster_ = lightgbm.Booster(model_str=(folder / _MODEL_FILE).read_text())
        member.classes_ = np.array([0, 1])
        member.n_features_in_ = member.booster_.num_feature()
        return member

    def _parameters(self) -> dict[str, Any]:
        return {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_child_samples,
            "feature_fraction": self.column_fraction,
            "bagging_fraction": self.row_fraction,
            "bagging_freq": 1,
            "extra_trees": self.random_splits,
            "lambda_l2": self.reg_lambda,
            "num_threads": self.n_jobs or 1,
            "seed": 0 if self.random_state is None else self.random_state,
            # The same trees on any number of threads.
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
