"""Performance of models on skies that differ from the training scenes.

Run ``python benchmarks/other_skies.py --model default --model PATH``. It prints the AUROC and the completeness at a
false positive rate of 0.01 on each set of ``_other_skies.py``, their means over the sets (a), (b) and (c), and the
differences from the first model. Intervals are 95 %, from a bootstrap over groups that all models share. The sets are
made once and cached in ``benchmarks/.cache/``.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _other_skies import OtherSky, injected_windows, plain_real_lenses, second_generator, unseen_preset
from _real_windows import REAL_SURVEYS

from gridlens import load_model
from gridlens.evaluation import auroc, tpr_at_fpr
from gridlens.evaluation._draws import draws, groups_of, metric_values

HERE = Path(__file__).parent
METRICS = {"AUROC": metric_values(auroc), "TPR at FPR 0.01": metric_values(partial(tpr_at_fpr, fpr=0.01))}
# No recipe simulates these presets.
PRESETS = ("sdss", "euclid")
PRESET_SCENES, PRESET_SEED = 768, 601
PAIRS, WINDOW_SEED = 256, 607
SECOND_SCENES, SECOND_SEED = 1536, 613
DRAWS = 500

Values = dict[str, np.ndarray]
"""for each metric (models, 1 + draws): the value on all rows, then the values of the bootstrap draws"""


def all_sets(folder: Path, presets: Sequence[str]) -> dict[str, list[OtherSky]]:
    """Return the skies of each set; the sets that need real images are left out if `folder` does not exist."""
    sets = {"(a)": [unseen_preset(name, PRESET_SCENES, PRESET_SEED) for name in presets]}
    if folder.is_dir():
        sets["(b)"] = [injected_windows(folder, name, PAIRS, WINDOW_SEED) for name in REAL_SURVEYS]
        sets["(c)"] = [second_generator(folder, SECOND_SCENES, SECOND_SEED)]
        sets["(d)"] = [plain_real_lenses(folder)]
    return sets


def measured(sky: OtherSky, scores: list[np.ndarray], random_state: int) -> Values:
    """Return the metrics of each model, on all rows and in bootstrap draws of groups that the models share."""
    usable = np.isfinite(np.stack(scores)).all(axis=0)
    label, kept = sky.label[usable], [score[usable] for score in scores]
    found = {name: np.full((len(scores), 1 + DRAWS), np.nan) for name in METRICS}
    groups = groups_of(sky.groups[usable], len(label))
    once = np.ones(len(label), dtype=np.int64)
    for draw, counts in enumerate([once, *draws(label, groups, DRAWS, random_state)]):
        rows = np.repeat(np.arange(len(label)), counts)
        for name, metric in METRICS.items():
            found[name][:, draw] = [metric(label[rows], score[rows]) for score in kept]
    return found


def mean(parts: list[Values]) -> Values:
    """Return the mean over parts for each draw; the draws of different parts are independent."""
    return {name: np.mean([part[name] for part in parts], axis=0) for name in METRICS}


def cell(values: np.ndarray, sign: str = "") -> str:
    """Format the value and the interval of one row of `Values`."""
    if math.isnan(values[0]):
        return "not resolvable"
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return f"{values[0]:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def lines(name: str, rows: str, models: list[str], values: Values) -> None:
    """Print a row of the table for each model."""
    for number, model in enumerate(models):
        cells = [cell(found[number]) for found in values.values()]
        gains = [cell(found[number] - found[0], "+") if number else "" for found in values.values()]
        print(f"| {name} | {rows} | {model} | {' | '.join(cells)} | {' | '.join(gains)} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", help="a bundled model or the path of a bundle; can be repeated")
    parser.add_argument(
        "--real", type=Path, default=HERE.parents[1] / "shared" / "data", help="folder with the real images"
    )
    parser.add_argument(
        "--preset", action="append", help="preset of set (a) that no model was trained on; can be repeated"
    )
    arguments = parser.parse_args()
    models = {name: load_model(name) for name in arguments.model or ["default"]}
    print_table(models, arguments.real, arguments.preset or PRESETS)


def print_table(models: Mapping[str, Any], folder: Path, presets: Sequence[str] = PRESETS) -> None:
    """Print the metrics of each model on each set, and the differences from the first model.

    A model is a `LensDetector` or any object with the same `predict_proba`.
    """
    names = list(models)
    sets = all_sets(folder, presets)
    if len(sets) == 1:
        print(f"Sets (b), (c) and (d): skipped, because there is no folder {folder}.")
    against = [f"{name}, against {names[0]}" for name in METRICS]
    head = ["set", "lenses / others / groups", "model", *METRICS, *against]
    print(f"\n| {' | '.join(head)} |\n|" + "---|" * len(head), flush=True)
    means: list[Values] = []
    for number, (letter, skies) in enumerate(sets.items()):
        parts = []
        for part, sky in enumerate(skies):
            scores = [sky.scores(detector) for detector in models.values()]
            parts.append(measured(sky, scores, 100 * number + part))
            positive, rows = int(sky.label.sum()), len(sky.label)
            counts = f"{positive:,} / {rows - positive:,} / {len(np.unique(sky.groups)):,}"
            lines(f"{letter} {sky.name}", counts, names, parts[-1])
        if len(parts) > 1:
            lines(f"{letter} mean", "", names, mean(parts))
        if letter != "(d)":
            means.append(mean(parts))
    if len(means) > 1:
        lines("mean of (a), (b), (c)", "", names, mean(means))


if __name__ == "__main__":
    main()
