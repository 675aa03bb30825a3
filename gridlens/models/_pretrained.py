"""`PretrainedMember`: a model that was trained before, as a member of a new stack."""

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
    """A model that was trained before and is not fitted again; the stack learns its weight.

    Its log-odds are those of the model's own stack, before the calibration, at the prevalence of lenses among the rows
    that the new stack learns from. They are out of sample unless the model was trained on these rows.

    Parameters
    ----------
    model : str, default="default"
        A bundled model, or the path of a bundle, as `gridlens.load_model` takes it. Its members must be on features.

    Attributes
    ----------
    detector_ : LensDetector
        The model.
    digest_ : str
        SHA-256 of its manifest.
    training_prevalence_ : float
        Fraction of positives among the rows of the fit.

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
        """Load the model, and note the prevalence of positives; nothing is learned from the rows.

        Parameters
        ----------
        X, sample_weight, groups : ignored
        y : ndarray of shape (n,)
            1 or 0.

        Returns
        -------
        Self

        Raises
        ------
        ModelError
            The model cannot be loaded.
        GridlensError
            One of its members looks at cutouts.
        ValueError
            `y` does not hold both 0 and 1.
        """
        prevalence = float(np.mean(y))
        if not 0.0 < prevalence < 1.0:
            raise ValueError(
                f"The 'y' parameter must hold both 0 and 1. Got {np.unique(y)[:5].tolist()} alone instead."
            )
        self._set(read_pretrained(self.model), prevalence)
        return self

    def _set(self, contents: Contents, prevalence: float) -> None:
        self.detector_, self.card_, self.record_, self.digest_ = contents
        self.training_prevalence_ = prevalence
        self.classes_ = np.array([0, 1])

    @property
    def training_rows_(self) -> np.ndarray:
        """Hashes of the rows that the model has learned from, as `LensDetector` has them."""
        return self.detector_.training_rows_

    @property
    def _offset(self) -> float:
        """Log-odds that take the model from the prevalence of its training to that of the rows of the fit."""
        return float(logit(self.training_prevalence_) - logit(self.detector_.training_prevalence_))

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities of no lens and of a lens, uncalibrated.

        Parameters
        ----------
        X : ndarray of shape (n, 315)
            Metadata that the model does not see may be there; they are hidden from it.

        Returns
        -------
        ndarray of shape (n, 2), float64
            A row of NaN for a row without any finite value.
        """
        check_is_fitted(self, "detector_")
        detector = self.detector_
        p = expit(detector.stack_.decision_function(detector.member_probabilities(X)) + self._offset)
        return np.column_stack([1.0 - p, p])

    @property
    def contributions(self) -> Any:
        """As the model's members', times their weights; an AttributeError where a member has none."""
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
        """Write the model as a bundle of its own in the existing, empty `folder`, with its card and its record."""
        check_is_fitted(self, "detector_")
        state = {"model": self.model, "training_prevalence": self.training_prevalence_}
        (folder / _PARAMETER_FILE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        (folder / _MODEL_FOLDER).mkdir()
        fill_bundle(folder / _MODEL_FOLDER, self.detector_, self.card_, self.record_)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a member that `save` wrote; its bundle is checked as any other, and nothing in it runs.

        Raises
        ------
        ValueError
            The parameters are damaged.
        ModelError
            The bundle is damaged.
        """
        state = json.loads((folder / _PARAMETER_FILE).read_text(encoding="utf-8"))
        model, prevalence = state.get("model"), state.get("training_prevalence")
        if not isinstance(model, str) or not isinstance(prevalence, float) or not 0.0 < prevalence < 1.0:
            raise ValueError(f"The file {_PARAMETER_FILE} must hold a model's name and a prevalence between 0 and 1.")
        member = cls(model)
        member._set(read_pretrained(folder / _MODEL_FOLDER), prevalence)
        return member


def read_pretrained(model: str | os.PathLike[str]) -> Contents:
    """Load a model that can be a member.

    Raises
    ------
    ModelError
        It cannot be loaded.
    GridlensError
        One of its members looks at cutouts.
    """
    contents = read_contents(model)
    looking = [member.name for member in contents.detector.stack_.members_ if member.consumes != "features"]
    if looking:
        raise GridlensError(
            f"A pretrained model must have members on features alone. Got {os.fspath(model)!r} with the member "
            f"{looking[0]!r}, which looks at cutouts; name another model, or train {looking[0]!r} as a member itself."
        )
    return contents
