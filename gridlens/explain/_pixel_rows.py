"""Measured cutouts with their pixels as rows of a table, for the parts of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pyarrow as pa

from gridlens.cutouts import METADATA_NAMES, CutoutSet
from gridlens.engine._work import MeasuringWork
from gridlens.features import CONTRACT_VERSION, Measured
from gridlens.features._measured_table import measured_from_table, measured_to_table

__all__ = ["PixelWork", "measured_with_pixels"]

_FIELDS = [
    ("pixels", pa.binary()),
    ("height", pa.int32()),
    ("width", pa.int32()),
    ("pixel_scale", pa.float64()),
    ("known_flags", pa.int64()),
    *((f"known_{name}", pa.float64()) for name in METADATA_NAMES),
]


class PixelWork(MeasuringWork):
    """Work that computes rows of a feature cache, each with its cutout."""

    def table(self, measured: Measured) -> pa.Table:
        """Return the rows; failures and rows from feature caches have no pixels."""
        table = measured_to_table(measured)
        for (name, kind), values in zip(_FIELDS, _columns(measured), strict=True):
            table = table.append_column(name, pa.array(values, kind))
        return table

    def identity(self) -> dict[str, str]:
        """Return the versions that affect the measurements."""
        return {"gridlens": version("gridlens"), "feature contract": str(CONTRACT_VERSION)}


def _columns(measured: Measured) -> list[list[object]]:
    cutouts = measured.cutouts
    if cutouts is None:
        return [[None] * len(measured)] * len(_FIELDS)
    n, height, width = cutouts.pixels.shape[:3]
    return [
        [pixels.tobytes() for pixels in cutouts.pixels],
        [height] * n,
        [width] * n,
        cutouts.pixel_scale.tolist(),
        cutouts.flags.tolist(),
        *(cutouts.metadata[name].tolist() for name in METADATA_NAMES),
    ]


def measured_with_pixels(table: pa.Table) -> Iterator[Measured]:
    """Yield the rows of a table of `PixelWork`, grouped by cutout size, in order within each group."""
    rows = table.select([name for name, _ in _FIELDS]).to_pandas()
    measured = measured_from_table(table)
    for _, group in rows.groupby(["height", "width"], dropna=False, sort=False):
        chosen = measured[group.index.to_numpy()]
        if group["pixels"].iloc[0] is None:
            yield chosen
            continue
        shape = (int(group["height"].iloc[0]), int(group["width"].iloc[0]), 3)
        cutouts = CutoutSet(
            np.stack([np.frombuffer(pixels, np.float32).reshape(shape) for pixels in group["pixels"]]),
            bcg_xy=chosen.bcg_xy,
            pixel_scale=group["pixel_scale"].to_numpy(),
            ids=chosen.ids,
            metadata={name: group[f"known_{name}"].to_numpy() for name in METADATA_NAMES},
            paths=chosen.paths,
            flags=group["known_flags"].to_numpy(np.int64),
            sky_axes=chosen.sky_axes,
            bcg_radec=chosen.bcg_radec,
        )
        yield replace(chosen, cutouts=cutouts)
