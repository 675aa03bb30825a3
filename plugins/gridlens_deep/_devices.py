"""Devices on which networks run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from joblib import effective_n_jobs

from gridlens_deep._errors import DeviceError
from gridlens_deep._settings import Regime

__all__ = ["autocast", "check_number", "device_of", "is_mixed", "threads"]


def device_of(name: str) -> torch.device:
    """Return the device "auto" (a GPU if there is one), "cpu" or "cuda".

    Raises
    ------
    DeviceError
        `name` is "cuda" and there is no GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "The 'device' parameter must name an available device. Got 'cuda' instead, but torch finds no GPU. 'auto' "
            "uses a GPU if there is one, and the CPU otherwise."
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def check_number(n_devices: int, device: torch.device) -> None:
    """Check that `n_devices` devices can train together; on the CPU they are processes.

    Raises
    ------
    ValueError
        The number is less than one.
    DeviceError
        The number is larger than the number of devices.
    """
    if n_devices < 1:
        raise ValueError(f"The 'n_devices' parameter must be 1 or more. Got {n_devices!r} instead.")
    if device.type == "cuda" and n_devices > torch.cuda.device_count():
        raise DeviceError(
            f"The 'n_devices' parameter must be at most the number of GPUs found by torch, "
            f"{torch.cuda.device_count()}. Got {n_devices} instead."
        )


def is_mixed(device: torch.device, regime: Regime) -> bool:
    """Return whether networks use bfloat16: always on a GPU, and on a supporting CPU if `regime` allows it."""
    if device.type == "cuda":
        return True
    # Other CPUs would emulate it, which is slower than float32.
    return regime.cpu_bfloat16 and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """Return a context of mixed precision on a GPU; on the CPU, float32."""
    return torch.autocast("cuda", dtype=torch.bfloat16) if device.type == "cuda" else nullcontext()


@contextmanager
def threads(n_jobs: int | None) -> Iterator[None]:
    """Set the number of torch's threads on the CPU to `n_jobs` (-1: one per processor) and restore it afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(effective_n_jobs(n_jobs))
    try:
        yield
    finally:
        torch.set_num_threads(before)
