"""The eight flips and quarter turns of a square cutout, applied to its features."""

import numpy as np

from gridlens._turns import N_TURNS, turned
from gridlens.features._contract import FEATURE_NAMES, N_IMAGE_FEATURES, N_PATCHES, PATCH_FEATURE_NAMES
from gridlens.features._named import check_features

__all__ = ["dihedral", "dihedral_columns", "turn_features"]

_ANGLE = PATCH_FEATURE_NAMES.index("bcg_angle")
_DISTANCE = PATCH_FEATURE_NAMES.index("bcg_distance")
_POSITION = PATCH_FEATURE_NAMES.index("position_0")
_SLOTS = np.arange(N_PATCHES).reshape(3, 3)
# For each version, the source patch of each slot.
_SOURCES = tuple(turned(_SLOTS, k).ravel() for k in range(N_TURNS))


def dihedral(X: np.ndarray) -> np.ndarray:
    """Return the features of the eight flips and quarter turns of cutouts, without extracting them again.

    The patches are permuted, `bcg_angle` is rotated, and the position flags and the metadata do not change. Version ``k
    < 4`` is the cutout after ``numpy.rot90(pixels, k)``, version ``4 + k`` after ``numpy.rot90(pixels[:, ::-1], k)``;
    version 0 is `X` itself.

    The result is good enough for training, but not exact. Compared with features extracted from the rotated pixels
    (``python benchmarks/extraction.py``), 99 % of the features without arc candidates agree within 3 %: the noise is
    measured along rows, and if H is one more than a multiple of three, the patches shift by that pixel. Arc candidates
    appear in the same patches. Of their features, tangentiality and the circle's centre agree within 3 % in three
    patches of four (the others are off by 0.06 and 0.6 in the median), distance in 72 % (5.5 arcsec), S/N in 65 %
    (1.4), colours in 55 to 67 % (0.15 to 0.25 mag), elongation in 57 % (0.3), curvature in 51 % (0.13), inliers in 51 %
    (0.09), arcness in 29 % (1.2). These depend on the triplets of the circle fit, which depend on the order of the
    pixels; and if another candidate with a similar score is selected, all of them change.

    Parameters
    ----------
    X : ndarray of shape (n, 315)
        Features as returned by `GridPatchExtractor`. A row of NaN (a rejected cutout) stays NaN.

    Returns
    -------
    ndarray of shape (8, n, 315)
        Same dtype as `X`. With n = 0, empty.

    Raises
    ------
    ValueError
        `X` has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.features import dihedral
    >>> X = np.zeros((5, 315), np.float32)
    >>> dihedral(X).shape
    (8, 5, 315)
    """
    X = check_features(X)
    versions = np.empty((N_TURNS, *X.shape), dtype=X.dtype)
    for k in range(N_TURNS):
        versions[k] = turn_features(X, k)
    return versions


def turn_features(X: np.ndarray, version: int) -> np.ndarray:
    """Return one of the eight versions of `dihedral`, to save memory.

    Parameters
    ----------
    X : ndarray of shape (n, 315)
    version : int
        From 0 to 7, as in `dihedral`.

    Returns
    -------
    ndarray of shape (n, 315)
        Same dtype as `X`; `X` itself for version 0.

    Raises
    ------
    ValueError
        `X` has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.features import dihedral
    >>> from gridlens.features._symmetry import turn_features
    >>> X = np.random.default_rng(0).normal(size=(5, 315))
    >>> bool((turn_features(X, 6) == dihedral(X)[6]).all())
    True
    """
    X = check_features(X)
    if version == 0:
        return X
    patches = X[:, :N_IMAGE_FEATURES].reshape(len(X), N_PATCHES, len(PATCH_FEATURE_NAMES))
    moved = patches[:, _SOURCES[version]]
    moved[:, :, _POSITION:] = patches[:, :, _POSITION:]
    moved[:, :, _ANGLE] = _turned_angles(moved[:, :, _ANGLE], moved[:, :, _DISTANCE], version >= 4, version % 4)
    return np.concatenate([moved.reshape(len(X), N_IMAGE_FEATURES), X[:, N_IMAGE_FEATURES:]], axis=1)


def dihedral_columns() -> np.ndarray:
    """Return the source column of each column of the versions of `dihedral`, to map results of a version back.

    Returns
    -------
    ndarray of shape (8, 315), int64
        A permutation in each row. ``dihedral(X)[k]`` is ``X[:, dihedral_columns()[k]]``, except for the angles about
        the BCG, which are also rotated.

    Examples
    --------
    >>> from gridlens.features import FEATURE_NAMES
    >>> from gridlens.features._symmetry import dihedral_columns
    >>> turned = dihedral_columns()[1]
    >>> FEATURE_NAMES[turned[FEATURE_NAMES.index("patch0_arcness")]]
    'patch2_arcness'
    """
    columns = np.repeat(np.arange(len(FEATURE_NAMES))[None], N_TURNS, axis=0)
    patches = np.arange(N_IMAGE_FEATURES).reshape(N_PATCHES, len(PATCH_FEATURE_NAMES))
    for k in range(N_TURNS):
        moved = patches[_SOURCES[k]].copy()
        moved[:, _POSITION:] = patches[:, _POSITION:]
        columns[k, :N_IMAGE_FEATURES] = moved.ravel()
    return columns


def _turned_angles(angle: np.ndarray, distance: np.ndarray, flipped: bool, turns: int) -> np.ndarray:
    """Return the patch angles about the BCG after an optional flip of x and turns by `numpy.rot90`, in (-pi, pi]."""
    if not flipped and turns == 0:
        return angle
    found = (np.pi - angle.astype(np.float64) if flipped else angle.astype(np.float64)) - turns * np.pi / 2
    # The margin maps a rounded -pi to pi, as in an extraction.
    found -= 2 * np.pi * np.ceil((found - np.pi) / (2 * np.pi) - 1e-7)
    # A patch centred on the BCG has no direction; the extraction sets it to 0.
    return np.where(distance == 0, 0.0, found)
