"""Networks for programs that do not have this package."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

import torch

from gridlens_deep._images import Grid
from gridlens_deep._networks import Network

__all__ = ["write_onnx"]

_MOST_ROWS = 65536


def write_onnx(network: Network, grid: Grid, path: str | os.PathLike[str]) -> None:
    """Write `network` to `path`, completely or not at all: `images` (n, c, size, size) in, `log_odds` (n,) out."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")
    rows = torch.export.Dim("n", min=1, max=_MOST_ROWS)
    # The exporter warns of operators of packages that are not installed, and of its own deprecations.
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network.eval(),
                (torch.zeros(2, grid.n_channels, grid.size, grid.size),),
                dynamo=True,
                dynamic_shapes={"images": {0: rows}},
                input_names=["images"],
                output_names=["log_odds"],
                verbose=False,
            )
        assert program is not None
        program.save(temporary, external_data=False)
        os.replace(temporary, path)
    finally:
        log.setLevel(level)
        temporary.unlink(missing_ok=True)
