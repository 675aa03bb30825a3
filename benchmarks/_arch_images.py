"""Training and test images for the networks of `architectures.py`, prepared once and cached."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import gridlens_deep._images as preparing
import numpy as np
import pandas as pd
from _scenes import cache_key, cache_path
from gridlens_deep._images import Grid, clean_rows, measured_images
from gridlens_deep._store import _digest
from joblib import Parallel, delayed

from gridlens import CutoutSet
from gridlens.simulate import Scene, SceneSettings, scenes_to_cutouts, simulate_scene

__all__ = ["Inputs", "Pictures", "cutout_pictures", "scene_pictures", "without_bcg"]

FIELD = 64.0
"""arcsec"""
_PART, _BLOCK = 2048, 64
"""number of scenes in a file and in a task of a process"""
# The shape of the BCG is measured from the light within this radius, arcsec, in this many iterations, and its axis
# ratio is at least this.
_CORE, _APERTURES, _FLATTEST = 4.0, 10, 0.4
# Larger than any signal-to-noise ratio of a pixel.
_APART = 1e7


@dataclass(frozen=True)
class Inputs:
    """Size and channels of the images that a network gets; the field is always 64 arcsec wide.

    Parameters
    ----------
    size : int, default=96
        Side of the image, pixels.
    blue_map : bool, default=True
        Whether the blue map is the fourth channel.
    subtracted : bool, default=False
        Whether the bands without the light of the BCG are three more channels.
    """

    size: int = 96
    blue_map: bool = True
    subtracted: bool = False

    @property
    def n_channels(self) -> int:
        """Number of channels of an image."""
        return 3 + self.blue_map + 3 * self.subtracted

    @property
    def pixel_scale(self) -> float:
        """arcsec per pixel."""
        return FIELD / self.size


@dataclass(frozen=True)
class Pictures:
    """Prepared images in files of the cache, one row per cutout, with their labels.

    Parameters
    ----------
    files : dict of int to tuple of Path
        For each size, npy files (m, 4, size, size), float16, whose rows are concatenated.
    label : ndarray of shape (n,), int64
        1 with a lens, 0 without.
    arc_snr : ndarray of shape (n,), float64
        NaN without an arc.
    usable : ndarray of shape (n,), bool
        True for the cutouts that gridlens does not reject.
    """

    files: dict[int, tuple[Path, ...]] = field(repr=False)
    label: np.ndarray = field(repr=False)
    arc_snr: np.ndarray = field(repr=False)
    usable: np.ndarray = field(repr=False)

    def seen(self, inputs: Inputs) -> Seen:
        """Return the images in the form that a network with `inputs` takes."""
        files = self.files[inputs.size]
        return Seen([files, *([_subtracted(files, inputs)] if inputs.subtracted else [])], inputs)


class Seen:
    """Images (n, channels, size, size) that are read one batch at a time.

    Parameters
    ----------
    layers : list of sequence of Path
        Files of the bands and the blue map, then of the bands without the BCG, if used.
    inputs : Inputs
    """

    def __init__(self, layers: Sequence[Sequence[Path]], inputs: Inputs) -> None:
        self.inputs = inputs
        self.layers = [[np.load(path, mmap_mode="r") for path in files] for files in layers]
        self.starts = np.cumsum([0, *(len(part) for part in self.layers[0])])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the images of the given rows, float32."""
        bands, *others = (self._layer(layer, rows) for layer in self.layers)
        return np.concatenate([bands if self.inputs.blue_map else bands[:, :3], *others], axis=1)

    def _layer(self, parts: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), *parts[0].shape[1:]), dtype=np.float32)
        which = np.searchsorted(self.starts, rows, side="right") - 1
        for number in np.unique(which):
            chosen = which == number
            found[chosen] = parts[number][rows[chosen] - self.starts[number]]
        return found


def scene_pictures(
    n: int,
    seed: int,
    sizes: tuple[int, ...],
    randomisation: tuple[str, ...] = (),
    n_jobs: int = 1,
    *,
    lens_fraction: float = 0.5,
    randomised_fraction: float = 1.0,
    kind: str = "scenes",
    maker: Callable[..., Scene] = simulate_scene,
) -> Pictures:
    """Return images of the first `n` scenes of a seed with the canonical geometry.

    Parameters
    ----------
    n, seed : int
        Number of scenes and their seed. The first scenes of a seed are the same for every `n`.
    sizes : tuple of int
        Sides of the images, pixels. All sizes are prepared from one simulation of each scene.
    randomisation : tuple of str, default=()
        As in `SceneSettings`.
    n_jobs : int, default=1
        Number of processes.
    lens_fraction : float, default=0.5
    randomised_fraction : float, default=1.0
        As in `SceneSettings`.
    kind : str, default="scenes"
        Name of the scenes of `maker` in the cache.
    maker : callable, default=simulate_scene
        Function that returns a scene for a seed, its index and the settings.
    """
    settings = SceneSettings(
        varied_fraction=0.0,
        lens_fraction=lens_fraction,
        randomisation=randomisation,
        randomised_fraction=randomised_fraction,
    )
    key = _key((settings,), ("cutouts", "features", "lensing", "simulate"))
    files: dict[int, list[Path]] = {size: [] for size in sizes}
    truths = []
    for start in range(0, n, _PART):
        stop = min(start + _PART, n)
        truth = cache_path(f"arch-{kind}-{seed}-{start}-{stop}-{key}.parquet")
        paths = {size: truth.with_name(f"{truth.stem}-{size}.npy") for size in sizes}
        missing = {size: path for size, path in paths.items() if not path.exists()}
        if missing:
            print(f"simulating {kind} {start:,} to {stop:,} of seed {seed} ...", flush=True)
            _simulate(truth, missing, partial(maker, seed, settings=settings), range(start, stop), n_jobs)
        truths.append(pd.read_parquet(truth))
        for size, path in paths.items():
            files[size].append(path)
    rows = pd.concat(truths, ignore_index=True)
    named = {size: tuple(paths) for size, paths in files.items()}
    return Pictures(named, rows["label"].to_numpy(), rows["arc_snr"].to_numpy(), rows["usable"].to_numpy())


def _simulate(truth: Path, paths: dict[int, Path], make: Callable[[int], Scene], numbers: range, n_jobs: int) -> None:
    """Simulate scenes and write their truth and their images in each size."""
    blocks = [numbers[start : start + _BLOCK] for start in range(0, len(numbers), _BLOCK)]
    made = list(Parallel(n_jobs=n_jobs)(delayed(_block)(make, block, tuple(paths)) for block in blocks))
    pd.concat([rows for _, rows in made], ignore_index=True).to_parquet(truth)
    for size, path in paths.items():
        _write(path, np.concatenate([images[size] for images, _ in made]))


def _block(
    make: Callable[[int], Scene], numbers: range, sizes: tuple[int, ...]
) -> tuple[dict[int, np.ndarray], pd.DataFrame]:
    scenes = [make(index) for index in numbers]
    cutouts = scenes_to_cutouts(scenes)
    prepared = {size: _prepared(cutouts, size, 1) for size in sizes}
    truth = pd.DataFrame([{name: scene.truth[name] for name in ("label", "arc_snr")} for scene in scenes])
    images = {size: found for size, (found, _) in prepared.items()}
    return images, truth.assign(usable=prepared[sizes[0]][1])


def _prepared(cutouts: CutoutSet, size: int, n_jobs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, 4, size, size) in half precision, and a mask (n,) of the cutouts that are not rejected."""
    images, measured = measured_images(cutouts, grid_of(size), n_jobs)
    return images.astype(np.float16), measured & clean_rows(cutouts)


def cutout_pictures(
    cutouts: CutoutSet, label: np.ndarray, arc_snr: np.ndarray, sizes: tuple[int, ...], n_jobs: int = 1
) -> Pictures:
    """Return the images of n labelled cutouts, prepared by `n_jobs` threads."""
    digest = _digest(cutouts)
    files, usable = {}, np.empty(0, dtype=bool)
    for size in sizes:
        path = cache_path(f"arch-cutouts-{_key((digest, size), ('cutouts', 'features'))}.npy")
        mask = path.with_name(f"{path.stem}-usable.npy")
        if not path.exists():
            images, usable = _prepared(cutouts, size, n_jobs)
            _write(mask, usable)
            _write(path, images)
        files[size], usable = (path,), np.load(mask)
    return Pictures(files, label, arc_snr, usable)


def grid_of(size: int) -> Grid:
    """Return the grid of 64 arcsec and `size` pixels, with the blue map."""
    return Grid(size, FIELD / size, blue_map=True)


def without_bcg(images: np.ndarray, pixel_scale: float) -> np.ndarray:
    """Subtract a smooth model of the BCG from each band.

    The model is the median in elliptical rings. All rings have the axis ratio and the angle of the light of all bands
    in the central 4 arcsec.

    Parameters
    ----------
    images : ndarray of shape (n, 3 or more, size, size)
        Stretched images with the BCG in the middle, as `images_of` returns them.
    pixel_scale : float
        arcsec per pixel.

    Returns
    -------
    ndarray of shape (n, 3, size, size), float32
        The bands, stretched again; pixels of exactly 0 stay 0.
    """
    softening = Grid().softening
    signal = softening * np.sinh(images[:, :3].astype(np.float32))
    for bands in signal:
        known = (bands != 0.0).any(axis=0)
        radius = _elliptical_radius(bands.sum(axis=0), _CORE / pixel_scale)
        bands -= np.where(known, _ring_medians(bands, radius, known), np.float32(0.0))
    return np.arcsinh(signal / softening).astype(np.float32)


def _elliptical_radius(light: np.ndarray, core: float) -> np.ndarray:
    """Return the elliptical radius of each pixel (size, size), in pixels, for the shape of the central light."""
    axis = np.arange(len(light)) - 0.5 * (len(light) - 1)
    x, y = np.meshgrid(axis, axis)
    radius, light = np.hypot(x, y), np.clip(light, 0.0, None)
    # A circular aperture makes the light look rounder than it is, so the aperture takes the shape of the last ellipse.
    for _ in range(_APERTURES):
        weight = np.where(radius < core, light, 0.0)
        weight /= max(float(weight.sum()), 1e-6)
        xx, yy, xy = (float((weight * product).sum()) for product in (x * x, y * y, x * y))
        flattening = min(1.0, float(np.hypot(xx - yy, 2.0 * xy)) / max(xx + yy, 1e-6))
        ratio = max(_FLATTEST, math.sqrt((1.0 - flattening) / (1.0 + flattening)))
        angle = 0.5 * math.atan2(2.0 * xy, xx - yy)
        along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
        radius = np.sqrt(ratio * along**2 + across**2 / ratio)
    return radius


def _ring_medians(bands: np.ndarray, radius: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the median of each band (c, size, size) in rings one pixel wide, interpolated between their middles."""
    ring = radius[known].astype(np.int64)
    counts = np.bincount(ring)
    numbers = np.flatnonzero(counts)
    middle = (np.cumsum(counts) - counts + counts // 2)[numbers]
    # An offset for each ring allows one sort of numbers, much faster than a sort by ring and value.
    medians = [np.sort(band[known] + _APART * ring)[middle] - _APART * numbers for band in bands]
    return np.stack([np.interp(radius, numbers + 0.5, median) for median in medians]).astype(np.float32)


def _subtracted(files: tuple[Path, ...], inputs: Inputs) -> tuple[Path, ...]:
    """Return the files of the BCG-subtracted bands for files of images; write those that are missing."""
    found = tuple(path.with_name(f"{path.stem}-without-bcg.npy") for path in files)
    for source, path in zip(files, found, strict=True):
        if not path.exists():
            _write(path, without_bcg(np.load(source, mmap_mode="r"), inputs.pixel_scale).astype(np.float16))
    return found


def _write(path: Path, values: np.ndarray) -> None:
    """Write an array atomically, so that an interrupted run leaves no incomplete file."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, values)
    part.replace(path)


def _key(arguments: tuple, rooms: tuple[str, ...]) -> str:
    return cache_key((*arguments, Path(preparing.__file__).read_text()), rooms)
