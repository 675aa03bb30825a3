"""What members on rows of numbers have in common: checks, rejected rows, files."""

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from gridlens._groups import group_of_each
from gridlens.features import FEATURE_NAMES

__all__ = ["ExplainedMember", "FeatureMember"]

_PARAMETER_FILE = "parameters.json"
_BLOCK_ROWS = 8192


class FeatureMember(ClassifierMixin, BaseEstimator):
    """A member of the stack that looks at the 315 features, or at rows that it makes in `_rows`.

    Subclasses learn in `_learn`, score in `_log_odds`, and write and read what they learned in `_write` and `_read`.
    """

    consumes: ClassVar[Literal["features", "cutouts"]] = "features"

    def fit(
        self,
        X: Any,
        y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> Self:
        """Learn from features.

        Parameters
        ----------
        X : ndarray of shape (n, 315)
            NaN is a value like another.
        y : ndarray of shape (n,)
            1 for a (labelled) lens, 0 for the rest.
        sample_weight : ndarray of shape (n,), default=None
        groups : ndarray of shape (n,), default=None
            Rows with one value are views of one cluster; None makes each row one of its own.

        Returns
        -------
        Self

        Raises
        ------
        ValueError
            `y` does not hold both 0 and 1, or its length is not that of `X`.
        """
        X, y = self._rows(X), np.asarray(y)
        if y.shape != (len(X),) or set(np.unique(y).tolist()) != {0, 1}:
            raise ValueError(
                f"The 'y' parameter must hold one 0 or 1 for each of the {len(X)} rows, and both must occur. "
                f"Got shape {y.shape} with the values {np.unique(y)[:5].tolist()} instead."
            )
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        self._learn(X, y, weight, np.arange(len(X)) if groups is None else group_of_each(groups))
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = X.shape[1]
        return self

    def _rows(self, X: Any) -> np.ndarray:
        """Rows (n, k) of float32 that the member learns from and scores."""
        return np.asarray(X, dtype=np.float32)

    @abstractmethod
    def _learn(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        """Set what is learned, attributes that end in an underscore."""

    @abstractmethod
    def _log_odds(self, X: np.ndarray) -> np.ndarray:
        """Log-odds (n,) of a lens, n at least 1."""

    @abstractmethod
    def _write(self, folder: Path) -> None:
        """Write what was learned, as data."""

    @abstractmethod
    def _read(self, folder: Path) -> None:
        """Set what `_write` wrote."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities of no lens and of a lens, uncalibrated.

        Parameters
        ----------
        X : ndarray of shape (n, 315)

        Returns
        -------
        ndarray of shape (n, 2), float64
            A row of NaN for a row without any finite value.
        """
        check_is_fitted(self, "classes_")
        X = self._rows(X)
        if not len(X):
            return np.empty((0, 2))
        p = np.empty(len(X))
        # What is made of rows on the way, such as their eight turns, is made of a block of them.
        for start in range(0, len(X), _BLOCK_ROWS):
            block = X[start : start + _BLOCK_ROWS]
            p[start : start + len(block)] = np.where(
                np.isfinite(block).any(axis=1), expit(self._log_odds(block)), np.nan
            )
        return np.column_stack([1.0 - p, p])

    def save(self, folder: Path) -> None:
        """Write the parameters as JSON and what was learned beside them; nothing in it is code."""
        check_is_fitted(self, "classes_")
        (folder / _PARAMETER_FILE).write_text(json.dumps(self.get_params(), indent=1) + "\n")
        self._write(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a member that `save` wrote.

        The parsers of trees end the process on most damaged files: whoever calls has checked the files' hashes
        (`gridlens.load_model` does). The text of LightGBM's trees is checked before its parser sees it.

        Raises
        ------
        ValueError
            The text holds no trees, or ones that cannot be walked.
        """
        member = cls(**json.loads((folder / _PARAMETER_FILE).read_text()))
        member._read(folder)
        member.classes_ = np.array([0, 1])
        member.n_features_in_ = len(FEATURE_NAMES)
        return member


class ExplainedMember(FeatureMember):
    """A member on the 315 features that says how much each of them adds to its log-odds, in `_contributions`."""

    @abstractmethod
    def _contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        """What each feature adds to `_log_odds`, (n, 315), and what they are added to."""

    def contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        """What each feature adds to the log-odds of a lens: exact Shapley values.

        Parameters
        ----------
        X : ndarray of shape (n, 315)

        Returns
        -------
        values : ndarray of shape (n, 315), float64
            Log-odds. A row of NaN for a row without any finite value.
        base : float
            Log-odds before any feature is known: those of `predict_proba` are `base` plus the sum of the row.

        Notes
        -----
        Trees have the path-dependent Shapley values of Lundberg et al. 2020, Nature Machine Intelligence 2, 56: what is
        not known of a row is as in the training rows that came to the same split, and `base` is their mean. Where a
        score is a mean over turned versions of a row, so are the values, each in the column that the version took the
        number from. Where the best patches speak for a cutout, the values are those of their scores, by the weights of
        the pool; which patches these were is credited to no feature, and `base` is that of any patch.
        """
        check_is_fitted(self, "classes_")
        X = self._rows(X)
        if not len(X):
            # The base is there without a row.
            return np.empty(X.shape), self._contributions(np.zeros((1, X.shape[1]), dtype=X.dtype))[1]
        values, base = self._contributions(X)
        values[~np.isfinite(X).any(axis=1)] = np.nan
        return values, base
