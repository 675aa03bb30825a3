"""Bins of equal mass and the calibration error in them, shared with `gridlens.evaluation`."""

from __future__ import annotations

import numpy as np

__all__ = ["equal_mass_bins", "mean_bin_error"]


def equal_mass_bins(p: np.ndarray, n_bins: int, weight: np.ndarray | None = None) -> np.ndarray:
    """Assign probabilities to bins of about equal mass; equal probabilities share a bin.

    Parameters
    ----------
    p : ndarray of shape (n,), float64
        At least one probability.
    n_bins : int
        Largest number of bins.
    weight : ndarray of shape (n,), default=None
        Weights of the rows, above 0. If None, every row has weight 1.

    Returns
    -------
    ndarray of shape (n,), int64
        Index of each row's bin, from 0 for the lowest probabilities, without gaps.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.calibration._bins import equal_mass_bins
    >>> equal_mass_bins(np.array([0.9, 0.1, 0.1, 0.3]), 2)
    array([1, 0, 0, 1])
    """
    inverse = np.unique(p, return_inverse=True)[1]
    ties = np.bincount(inverse, weight)
    mass = np.cumsum(ties)
    # The middle of each run of equal probabilities, as a fraction of the total weight, determines its bin.
    middle = (mass - ties / 2) / mass[-1]
    return np.unique(np.minimum((middle * n_bins).astype(np.int64), n_bins - 1), return_inverse=True)[1][inverse]


def mean_bin_error(bins: np.ndarray, excess: np.ndarray, weight: np.ndarray) -> float:
    """Compute the mean absolute difference between the predicted and the observed fraction of positives in bins.

    Parameters
    ----------
    bins : ndarray of shape (n,), int64
        Index of each row's bin.
    excess : ndarray of shape (n,), float64
        Label minus probability.
    weight : ndarray of shape (n,), float64
        Weights of the rows, not all 0. Each bin counts by its weight.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.calibration._bins import mean_bin_error
    >>> y, p = np.array([0, 1, 1, 1]), np.array([0.5, 0.5, 0.75, 0.75])
    >>> mean_bin_error(np.array([0, 0, 1, 1]), y - p, np.ones(4))
    0.125
    """
    return float(np.abs(np.bincount(bins, weight * excess)).sum() / weight.sum())
