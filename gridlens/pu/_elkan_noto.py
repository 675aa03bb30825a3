"""`ElkanNotoClassifier`: a meta-estimator that learns from positive and unlabelled rows with any classifier."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, has_fit_parameter, validate_data

from gridlens.pu._checks import checked_groups, checked_s, min_positives
from gridlens.pu._folds import default_estimator, splits
from gridlens.pu._propensity import Propensity, calibrated_scores, estimate_propensity

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["ElkanNotoClassifier"]

# Spread of the propensity between folds above which a warning is given.
_SPREAD = 0.2


class ElkanNotoClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    r"""Meta-estimator that learns from a training set in which some of the positives are labelled [1]_.

    If positives are labelled at random, independently of their features, with the propensity :math:`c = P(s=1 | y=1)`,
    a classifier of labelled against unlabelled rows learns :math:`g(x) = P(s=1 | x) = c P(y=1 | x)`. It is fitted on
    folds, c is estimated from its out-of-fold scores, and :math:`P(y=1 | x)` follows in one of two ways. The scores of
    trees scatter about P(s=1 | x); where that matters, they are first calibrated by isotonic regression on the other
    folds [2]_.

    Parameters
    ----------
    estimator : classifier with `predict_proba`, default=None
        The classifier, which is cloned. For "ratio" its probabilities must be calibrated: no class weights. If None,
        LightGBM with small trees and a low learning rate is used, on one thread. Any other estimator keeps its own
        `random_state`.
    method : {"weighted", "ratio"}, default="weighted"
        With "weighted", an unlabelled row is a positive with the probability
        :math:`w = P(y=1 | x, s=0) = \frac{1-c}{c} \frac{g}{1-g}`. It enters twice, as a positive of weight w and as a
        negative of weight 1 - w, beside the labelled rows of weight 1, and the estimator is fitted again. Its
        probability is then :math:`P(y=1 | x)` itself, without a division by c, which is already in the weights. The
        `fit` method of the estimator must accept `sample_weight`. With "ratio", the estimator is fitted to all rows,
        and :math:`P(y=1 | x) = \min(g / c, 1)` with its probability g. This saves one fit and needs no weights, but the
        scatter of g about c remains in the probabilities, which tie at 1: rank with ``estimator_`` instead. Prefer
        "weighted", which ranks better and is closer to the truth in all rows of ``benchmarks/pu.py``.
    propensity : {"top", "mean"} or float, default="top"
        Method to estimate c, or c itself, above 0 and at most 1. "mean" is the mean score of the labelled positives, e1
        of the paper. It is c times the mean of :math:`P(y=1 | x)` over the positives: biased low where the classes
        overlap, so that probabilities are too high by the same factor. For two Gaussians at a class prior of 0.1, it
        underestimates c by a tenth at a separation of four standard deviations, by a third at three, by over half at
        two, and by four fifths at one. "top" is the 0.85 quantile of the same scores after calibration. It is unbiased
        at four, and low by less than a tenth at three, a quarter at two and three quarters at one, where no score is
        free of negatives. It only uses the order of the scores. ``benchmarks/_propensity_bias.py`` compares both with
        alternatives that were not adopted.
    cv : int, default=5
        Number of folds, stratified by label; from 2 to the number of labelled positives.
    random_state : int, RandomState instance or None, default=None
        Random state of the folds and of the default estimator.

    Attributes
    ----------
    propensity_ : float
        c, estimated or given. At least the fraction of labelled rows.
    propensity_se_ : float
        Its standard error from counting statistics, without the bias; for "mean" it is a third too small, because the
        models differ as well. Rows of one group are treated as correlated. NaN if c was given.
    propensity_folds_ : ndarray of shape (cv,), float64
        The estimate in each fold: the mean, or with "top" the fraction of labelled rows among those with at least this
        score. NaN if a fold has no such row; empty if c was given.
    propensity_spread_ : float
        Largest minus smallest of these, divided by their mean. There is a warning above 0.2: labelling may differ
        between groups, or there may be too few positives (counting statistics alone cause it below about two thousand).
        NaN if c was given.
    class_prior_ : float
        P(y=1), the fraction of labelled rows divided by c.
    estimator_ : classifier
        Fitted to all rows: it predicts P(s=1 | x) with "ratio" and P(y=1 | x) with "weighted".
    classes_ : ndarray of shape (2,)
        The two labels as given.
    n_features_in_ : int

    See Also
    --------
    NNPULGBMClassifier : Learning at a class prior that is known from elsewhere.

    References
    ----------
    .. [1] Elkan & Noto 2008, "Learning Classifiers from Only Positive and Unlabeled Data", KDD 2008, 213: section 2
       for c and "ratio", section 3 for "weighted".
    .. [2] Zadrozny & Elkan 2002, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates",
       KDD 2002, 694.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.pu import ElkanNotoClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = rng.random(10000) < 0.3
    >>> X = rng.normal(size=(10000, 2)) + 3.0 * y[:, None]
    >>> s = y & (rng.random(10000) < 0.5)
    >>> model = ElkanNotoClassifier(random_state=0).fit(X, s)
    >>> print(f"{model.propensity_:.1f} {model.class_prior_:.1f}")
    0.5 0.3
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        method: Literal["weighted", "ratio"] = "weighted",
        propensity: Literal["top", "mean"] | float = "top",
        cv: int = 5,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.propensity = propensity
        self.cv = cv
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Estimate the propensity and fit the probability of a positive.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Dense features. NaN is accepted if the estimator accepts it, as the default one does.
        y : array-like of shape (n,)
            Observed labels, not the true classes: 1 for a labelled positive, 0 (or -1) for an unlabelled row.
        sample_weight : array-like of shape (n,), default=None
            Non-negative weights of the rows.
        groups : array-like of shape (n,), default=None
            Group labels. Rows with the same value are in one fold.

        Returns
        -------
        ElkanNotoClassifier

        Raises
        ------
        ValueError
            Invalid labels, or labels of one kind; fewer positives, or groups with some, than folds; a parameter out of
            range; a given propensity below the fraction of labelled rows; an estimator without `predict_proba`, or
            whose `fit` does not accept `sample_weight` where that is needed.
        TypeError
            If `X` is sparse.
        """
        self._check_parameters(sample_weight is not None)
        X, y = validate_data(self, X, y, accept_sparse=False, ensure_all_finite=self._finite())
        labels, self.classes_ = checked_s(y, len(X))
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            self._check_weight(weight, labels)
        groups = checked_groups(groups, len(X))
        labelled = float(np.average(labels, weights=weight))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        estimator = default_estimator(seed) if self.estimator is None else self.estimator

        g = np.empty(0)
        if self.method == "weighted" or isinstance(self.propensity, str):
            scores, folds = self._out_of_fold(estimator, X, labels, weight, groups, seed)
            g = calibrated_scores(scores, labels, folds, weight)
        if isinstance(self.propensity, str):
            counted = scores if self.propensity == "mean" else g
            found = estimate_propensity(counted, labels, folds, self.propensity, weight, groups)
            # The propensity is at least the fraction of labelled rows.
            self.propensity_ = max(found.value, labelled)
            self._warn(found)
        else:
            found = Propensity(float(self.propensity), float("nan"), np.empty(0), float("nan"))
            self.propensity_ = found.value
            if self.propensity_ < labelled:
                raise ValueError(
                    f"The 'propensity' parameter must be at least the fraction of labelled rows, {labelled:g}: with a "
                    f"smaller one there are more positives than rows. Got {self.propensity!r} instead. If positives "
                    "were collected separately from the unlabelled rows, use NNPULGBMClassifier(scheme='separate')."
                )
        self.propensity_se_, self.propensity_folds_, self.propensity_spread_ = found[1:]
        self.class_prior_ = labelled / self.propensity_
        if self.method == "ratio":
            self.estimator_ = _fitted(estimator, X, labels, weight)
        else:
            self.estimator_ = self._fit_weighted(estimator, X, labels, weight, g)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probabilities of a negative and of a positive, at the class prior of the training set.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        ndarray of shape (n, 2), float64
        """
        check_is_fitted(self, "estimator_")
        X = validate_data(self, X, accept_sparse=False, ensure_all_finite=self._finite(), reset=False)
        p = _positive(self.estimator_, X)
        if self.method == "ratio":
            p = np.minimum(p / self.propensity_, 1.0)
        return np.column_stack([1.0 - p, p])

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of each row: positive where its probability is above one half.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        ndarray of shape (n,)
            Values of the labels that were passed to `fit`.
        """
        positive = self.predict_proba(X)[:, 1] > 0.5
        return np.asarray(self.classes_[positive.astype(np.int64)])

    def _out_of_fold(
        self,
        estimator: Any,
        X: NDArray[Any],
        labels: NDArray[np.int64],
        weight: NDArray[np.float64] | None,
        groups: NDArray[Any] | None,
        seed: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the out-of-fold P(s=1 | x) of each row, by a model not fitted to its group, and the row's fold."""
        scores, folds = np.empty(len(X)), np.empty(len(X), dtype=np.int64)
        for k, (train, held) in enumerate(splits(min_positives(labels, self.cv, groups), labels, groups, seed)):
            model = _fitted(estimator, X[train], labels[train], None if weight is None else weight[train])
            scores[held], folds[held] = _positive(model, X[held]), k
        return scores, folds

    def _fit_weighted(
        self,
        estimator: Any,
        X: NDArray[Any],
        labels: NDArray[np.int64],
        weight: NDArray[np.float64] | None,
        g: NDArray[np.float64],
    ) -> Any:
        """Fit to the labelled rows, and to each unlabelled one as both classes, with weights."""
        c, unlabelled = self.propensity_, labels == 0
        # At g = c a row is certainly positive; larger g are noise.
        g = np.minimum(g[unlabelled], c)
        positive = np.zeros(len(g)) if c == 1.0 else (1.0 - c) / c * g / (1.0 - g)
        share = np.ones(len(X))
        share[unlabelled] = np.clip(positive, 0.0, 1.0)
        w = np.ones(len(X)) if weight is None else weight
        return _fitted(
            estimator,
            np.concatenate([X, X[unlabelled]]),
            np.concatenate([np.ones(len(X), dtype=np.int64), np.zeros(len(g), dtype=np.int64)]),
            np.concatenate([w * share, (w * (1.0 - share))[unlabelled]]),
        )

    def _warn(self, found: Propensity) -> None:
        if found.spread > _SPREAD:
            warnings.warn(
                f"The labelling propensity differs between folds by {found.spread:.0%} of its mean, from "
                f"{np.nanmin(found.folds):.2g} to {np.nanmax(found.folds):.2g}; over all it is {self.propensity_:.2g} "
                f"with a standard error of {found.error:.1g}. Positives are few, or groups are labelled differently: "
                "check how much the scores depend on it with gridlens.pu.sensitivity.",
                UserWarning,
                stacklevel=3,
            )

    def _check_parameters(self, weighted: bool) -> None:
        if self.method not in ("weighted", "ratio"):
            raise ValueError(
                f"The 'method' parameter of ElkanNotoClassifier must be 'weighted' or 'ratio'. Got {self.method!r} "
                "instead."
            )
        c = self.propensity
        number = isinstance(c, int | float | np.number) and not isinstance(c, bool)
        if c not in ("mean", "top") if isinstance(c, str) else not (number and 0.0 < c <= 1.0):
            raise ValueError(
                "The 'propensity' parameter of ElkanNotoClassifier must be 'top', 'mean' or a number above 0 and at "
                f"most 1. Got {c!r} instead."
            )
        if self.estimator is None:
            return
        if not hasattr(self.estimator, "predict_proba"):
            raise ValueError(
                "The 'estimator' parameter of ElkanNotoClassifier must be a classifier with predict_proba. Got "
                f"{self.estimator!r} instead; CalibratedClassifierCV adds it."
            )
        if (self.method == "weighted" or weighted) and not has_fit_parameter(self.estimator, "sample_weight"):
            wanted = "method='weighted'" if self.method == "weighted" else "a sample_weight"
            raise ValueError(
                "The 'estimator' parameter of ElkanNotoClassifier must be a classifier whose fit accepts sample_weight "
                f"for {wanted}. Got {self.estimator!r} instead; use method='ratio' without weights, and put steps of a "
                "pipeline before this classifier."
            )

    @staticmethod
    def _check_weight(weight: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
        for value, kind in ((1, "labelled positives"), (0, "unlabelled rows")):
            if not weight[labels == value].any():
                raise ValueError(
                    "The 'sample_weight' parameter must be above zero for some rows of each class. Got zero for all "
                    f"{kind} instead."
                )

    def _finite(self) -> bool | Literal["allow-nan"]:
        return "allow-nan" if get_tags(self).input_tags.allow_nan else True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.estimator is None or get_tags(self.estimator).input_tags.allow_nan
        tags.classifier_tags.multi_class = False
        return tags


def _fitted(estimator: Any, X: NDArray[Any], labels: NDArray[np.int64], weight: NDArray[np.float64] | None) -> Any:
    return clone(estimator).fit(X, labels, **({} if weight is None else {"sample_weight": weight}))


def _positive(model: Any, X: NDArray[Any]) -> NDArray[np.float64]:
    """Return the column of class 1."""
    column = int(np.flatnonzero(model.classes_ == 1)[0])
    return np.asarray(model.predict_proba(X), dtype=np.float64)[:, column]
