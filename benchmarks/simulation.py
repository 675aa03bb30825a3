"""Scenes lensed by `gridlens.lensing` compared with the same scenes lensed by lenstronomy: cost and differences.

python benchmarks/simulation.py [--only time|paired] [--scenes 8192] [--jobs 1]

Needs lenstronomy (the extra `test`). The times are processor times averaged over scenes, each of which is drawn with
both codes in turn. For the paired comparison, each scene is drawn with both, measured, and scored by the bundled model
of its kind. The AUROC of both, the paired difference with its interval, and the largest changes are printed after every
1,024 scenes. A scene without a lens is drawn once, because its code is the same in both.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from lenstronomy_scenes import reference_scene  # noqa: E402

from gridlens import LensDetector, load_model  # noqa: E402
from gridlens.evaluation import auroc, compare  # noqa: E402
from gridlens.features import Measured, measure  # noqa: E402
from gridlens.simulate import Scene, SceneSettings, scenes_to_cutouts, simulate_scene  # noqa: E402
from gridlens.simulate._dataset import map_blocks  # noqa: E402

TIMED_SCENES, TIMED_SEED = 60, 3
PAIRED_SEED = 901
# Columns of the truth that depend only on the random draws: the lens, its sources and the catalogue.
DRAWN = ("label", "theta_e_halo", "halo_angle", "shear", "n_sources", "source_redshift", "source_mag_r", "redshift")
KINDS = {
    "canonical": (SceneSettings(varied_fraction=0.0), "default"),
    "cluster-cluster": (SceneSettings(varied_fraction=0.0, cluster_cluster=1.0), "cluster-cluster"),
}


def seconds(make: Callable[[], Scene]) -> float:
    """Return the processor time of one scene, s."""
    begin = time.process_time()
    make()
    return time.process_time() - begin


def print_times() -> None:
    """Print the milliseconds per scene with both codes."""
    print("| scenes | lenstronomy, ms | gridlens, ms | ratio |\n|---|---|---|---|")
    for kind, (settings, _) in KINDS.items():
        for name, fraction in (("", settings.lens_fraction), (", lenses alone", 1.0)):
            drawn = SceneSettings(settings.surveys, fraction, 0.0, settings.cluster_cluster)
            both = np.array(
                [
                    [seconds(partial(way, TIMED_SEED, k, drawn)) for way in (reference_scene, simulate_scene)]
                    for k in range(TIMED_SCENES + 2)
                ]
            )
            # The first scenes include compilation.
            old, new = 1e3 * both[2:].mean(axis=0)
            print(f"| {kind}{name} | {old:.1f} | {new:.1f} | {old / new:.1f} |", flush=True)


def both_ways(settings: SceneSettings, index: int) -> tuple[Scene, Scene]:
    """Return one scene lensed by lenstronomy and by gridlens."""
    new = simulate_scene(PAIRED_SEED, index, settings)
    return (reference_scene(PAIRED_SEED, index, settings) if new.truth["label"] else new), new


def changes(old: Scene, new: Scene) -> tuple[float, float, bool]:
    """Return the largest change of a pixel in sky rms, the relative change of the arc's flux, and whether draws agree.

    The change of flux is 0 for arcs without a pixel above the sky rms, where the field may only have a faint wing.
    """
    noise = np.nanmedian(np.abs(np.diff(new.pixels.astype(float), axis=0)), axis=(0, 1)) / 0.954
    pixel = float(np.nanmax(np.abs(new.pixels.astype(float) - old.pixels) / noise))
    before, after = (float(scene.arc.sum(dtype=float)) for scene in (old, new))
    same = all(old.truth[name] == new.truth[name] or old.truth[name] != old.truth[name] for name in DRAWN)
    return pixel, abs(after / before - 1.0) if old.truth["arc_snr"] > 0.0 else 0.0, same


def measured_pairs(
    make: Callable[[int], tuple[Scene, Scene]], start: int, stop: int
) -> tuple[Measured, Measured, list[tuple[int, float, float, bool]]]:
    """Return scenes `start` to `stop`, measured with both codes, and the label and the changes of each."""
    old_rows, new_rows, found = [], [], []
    for index in range(start, stop):
        old, new = make(index)
        new_rows.append(measure(scenes_to_cutouts([new])).without_cutouts())
        same = old is new
        old_rows.append(new_rows[-1] if same else measure(scenes_to_cutouts([old])).without_cutouts())
        found.append((int(new.truth["label"]), *changes(old, new)))
    return Measured.concatenate(old_rows), Measured.concatenate(new_rows), found


def log_odds(detector: LensDetector, rows: Measured) -> np.ndarray:
    """Return the log-odds of each row at even prevalence."""
    p = detector.predict_proba(rows.with_metadata(detector.metadata).features, prevalence=0.5)[:, 1]
    return np.asarray(np.log(p) - np.log1p(-p))


def print_paired(kind: str, n: int, jobs: int) -> None:
    """Print the comparison for `n` scenes of a kind, also after each 1,024 scenes."""
    settings, model = KINDS[kind]
    detector = load_model(model)
    blocks = []
    print(f"\n{kind}: scenes of seed {PAIRED_SEED}, model '{model}'", flush=True)
    for _, block in map_blocks(measured_pairs, partial(both_ways, settings), n, jobs):
        blocks.append(block)
        done = sum(len(found) for _, _, found in blocks)
        if done % 1024 == 0 or done == n:
            print_comparison(detector, blocks)


def print_comparison(detector: LensDetector, blocks: list[tuple[Measured, Measured, list]]) -> None:
    """Print the changes in the scenes so far and in their scores."""
    old, new = (Measured.concatenate([block[side] for block in blocks]) for side in (0, 1))
    label, pixel, flux, same = map(np.array, zip(*(row for block in blocks for row in block[2]), strict=True))
    usable = ~(old.rejected | new.rejected)
    before, after = (log_odds(detector, rows[usable]) for rows in (old, new))
    change = compare(label[usable], before, after, {"AUROC": auroc}, n_boot=500)["AUROC"]
    gap = change.difference
    print(f"{len(label):,} scenes, {int(label.sum()):,} lenses, {int((~usable).sum())} rejected with either")
    print(f"  same draws in {int(same.sum()):,} scenes")
    print(f"  AUROC {change.a.value:.6f} with lenstronomy, {change.b.value:.6f} with gridlens")
    print(f"  paired difference {gap.note or f'{gap.value:+.6f} [{gap.low:+.6f}, {gap.high:+.6f}]'}")
    print(f"  largest change of a pixel {pixel.max():.4f} sky rms, of a visible arc's flux {flux.max():.2e}")
    p_before, p_after = (1.0 / (1.0 + np.exp(-odds)) for odds in (before, after))
    moved = np.abs(p_after - p_before)[label[usable] == 1]
    print(f"  change of a lens's score: median {np.median(moved):.1e}, largest {moved.max():.1e}", flush=True)


def main() -> None:
    """Run the selected parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("time", "paired"))
    parser.add_argument("--scenes", type=int, default=8192)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.only != "paired":
        print_times()
    if arguments.only != "time":
        for kind in KINDS:
            print_paired(kind, arguments.scenes, arguments.jobs)


if __name__ == "__main__":
    main()
