"""Compiled kernel for contributions: exact Shapley values of boosted trees, many rows at once.

The value of a set of features for a tree is the mean of its leaves over the training rows, where splits on features of
the set follow the row, and splits on other features are passed in proportion to the training rows: the path-dependent
TreeSHAP of Lundberg et al. 2020, Nature Machine Intelligence 2, 56. For one leaf this is a product over the features on
its path, and the Shapley value of feature i in a product game is (Owen 1972, Management Science 18, 64)

    phi_i = leaf (o_i - z_i) int_0^1 prod_{j != i} (z_j (1 - t) + o_j t) dt,

where o is 1 if the row passes all splits on the feature along the path and otherwise 0, and z is the fraction of
training rows that do. The integrand is a polynomial, so a Gauss-Legendre rule with half as many points as features on
the path is exact. Products are computed down the tree and sums of leaves up the tree, once at every point: the work per
tree is proportional to its leaves, not to its leaves times the square of its depth, and the same operations run on a
block of rows side by side.

Takes and returns plain arrays, keeps no global state and releases the GIL.
"""

import numpy as np

from gridlens._jit import entry, jit

__all__ = ["tree_shap"]

# Number of rows side by side: the data of a tree for them fit into the first-level cache.
_BLOCK = 32


@entry
def tree_shap(columns, first, feature, threshold, nan_left, left, right, value, cover, points, weights, out):
    """Add the Shapley values of all trees to `out`.

    Parameters
    ----------
    columns : ndarray of shape (n_features, n), float32
        Rows of features, transposed.
    first, feature, threshold, nan_left, left, right, value, cover : ndarray
        See `Trees`; values are float64.
    points, weights : ndarray of shape (k, k), float64
        Row ``k - 1`` has the Gauss-Legendre rule of k points on 0 to 1; there must be enough for the deepest path.
    out : ndarray of shape (n_features, n), float64
    """
    n_rows = columns.shape[1]
    most = 1
    for k in range(first.shape[0] - 1):
        most = max(most, first[k + 1] - first[k])
    n_nodes = 2 * most + 1
    parent, prior, depth = np.empty(n_nodes, np.int64), np.empty(n_nodes, np.int64), np.empty(n_nodes, np.int64)
    held, fraction = np.empty(n_nodes), np.empty(n_nodes)
    passes, product = np.empty((n_nodes, _BLOCK)), np.empty((n_nodes, _BLOCK))
    gain = np.empty((n_nodes, _BLOCK))
    for k in range(first.shape[0] - 1):
        begin, end = first[k], first[k + 1]
        # A tree with a single leaf gives the same value for every row.
        if begin == end:
            continue
        splits, leaves = slice(begin, end), slice(begin + k, end + k + 1)
        names, lefts, rights = feature[splits], left[splits], right[splits]
        n_points = link(names, lefts, rights, cover[leaves], parent, prior, depth, held, fraction)
        for start in range(0, n_rows, _BLOCK):
            rows = slice(start, min(start + _BLOCK, n_rows))
            walk(columns[:, rows], names, threshold[splits], nan_left[splits], lefts, rights, prior, passes)
            add_up(
                names,
                value[leaves],
                parent,
                prior,
                fraction,
                passes,
                points[n_points - 1, :n_points],
                weights[n_points - 1, :n_points],
                product,
                gain,
                out[:, rows],
            )


@jit
def link(names, lefts, rights, cover, parent, prior, depth, held, fraction):
    """Fill the arrays that only depend on the tree, and return the number of points for its deepest path.

    Nodes are its splits, then its leaves. `prior` is the nearest node above whose edge depends on the same feature (-1
    if there is none), `fraction` the fraction of training rows that pass all such edges down to this node.
    """
    m = names.shape[0]
    for j in range(m + 1):
        held[m + j] = cover[j]
    # A child split comes after its parent.
    for p in range(m - 1, -1, -1):
        a, b = lefts[p], rights[p]
        held[p] = held[a if a >= 0 else m - 1 - a] + held[b if b >= 0 else m - 1 - b]
    parent[0], prior[0], depth[0] = -1, -1, 0
    deepest = 0
    for p in range(m):
        for side in range(2):
            child = lefts[p] if side == 0 else rights[p]
            v = child if child >= 0 else m - 1 - child
            parent[v] = p
            # The edge into `above` is a split on the feature of its parent.
            above = np.int64(p)
            while above > 0 and names[parent[above]] != names[p]:
                above = parent[above]
            prior[v] = above if above > 0 else -1
            fraction[v] = held[v] / held[p] * (fraction[above] if above > 0 else 1.0)
            depth[v] = depth[p] + (0 if above > 0 else 1)
            deepest = max(deepest, depth[v])
    return (deepest + 1) // 2


@jit
def walk(columns, names, threshold, nan_left, lefts, rights, prior, passes):
    """Fill `passes` with 1 where a row passes a node's edge and those above it on the same feature, else with 0."""
    m, n = names.shape[0], columns.shape[1]
    for p in range(m):
        a, b = lefts[p], rights[p]
        go_left, go_right = passes[a if a >= 0 else m - 1 - a], passes[b if b >= 0 else m - 1 - b]
        column, limit = columns[names[p]], threshold[p]
        missing_left = 1.0 if nan_left[p] else 0.0
        for r in range(n):
            x = column[r]
            go_left[r] = missing_left if np.isnan(x) else (1.0 if x <= limit else 0.0)
            go_right[r] = 1.0 - go_left[r]
        # Both children have the same edges above them.
        above = prior[a if a >= 0 else m - 1 - a]
        if above >= 0:
            for r in range(n):
                go_left[r] *= passes[above, r]
                go_right[r] *= passes[above, r]


@jit
def add_up(names, value, parent, prior, fraction, passes, points, weights, product, gain, out):
    """Add the Shapley values of one tree for a block of rows to `out`."""
    m, n = names.shape[0], out.shape[1]
    for v in range(1, 2 * m + 1):
        for r in range(n):
            gain[v, r] = 0.0
    for q in range(points.shape[0]):
        t, weight = points[q], weights[q]
        out_of = 1.0 - t
        none = -1.0 / out_of  # (o - z) / (z (1 - t) + o t) for o = 0
        for r in range(n):
            product[0, r] = weight
        for v in range(1, 2 * m + 1):
            mine, above, o = product[v], product[parent[v]], passes[v]
            z = fraction[v] * out_of
            before = prior[v]
            if before < 0:
                for r in range(n):
                    mine[r] = above[r] * (z + o[r] * t)
            else:
                o_before = passes[before]
                z_before = fraction[before] * out_of
                inverse = 1.0 / z_before
                step = 1.0 / (z_before + t) - inverse
                for r in range(n):
                    mine[r] = above[r] * (z + o[r] * t) * (inverse + o_before[r] * step)
        for j in range(m + 1):
            mine, leaf = product[m + j], value[j]
            for r in range(n):
                mine[r] *= leaf
        for p in range(m):
            for r in range(n):
                product[p, r] = 0.0
        for v in range(2 * m, 0, -1):
            mine, above, o, mean = product[v], product[parent[v]], passes[v], gain[v]
            z = fraction[v]
            step = (1.0 - z) / (z * out_of + t) - none
            before = prior[v]
            if before < 0:
                for r in range(n):
                    above[r] += mine[r]
                    mean[r] += mine[r] * (none + o[r] * step)
            else:
                o_before = passes[before]
                z_before = fraction[before]
                step_before = (1.0 - z_before) / (z_before * out_of + t) - none
                for r in range(n):
                    above[r] += mine[r]
                    mean[r] += mine[r] * (o[r] * step - o_before[r] * step_before)
    for v in range(1, 2 * m + 1):
        total, mean = out[names[parent[v]]], gain[v]
        for r in range(n):
            total[r] += mean[r]
