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
# Parameters under other names in models of version 0.1.
_RENAMED = {"patience": "n_iter_no_change", "validation": "validation_fraction", "prior": "class_prior"}


@dataclass(eq=False, repr=False)
class NetworkMember(ClassifierMixin, BaseEstimator):
    """Base class of members that are networks on cutouts.

    Parameters
    ----------
    variant : str, default=None
        One of `variants`; None takes the first.
    size : int, default=128
        Pixels on a side of the images that the network sees.
    pixel_scale : float, default=0.5
        arcsec per pixel of these images; cutouts are resampled.
    pretrained : str, default=None
        Folder with weights as `save_pretrained` of the library transformers writes them, or a name that it can fetch.
        None starts from random weights.
    loss : {"cross-entropy", "nnpu"}, default="cross-entropy"
        "cross-entropy" for clean labels, "nnpu" for labelled lenses among unlabelled rows.
    class_prior : float, default=None
        Fraction of lenses among the unlabelled rows, for "nnpu".
    epochs : int, default=30
        Largest number of epochs.
    batch_size : int, default=64
    learning_rate : float, default=None
        Highest learning rate of AdamW; None takes `usual_rate`, or `tuned_rate` with `pretrained`.
    weight_decay : float, default=1e-2
    n_iter_no_change : int, default=6
        Epochs without a better average precision of the validation part after which training stops.
    validation_fraction : float, default=0.15
        Fraction of the rows in the validation part, in whole groups; 0 for no such part. With `pretrained`, it is
        left out where it would hold fewer than 20 lenses: the last epoch is kept, and the temperature is 1.
    turns : bool or int, default=True
        Score by the mean over 1, 2, 4 or 8 flips and turns of an image: 1 is the image itself, 2 adds a quarter turn,
        4 are all quarter turns, 8 the same after a flip as well. True takes 8, False 1. The time grows in proportion.
    dropout : float, default=0.1
    device : {"auto", "cpu", "cuda"}, default="auto"
    n_devices : int, default=1
        GPUs, or processes on the CPU, that train together.
    checkpoints : str, default=None
        Folder for the state of the training after each epoch. A training with the same parameters and rows continues
        from the state in it; each training has a subfolder of its own. None keeps nothing.
    n_jobs : int, default=1
        Threads that prepare cutouts, and of the network on the CPU.
    random_state : int, default=0
        One seed gives one result on the CPU; None counts as 0.
    verbose : int, default=0
        1 shows a progress bar of the training on a terminal.

    Attributes
    ----------
    network_ : FittedNetwork
        The averaged weights of the best epoch: `state` holds them as arrays, by name.
    temperature_ : float
        Divisor of the log-odds.
    class_prior_ : float or None
        `class_prior` of a member that was trained with "nnpu".
    history_ : list of float
        Average precision of the validation part by epoch; empty without such a part.
    classes_ : ndarray of shape (2,)
        0 and 1.
    """

    name: ClassVar[str]
    variants: ClassVar[tuple[str, ...]]
    """names of the sizes of the network, the usual one first"""
    unnamed: ClassVar[str | None] = None
    """variant of members that earlier versions saved without its name; None: the usual one"""
    usual_rate: ClassVar[float]
    """learning rate that suits the network"""
    tuned_rate: ClassVar[float | None] = None
    """learning rate that suits pretrained weights of the same task; None: `usual_rate`"""
    blue_map: ClassVar[bool] = False
    """the network also sees the blue map of the feature contract"""
    regime: ClassVar[Regime] = Regime()
    """how the networks learn, beside the parameters"""
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
        """Parameters as a frozen value, None replaced by the usual values."""
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
        """Prepare the images of cutouts, which `fit` and the methods that score take instead of the cutouts.

        They are kept in a file that is read by rows. The stack prepares once for all folds, and for all networks that
        see the same pixels and channels; the images are never all in memory.
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
            Rejected cutouts are left out.
        y : ndarray of shape (n,)
            1 for a (labelled) lens, 0 for the rest.
        sample_weight : ndarray of shape (n,), default=None
        groups : ndarray of shape (n,), default=None
            Rows with the same value are views of one cluster and stay on one side of the validation split.

        Returns
        -------
        Self

        Raises
        ------
        ValueError
            `y` does not hold both 0 and 1, or its length is not that of `X`; a parameter is not one of its choices.
        DeviceError
            Torch is not installed, the device is not available, there are fewer than `n_devices`, or one runs out of
            memory with a single cutout.
        WeightsError
            Pretrained weights are not available, or are those of another network.
        """
        train = _training_of(self.name)
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
        fitted = train(self.settings, images, labels.astype(np.float32), sample_weight, names)
        self.network_, self.temperature_, self.class_prior_ = fitted.network, fitted.temperature, fitted.prior
        self.history_ = fitted.history
        self.classes_ = np.array([0, 1])
        return self

    def decision_function(self, X: CutoutSet | Images) -> np.ndarray:
        """Return log-odds (n,) of a lens, the mean over `turns`; NaN for a rejected cutout.

        Log-odds of networks that were trained on clean labels are divided by a temperature that was fitted on the
        validation part.
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
        """Return probabilities (n, 2) as `predict_proba`, and how uncertain the network is of each, (n,).

        The spread is the standard deviation of the log-odds over networks that dropout makes of this one; NaN for a
        rejected cutout, 0 for a network without dropout.
        """
        source, rows = self._usable(X)
        found = np.full((2, len(source)), np.nan)
        if len(rows):
            found[:, rows] = np.array(spread_of(self.network_, self.settings, source, rows)) / self.temperature_
        p = expit(found[0])
        return np.column_stack([1.0 - p, p]), found[1]

    def attribution(self, X: CutoutSet) -> np.ndarray:
        """Map where the network looks: the log-odds that it loses where a square, an eighth of a side, is hidden.

        Parameters
        ----------
        X : CutoutSet of n
            Each is scored 65 times.

        Returns
        -------
        ndarray of shape (n, H, W), float64
            On the cutouts' own pixels; positive where the image indicates a lens. NaN for a rejected cutout.
        """
        from gridlens_deep._occlusion import occlusion_maps

        check_is_fitted(self, "network_")
        return occlusion_maps(_checked_cutouts(X), self.decision_function)

    def embed(self, X: CutoutSet | Images) -> np.ndarray:
        """Return inputs of the last layer, (n, width) float32, means over the turns; NaN for a rejected cutout."""
        source, rows = self._usable(X)
        values = embeddings_of(self.network_, self.settings, source, rows)
        found = np.full((len(source), values.shape[1]), np.nan, dtype=np.float32)
        found[rows] = values
        return found

    def _usable(self, X: Any) -> tuple[CutoutSet | Images, np.ndarray]:
        """Check `X`, and return its rows but for those that their flags or `quality_flags` reject."""
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
                f"The 'X' parameter must hold images on the member's own grid, {grid}. Got {X.grid} instead; "
                "prepare them again."
            )
        return X

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the network of `convnet` as ONNX, for programs without this package and without torch.

        The input `images` (n, 3 or 4, size, size) is the result of `images_of`; the output `log_odds` (n,) is to be
        divided by `temperature_`, and the output `embedding` (n, width) is the input of the last layer. The mean over
        the turns is left to that program.

        Parameters
        ----------
        path : str or path
            File to write, completely or not at all.

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
        """Write the weights as safetensors, parameters and temperature as JSON: none of the files is code."""
        check_is_fitted(self, "network_")
        # The usual variant of a later version may be another one.
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
        """Read a member that `save` wrote. One with device="cuda" takes the CPU where there is no GPU, and warns.

        Raises
        ------
        WeightsError
            The file holds other layers than the network; they are named. Or the state is invalid.
        DeviceError
            Neither torch nor, for `convnet`, onnxruntime is installed.
        """
        parameters = json.loads((folder / PARAMETERS).read_text())
        member = cls(**{_RENAMED.get(name, name): value for name, value in parameters.items()})
        state = json.loads((folder / _STATE).read_text())
        variant = state.get("variant", cls.unnamed)
        # None stays where it still means the network that was saved.
        if member.variant is None and variant != cls.variants[0]:
            member.variant = variant
        if member.device == "cuda" and not sees_gpu():
            warnings.warn(
                f"The member {cls.name!r} was to run on a GPU, and torch sees none here: it scores on the CPU.",
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
    """Import the function that trains, which needs torch and lightning."""
    try:
        from gridlens_deep._training import train
    except ImportError as exc:
        raise DeviceError(
            f"The member {name!r} is fitted with torch and lightning, which cannot be imported here ({exc}). Install "
            "them with `pip install 'gridlens[deep]'`."
        ) from exc
    return train


def _checked_state(state: dict[str, Any]) -> tuple[float, float | None]:
    """Return temperature and class prior of a saved state."""
    temperature, prior = float(state["temperature"]), state["class_prior"]
    prior = None if prior is None else float(prior)
    if not 0.0 < temperature < math.inf or not (prior is None or 0.0 < prior < 1.0):
        raise WeightsError(
            "The state must hold a temperature above 0, and a class prior between 0 and 1 or null. Got "
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
