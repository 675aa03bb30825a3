"""Feature contributions to the log-odds of a member whose log-odds are bounded."""

import numpy as np

__all__ = ["bounded_contributions"]


def bounded_contributions(values: np.ndarray, base: float, limit: float) -> np.ndarray:
    """Scale contributions by a common factor where their sum would exceed the limit of the log-odds.

    Parameters
    ----------
    values : ndarray of shape (n, n_features)
        Contributions in log-odds; NaN is returned as NaN.
    base : float
        Log-odds that they are added to, within the limit.
    limit : float
        Limit of the absolute log-odds.

    Returns
    -------
    ndarray of shape (n, n_features), float64
    """
    total = values.sum(axis=1)
    kept = np.clip(base + total, -limit, limit) - base
    factor = np.divide(kept, total, out=np.ones_like(total), where=(total != 0.0) & (np.abs(base + total) > limit))
    return values * factor[:, None]
