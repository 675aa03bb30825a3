"""Self-supervised pretraining with pairs of one lens and two sources, then training on a hundred labels.

The two scenes of a pair share the cluster, its mass and the whole foreground, and differ in their sources and their
noise (LenSiam, Chang et al. 2023, arXiv:2311.10100). A network learns to embed both alike, with the objective of
SimSiam (Chen & He 2021, CVPR, 15750). It is then trained to find lenses with a small number of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from _arch_images import Pictures, scene_pictures
from _arch_networks import build
from _arch_runs import TWO_VIEWS, Run, Score, Test, cached, cached_network, fit_network, turn_scores
from _scenes import cache_path
from gridlens_deep._augment import augment
from gridlens_deep._data import BatchRows
from gridlens_deep._devices import device_of, is_mixed, threads
from gridlens_deep._networks import Network
from torch import nn

from gridlens.simulate import Scene, SceneSettings, _scene, simulate_scene
from gridlens.simulate._sources import Source, draw_sources

__all__ = ["N_LABELS", "STARTS", "few_label_scores", "paired_scene"]

N_LABELS = 100
STARTS = ("random weights", "pairs of one lens and two sources", "labelled scenes")
PAIR_SEED, LABEL_SEED = 719, 727
# First random stream of the sources, above the streams of the randomised ingredients.
_FIRST_STREAM = 1000
_PAIR_EPOCHS, _PAIR_BATCH, _PAIR_RATE = 8, 128, 1e-3
_HIDDEN = 64
"""width of the predictor's hidden layer"""
_EPOCHS, _LABEL_BATCH, _RATE = 40, 32, 1e-3


def paired_scene(seed: int, index: int, settings: SceneSettings, number: int) -> Scene:
    """Simulate scene `number` of a pair like `simulate_scene`, but with different sources and noise for each number.

    Parameters
    ----------
    seed, index : int
        The same for both scenes of a pair.
    settings : SceneSettings
    number : int
        0 or 1.
    """
    own = np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(index, _FIRST_STREAM + number)))

    def other_sources(rng: np.random.Generator, *arguments: Any, **options: Any) -> list[Source]:
        # The noise is drawn after the sources: advancing the scene's stream makes it differ between the two scenes.
        rng.bit_generator.advance((1 + number) << 64)
        options = {name: own if isinstance(value, np.random.Generator) else value for name, value in options.items()}
        return draw_sources(own, *arguments, **options)

    with mock.patch.object(_scene, "draw_sources", other_sources):
        return simulate_scene(seed, index, settings)


def few_label_scores(
    run: Run,
    train: Pictures,
    tests: Sequence[Test],
    n_pairs: int,
    randomisation: tuple[str, ...],
    n_draws: int,
    n_jobs: int,
) -> dict[str, list[Score]]:
    """Return the scores, in two views, of networks trained on a hundred labels from each of the `STARTS`.

    Parameters
    ----------
    run : Run
        Training that produces the weights of "labelled scenes".
    train : Pictures
        Scenes of that training.
    tests : sequence of Test
    n_pairs : int
        Number of unlabelled pairs.
    randomisation : tuple of str
        Randomised ingredients of the pairs and of the labelled scenes.
    n_draws : int
        Number of disjoint sets of a hundred labels.
    n_jobs : int
    """
    labelled = scene_pictures(n_draws * N_LABELS, LABEL_SEED, (run.inputs.size,), randomisation, n_jobs=n_jobs)
    first: dict[str, Callable[[], Network]] = {
        STARTS[0]: partial(build, run.network, run.inputs.n_channels, run.inputs.size),
        STARTS[1]: partial(_paired_network, run, n_pairs, randomisation, n_jobs),
        STARTS[2]: partial(cached_network, run, train, n_jobs),
    }
    found = {}
    for name, start in first.items():
        found[name] = []
        for draw in range(n_draws):
            make = partial(_tuned, run, labelled, tests, start, draw, n_jobs)
            what = (name, draw, run, n_pairs if name == STARTS[1] else 0)
            found[name].append(cached(what, run.inputs, [train, labelled, *(test.pictures for test in tests)], make))
    return found


def _tuned(
    run: Run, labelled: Pictures, tests: Sequence[Test], start: Callable[[], Network], draw: int, n_jobs: int
) -> Score:
    """Train all layers on one set of labels, and score the tests."""
    rows = np.arange(draw * N_LABELS, (draw + 1) * N_LABELS)
    settings = replace(
        run.settings, epochs=_EPOCHS, batch_size=_LABEL_BATCH, learning_rate=_RATE, random_state=run.seed + draw
    )
    network, ms = fit_network(run, labelled, rows, start, settings, n_jobs)
    log_odds = tuple(turn_scores(network, test.pictures, run, TWO_VIEWS, n_jobs) for test in tests)
    return Score(log_odds, sum(value.numel() for value in network.parameters()), ms)


class _Siamese(nn.Module):
    """A backbone, a projector, and a predictor of the projection of one view from that of the other."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        width = network.last.in_features
        self.network = network
        self.projector = nn.Sequential(
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width, affine=False),
        )
        self.predictor = nn.Sequential(
            nn.Linear(width, _HIDDEN, bias=False), nn.BatchNorm1d(_HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, width)
        )

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        projected = [self.projector(self.network.embed(images)) for images in (first, second)]
        cosines = [
            nn.functional.cosine_similarity(self.predictor(one).float(), other.detach().float()).mean()
            for one, other in (projected, projected[::-1])
        ]
        return -0.5 * (cosines[0] + cosines[1])


def _paired_network(run: Run, n_pairs: int, randomisation: tuple[str, ...], n_jobs: int) -> Network:
    """Return a network whose backbone was pretrained on pairs, from the cache if it is there."""
    views = [
        scene_pictures(
            n_pairs,
            PAIR_SEED,
            (run.inputs.size,),
            randomisation,
            n_jobs,
            lens_fraction=1.0,
            kind=f"pairs-{number}",
            maker=partial(paired_scene, number=number),
        )
        for number in (0, 1)
    ]
    path = cache_path(f"arch-pairs-{run.network}-{n_pairs}-{views[0].files[run.inputs.size][0].stem}.pt")
    network = build(run.network, run.inputs.n_channels, run.inputs.size)
    if not path.exists():
        with torch.random.fork_rng(devices=[]), threads(n_jobs):
            torch.manual_seed(run.seed)
            network = build(run.network, run.inputs.n_channels, run.inputs.size)
            _learn_pairs(network, views, run)
        torch.save(network.state_dict(), path)
    network.load_state_dict(torch.load(path, weights_only=True))
    return network


def _learn_pairs(network: Network, views: list[Pictures], run: Run) -> None:
    """Train in place with the objective of SimSiam and the image augmentation of the member `convnet`."""
    settings = run.settings
    device = device_of(settings.device)
    siamese = _Siamese(network).to(device).train()
    seen = [view.seen(run.inputs) for view in views]
    rows = np.flatnonzero(views[0].usable & views[1].usable)
    batches = BatchRows(rows, min(_PAIR_BATCH, len(rows)), seed=run.seed)
    optimizer = torch.optim.AdamW(siamese.parameters(), lr=_PAIR_RATE, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PAIR_RATE, total_steps=_PAIR_EPOCHS * len(batches))
    for epoch in range(_PAIR_EPOCHS):
        batches.set_epoch(epoch)
        losses = []
        for chosen in batches:
            pair = [torch.from_numpy(images.read(chosen)).to(device) for images in seen]
            changed = [augment(images, settings.grid, settings.regime) for images in pair]
            with torch.autocast(device.type, torch.bfloat16, enabled=is_mixed(device, settings.regime)):
                loss = siamese(*changed)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"pairs, epoch {epoch}: mean cosine {-np.mean(losses):.3f}", flush=True)
    network.to("cpu")
