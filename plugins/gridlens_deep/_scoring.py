"""Scores of a network: batches, eight turns of each image, the device that is available."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch

from gridlens.cutouts import CutoutSet
from gridlens_deep._augment import N_TURNS, turned
from gridlens_deep._devices import autocast, device_of, out_of_memory, threads
from gridlens_deep._networks import Network
from gridlens_deep._settings import Settings
from gridlens_deep._store import Images, images_at

__all__ = ["embeddings_of", "fit_temperature", "log_odds_of", "spread_of"]

# Networks that dropout makes of one, for the spread of their scores.
_DRAWS = 32

# From a network and images (n, 3, size, size) on its device to values (n, k).
_Call = Callable[[Network, torch.Tensor], torch.Tensor]


def log_odds_of(network: Network, settings: Settings, source: CutoutSet | Images, rows: np.ndarray) -> np.ndarray:
    """Return log-odds of the cutouts `rows`, the mean over the turns if `settings.turns`."""
    values = _values(network, settings, source, rows, lambda network, images: network(images)[:, None])
    return values[:, 0].astype(np.float64)


def spread_of(
    network: Network, settings: Settings, source: CutoutSet | Images, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return log-odds of the cutouts `rows`, and their standard deviation over networks that dropout makes of one.

    Dropout is applied before the last layer only, so that each image passes through the network once (Gal & Ghahramani
    2016, ICML, 1050). The same networks score all rows.
    """
    dropout, last = network.dropout, network.last
    generator = torch.Generator().manual_seed(0)
    kept = torch.rand(_DRAWS, last.in_features, generator=generator) >= dropout.p
    drawn = last.weight.detach() * kept / (1.0 - dropout.p)
    weights, bias = torch.cat([last.weight.detach(), drawn]), last.bias.detach()

    def call(network: Network, images: torch.Tensor) -> torch.Tensor:
        embedded = network.embed(images).float()
        return embedded @ weights.T.to(embedded.device) + bias.to(embedded.device)

    values = _values(network, settings, source, rows, call).astype(np.float64)
    return values[:, 0], values[:, 1:].std(axis=1)


def embeddings_of(network: Network, settings: Settings, source: CutoutSet | Images, rows: np.ndarray) -> np.ndarray:
    """Return embeddings of the cutouts `rows`."""
    if not len(rows):
        return np.empty((0, network.last.in_features), dtype=np.float32)
    return _values(network, settings, source, rows, lambda network, images: network.embed(images))


@torch.inference_mode()
def _values(
    network: Network, settings: Settings, source: CutoutSet | Images, rows: np.ndarray, call: _Call
) -> np.ndarray:
    device = device_of(settings.device)
    network.to(device).eval()
    found, start, batch = [], 0, settings.batch_size
    with threads(settings.n_jobs):
        while start < len(rows):
            chosen = rows[start : start + batch]
            try:
                found.append(_of_batch(network, settings, device, source, chosen, call))
            except torch.cuda.OutOfMemoryError as exc:
                if batch == 1:
                    raise out_of_memory(settings.size) from exc
                batch = max(1, batch // 2)
                torch.cuda.empty_cache()
                warnings.warn(
                    f"Out of memory on {device}: scoring {batch} cutouts at a time.", UserWarning, stacklevel=2
                )
                continue
            start += len(chosen)
    network.to("cpu")
    return np.concatenate(found)


def _of_batch(
    network: Network,
    settings: Settings,
    device: torch.device,
    source: CutoutSet | Images,
    rows: np.ndarray,
    call: _Call,
) -> np.ndarray:
    images = torch.from_numpy(images_at(source, rows, settings.grid, settings.n_jobs)).to(device)
    with autocast(device):
        versions = range(N_TURNS if settings.turns else 1)
        values = [call(network, turned(images, version)).float() for version in versions]
    return torch.stack(values).mean(dim=0).cpu().numpy()


def fit_temperature(log_odds: np.ndarray, y: np.ndarray) -> float:
    """Find the divisor of the log-odds, 0.05 to 20, that minimises the log loss of clean labels (Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        z = log_odds / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0.0, z) - y * z))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))
