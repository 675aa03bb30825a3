"""Members that treat rows without a positive label as unlabelled, not as negative."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.special import logit

from gridlens.members._trees import LightGBMTrees
from gridlens.members._turned_trees import TurnedTrees
from gridlens.pu import ElkanNotoClassifier, NNPULGBMClassifier, estimate_class_prior

__all__ = ["ElkanNotoMember", "NNPUMember"]

# Upper limit of a class prior: at 1 there would be no negatives to learn from.
_HIGHEST_PRIOR = 0.99


@dataclass(eq=False, repr=False, kw_only=True)
class ElkanNotoMember(LightGBMTrees, TurnedTrees):
    """LightGBM with the weighting of Elkan & Noto (2008): each unlabelled row counts partly as a lens.

    The labelling propensity is estimated out of fold, see `gridlens.pu.ElkanNotoClassifier`. The method is correct if
    lenses were labelled at random; `gridlens.pu.sensitivity` shows the effect if only bright ones were labelled.

    Parameters
    ----------
    cv : int, default=3
        Number of folds for the propensity.
    n_estimators : int, default=300
    learning_rate : float, default=0.05
    num_leaves : int, default=15
    min_child_samples, colsample_bytree, reg_lambda, turns, n_jobs, random_state
        As in `LightGBMMember`, with the same defaults.

    Attributes
    ----------
    trees_ : gridlens.trees.Trees
        Fitted trees; `booster()` returns them as a booster of LightGBM.
    propensity_ : float
    class_prior_ : float

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.members import ElkanNotoMember
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(600, 315)).astype(np.float32)
    >>> s = (X[:, 20] > 1) & (rng.random(600) < 0.5)
    >>> member = ElkanNotoMember(n_estimators=20, turns=False, min_child_samples=10)
    >>> member = member.fit(X, s.astype(int))
    >>> member.predict_proba(X[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "elkan-noto"
    _learned: ClassVar[tuple[str, ...]] = ("propensity_", "class_prior_")

    n_estimators: int = 300
    num_leaves: int = 15
    cv: int = 3

    def _train(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        from lightgbm import LGBMClassifier

        trees = LGBMClassifier(
            n_estimators=self.n_estimators,
            learning_rate=self.learning_rate,
            num_leaves=self.num_leaves,
            min_child_samples=self.min_child_samples,
            colsample_bytree=self.colsample_bytree,
            reg_lambda=self.reg_lambda,
            n_jobs=self.n_jobs or 1,
            random_state=0 if self.random_state is None else self.random_state,
            deterministic=True,
            force_col_wise=True,
            verbosity=-1,
        )
        model = ElkanNotoClassifier(trees, cv=self.cv, random_state=self.random_state)
        model.fit(X, y, sample_weight=weight, groups=groups)
        self._keep(model.estimator_.booster_.model_to_string().encode())
        self.propensity_, self.class_prior_ = model.propensity_, model.class_prior_


@dataclass(eq=False, repr=False, kw_only=True)
class NNPUMember(LightGBMTrees, TurnedTrees):
    """LightGBM with the non-negative risk of Kiryo et al. (2017) at a given class prior.

    Parameters
    ----------
    class_prior : float, default=None
        Fraction of lenses among the training rows, between 0 and 1. If None, it is estimated by out-of-fold best bin
        estimation, which gives at least the labelled fraction and at worst overestimates it, see
        `gridlens.pu.estimate_class_prior`.
    n_estimators : int, default=300
    learning_rate : float, default=0.05
    num_leaves : int, default=8
        Small by default, because large trees isolate the labelled rows one by one.
    min_child_samples, colsample_bytree, reg_lambda, turns, n_jobs, random_state
        As in `LightGBMMember`, with the same defaults.

    Attributes
    ----------
    trees_ : gridlens.trees.Trees
        Fitted trees; `booster()` returns them as a booster of LightGBM.
    class_prior_ : float
        Given or estimated class prior.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.members import NNPUMember
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(600, 315)).astype(np.float32)
    >>> s = (X[:, 20] > 1) & (rng.random(600) < 0.5)
    >>> member = NNPUMember(class_prior=0.16, n_estimators=20, turns=False, min_child_samples=10)
    >>> member = member.fit(X, s.astype(int))
    >>> member.predict_proba(X[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "nnpu"
    _learned: ClassVar[tuple[str, ...]] = ("class_prior_",)

    class_prior: float | None = None
    n_estimators: int = 300
    num_leaves: int = 8

    def _train(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        prior = self.class_prior
        if prior is None:
            # Turned copies of a row carry no further information on the class prior.
            first = slice(len(X) // 8) if self.turns else slice(None)
            found = estimate_class_prior(
                X[first], y[first], groups=groups[first], n_bootstrap=2, random_state=self.random_state
            )
            labelled = float(np.average(y, weights=weight))
            prior = min(max(found.value, labelled), _HIGHEST_PRIOR)
        model = NNPULGBMClassifier(
            prior,
            n_estimators=self.n_estimators,
            learning_rate=self.learning_rate,
            num_leaves=self.num_leaves,
            min_child_samples=self.min_child_samples,
            colsample_bytree=self.colsample_bytree,
            reg_lambda=self.reg_lambda,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )
        model.fit(X, y, sample_weight=weight)
        self._keep(model.booster_.model_to_string().encode())
        self.class_prior_ = prior

    def _read(self, folder: Path) -> None:
        super()._read(folder)
        if not self.class_prior_ < 1.0:
            raise ValueError(f"The state must contain a class_prior_ below 1. Got {self.class_prior_:g} instead.")

    def _offset(self) -> float:
        return float(logit(self.class_prior_))
