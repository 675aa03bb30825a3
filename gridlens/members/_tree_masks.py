"""LightGBM's trees as masks of leaves, and the scores that a kernel reads from them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from gridlens.members._threads import by_chunks
from gridlens.members._tree_arrays import DEFAULT_LEFT, MISSING_NAN, MISSING_ZERO, ZERO, once_per_booster, tree_arrays

__all__ = ["TreeMasks", "lightgbm_scores", "tree_masks"]

# Rows of one call of the kernel: their columns fit into the second cache.
_CHUNK = 256


class TreeMasks(NamedTuple):
    """Trees one after the other, whose leaves are numbered from left to right.

    Attributes
    ----------
    first : ndarray of shape (n_trees + 1,), int64
        Where the splits of each tree begin.
    feature : ndarray of shape (n_splits,), int32
    limit : ndarray of shape (n_splits,), float32
        A row goes left if its feature is at most this.
    nan_left : ndarray of shape (n_splits,), bool
    keep : ndarray of shape (n_splits,), uint32
        Bit j is 1 if a row that goes right here may fall into leaf j.
    value : ndarray of shape (n_trees, 32), float64
        Log-odds of leaf j in column ``SLOT[j]``.
    """

    first: np.ndarray
    feature: np.ndarray
    limit: np.ndarray
    nan_left: np.ndarray
    keep: np.ndarray
    value: np.ndarray


def lightgbm_scores(booster: Any, X: np.ndarray, n_jobs: int) -> np.ndarray:
    """Log-odds that a booster gives to rows: LightGBM's own to the bit, in a tenth of its time.

    Parameters
    ----------
    booster : lightgbm.Booster
    X : ndarray of shape (n, n_features), float32
    n_jobs : int
        Threads; -1 for all processors.

    Returns
    -------
    ndarray of shape (n,), float64

    Notes
    -----
    `benchmarks/trees.py` prints the ratio. Trees that `tree_masks` has no masks for are left to LightGBM.
    """
    from gridlens.members._tree_scores import tree_scores

    masks = tree_masks(booster)
    if masks is None:
        return np.asarray(booster.predict(X, raw_score=True, num_threads=n_jobs))
    total = np.zeros(len(X))

    def work(chunk: slice) -> None:
        tree_scores(np.ascontiguousarray(X[chunk].T), *masks, total[chunk])

    by_chunks(work, len(X), _CHUNK, n_jobs)
    return total


@once_per_booster
def tree_masks(booster: Any) -> TreeMasks | None:
    """Masks of a booster of numerical splits.

    None if a tree has a single leaf or more than 32, or a split takes 0 for unknown.
    """
    from gridlens.members._tree_scores import MOST_LEAVES, SLOT

    trees = tree_arrays(booster)
    n_trees, n_splits = len(trees.first) - 1, np.diff(trees.first)
    missing = trees.missing
    if n_trees != booster.num_trees() or n_splits.max(initial=0) >= MOST_LEAVES or (missing == MISSING_ZERO).any():
        return None
    keep = np.empty(len(trees.feature), dtype=np.uint32)
    value = np.zeros((n_trees, MOST_LEAVES))
    for k, (begin, end) in enumerate(pairwise(trees.first)):
        leaves, keep[begin:end] = _left_to_right(trees.left[begin:end].tolist(), trees.right[begin:end].tolist())
        value[k, SLOT[: len(leaves)]] = trees.value[begin + k : end + k + 1][leaves]
    # Where nothing was unknown in the training, LightGBM takes NaN for 0.
    nan_left = np.where(missing == MISSING_NAN, trees.decision & DEFAULT_LEFT, trees.threshold >= 0.0).astype(bool)
    return TreeMasks(trees.first, trees.feature, _limits(trees.threshold), nan_left, keep, value)


def _left_to_right(left: list[int], right: list[int]) -> tuple[list[int], list[int]]:
    """Leaves of one tree from left to right, and for each split the mask of those that are not on its left."""
    leaves: list[int] = []
    # How many leaves stand on the left of a split, and of its right child.
    before, between = [0] * len(left), [0] * len(left)
    waiting = [(0, False)]
    while waiting:
        split, left_is_done = waiting.pop()
        if split < 0:
            leaves.append(~split)
        elif left_is_done:
            between[split] = len(leaves)
            waiting.append((right[split], False))
        else:
            before[split] = len(leaves)
            waiting += [(split, True), (left[split], False)]
    return leaves, [~((1 << b) - (1 << a)) & 0xFFFFFFFF for a, b in zip(before, between, strict=True)]


def _limits(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 that goes left at each threshold (float64)."""
    # What is next to 0 goes where 0 goes.
    below = np.nextafter(np.float32(-ZERO), np.float32(-np.inf))
    near = (threshold >= -ZERO) & (threshold < ZERO)
    exact = np.where(near, np.where(threshold >= 0.0, ZERO, below), threshold)
    limit = exact.astype(np.float32)
    return np.where(limit > exact, np.nextafter(limit, np.float32(-np.inf)), limit)
