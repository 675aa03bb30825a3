"""Simulated scenes as features and truth, kept in a cache for the benchmarks that learn from them."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from gridlens.features import N_IMAGE_FEATURES
from gridlens.models.recipe import SceneRows, simulate_rows

__all__ = ["cached_rows", "usable"]

HERE = Path(__file__).parent


def cached_rows(
    n: int, seed: int, surveys: tuple[str, ...], canonical: bool = False, lens_fraction: float = 0.5
) -> SceneRows:
    """Simulated rows, from the cache where the simulator and the kernels have not changed since."""
    sources = [
        path for room in ("cutouts", "features", "simulate") for path in (HERE.parent / "gridlens" / room).glob("*.py")
    ]
    key = hashlib.sha256(
        repr((n, seed, surveys, canonical, lens_fraction)).encode() + b"".join(p.read_bytes() for p in sorted(sources))
    )
    folder = HERE / ".cache"
    folder.mkdir(exist_ok=True)
    path = folder / f"scenes-{seed}-{key.hexdigest()[:12]}.npz"
    if not path.exists():
        print(f"simulating {n:,} scenes of seed {seed} ...", flush=True)
        rows = simulate_rows(n, seed, surveys, canonical=canonical, lens_fraction=lens_fraction)
        np.savez(path, features=rows.features)
        rows.truth.to_csv(path.with_suffix(".csv"), index=False)
    return SceneRows(np.load(path)["features"], pd.read_csv(path.with_suffix(".csv")))


def usable(rows: SceneRows) -> SceneRows:
    """Rows whose cutout was not rejected."""
    kept = np.isfinite(rows.features[:, :N_IMAGE_FEATURES]).any(axis=1)
    return SceneRows(rows.features[kept], rows.truth[kept].reset_index(drop=True))
