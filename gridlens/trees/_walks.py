"""Compiled kernel for scores of large trees: each row is followed from the root of each tree to a leaf.

Takes and returns plain arrays, keeps no global state and releases the GIL.
"""

import numpy as np

from gridlens._jit import entry

__all__ = ["tree_walks"]


@entry
def tree_walks(rows, first, feature, threshold, nan_left, left, right, value, out):
    """Add the values of the leaves of all trees to `out`, tree by tree.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features), float32
    first, feature, threshold, nan_left, left, right, value : ndarray
        See `Trees`.
    out : ndarray of shape (n,), of the type of `value`
    """
    for k in range(first.shape[0] - 1):
        begin = first[k]
        root = 0 if first[k + 1] > begin else -1
        for r in range(rows.shape[0]):
            place = root
            while place >= 0:
                split = begin + place
                x = rows[r, feature[split]]
                goes_left = nan_left[split] if np.isnan(x) else x <= threshold[split]
                place = left[split] if goes_left else right[split]
            out[r] += value[begin + k - place - 1]
