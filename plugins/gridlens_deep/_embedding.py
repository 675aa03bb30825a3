"""The member `embedding`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from gridlens.cutouts import CutoutSet
from gridlens_deep._convnet import ConvNetMember
from gridlens_deep._errors import WeightsError
from gridlens_deep._pretrained import saved_folder
from gridlens_deep._weights import PARAMETERS

__all__ = ["EmbeddingMember"]

_REGRESSION = "regression.json"
_NETWORK = "network"
# Values are clipped at this many standard deviations of the training rows.
_FARTHEST = 5.0
# Factor on the column of the network's own log-odds; the penalty on its coefficient is divided by its square.
_OWN_FACTOR = 10.0


@dataclass(eq=False, repr=False)
class EmbeddingMember(ClassifierMixin, BaseEstimator):
    """Regularized logistic regression on the embedding of a pretrained network, for few labels.

    The network is frozen: each cutout is embedded once for all folds, and a fit takes a fraction of a second. The
    network's own log-odds are an additional column, penalized a hundred times less than the others, so that few labels
    change the network's scores only slightly.

    Parameters
    ----------
    pretrained : str, default="deep"
        A bundled model, or the path of a bundle, that has the member `convnet`; or a folder written by `save` of such a
        member.
    C : float, default=0.01
        Inverse of the L2 penalty, as in `sklearn.linear_model.LogisticRegression`.
    n_jobs : int, default=1
        Number of threads to prepare cutouts, and of the network on the CPU.

    Attributes
    ----------
    network_ : ConvNetMember
        The frozen network. It is saved with the member.
    center_, scale_ : ndarray of shape (width + 1,), float64
        Mean and standard deviation over the training rows of each embedding column and of the network's own log-odds; a
        constant column has a scale of 1.
    coef_ : ndarray of shape (width + 1,), float64
    intercept_ : float
    classes_ : ndarray of shape (2,)
        0 and 1.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from gridlens import CutoutSet
    >>> from gridlens_deep import ConvNetMember, EmbeddingMember
    >>> cutouts = CutoutSet(np.random.default_rng(0).normal(size=(24, 64, 64, 3)), pixel_scale=1.0)
    >>> labels = np.arange(24) % 2
    >>> Path("network").mkdir()
    >>> ConvNetMember(size=32, pixel_scale=2.0, epochs=1).fit(cutouts, labels).save(Path("network"))
    >>> EmbeddingMember("network").fit(cutouts, labels).predict_proba(cutouts[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "embedding"
    consumes: ClassVar[Literal["features", "cutouts"]] = "cutouts"
    requires: ClassVar[tuple[str, ...]] = ConvNetMember.requires
    screened: ClassVar[bool] = True

    pretrained: str = "deep"
    C: float = 0.01
    n_jobs: int | None = 1

    def prepare(self, X: CutoutSet) -> np.ndarray:
        """Return embeddings (n, width) float32, which `fit` and the scoring methods accept instead of the cutouts.

        The stack computes them once for all folds. A rejected cutout has a row of NaN. A fitted member uses its own
        network, unless `pretrained` has changed since.

        Raises
        ------
        WeightsError
            The member is not fitted, and the pretrained network is not available.
        """
        # The model or folder of a saved member may be missing here, or may contain another network by now.
        fitted = getattr(self, "_fitted_with", None) == self.pretrained
        return (self.network_ if fitted else self._pretrained_network()).embed(X)

    def fit(
        self,
        X: CutoutSet | np.ndarray,
        y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> Self:
        """Fit the regression to cutouts.

        Parameters
        ----------
        X : CutoutSet of n, or ndarray of shape (n, width)
            Cutouts, or their embeddings from `prepare`. Rejected cutouts are omitted.
        y : ndarray of shape (n,)
            1 for a (labelled) lens, 0 for the rest.
        sample_weight : ndarray of shape (n,), default=None
        groups : ignored

        Returns
        -------
        Self

        Raises
        ------
        ValueError
            `y` does not contain both 0 and 1, its length differs from that of `X`, or `C` is not above 0.
        WeightsError
            The pretrained network is not available, or its weights are damaged.
        """
        from sklearn.linear_model import LogisticRegression

        self.network_, self._fitted_with = self._pretrained_network(), self.pretrained
        columns, labels = self._columns(X), np.asarray(y)
        known = np.isfinite(columns).all(axis=1)
        if labels.shape != (len(columns),) or set(np.unique(labels[known]).tolist()) != {0, 1}:
            raise ValueError(
                f"The 'y' parameter must contain a 0 or 1 for each of the {len(columns)} cutouts, and both among "
                f"usable cutouts. Got shape {labels.shape} with the values {np.unique(labels)[:5].tolist()}, and "
                f"{known.sum()} usable cutouts, instead."
            )
        self.center_, spread = columns[known].mean(axis=0), columns[known].std(axis=0)
        self.scale_ = np.where(spread > 0.0, spread, 1.0)
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)[known]
        factors = np.ones(columns.shape[1])
        factors[-1] = _OWN_FACTOR
        model = LogisticRegression(C=self.C, max_iter=1000)
        model.fit(self._scaled(columns[known]) * factors, labels[known], sample_weight=weight)
        self.coef_, self.intercept_ = model.coef_[0] * factors, float(model.intercept_[0])
        self.classes_ = np.array([0, 1])
        return self

    def decision_function(self, X: CutoutSet | np.ndarray) -> np.ndarray:
        """Return the log-odds (n,) of a lens, uncalibrated; NaN for a rejected cutout."""
        check_is_fitted(self, "coef_")
        # No matrix product is used, because its rounding depends on the number of rows.
        return (self._scaled(self._columns(X)) * self.coef_).sum(axis=1) + self.intercept_

    def predict_proba(self, X: CutoutSet | np.ndarray) -> np.ndarray:
        """Return probabilities (n, 2) of no lens and of a lens; NaN for a rejected cutout."""
        p = expit(self.decision_function(X))
        return np.column_stack([1.0 - p, p])

    def predict(self, X: CutoutSet | np.ndarray) -> np.ndarray:
        """Return 1 for a cutout with a probability of a lens above one half, otherwise 0, (n,); 0 if rejected."""
        return self.classes_[(self.decision_function(X) > 0.0).astype(np.int64)]

    def _pretrained_network(self) -> ConvNetMember:
        with saved_folder(self.pretrained, ConvNetMember.name) as folder:
            return ConvNetMember.load(folder).set_params(n_jobs=self.n_jobs)

    def _columns(self, X: Any) -> np.ndarray:
        """Return the embeddings of cutouts, or those from `prepare`, and the network's own log-odds, (n, width + 1)."""
        width = self.network_.network_.width
        embedded = X if isinstance(X, np.ndarray) else self.network_.embed(X)
        if embedded.ndim != 2 or embedded.shape[1] != width:
            raise ValueError(
                f"The 'X' parameter must be a CutoutSet, or embeddings of shape (n, {width}) from `prepare`. Got shape "
                f"{embedded.shape} instead."
            )
        weights, bias = self.network_.network_.last
        own = (embedded * weights).sum(axis=1) + bias
        return np.column_stack([embedded, own]).astype(np.float64)

    def _scaled(self, columns: np.ndarray) -> np.ndarray:
        return np.clip((columns - self.center_) / self.scale_, -_FARTHEST, _FARTHEST)

    def save(self, folder: Path) -> None:
        """Write parameters and regression as JSON, with the network; none of the files contains code."""
        check_is_fitted(self, "coef_")
        learned = {
            "center": self.center_.tolist(),
            "scale": self.scale_.tolist(),
            "coef": self.coef_.tolist(),
            "intercept": self.intercept_,
        }
        (folder / PARAMETERS).write_text(json.dumps(self.get_params(), indent=1) + "\n", encoding="utf-8")
        (folder / _REGRESSION).write_text(json.dumps(learned, indent=1) + "\n", encoding="utf-8")
        (folder / _NETWORK).mkdir()
        self.network_.save(folder / _NETWORK)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a member written by `save`.

        Raises
        ------
        WeightsError
            The network or the regression is damaged.
        """
        member = cls(**json.loads((folder / PARAMETERS).read_text(encoding="utf-8")))
        member.network_ = ConvNetMember.load(folder / _NETWORK).set_params(n_jobs=member.n_jobs)
        member._fitted_with = member.pretrained
        learned = json.loads((folder / _REGRESSION).read_text(encoding="utf-8"))
        width = member.network_.network_.width + 1
        columns = [np.array(learned[name], dtype=np.float64) for name in ("center", "scale", "coef")]
        member.center_, member.scale_, member.coef_ = columns
        member.intercept_ = float(learned["intercept"])
        finite = np.isfinite(np.concatenate([*map(np.ravel, columns), [member.intercept_]])).all()
        if any(column.shape != (width,) for column in columns) or not finite or not (member.scale_ > 0.0).all():
            raise WeightsError(
                f"The file {_REGRESSION} must hold {width} finite numbers each as 'center', 'scale' (above 0) and "
                "'coef', and a finite 'intercept'. Got other values instead. Download or train the model again."
            )
        member.classes_ = np.array([0, 1])
        return member
