"""Labelled cutouts that differ from the training scenes, to test how well a model generalises to other skies.

Each function returns an `OtherSky`, the same one for the same arguments, and keeps it in the cache beside this file.

- `unseen_preset`: scenes of the training generator with the seeing and depth of a survey that is left out of training.
  No recipe simulates SDSS or Euclid, so they are unseen by every model; another preset is unseen only by models that
  were trained without it.
- `injected_windows`: windows of a real survey, with and without arcs of HST galaxies behind two-halo and dPIE clusters.
- `second_generator`: scenes of a generator that shares nothing with the training generator.
- `plain_real_lenses`: real lenses with arcs visible by eye, and windows of a real field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _other_arcs import FAINTEST_ARC, Picture, arc_snr, load_hst_sources
from _real import plain_lenses, real_field
from _real_windows import REAL_SURVEYS, complete_survey, inject, survey_windows
from _scenes import cache_key, cache_path
from _second_sky import second_scene
from _stamps import real_stamps
from joblib import Parallel, delayed

from gridlens import CutoutSet
from gridlens.simulate import SceneSettings
from gridlens.simulate._scene import draw_scene

__all__ = ["OtherSky", "injected_windows", "plain_real_lenses", "second_generator", "unseen_preset"]

_ROOMS = ("cutouts", "lensing", "simulate")
_MODULES = (
    "_other_arcs",
    "_other_skies",
    "_real",
    "_real_windows",
    "_second_galaxies",
    "_second_sky",
    "_second_telescope",
    "_stamps",
)
# Surveys whose galaxies are pasted into the scenes of the second generator.
_STAMPED = ("hsc", "kids")


@dataclass(frozen=True)
class OtherSky:
    """Labelled cutouts of one sky.

    Parameters
    ----------
    name : str
    cutouts : tuple of CutoutSet
        The rows in order, one set for each size of cutout.
    label : ndarray of shape (n,), int64
        1 with a lens, 0 without.
    groups : ndarray of shape (n,), str
        Rows of one group show the same sky.
    truth : DataFrame of n rows
        ``id``, ``arc_snr`` (0 without an arc, NaN if unknown) and the parameters of the generator.
    """

    name: str
    cutouts: tuple[CutoutSet, ...] = field(repr=False)
    label: np.ndarray = field(repr=False)
    groups: np.ndarray = field(repr=False)
    truth: pd.DataFrame = field(repr=False)

    def scores(self, detector: Any) -> np.ndarray:
        """Return the probability of each row, (n,) float64; NaN for a rejected cutout."""
        return np.concatenate([detector.predict_proba(cutouts)[:, 1] for cutouts in self.cutouts])


def unseen_preset(survey: str, n: int, seed: int) -> OtherSky:
    """Return canonical scenes with the seeing and depth of `survey`, half of them with a lens.

    Parameters
    ----------
    survey : str
        A preset with seeing and depth, or "sdss" or "euclid", whose missing values `complete_survey` fills in.
    n, seed : int
        Number of scenes and their seed. Scenes with an arc fainter than `FAINTEST_ARC` are left out, as in the other
        sets.
    """

    def make() -> OtherSky:
        pictures = _in_processes(partial(_preset_scene, survey, seed), n)
        kept = [picture for picture in pictures if not picture.truth["arc_snr"] < FAINTEST_ARC]
        return _sky(f"preset {survey}", kept, [str(picture.truth["id"]) for picture in kept])

    return _cached(f"preset-{survey}", (n, seed), make)


def _preset_scene(survey: str, seed: int, index: int) -> Picture:
    rng = np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(index,)))
    scene = draw_scene(rng, complete_survey(survey), SceneSettings(varied_fraction=0.0), seed, index)
    # The truth of the generator already has the S/N of the arc, so the sky sigma of 1 is not used.
    return Picture(scene.pixels, scene.bcg_xy, scene.pixel_scale, np.moveaxis(scene.arc, 2, 0), np.ones(3), scene.truth)


def injected_windows(folder: Path, survey: str, n_pairs: int, seed: int) -> OtherSky:
    """Return `n_pairs` windows of a real survey, each with and without an arc.

    Parameters
    ----------
    folder : Path
        Folder with the real images and, in ``real_fields/hst_sources_krojas``, the source galaxies.
    survey : str
        A survey of `REAL_SURVEYS`.
    n_pairs, seed : int
        Number of windows and the seed. If there are fewer, they are used repeatedly, moved and turned. Overlapping
        windows form one group.
    """

    def make() -> OtherSky:
        windows = survey_windows(folder, survey)
        sources = load_hst_sources(folder / "real_fields" / "hst_sources_krojas")
        # The images are too large to send to other processes.
        pairs = [inject(seed, index, windows, survey, sources) for index in range(n_pairs)]
        pictures = [picture for pair in pairs for picture in pair]
        return _sky(f"windows {survey}", pictures, [picture.truth["field"] for picture in pictures])

    return _cached(f"windows-{survey}", (n_pairs, seed, _listing(folder)), make)


def second_generator(folder: Path, n: int, seed: int) -> OtherSky:
    """Return `n` scenes of the second generator, half of them with a lens.

    Parameters
    ----------
    folder : Path
        Folder with the real images whose galaxies are pasted into the scenes.
    n, seed : int
    """

    def make() -> OtherSky:
        stamps = real_stamps(image for survey in _STAMPED for image in REAL_SURVEYS[survey].images(folder))
        pictures = _in_processes(partial(second_scene, seed, stamps=stamps), n)
        return _sky("second generator", pictures, [str(number) for number in range(n)])

    return _cached("second", (n, seed, _listing(folder)), make)


def plain_real_lenses(folder: Path) -> OtherSky:
    """Return the real lenses with plain arcs, and windows of a real field that are as narrow as the lenses' cutouts."""
    lenses = plain_lenses(folder)
    parts = (*lenses, real_field(folder).cutouts())
    ids = [name for cutouts in parts for name in cutouts.ids]
    positive = sum(len(cutouts) for cutouts in lenses)
    label = (np.arange(len(ids)) < positive).astype(np.int64)
    truth = pd.DataFrame({"id": ids, "arc_snr": np.where(label == 1, np.nan, 0.0)})
    return OtherSky("plain real lenses", parts, label, np.array(ids, dtype=str), truth)


def _in_processes(make: Callable[[int], Picture], n: int) -> list[Picture]:
    return list(Parallel(n_jobs=-1, batch_size=16)(delayed(make)(index) for index in range(n)))


def _sky(name: str, pictures: list[Picture], groups: list[str]) -> OtherSky:
    """Combine pictures of one size into a sky; a picture with an arc is a lens."""
    ids = [f"{name.replace(' ', '-')}-{number:05d}" for number in range(len(pictures))]
    rows = [_truth(picture) for picture in pictures]
    cutouts = CutoutSet(
        np.stack([picture.pixels for picture in pictures]),
        bcg_xy=[picture.bcg_xy for picture in pictures],
        pixel_scale=[picture.pixel_scale for picture in pictures],
        ids=ids,
    )
    label = np.array([int(row["arc_snr"] > 0.0) for row in rows], dtype=np.int64)
    return OtherSky(name, (cutouts,), label, np.array(groups, dtype=str), pd.DataFrame(rows).assign(id=ids))


def _truth(picture: Picture) -> dict[str, Any]:
    """Return the truth of the generator, with the S/N of the arc added where it is missing."""
    if not picture.arc.any():
        return picture.truth | {"arc_snr": 0.0}
    return {"arc_snr": arc_snr(picture.arc, picture.sky_sigma)} | picture.truth


def _listing(folder: Path) -> tuple[tuple[str, int], ...]:
    """Return the names and sizes of the images in a folder, which are part of the cache key."""
    used = (*folder.glob("kids_field/*"), *folder.glob("real_fields/*/*"))
    return tuple(sorted((str(path.relative_to(folder)), path.stat().st_size) for path in used))


def _cached(name: str, arguments: tuple[Any, ...], make: Callable[[], OtherSky]) -> OtherSky:
    """Return the set from the cache, or make it and store it there."""
    path = cache_path(f"other-{name}-{cache_key((name, *arguments), _ROOMS, _MODULES)}.npz")
    if not path.exists():
        print(f"making the set {name} ...", flush=True)
        sky = make()
        (cutouts,) = sky.cutouts
        sky.truth.to_parquet(path.with_suffix(".parquet"))
        with path.with_suffix(".part").open("wb") as file:
            np.savez(
                file,
                name=sky.name,
                pixels=cutouts.pixels,
                bcg_xy=cutouts.bcg_xy,
                pixel_scale=cutouts.pixel_scale,
                label=sky.label,
                groups=sky.groups,
            )
        # An interrupted run leaves no incomplete set.
        path.with_suffix(".part").replace(path)
    truth = pd.read_parquet(path.with_suffix(".parquet"))
    with np.load(path) as kept:
        cutouts = CutoutSet(
            kept["pixels"], bcg_xy=kept["bcg_xy"], pixel_scale=kept["pixel_scale"], ids=truth["id"].tolist()
        )
        return OtherSky(str(kept["name"]), (cutouts,), kept["label"], kept["groups"], truth)
