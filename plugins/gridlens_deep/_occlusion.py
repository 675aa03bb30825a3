"""Occlusion maps of a network: the loss of log-odds when a square of the cutout is hidden."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gridlens.cutouts import CutoutSet

__all__ = ["SQUARES", "occlusion_maps"]

SQUARES = 8
"""number of squares along each side of a cutout"""


def occlusion_maps(cutouts: CutoutSet, log_odds: Callable[[CutoutSet], np.ndarray]) -> np.ndarray:
    """Compute the loss of log-odds when each square of a cutout is hidden, (n, H, W); NaN for a rejected cutout.

    Hidden pixels are bad pixels, which networks treat as sky. See Zeiler & Fergus 2014, ECCV, section 4.2.
    """
    n, height, width, _ = cutouts.pixels.shape
    whole = log_odds(cutouts)
    rows, columns = (np.linspace(0, size, SQUARES + 1).round().astype(int) for size in (height, width))
    maps = np.full((n, height, width), np.nan)
    for i in range(n):
        if not np.isfinite(whole[i]):
            continue
        hidden = np.repeat(cutouts.pixels[i : i + 1], SQUARES**2, axis=0)
        places = [
            (slice(rows[a], rows[a + 1]), slice(columns[b], columns[b + 1]))
            for a in range(SQUARES)
            for b in range(SQUARES)
        ]
        for image, place in zip(hidden, places, strict=True):
            image[place] = np.nan
        left = log_odds(CutoutSet(hidden, bcg_xy=cutouts.bcg_xy[i], pixel_scale=cutouts.pixel_scale[i]))
        for place, value in zip(places, left, strict=True):
            # A cutout near the limit of bad pixels may be rejected if a square is hidden: the map is then NaN there.
            maps[i][place] = whole[i] - value
    return maps
