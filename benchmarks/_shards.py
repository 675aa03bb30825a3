"""Many cutouts on disk for the benchmarks of scale: a few distinct shards linked under many names."""

import os
from pathlib import Path

import numpy as np
from _scenes import cached_cutouts

from gridlens import LensDetector
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.models import save_model

__all__ = ["DISTINCT", "SHARD", "link_shards", "single_model"]

# The training scenes of `deep.py`.
DISTINCT, _SEED, _SURVEYS = 4000, 401, tuple(name for name in SIMULATED_SURVEYS if name != "kids")
SHARD = 500
"""cutouts per shard"""


def link_shards(folder: Path, n: int) -> list[Path]:
    """Return npz shards of at least `n` simulated cutouts of 128 px, of which `DISTINCT` are distinct.

    The shards are hard links under different names. They have no `ids`, so their cutouts are named after the shard.
    """
    cutouts = cached_cutouts(DISTINCT, _SEED, _SURVEYS).cutouts
    originals = folder / "originals"
    originals.mkdir(parents=True)
    for k in range(0, DISTINCT, SHARD):
        part = cutouts[k : k + SHARD]
        np.savez(originals / f"{k:05d}.npz", pixels=part.pixels, bcg_xy=part.bcg_xy, pixel_scale=part.pixel_scale)
    shards, made = [], sorted(originals.iterdir())
    (folder / "shards").mkdir()
    for k in range(-(-n // SHARD)):
        shards.append(folder / "shards" / f"shard-{k:05d}.npz")
        os.link(made[k % len(made)], shards[-1])
    return shards


def single_model(folder: Path) -> Path:
    """Write a bundle with one member, `lightgbm`, of the usual size; return its folder."""
    rows = cached_cutouts(DISTINCT, _SEED, _SURVEYS)
    half = DISTINCT // 2
    X, y = rows.features_with("image"), rows.label
    detector = LensDetector(("lightgbm",), random_state=0).fit(X[:half], y[:half], calibration=(X[half:], y[half:]))
    save_model(detector, folder / "single", card="# A single member, for speed\n", training={})
    return folder / "single"
