"""Labelling propensity c = P(s=1 | y=1), estimated from out-of-fold scores."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

__all__ = ["Propensity", "calibrated_scores", "estimate_propensity"]

# Quantile of the labelled positives' scores for "top".
_TOP = 0.85


class Propensity(NamedTuple):
    """Result of `estimate_propensity`."""

    value: float
    """from 0 to 1"""
    error: float
    """standard error from counting statistics, without the bias due to overlap"""
    folds: NDArray[np.float64]
    """estimate in each fold, NaN where it has no row that counts"""
    spread: float
    """largest minus smallest over the folds, divided by their mean; NaN with fewer than two folds with such rows"""


def estimate_propensity(
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    how: Literal["mean", "top"],
    weight: NDArray[np.float64] | None = None,
    groups: NDArray[Any] | None = None,
) -> Propensity:
    r"""Estimate the labelling propensity of a training set in which some of the positives are labelled.

    If positives are labelled at random, :math:`P(s=1 | x)` is c times :math:`P(y=1 | x)`, and therefore c wherever a
    row is certainly positive.

    - "mean": mean score of the labelled positives (Elkan & Noto's e1). It is :math:`c E[P(y=1 | x) | y=1]`: too low
      where the classes overlap.
    - "top": their 0.85 quantile, which is c if one positive in seven is in a region without negatives. The highest of
      the scores (e3 of the paper) would be dominated by noise, as is a quantile of scores that scatter about c: use
      `calibrated_scores`, which are constant where all rows are positive.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        P(s=1 | x) of each row by a model that was not fitted to it.
    labels : ndarray of shape (n,)
        1 for a labelled positive, 0 for an unlabelled row; both must occur.
    folds : ndarray of shape (n,)
        Fold of each row, from 0.
    how : {"mean", "top"}
    weight : ndarray of shape (n,), default=None
    groups : ndarray of shape (n,), default=None
        Group labels. Rows with the same value are correlated, which the standard error takes into account.

    Returns
    -------
    Propensity
        Error and folds are those of the mean, or with "top" of the fraction of labelled rows among those with at least
        this score.

    References
    ----------
    .. [1] Elkan & Noto 2008, "Learning Classifiers from Only Positive and Unlabeled Data", KDD 2008, 213, section 2.
    """
    w = np.ones(len(labels)) if weight is None else weight
    if how == "mean":
        found = float(np.average(scores[labels == 1], weights=w[labels == 1]))
        counted, values = labels == 1, scores
    else:
        found = _quantile(scores[labels == 1], w[labels == 1], _TOP)
        counted, values = scores >= found, labels.astype(np.float64)
    w = w * counted
    _, group = np.unique(np.arange(len(labels)) if groups is None else groups, return_inverse=True)
    residuals = np.bincount(group, w * (values - np.average(values, weights=w)))
    error = float(np.sqrt(np.sum(residuals**2)) / w.sum())
    weights = np.bincount(folds, w)
    per_fold = np.full(len(weights), np.nan)
    np.divide(np.bincount(folds, w * values), weights, out=per_fold, where=weights > 0.0)
    return Propensity(found, error, per_fold, _spread(per_fold[weights > 0.0]))


def calibrated_scores(
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    weight: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Calibrate scores to fractions of labelled rows, by isotonic regression on the other folds.

    The scores of trees scatter about P(s=1 | x), most visibly where it is constant. The regression only uses their
    order and removes the scatter; it uses other folds, because it would otherwise follow the labels of the same rows.
    """
    result = np.empty(len(scores))
    for k in range(int(folds.max()) + 1):
        held = folds == k
        others = None if weight is None else weight[~held]
        regression = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        result[held] = regression.fit(scores[~held], labels[~held], others).predict(scores[held])
    return result


def _quantile(values: NDArray[np.float64], weight: NDArray[np.float64], q: float) -> float:
    """Return the smallest value with a fraction `q` of the weight at or below it."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(below, q * below[-1])])


def _spread(folds: NDArray[np.float64]) -> float:
    mean = float(folds.mean()) if len(folds) > 1 else 0.0
    return float(np.ptp(folds)) / mean if mean > 0.0 else float("nan")
