"""Members that take the rows without a label for unlabelled, not for negative."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.special import logit

from gridlens.members._trees import LightGBMTrees, TurnedTrees
from gridlens.pu import ElkanNotoClassifier, NNPULGBMClassifier, estimate_class_prior

__all__ = ["ElkanNotoMember", "NNPUMember"]

# A class prior is at most this: at 1 there would be nothing to learn.
_HIGHEST_PRIOR = 0.99


class ElkanNotoMember(LightGBMTrees, TurnedTrees):
    """LightGBM by the weighting of Elkan & Noto (2008): each unlabelled row is a lens in part.

    The labelling propensity is estimated out of fold, see `gridlens.pu.ElkanNotoClassifier`. Right where lenses were
    labelled at random; see `gridlens.pu.sensitivity` for what bright ones alone do to it.

    Parameters
    ----------
    n_trees : int, default=300
    learning_rate : float, default=0.05
    num_leaves : int, default=15
    min_child_samples : int, default=100
        Fewest rows in a leaf, of the eightfold set.
    column_fraction : float, default=0.6
        Share of the columns that each tree sees.
    reg_lambda : float, default=10.0
        L2 penalty on the leaves.
    cv : int, default=3
        Folds of the propensity.
    turns : bool, default=True
        Learn from the eight turned versions of each row and score by their mean log-odds.
    n_jobs : int, default=1
    random_state : int, default=0

    Attributes
    ----------
    booster_ : lightgbm.Booster
    propensity_ : float
    class_prior_ : float

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.members import ElkanNotoMember
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(600, 315)).astype(np.float32)
    >>> s = (X[:, 20] > 1) & (rng.random(600) < 0.5)
    >>> member = ElkanNotoMember(n_trees=20, turns=False, min_child_samples=10).fit(X, s.astype(int))
    >>> member.predict_proba(X[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "elkan-noto"
    _learned: ClassVar[tuple[str, ...]] = ("propensity_", "class_prior_")

    def __init__(
        self,
        n_trees: int = 300,
        learning_rate: float = 0.05,
        num_leaves: int = 15,
        min_child_samples: int = 100,
        column_fraction: float = 0.6,
        reg_lambda: float = 10.0,
        cv: int = 3,
        turns: bool = True,
        n_jobs: int | None = 1,
        random_state: int | None = 0,
    ) -> None:
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.column_fraction = column_fraction
        self.reg_lambda = reg_lambda
        self.cv = cv
        self.turns = turns
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _train(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        from lightgbm import LGBMClassifier

        trees = LGBMClassifier(
            n_estimators=self.n_trees,
            learning_rate=self.learning_rate,
            num_leaves=self.num_leaves,
            min_child_samples=self.min_child_samples,
            colsample_bytree=self.column_fraction,
            reg_lambda=self.reg_lambda,
            n_jobs=self.n_jobs or 1,
            random_state=0 if self.random_state is None else self.random_state,
            deterministic=True,
            force_col_wise=True,
            verbosity=-1,
        )
        model = ElkanNotoClassifier(trees, cv=self.cv, random_state=self.random_state)
        model.fit(X, y, sample_weight=weight, groups=groups)
        self.booster_ = model.estimator_.booster_
        self.propensity_, self.class_prior_ = model.propensity_, model.class_prior_


class NNPUMember(LightGBMTrees, TurnedTrees):
    """LightGBM under the non-negative risk of Kiryo et al. (2017), at a class prior.

    Parameters
    ----------
    prior : float, default=None
        Share of lenses among the training rows, between 0 and 1. None estimates it by best bin estimation, out of
        fold, which finds at least the labelled share and at most too much: see `gridlens.pu.estimate_class_prior`.
    n_trees : int, default=300
    learning_rate : float, default=0.05
    num_leaves : int, default=8
        Few: large trees single out the labelled rows one by one.
    min_child_samples : int, default=100
        Fewest rows in a leaf, of the eightfold set.
    column_fraction : float, default=0.6
        Share of the columns that each tree sees.
    reg_lambda : float, default=10.0
        L2 penalty on the leaves.
    turns : bool, default=True
        Learn from the eight turned versions of each row and score by their mean log-odds.
    n_jobs : int, default=1
    random_state : int, default=0

    Attributes
    ----------
    booster_ : lightgbm.Booster
    class_prior_ : float
        As given or estimated.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.members import NNPUMember
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(600, 315)).astype(np.float32)
    >>> s = (X[:, 20] > 1) & (rng.random(600) < 0.5)
    >>> member = NNPUMember(prior=0.16, n_trees=20, turns=False, min_child_samples=10).fit(X, s.astype(int))
    >>> member.predict_proba(X[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "nnpu"
    _learned: ClassVar[tuple[str, ...]] = ("class_prior_",)

    def __init__(
        self,
        prior: float | None = None,
        n_trees: int = 300,
        learning_rate: float = 0.05,
        num_leaves: int = 8,
        min_child_samples: int = 100,
        column_fraction: float = 0.6,
        reg_lambda: float = 10.0,
        turns: bool = True,
        n_jobs: int | None = 1,
        random_state: int | None = 0,
    ) -> None:
        self.prior = prior
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.column_fraction = column_fraction
        self.reg_lambda = reg_lambda
        self.turns = turns
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _train(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        prior = self.prior
        if prior is None:
            # Turned versions of a row say nothing new about how common lenses are.
            first = slice(len(X) // 8) if self.turns else slice(None)
            found = estimate_class_prior(
                X[first], y[first], groups=groups[first], n_bootstrap=2, random_state=self.random_state
            )
            labelled = float(np.average(y, weights=weight))
            prior = min(max(found.value, labelled), _HIGHEST_PRIOR)
        model = NNPULGBMClassifier(
            prior,
            n_estimators=self.n_trees,
            learning_rate=self.learning_rate,
            num_leaves=self.num_leaves,
            min_child_samples=self.min_child_samples,
            colsample_bytree=self.column_fraction,
            reg_lambda=self.reg_lambda,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )
        model.fit(X, y, sample_weight=weight)
        self.booster_, self.class_prior_ = model.booster_, prior

    def _read(self, folder: Path) -> None:
        super()._read(folder)
        if not self.class_prior_ < 1.0:
            raise ValueError(f"The state must hold a class_prior_ below 1. Got {self.class_prior_:g} instead.")

    def _offset(self) -> float:
        return float(logit(self.class_prior_))
