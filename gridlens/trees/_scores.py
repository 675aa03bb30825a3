"""The compiled part of the scores: which leaf of each tree a row falls into, many rows at once.

A split that a row goes right at rules out the leaves on its left, and the leaf that the row falls into is the first one
that no split has ruled out. So all splits of a tree are asked in a fixed order, for a block of rows side by side,
without a jump that depends on a number: QuickScorer (Lucchese et al. 2015, SIGIR, 73) in its form for vector units
(Lucchese et al. 2016, SIGIR, 833).

Plain arrays in and out, no global state, no GIL.
"""

import numpy as np

from gridlens._jit import entry

__all__ = ["SLOT", "tree_scores"]

# Rows side by side: their masks stay in the nearest cache.
_BLOCK = 128
_ALL = np.uint32(0xFFFFFFFF)
# Times this, a power of two below 2^32 has a different number from 0 to 31 in its highest five bits (a de Bruijn
# sequence: Leiserson, Prokop & Randall 1998, "Using de Bruijn sequences to index a 1 in a computer word").
_SEQUENCE = np.uint32(0x077CB531)
_SHIFT = np.uint32(27)
# Where the value of leaf j stands among the 32 of its tree, one for each bit of a mask.
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
                # NaN is neither above nor at most anything.
                if nan_left[p]:
                    for r in range(m):
                        left[r] &= mask if column[r] > at_most else _ALL
                else:
                    for r in range(m):
                        left[r] &= _ALL if column[r] <= at_most else mask
            for r in range(m):
                lowest = np.uint32(left[r] & (~left[r] + np.uint32(1)))
                out[begin + r] += value[k, np.uint32(lowest * _SEQUENCE) >> _SHIFT]
