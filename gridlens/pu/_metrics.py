"""Metrics of a classifier from positives and unlabelled rows, and scorers for model selection."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import make_scorer, roc_auc_score

from gridlens.pu._checks import checked_prior, checked_s

__all__ = ["pu_f1", "pu_f1_scorer", "pu_roc_auc", "pu_roc_auc_scorer"]


def pu_f1(s: Any, predicted: Any) -> float:
    r"""Squared recall over the fraction of rows called positive: high where the F1 score is (Lee & Liu 2003).

    With precision p and recall r, :math:`P(y=1 | \hat y=1) P(\hat y=1) = P(\hat y=1 | y=1) P(y=1)`, so that
    :math:`p = r P(y=1) / P(\hat y=1)` and

    .. math:: \frac{r^2}{P(\hat y=1)} = \frac{p r}{P(y=1)}

    The left side needs no negatives: where positives were labelled at random, r is the fraction of the labelled ones
    that are called positive. The right side is large only where precision and recall both are. It ranks classifiers on
    the same rows; it is no F1 score, for 1/P(y=1) is unknown, and its best value, at p = r = 1, is just that.

    Parameters
    ----------
    s : array-like of shape (n,)
        1 for a labelled positive, 0 (or -1) for an unlabelled row. All rows together represent the population.
    predicted : array-like of shape (n,)
        1 where a row is called positive, otherwise 0 (or -1).

    Returns
    -------
    float
        From 0 up; 0 where no row is called positive.

    Raises
    ------
    ValueError
        Labels that are neither, of one kind alone or of no row; predictions of another length or value.

    References
    ----------
    .. [1] Lee & Liu 2003, "Learning with Positive and Unlabeled Examples Using Weighted Logistic Regression",
       ICML 2003, 448.

    Examples
    --------
    >>> from gridlens.pu import pu_f1
    >>> pu_f1([1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0])
    2.0
    """
    labels, _ = checked_s(s, np.size(s), "s")
    called = _column("predicted", predicted, len(labels))
    strange = called[~np.isin(called, (-1.0, 0.0, 1.0))]
    if len(strange):
        raise ValueError(
            "The 'predicted' parameter must be 1 for rows that are called positive and 0 (or -1) for others. "
            f"Got {strange[0]:g} instead; scores need a threshold first."
        )
    positive = called == 1.0
    if not positive.any():
        return 0.0
    return float(np.mean(positive[labels == 1]) ** 2 / np.mean(positive))


def pu_roc_auc(s: Any, score: Any, class_prior: float | None = None) -> float:
    r"""Area under ROC of labelled positives against unlabelled rows; with `class_prior`, against negatives.

    The area is the chance that a positive scores above a row of the other kind, ties counting a half. An unlabelled row
    is with probability :math:`\pi` a positive, against which that chance is one half, and else a negative:

    .. math:: A_{PU} = \pi / 2 + (1 - \pi) A_{PN}, \qquad A_{PN} = \frac{A_{PU} - \pi / 2}{1 - \pi}

    The two order classifiers alike, so `class_prior` is not needed to choose one.

    Parameters
    ----------
    s : array-like of shape (n,)
        1 for a labelled positive, 0 (or -1) for an unlabelled row.
    score : array-like of shape (n,)
        Higher for more likely positives.
    class_prior : float, default=None
        Fraction of positives among the *unlabelled* rows: the class prior where these are a sample of the population.
        In one training set of which a share q is labelled they lack those, and it is
        :math:`(\pi - q) / (1 - q)`. None leaves the area as it is.

    Returns
    -------
    float
        From 0 to 1 without `class_prior`. With it, noise or a prior too large can lead beyond: nothing is clipped.

    Raises
    ------
    ValueError
        Labels that are neither, of one kind alone or of no row; scores of another length or not finite; a prior that
        is not between 0 and 1.

    References
    ----------
    .. [1] Menon, van Rooyen, Ong & Williamson 2015, "Learning from Corrupted Binary Labels via Class-Probability
       Estimation", ICML 2015, 125.
    .. [2] Jain, White & Radivojac 2017, "Recovering True Classifier Performance in Positive-Unlabeled Learning", AAAI.

    Examples
    --------
    >>> from gridlens.pu import pu_roc_auc
    >>> s, score = [1, 1, 0, 0, 0, 0], [0.9, 0.7, 0.8, 0.3, 0.2, 0.1]
    >>> pu_roc_auc(s, score), pu_roc_auc(s, score, class_prior=0.25)
    (0.875, 1.0)
    """
    labels, _ = checked_s(s, np.size(s), "s")
    values = _column("score", score, len(labels))
    if not np.isfinite(values).all():
        raise ValueError(
            f"The 'score' parameter must be finite. Got {values[~np.isfinite(values)][0]} instead; leave out rows "
            "without a score."
        )
    area = float(roc_auc_score(labels, values))
    if class_prior is None:
        return area
    pi = checked_prior(class_prior)
    return (area - pi / 2.0) / (1.0 - pi)


def _column(name: str, values: Any, n: int) -> NDArray[np.float64]:
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ValueError(
            f"The '{name}' parameter must be an array of numbers. Got {type(values).__name__} that holds something "
            "else instead."
        ) from exc
    if column.shape != (n,):
        raise ValueError(f"The '{name}' parameter must be of the shape of 's', ({n},). Got {column.shape} instead.")
    return column


pu_f1_scorer = make_scorer(pu_f1)
pu_roc_auc_scorer = make_scorer(pu_roc_auc, response_method=("decision_function", "predict_proba"))
