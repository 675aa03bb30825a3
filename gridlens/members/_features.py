"""Base classes of members on rows of numbers: validation, rejected rows and files."""

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from gridlens._groups import group_of_each
from gridlens.features import FEATURE_NAMES
from gridlens.features._named import dropped_hint, in_contract_order

__all__ = ["ExplainedMember", "FeatureMember"]

_PARAMETER_FILE = "parameters.json"
# Former parameter names, in files of version 0.1.
_RENAMED = {
    "n_trees": "n_estimators",
    "column_fraction": "colsample_bytree",
    "row_fraction": "subsample",
    "random_splits": "extra_trees",
    "prior": "class_prior",
}
_BATCH_ROWS = 8192


class FeatureMember(ClassifierMixin, BaseEstimator):
    """Member of the stack on the 315 features, or on rows that are computed from its input in `_rows`.

    Subclasses fit in `_learn`, score in `_log_odds`, and save and load the fitted state in `_write` and `_read`.
    """

    consumes: ClassVar[Literal["features", "cutouts"]] = "features"
    # Number of columns that `_rows` returns.
    _n_features: ClassVar[int] = len(FEATURE_NAMES)

    def fit(
        self,
        X: Any,
        y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> Self:
        """Fit the member to features.

        Parameters
        ----------
        X : ndarray of shape (n, 315)
            Features; NaN is treated as a regular value.
        y : ndarray of shape (n,)
            Labels: 1 for a (labelled) lens, 0 for all others.
        sample_weight : ndarray of shape (n,), default=None
        groups : ndarray of shape (n,), default=None
            Group labels. Rows with the same value are views of one cluster. If None, rows are independent.

        Returns
        -------
        Self

        Raises
        ------
        ValueError
            If `X` has another shape, or `y` does not contain both 0 and 1 or has another length.
        """
        X, y = self._rows(X), np.asarray(y)
        if y.shape != (len(X),) or set(np.unique(y).tolist()) != {0, 1}:
            raise ValueError(
                f"The 'y' parameter must contain one 0 or 1 for each of the {len(X)} rows, and both must occur. "
                f"Got shape {y.shape} with the values {np.unique(y)[:5].tolist()} instead."
            )
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        self._learn(X, y, weight, np.arange(len(X)) if groups is None else group_of_each(groups))
        self._set_classes()
        return self

    def _set_classes(self) -> None:
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = self._n_features

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def _rows(self, X: Any) -> np.ndarray:
        """Return the rows (n, k), float32, that the member is fitted to and scores."""
        rows = np.asarray(in_contract_order(X), dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self._n_features:
            raise ValueError(
                f"The 'X' parameter must be features of shape (n, {self._n_features}), as from GridPatchExtractor. "
                f"Got shape {rows.shape} instead.{dropped_hint(rows.shape[-1] if rows.ndim else 0)}"
            )
        return rows

    @abstractmethod
    def _learn(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        """Set the fitted attributes, whose names end with an underscore."""

    @abstractmethod
    def _log_odds(self, X: np.ndarray) -> np.ndarray:
        """Return the log-odds (n,) of a lens; n is at least 1."""

    @abstractmethod
    def _write(self, folder: Path) -> None:
        """Save the fitted state as data."""

    @abstractmethod
    def _read(self, folder: Path) -> None:
        """Load the result of `_write`; raise ValueError for any damaged content."""

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the uncalibrated log-odds of a lens.

        Parameters
        ----------
        X : ndarray of shape (n, 315), or the input of the member

        Returns
        -------
        ndarray of shape (n,), float64
            NaN for a row without any finite value.
        """
        check_is_fitted(self, "classes_")
        X = self._rows(X)
        log_odds = np.empty(len(X))
        # Temporary rows, such as the eight orientations, are only computed for one batch at a time.
        for start in range(0, len(X), _BATCH_ROWS):
            batch = X[start : start + _BATCH_ROWS]
            known = np.isfinite(batch).any(axis=1)
            log_odds[start : start + len(batch)] = np.where(known, self._log_odds(batch), np.nan)
        return log_odds

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the uncalibrated probabilities of a non-lens and of a lens.

        Parameters
        ----------
        X : ndarray of shape (n, 315), or the input of the member

        Returns
        -------
        ndarray of shape (n, 2), float64
            NaN for a row without any finite value.
        """
        p = expit(self.decision_function(X))
        return np.column_stack([1.0 - p, p])

    def predict(self, X: Any) -> np.ndarray:
        """Return the more probable class.

        Parameters
        ----------
        X : ndarray of shape (n, 315), or the input of the member

        Returns
        -------
        ndarray of shape (n,), int64
            1 for a lens; 0 for a non-lens and for a row without any finite value.
        """
        return (self.decision_function(X) > 0.0).astype(np.int64)

    def save(self, folder: Path) -> None:
        """Save the parameters as JSON, and the fitted state in further files, without code.

        Parameters
        ----------
        folder : Path
            Existing, empty folder.
        """
        check_is_fitted(self, "classes_")
        (folder / _PARAMETER_FILE).write_text(json.dumps(self.get_params(), indent=1) + "\n")
        self._write(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a member that `save` wrote, in this version of gridlens or an earlier one.

        Parameters
        ----------
        folder : Path
            Its files are validated: damaged or malicious content raises an error, and none of it is run.

        Raises
        ------
        ValueError
            If a file is damaged.
        """
        stored = json.loads((folder / _PARAMETER_FILE).read_text())
        parameters = {_RENAMED.get(name, name): value for name, value in stored.items()}
        for name, default in cls().get_params().items():
            if not _is_like(parameters.get(name, default), default):
                raise ValueError(
                    f"The parameter {name!r} in {_PARAMETER_FILE} must be of the type of its default, {default!r}. "
                    f"Got {parameters[name]!r} instead."
                )
        member = cls(**parameters)
        member._read(folder)
        member._set_classes()
        return member


def _is_like(value: Any, default: bool | float | None) -> bool:
    """Return whether a value from JSON has a valid type for a parameter with this default."""
    if isinstance(default, bool):
        return isinstance(value, bool)
    if value is None:
        return default is None or isinstance(default, int)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # NaN and infinity, which Python also reads from JSON, are not whole.
    return not isinstance(default, int) or isinstance(value, int) or value.is_integer()


class ExplainedMember(FeatureMember):
    """Member on the 315 features that computes their contributions to its log-odds in `_contributions`."""

    @abstractmethod
    def _contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the contribution of each feature to `_log_odds`, (n, 315), and the base that they are added to."""

    def contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the contribution of each feature to the log-odds of a lens, as exact Shapley values.

        Parameters
        ----------
        X : ndarray of shape (n, 315)

        Returns
        -------
        values : ndarray of shape (n, 315), float64
            Contributions in log-odds; NaN for a row without any finite value.
        base : float
            Log-odds without any feature known; the log-odds of `predict_proba` are `base` plus the sum of the row.

        Notes
        -----
        For trees, these are the path-dependent Shapley values of Lundberg et al. 2020, Nature Machine Intelligence 2,
        56: an unknown feature is distributed as in the training rows that reached the same split, and `base` is the
        mean over these. If the score is a mean over orientations of a row, so are the values, each in the column that
        its number came from. If the best patches decide the score of a cutout, the values are those of the scores of
        these patches, with the weights of the pooling; the choice of the patches is not attributed to any feature, and
        `base` is that of any patch.
        """
        check_is_fitted(self, "classes_")
        X = self._rows(X)
        if not len(X):
            # The base does not depend on the rows.
            return np.empty(X.shape), self._contributions(np.zeros((1, X.shape[1]), dtype=X.dtype))[1]
        values, base = self._contributions(X)
        values[~np.isfinite(X).any(axis=1)] = np.nan
        return values, base
