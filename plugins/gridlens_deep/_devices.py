"""Where a network runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from joblib import effective_n_jobs

from gridlens_deep._errors import DeviceError

__all__ = ["autocast", "device_of", "threads"]


def device_of(name: str) -> torch.device:
    """The device "auto" (a GPU where there is one), "cpu" or "cuda".

    Raises
    ------
    ValueError
        Another name.
    DeviceError
        A GPU is asked for and there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"The 'device' parameter must be one of 'auto', 'cpu', 'cuda'. Got {name!r} instead.")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "The 'device' parameter must name a device that is there. Got 'cuda', and torch sees no GPU; 'auto' takes "
            "one where there is one, and the CPU elsewhere."
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """Mixed precision on a GPU; on the CPU, float32, to the bit."""
    return torch.autocast("cuda", dtype=torch.bfloat16) if device.type == "cuda" else nullcontext()


@contextmanager
def threads(n_jobs: int | None) -> Iterator[None]:
    """Let torch have `n_jobs` threads on the CPU for a while; -1 for one per processor."""
    before = torch.get_num_threads()
    torch.set_num_threads(effective_n_jobs(n_jobs))
    try:
        yield
    finally:
        torch.set_num_threads(before)
