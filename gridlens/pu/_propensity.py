"""The labelling propensity c = P(s=1 | y=1), from scores of rows that the scoring model has not seen."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Propensity", "estimate_propensity"]

# Standard errors between a share and its lower bound, by which the threshold of "top" is chosen.
_Z = 2.0


class Propensity(NamedTuple):
    """What `estimate_propensity` returns."""

    value: float
    """between the share of labelled rows, which would make every row a positive, and 1"""
    error: float
    """standard error of what is counted, without the bias by overlap. The choice of a threshold is not in it, so that
    with "top" it is up to a quarter short of the spread between samples"""
    folds: NDArray[np.float64]
    """the same in each fold, NaN where it holds no row that counts"""
    spread: float
    """largest less smallest of the folds, over their mean; NaN without two folds that hold rows"""


def estimate_propensity(
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    how: Literal["mean", "top"],
    weight: NDArray[np.float64] | None = None,
    groups: NDArray[Any] | None = None,
) -> Propensity:
    r"""Labelling propensity of one training set, some of whose positives are labelled.

    Where positives are labelled at random, a score's :math:`P(s=1 | x)` is c times :math:`P(y=1 | x)`, so that it is c
    wherever a row is surely positive.

    - "mean": mean score of the labelled positives (Elkan & Noto's e1). It is :math:`c E[P(y=1 | x) | y=1]`: too low
      wherever the classes overlap, and it needs scores that are calibrated.
    - "top": share of labelled rows among all that score above a threshold, :math:`c P(y=1 | above)`. Too low as well
      where no score belongs to positives alone, but far less. Scores only order the rows, and need no calibration. The
      threshold is that of the highest lower bound (Wilson's, two standard errors) of the share, among those that
      leave above them 30 labelled positives, yet a tenth and at most a quarter of them: on fewer, the highest share is
      that of luck. With a share of ``q_u`` of the unlabelled and ``q_p`` of the labelled rows above it, this is
      :math:`n_p / (n_p + \alpha n_u)` with the :math:`\alpha = q_u / q_p` of best bin estimation (Garg et al. 2021),
      under a binomial bound instead of one for any distribution, which at a few hundred positives is too loose.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        P(s=1 | x) of each row by a model that has not seen it.
    labels : ndarray of shape (n,)
        1 for a labelled positive, 0 for an unlabelled row; both occur.
    folds : ndarray of shape (n,)
        Fold of each row, from 0.
    how : {"mean", "top"}
    weight : ndarray of shape (n,), default=None
    groups : ndarray of shape (n,), default=None
        Rows with one value vary together, which the standard error allows for.

    Returns
    -------
    Propensity

    References
    ----------
    .. [1] Elkan & Noto 2008, "Learning Classifiers from Only Positive and Unlabeled Data", KDD 2008, 213, section 2.
    .. [2] Garg, Wu, Smola, Balakrishnan & Lipton 2021, "Mixture Proportion Estimation and PU Learning: A Modern
       Approach", NeurIPS 34, algorithm 1.
    """
    w = np.ones(len(labels)) if weight is None else weight
    if how == "mean":
        counted, values = labels == 1, scores
    else:
        counted, values = scores >= _threshold(scores, labels, w), labels.astype(np.float64)
    w = w * counted
    found = float(np.average(values, weights=w))
    _, group = np.unique(np.arange(len(labels)) if groups is None else groups, return_inverse=True)
    residuals = np.bincount(group, w * (values - found))
    error = float(np.sqrt(np.sum(residuals**2)) / w.sum())
    weights = np.bincount(folds, w)
    per_fold = np.full(len(weights), np.nan)
    np.divide(np.bincount(folds, w * values), weights, out=per_fold, where=weights > 0.0)
    return Propensity(found, error, per_fold, _spread(per_fold[weights > 0.0]))


def _threshold(scores: NDArray[np.float64], labels: NDArray[np.int64], weight: NDArray[np.float64]) -> float:
    """Lowest score of those above which the share of labelled rows has the highest lower bound."""
    order = np.argsort(-scores, kind="stable")
    s, w = labels[order], weight[order]
    # Rows of one score go together.
    last = np.append(np.diff(scores[order]) != 0.0, True)
    positives = np.cumsum(s * (w > 0.0))
    fewest = np.clip(30.0, positives[-1] / 10.0, positives[-1] / 4.0)
    last &= positives >= fewest
    total = np.cumsum(w)[last]
    share = np.cumsum(w * s)[last] / total
    # As many rows of equal weight as would know the share as well.
    n = total**2 / np.cumsum(w**2)[last]
    half = _Z * np.sqrt(share * (1.0 - share) / n + (_Z / (2.0 * n)) ** 2)
    low = (share + _Z**2 / (2.0 * n) - half) / (1.0 + _Z**2 / n)
    return float(scores[order][last][np.argmax(low)])


def _spread(folds: NDArray[np.float64]) -> float:
    mean = float(folds.mean()) if len(folds) > 1 else 0.0
    return float(np.ptp(folds)) / mean if mean > 0.0 else float("nan")
