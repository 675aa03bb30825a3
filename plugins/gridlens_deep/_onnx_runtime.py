"""Embeddings with onnxruntime, on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from joblib import effective_n_jobs

from gridlens.errors import GridlensError
from gridlens_deep._onnx_format import OPSET
from gridlens_deep._orbit import turned_array

__all__ = ["OnnxRuntime"]

# Number of images whose maps fit into the second-level cache.
_BATCH = 16


class OnnxRuntime:
    """A network as an ONNX model in an onnxruntime session of this process.

    Parameters
    ----------
    model : bytes
        Model from `gridlens_deep._onnx_graph`, with the input `images` and the output `embedding`.
    n_jobs : int or None
        Number of threads.

    Raises
    ------
    GridlensError
        onnxruntime cannot be imported, or is too old for the model.
    """

    def __init__(self, model: bytes, n_jobs: int | None) -> None:
        self._session = _session(model, effective_n_jobs(n_jobs))

    def embeddings(self, images: np.ndarray, versions: Sequence[int]) -> list[np.ndarray]:
        """Return the embeddings (n, width) of images for each of the given flips and turns."""
        batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
        return [np.concatenate([self._run(turned_array(batch, version)) for batch in batches]) for version in versions]

    def _run(self, images: np.ndarray) -> np.ndarray:
        return self._session.run(["embedding"], {"images": np.ascontiguousarray(images)})[0]


def _session(model: bytes, n_threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as exc:
        raise GridlensError(
            f"The package onnxruntime is installed but cannot be imported ({exc}). Reinstall it with "
            "`pip install --force-reinstall 'gridlens[onnx]'`."
        ) from exc
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
    # Threads that spin while waiting would take processor time from other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # onnxruntime raises a dozen kinds of errors, whose only common base is Exception.
    except Exception as exc:
        raise GridlensError(
            f"onnxruntime {onnxruntime.__version__} cannot run the network, which uses operators of opset {OPSET} "
            f"({type(exc).__name__}). Install a newer version with `pip install --upgrade 'gridlens[onnx]'`."
        ) from exc
