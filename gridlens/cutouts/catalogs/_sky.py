"""Sky positions as unit vectors, which have no singularity at the poles or at right ascension zero."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["chord", "sky_vectors"]


def sky_vectors(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit vectors (n, 3) of positions (n,) in degrees."""
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def chord(arcsec: float) -> float:
    """Return the distance between two unit vectors separated by an angle in arcsec."""
    return float(2.0 * np.sin(np.radians(arcsec / 3600.0) / 2.0))
