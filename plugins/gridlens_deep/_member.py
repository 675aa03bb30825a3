"""Networks as members of the stack."""

from __future__ import annotations

import json
import math
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from gridlens.cutouts import CutoutSet
from gridlens_deep._errors import WeightsError
from gridlens_deep._images import Grid, usable_rows
from gridlens_deep._store import Images

if TYPE_CHECKING:
    from gridlens_deep._networks import Network

__all__ = ["NetworkMember"]

_PARAMETERS = "parameters.json"
_STATE = "state.json"
_WEIGHTS = "weights.safetensors"


class NetworkMember(ClassifierMixin, BaseEstimator):
    """A network that looks at cutouts; subclasses say which.

    Parameters
    ----------
    variant : str, default=None
        One of `variants`; None takes the first.
    size : int, default=128
        Pixels on a side that the network sees.
    pixel_scale : float, default=0.5
        arcsec per pixel of these; cutouts are resampled.
    pretrained : str, default=None
        Folder with weights as `save_pretrained` of the library transformers writes them, or a name that it can fetch.
        None starts from random weights.
    loss : {"cross-entropy", "nnpu"}, default="cross-entropy"
        For clean labels; for labelled lenses among rows that nobody has looked at.
    prior : float, default=None
        Share of lenses among these, for "nnpu".
    epochs : int, default=30
        At most; without progress on the validation part it stops before.
    batch_size : int, default=64
    learning_rate : float, default=None
        Of AdamW, at its highest; None takes `usual_rate`.
    weight_decay : float, default=1e-2
    patience : int, default=6
        Epochs without a better average precision of the validation part before it stops.
    validation : float, default=0.15
        Share of the rows in that part, whole groups of them; 0 for none.
    turns : bool, default=True
        Score by the mean over the eight flips and quarter turns.
    dropout : float, default=0.1
    device : {"auto", "cpu", "cuda"}, default="auto"
    n_devices : int, default=1
        GPUs, or processes on the CPU, that train together.
    checkpoints : str, default=None
        Folder for the state of the training after each epoch. Where it holds that of the same parameters and rows, the
        training goes on from there; others have folders of their own in it. None keeps nothing.
    n_jobs : int, default=1
        Threads that prepare cutouts, and of torch on the CPU.
    random_state : int, default=0
        One seed, one result, on the CPU.

    Attributes
    ----------
    network_ : Network
        The averaged weights of the best epoch.
    temperature_ : float
        Divisor of the log-odds.
    history_ : list of float
        Average precision of the validation part by epoch.
    """

    name: ClassVar[str]
    variants: ClassVar[tuple[str, ...]]
    """names of its sizes, the usual one first"""
    usual_rate: ClassVar[float]
    """learning rate that suits it"""
    consumes: ClassVar[Literal["features", "cutouts"]] = "cutouts"
    requires: ClassVar[tuple[str, ...]] = ("torch", "lightning", "transformers", "safetensors", "gridlens[deep]")

    def __init__(
        self,
        variant: str | None = None,
        size: int = 128,
        pixel_scale: float = 0.5,
        pretrained: str | None = None,
        loss: str = "cross-entropy",
        prior: float | None = None,
        epochs: int = 30,
        batch_size: int = 64,
        learning_rate: float | None = None,
        weight_decay: float = 1e-2,
        patience: int = 6,
        validation: float = 0.15,
        turns: bool = True,
        dropout: float = 0.1,
        device: str = "auto",
        n_devices: int = 1,
        checkpoints: str | None = None,
        n_jobs: int | None = 1,
        random_state: int | None = 0,
    ) -> None:
        self.variant = variant
        self.size = size
        self.pixel_scale = pixel_scale
        self.pretrained = pretrained
        self.loss = loss
        self.prior = prior
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.validation = validation
        self.turns = turns
        self.dropout = dropout
        self.device = device
        self.n_devices = n_devices
        self.checkpoints = checkpoints
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _build(self, pretrained: str | None) -> Network:
        """The network, of random weights or those that `pretrained` names."""
        from gridlens_deep._networks import build_network

        which = self.variants[0] if self.variant is None else self.variant
        if which not in self.variants:
            raise ValueError(
                f"The 'variant' parameter of {type(self).__name__} must be one of "
                f"{', '.join(map(repr, self.variants))}. Got {self.variant!r} instead."
            )
        return build_network(self.name, which, size=self.size, dropout=self.dropout, pretrained=pretrained)

    @property
    def _grid(self) -> Grid:
        return Grid(self.size, self.pixel_scale)

    def prepare(self, X: CutoutSet) -> Images:
        """What `fit` and `predict_proba` take in the place of cutouts: their images, in a file that is read by rows.

        The stack prepares once for all folds, and nobody holds all images in memory.
        """
        return Images.of(_checked_cutouts(X), self._grid, self.n_jobs)

    def fit(
        self,
        X: CutoutSet | Images,
        y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> Self:
        """Train on cutouts.

        Parameters
        ----------
        X : CutoutSet of n, or what `prepare` made of them
            Rejected cutouts are left out.
        y : ndarray of shape (n,)
            1 for a (labelled) lens, 0 for the rest.
        sample_weight : ndarray of shape (n,), default=None
        groups : ndarray of shape (n,), default=None
            Rows with one value are views of one cluster, and stay on one side of the validation.

        Returns
        -------
        Self

        Raises
        ------
        ValueError
            `y` does not hold both 0 and 1, or its length is not that of `X`; a parameter is not one of its choices.
        DeviceError
            There is no such device, there are fewer than `n_devices`, or it runs out of memory with a single cutout.
        WeightsError
            Pretrained weights cannot be had, or are those of another network.
        """
        from gridlens_deep._training import train

        source, labels = self._checked(X), np.asarray(y)
        if labels.shape != (len(source),) or set(np.unique(labels).tolist()) != {0, 1}:
            raise ValueError(
                f"The 'y' parameter must hold one 0 or 1 for each of the {len(source)} cutouts, and both must occur. "
                f"Got shape {labels.shape} with the values {np.unique(labels)[:5].tolist()} instead."
            )
        images = source if isinstance(source, Images) else self.prepare(source)
        if len(np.unique(labels[images.usable])) < 2:
            raise ValueError(
                "The 'X' parameter must hold usable cutouts of both labels. "
                f"Got {images.usable.sum()} usable ones of {len(images)}, and one label among them."
            )
        names = np.arange(len(labels)) if groups is None else np.asarray(groups)
        fitted = train(self, images, labels.astype(np.float32), sample_weight, names)
        self.network_, self.temperature_, self.class_prior_ = fitted.network, fitted.temperature, fitted.prior
        self.history_ = fitted.history
        self.classes_ = np.array([0, 1])
        return self

    def predict_log_odds(self, X: CutoutSet | Images) -> np.ndarray:
        """Log-odds (n,) of a lens, the mean over the eight flips and quarter turns; NaN for a rejected cutout."""
        from gridlens_deep._scoring import log_odds_of

        source, rows = self._looked_at(X)
        found = np.full(len(source), np.nan)
        if len(rows):
            found[rows] = log_odds_of(self, source, rows) / self.temperature_
        return found

    def predict_with_spread(self, X: CutoutSet | Images) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (n, 2) as of `predict_proba`, and how unsure the network is of them, (n,).

        The spread is the standard deviation of the log-odds over networks that dropout makes of the one; NaN for a
        rejected cutout, 0 for a network without dropout.
        """
        from gridlens_deep._scoring import spread_of

        source, rows = self._looked_at(X)
        found = np.full((2, len(source)), np.nan)
        if len(rows):
            found[:, rows] = np.array(spread_of(self, source, rows)) / self.temperature_
        p = expit(found[0])
        return np.column_stack([1.0 - p, p]), found[1]

    def predict_proba(self, X: CutoutSet | Images) -> np.ndarray:
        """Probabilities (n, 2) of no lens and of a lens; NaN for a rejected cutout.

        Of networks trained on clean labels they are scaled by a temperature that was fitted on the validation part.
        """
        p = expit(self.predict_log_odds(X))
        return np.column_stack([1.0 - p, p])

    def attribution(self, X: CutoutSet) -> np.ndarray:
        """Where the network looks: log-odds that it loses where a square of the cutout is hidden, an eighth a side.

        Parameters
        ----------
        X : CutoutSet of n
            Each is scored 65 times.

        Returns
        -------
        ndarray of shape (n, H, W), float64
            On the cutouts' own pixels; positive where what is there speaks for a lens. NaN for a rejected cutout.
        """
        from gridlens_deep._occlusion import occlusion_maps

        check_is_fitted(self, "network_")
        return occlusion_maps(_checked_cutouts(X), self.predict_log_odds)

    def embed(self, X: CutoutSet | Images) -> np.ndarray:
        """What the last layer reads, (n, width) float32, the mean over the turns; NaN for a rejected cutout."""
        from gridlens_deep._scoring import embeddings_of

        source, rows = self._looked_at(X)
        values = embeddings_of(self, source, rows)
        found = np.full((len(source), values.shape[1]), np.nan, dtype=np.float32)
        found[rows] = values
        return found

    def _looked_at(self, X: Any) -> tuple[CutoutSet | Images, np.ndarray]:
        """What a fitted network looks at, and the rows of it that are not rejected."""
        check_is_fitted(self, "network_")
        source = self._checked(X)
        if isinstance(source, Images):
            return source, np.flatnonzero(source.usable)
        return source, np.flatnonzero(usable_rows(source))

    def _checked(self, X: Any) -> CutoutSet | Images:
        if not isinstance(X, Images):
            return _checked_cutouts(X)
        if X.grid != self._grid:
            raise ValueError(
                f"The 'X' parameter must hold images on the member's own grid, {self._grid}. Got {X.grid} instead; "
                "prepare them anew."
            )
        return X

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the network as ONNX, for programs that have nothing of this package, nor torch.

        Its input `images` (n, 3, size, size) is what `images_of` makes, its output `log_odds` (n,) is to be divided by
        `temperature_`. The mean over the turns is the caller's.

        Parameters
        ----------
        path : str or path
            A file to write, whole or not at all.
        """
        from gridlens_deep._export import write_onnx

        check_is_fitted(self, "network_")
        write_onnx(self.network_, self.size, path)

    def save(self, folder: Path) -> None:
        """Write the weights as safetensors, parameters and temperature as JSON: nothing in it is code."""
        from safetensors.torch import save

        check_is_fitted(self, "network_")
        state = {"temperature": self.temperature_, "class_prior": self.class_prior_}
        (folder / _PARAMETERS).write_text(json.dumps(self.get_params(), indent=1) + "\n")
        (folder / _STATE).write_text(json.dumps(state, indent=1) + "\n")
        # Not `save_file`: what it writes nobody but its owner can read.
        weights = save({name: value.contiguous() for name, value in self.network_.state_dict().items()})
        (folder / _WEIGHTS).write_bytes(weights)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a member that `save` wrote. One that asks for a GPU takes the CPU where there is none, and warns.

        Raises
        ------
        WeightsError
            The file holds other layers than the network; they are named.
        """
        import torch
        from safetensors.torch import load_file

        from gridlens_deep._networks import take_state

        member = cls(**json.loads((folder / _PARAMETERS).read_text()))
        if member.device == "cuda" and not torch.cuda.is_available():
            warnings.warn(
                f"The member {cls.name!r} was to run on a GPU, and torch sees none here: it scores on the CPU.",
                UserWarning,
                stacklevel=2,
            )
            member.device = "auto"
        network = member._build(None)
        take_state(network, load_file(folder / _WEIGHTS), str(folder / _WEIGHTS))
        state = json.loads((folder / _STATE).read_text())
        prior = state["class_prior"]
        member.network_, member.temperature_ = network.eval(), float(state["temperature"])
        member.class_prior_ = None if prior is None else float(prior)
        prior_fits = member.class_prior_ is None or 0.0 < member.class_prior_ < 1.0
        if not 0.0 < member.temperature_ < math.inf or not prior_fits:
            raise WeightsError(
                "The state must hold a temperature above 0, and a class prior between 0 and 1 or none. Got "
                f"{state['temperature']!r} and {prior!r} instead."
            )
        member.classes_ = np.array([0, 1])
        return member


def _checked_cutouts(X: Any) -> CutoutSet:
    if not isinstance(X, CutoutSet):
        raise TypeError(
            f"The 'X' parameter must be a CutoutSet. Got {type(X).__name__} instead. "
            "CutoutSet(pixels) wraps an array of shape (n, H, W, 3)."
        )
    return X
