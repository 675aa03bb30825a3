"""Features and truth of simulated scenes, cached for the benchmarks."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridlens import CutoutSet, LensDetector
from gridlens.features import FeatureCache, FeatureCacheWriter, Measured
from gridlens.features._contract import METADATA_NAMES
from gridlens.members._polar import polar_features
from gridlens.training import Recipe
from gridlens.training._mine import Mined
from gridlens.training._scenes import measured_scenes, weights

__all__ = [
    "Scenes",
    "cache_key",
    "cache_path",
    "cached_calibration",
    "cached_cutouts",
    "cached_polar",
    "cached_rows",
    "fit_recipe",
    "usable",
]

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Scenes:
    """Measured scenes and their truth. Index with a mask or a slice to select rows."""

    measured: Measured
    truth: pd.DataFrame = field(repr=False)

    def __getitem__(self, rows: Any) -> Scenes:
        return Scenes(self.measured[rows], self.truth[rows].reset_index(drop=True))

    @property
    def features(self) -> np.ndarray:
        """Features (n, 315) with all metadata."""
        return self.measured.features

    @property
    def label(self) -> np.ndarray:
        """1 with a lens, 0 without."""
        return self.truth["label"].to_numpy()

    @property
    def cutouts(self) -> CutoutSet:
        """The cutouts, if the scenes were cached with their pixels."""
        assert self.measured.cutouts is not None
        return self.measured.cutouts

    def features_with(self, metadata: str) -> np.ndarray:
        """Return the features with the metadata selected by a choice of `GridPatchExtractor`; the others are NaN."""
        return self.measured.with_metadata(metadata).features


def cached_rows(
    n: int, seed: int, surveys: tuple[str, ...], canonical: bool = False, lens_fraction: float = 0.5
) -> Scenes:
    """Return simulated scenes, from the cache unless the simulator or the kernels have changed since."""
    key = cache_key((n, seed, surveys, canonical, lens_fraction), ("cutouts", "features", "simulate"))
    path = cache_path(f"scenes-{seed}-{key}.parquet")
    if not path.with_suffix(".csv").exists():
        _simulate(path, None, n, seed, surveys, canonical=canonical, lens_fraction=lens_fraction)
    return _read(path)


def cached_calibration(recipe: Recipe) -> Scenes:
    """Return the calibration scenes of `recipe`."""
    return cached_rows(recipe.n_calibrate, recipe.calibrate_seed, recipe.surveys, True, recipe.calibrate_lens_fraction)


def cached_polar(n: int, seed: int, surveys: tuple[str, ...]) -> tuple[Scenes, np.ndarray]:
    """Return canonical scenes and the features that the member `polar` computes from their pixels."""
    key = cache_key((n, seed, surveys), ("cutouts", "features", "simulate", "members"))
    path = cache_path(f"polar-{seed}-{key}.parquet")
    polar = path.with_suffix(".npy")
    if not polar.exists():
        with tempfile.TemporaryDirectory() as folder:
            pixels = Path(folder) / "pixels.npy"
            _simulate(path, pixels, n, seed, surveys)
            np.save(polar, polar_features(_with_cutouts(_read(path), pixels).cutouts))
    return _read(path), np.load(polar)


def cached_cutouts(n: int, seed: int, surveys: tuple[str, ...]) -> Scenes:
    """Return canonical scenes with their pixels, 200 kB each, memory-mapped from the cache."""
    key = cache_key((n, seed, surveys), ("cutouts", "features", "simulate"))
    path = cache_path(f"pixels-{seed}-{key}.parquet")
    pixels = path.with_suffix(".npy")
    if not path.with_suffix(".csv").exists():
        _simulate(path, pixels, n, seed, surveys)
    return _with_cutouts(_read(path), pixels)


def _simulate(path: Path, pixels: Path | None, n: int, seed: int, surveys: tuple[str, ...], **options: Any) -> None:
    """Write scenes to a feature cache, their truth to a table beside it, and their pixels, if asked, to an array."""
    print(f"simulating {n:,} scenes of seed {seed}{'' if pixels is None else ', with their pixels'} ...", flush=True)
    truths, kept, done = [], None, 0
    with FeatureCacheWriter(path, f"scenes of seed {seed}") as writer:
        for measured, truth in measured_scenes(n, seed, surveys, pixels=pixels is not None, **options):
            writer.add(measured.without_cutouts())
            truths += truth
            if pixels is not None and measured.cutouts is not None:
                block = measured.cutouts.pixels
                if kept is None:
                    kept = np.lib.format.open_memmap(pixels, "w+", np.float32, (n, *block.shape[1:]))
                kept[done : done + len(block)] = block
                done += len(block)
    if kept is not None:
        kept.flush()
    pd.DataFrame(truths).to_csv(path.with_suffix(".csv"), index=False)


def _read(path: Path) -> Scenes:
    return Scenes(FeatureCache(path).read(), pd.read_csv(path.with_suffix(".csv")))


def _with_cutouts(scenes: Scenes, pixels: Path) -> Scenes:
    truth = scenes.truth
    cutouts = CutoutSet(
        np.load(pixels, mmap_mode="r"),
        bcg_xy=truth[["bcg_x", "bcg_y"]].to_numpy(),
        pixel_scale=truth["pixel_scale"].to_numpy(),
        ids=truth["id"],
        metadata=truth[list(METADATA_NAMES)],
    )
    return Scenes(replace(scenes.measured, cutouts=cutouts), truth)


def cache_key(what: tuple, rooms: tuple[str, ...], modules: tuple[str, ...] = ()) -> str:
    """Return the key of cached data; it changes with any file of the subpackages `rooms` or the benchmark `modules`."""
    sources = [path for room in rooms for path in (HERE.parent / "gridlens" / room).glob("*.py")]
    sources += [HERE / f"{module}.py" for module in modules]
    return hashlib.sha256(repr(what).encode() + b"".join(p.read_bytes() for p in sorted(sources))).hexdigest()[:12]


def cache_path(name: str) -> Path:
    """Return the path of a file in the cache of the benchmarks."""
    folder = HERE / ".cache"
    folder.mkdir(exist_ok=True)
    return folder / name


def usable(scenes: Scenes) -> Scenes:
    """Return the scenes whose cutout was not rejected."""
    return scenes[~scenes.measured.rejected]


def fit_recipe(
    train: Scenes, calibrate: Scenes, recipe: Recipe, *, mined: Mined | None = None, n_jobs: int = 1
) -> LensDetector:
    """Fit the detector of `recipe` on scenes and, as negatives, mined rows."""
    rows, label, weight = train.measured.without_cutouts(), train.label, weights(train.truth, recipe)
    if mined is not None:
        rows = Measured.concatenate([rows, mined.rows])
        label = np.concatenate([label, np.zeros(len(mined.weight), dtype=label.dtype)])
        weight = np.concatenate([weight, mined.weight])
    detector = LensDetector(recipe.members, recipe.metadata, n_jobs=n_jobs, random_state=recipe.random_state)
    held = (calibrate.measured.without_cutouts(), calibrate.label)
    return detector.fit(rows, label, groups=np.arange(len(label)), sample_weight=weight, calibration=held)
