"""Protocol of a member of the stack."""

from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np

__all__ = ["Member"]


@runtime_checkable
class Member(Protocol):
    """One classifier of the stack: scikit-learn's conventions, and files that hold data alone.

    The constructor takes parameters with defaults and stores them; `random_state` and `n_jobs` are among them where
    they mean anything. `get_params`, `set_params` and `sklearn.base.clone` work (inherit
    `sklearn.base.BaseEstimator`).

    Attributes
    ----------
    name : str
        As in the registry; also the column of the table that holds its probabilities.
    consumes : {"features", "cutouts"}
        What `fit` and `predict_proba` take as `X`: features of shape (n, 315), or a `CutoutSet` of n.
    prepare : callable, optional
        ``prepare(X)`` gives n rows, an array or what an array of row numbers picks from as from one, that `fit` and
        `predict_proba` take in the place of `X`. The stack calls it once, not in each fold: for what is slow to measure
        and hangs on the cutout alone.
    predict_with_spread : callable, optional
        ``predict_with_spread(X)`` gives the probabilities (n, 2) of `predict_proba` and how unsure the member is of
        each, (n,): a standard deviation of its own log-odds, NaN for a row of NaN. The table of scores has a column for
        it, the member's name and "_spread".
    frozen : bool, optional
        True for a member whose `fit` learns nothing from the rows, such as a model that was trained before: the stack
        fits it once, takes its scores of all rows as out of fold, and learns its weight with those of the others.
    screened : bool, optional
        True for a slow member on cutouts, such as a network: with ``screen`` below 1 `LensDetector` has it score only
        the cutouts that the stack of the other members passes.
    contributions : callable, optional
        Of members on features. ``contributions(X)`` gives what each feature adds to the log-odds of a lens, (n, 315),
        and a number, what they are added to: number and row sum are the log-odds of `predict_proba`. A row of NaN gives
        NaN. `gridlens.explain` shows the score of a member without it as one bar.
    attribution : callable, optional
        Of members on cutouts. ``attribution(X)`` gives a map (n, H, W) on the cutouts' pixels, positive where the image
        speaks for a lens, in log-odds; `gridlens.explain` draws it. NaN for a rejected cutout.
    requires : tuple of str, optional
        Modules that the member needs to be loaded and to score, and last what to install for them, such as
        ``("torch", "gridlens[deep]")``; "onnxruntime|torch" is one of the two. Where one is missing, `gridlens members`
        says so and the name is refused; everything else works.
    requires_to_fit : tuple of str, optional
        In the same form, modules that `fit` needs as well. Where one is missing, the member scores, and cannot be
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
        """Learn from n rows: `y` is 1 or 0, rows with one value in `groups` are views of one cluster."""
        ...

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, 2), not necessarily calibrated. A row of NaN gives NaN."""
        ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters."""
        ...

    def save(self, folder: Path) -> None:
        """Write the learned state into the existing, empty `folder` as data: no pickle, no code."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; running no code from it."""
        ...
