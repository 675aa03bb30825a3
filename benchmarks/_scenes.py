"""Simulated scenes as features and truth, kept in a cache for the benchmarks that learn from them."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from gridlens.features import N_IMAGE_FEATURES
from gridlens.members import polar_features
from gridlens.models.recipe import Recipe, SceneRows, scene_cutouts, simulate_rows

__all__ = ["cached_calibration", "cached_cutouts", "cached_polar", "cached_rows", "usable"]

HERE = Path(__file__).parent


def cached_rows(
    n: int, seed: int, surveys: tuple[str, ...], canonical: bool = False, lens_fraction: float = 0.5
) -> SceneRows:
    """Simulated rows, from the cache where the simulator and the kernels have not changed since."""
    key = _key((n, seed, surveys, canonical, lens_fraction), ("cutouts", "features", "simulate"))
    path = _cache(f"scenes-{seed}-{key}.npz")
    if not path.exists():
        print(f"simulating {n:,} scenes of seed {seed} ...", flush=True)
        rows = simulate_rows(n, seed, surveys, canonical=canonical, lens_fraction=lens_fraction)
        np.savez(path, features=rows.features)
        rows.truth.to_csv(path.with_suffix(".csv"), index=False)
    return SceneRows(np.load(path)["features"], pd.read_csv(path.with_suffix(".csv")))


def cached_calibration(recipe: Recipe) -> SceneRows:
    """The scenes that `recipe` calibrates on."""
    return cached_rows(recipe.n_calibrate, recipe.calibrate_seed, recipe.surveys, True, recipe.calibrate_lens_fraction)


def cached_polar(n: int, seed: int, surveys: tuple[str, ...]) -> tuple[SceneRows, np.ndarray]:
    """Canonical scenes, and what the member `polar` makes of their pixels."""
    key = _key((n, seed, surveys), ("cutouts", "features", "simulate", "members"))
    path = _cache(f"polar-{seed}-{key}.npz")
    if not path.exists():
        print(f"simulating {n:,} scenes of seed {seed}, with their pixels ...", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            rows = simulate_rows(n, seed, surveys, pixels=Path(folder) / "pixels.npy")
            np.savez(path, features=rows.features, polar=polar_features(rows.cutouts))
        rows.truth.to_csv(path.with_suffix(".csv"), index=False)
    stored = np.load(path)
    return SceneRows(stored["features"], pd.read_csv(path.with_suffix(".csv"))), stored["polar"]


def cached_cutouts(n: int, seed: int, surveys: tuple[str, ...]) -> SceneRows:
    """Canonical scenes with their pixels, 200 kB each, which are mapped from the cache."""
    key = _key((n, seed, surveys), ("cutouts", "features", "simulate"))
    pixels = _cache(f"pixels-{seed}-{key}.npy")
    features, truth = pixels.with_suffix(".npz"), pixels.with_suffix(".csv")
    if not truth.exists():
        print(f"simulating {n:,} scenes of seed {seed}, with their pixels ...", flush=True)
        rows = simulate_rows(n, seed, surveys, pixels=pixels)
        np.savez(features, features=rows.features)
        rows.truth.to_csv(truth, index=False)
    return scene_cutouts(np.load(features)["features"], pd.read_csv(truth), pixels)


def _key(what: tuple, rooms: tuple[str, ...]) -> str:
    """Name of what is cached, another one once a source file of `rooms` has changed."""
    sources = [path for room in rooms for path in (HERE.parent / "gridlens" / room).glob("*.py")]
    return hashlib.sha256(repr(what).encode() + b"".join(p.read_bytes() for p in sorted(sources))).hexdigest()[:12]


def _cache(name: str) -> Path:
    folder = HERE / ".cache"
    folder.mkdir(exist_ok=True)
    return folder / name


def usable(rows: SceneRows) -> SceneRows:
    """Rows whose cutout was not rejected."""
    kept = np.isfinite(rows.features[:, :N_IMAGE_FEATURES]).any(axis=1)
    return SceneRows(rows.features[kept], rows.truth[kept].reset_index(drop=True))
