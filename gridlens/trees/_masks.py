"""Trees as masks of leaves, and their scores with a kernel."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from gridlens.trees._threads import by_batches

__all__ = ["TreeMasks", "masked_scores", "tree_masks"]

# Number of rows in one call of the kernel: their columns fit into the second-level cache.
_BATCH = 256
# Number of bits of a mask.
_MOST_LEAVES = 32


class TreeMasks(NamedTuple):
    """Sequence of trees whose leaves are numbered from left to right.

    Attributes
    ----------
    first, feature, threshold, nan_left : ndarray
        As in `Trees`.
    keep : ndarray of shape (n_splits,), uint32
        Bit j is 1 if a row that goes right at this split may reach leaf j.
    value : ndarray of shape (n_trees, 32), float64 or float32
        Value of leaf j in column ``SLOT[j]``.
    """

    first: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    nan_left: np.ndarray
    keep: np.ndarray
    value: np.ndarray


def masked_scores(masks: TreeMasks, rows: np.ndarray, total: np.ndarray, n_jobs: int) -> None:
    """Add the scores of `rows` (n, n_features), float32, to `total` (n,) in `n_jobs` threads."""
    from gridlens.trees._scores import tree_scores

    def work(batch: slice) -> None:
        tree_scores(np.ascontiguousarray(rows[batch].T), *masks, total[batch])

    by_batches(work, len(rows), _BATCH, n_jobs)


def tree_masks(
    first: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    nan_left: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
) -> TreeMasks | None:
    """Return the masks of validated trees; None if a tree has more than 32 leaves."""
    if np.diff(first).max(initial=0) >= _MOST_LEAVES:
        return None
    from gridlens.trees._scores import SLOT

    keep = np.empty(len(feature), dtype=np.uint32)
    slots = np.zeros((len(first) - 1, _MOST_LEAVES), dtype=value.dtype)
    for k, (begin, end) in enumerate(pairwise(first)):
        leaves, keep[begin:end] = _left_to_right(left[begin:end].tolist(), right[begin:end].tolist())
        slots[k, SLOT[: len(leaves)]] = value[begin + k : end + k + 1][leaves]
    return TreeMasks(first, feature, threshold, nan_left, keep, slots)


def _left_to_right(left: list[int], right: list[int]) -> tuple[list[int], list[int]]:
    """Return the leaves of one tree from left to right, and for each split the mask of those not on its left."""
    if not left:
        return [0], []
    leaves: list[int] = []
    # Numbers of leaves to the left of a split, and of its right child.
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
