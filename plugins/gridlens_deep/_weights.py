"""The files of a saved member, and network weights as arrays, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gridlens_deep._errors import WeightsError

__all__ = ["PARAMETERS", "WEIGHTS", "checked_state", "read_weights", "write_weights"]

PARAMETERS, WEIGHTS = "parameters.json", "weights.safetensors"
"""names of the files in a member's folder"""


def write_weights(state: Mapping[str, np.ndarray], path: Path) -> None:
    """Write the state of a network as safetensors."""
    from safetensors.numpy import save

    # `save_file` is not used, because only the owner can read the file that it writes.
    path.write_bytes(save({name: np.asarray(value, order="C") for name, value in state.items()}))


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file; raise WeightsError if it is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    # KeyError is raised for number types that numpy does not have, such as bfloat16.
    except (OSError, SafetensorError, KeyError) as exc:
        raise WeightsError(
            f"The weights of a network must be a safetensors file. Got {str(path)!r} instead, which cannot be read "
            f"({type(exc).__name__}). Use a folder written by `save` of a member."
        ) from exc


def checked_state(
    state: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], where: str
) -> dict[str, np.ndarray]:
    """Return the state of a network with weights in single precision.

    Parameters
    ----------
    state : mapping of str to ndarray
        State read from a file.
    shapes : mapping of str to tuple of int
        The shape of each array of the network's state, by name.
    where : str
        Name of the file, for messages.

    Raises
    ------
    WeightsError
        The arrays do not belong to the network, or contain NaN or infinities; the message names them.
    """
    wrong = [f"{name} (missing)" for name in shapes if name not in state]
    wrong += [f"{name} (unknown)" for name in state if name not in shapes]
    wrong += [
        f"{name} ({state[name].shape}, not {shape})"
        for name, shape in shapes.items()
        if name in state and state[name].shape != shape
    ]
    if wrong:
        raise WeightsError(
            f"The weights in {where} belong to another network: {len(wrong)} layers differ, {_some(wrong)}."
        )
    unfit = [name for name, value in state.items() if not np.isfinite(value).all()]
    if unfit:
        raise WeightsError(f"The weights in {where} must be finite. {len(unfit)} layers are not, {_some(unfit)}.")
    # Batch counters are integers.
    return {name: value.astype(np.float32) if value.dtype.kind == "f" else value for name, value in state.items()}


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
