"""Scores of a network: batches, eight turns of each image, the device that there is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gridlens.cutouts import CutoutSet
from gridlens_deep._devices import autocast, device_of
from gridlens_deep._images import images_of

if TYPE_CHECKING:
    from gridlens_deep._member import NetworkMember

__all__ = ["dihedral_images", "embeddings_of", "fit_temperature", "log_odds_of"]


def dihedral_images(images: torch.Tensor) -> list[torch.Tensor]:
    """The eight flips and quarter turns of images (n, 3, H, H)."""
    return [torch.rot90(side, k, (2, 3)) for side in (images, images.flip(3)) for k in range(4)]


def log_odds_of(member: NetworkMember, cutouts: CutoutSet, rows: np.ndarray) -> np.ndarray:
    """Log-odds of the cutouts `rows`, the mean over the turns where the member takes them."""
    return _run(member, cutouts, rows, lambda network, images: network(images)[:, None])[:, 0].astype(np.float64)


def embeddings_of(member: NetworkMember, cutouts: CutoutSet, rows: np.ndarray) -> np.ndarray:
    """Embeddings of the cutouts `rows`."""
    if not len(rows):
        return np.empty((0, member.network_.head[1].in_features), dtype=np.float32)
    return _run(member, cutouts, rows, lambda network, images: network.embed(images))


@torch.inference_mode()
def _run(member: NetworkMember, cutouts: CutoutSet, rows: np.ndarray, call: Any) -> np.ndarray:
    device = device_of(member.device)
    network = member.network_.to(device).eval()
    found, start, batch = [], 0, member.batch_size
    while start < len(rows):
        chosen = rows[start : start + batch]
        try:
            images = torch.from_numpy(images_of(cutouts[chosen], member._grid)).to(device)
            with autocast(device):
                versions = dihedral_images(images) if member.turns else [images]
                values = [call(network, version).float() for version in versions]
            found.append(torch.stack(values).mean(dim=0).cpu().numpy())
        except torch.cuda.OutOfMemoryError:
            if batch == 1:
                raise
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
