"""Training of the networks of `architectures.py` in the regime of the member `convnet`, with cached scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from _arch_images import Inputs, Pictures
from _arch_networks import build
from _scenes import cache_key, cache_path
from gridlens_deep import ConvNetMember
from gridlens_deep._augment import N_TURNS, turned
from gridlens_deep._data import ImageDataset
from gridlens_deep._devices import device_of, is_mixed, threads
from gridlens_deep._module import LensModule
from gridlens_deep._networks import Network
from gridlens_deep._settings import Settings
from gridlens_deep._training import _fit, _Parts

from gridlens.training import RECIPES

__all__ = [
    "ALL_VIEWS",
    "TWO_VIEWS",
    "Run",
    "Score",
    "Test",
    "cached",
    "cached_network",
    "cached_score",
    "fit_network",
    "turn_scores",
]

# Maximum learning rates of AdamW; lower for transformers and ResNet-18, as in the members `vit` and `resnet`.
_RATES = {"transformer": 1e-3, "resnet-18": 1e-3, "vit-s/16": 3e-4}
_RATE = 3e-3
_FIRST_SEED = 100
ALL_VIEWS, TWO_VIEWS = tuple(range(N_TURNS)), (0, 4)
"""flips and turns over which a score is averaged: all eight, or the image and its mirror image"""
_BATCH = 256
"""number of images scored at a time"""
_RECIPE = RECIPES["default"]


@dataclass(frozen=True)
class Run:
    """Configuration of one training.

    Parameters
    ----------
    network : str
    inputs : Inputs
    scenes : int
        Number of training scenes, counted from the first.
    epochs : int
    training : int
        Number of the repetition; each has different initial weights and a different order of the scenes.
    """

    network: str = "compact"
    inputs: Inputs = field(default_factory=Inputs)
    scenes: int = 8192
    epochs: int = 8
    training: int = 0

    @property
    def seed(self) -> int:
        """Seed of the initial weights and of the order of the scenes."""
        return _FIRST_SEED + self.training

    @property
    def settings(self) -> Settings:
        """Settings of the member `convnet` for this training: all epochs, no validation set."""
        return ConvNetMember(
            size=self.inputs.size,
            pixel_scale=self.inputs.pixel_scale,
            epochs=self.epochs,
            learning_rate=_RATES.get(self.network, _RATE),
            validation_fraction=0.0,
            random_state=self.seed,
        ).settings


@dataclass(frozen=True)
class Test:
    """Cutouts to test a network on: one sky of a set of other skies, or the held-out scenes.

    Parameters
    ----------
    letter : str
        Letter of the set.
    label, groups : ndarray of shape (n,)
    pictures : Pictures
    """

    letter: str
    label: np.ndarray = field(repr=False)
    groups: np.ndarray = field(repr=False)
    pictures: Pictures = field(repr=False)


@dataclass(frozen=True)
class Score:
    """Result of a training.

    Parameters
    ----------
    log_odds : tuple of ndarray of shape (n, views)
        For each test, by view (flip and turn); NaN for a rejected cutout.
    n_parameters : int
    ms : float
        Training time per image and epoch: processor time on a CPU, wall time on a GPU.
    """

    log_odds: tuple[np.ndarray, ...] = field(repr=False)
    n_parameters: int
    ms: float


def cached_score(run: Run, train: Pictures, tests: Sequence[Test], views: tuple[int, ...], n_jobs: int) -> Score:
    """Train and score in the given views, or return the cached scores of the same training on the same images."""

    def make() -> Score:
        network, ms = fit_network(run, train, n_jobs=n_jobs)
        torch.save(network.state_dict(), _weights_path(run, train))
        log_odds = tuple(turn_scores(network, test.pictures, run, views, n_jobs) for test in tests)
        return Score(log_odds, sum(value.numel() for value in network.parameters()), ms)

    return cached((run, views), run.inputs, [train, *(test.pictures for test in tests)], make)


def cached_network(run: Run, train: Pictures, n_jobs: int) -> Network:
    """Train a network, or return the cached one of the same training on the same images."""
    path = _weights_path(run, train)
    if not path.exists():
        torch.save(fit_network(run, train, n_jobs=n_jobs)[0].state_dict(), path)
    network = build(run.network, run.inputs.n_channels, run.inputs.size)
    network.load_state_dict(torch.load(path, weights_only=True))
    return network


def cached(what: tuple[Any, ...], inputs: Inputs, sets: Sequence[Pictures], make: Callable[[], Score]) -> Score:
    """Return scores from the cache, or compute them with `make`; `what` and the images of `sets` identify the file."""
    path = cache_path(f"arch-scores-{_key(what, inputs, sets)}.npz")
    if not path.exists():
        score = make()
        parts = {f"test_{number}": values for number, values in enumerate(score.log_odds)}
        np.savez(path, ms=score.ms, n_parameters=score.n_parameters, **parts)
        print(f"{what}: {score.ms:.2f} ms", flush=True)
    with np.load(path) as kept:
        log_odds = tuple(kept[name] for name in kept.files if name.startswith("test_"))
        return Score(log_odds, int(kept["n_parameters"]), float(kept["ms"]))


def _weights_path(run: Run, train: Pictures) -> Path:
    return cache_path(f"arch-weights-{_key((run,), run.inputs, [train])}.pt")


def _key(what: tuple[Any, ...], inputs: Inputs, sets: Sequence[Pictures]) -> str:
    """Return a key that changes with the images and with the code of the networks."""
    names = [path.name for pictures in sets for path in pictures.files[inputs.size]]
    return cache_key((*what, names), (), ("_arch_networks",))


def fit_network(
    run: Run,
    train: Pictures,
    rows: np.ndarray | None = None,
    start: Callable[[], Network] | None = None,
    settings: Settings | None = None,
    n_jobs: int = 1,
) -> tuple[Network, float]:
    """Train a network in the way the member `convnet` does.

    Parameters
    ----------
    run : Run
    train : Pictures
    rows : ndarray of int, default=None
        Training rows. If None, the first `run.scenes` rows.
    start : callable, default=None
        Function that returns the network with its initial weights. If None, they are random.
    settings : Settings, default=None
        If None, the settings of `run`.
    n_jobs : int, default=1
        Number of threads on a CPU.

    Returns
    -------
    network : Network
        The averaged weights after the last epoch.
    ms : float
        As in `Score`.
    """
    settings = settings or run.settings
    rows = np.arange(run.scenes) if rows is None else rows
    rows = rows[train.usable[rows]]
    device = device_of(settings.device)
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    weights = np.where(train.arc_snr < _RECIPE.faint_snr, _RECIPE.faint_weight, 1.0)
    data = ImageDataset(train.seen(run.inputs), train.label, weights)
    with torch.random.fork_rng(devices=[]), threads(n_jobs), TemporaryDirectory() as folder:
        torch.manual_seed(settings.random_state)
        network = build(run.network, run.inputs.n_channels, run.inputs.size) if start is None else start()
        module = LensModule(network, settings)
        begun = clock()
        _fit(module, settings, data, _Parts(rows, None), device, Path(folder))
        ms = 1e3 * (clock() - begun) / (len(rows) * settings.epochs)
    return module.averaged.eval().to("cpu"), ms


@torch.inference_mode()
def turn_scores(network: Network, pictures: Pictures, run: Run, views: tuple[int, ...], n_jobs: int) -> np.ndarray:
    """Return log-odds (n, views) for the given flips and turns; NaN for rejected cutouts.

    Mixed precision is used where the training uses it. On a CPU with bfloat16 instructions it halves the time.
    """
    seen, settings = pictures.seen(run.inputs), run.settings
    device = device_of(settings.device)
    network.to(device).eval()
    found = np.full((len(seen), len(views)), np.nan, dtype=np.float32)
    usable = np.flatnonzero(pictures.usable)
    with threads(n_jobs), torch.autocast(device.type, torch.bfloat16, enabled=is_mixed(device, settings.regime)):
        for start in range(0, len(usable), _BATCH):
            rows = usable[start : start + _BATCH]
            images = torch.from_numpy(seen.read(rows)).to(device)
            values = [network(turned(images, view)).float() for view in views]
            found[rows] = torch.stack(values, dim=1).cpu().numpy()
    return found
