"""Trees trained on plain and on realistic scenes, tested on arcs injected into real windows.

Run ``python benchmarks/realism_training.py``. The same trees are trained on the same number of scenes of one seed,
which differ only in the settings of the scenes. They are tested on set (b) of ``other_skies.py``, real windows with and
without an arc. Paired differences from the first row have 95 % intervals from a bootstrap over parts of the sky.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from _other_skies import OtherSky, injected_windows
from _real_windows import REAL_SURVEYS
from _scenes import cache_key, cache_path
from lightgbm import LGBMClassifier
from other_skies import METRICS, cell, mean, measured

from gridlens.features import measure
from gridlens.features._contract import N_IMAGE_FEATURES
from gridlens.simulate import RANDOMISED, Scene, SceneSettings, scenes_to_cutouts, simulate_scene
from gridlens.simulate._dataset import SceneMaker, map_blocks

HERE = Path(__file__).parent
SETTINGS = {
    "plain": SceneSettings(),
    "realistic": SceneSettings(realistic_fraction=1.0),
    "plain, half of them randomised": SceneSettings(randomisation=RANDOMISED, randomised_fraction=0.5),
    "realistic, half of them randomised": SceneSettings(
        randomisation=RANDOMISED, randomised_fraction=0.5, realistic_fraction=1.0
    ),
}
SEED, PAIRS, WINDOW_SEED = 823, 128, 607


def measured_block(make: SceneMaker, start: int, stop: int) -> np.ndarray:
    """Return the image features of scenes `start` to `stop`, with their labels in the last column."""
    scenes: list[Scene] = [make(index) for index in range(start, stop)]
    rows = [measure(scenes_to_cutouts([scene])).features[:, :N_IMAGE_FEATURES] for scene in scenes]
    return np.column_stack([np.concatenate(rows), [scene.truth["label"] for scene in scenes]])


def training_rows(settings: SceneSettings, n: int, jobs: int) -> np.ndarray:
    """Return the features and labels of `n` scenes, from the cache if they are there."""
    key = cache_key((settings, n, SEED), ("cutouts", "features", "simulate"))
    path = cache_path(f"realism-training-{key}.npy")
    if not path.exists():
        make = partial(simulate_scene, SEED, settings=settings)
        np.save(path, np.concatenate([rows for _, rows in map_blocks(measured_block, make, n, jobs)]))
    return np.load(path)


def fitted(rows: np.ndarray) -> LGBMClassifier:
    """Return trees fitted to the rows."""
    model = LGBMClassifier(
        n_estimators=300, learning_rate=0.05, num_leaves=15, colsample_bytree=0.3, n_jobs=1, random_state=0, verbose=-1
    )
    return model.fit(rows[:, :-1], rows[:, -1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=3000, help="training scenes")
    parser.add_argument("--jobs", type=int, default=1, help="processes of the simulation")
    parser.add_argument(
        "--real", type=Path, default=HERE.parents[1] / "shared" / "data", help="folder with the real images"
    )
    arguments = parser.parse_args()
    rows = {name: training_rows(settings, arguments.scenes, arguments.jobs) for name, settings in SETTINGS.items()}
    half = arguments.scenes // 2
    rows["plain and realistic, half of each"] = np.concatenate([rows["plain"][:half], rows["realistic"][half:]])
    models = {name: fitted(part) for name, part in rows.items()}
    print("| windows | scenes | AUROC | difference | TPR at FPR 0.01 | difference |\n" + "|---" * 6 + "|", flush=True)
    parts = []
    for number, survey in enumerate(REAL_SURVEYS):
        sky: OtherSky = injected_windows(arguments.real, survey, PAIRS, WINDOW_SEED)
        features = np.concatenate([measure(part).features[:, :N_IMAGE_FEATURES] for part in sky.cutouts])
        scores = [model.predict_proba(features)[:, 1] for model in models.values()]
        parts.append(measured(sky, scores, 100 + number))
        print_rows(survey, list(models), parts[-1])
    print_rows("mean", list(models), mean(parts))


def print_rows(windows: str, names: list[str], values: dict[str, np.ndarray]) -> None:
    """Print a row of the table for each model."""
    for row, name in enumerate(names):
        cells = []
        for metric in METRICS:
            found = values[metric]
            cells += [cell(found[row]), cell(found[row] - found[0], "+") if row else ""]
        print(f"| {windows} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
