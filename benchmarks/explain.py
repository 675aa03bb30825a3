"""Information used by the bundled model: contributions, ablations by group, clusters with and without their arcs.

Run ``python benchmarks/explain.py``. All tables are of unseen simulated scenes, those of ``deep.py``, of all six
surveys and with the canonical geometry. Ablations retrain the members without a group of features, whose columns are 0
in the training and test scenes, and combine them with the weights of the bundled model. Speeds depend on the machine
and its load.
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from _scenes import Scenes, cached_cutouts, usable
from joblib import Parallel, delayed
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from gridlens import CutoutSet, LensDetector, load_model
from gridlens._constants import FWHM_PER_SIGMA
from gridlens.cutouts import band_noise
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.evaluation import Estimate, auroc, average_precision, compare, tpr_at_fpr
from gridlens.explain import Explainer, Explanation, by_group, importance, permutation_importance
from gridlens.features import FEATURE_GROUPS, FEATURE_NAMES, GridPatchExtractor, Measured
from gridlens.reports import write_candidate_sheet
from gridlens.simulate import SceneSettings, simulate_scene
from gridlens.stacking._registry import member_class
from gridlens.stacking._stack import member_log_odds
from gridlens.training import RECIPES

RECIPE = RECIPES["default"]
# Scenes of `deep.py`: number, seed and surveys.
LEFT_OUT = "kids"
OWN = tuple(name for name in SIMULATED_SURVEYS if name != LEFT_OUT)
TRAIN = ((4000, 401, OWN),)
TEST = ((2048, 407, OWN), (1024, 403, OWN), (1024, 409, (LEFT_OUT,)))
PAIR_SEED = 17
N_TIMED, N_TOLD = 2000, 10_000
# Fewer trees than in the recipe, because an eighth of its scenes is soon overfitted.
ABLATION_TREES = 300
MEASURES = {
    "AUROC": partial(auroc, n_boot=300),
    "average precision": partial(average_precision, n_boot=300),
    "TPR at FPR 0.01": partial(tpr_at_fpr, fpr=0.01, n_boot=300),
}
# Without "position", which is constant, and "metadata", which the bundled model does not use.
GROUPS = ("arc shape", "arc colour", "intensity", "colour", "edges", "geometry")
LIGHT = ("intensity", "colour", "edges")
ARC = ("arc shape", "arc colour")
# Groups that are removed, by the name of the row in the table.
ABLATIONS = {
    **{f"without {group}": (group,) for group in ("intensity", "colour", "edges", "geometry", *ARC)},
    "without either of arcs": ARC,
    "arcs alone": (*LIGHT, "geometry"),
}
# Columns of the truth that a lens finder must not depend on.
NUISANCES = ("seeing", "depth", "redshift", "richness", "bcg_mag_r")
_STRONGEST = 10
_EDGE_PATCHES = [0, 1, 2, 3, 5, 6, 7, 8]


def head(*columns: str) -> None:
    """Print the header of a table."""
    print(f"| {' | '.join(columns)} |")
    print("|" + "---|" * len(columns), flush=True)


def interval(values: np.ndarray) -> str:
    """Format the mean of values with its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    draws = values[rng.integers(0, len(values), (1000, len(values)))].mean(axis=1)
    return f"{values.mean():+.2f} [{np.quantile(draws, 0.025):+.2f}, {np.quantile(draws, 0.975):+.2f}]"


def timed(detector: LensDetector, test: Scenes, examples: Path) -> None:
    """Print the time of contributions, of LightGBM's own contributions, and of a candidate sheet."""
    X = np.resize(test.features_with(RECIPE.metadata), (N_TIMED, len(FEATURE_NAMES)))
    explainer = Explainer(detector)
    explainer.explain(X[:64])
    print(f"\n### Speed, {N_TOLD:,} cutouts through the default stack, extrapolated from {N_TIMED:,}\n")
    head("task", "s", "processor time, s")
    for jobs in (1, 2):
        for member in detector.stack_.members_:
            member.set_params(n_jobs=jobs)
        wall, work = (N_TOLD / N_TIMED * seconds for seconds in _seconds(explainer.explain, X))
        print(f"| contributions and scores, {jobs} thread{'s' * (jobs > 1)} | {wall:.0f} | {work:.0f} |", flush=True)
    booster = detector.stack_.members_[0].booster()
    few = N_TIMED // 10
    times = 8 * N_TOLD / few
    wall, work = (
        times * seconds for seconds in _seconds(partial(booster.predict, pred_contrib=True, num_threads=2), X[:few])
    )
    print(f"| `lightgbm` with LightGBM's `pred_contrib`, 2 threads, from {few} rows | {wall:.0f} | {work:.0f} |")
    cutout = CutoutSet.read(examples / "simulated.npz")[:1]
    with tempfile.TemporaryDirectory() as folder:
        write_candidate_sheet(explainer, cutout, folder)
        wall, work = min(_seconds(write_candidate_sheet, explainer, cutout, folder) for _ in range(5))
    print(f"| one candidate sheet, PNG and HTML, the model loaded | {wall:.1f} | {work:.1f} |", flush=True)


def _seconds(function, *arguments) -> tuple[float, float]:
    """Return the wall time of a call and the processor time of this process during it, s."""
    wall, work = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - wall, time.process_time() - work


def leans(detector: LensDetector, test: Scenes, found: Explanation) -> None:
    """Print the contributions by group and feature, the losses by permutation, and the AUROC of each group alone."""
    X, y = test.features_with(RECIPE.metadata), test.label
    groups = by_group(found)
    print(f"\n### Contributions in {len(y):,} scenes, {int(y.sum()):,} with a lens; base {found.base:+.2f}\n")
    lost = permutation_importance(detector, X, y, n_repeats=1).set_index("name")["loss"]
    head(
        "group",
        "mean abs",
        "mean in lenses minus mean in others",
        "AUROC of its contributions alone",
        "increase of log loss by permutation",
    )
    for row in importance(found, n_boot=300).itertuples():
        values = groups[row.name].to_numpy()
        gap = values[y == 1].mean() - values[y == 0].mean()
        alone = auroc(y, values, n_boot=300)
        print(
            f"| {row.name} | {Estimate(row.mean_abs, row.low, row.high)} | {gap:+.2f} | {alone} "
            f"| {lost[row.name]:.4f} |",
            flush=True,
        )

    table = importance(found, "feature", n_boot=300).head(_STRONGEST)
    lost = permutation_importance(detector, X, y, by="feature", names=list(table["name"]), n_repeats=1)
    lost = lost.set_index("name")["loss"]
    print("\n### The ten strongest features, over all patches\n")
    head("feature", "mean abs", "increase of log loss by permutation")
    for row in table.itertuples():
        print(f"| {row.name} | {Estimate(row.mean_abs, row.low, row.high)} | {lost[row.name]:.4f} |", flush=True)


def ablations(detector: LensDetector, train: Scenes, test: Scenes, jobs: int) -> None:
    """Print the losses of members retrained without a group of features."""
    weights = detector.stack_.weights_
    base = _fitted_without((), train, test, weights)
    rest = Parallel(n_jobs=jobs)(delayed(_fitted_without)(of, train, test, weights) for of in ABLATIONS.values())
    print(f"\n### Retrained without a group: {len(train.label):,} training scenes, {len(test.label):,} held out\n")
    head("model", *MEASURES, *(f"loss in {name}" for name in MEASURES))
    print(f"| all | {' | '.join(str(measure(test.label, base)) for measure in MEASURES.values())} | | | |", flush=True)
    for name, score in zip(ABLATIONS, rest, strict=True):
        cells = " | ".join(str(measure(test.label, score)) for measure in MEASURES.values())
        losses = compare(test.label, base, score, MEASURES, n_boot=300).values()
        shown = " | ".join(
            f"{-one.difference.value:+.3f} [{-one.difference.high:+.3f}, {-one.difference.low:+.3f}]" for one in losses
        )
        print(f"| {name} | {cells} | {shown} |", flush=True)


def _fitted_without(groups: tuple[str, ...], train: Scenes, test: Scenes, weights: np.ndarray) -> np.ndarray:
    """Return the log-odds of the test scenes by members trained without these groups."""
    gone = [FEATURE_NAMES.index(name) for group in groups for name in FEATURE_GROUPS[group]]
    X, T = train.features_with(RECIPE.metadata), test.features_with(RECIPE.metadata)
    X[:, gone] = T[:, gone] = 0.0
    weight = np.where(train.truth["arc_snr"].to_numpy() < RECIPE.faint_snr, RECIPE.faint_weight, 1.0)
    members = [
        member_class(name)(n_estimators=ABLATION_TREES).fit(X, train.label, sample_weight=weight)
        for name in RECIPE.members
    ]
    return np.column_stack([member_log_odds(member.predict_proba(T)[:, 1]) for member in members]) @ weights


def pairs(detector: LensDetector, n: int, test: Scenes, found: Explanation) -> None:
    """Print the effect of arcs and of image quality on the same clusters, and how their arc-free images compare.

    Without their arcs, the clusters of lenses should be indistinguishable from other clusters.
    """
    settings = SceneSettings(lens_fraction=1.0, varied_fraction=0.0)
    scenes = Parallel(n_jobs=2)(delayed(simulate_scene)(PAIR_SEED, k, settings) for k in range(n))
    truth = pd.DataFrame([scene.truth for scene in scenes])
    options = {
        "bcg_xy": np.array([scene.bcg_xy for scene in scenes]),
        "metadata": truth[["seeing", "depth"]],
    }
    lenses = CutoutSet(np.stack([scene.pixels for scene in scenes]), **options)
    bare = CutoutSet(np.stack([scene.pixels - scene.arc for scene in scenes]), **options)
    explainer = Explainer(detector)
    extractor = GridPatchExtractor(RECIPE.metadata, n_jobs=2)
    with_arcs, without = (explainer.explain(extractor.transform(cutouts)) for cutouts in (lenses, bare))
    fine = np.isfinite(with_arcs.log_odds) & np.isfinite(without.log_odds)
    change = (by_group(with_arcs) - by_group(without))[fine]
    total = (with_arcs.log_odds - without.log_odds)[fine]
    snr = truth["arc_snr"].to_numpy()[fine]
    print(f"\n### The same {int(fine.sum()):,} clusters with and without their arcs: change in log-odds\n")
    bins = (("all", 0.0, np.inf), ("over 300", 300.0, np.inf), ("100 to 300", 100.0, 300.0), ("under 100", 0.0, 100.0))
    head("arc S/N", "lenses", "stack", *GROUPS, "score rises in")
    for name, low, high in bins:
        chosen = (snr >= low) & (snr < high)
        cells = " | ".join(interval(change[group].to_numpy()[chosen]) for group in GROUPS)
        share = f"{100.0 * (total[chosen] > 0.0).mean():.0f} %"
        print(f"| {name} | {chosen.sum()} | {interval(total[chosen])} | {cells} | {share} |", flush=True)

    others = test.label == 0
    print(f"\n### Lens clusters without their arcs against the {others.sum():,} held-out non-lenses: AUROC\n")
    head("stack", *GROUPS)
    y = np.repeat([1, 0], [fine.sum(), others.sum()])
    scores = [np.concatenate([without.log_odds[fine], found.log_odds[others]])]
    for group in GROUPS:
        scores.append(np.concatenate([by_group(without)[group][fine], by_group(found)[group][others]]))
    print(f"| {' | '.join(str(auroc(y, score, n_boot=300)) for score in scores)} |", flush=True)

    print("\n### The clusters without arcs in degraded images: change in log-odds\n")
    head("degradation", "stack", *GROUPS)
    versions = {
        "noise 1.6 times as strong, 0.5 mag less deep": (1.6, 0.0),
        "noise 2.5 times as strong, 1 mag less deep": (2.5, 0.0),
        "blurred by 0.6 arcsec": (1.0, 0.6),
        "blurred by 1 arcsec": (1.0, 1.0),
    }
    for name, (noise, blur) in versions.items():
        worse = explainer.explain(extractor.transform(seen_worse(bare, noise, blur)))
        both = np.isfinite(worse.log_odds) & np.isfinite(without.log_odds)
        moved = (by_group(worse) - by_group(without))[both]
        cells = " | ".join(interval(moved[group].to_numpy()) for group in GROUPS)
        print(f"| {name} | {interval((worse.log_odds - without.log_odds)[both])} | {cells} |", flush=True)


def seen_worse(cutouts: CutoutSet, noise: float, blur: float) -> CutoutSet:
    """Blur cutouts by a Gaussian of FWHM `blur` arcsec; white noise stays white, `noise` times as strong as before."""
    rng = np.random.default_rng(0)
    height, width = cutouts.pixels.shape[1:3]
    steps = 2.0 - np.cos(2.0 * np.pi * np.fft.fftfreq(height))[:, None] - np.cos(2.0 * np.pi * np.fft.rfftfreq(width))
    pixels = np.empty_like(cutouts.pixels)
    for k, image in enumerate(cutouts.pixels):
        transfer = np.exp(-steps * (blur / FWHM_PER_SIGMA / cutouts.pixel_scale[k]) ** 2)[:, :, None]
        grain = rng.normal(size=image.shape) * band_noise(image)
        good = np.isfinite(image)
        waves = np.fft.rfft2(np.where(good, image, 0.0), axes=(0, 1)) * transfer
        # The added noise also replaces the noise that the blur removes.
        waves += np.fft.rfft2(grain, axes=(0, 1)) * np.sqrt(noise**2 - transfer**2)
        pixels[k] = np.where(good, np.fft.irfft2(waves, s=(height, width), axes=(0, 1)), image)
    return CutoutSet(pixels, bcg_xy=cutouts.bcg_xy, pixel_scale=cutouts.pixel_scale, metadata=cutouts.metadata)


def shortcuts(test: Scenes, found: Explanation) -> None:
    """Print what the score of scenes without a lens correlates with besides arcs, and whether lenses differ in it."""
    X, y = found.features, test.label
    groups = by_group(found)
    score = found.log_odds
    bound = np.quantile(score[y == 0], 0.99)
    known = {name: test.truth[name].to_numpy(dtype=np.float64) for name in NUISANCES}
    known["arc candidates, patches with one"] = _patches(X, "elongation", lambda values: values > 0.0).sum(axis=1)
    known["edge density, mean of the patches"] = _patches(X, "edge_density", lambda values: values).mean(axis=1)
    print("\n### Correlations of the score of scenes without a lens\n")
    head(
        "quantity",
        "its AUROC alone, lenses against others",
        "rank correlation with the score",
        "with the contributions of intensity",
        "false positives at FPR 0.01: lowest third",
        "highest third",
    )
    for name, values in known.items():
        fine = np.isfinite(values)
        alone = auroc(y[fine], values[fine], n_boot=300)
        chosen = fine & (y == 0)
        rho = spearmanr(values[chosen], score[chosen]).statistic
        rho_light = spearmanr(values[chosen], groups["intensity"].to_numpy()[chosen]).statistic
        third = np.ceil(3.0 * rankdata(values[chosen], method="ordinal") / chosen.sum())
        rates = [100.0 * (score[chosen][third == k] > bound).mean() for k in (1, 3)]
        print(f"| {name} | {alone} | {rho:+.2f} | {rho_light:+.2f} | {rates[0]:.1f} % | {rates[1]:.1f} % |", flush=True)

    print("\n### Surveys: fraction of lenses, AUROC within each, false positives at an overall FPR of 0.01\n")
    head("survey", "fraction of lenses", "AUROC", "false positives", "mean log-odds without a lens")
    for survey in sorted(test.truth["survey"].unique()):
        rows = (test.truth["survey"] == survey).to_numpy()
        rate = 100.0 * (score[rows & (y == 0)] > bound).mean()
        cells = f"{y[rows].mean():.2f} | {roc_auc_score(y[rows], score[rows]):.3f} | {rate:.1f} %"
        print(f"| {survey} | {cells} | {score[rows & (y == 0)].mean():+.2f} |", flush=True)

    middle = found.values[:, [k for k, name in enumerate(FEATURE_NAMES) if name.startswith("patch4_")]].sum(axis=1)
    edge = found.values[
        :, [k for k, name in enumerate(FEATURE_NAMES) if name.startswith(tuple(f"patch{p}_" for p in _EDGE_PATCHES))]
    ].sum(axis=1)
    print("\n### Patches: AUROC of their contributions\n")
    head("patches", "AUROC")
    for name, values in (("central patch", middle), ("the eight outer patches", edge)):
        print(f"| {name} | {auroc(y, values, n_boot=300)} |", flush=True)


def _patches(X: np.ndarray, name: str, what) -> np.ndarray:
    return what(X[:, [FEATURE_NAMES.index(f"patch{k}_{name}") for k in range(9)]])


def scenes(sets: tuple[tuple[int, int, tuple[str, ...]], ...]) -> Scenes:
    """Return the features and truth of these sets, without rejected cutouts."""
    parts = [cached_cutouts(*which) for which in sets]
    measured = Measured.concatenate([part.measured.without_cutouts() for part in parts])
    return usable(Scenes(measured, pd.concat([part.truth for part in parts], ignore_index=True)))


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=300, help="clusters to compare with and without their arcs")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    arguments = parser.parse_args()
    train, test = scenes(TRAIN), scenes(TEST)
    detector = load_model("default")
    ablations(detector, train, test, arguments.jobs)
    found = Explainer(detector).explain(test.features_with(RECIPE.metadata))
    pairs(detector, arguments.pairs, test, found)
    shortcuts(test, found)
    leans(detector, test, found)
    timed(detector, test, Path(__file__).parents[1] / "examples" / "cutouts")


if __name__ == "__main__":
    main()
