"""Training of a network member with Lightning."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import multiprocessing
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from gridlens_deep._data import BatchRows, ImageDataset, grouped_validation, loader
from gridlens_deep._devices import check_number, device_of, is_mixed, threads
from gridlens_deep._errors import WeightsError, out_of_memory
from gridlens_deep._fitted import FittedNetwork
from gridlens_deep._module import LensModule
from gridlens_deep._networks import build_network, state_of
from gridlens_deep._scoring import fit_temperature, log_odds_of
from gridlens_deep._settings import Settings
from gridlens_deep._store import Images

__all__ = ["Trained", "train"]

_WATCHED = "average precision"
_LOSSES = ("cross-entropy", "nnpu")
_CLIP = 1.0
# Minimum number of lenses in the validation part of a pretrained network. With fewer, epochs cannot be compared, and a
# temperature fitted on a few perfectly separated rows would increase log-odds twentyfold.
_FEWEST_WATCHED = 20
# Parameters that do not affect the result of a training.
_WITHOUT_EFFECT = ("checkpoints", "device", "n_jobs", "verbose")


class Trained(NamedTuple):
    """The result of a training."""

    network: FittedNetwork
    temperature: float
    prior: float | None
    history: list[float]
    """average precision of the validation part by epoch; empty if there is none"""


class _Parts(NamedTuple):
    """Training rows, and validation rows if any."""

    learn: np.ndarray
    watch: np.ndarray | None


class _History(Callback):
    """Callback that records the validation metric by epoch; it is stored in the checkpoint."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        self.values.append(float(trainer.callback_metrics[_WATCHED]))

    def state_dict(self) -> dict[str, Any]:
        return {"values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.values = list(state["values"])


def train(
    settings: Settings, images: Images, y: np.ndarray, sample_weight: np.ndarray | None, groups: np.ndarray
) -> Trained:
    """Build a network and train it on the usable rows of `images`."""
    device, prior = _checked(settings)
    parts = _parts(settings, images.usable, y, groups)
    data = ImageDataset(images, y, np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64))
    with torch.random.fork_rng(devices=[]), threads(settings.n_jobs):
        torch.manual_seed(settings.random_state)
        module = LensModule(build_network(settings), settings)
        if settings.checkpoints is None:
            with tempfile.TemporaryDirectory(prefix="gridlens-deep-") as temporary:
                history = _fit(module, settings, data, parts, device, Path(temporary))
        else:
            folder = Path(settings.checkpoints) / _fingerprint(settings, data, groups)
            history = _fit(module, settings, data, parts, device, folder)
    network = FittedNetwork(state_of(module.averaged))
    temperature = 1.0
    # A temperature is a calibration: it needs clean labels.
    if parts.watch is not None and settings.loss == "cross-entropy":
        temperature = fit_temperature(log_odds_of(network, settings, images, parts.watch), y[parts.watch])
    return Trained(network, temperature, prior, history)


def _checked(settings: Settings) -> tuple[torch.device, float | None]:
    """Return the device, and the class prior if the loss needs one; raise an error for invalid parameters."""
    if settings.loss not in _LOSSES:
        raise ValueError(
            f"The 'loss' parameter must be one of {', '.join(map(repr, _LOSSES))}. Got {settings.loss!r} instead."
        )
    device = device_of(settings.device)
    check_number(settings.n_devices, device)
    if settings.loss != "nnpu":
        return device, None
    if settings.class_prior is None:
        raise ValueError(
            "The 'class_prior' parameter must be the fraction of lenses among the unlabelled rows with loss='nnpu'. "
            "Got None instead; gridlens.pu.estimate_class_prior estimates it from out-of-fold scores."
        )
    if not 0.0 < settings.class_prior < 1.0:
        raise ValueError(f"The 'class_prior' parameter must lie between 0 and 1. Got {settings.class_prior!r} instead.")
    return device, float(settings.class_prior)


def _parts(settings: Settings, usable: np.ndarray, y: np.ndarray, groups: np.ndarray) -> _Parts:
    rows = np.flatnonzero(usable)
    if not settings.validation_fraction:
        return _Parts(rows, None)
    parts = grouped_validation(y[rows], groups[rows], settings.validation_fraction, settings.random_state)
    if parts is None:
        return _Parts(rows, None)
    learn, watch = (rows[part] for part in parts)
    if settings.pretrained is not None and y[watch].sum() < _FEWEST_WATCHED:
        return _Parts(rows, None)
    return _Parts(learn, watch)


def _fingerprint(settings: Settings, data: ImageDataset, groups: np.ndarray) -> str:
    """Return an identifier of a training: the folds of a stack share a folder, but must not use each other's states."""
    parameters = {k: v for k, v in dataclasses.asdict(settings).items() if k not in _WITHOUT_EFFECT}
    found = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    for part in (data.y, data.weight, data.images.usable, np.unique(groups, return_inverse=True)[1]):
        found.update(np.ascontiguousarray(part).tobytes())
    # A few images distinguish sets with the same labels.
    found.update(data.images.read(np.linspace(0, len(data.y) - 1, 16).astype(int)).tobytes())
    return found.hexdigest()[:16]


def _fit(
    module: LensModule, settings: Settings, data: ImageDataset, parts: _Parts, device: torch.device, folder: Path
) -> list[float]:
    """Train `module`, from the state in `folder` if there is one; return the validation metric by epoch."""
    batch = min(settings.batch_size, len(parts.learn))
    last, best = folder / "last.ckpt", folder / "best.ckpt"
    if last.is_file():
        _state(last)
    while True:
        trainer = _trainer(settings, folder, parts.watch is not None, device)
        learned = loader(data, BatchRows(parts.learn, batch, seed=settings.random_state))
        watched = None if parts.watch is None else loader(data, BatchRows(parts.watch, batch))
        ckpt = str(last) if last.is_file() else None
        try:
            with warnings.catch_warnings():
                # Lightning recommends processes that read ahead.
                warnings.filterwarnings("ignore", module="lightning")
                trainer.fit(module, learned, watched, ckpt_path=ckpt, weights_only=True)
            break
        except torch.cuda.OutOfMemoryError as exc:
            if batch == 1:
                raise out_of_memory(settings.size) from exc
            batch = max(1, batch // 2)
            torch.cuda.empty_cache()
            warnings.warn(f"Out of GPU memory: training continues with batches of {batch}.", UserWarning, stacklevel=2)
    if parts.watch is None:
        return []
    module.load_state_dict(_state(best)["state_dict"])
    # Read from the file, since other processes may have trained, and an earlier one may have started.
    return list(_state(last)["callbacks"][_History().state_key]["values"])


def _state(path: Path) -> dict[str, Any]:
    """Read a checkpoint as data only; raise WeightsError if it is damaged."""
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    # A truncated or modified file may raise a dozen kinds of errors.
    except Exception as exc:
        raise WeightsError(
            f"The state of a training in {path} cannot be read ({type(exc).__name__}). Remove its folder: the "
            "training then starts again."
        ) from exc


def _trainer(settings: Settings, folder: Path, watched: bool, device: torch.device) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks: list[Callback] = []
    if watched:
        callbacks += [
            _History(),
            EarlyStopping(_WATCHED, mode="max", patience=settings.n_iter_no_change),
            ModelCheckpoint(folder, "best", monitor=_WATCHED, mode="max", enable_version_counter=False),
        ]
    # Last in the list, so that its checkpoint contains the states of the other callbacks after this epoch.
    callbacks.append(ModelCheckpoint(folder, filename="epoch", save_last=True, enable_version_counter=False))
    on_gpu = device.type == "cuda"
    # Progress bars of simultaneous trainings would overwrite each other.
    alone = sys.stderr.isatty() and multiprocessing.parent_process() is None
    return lightning.Trainer(
        max_epochs=settings.epochs,
        accelerator="gpu" if on_gpu else "cpu",
        devices=settings.n_devices,
        strategy="ddp_spawn" if settings.n_devices > 1 else "auto",
        use_distributed_sampler=False,
        precision="bf16-mixed" if is_mixed(device, settings.regime) else "32-true",
        gradient_clip_val=_CLIP,
        callbacks=callbacks,
        deterministic=not on_gpu,
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=settings.verbose > 0 and alone,
        enable_model_summary=False,
    )
