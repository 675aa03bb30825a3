"""Multiple-instance learning on single patches, because a lens shows its arc in only one or two of them."""

from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import ClassVar

import numpy as np

from gridlens.features._contract import METADATA_NAMES, N_IMAGE_FEATURES, N_PATCHES, PATCH_FEATURE_NAMES
from gridlens.members._features import ExplainedMember
from gridlens.members._trees import SampledTrees

__all__ = ["PatchMember", "expected_einstein_radius"]

_POSITION = PATCH_FEATURE_NAMES.index("position_0")
_ANGLE = PATCH_FEATURE_NAMES.index("bcg_angle")
_DISTANCE = PATCH_FEATURE_NAMES.index("bcg_distance")
_ARC_DISTANCE = PATCH_FEATURE_NAMES.index("arc_distance")
_ELONGATION = PATCH_FEATURE_NAMES.index("elongation")
_RICHNESS = N_IMAGE_FEATURES + METADATA_NAMES.index("richness")
# Corner, edge and middle: the flags of position that are invariant under turns of the cutout.
_KIND = np.array([0, 1, 0, 1, 4, 1, 0, 1, 0])

_RADIUS = 15.0
_PIVOT = 80.0
_SLOPE = 0.91
# A factor of two either way: lenses of equal richness differ in concentration, source redshift and orientation.
_SCATTER = np.log(2.0)


def expected_einstein_radius(richness: np.ndarray) -> np.ndarray:
    """Return the typical Einstein radius of clusters of a given richness, arcsec.

    ``15 (richness / 80)^0.91``: the mass scales with the richness to the power 1.356 [1]_, the velocity dispersion with
    the mass to the power 0.336 [2]_, and the Einstein radius of an isothermal sphere with the dispersion squared. A
    richness of 80 corresponds to 8e14 solar masses, 940 km/s, and 15 arcsec for a source with a lensing efficiency of
    0.6.

    Parameters
    ----------
    richness : array-like of shape (n,)
        redMaPPer richness; NaN where unknown.

    Returns
    -------
    ndarray of shape (n,), float64
        From 5 to 40; 15 where the richness is NaN or not positive.

    References
    ----------
    .. [1] McClintock et al. 2019, MNRAS 482, 1352, eq. 68.
    .. [2] Evrard et al. 2008, ApJ 672, 122, eq. 6.

    Examples
    --------
    >>> from gridlens.members._patch import expected_einstein_radius
    >>> expected_einstein_radius([20.0, 80.0, float("nan")]).round(1)
    array([ 5., 15., 15.])
    """
    values = np.asarray(richness, dtype=np.float64)
    known = np.where(values > 0.0, values, _PIVOT)
    return np.clip(_RADIUS * (known / _PIVOT) ** _SLOPE, 5.0, 40.0)


@dataclass(eq=False, repr=False, kw_only=True)
class PatchMember(SampledTrees, ExplainedMember):
    """LightGBM on single patches with the label of their cutout, pooled over the best ones at a plausible radius.

    This is multiple-instance learning in its simplest form: each patch is fitted to the label of its cutout, with a
    weight that decreases with its distance from the expected Einstein radius, because most patches of a lens show
    nothing. The score of a cutout is the mean log-odds of its `top_k` best patches, with the same weights.
    `patch_log_odds` shows where they are.

    The probabilities are those of patches and differ strongly from those of cutouts; the stack or a calibration
    corrects this.

    Parameters
    ----------
    top_k : int, default=1
        Number of patches whose log-odds are averaged. On simulated scenes, the best one carries most of the
        information.
    n_estimators : int, default=600
    learning_rate : float, default=0.1
    min_child_samples : int, default=100
        Smallest number of patches in a leaf.
    num_leaves, colsample_bytree, subsample, extra_trees, reg_lambda, n_jobs, random_state
        As in `LightGBMMember`, with the same defaults.

    Attributes
    ----------
    trees_ : gridlens.trees.Trees
        Trees on patches, see Notes. `booster()` returns them as a booster of LightGBM.

    Notes
    -----
    The columns are the 34 features of a patch. Those that change when the cutout is turned are folded: `bcg_angle` into
    0 to pi/4, the flags of position into corner, edge and middle. All orientations of a cutout therefore have the same
    score.

    References
    ----------
    .. [1] Dietterich, Lathrop & Lozano-Perez 1997, "Solving the multiple instance problem with axis-parallel
       rectangles", Artificial Intelligence 89, 31.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.members import PatchMember
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 315)).astype(np.float32)
    >>> y = (X[:, 0] > 0).astype(int)
    >>> member = PatchMember(n_estimators=20).fit(X, y)
    >>> member.patch_log_odds(X[:5]).shape
    (5, 9)
    """

    name: ClassVar[str] = "patch"
    _n_columns: ClassVar[int] = len(PATCH_FEATURE_NAMES)

    top_k: int = 1
    n_estimators: int = 600
    learning_rate: float = 0.1

    def patch_log_odds(self, X: np.ndarray) -> np.ndarray:
        """Return the log-odds of each patch, which show where in the cutout the member detects a lens.

        Parameters
        ----------
        X : ndarray of shape (n, 315)

        Returns
        -------
        ndarray of shape (n, 9), float64
            Log-odds of patch ``3 * row + column``. Use them to compare patches; their level is that of patches with the
            label of a lens.
        """
        X = self._rows(X)
        if not len(X):
            return np.empty((0, N_PATCHES))
        return self._raw(_instances(X)).reshape(len(X), N_PATCHES)

    def _read(self, folder: Path) -> None:
        self._check_top_k()
        super()._read(folder)

    def _check_top_k(self) -> None:
        if not isinstance(self.top_k, Integral) or not 1 <= self.top_k <= N_PATCHES:
            raise ValueError(
                f"The 'top_k' parameter must be from 1 to {N_PATCHES}, all patches. Got {self.top_k!r} instead."
            )

    def _learn(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        self._check_top_k()
        near = _plausibility(X) * (1.0 if weight is None else weight[:, None])
        self._grow(_instances(X), np.repeat(y, N_PATCHES), near.ravel())

    def _log_odds(self, X: np.ndarray) -> np.ndarray:
        scores = self.patch_log_odds(X)
        best, weight = self._pool(X, scores)
        return (np.take_along_axis(scores, best, axis=1) * weight).sum(axis=1)

    def _pool(self, X: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the patches (n, top_k) that decide the scores of their cutouts, and their weights."""
        best = np.argsort(-scores, axis=1, kind="stable")[:, : self.top_k]
        weight = np.take_along_axis(_plausibility(X), best, axis=1)
        return best, weight / weight.sum(axis=1, keepdims=True)

    def _contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        best, weight = self._pool(X, self.patch_log_odds(X))
        width = len(PATCH_FEATURE_NAMES)
        rows = np.arange(len(X))
        speaking = (N_PATCHES * rows[:, None] + best).ravel()
        found, base = self._raw_contributions(_instances(X)[speaking])
        # The three kinds of position describe one property of a patch, which is attributed to its own flag.
        position = found[:, _POSITION:].sum(axis=1)
        found[:, _POSITION:] = 0.0
        found[np.arange(len(found)), _POSITION + best.ravel()] = position
        values = np.zeros(X.shape)
        patches = values[:, :N_IMAGE_FEATURES].reshape(len(X), N_PATCHES, width)
        for k, part in enumerate(np.moveaxis(found.reshape(len(X), self.top_k, width), 1, 0)):
            patches[rows, best[:, k]] = weight[:, k, None] * part
        values[:, :N_IMAGE_FEATURES] = patches.reshape(len(X), N_IMAGE_FEATURES)
        return values, base


def _instances(X: np.ndarray) -> np.ndarray:
    """Return the patches (9 n, 34) of rows of features, folded to be invariant under turns of the cutout."""
    patches = X[:, :N_IMAGE_FEATURES].reshape(-1, len(PATCH_FEATURE_NAMES)).copy()
    kinds = patches[:, _POSITION:].copy()
    patches[:, _POSITION:] = 0.0
    for k, kind in enumerate(_KIND):
        patches[:, _POSITION + kind] += kinds[:, k]
    quarter = np.mod(patches[:, _ANGLE], np.float32(np.pi / 2))
    patches[:, _ANGLE] = np.minimum(quarter, np.float32(np.pi / 2) - quarter)
    return patches


def _plausibility(X: np.ndarray) -> np.ndarray:
    """Return a weight for the distance of each patch (n, 9) from the expected Einstein radius, from 0.05 to 1."""
    patches = X[:, :N_IMAGE_FEATURES].reshape(len(X), N_PATCHES, -1).astype(np.float64)
    distance = np.where(patches[:, :, _ELONGATION] > 0.0, patches[:, :, _ARC_DISTANCE], patches[:, :, _DISTANCE])
    off = np.log(np.maximum(distance, 1.0) / expected_einstein_radius(X[:, _RICHNESS])[:, None]) / _SCATTER
    return np.maximum(np.nan_to_num(np.exp(-0.5 * off**2)), 0.05)
