"""Performance of the bundled model: simulated scenes, a survey left out, controls, real images, calibration.

Run ``python benchmarks/detection.py``. All numbers are computed by this run. The scenes are those of the default
recipe, whose features are cached beside this file. Each row has two controls, classifiers that use only the brightness
and the richness, or only the metadata. A lens finder must not depend on these.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _real import NARROW, image_features, plain_lenses, real_field
from _scenes import Scenes, cached_calibration, cached_rows, fit_recipe, usable
from sklearn.ensemble import HistGradientBoostingClassifier

import gridlens
from gridlens import load_model
from gridlens.calibration import expected_calibration_error, shift_prior
from gridlens.cutouts import METADATA_NAMES
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.evaluation import Estimate, auroc, tpr_at_fpr
from gridlens.evaluation._strata import cross_table
from gridlens.features import FEATURE_NAMES
from gridlens.features._contract import N_IMAGE_FEATURES
from gridlens.members import LightGBMMember
from gridlens.models import read_manifest
from gridlens.training import RECIPES
from gridlens.training._card import SNR_BINS

HERE = Path(__file__).parent
RECIPE = RECIPES["default"]
# Only the third of these scenes that is drawn away from the canonical geometry is evaluated.
AWAY_SCENES, AWAY_SEED = 4096, 2
# The recipe was tuned on the test scenes of the model card, but not on these.
UNTOUCHED_SCENES, UNTOUCHED_SEED = 4096, 8
# Fewer trees than in the recipe, because a sixth of its scenes is soon overfitted.
CROSS_TREES = 300
LEFT_OUT, LEFT_OUT_SEED, LEFT_OUT_SCENES = "kids", 4, 2048
# Width of the windows with injected arcs, pixels.
WIDE = 128
INJECTION_SEED = 5


class Control:
    """A classifier of the same kind as the detector, on a few columns, to show how much they alone reveal."""

    def __init__(self, columns: Any, train: Scenes) -> None:
        self.columns = columns
        self.model = HistGradientBoostingClassifier(max_iter=100, learning_rate=0.05, max_leaf_nodes=15, random_state=0)
        self.model.fit(columns(train.features), train.label)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return the scores of the rows of `X`."""
        return self.model.predict_proba(self.columns(X))[:, 1]


def brightness_and_richness(X: np.ndarray) -> np.ndarray:
    """Return the mean brightness of the cutout in the three bands, and the richness of the cluster."""
    bands = [X[:, [FEATURE_NAMES.index(f"patch{k}_mean_{band}") for k in range(9)]].mean(axis=1) for band in "gri"]
    return np.column_stack([*bands, X[:, FEATURE_NAMES.index("richness")]])


def metadata(X: np.ndarray) -> np.ndarray:
    """Return the nine metadata values."""
    return X[:, N_IMAGE_FEATURES:]


def heading(text: str) -> None:
    """Print a heading and the header of the table below it."""
    print(f"\n### {text}\n")
    columns = ("arcs", "lenses", "AUROC", "TPR at FPR 0.01", "TPR at FPR 0.001")
    print(f"| {' | '.join(columns)} | control: brightness, richness | control: metadata |")
    print("|---|---|---|---|---|---|---|", flush=True)


def line(name: str, y: np.ndarray, score: np.ndarray, controls: list[np.ndarray], groups: Any = None) -> None:
    """Print one row of the table."""
    measures: list[Estimate] = [auroc(y, score, groups), tpr_at_fpr(y, score, 0.01), tpr_at_fpr(y, score, 0.001)]
    measures += [auroc(y, control, groups) for control in controls]
    print(f"| {name} | {int(y.sum())} | " + " | ".join(map(str, measures)) + " |", flush=True)


def by_snr(rows: Scenes, score: np.ndarray, controls: list[Control]) -> None:
    """Print a row for each bin of arc S/N; all scenes without a lens are the negatives of each."""
    snr = rows.truth["arc_snr"].to_numpy()
    given = [control(rows.features) for control in controls]
    for name, low, high in SNR_BINS:
        chosen = (rows.label == 0) | ((snr >= low) & (snr < high))
        label = name if low == 0.0 and np.isinf(high) else f"S/N {name}"
        line(label, rows.label[chosen], score[chosen], [control[chosen] for control in given])


def simulated(controls: list[Control], train: Scenes) -> None:
    """Print the metrics of the bundled model on unseen scenes, and of another model on a survey left out."""
    detector = load_model("default")
    test = usable(cached_rows(RECIPE.n_test, RECIPE.test_seed, RECIPE.surveys, canonical=True))
    p = detector.predict_proba(test.features_with(RECIPE.metadata))[:, 1]
    heading(f"Simulated, {len(p):,} held-out scenes, all presets, canonical geometry")
    by_snr(test, p, controls)

    untouched = usable(cached_rows(UNTOUCHED_SCENES, UNTOUCHED_SEED, RECIPE.surveys, canonical=True))
    fresh = detector.predict_proba(untouched.features_with(RECIPE.metadata))[:, 1]
    heading(f"Simulated, {len(fresh):,} scenes on which the recipe was not tuned")
    by_snr(untouched, fresh, controls)

    mixed = usable(cached_rows(AWAY_SCENES, AWAY_SEED, RECIPE.surveys))
    varied = mixed.truth["varied"].to_numpy(dtype=bool)
    away = mixed[varied]
    heading(f"Simulated, {varied.sum():,} scenes away from that geometry (30 to 90 arcsec, depth and seeing varied)")
    by_snr(away, detector.predict_proba(away.features_with(RECIPE.metadata))[:, 1], controls)

    calibrate = cached_calibration(RECIPE)
    others = fit_recipe(without(train, LEFT_OUT), without(calibrate, LEFT_OUT), RECIPE, n_jobs=-1)
    rows = usable(cached_rows(LEFT_OUT_SCENES, LEFT_OUT_SEED, (LEFT_OUT,), canonical=True))
    q = others.predict_proba(rows.features_with(RECIPE.metadata))[:, 1]
    heading(f"Simulated, {len(q):,} scenes of {LEFT_OUT}, by a model trained without that preset")
    by_snr(rows, q, controls)

    print("\n### Calibration on the held-out scenes\n")
    columns = ("scenes", "expected calibration error, 15 bins of equal mass", "perfect probabilities, by chance")
    print(f"| {' | '.join(columns)} |")
    print("|---|---|---|")
    for name, rows, chosen in (("held out", test, p), ("not tuned on", untouched, fresh)):
        probability = shift_prior(chosen, detector.calibration_prevalence_, float(rows.label.mean()))
        error = expected_calibration_error(rows.label, probability, n_bins=15)
        print(f"| {name}, {len(probability):,} | {error:.4f} | {sampling_floor(probability):.4f} |", flush=True)


def across_surveys(train: Scenes) -> None:
    """Print the AUROC of a model trained on each preset alone, on held-out scenes of every preset."""
    test = usable(cached_rows(RECIPE.n_test, RECIPE.test_seed, RECIPE.surveys, canonical=True))
    X, survey = test.features_with(RECIPE.metadata), test.truth["survey"].to_numpy()
    results: dict[str, dict[str, Estimate]] = {}
    for name in RECIPE.surveys:
        own = (train.truth["survey"] == name).to_numpy()
        member = LightGBMMember(n_estimators=CROSS_TREES, n_jobs=2)
        member.fit(train.features_with(RECIPE.metadata)[own], train.label[own])
        p = member.predict_proba(X)[:, 1]
        results[name] = {other: auroc(test.label[survey == other], p[survey == other]) for other in RECIPE.surveys}
    share = len(train.label) // len(RECIPE.surveys)
    print(f"\n### AUROC of models trained on one preset, about {share:,} scenes each, on the held-out scenes\n")
    print(cross_table(results), flush=True)


def sampling_floor(p: np.ndarray, repeats: int = 200) -> float:
    """Return the mean calibration error of labels drawn with the probabilities `p` themselves."""
    rng = np.random.default_rng(0)
    return float(np.mean([expected_calibration_error(rng.random(len(p)) < p, p, n_bins=15) for _ in range(repeats)]))


def without(rows: Scenes, survey: str) -> Scenes:
    """Return the rows of all other surveys."""
    kept = (rows.truth["survey"] != survey).to_numpy()
    return rows[kept]


def real(folder: Path, controls: list[Control]) -> None:
    """Print the metrics of the bundled model on real images, and on arcs injected into them."""
    from gridlens.simulate import SceneSettings, inject_scene, scenes_to_cutouts

    detector = load_model("default")
    empty = real_field(folder).cutouts()
    lenses = plain_lenses(folder)
    X = np.concatenate([image_features(cutouts) for cutouts in [*lenses, empty]])
    names = [name for cutouts in lenses for name in cutouts.ids]
    y = np.arange(len(X)) < len(names)
    p = detector.predict_proba(X, prevalence=0.5)[:, 1]
    heading(f"Real lenses with plain arcs against {len(empty)} windows of a real field, {NARROW} px")
    line("PS1 and DES", y.astype(int), p, [control(X) for control in controls])
    share = [f"{name} {value:.2f} (over {np.mean(p[~y] < value):.0%})" for name, value in zip(names, p[y], strict=True)]
    print(f"\nScores, and the fraction of the field's scores below: {', '.join(share)}.")
    print(f"Scores of the field: median {np.median(p[~y]):.2f}, maximum {p[~y].max():.2f}.")

    wide = real_field(folder, WIDE)
    scenes = []
    for share_of_lenses in (1.0, 0.0):
        settings = SceneSettings(surveys=("kids",), lens_fraction=share_of_lenses)
        make = partial(inject_scene, INJECTION_SEED, backgrounds=wide, settings=settings)
        scenes += [make(index) for index in range(len(wide))]
    X = image_features(scenes_to_cutouts(scenes))
    truth = pd.DataFrame([scene.truth for scene in scenes])
    p = detector.predict_proba(X)[:, 1]
    y, snr = truth["label"].to_numpy(), truth["arc_snr"].to_numpy()
    window = np.tile(np.arange(len(wide)), 2)
    heading(
        f"Arcs injected into {len(wide)} windows of the real field, {WIDE} px, against the same windows without arcs"
    )
    given = [control(X) for control in controls]
    for name, low, high in SNR_BINS:
        chosen = (y == 0) | ((snr >= low) & (snr < high))
        if y[chosen].any():
            line(name, y[chosen], p[chosen], [control[chosen] for control in given], window[chosen])


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--real", type=Path, default=HERE.parents[1] / "shared" / "data", help="folder with the real images"
    )
    arguments = parser.parse_args()
    manifest = read_manifest(Path(gridlens.__file__).parent / "models" / "default")
    trained = manifest["training"]["recipe"]["n_train"]
    print(f"gridlens {gridlens.__version__}, default model trained on {trained:,} scenes")
    print(f"presets: {', '.join(SIMULATED_SURVEYS)}; metadata: {', '.join(METADATA_NAMES)}")
    train = usable(cached_rows(RECIPE.n_train, RECIPE.train_seed, RECIPE.surveys))
    controls = [Control(brightness_and_richness, train), Control(metadata, train)]
    simulated(controls, train)
    across_surveys(train)
    if arguments.real.is_dir():
        real(arguments.real, controls)
    else:
        print(f"\nReal images: not measured, there is no folder {arguments.real}.")


if __name__ == "__main__":
    main()
