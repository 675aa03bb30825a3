"""Lenses found only by a model with a network, or only by the classic model.

Run ``python benchmarks/missed.py --model deep --classic default``. It prints how many lenses of which properties one,
the other or neither model finds at a false positive rate of 0.01 each, and draws a contact sheet of the lenses that
only one model finds, ``docs/missed/NAME-only.jpg``. The scenes are the untouched ones of ``benchmarks/deep.py``.
"""

import argparse
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from _scenes import Scenes, cached_cutouts, usable
from deep import OWN_SCENES, OWN_SEED, probabilities

from gridlens import LensDetector, load_model
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.reports import draw_contact_sheet

HERE = Path(__file__).parent
FPR = 0.01
# Columns of the truth, with their titles in the table and the edges of their bins.
BINS = {
    "arc_snr": ("arc S/N", (0.0, 30.0, 100.0, 300.0, math.inf)),
    "theta_e": ("Einstein radius, arcsec", (0.0, 8.0, 12.0, 16.0, math.inf)),
    "arc_distance": ("distance from the BCG, arcsec", (0.0, 8.0, 12.0, 18.0, math.inf)),
    "length_to_width": ("arc length over width", (0.0, 3.0, 6.0, 10.0, math.inf)),
    "source_gr": ("g-r of the source, mag", (-math.inf, 0.2, 0.5, 0.8, math.inf)),
    "bcg_mag_r": ("r of the BCG, mag", (0.0, 17.0, 18.0, 19.0, math.inf)),
}
# Number of pictures on a sheet, columns and resolution.
SHOWN, COLUMNS, DPI = 24, 8, 72


def found_by(score: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return whether each row scores above the threshold at a false positive rate of `FPR`, (n,) bool."""
    return np.asarray(score > np.quantile(score[label == 0], 1.0 - FPR, method="higher"))


def described(truth: pd.DataFrame) -> pd.DataFrame:
    """Return the bin labels of the properties of lenses, with the columns of the table."""
    truth = truth.assign(length_to_width=truth["arc_length"] / truth["arc_width"])
    columns = {}
    for name, (title, edges) in BINS.items():
        labels = [
            f"under {high:g}" if k == 0 else f"{low:g} and more" if math.isinf(high) else f"{low:g} to {high:g}"
            for k, (low, high) in enumerate(pairwise(edges))
        ]
        columns[title] = pd.cut(truth[name], list(edges), right=False, labels=labels)
    named = truth["impostor"].fillna("").astype(str)
    columns["impostor in the scene"] = np.where(named == "", "none", "one or more")
    columns["survey"] = truth["survey"]
    return pd.DataFrame(columns, index=truth.index)


def print_counts(lenses: pd.DataFrame, deep: np.ndarray, classic: np.ndarray, names: tuple[str, str]) -> None:
    """Print the fraction of lenses in each bin that each model finds, and the numbers that only one or neither finds.

    `deep` and `classic` are masks (n,) of the lenses that the models find.
    """
    print(f"| | | lenses | {names[0]} | {names[1]} | only {names[0]} | only {names[1]} | neither |")
    print("|---|---|---|---|---|---|---|---|")
    counts = pd.DataFrame(
        {
            "lenses": np.ones(len(lenses), dtype=int),
            "deep": deep,
            "classic": classic,
            "deep_only": deep & ~classic,
            "classic_only": classic & ~deep,
            "neither": ~deep & ~classic,
        },
        index=lenses.index,
    )
    every = pd.DataFrame({"all": "lenses"}, index=lenses.index).join(lenses)
    for title in every:
        for value, rows in counts.groupby(every[title], observed=True):
            total = rows.sum()
            fractions = " | ".join(f"{total[name] / total['lenses']:.2f}" for name in ("deep", "classic"))
            alone = " | ".join(str(int(total[name])) for name in ("deep_only", "classic_only", "neither"))
            print(f"| {title} | {value} | {int(total['lenses'])} | {fractions} | {alone} |")


def draw_sheet(detector: LensDetector, scenes: Scenes, path: Path) -> None:
    """Draw the scenes that the detector scores highest, best first, into a JPEG file."""
    table = detector.score_cutouts(scenes.cutouts)
    figure = draw_contact_sheet(table.head(SHOWN), scenes.cutouts, columns=COLUMNS)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, pil_kwargs={"quality": 80, "optimize": True})
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Print the table and draw the sheets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="deep", help="the model with a network")
    parser.add_argument("--classic", default="default", help="the model without a network")
    parser.add_argument("--n", type=int, default=OWN_SCENES, help="number of scenes; change it for a quick trial")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "missed", help="folder of the sheets")
    arguments = parser.parse_args()
    scenes = usable(cached_cutouts(arguments.n, OWN_SEED, SIMULATED_SURVEYS))
    names = Path(arguments.model).name, Path(arguments.classic).name
    models = load_model(arguments.model), load_model(arguments.classic)
    scores = [probabilities(detector, scenes.measured, 0.5) for detector in models]
    deep, classic = (found_by(score, scenes.label) for score in scores)
    lens = scenes.label == 1
    print(f"{int(lens.sum())} lenses among {len(lens)} scenes (seed {OWN_SEED}), at a false positive rate of {FPR}:\n")
    print_counts(described(scenes.truth[lens]), deep[lens], classic[lens], names)
    for name, detector, alone in zip(names, models, (deep & ~classic, classic & ~deep), strict=True):
        if (alone & lens).any():
            draw_sheet(detector, scenes[alone & lens], arguments.out / f"{name}-only.jpg")


if __name__ == "__main__":
    main()
