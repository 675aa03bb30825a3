"""`PretrainedMember`: a trained model as a member of a new stack."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from gridlens.errors import GridlensError
from gridlens.features._measured import keep_metadata
from gridlens.models._bundle import Contents, fill_bundle, read_contents
from gridlens.stacking._contributions import bounded_contributions
from gridlens.stacking._stack import CERTAIN_LOG_ODDS

__all__ = ["PretrainedMember", "read_pretrained"]

_PARAMETER_FILE = "parameters.json"
_MODEL_FOLDER = "model"


class PretrainedMember(ClassifierMixin, BaseEstimator):
    """Pretrained model, which is not fitted again; only its weight in the stack is learned.

    Its log-odds are those of the model's own stack, before the calibration, at the prevalence of lenses among the
    training rows of the new stack. They are out of sample unless the model was trained on these rows.

    Parameters
    ----------
    model : str, default="default"
        A bundled model, or the path of a bundle, as for `gridlens.load_model`. All its members must be on features.

    Attributes
    ----------
    detector_ : LensDetector
        The pretrained model.
    digest_ : str
        SHA-256 of its manifest.
    training_prevalence_ : float
        Fraction of positives among the training rows.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.models import PretrainedMember
    >>> X = np.random.default_rng(0).normal(size=(20, 315)).astype(np.float32)
    >>> PretrainedMember("default").fit(X, np.arange(20) % 2).predict_proba(X[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "pretrained"
    consumes: ClassVar[Literal["features", "cutouts"]] = "features"
    frozen: ClassVar[bool] = True

    def __init__(self, model: str = "default") -> None:
        self.model = model

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> Self:
        """Load the model and store the prevalence of positives; the model is not fitted to the rows.

        Parameters
        ----------
        X, sample_weight, groups : ignored
        y : ndarray of shape (n,)
            Labels, 1 or 0.

        Returns
        -------
        Self

        Raises
        ------
        ModelError
            If the model cannot be loaded.
        GridlensError
            If one of its members needs cutouts.
        ValueError
            If `y` does not contain both 0 and 1.
        """
        prevalence = float(np.mean(y))
        if not 0.0 < prevalence < 1.0:
            raise ValueError(
                f"The 'y' parameter must contain both 0 and 1. Got only {np.unique(y)[:5].tolist()} instead."
            )
        self._set(read_pretrained(self.model), prevalence)
        return self

    def _set(self, contents: Contents, prevalence: float) -> None:
        self.detector_, self.card_, self.record_, self.digest_ = contents
        self.training_prevalence_ = prevalence
        self.classes_ = np.array([0, 1])

    @property
    def training_rows_(self) -> np.ndarray:
        """Hashes of the training rows of the model, as in `LensDetector`."""
        return self.detector_.training_rows_

    @property
    def _offset(self) -> float:
        """Shift of the log-odds from the training prevalence of the model to that of the rows of the fit."""
        return float(logit(self.training_prevalence_) - logit(self.detector_.training_prevalence_))

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the uncalibrated probabilities of a non-lens and of a lens.

        Parameters
        ----------
        X : ndarray of shape (n, 315)
            Features. Metadata that the model does not use may be present; they are hidden from it.

        Returns
        -------
        ndarray of shape (n, 2), float64
            NaN for a row without any finite value.
        """
        check_is_fitted(self, "detector_")
        detector = self.detector_
        p = expit(detector.stack_.decision_function(detector.member_probabilities(X)) + self._offset)
        return np.column_stack([1.0 - p, p])

    @property
    def contributions(self) -> Any:
        """Sum of the members' `contributions` times their weights; AttributeError if a member has none."""
        members: list[Any] = self.detector_.stack_.members_
        _ = [member.contributions for member in members]
        return self._contributions

    def _contributions(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        X = keep_metadata(np.asarray(X, dtype=np.float32), self.detector_.metadata)
        usable = np.isfinite(X).any(axis=1)
        values = np.where(usable[:, None], 0.0, np.nan) * np.ones(X.shape)
        stack = self.detector_.stack_
        base = float(stack.intercept_) + self._offset
        members: list[Any] = stack.members_
        for member, weight in zip(members, stack.weights_, strict=True):
            found, own = member.contributions(X[usable])
            values[usable] += weight * bounded_contributions(found, own, CERTAIN_LOG_ODDS)
            base += float(weight) * own
        return values, base

    def save(self, folder: Path) -> None:
        """Save the model as its own bundle, with card and record, to the existing, empty `folder`."""
        check_is_fitted(self, "detector_")
        state = {"model": self.model, "training_prevalence": self.training_prevalence_}
        (folder / _PARAMETER_FILE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        (folder / _MODEL_FOLDER).mkdir()
        fill_bundle(folder / _MODEL_FOLDER, self.detector_, self.card_, self.record_)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a member that `save` wrote; its bundle is verified as usual, and no code is run.

        Raises
        ------
        ValueError
            If the parameters are damaged.
        ModelError
            If the bundle is damaged.
        """
        state = json.loads((folder / _PARAMETER_FILE).read_text(encoding="utf-8"))
        model, prevalence = state.get("model"), state.get("training_prevalence")
        if not isinstance(model, str) or not isinstance(prevalence, float) or not 0.0 < prevalence < 1.0:
            raise ValueError(f"The file {_PARAMETER_FILE} must contain a model name and a prevalence between 0 and 1.")
        member = cls(model)
        member._set(read_pretrained(folder / _MODEL_FOLDER), prevalence)
        return member


def read_pretrained(model: str | os.PathLike[str]) -> Contents:
    """Load a model that can be used as a member.

    Raises
    ------
    ModelError
        If it cannot be loaded.
    GridlensError
        If one of its members needs cutouts.
    """
    contents = read_contents(model)
    looking = [member.name for member in contents.detector.stack_.members_ if member.consumes != "features"]
    if looking:
        raise GridlensError(
            f"A pretrained model must only have members on features. Got {os.fspath(model)!r} with the member "
            f"{looking[0]!r}, which needs cutouts; choose another model, or train {looking[0]!r} as a member itself."
        )
    return contents
