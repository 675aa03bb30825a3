"""Detection of cutouts unlike the training rows of a detector: the column `novelty` and its flag."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gridlens.cutouts import CutoutFlag
from gridlens.cutouts._flags import flag_message
from gridlens.errors import GridlensError
from gridlens.features import Measured
from gridlens.features._contract import N_IMAGE_FEATURES, N_PATCHES, PATCH_FEATURE_NAMES
from gridlens.members import Novelty

__all__ = [
    "UNUSUAL_LEVEL",
    "check_has_novelty",
    "check_novelty",
    "flag_unusual",
    "learn_novelty",
    "novelty_numbers",
    "novelty_of",
]

UNUSUAL_LEVEL = 0.02
"""rows with a p-value up to this get `CutoutFlag.UNUSUAL`"""

# Largest reference sample; half of its rows are stored in the bundle, as 39 numbers of 2 bytes each.
_MOST_ROWS = 6144
# Features of the light and of the arc candidates. Colours and pixel noise differ more between surveys than between
# objects, and the position of the BCG carries no information on the sky.
_NUMBERS = (
    "mean_g",
    "mean_r",
    "mean_i",
    "edge_density",
    "bcg_subtracted_mean",
    "arcness",
    "curvature",
    "elongation",
    "tangentiality",
    "arc_color_spread",
    "circle_inlier_fraction",
    "circle_center_offset",
    "arc_snr",
)
_COLUMNS = [PATCH_FEATURE_NAMES.index(name) for name in _NUMBERS]
_RANKS = [0, N_PATCHES // 2, N_PATCHES - 1]


def novelty_numbers(features: np.ndarray) -> np.ndarray:
    """Return the numbers by which cutouts are compared: minimum, median and maximum over the patches.

    They are invariant under the eight flips and quarter turns as far as the features are.

    Parameters
    ----------
    features : ndarray of shape (n, 315)

    Returns
    -------
    ndarray of shape (n, 39), float64
    """
    patches = features[:, :N_IMAGE_FEATURES].reshape(len(features), N_PATCHES, -1)[:, :, _COLUMNS]
    ranked = np.sort(patches.astype(np.float64), axis=1)[:, _RANKS]
    return np.ascontiguousarray(ranked.reshape(len(features), len(_RANKS) * len(_COLUMNS)))


def learn_novelty(features: np.ndarray) -> Novelty | None:
    """Return the reference sample of a detector, with at most 6,144 of its training rows (n, 315).

    None if there are too few rows, or all of them are equal.
    """
    chosen = np.arange(len(features))
    if len(chosen) > _MOST_ROWS:
        chosen = np.sort(np.random.default_rng(0).choice(len(features), _MOST_ROWS, replace=False))
    try:
        return Novelty().fit(novelty_numbers(features[chosen]))
    except ValueError:
        return None


def check_novelty(novelty: Novelty) -> None:
    """Raise ValueError unless a reference sample has the columns of `novelty_numbers`."""
    n = len(_RANKS) * len(_COLUMNS)
    if novelty.n_features_in_ != n:
        raise ValueError(f"The reference must have {n} columns. Got {novelty.n_features_in_} instead.")


def check_has_novelty(novelty: Novelty | None, wanted: bool) -> None:
    """Raise GridlensError if novelty is requested from a detector without a reference sample."""
    if wanted and novelty is None:
        raise GridlensError(
            "The 'novelty' parameter must be False for this model, which contains no sample of its training "
            "cutouts. Got True instead; leave out novelty=True, or train the model again."
        )


def novelty_of(novelty: Novelty | None, features: np.ndarray) -> np.ndarray:
    """Return the p-values (n,) of rows (n, 315) with respect to the training rows of a detector; NaN for a NaN row.

    Raises
    ------
    GridlensError
        If the detector has no reference sample.
    """
    check_has_novelty(novelty, True)
    assert novelty is not None
    return novelty.p_values(novelty_numbers(features))


def flag_unusual(measured: Measured, p: np.ndarray) -> Measured:
    """Return measured cutouts with `CutoutFlag.UNUSUAL` set for p-values up to `UNUSUAL_LEVEL`."""
    found = np.flatnonzero(~measured.rejected & (p <= UNUSUAL_LEVEL))
    if not len(found):
        return measured
    flags, messages = measured.flags.copy(), measured.messages.copy()
    flags[found] |= int(CutoutFlag.UNUSUAL)
    said = flag_message(CutoutFlag.UNUSUAL)
    messages[found] = [f"{message} {said}".strip() for message in messages[found]]
    return replace(measured, flags=flags, messages=messages)
