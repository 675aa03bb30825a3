"""What features add to a member's log-odds, where these are kept within limits."""

import numpy as np

__all__ = ["bounded_contributions"]


def bounded_contributions(values: np.ndarray, base: float, limit: float) -> np.ndarray:
    """Contributions that add up to log-odds within a limit; where these would pass it, all shrink by one factor.

    Parameters
    ----------
    values : ndarray of shape (n, n_features)
        Log-odds. NaN stays.
    base : float
        What they are added to, within the limit.
    limit : float
        Of the absolute log-odds.

    Returns
    -------
    ndarray of shape (n, n_features), float64
    """
    total = values.sum(axis=1)
    kept = np.clip(base + total, -limit, limit) - base
    factor = np.divide(kept, total, out=np.ones_like(total), where=(total != 0.0) & (np.abs(base + total) > limit))
    return values * factor[:, None]
