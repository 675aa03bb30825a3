"""Write cutouts to files."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from gridlens._files import atomic_path
from gridlens.cutouts._bands import BANDS
from gridlens.cutouts._conventions import METADATA_NAMES
from gridlens.cutouts._set import CutoutSet
from gridlens.errors import CutoutError

__all__ = ["write_npz"]


def write_npz(path: str | os.PathLike[str], cutouts: CutoutSet) -> None:
    """Write a set as one npz shard, atomically.

    The shard holds `pixels` (n, H, W, 3), `bands`, `bcg_xy`, `pixel_scale`, `ids` (fixed-width strings, not pickled),
    every metadata name with a known value, `sky_axes` and `bcg_radec` if any orientation is known, and `flags` if any
    is set. Paths are not stored. n = 0 gives a valid, empty shard.

    Parameters
    ----------
    path : str or path
        Must end in .npz. An existing file is replaced once the new one is complete.
    cutouts : CutoutSet
        The cutouts to write.

    Raises
    ------
    CutoutError
        `path` does not end in .npz.
    GridlensError
        The file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> write_npz("shard.npz", CutoutSet(np.ones((2, 48, 48, 3))))  # doctest: +SKIP
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise CutoutError(f"The 'path' parameter must end in .npz. Got {path.name!r} instead.")
    arrays: dict[str, Any] = {
        "pixels": cutouts.pixels,
        "bands": np.array(BANDS),
        "bcg_xy": cutouts.bcg_xy,
        "pixel_scale": cutouts.pixel_scale,
        "ids": cutouts.ids.astype(np.str_),
    }
    for name in METADATA_NAMES:
        values = cutouts.metadata[name].to_numpy()
        if np.isfinite(values).any():
            arrays[name] = values
    if np.isfinite(cutouts.sky_axes).any():
        arrays |= {"sky_axes": cutouts.sky_axes, "bcg_radec": cutouts.bcg_radec}
    if cutouts.flags.any():
        arrays["flags"] = cutouts.flags
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
