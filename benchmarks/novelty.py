"""The flag of unusual cutouts on nearby spirals that fill the field, ordinary scenes, real windows and real lenses.

Run ``python benchmarks/novelty.py --model deep``. It prints, for each kind of cutout, the number, the flagged fraction
with its 95 % interval, the median p-value, and the fraction that scores above 0.9. No model was trained on any of them.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _real import plain_lenses
from _real_windows import REAL_SURVEYS, survey_windows
from _spirals import enlarged_spiral, nearby_spirals

from gridlens import CutoutSet, LensDetector, load_model
from gridlens.calibration import wilson
from gridlens.cutouts import CutoutFlag
from gridlens.detector._novelty import novelty_of
from gridlens.features import measure
from gridlens.simulate import SceneSettings, scenes_to_cutouts, simulate_scene

HERE = Path(__file__).parent
SPIRALS, SPIRAL_SEED = 256, 5
SCENES, SCENE_SEED = 1024, 617
FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0)
HIGH = 0.9
# Number of rows in the timing.
TIMED = 2048


def windows(folder: Path, survey: str) -> CutoutSet:
    """Return the windows of a survey around bright red galaxies, cut out of the unchanged images."""
    found = survey_windows(folder, survey)
    pixels, places, scales = [], [], []
    for window in found.windows:
        image = found.images[window.image]
        room = np.array(image.pixels.shape[1::-1]) - window.size
        x, y = np.clip(np.round(np.array(window.bcg_xy) - 0.5 * (window.size - 1)).astype(int), 0, room)
        pixels.append(image.pixels[y : y + window.size, x : x + window.size])
        places.append((window.bcg_xy[0] - x, window.bcg_xy[1] - y))
        scales.append(image.pixel_scale)
    return CutoutSet(np.stack(pixels), bcg_xy=np.array(places), pixel_scale=np.array(scales))


def scenes(label: int) -> CutoutSet:
    """Return canonical scenes that all have a lens (`label` 1) or all have none (0)."""
    settings = SceneSettings(varied_fraction=0.0, lens_fraction=float(label))
    return scenes_to_cutouts([simulate_scene(SCENE_SEED, index, settings) for index in range(SCENES // 2)])


def kinds(folder: Path) -> Iterator[tuple[str, list[CutoutSet]]]:
    """Yield the kinds of cutouts, the real ones only if the folder exists."""
    yield "scenes without a lens", [scenes(0)]
    yield "scenes with a lens", [scenes(1)]
    yield "simulated spirals that fill the field", [nearby_spirals(SPIRALS, SPIRAL_SEED)]
    if not folder.is_dir():
        return
    for factor in FACTORS:
        yield f"a real spiral, {factor:g} times as large", [enlarged_spiral(folder, factor)]
    for survey in REAL_SURVEYS:
        yield f"real windows, {survey}", [windows(folder, survey)]
    yield "real lenses with plain arcs", list(plain_lenses(folder))


def row(name: str, detector: LensDetector, sets: list[CutoutSet]) -> str:
    """Return the row of the table for some sets of cutouts."""
    tables = [detector.score_rows(cutouts, novelty=True) for cutouts in sets]
    p, score, flags = (np.concatenate([table[column] for table in tables]) for column in ("novelty", "score", "flags"))
    usable = np.isfinite(p)
    flagged = flags.astype(np.int64)[usable] & CutoutFlag.UNUSUAL != 0
    n, k = len(flagged), int(flagged.sum())
    low, high = wilson(k, n)
    fraction = f"{k / n:.3f} [{low:.3f}, {high:.3f}]"
    above = score[usable] > HIGH
    caught = f"{int((flagged & above).sum())} of {int(above.sum())}"
    return f"| {name} | {n} | {fraction} | {np.median(p[usable]):.3f} | {above.mean():.2f} | {caught} |"


def main() -> None:
    """Print the table and the time of the p-value."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--real", type=Path, default=HERE.parents[1] / "shared" / "data", help="folder of real images")
    arguments = parser.parse_args()
    detector = load_model(arguments.model)
    print("| cutouts | number | flagged | median p-value | score above 0.9 | of which flagged |")
    print("|---|---|---|---|---|---|")
    for name, sets in kinds(arguments.real):
        print(row(name, detector, sets), flush=True)
    features = np.repeat(measure(nearby_spirals(8, SPIRAL_SEED)).features, TIMED // 8, axis=0)
    start = time.process_time()
    novelty_of(detector.novelty_, features)
    print(f"\nThe p-value takes {(time.process_time() - start) / TIMED * 1e3:.2f} ms of processor time per cutout.")


if __name__ == "__main__":
    main()
