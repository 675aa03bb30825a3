"""AB zero points of g, r and i, and the factors that convert to the flux unit of the package."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gridlens.cutouts._bands import BANDS
from gridlens.cutouts._keywords import ByBand
from gridlens.errors import CutoutError

__all__ = ["REFERENCE_ZEROPOINT", "checked_zeropoints", "flux_factors", "to_reference"]

REFERENCE_ZEROPOINT = 27.0
"""AB mag of one flux unit"""


def checked_zeropoints(zeropoint: float | Mapping[str, float] | None) -> ByBand | None:
    """Return the AB zero points of g, r and i given by the user; raise CutoutError if they are invalid."""
    if zeropoint is None:
        return None
    given = zeropoint if isinstance(zeropoint, Mapping) else dict.fromkeys(BANDS, zeropoint)
    try:
        zeropoints = {band: float(given[band]) for band in BANDS}
    except (KeyError, TypeError, ValueError):
        zeropoints = {}
    if not zeropoints or not np.isfinite(list(zeropoints.values())).all():
        raise CutoutError(
            "The 'zeropoint' parameter must be one AB magnitude, or one for each of g, r and i. "
            f"Got {zeropoint!r} instead."
        )
    return ByBand(zeropoints)


def flux_factors(zeropoints: Sequence[float] | None) -> NDArray[np.float32]:
    """Return the factors that bring g, r and i to zero point 27; 1 if the zero points are unknown."""
    return np.ones(len(BANDS), dtype=np.float32) if zeropoints is None else to_reference(zeropoints)


def to_reference(zeropoints: Sequence[float]) -> NDArray[np.float32]:
    """Return the flux factors from AB zero points, mag, to zero point 27."""
    return np.asarray(10 ** (0.4 * (REFERENCE_ZEROPOINT - np.asarray(zeropoints))), dtype=np.float32)
