"""What each column adds to the score of LightGBM's trees."""

from __future__ import annotations

from typing import Any

import numpy as np

from gridlens.members._threads import by_chunks

__all__ = ["lightgbm_contributions"]

# Rows of one call of the kernel, a multiple of its block: their columns fit into the second cache.
_CHUNK = 512


def lightgbm_contributions(booster: Any, X: np.ndarray, n_jobs: int) -> tuple[np.ndarray, float]:
    """Exact Shapley values of a booster's log-odds: the numbers of LightGBM's own `pred_contrib`, ten times as fast.

    Parameters
    ----------
    booster : lightgbm.Booster
    X : ndarray of shape (n, n_features)
    n_jobs : int
        Threads; -1 for all processors.

    Returns
    -------
    values : ndarray of shape (n, n_features), float64
    base : float
        Mean log-odds of the training rows.
    """
    from gridlens.members._tree_arrays import tree_arrays
    from gridlens.members._tree_shap import tree_shap

    trees = tree_arrays(booster)
    n_features = X.shape[1]
    # A path has no more features than the largest tree has splits.
    rules = _gauss_legendre((min(int(np.diff(trees.first).max(initial=1)), n_features) + 1) // 2)
    values = np.empty(X.shape)

    def work(chunk: slice) -> None:
        columns = np.ascontiguousarray(X[chunk].T, dtype=np.float64)
        found = np.zeros(columns.shape)
        tree_shap(columns, *trees[:-1], *rules, found)
        values[chunk] = found.T

    by_chunks(work, len(X), _CHUNK, n_jobs)
    return values, trees.base


def _gauss_legendre(most: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights (most, most) on 0 to 1, the rule of k points in row k - 1."""
    points, weights = np.full((2, most, most), np.nan)
    for k in range(1, most + 1):
        x, w = np.polynomial.legendre.leggauss(k)
        points[k - 1, :k], weights[k - 1, :k] = (x + 1.0) / 2.0, w / 2.0
    return points, weights
