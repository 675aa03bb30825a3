"""Scores of a network: batches, eight turns of each image, the device that there is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gridlens.cutouts import CutoutSet
from gridlens_deep._augment import dihedral_images
from gridlens_deep._devices import autocast, device_of, out_of_memory, threads
from gridlens_deep._store import Images, images_at

if TYPE_CHECKING:
    from gridlens_deep._member import NetworkMember

__all__ = ["embeddings_of", "fit_temperature", "log_odds_of", "spread_of"]

# Networks that dropout makes of one, for the spread of what they say.
_DRAWS = 32


def log_odds_of(member: NetworkMember, source: CutoutSet | Images, rows: np.ndarray) -> np.ndarray:
    """Log-odds of the cutouts `rows`, the mean over the turns where the member takes them."""
    return _run(member, source, rows, lambda network, images: network(images)[:, None])[:, 0].astype(np.float64)


def spread_of(member: NetworkMember, source: CutoutSet | Images, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of the cutouts `rows`, and their standard deviation over networks that dropout makes of the one.

    Dropout stands before the last layer alone: the image is looked at once, for all of them (Gal & Ghahramani 2016,
    ICML, 1050). All rows meet the same networks.
    """
    dropout, last = member.network_.dropout, member.network_.last
    generator = torch.Generator().manual_seed(0)
    kept = torch.rand(_DRAWS, last.in_features, generator=generator) >= dropout.p
    drawn = last.weight.detach() * kept / (1.0 - dropout.p)
    weights, bias = torch.cat([last.weight.detach(), drawn]), last.bias.detach()

    def call(network: Any, images: torch.Tensor) -> torch.Tensor:
        embedded = network.embed(images).float()
        return embedded @ weights.T.to(embedded.device) + bias.to(embedded.device)

    values = _run(member, source, rows, call).astype(np.float64)
    return values[:, 0], values[:, 1:].std(axis=1)


def embeddings_of(member: NetworkMember, source: CutoutSet | Images, rows: np.ndarray) -> np.ndarray:
    """Embeddings of the cutouts `rows`."""
    if not len(rows):
        return np.empty((0, member.network_.last.in_features), dtype=np.float32)
    return _run(member, source, rows, lambda network, images: network.embed(images))


@torch.inference_mode()
def _run(member: NetworkMember, source: CutoutSet | Images, rows: np.ndarray, call: Any) -> np.ndarray:
    with threads(member.n_jobs):
        return _batched(member, source, rows, call)


def _batched(member: NetworkMember, source: CutoutSet | Images, rows: np.ndarray, call: Any) -> np.ndarray:
    device = device_of(member.device)
    network = member.network_.to(device).eval()
    found, start, batch = [], 0, member.batch_size
    while start < len(rows):
        chosen = rows[start : start + batch]
        try:
            images = torch.from_numpy(images_at(source, chosen, member._grid, member.n_jobs)).to(device)
            with autocast(device):
                versions = dihedral_images(images) if member.turns else [images]
                values = [call(network, version).float() for version in versions]
            found.append(torch.stack(values).mean(dim=0).cpu().numpy())
        except torch.cuda.OutOfMemoryError as exc:
            if batch == 1:
                raise out_of_memory(member.size) from exc
            batch = max(1, batch // 2)
            torch.cuda.empty_cache()
            warnings.warn(f"Out of memory on {device}: scoring {batch} cutouts at a time.", UserWarning, stacklevel=2)
            continue
        start += len(chosen)
    member.network_.to("cpu")
    return np.concatenate(found)


def fit_temperature(log_odds: np.ndarray, y: np.ndarray) -> float:
    """Divisor of the log-odds, from 0.05 to 20, that makes the log loss of clean labels least (Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        z = log_odds / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0.0, z) - y * z))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))
