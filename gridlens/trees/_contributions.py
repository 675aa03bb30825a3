"""Shapley values of trees, computed in batches of rows."""

from __future__ import annotations

import numpy as np

from gridlens.trees._threads import by_batches

__all__ = ["shap_values"]

Splits = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]

# Number of rows in one call of the kernel, a multiple of its block size: their columns fit into the second-level cache.
_BATCH = 512


def shap_values(splits: Splits, value: np.ndarray, cover: np.ndarray, rows: np.ndarray, n_jobs: int) -> np.ndarray:
    """Return the Shapley values (n, n_features) of validated trees, float64.

    Parameters
    ----------
    splits : tuple of 6 ndarrays
        ``first, feature, threshold, nan_left, left, right`` of a `Trees` object.
    value, cover : ndarray
        Attributes of the same object.
    rows : ndarray of shape (n, n_features), float32
    n_jobs : int
        Number of threads; -1 uses all processors.
    """
    from gridlens.trees._shap import tree_shap

    n_features = rows.shape[1]
    # A path has at most as many features as the largest tree has splits.
    points, weights = _gauss_legendre((min(int(np.diff(splits[0]).max(initial=1)), n_features) + 1) // 2)
    leaves = value.astype(np.float64, copy=False)
    values = np.empty(rows.shape)

    def work(batch: slice) -> None:
        columns = np.ascontiguousarray(rows[batch].T)
        found = np.zeros(columns.shape)
        tree_shap(columns, *splits, leaves, cover, points, weights, found)
        values[batch] = found.T

    by_batches(work, len(rows), _BATCH, n_jobs)
    return values


def _gauss_legendre(most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points and weights (most, most) on 0 to 1, with the rule of k points in row k - 1."""
    points, weights = np.full((2, max(most, 1), max(most, 1)), np.nan)
    for k in range(1, most + 1):
        x, w = np.polynomial.legendre.leggauss(k)
        points[k - 1, :k], weights[k - 1, :k] = (x + 1.0) / 2.0, w / 2.0
    return points, weights
