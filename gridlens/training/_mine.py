"""Hard negatives: the cutouts of an unlabelled pool with the highest scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from gridlens.calibration import shift_prior
from gridlens.detector import LensDetector
from gridlens.errors import GridlensError
from gridlens.features import Measured

__all__ = ["Mined", "mine", "usable_pool"]

_SMALLEST_POOL = 100


class Mined(NamedTuple):
    """Unlabelled rows that are used as negatives.

    Attributes
    ----------
    rows : Measured of m
    weight : ndarray of shape (m,), float64
        Probability that the row is not a lens.
    pool : int
        Number of rows that they were selected from.
    """

    rows: Measured
    weight: np.ndarray
    pool: int


def usable_pool(batches: Iterable[Measured]) -> Measured:
    """Return the rows of a pool that are not rejected.

    Raises
    ------
    GridlensError
        Fewer than 100 cutouts are usable.
    """
    pool = Measured.concatenate([measured[~measured.rejected] for measured in batches])
    if len(pool) < _SMALLEST_POOL:
        raise GridlensError(
            f"The 'pool' parameter must contain at least {_SMALLEST_POOL} usable cutouts, of which a tenth is mined. "
            f"Got {len(pool)} instead."
        )
    return pool


def mine(detector: LensDetector, pool: Measured, n: int, prevalence: float = 1e-3) -> Mined:
    """Select the `n` rows of a pool with the highest scores, and their weights as negatives.

    The pool is unlabelled and may contain lenses, so the weight of a row is the probability that it is not a lens, at a
    declared prevalence. There is only one round: a second round would mine rows, possibly lenses, whose scores the
    first round has already lowered.

    Parameters
    ----------
    detector : LensDetector
        Fitted on rows that are not in the pool.
    pool : Measured of m
        Usable cutouts, with at least the metadata that the detector uses.
    n : int
        Number of rows; at most a tenth of the pool is taken.
    prevalence : float, default=1e-3
        Prevalence of lenses in the pool.

    Returns
    -------
    Mined
        Best first.
    """
    even = detector.predict_proba(pool, prevalence=0.5)[:, 1]
    best = np.argsort(-even, kind="stable")[: min(n, len(pool) // 10)]
    return Mined(pool[best], 1.0 - shift_prior(even[best], 0.5, prevalence), len(pool))
