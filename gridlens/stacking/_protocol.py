"""Protocol for the members of a stack."""

from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np

__all__ = ["Member"]


@runtime_checkable
class Member(Protocol):
    """One classifier of a stack, with the conventions of scikit-learn and files that contain only data.

    The constructor takes parameters with defaults and stores them; they include `random_state` and `n_jobs` where these
    have a meaning. `get_params`, `set_params` and `sklearn.base.clone` must work (inherit from
    `sklearn.base.BaseEstimator`).

    Attributes
    ----------
    name : str
        Name of the member in the registry, and of the column with its probabilities.
    consumes : {"features", "cutouts"}
        Input `X` of `fit` and `predict_proba`: features of shape (n, 315), or a `CutoutSet` of n.
    prepare : callable, optional
        ``prepare(X)`` returns n rows, an array or an object that is indexed with an array of row numbers in the same
        way, which `fit` and `predict_proba` accept instead of `X`. The stack calls it once instead of in each fold. Use
        it for slow measurements that depend only on the cutout.
    predict_with_spread : callable, optional
        ``predict_with_spread(X)`` returns the probabilities (n, 2) of `predict_proba` and their uncertainties (n,):
        standard deviations of the member's log-odds, NaN for a NaN row. The score table has a column for them, the
        member's name with "_spread" appended.
    frozen : bool, optional
        True for a member that does not learn from the rows in `fit`, such as a pretrained model: the stack fits it
        once, treats its scores of all rows as out-of-fold, and fits its weight with those of the others.
    screened : bool, optional
        True for a slow member on cutouts, such as a network: with ``screen`` below 1, `LensDetector` lets it score only
        the cutouts that pass the stack of the other members.
    contributions : callable, optional
        For members on features. ``contributions(X)`` returns the contribution of each feature to the log-odds of a
        lens, (n, 315), and the constant that they are added to: the constant and the sum of a row are the log-odds of
        `predict_proba`. A NaN row gives NaN. Without it, `gridlens.explain` shows the score of the member as one bar.
    attribution : callable, optional
        For members on cutouts. ``attribution(X)`` returns a map (n, H, W) on the pixels of the cutouts in log-odds,
        positive where the image indicates a lens; `gridlens.explain` draws it. NaN for a rejected cutout.
    requires : tuple of str, optional
        Modules that are required to load the member and to score, followed by the package to install for them, such as
        ``("torch", "gridlens[deep]")``; "onnxruntime|torch" requires one of the two. If one is missing, `gridlens
        members` says so and the name is rejected; everything else works.
    requires_to_fit : tuple of str, optional
        Modules that `fit` requires in addition, in the same form. If one is missing, the member can score but cannot be
        fitted.
    """

    name: ClassVar[str]
    consumes: ClassVar[Literal["features", "cutouts"]]

    def fit(
        self,
        X: Any,
        y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> Self:
        """Fit the member to n rows with labels `y`, 1 or 0; rows with equal `groups` are views of one cluster."""
        ...

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities (n, 2), not necessarily calibrated. A NaN row gives NaN."""
        ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the constructor."""
        ...

    def save(self, folder: Path) -> None:
        """Save the fitted state to the existing, empty `folder` as data, without pickle or code."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load the state that `save` wrote, without running code from it."""
        ...
