"""Distance of a cutout from a reference sample: a flag for reviewers that does not affect the probability."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from gridlens._constants import IQR_PER_SIGMA
from gridlens._npz import read_npz

__all__ = ["Novelty"]

_FEWEST_ROWS = 40
# Values are clipped at this number of scales, beyond which they only mean "far".
_FARTHEST = 5.0
# Number of rows in a batch, whose distances to all neighbours are in memory at once.
_BLOCK_ROWS = 1024
_STORED = ("columns", "center", "scale", "mean", "components", "neighbors", "distances", "n_neighbors", "n_features")


class Novelty(BaseEstimator):
    """Conformal p-values of the distance from a reference sample.

    Constant columns are left out; the others are centred on their median, divided by their interquartile range over
    1.349 (by their standard deviation if that range is 0) and clipped at five, and NaN counts as the median. They are
    transformed to at most `n_components` principal components of unit variance. The distance of a row is its mean
    distance from the nearest rows of one half of the reference [1]_. A new row is compared with the other half: its
    p-value is the fraction of those rows, including itself, that are at least as distant [2]_. Among rows like the
    reference, a fraction of at most t has a p-value up to t.

    Parameters
    ----------
    n_components : int, default=40
        Largest number of principal components.
    n_neighbors : int, default=5
        Number of nearest rows whose distances are averaged.
    random_state : int, default=0
        Random seed of the split into halves.

    Attributes
    ----------
    columns_ : ndarray of int64
        Columns that are not constant.
    center_, scale_ : ndarray of shape (n_columns,), float64
        Their median and spread.
    mean_ : ndarray of shape (n_columns,), float64
        Mean of the scaled columns.
    components_ : ndarray of shape (n_components, n_columns), float64
        Principal components, each divided by the standard deviation along it.
    neighbors_ : ndarray of shape (n / 2, n_components), float16
        First half of the reference.
    distances_ : ndarray of shape (n / 2,), float32
        Sorted distances of the second half.
    n_features_in_ : int

    References
    ----------
    .. [1] Sun, Ming, Zhu & Li 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML.
    .. [2] Vovk, Gammerman & Shafer 2005, "Algorithmic Learning in a Random World".

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.members import Novelty
    >>> rng = np.random.default_rng(0)
    >>> novelty = Novelty().fit(rng.normal(size=(1000, 30)))
    >>> p = novelty.p_values(np.vstack([np.zeros(30), np.full(30, 5.0)]))
    >>> bool(p[0] > 0.5), bool(p[1] < 0.01)
    (True, True)
    """

    def __init__(self, n_components: int = 40, n_neighbors: int = 5, random_state: int = 0) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: object = None) -> Self:
        """Fit the detector to a reference sample.

        Parameters
        ----------
        X : ndarray of shape (n, k)
            Embeddings or features of a reference sample, at least 40 rows; rows with only NaN are left out.
        y : ignored

        Returns
        -------
        Self

        Raises
        ------
        ValueError
            If there are fewer rows, no column that varies, or more neighbours than half of the rows.
        """
        X = np.asarray(validate_data(self, X, skip_check_array=True), dtype=np.float64)
        X = X[np.isfinite(X).any(axis=1)]
        if len(X) < _FEWEST_ROWS:
            raise ValueError(
                f"The 'X' parameter must contain at least {_FEWEST_ROWS} rows with values. Got {len(X)} instead."
            )
        if not 1 <= self.n_neighbors <= len(X) // 2:
            raise ValueError(
                f"The 'n_neighbors' parameter must be from 1 to {len(X) // 2}, half of the number of rows. Got "
                f"{self.n_neighbors!r} instead."
            )
        order = np.random.default_rng(self.random_state).permutation(len(X))
        learn, compare = X[order[::2]], X[order[1::2]]
        self._learn_scales(learn)
        self._learn_components(self._scaled(learn))
        self.neighbors_ = self._components(learn).astype(np.float16)
        self.distances_ = np.sort(self._distance(compare))
        return self

    def _learn_scales(self, learn: np.ndarray) -> None:
        filled = np.where(np.isfinite(learn), learn, np.nan)
        some = np.isfinite(filled).any(axis=0)
        low, middle, high, sigma = (np.full(learn.shape[1], np.nan) for _ in range(4))
        low[some], middle[some], high[some] = np.nanquantile(filled[:, some], [0.25, 0.5, 0.75], axis=0)
        sigma[some] = np.nanstd(filled[:, some], axis=0)
        least = 1e-9 * np.maximum(np.abs(middle), 1.0)
        spread = (high - low) / IQR_PER_SIGMA
        # If most rows share one value, all quartiles may equal it.
        spread = np.where(spread > least, spread, sigma)
        self.columns_ = np.flatnonzero(spread > least)
        if not len(self.columns_):
            raise ValueError("The 'X' parameter must have a column that varies. Got only constant columns instead.")
        self.center_, self.scale_ = middle[self.columns_], spread[self.columns_]

    def _learn_components(self, scaled: np.ndarray) -> None:
        self.mean_ = scaled.mean(axis=0)
        variance, directions = np.linalg.eigh(np.atleast_2d(np.cov(scaled, rowvar=False)))
        kept = np.arange(len(variance))[::-1][: min(self.n_components, len(scaled) // 2)]
        kept = kept[variance[kept] > 1e-9 * variance[-1]]
        self.components_ = (directions[:, kept] / np.sqrt(variance[kept])).T.copy()

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        scaled = (X[:, self.columns_] - self.center_) / self.scale_
        return np.clip(np.nan_to_num(scaled, posinf=_FARTHEST, neginf=-_FARTHEST), -_FARTHEST, _FARTHEST)

    def _components(self, X: np.ndarray) -> np.ndarray:
        scaled = self._scaled(X) - self.mean_
        # A matrix product would round differently for different numbers of rows.
        return np.stack([(scaled * component).sum(axis=1) for component in self.components_], axis=1)

    def distance(self, X: np.ndarray) -> np.ndarray:
        """Return the mean distances (n,) from the nearest rows of the reference; NaN for a NaN row."""
        check_is_fitted(self, "distances_")
        return self._distance(np.asarray(validate_data(self, X, skip_check_array=True, reset=False), dtype=np.float64))

    def _distance(self, X: np.ndarray) -> np.ndarray:
        from scipy.spatial.distance import cdist

        found = np.full(len(X), np.nan, dtype=np.float32)
        known = np.flatnonzero(np.isfinite(X).any(axis=1))
        for start in range(0, len(known), _BLOCK_ROWS):
            rows = known[start : start + _BLOCK_ROWS]
            away = cdist(self._components(X[rows]), self.neighbors_.astype(np.float64))
            nearest = np.partition(away, self.n_neighbors - 1, axis=1)[:, : self.n_neighbors]
            found[rows] = np.sort(nearest, axis=1).mean(axis=1)
        return found

    def p_values(self, X: np.ndarray) -> np.ndarray:
        """Return conformal p-values (n,) of rows (n, k), from ``1 / (n_compared + 1)`` to 1; NaN for a NaN row."""
        distance = self.distance(X)
        n = len(self.distances_)
        at_least = n - np.searchsorted(self.distances_, distance, side="left")
        return np.where(np.isnan(distance), np.nan, (at_least + 1.0) / (n + 1.0))

    def save(self, path: Path) -> None:
        """Save the reference sample as an uncompressed npz file; equal samples give identical files.

        Parameters
        ----------
        path : Path
            Path with the suffix ``.npz``.
        """
        check_is_fitted(self, "distances_")
        arrays: dict[str, Any] = {name: np.ravel(getattr(self, f"{name}_")) for name in _STORED[:-2]}
        np.savez(path, **arrays, n_neighbors=np.array(self.n_neighbors), n_features=np.array(self.n_features_in_))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load and validate a reference sample that `save` wrote.

        Parameters
        ----------
        path : Path
            A file from any source: it is not unpickled, and damaged or malicious content raises an error.

        Returns
        -------
        Novelty
            Its p-values are bit-identical to those of the saved one.

        Raises
        ------
        ValueError
            If the file is damaged, or its arrays are inconsistent.
        OSError
            If the file cannot be read.
        """
        stored = read_npz(path, _STORED)
        if any(stored[name].ndim for name in _STORED[-2:]) or any(stored[name].ndim != 1 for name in _STORED[:-2]):
            raise ValueError("The counts must be single numbers, and the other arrays one-dimensional.")
        if any(stored[name].dtype.kind not in "iu" for name in ("columns", "n_neighbors", "n_features")):
            raise ValueError("The columns and the counts must be whole numbers.")
        if not all(np.isfinite(values).all() for values in stored.values()):
            raise ValueError("The arrays must be finite.")
        n_columns, n_neighbors = len(stored["columns"]), int(stored["n_neighbors"])
        n_components = len(stored["components"]) // max(n_columns, 1)
        found = cls(n_neighbors=n_neighbors)
        found.n_features_in_ = int(stored["n_features"])
        found.columns_ = stored["columns"].astype(np.int64)
        found.center_, found.scale_, found.mean_ = (
            stored[name].astype(np.float64) for name in ("center", "scale", "mean")
        )
        found.distances_ = stored["distances"].astype(np.float32)
        lengths = {len(found.center_), len(found.scale_), len(found.mean_), n_columns}
        if lengths != {n_columns} or not 0 < n_components <= n_columns:
            raise ValueError("The columns, their scales and the components must be consistent.")
        if (np.diff(found.columns_) <= 0).any() or found.columns_[0] < 0 or found.columns_[-1] >= found.n_features_in_:
            raise ValueError("The columns must increase and be among those of the rows.")
        if not (found.scale_ > 0.0).all():
            raise ValueError("The spreads of the columns must be above 0.")
        if not len(found.distances_) or (np.diff(found.distances_) < 0.0).any():
            raise ValueError("The distances must increase.")
        found.components_ = stored["components"].astype(np.float64).reshape(n_components, n_columns)
        found.neighbors_ = stored["neighbors"].astype(np.float16).reshape(-1, n_components)
        if not 1 <= n_neighbors <= len(found.neighbors_):
            raise ValueError("There must be at least as many neighbours as are averaged.")
        return found
