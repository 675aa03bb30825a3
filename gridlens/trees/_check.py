"""Validation of tree arrays, so that kernels can traverse them without checking each index."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["check_trees"]

# LightGBM's own limit is 131,072 leaves. It limits the time for one tree.
_MOST_SPLITS = 2**17 - 1
_MOST_FEATURES = 10**6


def check_trees(trees: Any) -> None:
    """Raise ValueError unless the arrays of a `Trees` object describe valid trees.

    Every index must be within its array, every split except a root and every leaf must be the child of exactly one
    earlier split, and every score must be finite.
    """
    first, n_splits = trees.first, len(trees.feature)
    _expect(len(first) > 1 and first[0] == 0 and first[-1] == n_splits, "first must lead from 0 to the last split")
    sizes = np.diff(first)
    _expect(bool(((sizes >= 0) & (sizes <= _MOST_SPLITS)).all()), f"a tree must have from 0 to {_MOST_SPLITS} splits")
    for name in ("threshold", "nan_left", "left", "right"):
        _expect(len(getattr(trees, name)) == n_splits, f"{name} must contain a value for each of {n_splits} splits")
    n_leaves = n_splits + len(sizes)
    for name in ("value", "cover"):
        _expect(len(getattr(trees, name)) == n_leaves, f"{name} must contain a value for each of {n_leaves} leaves")
    _expect(0 < trees.n_features <= _MOST_FEATURES, f"n_features must be from 1 to {_MOST_FEATURES}")
    columns = (trees.feature >= 0) & (trees.feature < trees.n_features)
    _expect(bool(columns.all()), f"a split is on a column outside the {trees.n_features} features")
    _expect(not np.isnan(trees.threshold).any(), "a threshold is NaN")
    _check_children(first, sizes, trees.left, trees.right)
    _check_leaves(trees)


def _check_children(first: np.ndarray, sizes: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    tree_of = np.repeat(np.arange(len(sizes)), sizes)
    parent = np.arange(len(left)) - first[tree_of]
    child = np.concatenate([left, right]).astype(np.int64)
    parent, tree_of = np.tile(parent, 2), np.tile(tree_of, 2)
    # A child split comes after its parent, which excludes cycles.
    inner, leaf = child >= 0, ~child
    there = np.where(inner, (child > parent) & (child < sizes[tree_of]), leaf <= sizes[tree_of])
    _expect(bool(there.all()), "a split has a missing child")
    # n splits have 2 n children: the n + 1 leaves and the n - 1 splits with a parent.
    for chosen, place, offset in ((inner, child, first), (~inner, leaf, first + np.arange(len(first)))):
        used = offset[tree_of[chosen]] + place[chosen]
        _expect(len(np.unique(used)) == len(used), "two splits share a child")


def _check_leaves(trees: Any) -> None:
    _expect(math.isfinite(trees.start) and bool(np.isfinite(trees.value).all()), "a score is not finite")
    leaves = trees.first + np.arange(len(trees.first))
    with np.errstate(over="ignore"):
        largest = np.maximum.reduceat(np.abs(trees.value), leaves[:-1]).sum(dtype=trees.value.dtype)
        largest += np.asarray(abs(trees.start), trees.value.dtype)
    _expect(bool(np.isfinite(largest)), "the sum of the leaves is too large")
    with np.errstate(over="ignore"):
        covered = trees.cover.sum()
    _expect(bool((trees.cover > 0.0).all()) and bool(np.isfinite(covered)), "a cover is not above 0")


def _expect(true: bool, what: str) -> None:
    if not true:
        raise ValueError(f"The trees cannot be used: {what}.")
