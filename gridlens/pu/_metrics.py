"""Metrics of a classifier from positives and unlabelled rows, and scorers for model selection."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import make_scorer, roc_auc_score

from gridlens.pu._checks import checked_prior, checked_s

__all__ = ["pu_f1", "pu_f1_scorer", "pu_roc_auc", "pu_roc_auc_scorer"]


def pu_f1(s: Any, predicted: Any) -> float:
    r"""Compute the squared recall over the fraction of predicted positives, a proxy of the F1 score (Lee & Liu 2003).

    With precision p and recall r, :math:`P(y=1 | \hat y=1) P(\hat y=1) = P(\hat y=1 | y=1) P(y=1)`, so that
    :math:`p = r P(y=1) / P(\hat y=1)` and

    .. math:: \frac{r^2}{P(\hat y=1)} = \frac{p r}{P(y=1)}

    The left side needs no negatives: if positives were labelled at random, r is the fraction of labelled positives that
    are predicted positive. The right side is large only if precision and recall both are. The metric ranks classifiers
    on the same rows; it is not an F1 score, because 1/P(y=1), its maximum at p = r = 1, is unknown.

    Parameters
    ----------
    s : array-like of shape (n,)
        1 for a labelled positive, 0 (or -1) for an unlabelled row. All rows together represent the population.
    predicted : array-like of shape (n,)
        1 for a predicted positive, otherwise 0 (or -1).

    Returns
    -------
    float
        At least 0; 0 if there are no predicted positives.

    Raises
    ------
    ValueError
        Invalid labels, labels of only one kind or no rows; predictions of another length or value.

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
            "The 'predicted' parameter must be 1 for predicted positives and 0 (or -1) for other rows. "
            f"Got {strange[0]:g} instead; apply a threshold to scores first."
        )
    positive = called == 1.0
    if not positive.any():
        return 0.0
    return float(np.mean(positive[labels == 1]) ** 2 / np.mean(positive))


def pu_roc_auc(s: Any, score: Any, class_prior: float | None = None) -> float:
    r"""Compute the area under the ROC curve of positives against unlabelled rows or, with `class_prior`, negatives.

    The area is the probability that a positive scores above a row of the other kind, ties counting half. An unlabelled
    row is a positive with probability :math:`\pi`, against which that probability is one half, and otherwise a
    negative:

    .. math:: A_{PU} = \pi / 2 + (1 - \pi) A_{PN}, \qquad A_{PN} = \frac{A_{PU} - \pi / 2}{1 - \pi}

    Both rank classifiers in the same order, so `class_prior` is not needed for model selection.

    Parameters
    ----------
    s : array-like of shape (n,)
        1 for a labelled positive, 0 (or -1) for an unlabelled row.
    score : array-like of shape (n,)
        Scores, higher for more likely positives.
    class_prior : float, default=None
        Fraction of positives among the *unlabelled* rows: the class prior if these are a sample of the population. A
        training set in which a fraction q is labelled lacks these among the unlabelled rows, so the value is
        :math:`(\pi - q) / (1 - q)`. If None, the area is not corrected.

    Returns
    -------
    float
        From 0 to 1 without `class_prior`. With it, noise or too large a prior can lead to values outside: they are not
        clipped.

    Raises
    ------
    ValueError
        Invalid labels, labels of only one kind or no rows; scores of another length or not finite; a prior outside (0,
        1).

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
            f"The '{name}' parameter must be an array of numbers. Got a non-numeric {type(values).__name__} instead."
        ) from exc
    if column.shape != (n,):
        raise ValueError(f"The '{name}' parameter must have the shape of 's', ({n},). Got {column.shape} instead.")
    return column


pu_f1_scorer = make_scorer(pu_f1)
pu_roc_auc_scorer = make_scorer(pu_roc_auc, response_method=("decision_function", "predict_proba"))
