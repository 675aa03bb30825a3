"""Adjustment of probabilities to another prevalence."""

from __future__ import annotations

from typing import Any

import numpy as np

from gridlens.calibration._checks import checked_share

__all__ = ["shift_prior"]


def shift_prior(p: Any, train_prior: float, target_prior: float) -> np.ndarray:
    """Adjust probabilities to another prevalence.

    The odds are multiplied by ``(target / (1 - target)) / (train / (1 - train))`` [1]_. This is correct if the two
    populations differ only in their fraction of positives. The ranking does not change.

    Parameters
    ----------
    p : array-like of any shape
        Probabilities at `train_prior`, from 0 to 1. 0, 1 and NaN are returned unchanged.
    train_prior : float
        Fraction of positives in the sample that `p` was calibrated on, between 0 and 1 (exclusive).
    target_prior : float
        Target fraction of positives, between 0 and 1 (exclusive).

    Returns
    -------
    ndarray of the shape of `p`, float64
        A Python or numpy scalar where `p` is one. Shifting back restores `p` to 1e-12, as long as the odds of the two
        prevalences differ by less than a factor of 1000: beyond that, float64 lacks digits close to 1.

    Raises
    ------
    ValueError
        If a prevalence is outside (0, 1), or `p` outside 0 to 1.

    References
    ----------
    .. [1] Saerens, Latinne & Decaestecker 2002, Neural Computation 14, 21.

    Examples
    --------
    >>> from gridlens.calibration import shift_prior
    >>> shift_prior([0.0, 0.5, 0.99, 1.0], 0.5, 0.01).round(4)
    array([0.  , 0.01, 0.5 , 1.  ])
    """
    train = checked_share("train_prior", train_prior)
    target = checked_share("target_prior", target_prior)
    try:
        values = np.asarray(p, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ValueError(
            f"The 'p' parameter must be probabilities. Got a non-numeric {type(p).__name__} instead."
        ) from exc
    outside = values[(values < 0.0) | (values > 1.0)]
    if outside.size:
        raise ValueError(f"The 'p' parameter must be probabilities from 0 to 1. Got {outside.flat[0]:g} instead.")
    # This form does not use the odds and so does not divide by 1 - p, which may be zero.
    positive = values * (target * (1.0 - train))
    negative = (1.0 - values) * (train * (1.0 - target))
    return positive / (positive + negative)
