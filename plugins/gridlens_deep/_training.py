"""One training of a network member, driven by Lightning."""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader

from gridlens.cutouts import CutoutSet
from gridlens_deep._data import CutoutDataset, grouped_validation
from gridlens_deep._devices import device_of
from gridlens_deep._errors import DeviceError
from gridlens_deep._module import LensModule
from gridlens_deep._networks import Network
from gridlens_deep._scoring import fit_temperature, log_odds_of

if TYPE_CHECKING:
    from gridlens_deep._member import NetworkMember

__all__ = ["Trained", "train"]

_WATCHED = "average precision"
_LOSSES = ("cross-entropy", "nnpu")
_CLIP = 1.0
_WARMUP, _AVERAGING = 0.05, 0.999


class Trained(NamedTuple):
    """What a training leaves."""

    network: Network
    temperature: float
    prior: float | None
    history: list[float]
    """average precision of the validation part by epoch; empty where there was none"""


class _Epochs(Callback):
    """Tells the data which epoch it is, for the augmentation, and keeps what was watched."""

    def __init__(self, data: CutoutDataset) -> None:
        self.data = data
        self.history: list[float] = []

    def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
        self.data.epoch = trainer.current_epoch

    def on_validation_epoch_end(self, trainer: Any, *_: Any) -> None:
        if not trainer.sanity_checking and _WATCHED in trainer.callback_metrics:
            self.history.append(float(trainer.callback_metrics[_WATCHED]))


def train(
    member: NetworkMember,
    cutouts: CutoutSet,
    y: np.ndarray,
    sample_weight: np.ndarray | None,
    groups: np.ndarray,
    rows: np.ndarray,
) -> Trained:
    """Train the network of `member` on the cutouts `rows`."""
    if member.loss not in _LOSSES:
        raise ValueError(f"The 'loss' parameter must be one of {', '.join(map(repr, _LOSSES))}. Got {member.loss!r}.")
    device = device_of(member.device)
    seed = 0 if member.random_state is None else member.random_state
    prior = _prior(member) if member.loss == "nnpu" else None
    parts = grouped_validation(y[rows], groups[rows], member.validation, seed) if member.validation else None
    learn, watch = (rows, None) if parts is None else (rows[parts[0]], rows[parts[1]])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = LensModule(
            member._build(member.pretrained),
            member.loss,
            prior,
            member.usual_rate if member.learning_rate is None else member.learning_rate,
            member.weight_decay,
            _WARMUP,
            _AVERAGING,
        )
        history = _fit(member, module, cutouts, y, sample_weight, learn, watch, device, seed)
    network = module.averaged.eval().to("cpu")
    temperature = 1.0
    # A temperature is a calibration: it takes clean labels.
    if watch is not None and member.loss == "cross-entropy":
        member.network_ = network
        temperature = fit_temperature(log_odds_of(member, cutouts, watch), y[watch])
    return Trained(network, temperature, prior, history)


def _fit(
    member: NetworkMember,
    module: LensModule,
    cutouts: CutoutSet,
    y: np.ndarray,
    sample_weight: np.ndarray | None,
    learn: np.ndarray,
    watch: np.ndarray | None,
    device: torch.device,
    seed: int,
) -> list[float]:
    data = CutoutDataset(cutouts, learn, member._grid, y, sample_weight, augment=True, seed=seed)
    batch = min(member.batch_size, len(learn))
    while True:
        epochs = _Epochs(data)
        try:
            with tempfile.TemporaryDirectory(prefix="gridlens-deep-") as temporary:
                folder = Path(member.checkpoints or temporary)
                trainer = _trainer(member, folder, epochs, watch is not None, device)
                loaders = [_loader(member, data, batch, shuffle=True, seed=seed)]
                if watch is not None:
                    watched = CutoutDataset(cutouts, watch, member._grid, y)
                    loaders.append(_loader(member, watched, batch, shuffle=False, seed=seed))
                last = folder / "last.ckpt"
                with warnings.catch_warnings():
                    # Advice on workers and on batches that differ in length.
                    warnings.filterwarnings("ignore", module="lightning")
                    trainer.fit(module, *loaders, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
                best = folder / "best.ckpt"
                if watch is not None and best.is_file():
                    state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
                    module.load_state_dict(state)
            return epochs.history
        except torch.cuda.OutOfMemoryError as exc:
            if batch == 1:
                raise DeviceError(
                    f"The device has too little memory for a single cutout of {member.size} px. Take a smaller "
                    "network, or device='cpu'."
                ) from exc
            batch = max(1, batch // 2)
            torch.cuda.empty_cache()
            warnings.warn(f"Out of GPU memory: training goes on with batches of {batch}.", UserWarning, stacklevel=2)


def _trainer(
    member: NetworkMember, folder: Path, epochs: _Epochs, watched: bool, device: torch.device
) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks: list[Callback] = [epochs, ModelCheckpoint(folder, filename="epoch", save_last=True)]
    if watched:
        callbacks += [
            EarlyStopping(_WATCHED, mode="max", patience=member.patience),
            ModelCheckpoint(folder, "best", monitor=_WATCHED, mode="max", enable_version_counter=False),
        ]
    on_gpu = device.type == "cuda"
    return lightning.Trainer(
        max_epochs=member.epochs,
        accelerator="gpu" if on_gpu else "cpu",
        devices=member.n_devices if on_gpu else 1,
        strategy="ddp" if on_gpu and member.n_devices > 1 else "auto",
        precision="bf16-mixed" if on_gpu else "32-true",
        gradient_clip_val=_CLIP,
        callbacks=callbacks,
        deterministic=not on_gpu,
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
    )


def _loader(member: NetworkMember, data: CutoutDataset, batch: int, *, shuffle: bool, seed: int) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(seed)
    # Batch normalisation has nothing to normalise a single row by.
    alone = shuffle and len(data) % batch == 1 and len(data) > 1
    workers = 0 if member.n_jobs in (None, 1) else abs(int(member.n_jobs))
    return DataLoader(
        data, batch, shuffle=shuffle, drop_last=alone, generator=generator, num_workers=workers, pin_memory=False
    )


def _prior(member: NetworkMember) -> float:
    """The class prior as given."""
    if member.prior is None:
        raise ValueError(
            "The 'prior' parameter must be the share of lenses among the unlabelled rows with loss='nnpu'. Got None "
            "instead; gridlens.pu.estimate_class_prior estimates it from scores out of fold."
        )
    if not 0.0 < member.prior < 1.0:
        raise ValueError(f"The 'prior' parameter must lie between 0 and 1. Got {member.prior!r} instead.")
    return float(member.prior)
