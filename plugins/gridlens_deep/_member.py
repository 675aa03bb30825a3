"""Networks as members of the stack."""

from __future__ import annotations

import json
import math
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from gridlens.cutouts import CutoutSet
from gridlens_deep._errors import DeviceError, WeightsError
from gridlens_deep._fitted import FittedNetwork, onnx_model, sees_gpu, shapes_of
from gridlens_deep._images import clean_rows
from gridlens_deep._scoring import embeddings_of, log_odds_of, spread_of
from gridlens_deep._settings import Regime, Settings
from gridlens_deep._store import Images
from gridlens_deep._weights import PARAMETERS, WEIGHTS, checked_state, read_weights, write_weights

__all__ = ["NetworkMember"]

_STATE = "state.json"
# Parameters with other names in models of version 0.1.
_RENAMED = {"patience": "n_iter_no_change", "validation": "validation_fraction", "prior": "class_prior"}


@dataclass(eq=False, repr=False)
class NetworkMember(ClassifierMixin, BaseEstimator):
    """Base class of members that are networks on cutouts.

    Parameters
    ----------
    variant : str, default=None
        One of `variants`; None means the first.
    size : int, default=128
        Side of the network's input images, px.
    pixel_scale : float, default=0.5
        arcsec per pixel of these images; cutouts are resampled.
    pretrained : str, default=None
        Folder with weights written by `save_pretrained` of the library transformers, or a name that it can download.
        None starts from random weights.
    loss : {"cross-entropy", "nnpu"}, default="cross-entropy"
        "cross-entropy" for clean labels, "nnpu" for labelled lenses among unlabelled rows.
    class_prior : float, default=None
        Fraction of lenses among the unlabelled rows, for "nnpu".
    epochs : int, default=30
        Largest number of epochs.
    batch_size : int, default=64
    learning_rate : float, default=None
        Peak learning rate of AdamW; None means `usual_rate`, or `tuned_rate` with `pretrained`.
    weight_decay : float, default=1e-2
    n_iter_no_change : int, default=6
        Number of epochs without an improvement of the average precision of the validation part after which training
        stops.
    validation_fraction : float, default=0.15
        Fraction of the rows in the validation part, in whole groups; 0 means no validation part. With `pretrained`,
        there is none if it would contain fewer than 20 lenses: the last epoch is then kept, and the temperature is 1.
    turns : bool or int, default=True
        Number of flips and turns of an image over which scores are averaged: 1 is the image itself, 2 adds a quarter
        turn, 4 includes all quarter turns, 8 also those of the flipped image. True means 8, False means 1. The run time
        is proportional to it.
    dropout : float, default=0.1
    device : {"auto", "cpu", "cuda"}, default="auto"
    n_devices : int, default=1
        Number of GPUs, or processes on the CPU, that train together.
    checkpoints : str, default=None
        Folder for the state of the training after each epoch. A training with the same parameters and rows continues
        from the saved state; each training has its own subfolder. None stores nothing.
    n_jobs : int, default=1
        Number of threads to prepare cutouts, and of the network on the CPU.
    random_state : int, default=0
        Seed. Results are reproducible on the CPU; None means 0.
    verbose : int, default=0
        1 shows a progress bar of the training on a terminal.

    Attributes
    ----------
    network_ : FittedNetwork
        The averaged weights of the best epoch; its attribute `state` has them as arrays, by name.
    temperature_ : float
        Number by which the log-odds are divided.
    class_prior_ : float or None
        `class_prior` of a member trained with "nnpu".
    history_ : list of float
        Average precision of the validation part by epoch; empty without such a part.
    classes_ : ndarray of shape (2,)
        0 and 1.
    """

    name: ClassVar[str]
    variants: ClassVar[tuple[str, ...]]
    """names of the network variants, the default first"""
    unnamed: ClassVar[str | None] = None
    """variant of members saved without a variant by earlier versions; None means the default"""
    usual_rate: ClassVar[float]
    """default learning rate of the network"""
    tuned_rate: ClassVar[float | None] = None
    """default learning rate with pretrained weights of the same task; None means `usual_rate`"""
    blue_map: ClassVar[bool] = False
    """whether the network also uses the blue map of the feature contract"""
    regime: ClassVar[Regime] = Regime()
    """training settings other than the parameters"""
    consumes: ClassVar[Literal["features", "cutouts"]] = "cutouts"
    screened: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("torch", "lightning", "transformers", "safetensors", "gridlens[deep]")

    variant: str | None = None
    size: int = 128
    pixel_scale: float = 0.5
    pretrained: str | None = None
    loss: str = "cross-entropy"
    class_prior: float | None = None
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float | None = None
    weight_decay: float = 1e-2
    n_iter_no_change: int = 6
    validation_fraction: float = 0.15
    turns: bool | int = True
    dropout: float = 0.1
    device: str = "auto"
    n_devices: int = 1
    checkpoints: str | None = None
    n_jobs: int | None = 1
    random_state: int | None = 0
    verbose: int = 0

    @property
    def settings(self) -> Settings:
        """Return the parameters as a frozen value, with None replaced by the defaults."""
        variant = self.variants[0] if self.variant is None else self.variant
        if variant not in self.variants:
            raise ValueError(
                f"The 'variant' parameter of {type(self).__name__} must be one of "
                f"{', '.join(map(repr, self.variants))}. Got {self.variant!r} instead."
            )
        tuned = self.pretrained is not None and self.tuned_rate is not None
        rate = self.tuned_rate if tuned else self.usual_rate
        usual = {
            "variant": variant,
            "learning_rate": rate if self.learning_rate is None else self.learning_rate,
            "random_state": 0 if self.random_state is None else self.random_state,
        }
        return Settings(self.name, self.blue_map, self.regime, **(self.get_params() | usual))

    def prepare(self, X: CutoutSet) -> Images:
        """Prepare the images of cutouts, which `fit` and the scoring methods accept instead of the cutouts.

        They are stored in a file that is read by rows. The stack prepares them once for all folds and for all networks
        with the same pixels and channels; the images are never all in memory.
        """
        return Images.of(_checked_cutouts(X), self.settings.grid, self.n_jobs)

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
        X : CutoutSet of n, or their prepared images
            Rejected cutouts are omitted.
        y : ndarray of shape (n,)
            1 for a (labelled) lens, 0 for the rest.
        sample_weight : ndarray of shape (n,), default=None
        groups : ndarray of shape (n,), default=None
            Rows with the same value are views of one cluster and are kept on the same side of the validation split.

        Returns
        -------
        Self

        Raises
        ------
        ValueError
            `y` does not contain both 0 and 1, its length differs from that of `X`, or a parameter has an invalid value.
        DeviceError
            Torch is not installed, the device is not available, there are fewer devices than `n_devices`, or a device
            runs out of memory with a single cutout.
        WeightsError
            Pretrained weights are not available, or belong to another network.
        """
        train = _training_of(self.name)
        source, labels = self._checked(X), np.asarray(y)
        if labels.shape != (len(source),) or set(np.unique(labels).tolist()) != {0, 1}:
            raise ValueError(
                f"The 'y' parameter must contain a 0 or 1 for each of the {len(source)} cutouts, and both must occur. "
                f"Got shape {labels.shape} with the values {np.unique(labels)[:5].tolist()} instead."
            )
        images = source if isinstance(source, Images) else self.prepare(source)
        if len(np.unique(labels[images.usable])) < 2:
            raise ValueError(
                f"The 'X' parameter must contain usable cutouts of both labels. Got {images.usable.sum()} usable ones "
                f"of {len(images)} instead, with a single label."
            )
        names = np.arange(len(labels)) if groups is None else np.asarray(groups)
        fitted = train(self.settings, images, labels.astype(np.float32), sample_weight, names)
        self.network_, self.temperature_, self.class_prior_ = fitted.network, fitted.temperature, fitted.prior
        self.history_ = fitted.history
        self.classes_ = np.array([0, 1])
        return self

    def decision_function(self, X: CutoutSet | Images) -> np.ndarray:
        """Return the log-odds (n,) of a lens, averaged over `turns`; NaN for a rejected cutout.

        Log-odds of networks trained on clean labels are divided by a temperature fitted on the validation part.
        """
        source, rows = self._usable(X)
        found = np.full(len(source), np.nan)
        if len(rows):
            found[rows] = log_odds_of(self.network_, self.settings, source, rows) / self.temperature_
        return found

    def predict_proba(self, X: CutoutSet | Images) -> np.ndarray:
        """Return probabilities (n, 2) of no lens and of a lens; NaN for a rejected cutout."""
        p = expit(self.decision_function(X))
        return np.column_stack([1.0 - p, p])

    def predict(self, X: CutoutSet | Images) -> np.ndarray:
        """Return 1 for a cutout with a probability of a lens above one half, otherwise 0, (n,); 0 if rejected."""
        return self.classes_[(self.decision_function(X) > 0.0).astype(np.int64)]

    def predict_with_spread(self, X: CutoutSet | Images) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities (n, 2) like `predict_proba`, and the uncertainty of each, (n,).

        The uncertainty is the standard deviation of the log-odds over networks obtained by dropout; NaN for a rejected
        cutout, 0 for a network without dropout.
        """
        source, rows = self._usable(X)
        found = np.full((2, len(source)), np.nan)
        if len(rows):
            found[:, rows] = np.array(spread_of(self.network_, self.settings, source, rows)) / self.temperature_
        p = expit(found[0])
        return np.column_stack([1.0 - p, p]), found[1]

    def attribution(self, X: CutoutSet) -> np.ndarray:
        """Compute occlusion maps: the loss of log-odds when squares, an eighth of a side wide, are hidden.

        Parameters
        ----------
        X : CutoutSet of n
            Cutouts; each is scored 65 times.

        Returns
        -------
        ndarray of shape (n, H, W), float64
            Maps on the pixels of the cutouts; positive where the image indicates a lens. NaN for a rejected cutout.
        """
        from gridlens_deep._occlusion import occlusion_maps

        check_is_fitted(self, "network_")
        return occlusion_maps(_checked_cutouts(X), self.decision_function)

    def embed(self, X: CutoutSet | Images) -> np.ndarray:
        """Return the inputs of the last layer, (n, width) float32, averaged over `turns`; NaN for a rejected cutout."""
        source, rows = self._usable(X)
        values = embeddings_of(self.network_, self.settings, source, rows)
        found = np.full((len(source), values.shape[1]), np.nan, dtype=np.float32)
        found[rows] = values
        return found

    def _usable(self, X: Any) -> tuple[CutoutSet | Images, np.ndarray]:
        """Check `X`, and return it with the rows that neither their flags nor `quality_flags` reject."""
        check_is_fitted(self, "network_")
        source = self._checked(X)
        if isinstance(source, Images):
            return source, np.flatnonzero(source.usable)
        return source, np.flatnonzero(clean_rows(source))

    def _checked(self, X: Any) -> CutoutSet | Images:
        if not isinstance(X, Images):
            return _checked_cutouts(X)
        grid = self.settings.grid
        if X.grid != grid:
            raise ValueError(
                f"The 'X' parameter must hold images on the member's grid, {grid}. Got {X.grid} instead. Prepare them "
                "again."
            )
        return X

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the network of `convnet` as ONNX, for use without this package and without torch.

        The input `images` (n, 3 or 4, size, size) is the result of `images_of`; the output `log_odds` (n,) must be
        divided by `temperature_`, and the output `embedding` (n, width) is the input of the last layer. The average
        over turns is not included.

        Parameters
        ----------
        path : str or path
            File to write, atomically.

        Raises
        ------
        GridlensError
            The member is not `convnet`.
        """
        check_is_fitted(self, "network_")
        model, path = onnx_model(self.network_.state, self.settings), Path(path)
        temporary = path.with_name(f".{path.name}.part")
        try:
            temporary.write_bytes(model)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def save(self, folder: Path) -> None:
        """Write weights as safetensors, and parameters and temperature as JSON; none of the files contains code."""
        check_is_fitted(self, "network_")
        # The default variant may change in a later version.
        state = {
            "temperature": self.temperature_,
            "class_prior": self.class_prior_,
            "variant": self.settings.variant,
        }
        (folder / PARAMETERS).write_text(json.dumps(self.get_params(), indent=1) + "\n")
        (folder / _STATE).write_text(json.dumps(state, indent=1) + "\n")
        write_weights(self.network_.state, folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a member written by `save`. With device="cuda" and no GPU, it uses the CPU with a warning.

        Raises
        ------
        WeightsError
            The layers in the file differ from the network's (the message names them), or the state is invalid.
        DeviceError
            Neither torch nor, for `convnet`, onnxruntime is installed.
        """
        parameters = json.loads((folder / PARAMETERS).read_text())
        member = cls(**{_RENAMED.get(name, name): value for name, value in parameters.items()})
        state = json.loads((folder / _STATE).read_text())
        variant = state.get("variant", cls.unnamed)
        # None is kept if it still means the saved network.
        if member.variant is None and variant != cls.variants[0]:
            member.variant = variant
        if member.device == "cuda" and not sees_gpu():
            warnings.warn(
                f"The member {cls.name!r} was saved for a GPU, but torch finds none here: it scores on the CPU.",
                UserWarning,
                stacklevel=2,
            )
            member.device = "auto"
        settings = replace(member.settings, pretrained=None)
        weights = folder / WEIGHTS
        member.network_ = FittedNetwork(checked_state(read_weights(weights), shapes_of(settings), str(weights)))
        member.temperature_, member.class_prior_ = _checked_state(state)
        member.classes_ = np.array([0, 1])
        return member


def _training_of(name: str) -> Any:
    """Import the training function, which requires torch and lightning."""
    try:
        from gridlens_deep._training import train
    except ImportError as exc:
        raise DeviceError(
            f"The member {name!r} requires torch and lightning for fitting, which cannot be imported ({exc}). Install "
            "them with `pip install 'gridlens[deep]'`."
        ) from exc
    return train


def _checked_state(state: dict[str, Any]) -> tuple[float, float | None]:
    """Return the temperature and the class prior of a saved state."""
    temperature, prior = float(state["temperature"]), state["class_prior"]
    prior = None if prior is None else float(prior)
    if not 0.0 < temperature < math.inf or not (prior is None or 0.0 < prior < 1.0):
        raise WeightsError(
            "The state must contain a temperature above 0, and a class prior between 0 and 1 or null. Got "
            f"{temperature!r} and {prior!r} instead."
        )
    return temperature, prior


def _checked_cutouts(X: Any) -> CutoutSet:
    if not isinstance(X, CutoutSet):
        raise TypeError(
            f"The 'X' parameter must be a CutoutSet. Got {type(X).__name__} instead. "
            "CutoutSet(pixels) wraps an array of shape (n, H, W, 3)."
        )
    return X
