"""Meta-learners that combine the log-odds of members into one score."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold

__all__ = ["META_LEARNERS", "Weights", "choose_meta", "fit_meta"]

META_LEARNERS = ("logistic", "convex")


class Weights(NamedTuple):
    """Weights of a stack, whose log-odds are ``log_odds @ weights + intercept``."""

    weights: np.ndarray
    intercept: float


def fit_meta(
    kind: Literal["logistic", "convex"], log_odds: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None
) -> Weights:
    """Fit the weights of members to their out-of-fold log-odds.

    The kind "logistic" is a logistic regression with scikit-learn's mild L2 penalty. "convex" minimises the log loss
    with non-negative weights that add up to 1 (Breiman 1996, "Stacked Regressions", Machine Learning 24, 49, found the
    non-negativity to matter most): it cannot overfit a few positives with weights of opposite signs.

    Parameters
    ----------
    kind : {"logistic", "convex"}
    log_odds : ndarray of shape (n, n_members)
        Finite log-odds.
    y : ndarray of shape (n,)
        Labels, 1 or 0.
    sample_weight : ndarray of shape (n,), default=None
        If None, all rows have equal weight.
    """
    n_members = log_odds.shape[1]
    if kind == "logistic":
        meta = LogisticRegression().fit(log_odds, y, sample_weight=sample_weight)
        return Weights(meta.coef_[0].astype(np.float64), float(meta.intercept_[0]))
    sign = 1.0 - 2.0 * y

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        z = sign * (log_odds @ weights)
        gradient = sign * expit(z)
        if sample_weight is None:
            return float(np.logaddexp(0.0, z).mean()), gradient @ log_odds / len(y)
        total = sample_weight.sum()
        return float(sample_weight @ np.logaddexp(0.0, z) / total), (sample_weight * gradient) @ log_odds / total

    even = np.full(n_members, 1.0 / n_members)
    found = minimize(
        loss,
        even,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * n_members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones_like(w)},
    )
    weights = np.clip(found.x, 0.0, None)
    return Weights(weights / weights.sum(), 0.0)


def choose_meta(
    log_odds: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    cv: int,
    random_state: int | None,
    sample_weight: np.ndarray | None = None,
) -> tuple[Literal["logistic", "convex"], dict[str, float]]:
    """Return the meta-learner with the lowest log loss on held-out rows, and the losses of both."""
    folds = StratifiedGroupKFold(cv, shuffle=True, random_state=random_state)
    splits = list(folds.split(log_odds, y, groups))
    losses: dict[Literal["logistic", "convex"], float] = {}
    for kind in ("logistic", "convex"):
        p = np.empty(len(y))
        for train, held in splits:
            of_train = None if sample_weight is None else sample_weight[train]
            weights, intercept = fit_meta(kind, log_odds[train], y[train], of_train)
            p[held] = expit(log_odds[held] @ weights + intercept)
        losses[kind] = float(log_loss(y, p, labels=[0, 1], sample_weight=sample_weight))
    return min(losses, key=lambda kind: losses[kind]), {str(kind): loss for kind, loss in losses.items()}
