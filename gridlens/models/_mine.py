"""Hard negatives: of a pool that nobody has looked at, the cutouts that a model scores highest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration import shift_prior
from gridlens.cutouts import CutoutBatch
from gridlens.detector import LensDetector
from gridlens.errors import GridlensError
from gridlens.features import Measured, keep_metadata
from gridlens.models._sources import measured_of

__all__ = ["Mined", "describe_mined", "mine", "pool_features"]

_Progress = Callable[[int], Any] | None
_SMALLEST_POOL = 100


class Mined(NamedTuple):
    """Unlabelled rows to learn from as negatives, as far as they are.

    Attributes
    ----------
    features : ndarray of shape (m, 315), float32
    weight : ndarray of shape (m,), float64
        Probability that the row is no lens.
    pool : int
        Rows that they were chosen from.
    """

    features: np.ndarray
    weight: np.ndarray
    pool: int


def pool_features(
    batches: Iterable[CutoutBatch | Measured], metadata: str, *, progress: _Progress = None
) -> np.ndarray:
    """Features (n, 315) of a pool of cutouts, without those that are rejected.

    Raises
    ------
    GridlensError
        Fewer than 100 cutouts are usable.
    """
    parts = [np.empty((0, 315), dtype=np.float32)]
    for batch in batches:
        measured = measured_of(batch)
        parts.append(keep_metadata(measured.features[~measured.rejected], metadata))
        if progress is not None:
            progress(len(measured.ids))
    features = np.concatenate(parts)
    if len(features) < _SMALLEST_POOL:
        raise GridlensError(
            f"The 'pool' parameter must hold at least {_SMALLEST_POOL} usable cutouts, of which a tenth is mined. "
            f"Got {len(features)} instead."
        )
    return features


def mine(detector: LensDetector, pool: np.ndarray, n: int, prevalence: float = 1e-3) -> Mined:
    """The `n` rows of a pool that `detector` scores highest, with the weight that they have as negatives.

    The pool is unlabelled: a lens among the rows would teach that lenses are none. So a row weighs as much as it is
    probably none, at a declared prevalence. One round is all that helps: the next would mine what the first one has
    already pushed down, lenses among it.

    Parameters
    ----------
    detector : LensDetector
        Fitted on rows of which the pool holds none.
    pool : ndarray of shape (m, 315)
        Features of usable cutouts, with the metadata that the detector sees.
    n : int
        At most a tenth of the pool is taken: below that nothing is hard about it.
    prevalence : float, default=1e-3
        Share of lenses in the pool.

    Returns
    -------
    Mined
        Best first.
    """
    even = detector.predict_proba(pool, prevalence=0.5)[:, 1]
    best = np.argsort(-even, kind="stable")[: min(n, len(pool) // 10)]
    return Mined(pool[best], 1.0 - shift_prior(even[best], 0.5, prevalence), len(pool))


def describe_mined(mined: Mined | None) -> str:
    """What a card says of rows that were mined; nothing where none were."""
    if mined is None:
        return ""
    return (
        f"Of {mined.pool:,} unlabelled cutouts the {len(mined.weight):,} that a first round scored highest\n"
        f"were learned as negatives, at a mean weight of {mined.weight.mean():.2f}.\n"
    )
