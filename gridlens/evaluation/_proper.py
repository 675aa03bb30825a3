"""Metrics of probabilities: Brier score, log loss and calibration error, each with an interval."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import numpy as np

from gridlens._constants import Z_95
from gridlens.calibration._bins import equal_mass_bins, mean_bin_error
from gridlens.calibration._checks import (
    checked_groups,
    checked_labels,
    checked_probabilities,
    checked_share,
    checked_whole,
)
from gridlens.calibration._weights import effective_number, weighed
from gridlens.evaluation._bootstrap import Draw, Pending, Sample, both_classes, percentiles, settled
from gridlens.evaluation._intervals import Estimate, expected_labels, mean_variance, unresolvable, widest

__all__ = ["brier_score", "calibration_error", "log_loss"]


def brier_score(
    y: Any,
    p: Any,
    prevalence: float | None = None,
    groups: Any = None,
    sample_weight: Any = None,
    *,
    n_boot: int = 1000,
    random_state: int = 0,
) -> Estimate:
    """Compute the Brier score, the mean squared error of the probabilities, ``mean((p - y)^2)`` [1]_. Lower is better.

    For a rare class it is small for any model: at a prevalence pi, a constant ``p = pi`` has a score of ``pi (1 -
    pi)``.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1. A single class is accepted unless a prevalence is given.
    p : array-like of shape (n,)
        Probabilities from 0 to 1, no NaN. With a prevalence, give the probabilities at that prevalence (see
        `gridlens.calibration.shift_prior`).
    prevalence : float, default=None
        Fraction pi of positives among the rows to be scored: the result is ``pi`` times the mean over the positives
        plus ``1 - pi`` times that over the negatives. If None, the weighted fraction in these rows is used.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, are drawn together.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, such as the inverse of the probability with which each row was selected
        to be labelled; the mean then refers to the population from which the rows were selected. If None, every row has
        weight 1.
    n_boot : int, default=1000
        Number of bootstrap draws.
    random_state : int, default=0
        Random seed of the bootstrap.

    Returns
    -------
    Estimate
        The numbers of positives and negatives are treated as given. With groups, the interval is that of a bootstrap;
        otherwise it is the normal interval of the logarithm, with the variances of both classes. With weights and no
        prevalence, the numbers of positives and negatives are random too, because the weights only estimate them, and
        the upper end allows for positives of large weight and low probability that the sample does not contain. Where
        there is no spread, it is the widest interval for a mean of numbers from 0 to 1. NaN with a note if there are no
        rows, or if a class is missing and a prevalence is given.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, a `p` that is NaN or outside 0 to 1, a `prevalence` outside (0,
        1), missing groups or groups of mixed types, fewer than 1 draw, weights that are negative, not finite or all 0.

    References
    ----------
    .. [1] Brier 1950, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1.

    Examples
    --------
    >>> from gridlens.evaluation import brier_score
    >>> print(brier_score([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9]))
    0.085 [0.025, 0.289]
    """
    return _mean_loss("brier", y, p, prevalence, groups, sample_weight, n_boot, random_state)


def log_loss(
    y: Any,
    p: Any,
    prevalence: float | None = None,
    groups: Any = None,
    sample_weight: Any = None,
    *,
    n_boot: int = 1000,
    random_state: int = 0,
) -> Estimate:
    """Compute the log loss, the mean of ``-log(p)`` for positives and ``-log(1 - p)`` for negatives [1]_.

    Logarithms are natural. Lower is better.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1. A single class is accepted unless a prevalence is given.
    p : array-like of shape (n,)
        Probabilities from 0 to 1, no NaN. With a prevalence, give the probabilities at that prevalence (see
        `gridlens.calibration.shift_prior`).
    prevalence : float, default=None
        As for `brier_score`.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, are drawn together.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, such as the inverse of the probability with which each row was selected
        to be labelled; the mean then refers to the population from which the rows were selected. If None, every row has
        weight 1.
    n_boot : int, default=1000
        Number of bootstrap draws.
    random_state : int, default=0
        Random seed of the bootstrap.

    Returns
    -------
    Estimate
        As `brier_score`, except that the interval is from 0 to infinity where there is no spread. The result is
        infinite, with a note of the number of rows, where a label has a
        probability of 0: probabilities are not clipped.

    Raises
    ------
    ValueError
        As `brier_score`.

    References
    ----------
    .. [1] Good 1952, "Rational decisions", Journal of the Royal Statistical Society B 14, 107.

    Examples
    --------
    >>> from gridlens.evaluation import log_loss
    >>> print(log_loss([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9]))
    0.308 [0.124, 0.767]
    >>> print(log_loss([0, 1], [0.1, 0.0]))
    infinite: 1 row has a probability of 0 for its label
    """
    return _mean_loss("log", y, p, prevalence, groups, sample_weight, n_boot, random_state)


def calibration_error(
    y: Any,
    p: Any,
    groups: Any = None,
    sample_weight: Any = None,
    *,
    n_bins: int = 15,
    n_boot: int = 1000,
    random_state: int = 0,
) -> Estimate:
    """Compute `gridlens.calibration.expected_calibration_error`, in bins of equal mass, with an interval.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1. A single class is accepted.
    p : array-like of shape (n,)
        Probabilities from 0 to 1, no NaN.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, are drawn together.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, such as the inverse of the probability with which each row was selected
        to be labelled; the mean then refers to the population from which the rows were selected. If None, every row has
        weight 1.
    n_bins : int, default=15
        Largest number of bins; all draws use the same bins.
    n_boot : int, default=1000
        Number of bootstrap draws.
    random_state : int, default=0
        Random seed of the bootstrap.

    Returns
    -------
    Estimate
        With the interval of a bootstrap that draws positives and negatives together, because their numbers are part of
        the calibration. The interval refers to the error without noise. The error found includes a positive bias due to
        noise, and a draw has this bias twice, so the draws measure it (as in the bias correction of [1]_, section 2.1).
        The upper end keeps the bias, and the lower subtracts it twice, because the draws underestimate it where the
        calibration is good. NaN with a note for no rows.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, a `p` that is NaN or outside 0 to 1, no bins, missing groups or
        groups of mixed types, fewer than 1 draw, weights that are negative, not finite or all 0.

    References
    ----------
    .. [1] Davison & Hinkley 1997, "Bootstrap Methods and their Application", Cambridge University Press.

    Examples
    --------
    >>> from gridlens.evaluation import calibration_error
    >>> print(calibration_error([0, 0, 1, 1], [0.2, 0.2, 0.6, 0.8], n_bins=2))
    0.250 [0.148, 0.352]
    """
    sample, values = probability_sample(y, p, groups, sample_weight)
    plan = calibration_plan(sample, values, n_bins)
    return settled(sample, [plan], checked_whole("n_boot", n_boot, 1), random_state)[0]


def probability_sample(y: Any, p: Any, groups: Any, sample_weight: Any) -> tuple[Sample, np.ndarray]:
    """Return the validated and sorted rows with a weight above 0, and their probabilities."""
    labels = checked_labels(y)
    values = checked_probabilities(p, len(labels))
    members = None if groups is None else checked_groups(groups, len(labels))
    weight, labels, values, members = weighed(sample_weight, labels, values, members)
    return Sample(labels, values, members, weight), values


def _mean_loss(
    kind: str, y: Any, p: Any, prevalence: float | None, groups: Any, sample_weight: Any, n_boot: int, random_state: int
) -> Estimate:
    sample, values = probability_sample(y, p, groups, sample_weight)
    share = None if prevalence is None else checked_share("prevalence", prevalence)
    plan = loss_plan(kind, sample, values, share)
    return settled(sample, [plan], checked_whole("n_boot", n_boot, 1), random_state)[0]


def loss_plan(kind: str, sample: Sample, p: np.ndarray, prevalence: float | None) -> Estimate | Pending:
    """Plan `brier_score` ("brier") or `log_loss` ("log") for a sample, before the bootstrap."""
    if not len(p):
        return unresolvable(0, "row")
    missing = both_classes(sample)
    if prevalence is not None and missing is not None:
        return missing
    right = np.where(sample.y == 1, p, 1.0 - p)
    if kind == "log" and (right == 0.0).any():
        count = int((right == 0.0).sum())
        rows = "1 row has a probability of 0 for its label"
        note = "infinite: " + (rows if count == 1 else f"{count} rows have a probability of 0 for their label")
        return Estimate(math.inf, math.inf, math.inf, note)
    loss = _losses(kind, sample.y, p)
    value = _weighted_loss(sample.whole, loss, prevalence)
    n = min(count for count in sample.groups_with if count)
    without_spread = widest(value, n) if kind == "brier" else (0.0, math.inf)
    if sample.grouped:
        ends = percentiles(value, n, without_spread)
        version: Literal["free", "plain"] = "free" if sample.weighted and prevalence is None else "plain"
        if sample.weighted:
            by_rows = (_loss_interval(kind, sample, p, loss, value, prevalence) if n > 1 else None) or without_spread
            ends = percentiles(value, n, by_rows, no_narrower=True)
        return Pending(value, lambda draw: _weighted_loss(draw, loss, prevalence), ends, version)
    found = _loss_interval(kind, sample, p, loss, value, prevalence) if n > 1 else None
    return Estimate(value, *(found or without_spread))


def _loss_interval(
    kind: str, sample: Sample, p: np.ndarray, loss: np.ndarray, value: float, prevalence: float | None
) -> tuple[float, float] | None:
    """Return the interval of the mean loss of independent rows; None where there is no spread."""
    spread = _log_error(sample, loss, value, prevalence)
    if not spread > 0.0:
        return None
    high = value * math.exp(Z_95 * spread)
    if sample.weighted:
        high = max(high, value + Z_95 * math.sqrt(_expected_variance(kind, sample, p, loss, prevalence)))
    return value * math.exp(-Z_95 * spread), min(high, 1.0) if kind == "brier" else high


def _losses(kind: str, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the loss of each row for its label."""
    return (1.0 - np.where(y == 1, p, 1.0 - p)) ** 2 if kind == "brier" else _surprise(y, p)


def _expected_variance(kind: str, sample: Sample, p: np.ndarray, loss: np.ndarray, prevalence: float | None) -> float:
    """Return the variance of a mean loss with the expected labels of the rows instead of the observed ones.

    Most samples contain none of the few positives of large weight and low probability, and so underestimate the
    variance.
    """
    weight, chance = sample.weight, expected_labels(sample.y, p)
    with np.errstate(divide="ignore"):
        by_label = [_losses(kind, np.full(len(p), one), p) for one in (0, 1)]
    # The loss of the other label is infinite where the probability is 0 or 1.
    possible = np.isfinite(by_label).all(axis=0)
    terms: list[tuple[np.ndarray, tuple[int, ...], float]] = [(np.arange(len(p)), (0, 1), 1.0)]
    if prevalence is not None:
        terms = [(sample.negative, (0,), 1.0 - prevalence), (sample.positive, (1,), prevalence)]
    variance = 0.0
    for rows, labels, share in terms:
        total = weight[rows].sum()
        mean = (weight[rows] * loss[rows]).sum() / total
        n = effective_number(weight[rows])
        for one in labels:
            residual = (by_label[one] - mean)[possible]
            of_label = (chance if one else 1.0 - chance)[possible]
            squares = (weight[possible] ** 2 * of_label * residual**2).sum()
            variance += share**2 * float(squares) / total**2 * n / (n - 1.0)
    return variance


def _surprise(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return ``-log`` of the probability of each label; log1p, because ``1 - p`` loses the digits of a small p."""
    surprise = np.empty(len(p))
    surprise[y == 1] = -np.log(p[y == 1])
    surprise[y == 0] = -np.log1p(-p[y == 0])
    return surprise


def _weighted_loss(draw: Draw, loss: np.ndarray, prevalence: float | None) -> float:
    """Return the mean loss of a draw, with the classes at their prevalence."""
    if prevalence is None:
        return float((draw.weight * loss).sum() / draw.weight.sum())
    sample, value = draw.sample, 0.0
    for rows, share in ((sample.positive, prevalence), (sample.negative, 1.0 - prevalence)):
        weight = draw.weight[rows]
        value += share * float((weight * loss[rows]).sum() / weight.sum()) if weight.any() else math.nan
    return value


def _log_error(sample: Sample, loss: np.ndarray, value: float, prevalence: float | None) -> float:
    """Return the standard error of the logarithm of a mean loss, stratified by class where the prevalence is given."""
    if sample.weighted and prevalence is None:
        variance = mean_variance(loss, sample.weight)
    else:
        share = len(sample.positive) / len(loss) if prevalence is None else prevalence
        parts = ((sample.positive, share), (sample.negative, 1.0 - share))
        variance = sum(part**2 * mean_variance(loss[rows], sample.weight[rows]) for rows, part in parts if len(rows))
    return math.sqrt(variance) / value if value > 0.0 else 0.0


def calibration_plan(sample: Sample, p: np.ndarray, n_bins: int) -> Estimate | Pending:
    """Plan `calibration_error` for a sample, before the bootstrap."""
    checked_whole("n_bins", n_bins, 1)
    if not len(p):
        return unresolvable(0, "row")
    bins = equal_mass_bins(p, n_bins, sample.weight)
    excess = sample.y - p

    def statistic(draw: Draw) -> float:
        return mean_bin_error(bins, excess, draw.weight)

    value = statistic(sample.whole)
    n = sample.effective(np.arange(len(p)))
    return Pending(value, statistic, partial(_around, value, n), "free")


def _around(value: float, n: float, below: np.ndarray, above: np.ndarray) -> tuple[float, float]:
    """Return the spread of the draws about their mean as an interval about the value, minus twice the bias below."""
    low, high = np.quantile(below, 0.025), np.quantile(above, 0.975)
    if n < 2 or high <= low:
        return widest(value, n)
    spread, bias = float(high - above.mean()), float(above.mean()) - value
    return max(0.0, value - 2.0 * max(bias, 0.0) - spread), min(1.0, value + spread)
