"""`NNPULGBMClassifier`: boosted trees with the non-negative risk of positive and unlabelled rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from gridlens.pu._checks import checked_groups, checked_prior, checked_s, min_positives
from gridlens.pu._folds import splits
from gridlens.pu._risk import RISKS, Expectations, descent, expectations
from gridlens.pu._risk import risk as risk_of

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["NNPULGBMClassifier"]


class _Part(NamedTuple):
    """Subset of the rows as input for LightGBM, with their weights in the risk."""

    data: Any
    shares: Expectations


class NNPULGBMClassifier(ClassifierMixin, BaseEstimator):
    r"""Gradient-boosted trees that learn from positive and unlabelled rows (nnPU, Kiryo et al. 2017).

    With the class prior :math:`\pi`, the risk of a score f on the negatives, which are not labelled, is the risk on the
    population minus that on the positives. The non-negative risk with the loss l is

    .. math:: \pi E_P[l(f, +1)] + \max(0, E_U[l(f, -1)] - \pi E_P[l(f, -1)])

    Without the maximum (`risk` "upu", du Plessis et al. 2015) a flexible model makes the second part negative, which is
    impossible for a true risk, and overfits. LightGBM minimises the risk as a custom objective.

    Parameters
    ----------
    class_prior : float
        Class prior, the fraction of positives in the population, between 0 and 1; see `estimate_class_prior`.
    beta : float, default=0.0
        Largest negative value of the second part that is not corrected.
    gamma : float, default=1.0
        Step size of the correction.
    risk : {"nnpu", "upu", "pn"}, default="nnpu"
        Risk to minimise: "nnpu" is the non-negative risk, "upu" the unbiased risk without the maximum; "pn" treats the
        unlabelled rows as negatives, weighted to the class prior.
    scheme : {"single", "separate"}, default="single"
        Sampling scheme. With "single", the rows are one sample in which some of the positives are labelled, so all rows
        together represent the population. With "separate", positives and unlabelled rows were sampled separately, and
        the unlabelled rows alone represent the population.
    n_estimators : int, default=100
        Number of trees, or the largest number with `validation_fraction`.
    learning_rate : float, default=0.05
    num_leaves : int, default=8
        Small by default, because large trees isolate the labelled rows one by one, which the risk on the same rows
        cannot distinguish from learning.
    min_child_samples : int, default=20
    reg_lambda : float, default=1.0
        L2 penalty on the leaves, in units of unlabelled rows.
    colsample_bytree : float, default=1.0
        Fraction of the columns for each tree.
    validation_fraction : float, default=0.0
        Fraction of the rows, or groups, at most one half, on which the number of trees is selected: the number with the
        smallest risk on them, where the search stops when it has not decreased for `early_stopping_rounds` trees. All
        rows are then fitted with that number of trees. With few positives this risk is noisy, and a given number is the
        better choice.
    early_stopping_rounds : int, default=50
    n_jobs : int, default=1
    random_state : int, default=None

    Attributes
    ----------
    booster_ : lightgbm.Booster
    n_iter_ : int
        Number of trees.
    validation_risk_ : float
        Smallest risk on the validation part; NaN without one.
    n_corrections_ : int
        Number of trees that corrected a negative second part.
    classes_ : ndarray of shape (2,)
    n_features_in_ : int

    Notes
    -----
    The loss is logistic, :math:`l(f, \pm 1) = \log(1 + e^{\mp f})`, so the score that minimises the risk is the
    log-odds of the class at the given prior, and `predict_proba` is its expit. With :math:`\sigma` = expit(f), and for
    a row of weight a in :math:`\pi E_P` and b in :math:`E_U`, the derivatives of the two parts are
    :math:`-a (1 - \sigma)` and :math:`b \sigma - a \sigma`, together :math:`b \sigma - a`. The second derivative
    :math:`b \sigma (1 - \sigma)` is zero on positives, because :math:`l(f, +1) - l(f, -1) = -f` is linear, so the
    step size of a tree would be unlimited. The concave term :math:`-a l(f, -1)` is therefore replaced by its tangent
    (the convex-concave procedure, Yuille & Rangarajan 2003), and the convex term that remains on positives is bounded
    by its largest curvature, a/4. The surrogate is an upper bound of the risk that touches it at f, and its curvature
    :math:`b \sigma (1 - \sigma) + a/4` is positive.

    Where the second part r is below -beta, an iteration descends :math:`-\gamma r` instead of the risk, as in algorithm
    1 of the paper, over all rows instead of a mini-batch. Boosting starts at the log-odds of the prior.

    References
    ----------
    .. [1] Kiryo, Niu, du Plessis & Sugiyama 2017, "Positive-Unlabeled Learning with Non-Negative Risk Estimator",
       NeurIPS 30.
    .. [2] du Plessis, Niu & Sugiyama 2015, "Convex Formulation for Learning from Positive and Unlabeled Data", ICML.
    .. [3] Yuille & Rangarajan 2003, "The Concave-Convex Procedure", Neural Computation 15, 915.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.pu import NNPULGBMClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = rng.random(2000) < 0.3
    >>> X = rng.normal(size=(2000, 2)) + 2.0 * y[:, None]
    >>> s = y & (rng.random(2000) < 0.2)
    >>> model = NNPULGBMClassifier(class_prior=0.3, random_state=0).fit(X, s)
    >>> bool(np.mean(model.predict(X) == y) > 0.85)
    True
    """

    def __init__(
        self,
        class_prior: float,
        *,
        beta: float = 0.0,
        gamma: float = 1.0,
        risk: Literal["nnpu", "upu", "pn"] = "nnpu",
        scheme: Literal["single", "separate"] = "single",
        n_estimators: int = 100,
        learning_rate: float = 0.05,
        num_leaves: int = 8,
        min_child_samples: int = 20,
        reg_lambda: float = 1.0,
        colsample_bytree: float = 1.0,
        validation_fraction: float = 0.0,
        early_stopping_rounds: int = 50,
        n_jobs: int | None = 1,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.class_prior = class_prior
        self.beta = beta
        self.gamma = gamma
        self.risk = risk
        self.scheme = scheme
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.reg_lambda = reg_lambda
        self.colsample_bytree = colsample_bytree
        self.validation_fraction = validation_fraction
        self.early_stopping_rounds = early_stopping_rounds
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Fit the trees to positive and unlabelled rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features; NaN is treated as a regular value.
        y : array-like of shape (n,)
            Observed labels, not the true classes: 1 for a labelled positive, 0 (or -1) for an unlabelled row.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row in the mean over its kind.
        groups : array-like of shape (n,), default=None
            Group labels. Rows with the same value are not split between training and validation.

        Returns
        -------
        NNPULGBMClassifier

        Raises
        ------
        ValueError
            Invalid labels, or labels of only one kind; a parameter out of range; too few positives, or groups with
            some, for a validation part; or, with one sample, a prior below the fraction of labelled rows.
        """
        import lightgbm

        X, y = validate_data(self, X, y, accept_sparse=False, ensure_all_finite="allow-nan", dtype=np.float64)
        labels, self.classes_ = checked_s(y, len(X))
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        self._check(labels, weight)
        groups = checked_groups(groups, len(X))
        random = check_random_state(self.random_state)
        seed = int(random.randint(2**31 - 1))
        train, held = self._split(labels, groups, seed)
        start = float(logit(self.class_prior))

        def part(rows: NDArray[np.intp]) -> _Part:
            shares = expectations(labels[rows], None if weight is None else weight[rows], self.scheme, self.risk)
            return _Part(lightgbm.Dataset(X[rows], labels[rows], init_score=np.full(len(rows), start)), shares)

        everything = np.arange(len(labels))
        n_trees, self.validation_risk_ = self.n_estimators, float("nan")
        if held.size:
            found = self._boost(part(train), n_trees, seed, part(held))[0]
            n_trees, self.validation_risk_ = found.best_iteration, float(found.best_score["valid_0"]["risk"])
        # Positives are few, so fit the held-out ones as well once the number of trees is known.
        self.booster_, self.n_corrections_ = self._boost(part(everything), n_trees, seed)
        self.n_iter_ = self.booster_.num_trees()
        return self

    def _boost(self, rows: _Part, n_trees: int, seed: int, held: _Part | None = None) -> tuple[Any, int]:
        """Grow trees until the risk on the `held` rows increases, if any, and count the corrections."""
        import lightgbm

        # Use units of one unlabelled row, so that the penalty on leaves has its usual meaning.
        scale = 1.0 / float(rows.shares.unlabelled.max())
        n_corrections = 0

        def objective(scores: NDArray[np.float64], _: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            nonlocal n_corrections
            step = descent(scores, rows.shares, self.class_prior, self.risk, self.beta, self.gamma)
            n_corrections += step[2]
            return scale * step[0], scale * step[1]

        options: dict[str, Any] = {}
        if held is not None:
            shares = held.shares

            def held_risk(scores: NDArray[np.float64], _: Any) -> tuple[str, float, bool]:
                return "risk", risk_of(scores, shares, self.class_prior, self.risk), False

            options["valid_sets"] = [held.data]
            options["feval"] = held_risk
            options["callbacks"] = [lightgbm.early_stopping(self.early_stopping_rounds, verbose=False)]
        parameters = {**self._parameters(seed), "objective": objective}
        return lightgbm.train(parameters, rows.data, num_boost_round=n_trees, **options), n_corrections

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the log-odds of the positive class at the given prior.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        ndarray of shape (n,), float64
        """
        check_is_fitted(self, "booster_")
        X = validate_data(self, X, accept_sparse=False, ensure_all_finite="allow-nan", dtype=np.float64, reset=False)
        raw = self.booster_.predict(X, raw_score=True, num_threads=self._threads())
        return np.asarray(raw, dtype=np.float64) + float(logit(self.class_prior))

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probabilities of the negative and of the positive class at the given prior.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        ndarray of shape (n, 2), float64
        """
        p = expit(self.decision_function(X))
        return np.column_stack([1.0 - p, p])

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of each row: positive where its probability is above one half."""
        positive = self.decision_function(X) > 0.0
        return np.asarray(self.classes_[positive.astype(np.int64)])

    def _check(self, labels: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        checked_prior(self.class_prior)
        for name, choices in (("risk", RISKS), ("scheme", ("single", "separate"))):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"The '{name}' parameter of NNPULGBMClassifier must be one of {', '.join(map(repr, choices))}. "
                    f"Got {getattr(self, name)!r} instead."
                )
        if not (self.beta >= 0.0 and self.gamma >= 0.0):
            raise ValueError(
                "The 'beta' and 'gamma' parameters of NNPULGBMClassifier must not be negative. "
                f"Got {self.beta!r} and {self.gamma!r} instead."
            )
        if not 0.0 <= self.validation_fraction <= 0.5:
            raise ValueError(
                "The 'validation_fraction' parameter of NNPULGBMClassifier must be from 0 to 0.5. "
                f"Got {self.validation_fraction!r} instead."
            )
        labelled = float(np.average(labels, weights=weight))
        if self.scheme == "single" and self.class_prior < labelled:
            raise ValueError(
                "The 'class_prior' parameter of NNPULGBMClassifier must be at least the fraction of labelled rows, "
                f"{labelled:g}, because they are positives of the same set. Got {self.class_prior!r} instead. If the "
                "positives were sampled separately from the unlabelled rows, use scheme='separate'."
            )

    def _split(
        self, labels: NDArray[np.int64], groups: NDArray[Any] | None, seed: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Split rows into those to train on and those for early stopping, stratified by label."""
        everything = np.arange(len(labels))
        if not self.validation_fraction:
            return everything, everything[:0]
        n = min_positives(labels, round(1.0 / self.validation_fraction), groups, "validation_fraction")
        return next(iter(splits(n, labels, groups, seed)))

    def _parameters(self, seed: int) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_child_samples,
            "lambda_l2": self.reg_lambda,
            "feature_fraction": self.colsample_bytree,
            "num_threads": self._threads(),
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }

    def _threads(self) -> int:
        return int(effective_n_jobs(self.n_jobs))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags
