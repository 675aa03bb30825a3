"""How unusual a cutout is among a reference sample: a flag for the reviewer, never a part of the probability."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from gridlens._constants import IQR_PER_SIGMA

__all__ = ["Novelty"]


class Novelty(BaseEstimator):
    """Conformal p-values of the distance from a reference sample.

    Columns that hardly vary are left out; the others are centred on their median, divided by their interquartile range
    over 1.349 and clipped at ten, and NaN counts as the median. The distance is the squared Mahalanobis distance in at
    most 20 principal components, with the covariance of Ledoit and Wolf [1]_. One half of the reference determines all
    this; a new row is compared with the other half: its p-value is the fraction of those rows, and of itself, that are
    at least as distant [2]_. Among rows like the reference, a fraction of at most t has a p-value up to t.

    Parameters
    ----------
    n_components : int, default=20
        Largest number of principal components.
    random_state : int, default=0
        Seed of the split into halves.

    Attributes
    ----------
    columns_ : ndarray of int
        Columns that vary.
    distances_ : ndarray of shape (n / 2,), float64
        Squared distances of the second half, sorted.

    References
    ----------
    .. [1] Ledoit & Wolf 2004, Journal of Multivariate Analysis 88, 365.
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

    def __init__(self, n_components: int = 20, random_state: int = 0) -> None:
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: object = None) -> Self:
        """Learn from a reference sample.

        Parameters
        ----------
        X : ndarray of shape (n, k)
            Embeddings or features of a reference sample, at least 40 rows; rows of NaN only are left out.
        y : ignored

        Returns
        -------
        Self

        Raises
        ------
        ValueError
            Fewer rows, or no column that varies.
        """
        from sklearn.covariance import LedoitWolf
        from sklearn.decomposition import PCA

        X = np.asarray(validate_data(self, X, skip_check_array=True), dtype=np.float64)
        X = X[np.isfinite(X).any(axis=1)]
        if len(X) < 40:
            raise ValueError(
                f"The 'X' parameter must hold at least 40 rows with values, half to learn from. Got {len(X)} instead."
            )
        order = np.random.default_rng(self.random_state).permutation(len(X))
        learn, compare = X[order[::2]], X[order[1::2]]
        filled = np.where(np.isfinite(learn), learn, np.nan)
        some = np.isfinite(filled).any(axis=0)
        low, middle, high = (np.full(X.shape[1], np.nan) for _ in range(3))
        low[some], middle[some], high[some] = np.nanquantile(filled[:, some], [0.25, 0.5, 0.75], axis=0)
        spread = (high - low) / IQR_PER_SIGMA
        self.columns_ = np.flatnonzero(spread > 1e-9 * np.maximum(np.abs(middle), 1.0))
        if not len(self.columns_):
            raise ValueError("The 'X' parameter must have a column that varies. Got constant columns only.")
        self.center_, self.scale_ = middle[self.columns_], spread[self.columns_]
        n_components = min(self.n_components, len(self.columns_), len(learn) // 2)
        self.pca_ = PCA(n_components, random_state=self.random_state).fit(self._scaled(learn))
        self.covariance_ = LedoitWolf().fit(self.pca_.transform(self._scaled(learn)))
        self.distances_ = np.sort(self._distance(compare))
        return self

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        scaled = (X[:, self.columns_] - self.center_) / self.scale_
        return np.clip(np.nan_to_num(scaled, posinf=10.0, neginf=-10.0), -10.0, 10.0)

    def distance(self, X: np.ndarray) -> np.ndarray:
        """Return squared Mahalanobis distances (n,) from the reference; NaN for a row of NaN."""
        check_is_fitted(self, "covariance_")
        return self._distance(np.asarray(validate_data(self, X, skip_check_array=True, reset=False), dtype=np.float64))

    def _distance(self, X: np.ndarray) -> np.ndarray:
        found = np.full(len(X), np.nan)
        known = np.isfinite(X).any(axis=1)
        if known.any():
            found[known] = self.covariance_.mahalanobis(self.pca_.transform(self._scaled(X[known])))
        return found

    def p_values(self, X: np.ndarray) -> np.ndarray:
        """Return conformal p-values (n,) of rows (n, k), from ``1 / (n_compared + 1)`` to 1; NaN for a row of NaN."""
        distance = self.distance(X)
        n = len(self.distances_)
        at_least = n - np.searchsorted(self.distances_, distance, side="left")
        return np.where(np.isnan(distance), np.nan, (at_least + 1.0) / (n + 1.0))
