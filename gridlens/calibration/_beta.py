"""Beta calibration on top of Platt's sigmoid: a smooth curve for few positives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from gridlens.calibration._weights import effective_number

__all__ = ["BetaCurve", "fit_beta"]

# Smallest slope, per standard deviation of the scores and per unit of log-odds: small enough to mean "the score carries
# no information", but not 0, so that the ranking is preserved.
_LEAST = 1e-3
# Largest log-odds at which float64 still distinguishes the probability from 0 and from 1.
_LOWEST, _HIGHEST = -700.0, 36.0


class BetaCurve(NamedTuple):
    """Log-odds ``low_slope * -softplus(-z) + high_slope * softplus(z) + offset`` with ``z = slope * u + intercept``.

    `u` is the position of the score in the range of the fit, from 0 to 1.
    """

    slope: float
    intercept: float
    low_slope: float
    high_slope: float
    offset: float

    def predict(self, u: np.ndarray) -> np.ndarray:
        # A NaN score stays NaN.
        with np.errstate(invalid="ignore"):
            log_odds = _sides(self.slope * u + self.intercept) @ np.array(self[2:])
        return expit(np.clip(log_odds, _LOWEST, _HIGHEST))


def fit_beta(u: np.ndarray, y: np.ndarray, weight: np.ndarray) -> BetaCurve:
    """Fit the curve to positions `u` in the range, from 0 to 1, with clean labels of both classes.

    Platt's sigmoid is fitted first, at even class weights: it turns scores of any scale into probabilities, the input
    of beta calibration. Both fits use Platt's targets, (k + 1) / (k + 2) for the k positives and 1 / (m + 2) for the m
    negatives, both effective numbers, so that the slopes stay finite where the scores separate the classes.
    """
    # Sort the rows: sums of floats depend on their order, but the result must not depend on the order of the rows.
    order = np.lexsort((weight, y, u))
    u, y, weight = u[order], y[order], weight[order]
    positives, negatives = (effective_number(weight[y == one]) for one in (1, 0))
    target = np.where(y == 1, (positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0))
    total = weight.sum()
    prior = float(logit(weight[y == 1].sum() / total))
    mean = float((weight * u).sum() / total)
    spread = float(np.sqrt((weight * (u - mean) ** 2).sum() / total)) or 1.0
    centred = (u - mean) / spread
    per_spread, intercept = _fit(np.column_stack([centred, np.ones(len(u))]), target, weight, (1.0, prior))
    slope = per_spread / spread
    # Log-odds at even class weights, where the two sides meet.
    intercept -= slope * mean + prior
    sides = _sides(slope * u + intercept)
    return BetaCurve(slope, intercept, *_fit(sides, target, weight, (1.0, 1.0, prior)))


def _sides(z: np.ndarray) -> np.ndarray:
    """Return the columns of a beta calibration of log-odds `z`: ln p, -ln(1 - p) and 1."""
    return np.column_stack([-np.logaddexp(0.0, -z), np.logaddexp(0.0, z), np.ones(len(z))])


def _fit(columns: np.ndarray, target: np.ndarray, weight: np.ndarray, start: tuple[float, ...]) -> list[float]:
    """Fit a logistic regression to `target` probabilities, with non-negative slopes and a free intercept."""
    total = weight.sum()

    def loss(slopes: np.ndarray) -> tuple[float, np.ndarray]:
        log_odds = columns @ slopes
        value = float((weight * (np.logaddexp(0.0, log_odds) - target * log_odds)).sum() / total)
        return value, ((weight * (expit(log_odds) - target))[:, None] * columns).sum(axis=0) / total

    bounds = [(_LEAST, None)] * (len(start) - 1) + [(None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-9, "ftol": 1e-14})
    return [float(slope) for slope in found.x]
