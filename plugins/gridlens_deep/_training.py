"""One training of a network member, driven by Lightning."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from gridlens_deep._data import BatchRows, ImageDataset, grouped_validation, loader
from gridlens_deep._devices import check_number, device_of, out_of_memory, threads
from gridlens_deep._errors import WeightsError
from gridlens_deep._module import LensModule
from gridlens_deep._networks import Network
from gridlens_deep._scoring import fit_temperature, log_odds_of
from gridlens_deep._store import Images

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


class _History(Callback):
    """What was watched, epoch by epoch; goes into the checkpoint."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        self.values.append(float(trainer.callback_metrics[_WATCHED]))

    def state_dict(self) -> dict[str, Any]:
        return {"values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.values = list(state["values"])


def train(
    member: NetworkMember, images: Images, y: np.ndarray, sample_weight: np.ndarray | None, groups: np.ndarray
) -> Trained:
    """Train the network of `member` on the usable rows of `images`."""
    if member.loss not in _LOSSES:
        raise ValueError(
            f"The 'loss' parameter must be one of {', '.join(map(repr, _LOSSES))}. Got {member.loss!r} instead."
        )
    device = device_of(member.device)
    check_number(member.n_devices, device)
    seed = 0 if member.random_state is None else member.random_state
    prior = _prior(member) if member.loss == "nnpu" else None
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    rows = np.flatnonzero(images.usable)
    parts = grouped_validation(y[rows], groups[rows], member.validation, seed) if member.validation else None
    learn, watch = (rows, None) if parts is None else (rows[parts[0]], rows[parts[1]])
    with torch.random.fork_rng(devices=[]), threads(member.n_jobs):
        torch.manual_seed(seed)
        module = LensModule(
            member._build(member.pretrained),
            member._grid,
            seed,
            member.loss,
            prior,
            member.usual_rate if member.learning_rate is None else member.learning_rate,
            member.weight_decay,
            _WARMUP,
            _AVERAGING,
        )
        data = ImageDataset(images, y, weight)
        if member.checkpoints is None:
            with tempfile.TemporaryDirectory(prefix="gridlens-deep-") as temporary:
                history = _fit(member, module, data, learn, watch, device, seed, Path(temporary))
        else:
            folder = Path(member.checkpoints) / _fingerprint(member, data, groups)
            history = _fit(member, module, data, learn, watch, device, seed, folder)
    network = module.averaged.eval().to("cpu")
    temperature = 1.0
    # A temperature is a calibration: it takes clean labels.
    if watch is not None and member.loss == "cross-entropy":
        member.network_ = network
        temperature = fit_temperature(log_odds_of(member, images, watch), y[watch])
    return Trained(network, temperature, prior, history)


def _fingerprint(member: NetworkMember, data: ImageDataset, groups: np.ndarray) -> str:
    """Name of a training: the folds of a stack share a folder, and none may go on with another's state."""
    parameters = {k: v for k, v in member.get_params().items() if k not in ("checkpoints", "n_jobs", "device")}
    found = hashlib.sha256(json.dumps([member.name, parameters], sort_keys=True).encode())
    for part in (data.y, data.weight, data.images.usable, np.unique(groups, return_inverse=True)[1]):
        found.update(np.ascontiguousarray(part).tobytes())
    # A few images tell sets with the same labels apart.
    found.update(data.images.read(np.linspace(0, len(data.y) - 1, 16).astype(int)).tobytes())
    return found.hexdigest()[:16]


def _fit(
    member: NetworkMember,
    module: LensModule,
    data: ImageDataset,
    learn: np.ndarray,
    watch: np.ndarray | None,
    device: torch.device,
    seed: int,
    folder: Path,
) -> list[float]:
    """Train `module`, going on from what lies in `folder`; return what was watched by epoch."""
    batch = min(member.batch_size, len(learn))
    last, best = folder / "last.ckpt", folder / "best.ckpt"
    if last.is_file():
        _state(last)
    while True:
        trainer = _trainer(member, folder, watch is not None, device)
        learned = loader(data, BatchRows(learn, batch, seed=seed))
        watched = None if watch is None else loader(data, BatchRows(watch, batch))
        ckpt = str(last) if last.is_file() else None
        try:
            with warnings.catch_warnings():
                # Advice on processes that read ahead.
                warnings.filterwarnings("ignore", module="lightning")
                trainer.fit(module, learned, watched, ckpt_path=ckpt, weights_only=True)
            break
        except torch.cuda.OutOfMemoryError as exc:
            if batch == 1:
                raise out_of_memory(member.size) from exc
            batch = max(1, batch // 2)
            torch.cuda.empty_cache()
            warnings.warn(f"Out of GPU memory: training goes on with batches of {batch}.", UserWarning, stacklevel=2)
    if watch is None:
        return []
    module.load_state_dict(_state(best)["state_dict"])
    # From the file: other processes may have trained, and an earlier one may have begun.
    return list(_state(last)["callbacks"][_History().state_key]["values"])


def _state(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, data alone; raise WeightsError where it is damaged."""
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    # A file that was cut or rewritten ends in a dozen kinds of errors.
    except Exception as exc:
        raise WeightsError(
            f"The state of a training in {path} cannot be read ({type(exc).__name__}). Remove the folder that it lies "
            "in: the training then begins anew."
        ) from exc


def _trainer(member: NetworkMember, folder: Path, watched: bool, device: torch.device) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks: list[Callback] = []
    if watched:
        callbacks += [
            _History(),
            EarlyStopping(_WATCHED, mode="max", patience=member.patience),
            ModelCheckpoint(folder, "best", monitor=_WATCHED, mode="max", enable_version_counter=False),
        ]
    # The last in the list: what it keeps holds what the others did in this epoch.
    callbacks.append(ModelCheckpoint(folder, filename="epoch", save_last=True, enable_version_counter=False))
    on_gpu = device.type == "cuda"
    # A bar for each of several trainings at once would be a mess.
    alone = sys.stderr.isatty() and multiprocessing.parent_process() is None
    return lightning.Trainer(
        max_epochs=member.epochs,
        accelerator="gpu" if on_gpu else "cpu",
        devices=member.n_devices,
        strategy="ddp_spawn" if member.n_devices > 1 else "auto",
        use_distributed_sampler=False,
        precision="bf16-mixed" if on_gpu else "32-true",
        gradient_clip_val=_CLIP,
        callbacks=callbacks,
        deterministic=not on_gpu,
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=alone,
        enable_model_summary=False,
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
