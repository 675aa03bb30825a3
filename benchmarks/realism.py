"""Two-sample test of simulated scenes against real windows.

Run ``python benchmarks/realism.py``. For each survey of real windows, it makes a two-sample test (Lopez-Paz & Oquab
2017) with LightGBM on the image features, out of fold, with folds by part of the sky. An AUROC of 0.5 means that no
difference was found, 1 that every cutout is recognised. The columns are the default scenes and those with
``SceneSettings(realistic_fraction=1.0)``. No real window shows a cluster, so in addition to the training scenes the
test uses scenes with one red galaxy instead of a cluster.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from _real_windows import REAL_SURVEYS
from _realism_sets import SKIES, Sky, real_sky, simulated_sky
from lightgbm import LGBMClassifier
from scipy.ndimage import binary_dilation, gaussian_filter
from scipy.stats import rankdata

from gridlens.features import FEATURE_NAMES
from gridlens.features._contract import N_IMAGE_FEATURES, PATCH_FEATURE_GROUPS
from gridlens.simulate import SceneSettings, simulate_scene
from gridlens.simulate._backgrounds import Backgrounds

HERE = Path(__file__).parent
SETTINGS = {"before": SceneSettings(), "after": SceneSettings(realistic_fraction=1.0)}
SCENES, SEED = 400, 811
FOLDS, DRAWS = 5, 300
# Number of windows in the noise measurement.
MEASURED = 60
# Numbers of timed scenes and of untimed ones before them, which include compilation.
TIMED, WARM = 200, 4
# Not used, because the position of the BCG depends on how the cutout is cut, and not on the sky.
_LEFT_OUT = ("geometry", "position")
CENTRE, OUTSIDE = "centre patch alone", "outer patches alone"


def columns_of(part: str) -> np.ndarray:
    """Return the columns of a part: "all", a group of the feature contract, `CENTRE` or `OUTSIDE`."""
    names = [name.split("_", 1) for name in FEATURE_NAMES[:N_IMAGE_FEATURES]]
    chosen = []
    for column, (patch, name) in enumerate(names):
        group = PATCH_FEATURE_GROUPS[name]
        inside = patch == "patch4"
        if group not in _LEFT_OUT and (part in ("all", group) or part == (CENTRE if inside else OUTSIDE)):
            chosen.append(column)
    return np.array(chosen)


PARTS = (
    "all",
    *dict.fromkeys(group for group in PATCH_FEATURE_GROUPS.values() if group not in _LEFT_OUT),
    CENTRE,
    OUTSIDE,
)


def weighted_auroc(label: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    """Return the probability that a real row scores above a simulated one, for rows drawn by weight."""
    order = np.argsort(score, kind="stable")
    score, label, weight = score[order], label[order], weight[order]
    _, tied = np.unique(score, return_inverse=True)
    below = np.cumsum(np.bincount(tied, np.where(label == 0, weight, 0.0)))
    at = np.bincount(tied, np.where(label == 0, weight, 0.0))
    real = np.bincount(tied, np.where(label == 1, weight, 0.0))
    return float((real * (below - 0.5 * at)).sum() / (real.sum() * at.sum()))


def weights(label: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return weights that give both classes the same total, and all groups of a class the same weight."""
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weight = 1.0 / counts[group]
    for side in (0, 1):
        weight[label == side] /= weight[label == side].sum()
    return weight * len(label)


def out_of_fold(features: np.ndarray, label: np.ndarray, groups: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the out-of-fold score of each row, with folds by group."""
    rng = np.random.default_rng(0)
    fold = np.empty(len(label), dtype=np.int64)
    for side in (0, 1):
        # Distribute both classes evenly over the folds, even if one has few groups.
        names, group = np.unique(groups[label == side], return_inverse=True)
        fold[label == side] = (rng.permutation(len(names)) % FOLDS)[group]
    score = np.empty(len(label))
    for held in range(FOLDS):
        rows = fold != held
        model = LGBMClassifier(
            n_estimators=80,
            num_leaves=7,
            min_child_samples=5,
            colsample_bytree=0.3,
            n_jobs=1,
            random_state=0,
            verbose=-1,
        )
        model.fit(features[rows], label[rows], sample_weight=weight[rows])
        score[~rows] = model.booster_.predict(features[~rows], raw_score=True)
    return score


def two_sample(real: Sky, simulated: Sky, columns: np.ndarray) -> tuple[float, float, float]:
    """Return the AUROC of a classifier of real against simulated rows, with its interval from a bootstrap of groups."""
    features = np.concatenate([real.features, simulated.features])[:, columns]
    label = np.repeat([1, 0], [len(real.features), len(simulated.features)])
    groups = np.concatenate([real.groups, simulated.groups])
    weight = weights(label, groups)
    score = out_of_fold(features, label, groups, weight)
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(DRAWS):
        times = np.empty(len(label))
        for side in (0, 1):
            names, group = np.unique(groups[label == side], return_inverse=True)
            times[label == side] = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)))[group]
        drawn.append(weighted_auroc(label, score, weight * times))
    return (weighted_auroc(label, score, weight), *(float(end) for end in np.percentile(drawn, [2.5, 97.5])))


def single_features(real: Sky, simulated: Sky, count: int) -> list[str]:
    """Return the features with the largest differences, one patch per name: AUROC of the feature and both medians."""
    found: dict[str, tuple[float, str]] = {}
    for column in columns_of("all"):
        patch, name = FEATURE_NAMES[column].split("_", 1)
        one, two = real.features[:, column], simulated.features[:, column]
        ranks = rankdata(np.concatenate([one, two]))[: len(one)]
        auroc = (ranks.sum() - 0.5 * len(one) * (len(one) + 1)) / (len(one) * len(two))
        text = f"{patch}_{name} {auroc:.2f} (real {np.median(one):.2f}, simulated {np.median(two):.2f})"
        found[name] = max(found.get(name, (0.0, "")), (abs(auroc - 0.5), text))
    return [text for _, text in sorted(found.values(), reverse=True)[:count]]


def noise_correlation(windows: Backgrounds) -> np.ndarray:
    """Return the median correlation, over the windows, of the sky noise in r at lags of 1, 2 and 3 pixels in a row."""
    cutouts = windows.cutouts()
    found = []
    for pixels in cutouts.pixels[:MEASURED]:
        band = pixels[:, :, 1].astype(float)
        smooth = gaussian_filter(np.nan_to_num(pixels - np.nanmedian(pixels, axis=(0, 1))).sum(axis=2), 2.0)
        sky = ~binary_dilation(smooth > np.percentile(smooth, 60.0), iterations=3)
        noise = np.where(sky, band, np.nan)
        noise -= np.nanmean(noise)
        variance = np.nanmean(noise**2)
        found.append([np.nanmean(noise[:, lag:] * noise[:, :-lag]) / variance for lag in (1, 2, 3)])
    return np.asarray(np.median(found, axis=0))


def cell(values: tuple[float, float, float]) -> str:
    """Format a value with its interval."""
    return f"{values[0]:.3f} [{values[1]:.3f}, {values[2]:.3f}]"


def print_survey(folder: Path, name: str, scenes: int, jobs: int) -> list[str]:
    """Print the tables of one survey; return its rows of the summary."""
    real, windows = real_sky(folder, name)
    independent = len(np.unique(real.groups))
    print(f"\n## {name}: {len(windows)} windows, {independent} independent parts of the sky\n", flush=True)
    lags = ", ".join(f"{value:+.2f}" for value in noise_correlation(windows))
    print(f"Correlation of the noise in r at lags of 1, 2 and 3 pixels along a row: {lags}.\n")
    summary = []
    for centres in SKIES:
        sims = {
            tag: simulated_sky(name, windows, settings, centres, scenes, SEED, jobs)
            for tag, settings in SETTINGS.items()
        }
        parts = PARTS if centres == "galaxies" else ("all",)
        print(f"| {centres} | " + " | ".join(SETTINGS) + " |\n|" + "---|" * (1 + len(SETTINGS)))
        for part in parts:
            cells = [cell(two_sample(real, sim, columns_of(part))) for sim in sims.values()]
            print(f"| {part} | {' | '.join(cells)} |", flush=True)
            if part == "all":
                summary.append(f"| {name} | {independent} | {centres} | {' | '.join(cells)} |")
        if 1 < len(np.unique(real.images)) < independent:
            by_image = Sky(real.features, real.images, real.images)
            cells = [cell(two_sample(by_image, sim, columns_of("all"))) for sim in sims.values()]
            print(f"| all, with folds by image | {' | '.join(cells)} |", flush=True)
        print()
        for tag, sim in sims.items():
            print(f"{centres}, {tag}: " + "; ".join(single_features(real, sim, 6)), flush=True)
    return summary


def print_times() -> None:
    """Print the processor time of a canonical scene with each of the settings, simulated in turn."""
    times = np.empty((len(SETTINGS), TIMED + WARM))
    for index in range(TIMED + WARM):
        for row, settings in enumerate(SETTINGS.values()):
            begin = time.process_time()
            simulate_scene(SEED, index, replace(settings, varied_fraction=0.0))
            times[row, index] = time.process_time() - begin
    mean = 1e3 * times[:, WARM:].mean(axis=1)
    cells = ", ".join(f"{name} {value:.1f}" for name, value in zip(SETTINGS, mean, strict=True))
    print(f"\nmilliseconds per canonical scene: {cells}; ratio {mean[1] / mean[0]:.2f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--survey", action="append", choices=list(REAL_SURVEYS), help="can be repeated; all by default")
    parser.add_argument("--scenes", type=int, default=SCENES, help="simulated scenes of each survey and kind")
    parser.add_argument("--jobs", type=int, default=1, help="processes of the simulation")
    parser.add_argument(
        "--real", type=Path, default=HERE.parents[1] / "shared" / "data", help="folder with the real images"
    )
    arguments = parser.parse_args()
    summary: list[str] = []
    for name in arguments.survey or REAL_SURVEYS:
        summary += print_survey(arguments.real, name, arguments.scenes, arguments.jobs)
    print("\n| survey | independent parts | centres | " + " | ".join(SETTINGS) + " |")
    print("|" + "---|" * (3 + len(SETTINGS)) + "\n" + "\n".join(summary))
    print_times()


if __name__ == "__main__":
    main()
