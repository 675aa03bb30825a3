"""A fitted network: its weights, and the package used to score with them in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal, Protocol

import numpy as np

from gridlens.errors import GridlensError
from gridlens_deep._errors import DeviceError
from gridlens_deep._layers import PLANS, convnet_shapes
from gridlens_deep._onnx_graph import convnet_model
from gridlens_deep._onnx_runtime import OnnxRuntime
from gridlens_deep._settings import Settings

__all__ = ["FittedNetwork", "Runtime", "onnx_model", "runtime_of", "sees_gpu", "shapes_of"]

# Members whose networks can be written as ONNX models by this package.
_KNOWN = ("convnet",)
# Device files of the drivers for NVIDIA, AMD and Tegra, and for GPUs in Linux on Windows.
_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/nvmap", "/dev/dxg")


class Runtime(Protocol):
    """A network that computes embeddings."""

    def embeddings(self, images: np.ndarray, versions: Sequence[int]) -> list[np.ndarray]:
        """Return the embeddings (n, width) of images (n, c, size, size), float32, for each given flip and turn."""


class FittedNetwork:
    """The weights of a fitted network.

    Each scoring process creates an onnxruntime session or a torch module from them; neither is pickled.

    Parameters
    ----------
    state : mapping of str to ndarray
        Weights by torch's names.
    """

    def __init__(self, state: Mapping[str, np.ndarray]) -> None:
        self.state = dict(state)
        self._runtimes: dict[tuple[Any, ...], Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"state": self.state, "_runtimes": {}}

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return int(self.last[0].size)

    @property
    def last(self) -> tuple[np.ndarray, float]:
        """Weights (width,) and bias of the last layer, in double precision."""
        weights, bias = self.state["last.weight"], self.state["last.bias"]
        return weights[0].astype(np.float64), float(bias[0])

    @contextmanager
    def running(self, settings: Settings) -> Iterator[Runtime]:
        """Provide a runtime for embeddings within the context.

        Raises
        ------
        DeviceError
            The device is not available.
        GridlensError
            onnxruntime cannot run the network.
        """
        if runtime_of(settings) == "torch":
            with self._torch(settings).on_device(settings) as runtime:
                yield runtime
        else:
            yield self._onnx(settings)

    def _torch(self, settings: Settings) -> Any:
        from gridlens_deep._torch_runtime import TorchRuntime

        # A forked process creates its own, since threads do not survive a fork.
        key = ("torch", os.getpid())
        if key not in self._runtimes:
            self._runtimes[key] = TorchRuntime(self.state, settings)
        return self._runtimes[key]

    def _onnx(self, settings: Settings) -> OnnxRuntime:
        key = ("onnxruntime", settings.grid, settings.n_jobs, os.getpid())
        if key not in self._runtimes:
            self._runtimes[key] = OnnxRuntime(onnx_model(self.state, settings), settings.n_jobs)
        return self._runtimes[key]


def onnx_model(state: Mapping[str, np.ndarray], settings: Settings) -> bytes:
    """Return a network in the ONNX format, as bytes; see `gridlens_deep._onnx_graph.convnet_model`.

    Raises
    ------
    GridlensError
        The network cannot be written as an ONNX model.
    """
    if settings.name not in _KNOWN:
        raise GridlensError(
            f"Networks of the member {settings.name!r} cannot be written as ONNX models, only those of "
            f"{', '.join(map(repr, _KNOWN))}."
        )
    return convnet_model(state, settings.grid.n_channels, PLANS[settings.variant], settings.size)


def runtime_of(settings: Settings) -> Literal["onnxruntime", "torch"]:
    """Return the name of the package used to score a network with these settings.

    A GPU requires torch. On a CPU, onnxruntime scores networks of `convnet` in about 0.6 of the time of torch.

    Raises
    ------
    DeviceError
        A GPU is requested, or onnxruntime cannot score the network, and torch is not installed.
    """
    has_torch = _is_installed("torch")
    if settings.name in _KNOWN and settings.device != "cuda" and _is_installed("onnxruntime"):
        return "torch" if settings.device == "auto" and sees_gpu() else "onnxruntime"
    if has_torch:
        return "torch"
    if settings.device == "cuda":
        raise DeviceError(
            "The 'device' parameter must be 'auto' or 'cpu' if torch is not installed. Got 'cuda' instead. Install "
            "torch with `pip install 'gridlens[deep]'`."
        )
    if settings.name in _KNOWN:
        raise DeviceError(
            f"The member {settings.name!r} scores with onnxruntime or torch, but neither is installed. Install "
            "onnxruntime with `pip install 'gridlens[onnx]'`; the model 'default' requires neither."
        )
    raise DeviceError(
        f"The member {settings.name!r} scores with torch, which is not installed. Install it with "
        "`pip install 'gridlens[deep]'`."
    )


def _is_installed(module: str) -> bool:
    """Return whether a module can be found, without importing it."""
    try:
        return find_spec(module) is not None
    # Raised by finders that block the module, and if its entry in `sys.modules` is None.
    except (ImportError, ValueError):
        return False


def sees_gpu() -> bool:
    """Return whether there is a GPU that torch can use; False without torch."""
    # Importing torch takes seconds and memory in each process. On Linux, a GPU has a device file.
    if not _is_installed("torch") or (sys.platform == "linux" and not any(map(os.path.exists, _GPU_FILES))):
        return False
    import torch

    return torch.cuda.is_available()


def shapes_of(settings: Settings) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array in the state of a network, by torch's names.

    Raises
    ------
    DeviceError
        As in `runtime_of`.
    """
    runtime_of(settings)
    if settings.name in _KNOWN:
        return convnet_shapes(settings.grid.n_channels, PLANS[settings.variant])
    from gridlens_deep._networks import build_network

    return {name: tuple(value.shape) for name, value in build_network(settings).state_dict().items()}
