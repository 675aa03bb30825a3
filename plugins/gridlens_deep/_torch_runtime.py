"""Embeddings with torch, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from gridlens_deep._augment import turned
from gridlens_deep._devices import autocast, device_of, threads
from gridlens_deep._errors import BatchTooLarge
from gridlens_deep._networks import Network, build_network, take_state
from gridlens_deep._settings import Settings

__all__ = ["TorchRuntime"]


class TorchRuntime:
    """A network as a torch module in this process.

    Parameters
    ----------
    state : mapping of str to ndarray
        Weights of the network by name.
    settings : Settings
        Name, variant and images of the network.
    """

    def __init__(self, state: Mapping[str, np.ndarray], settings: Settings) -> None:
        # The initial random weights are overwritten, and the caller's generator must not change.
        with torch.random.fork_rng(devices=[]):
            self.network = build_network(replace(settings, pretrained=None))
        take_state(self.network, state, "the member")
        self.network.eval().requires_grad_(False)

    @contextmanager
    def on_device(self, settings: Settings) -> Iterator[_OnDevice]:
        """Keep the network on the device of the settings within the context, with their number of threads."""
        device = device_of(settings.device)
        self.network.to(device)
        try:
            with threads(settings.n_jobs):
                yield _OnDevice(self.network, device)
        finally:
            self.network.to("cpu")


class _OnDevice:
    def __init__(self, network: Network, device: torch.device) -> None:
        self.network, self.device = network, device

    @torch.inference_mode()
    def embeddings(self, images: np.ndarray, versions: Sequence[int]) -> list[np.ndarray]:
        """Return the embeddings (n, width) of images for each of the given flips and turns.

        Raises
        ------
        BatchTooLarge
            A GPU has too little memory for them.
        """
        try:
            placed = torch.from_numpy(images).to(self.device)
            with autocast(self.device):
                found = [self.network.embed(turned(placed, version)).float() for version in versions]
            return [values.cpu().numpy() for values in found]
        except torch.cuda.OutOfMemoryError as exc:
            torch.cuda.empty_cache()
            raise BatchTooLarge(str(self.device)) from exc
