"""Risk of a classifier from positive and unlabelled rows, and its gradient."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["RISKS", "Expectations", "descent", "expectations", "risk"]

RISKS = ("nnpu", "upu", "pn")


class Expectations(NamedTuple):
    """Weights of each row in the two means of the risk; each sums to 1."""

    positive: NDArray[np.float64]
    """(n,), in the mean over the positives"""
    unlabelled: NDArray[np.float64]
    """(n,), in the mean over the population, or over the rows that are treated as negatives"""


def expectations(
    s: NDArray[np.int64], weight: NDArray[np.float64] | None, scheme: Literal["single", "separate"], kind: str
) -> Expectations:
    """Return the weights of each row in the means over the positives and over the population.

    With a single sample, the labelled positives belong to the population, so all rows represent it; with separate
    samples, only the unlabelled rows do. The risk "pn" treats these as negatives.
    """
    w = np.ones(len(s)) if weight is None else np.asarray(weight, dtype=np.float64)
    positive = np.where(s == 1, w, 0.0)
    unlabelled = w if scheme == "single" and kind != "pn" else np.where(s == 0, w, 0.0)
    return Expectations(positive / positive.sum(), unlabelled / unlabelled.sum())


def _parts(f: NDArray[np.float64], rows: Expectations, prior: float, kind: str) -> tuple[float, float]:
    """Return the risk on positives, and the risk on negatives as estimated from the rows."""
    as_positive, as_negative = np.logaddexp(0.0, -f), np.logaddexp(0.0, f)
    on_positives = prior * float(rows.positive @ as_positive)
    if kind == "pn":
        return on_positives, (1.0 - prior) * float(rows.unlabelled @ as_negative)
    return on_positives, float(rows.unlabelled @ as_negative) - prior * float(rows.positive @ as_negative)


def risk(f: NDArray[np.float64], rows: Expectations, prior: float, kind: str) -> float:
    """Return the risk of scores f of shape (n,) with the logistic loss: (1), (2) and (6) of Kiryo et al. 2017."""
    on_positives, on_negatives = _parts(f, rows, prior, kind)
    return on_positives + (max(0.0, on_negatives) if kind == "nnpu" else on_negatives)


def descent(
    f: NDArray[np.float64], rows: Expectations, prior: float, kind: str, beta: float, gamma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Return the gradient of the objective of an iteration, and a positive curvature, see `NNPULGBMClassifier`.

    Returns
    -------
    gradient, curvature : ndarray of shape (n,)
    corrected : bool
        Whether the second part was below -beta and is increased.
    """
    sigma = expit(f)
    a, b = prior * rows.positive, rows.unlabelled
    if kind == "pn":
        b = (1.0 - prior) * b
        q = sigma * (1.0 - sigma)
        return b * sigma - a * (1.0 - sigma), (a + b) * q, False
    curvature = b * sigma * (1.0 - sigma) + 0.25 * a
    if kind == "nnpu" and _parts(f, rows, prior, kind)[1] < -beta:
        # Algorithm 1: the part is negative although its true value cannot be; increase it.
        return gamma * (a * sigma - b * sigma), gamma * curvature, True
    return b * sigma - a, curvature, False
