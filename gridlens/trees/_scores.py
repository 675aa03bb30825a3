"""Compiled kernel for scores: it finds the leaf of each tree for many rows at once.

If a row goes right at a split, the leaves on its left are excluded, and the leaf of the row is the first one that is
not excluded by any split. All splits of a tree are therefore evaluated in a fixed order, for a block of rows side by
side and without data-dependent branches: QuickScorer (Lucchese et al. 2015, SIGIR, 73) in its vectorised form (Lucchese
et al. 2016, SIGIR, 833).

Takes and returns plain arrays, keeps no global state and releases the GIL.
"""

import numpy as np

from gridlens._jit import entry

__all__ = ["SLOT", "tree_scores"]

# Number of rows side by side: their masks stay in the first-level cache.
_BLOCK = 128
_ALL = np.uint32(0xFFFFFFFF)
# Multiplied by this, each power of two below 2^32 has a different number from 0 to 31 in its highest five bits (a de
# Bruijn sequence: Leiserson, Prokop & Randall 1998, "Using de Bruijn sequences to index a 1 in a computer word").
_SEQUENCE = np.uint32(0x077CB531)
_SHIFT = np.uint32(27)
# Index of the value of leaf j among the 32 of its tree, one for each bit of a mask.
SLOT = (np.left_shift(np.uint32(1), np.arange(32, dtype=np.uint32)) * _SEQUENCE) >> _SHIFT


@entry
def tree_scores(columns, first, feature, threshold, nan_left, keep, value, out):
    """Add the values of the leaves of all trees to `out`, tree by tree.

    Parameters
    ----------
    columns : ndarray of shape (n_features, n), float32
        Rows of features, transposed.
    first, feature, threshold, nan_left, keep, value : ndarray
        See `TreeMasks`.
    out : ndarray of shape (n,), of the type of `value`
    """
    n = columns.shape[1]
    left = np.empty(_BLOCK, np.uint32)
    for begin in range(0, n, _BLOCK):
        m = min(_BLOCK, n - begin)
        for k in range(first.shape[0] - 1):
            left[:] = _ALL
            for p in range(first[k], first[k + 1]):
                column, at_most, mask = columns[feature[p], begin : begin + m], threshold[p], keep[p]
                # Comparisons with NaN are false.
                if nan_left[p]:
                    for r in range(m):
                        left[r] &= mask if column[r] > at_most else _ALL
                else:
                    for r in range(m):
                        left[r] &= _ALL if column[r] <= at_most else mask
            for r in range(m):
                lowest = np.uint32(left[r] & (~left[r] + np.uint32(1)))
                out[begin + r] += value[k, np.uint32(lowest * _SEQUENCE) >> _SHIFT]
