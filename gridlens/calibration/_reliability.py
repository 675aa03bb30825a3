"""Reliability of probabilities in bins of equal mass, and the expected calibration error."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration._bins import equal_mass_bins, mean_bin_error
from gridlens.calibration._checks import (
    checked_labels,
    checked_numbers,
    checked_probabilities,
    checked_share,
    checked_whole,
)
from gridlens.calibration._weights import effective_trials, weighed

__all__ = ["Reliability", "expected_calibration_error", "reliability", "wilson"]


class Reliability(NamedTuple):
    """Result of `reliability`: one element per bin, from the lowest probabilities to the highest.

    Attributes
    ----------
    predicted : ndarray of shape (n_bins,), float64
        Weighted mean probability of the rows in the bin.
    observed : ndarray of shape (n_bins,), float64
        Weighted fraction of positives among them.
    rows : ndarray of shape (n_bins,), int64
        Number of rows, without those of weight 0.
    low, high : ndarray of shape (n_bins,), float64
        Wilson's 95 % interval of `observed`. With weights, for the number of trials with the same variance [1]_.

    References
    ----------
    .. [1] Korn & Graubard 1998, Survey Methodology 24, 193.
    """

    predicted: np.ndarray
    observed: np.ndarray
    rows: np.ndarray
    low: np.ndarray
    high: np.ndarray


def reliability(y: Any, p: Any, n_bins: int = 15, sample_weight: Any = None) -> Reliability:
    """Compare predicted with observed fractions of positives, in bins of equal mass.

    Rows with equal probabilities share a bin, so the bins do not depend on the order of the rows; they may then be only
    approximately equal, and fewer. With bins of equal width, nearly all rows of a rare class would be in one bin.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1. A single class is accepted.
    p : array-like of shape (n,)
        Probabilities from 0 to 1, no NaN.
    n_bins : int, default=15
        Largest number of bins.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, such as the inverse of the probability with which each row was selected
        to be labelled. The bins then have equal weight. If None, every row has weight 1.

    Returns
    -------
    Reliability
        Named tuple ``(predicted, observed, rows, low, high)``.

    Raises
    ------
    ValueError
        No rows, inconsistent lengths, labels other than 0 and 1, a `p` that is NaN or outside 0 to 1, no bins, weights
        that are negative, not finite or all 0.

    Examples
    --------
    >>> from gridlens.calibration import reliability
    >>> bins = reliability([0, 0, 1, 0, 1, 1], [0.1, 0.1, 0.3, 0.6, 0.8, 0.9], n_bins=2)
    >>> bins.rows, bins.observed.round(2)
    (array([3, 3]), array([0.33, 0.67]))
    """
    labels, values, bins, weight = _binned(y, p, n_bins, sample_weight)
    rows, total = np.bincount(bins), np.bincount(bins, weight)
    positives = np.bincount(bins, weight * labels)
    trials = rows if sample_weight is None else effective_trials(bins, labels, weight)
    # Rounding may take the product above the number of trials.
    low, high = wilson(np.minimum(positives * (trials / total), trials), trials)
    return Reliability(np.bincount(bins, weight * values) / total, positives / total, rows, low, high)


def expected_calibration_error(y: Any, p: Any, n_bins: int = 15, sample_weight: Any = None) -> float:
    """Compute the mean absolute difference between predicted and observed fractions, over bins of equal mass [1]_.

    Noise alone makes it positive: with m rows in a bin with a fraction q of positives, a perfect calibration gives
    about ``0.8 sqrt(q (1 - q) / m)`` in that bin.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    p : array-like of shape (n,)
        Probabilities from 0 to 1, no NaN.
    n_bins : int, default=15
        Largest number of bins, see `reliability`.
    sample_weight : array-like of shape (n,), default=None
        Weights of the rows, see `reliability`.

    Returns
    -------
    float
        From 0 to 1, each bin weighted by its rows, or by the sum of their weights.

    Raises
    ------
    ValueError
        As in `reliability`.

    References
    ----------
    .. [1] Nixon et al. 2019, "Measuring Calibration in Deep Learning", arXiv:1904.01685.

    Examples
    --------
    >>> from gridlens.calibration import expected_calibration_error
    >>> round(expected_calibration_error([0, 0, 1, 1], [0.2, 0.2, 0.6, 0.8]), 3)
    0.25
    """
    labels, values, bins, weight = _binned(y, p, n_bins, sample_weight)
    return mean_bin_error(bins, labels - values, weight)


def _binned(y: Any, p: Any, n_bins: int, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return validated labels and probabilities, the index of each row's bin, and weights above 0."""
    labels = checked_labels(y)
    values = checked_probabilities(p, len(labels))
    if not len(labels):
        raise ValueError("The 'y' parameter must have at least one row. Got none instead.")
    weight, labels, values = weighed(sample_weight, labels, values)
    if weight is None:
        weight = np.ones(len(labels))
    return labels, values, equal_mass_bins(values, checked_whole("n_bins", n_bins, 1), weight), weight


def wilson(k: Any, n: Any, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Compute Wilson's score interval of a fraction [1]_.

    Parameters
    ----------
    k : array-like
        Number of successes, from 0 to `n`, not necessarily whole.
    n : array-like
        Number of trials, above 0. `k` and `n` are broadcast.
    level : float, default=0.95
        Confidence level, between 0 and 1 (exclusive).

    Returns
    -------
    low, high : ndarray of the common shape, float64
        Scalars where `k` and `n` are. The lower end is exactly 0 for ``k = 0``, and the upper exactly 1 for ``k = n``.

    Raises
    ------
    ValueError
        If `n` is not above 0, `k` is negative, above `n` or NaN, or either is not numeric.

    References
    ----------
    .. [1] Wilson 1927, Journal of the American Statistical Association 22, 209.

    Examples
    --------
    >>> from gridlens.calibration import wilson
    >>> low, high = wilson(9, 10)
    >>> print(f"{low:.3f} {high:.3f}")
    0.596 0.982
    """
    z = NormalDist().inv_cdf((1.0 + checked_share("level", level)) / 2.0)
    successes, trials = np.broadcast_arrays(checked_numbers("k", k), checked_numbers("n", n))
    few = trials[~((trials > 0.0) & np.isfinite(trials))]
    if few.size:
        raise ValueError(f"The 'n' parameter must be above 0. Got {few.flat[0]:g} instead.")
    strange = successes[~((successes >= 0.0) & (successes <= trials))]
    if strange.size:
        raise ValueError(f"The 'k' parameter must be from 0 to 'n'. Got {strange.flat[0]:g} instead.")
    share = successes / trials
    stretch = 1.0 + z**2 / trials
    centre = (share + z**2 / (2.0 * trials)) / stretch
    half = z * np.sqrt(share * (1.0 - share) / trials + (z / (2.0 * trials)) ** 2) / stretch
    # These ends are exactly 0 and 1; rounding would leave small differences.
    low = np.where(successes == 0.0, 0.0, centre - half)
    high = np.where(successes == trials, 1.0, centre + half)
    return low[()], high[()]
