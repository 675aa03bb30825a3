"""Effects of a wrong order of the bands and of unstated zero points.

Run ``python benchmarks/declared.py``; it takes two minutes on two cores. It prints two tables, quoted in
``docs/survey-files.md``:

- the fraction of simulated cutouts of each preset with the flag `BAND_ORDER`, in the orders g, r, i and i, r, g;
- the change of the features and scores of the same cutouts if the bands' zero points differ but are assumed equal.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gridlens import CutoutSet, LensDetector, load_model
from gridlens.cutouts import CutoutFlag, quality_flags
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.features import measure
from gridlens.simulate import SceneSettings, scenes_to_cutouts, simulate_scene
from gridlens.simulate._dataset import map_blocks

SEED = 20261128
# Differences of the zero points of g, r and i from the assumed one, mag.
OFFSETS = ((0.3, 0.0, -0.3), (1.0, 0.0, -1.0), (0.0, 2.5, 0.0))


def with_pixels(cutouts: CutoutSet, pixels: np.ndarray) -> CutoutSet:
    """Return the same cutouts with other pixels."""
    return CutoutSet(
        pixels, bcg_xy=cutouts.bcg_xy, pixel_scale=cutouts.pixel_scale, ids=cutouts.ids, metadata=cutouts.metadata
    )


def is_flagged(cutouts: CutoutSet) -> list[bool]:
    """Return whether each cutout has the flag `BAND_ORDER`."""
    return (quality_flags(cutouts) & CutoutFlag.BAND_ORDER != 0).tolist()


def moved(detector: LensDetector, cutouts: CutoutSet, offsets: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """Return, for each cutout, the fraction of features that move by over 0.1 % and 0.001, and the change in score."""
    factors = np.float32(10.0) ** np.float32(0.4 * np.array(offsets))
    before, after = measure(cutouts), measure(with_pixels(cutouts, cutouts.pixels * factors))
    same = np.isclose(before.features, after.features, rtol=1e-3, atol=1e-3, equal_nan=True)
    scores = [detector.score_rows(rows)["score"].to_numpy() for rows in (before, after)]
    return (~same).mean(axis=1).tolist(), np.abs(scores[1] - scores[0]).tolist()


def look(make: Callable[[int], Any], start: int, stop: int) -> list[tuple[Any, ...]]:
    """Return the entries of each scene in both tables."""
    detector = load_model()
    rows = []
    for index in range(start, stop):
        cutouts = scenes_to_cutouts([make(index)])
        turned = with_pixels(cutouts, cutouts.pixels[..., ::-1])
        rows.append(
            (is_flagged(cutouts)[0], is_flagged(turned)[0], [moved(detector, cutouts, each) for each in OFFSETS])
        )
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100, help="scenes of each preset")
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args()
    found: list[tuple[Any, ...]] = []
    print("| preset | scenes | flagged, order g, r, i | flagged, order i, r, g |\n|---|---|---|---|")
    for survey in SIMULATED_SURVEYS:
        make = functools.partial(simulate_scene, SEED, settings=SceneSettings(surveys=(survey,)))
        blocks = map_blocks(look, make, options.n, options.jobs)
        rows = [row for _, block in blocks for row in block]
        found += rows
        right, wrong = (np.mean([row[k] for row in rows]) for k in (0, 1))
        print(f"| {survey} | {len(rows)} | {100 * right:.1f} % | {100 * wrong:.1f} % |", flush=True)
    right, wrong = (np.mean([row[k] for row in found]) for k in (0, 1))
    print(f"| all | {len(found)} | {100 * right:.1f} % | {100 * wrong:.1f} % |\n")
    print("| zero points of g, r, i off by, mag | features that move | score moves by: median | 95 % | maximum |")
    print("|---|---|---|---|---|")
    for k, offsets in enumerate(OFFSETS):
        features = np.concatenate([row[2][k][0] for row in found])
        score = np.concatenate([row[2][k][1] for row in found])
        score = score[np.isfinite(score)]
        low, high = np.quantile(score, [0.5, 0.95])
        words = ", ".join(f"{value:+g}" for value in offsets)
        print(f"| {words} | {100 * features.mean():.1f} % | {low:.4f} | {high:.4f} | {score.max():.3f} |")


if __name__ == "__main__":
    main()
