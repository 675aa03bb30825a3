"""Logistic regression on the features: few parameters, a smooth score, and errors unlike those of trees."""

import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np

from gridlens._constants import IQR_PER_SIGMA
from gridlens._npz import read_npz
from gridlens.features import FEATURE_NAMES, dihedral
from gridlens.features._symmetry import dihedral_columns
from gridlens.members._features import ExplainedMember

__all__ = ["LinearMember"]

_MODEL_FILE = "weights.npz"
# Features have long tails; values are clipped at this number of scales, beyond which they only mean "far".
_FARTHEST = 5.0


class LinearMember(ExplainedMember):
    """Regularised logistic regression on scaled features.

    Each column is centred on its median, divided by its interquartile range over 1.349 (by its standard deviation if
    that range is 0), and clipped at five; NaN counts as the median. The regression uses the mean over the eight flips
    and quarter turns of a row: a linear score averaged over the orientations is the linear score of the averaged row.

    Parameters
    ----------
    C : float, default=0.01
        Inverse of the L2 penalty, as in `sklearn.linear_model.LogisticRegression`.
    turns : bool, default=True
        Whether to average the features over the eight orientations.

    Attributes
    ----------
    center_, scale_ : ndarray of shape (315,), float64
        Median and spread of each column in the training rows; a column that is constant or always NaN has an infinite
        spread and no effect.
    coef_ : ndarray of shape (315,), float64
    intercept_ : float

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.members import LinearMember
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 315)).astype(np.float32)
    >>> y = (X[:, 0] > 0).astype(int)
    >>> LinearMember(turns=False).fit(X, y).predict_proba(X[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "linear"

    def __init__(self, C: float = 0.01, turns: bool = True) -> None:
        self.C = C
        self.turns = turns

    def _learn(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression

        # A column may be NaN in every row, as hidden metadata are; it then has no median and no effect.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            warnings.filterwarnings("ignore", "Degrees of freedom", RuntimeWarning)
            low, middle, high = np.nanquantile(X.astype(np.float64), [0.25, 0.5, 0.75], axis=0)
            sigma = np.nanstd(X.astype(np.float64), axis=0)
        self.center_ = np.nan_to_num(middle)
        spread = (high - low) / IQR_PER_SIGMA
        # If three of four patches show no arc, all quartiles of its features may be 0.
        spread = np.where(spread > 0.0, spread, sigma)
        self.scale_ = np.where(spread > 0.0, spread, np.inf)
        model = LogisticRegression(C=self.C, max_iter=1000).fit(self._scaled(X), y, sample_weight=weight)
        self.coef_, self.intercept_ = model.coef_[0].astype(np.float64), float(model.intercept_[0])

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        """Return the columns of the regression for rows of features."""
        total = np.zeros(X.shape)
        versions = dihedral(X) if self.turns else X[None]
        for version in versions:
            total += self._in_scales(version)
        return total / len(versions)

    def _in_scales(self, version: np.ndarray) -> np.ndarray:
        scaled = (version - self.center_) / self.scale_
        return np.clip(np.nan_to_num(scaled, posinf=_FARTHEST, neginf=-_FARTHEST), -_FARTHEST, _FARTHEST)

    def _log_odds(self, X: np.ndarray) -> np.ndarray:
        # A matrix product would round differently for different numbers of rows.
        return (self._scaled(X) * self.coef_).sum(axis=1) + self.intercept_

    def _contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        # Shapley values of a linear score, relative to the median of the training rows, where all scaled values are 0.
        versions = dihedral(X) if self.turns else X[None]
        total = np.zeros(X.shape)
        for version, source in zip(versions, dihedral_columns()[: len(versions)], strict=True):
            total[:, source] += self._in_scales(version) * self.coef_
        return total / len(versions), self.intercept_

    def _write(self, folder: Path) -> None:
        np.savez(
            folder / _MODEL_FILE,
            center=self.center_,
            scale=self.scale_,
            coef=self.coef_,
            intercept=np.array(self.intercept_),
        )

    def _read(self, folder: Path) -> None:
        stored = read_npz(folder / _MODEL_FILE, ("center", "scale", "coef", "intercept"))
        self.center_, self.scale_, self.coef_ = (
            _checked_column(name, stored[name]) for name in ("center", "scale", "coef")
        )
        self.intercept_ = float(stored["intercept"])
        if not (self.scale_ > 0.0).all():
            raise ValueError("The spreads of the columns must be above 0.")
        with np.errstate(over="ignore"):
            largest_log_odds = _FARTHEST * np.abs(self.coef_).sum() + abs(self.intercept_)
        if not np.isfinite([*self.center_, largest_log_odds]).all():
            raise ValueError("The medians, coefficients and intercept must be finite, and their sum too.")


def _checked_column(name: str, values: np.ndarray) -> np.ndarray:
    """Validate the numbers that are stored for each feature and return them; raise ValueError if invalid."""
    if values.shape != (len(FEATURE_NAMES),) or values.dtype.kind not in "if":
        raise ValueError(
            f"The array {name!r} must contain {len(FEATURE_NAMES)} numbers. Got shape {values.shape} and type "
            f"{values.dtype} instead."
        )
    return values.astype(np.float64)
