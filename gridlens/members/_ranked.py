"""Patches sorted by their arc candidates, so that the position of an arc does not matter."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gridlens.features._candidates import arc_scores
from gridlens.features._contract import (
    METADATA_NAMES,
    N_IMAGE_FEATURES,
    N_PATCHES,
    PATCH_FEATURE_GROUPS,
    PATCH_FEATURE_NAMES,
)
from gridlens.members._features import ExplainedMember
from gridlens.members._trees import SampledTrees

__all__ = ["RankedMember", "rank_patches"]

# The angle about the BCG and the flags of position only describe where a patch is.
_KEPT = np.array(
    [
        k
        for k, name in enumerate(PATCH_FEATURE_NAMES)
        if name != "bcg_angle" and PATCH_FEATURE_GROUPS[name] != "position"
    ]
)


def rank_patches(X: np.ndarray) -> np.ndarray:
    """Sort the patches of feature rows by the score of the arc candidate that they show, the best first.

    Patches without a candidate follow, those with more edges first. All flips and quarter turns of a cutout give the
    same row.

    Parameters
    ----------
    X : ndarray of shape (n, 315)

    Returns
    -------
    ndarray of shape (n, 226), of the dtype of `X`
        The 24 features of each patch that do not describe its position, then the score of the best patch's candidate
        (-1 if there is none), then the nine metadata. NaN rows stay NaN.
    """
    scores = arc_scores(X)
    patches = X[:, :N_IMAGE_FEATURES].reshape(len(X), N_PATCHES, len(PATCH_FEATURE_NAMES))
    order = _order(patches, scores)
    ranked = np.take_along_axis(patches, order[:, :, None], axis=1)[:, :, _KEPT].reshape(len(X), -1)
    best = scores.max(axis=1, keepdims=True).astype(X.dtype)
    best[~np.isfinite(X).any(axis=1)] = np.nan
    return np.concatenate([ranked, best, X[:, N_IMAGE_FEATURES:]], axis=1)


def _order(patches: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the order of the patches (n, 9), with the best candidate first."""
    edges = patches[:, :, PATCH_FEATURE_NAMES.index("edge_density")]
    return np.lexsort((-edges, -scores), axis=1)


@dataclass(eq=False, repr=False, kw_only=True)
class RankedMember(SampledTrees, ExplainedMember):
    """LightGBM on patches that are sorted by their arc candidates, so that position does not matter.

    The patches of a row are sorted by the score of the arc candidate that they show, the best first, and those without
    a candidate by their edges. Sorted rows are the same for all orientations of a cutout, so turned copies are not
    needed.

    Parameters
    ----------
    n_estimators : int, default=600
    learning_rate : float, default=0.05
    min_child_samples : int, default=20
    num_leaves, colsample_bytree, subsample, extra_trees, reg_lambda, n_jobs, random_state
        As in `LightGBMMember`, with the same defaults.

    Attributes
    ----------
    trees_ : gridlens.trees.Trees
        Trees on sorted rows: 24 features of each patch (all except `bcg_angle` and the flags of position), the score of
        the best candidate, and nine metadata. `booster()` returns them as a booster of LightGBM.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.members import RankedMember
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 315)).astype(np.float32)
    >>> y = (X[:, 0] > 0).astype(int)
    >>> RankedMember(n_estimators=20).fit(X, y).predict_proba(X[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "ranked"
    # See `rank_patches`.
    _n_columns: ClassVar[int] = N_PATCHES * len(_KEPT) + 1 + len(METADATA_NAMES)

    n_estimators: int = 600
    min_child_samples: int = 20

    def _learn(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        self._grow(rank_patches(X), y, weight)

    def _log_odds(self, X: np.ndarray) -> np.ndarray:
        return self._raw(rank_patches(X))

    def _contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        found, base = self._raw_contributions(rank_patches(X))
        n = len(X)
        patches = X[:, :N_IMAGE_FEATURES].reshape(n, N_PATCHES, len(PATCH_FEATURE_NAMES))
        order = _order(patches, arc_scores(X))
        values = np.zeros(patches.shape)
        n_ranked = N_PATCHES * len(_KEPT)
        ranked = found[:, :n_ranked].reshape(n, N_PATCHES, len(_KEPT))
        for k, part in enumerate(np.moveaxis(ranked, 1, 0)):
            values[np.arange(n)[:, None], order[:, k, None], _KEPT] = part
        # The score of the best candidate depends on its features and is attributed to the first of them.
        values[np.arange(n), order[:, 0], PATCH_FEATURE_NAMES.index("arcness")] += found[:, n_ranked]
        metadata = found[:, n_ranked + 1 :]
        return np.concatenate([values.reshape(n, N_IMAGE_FEATURES), metadata], axis=1), base
