"""Performance of the members of the stack, alone and combined, and the effect of mining hard negatives.

Run ``python benchmarks/stacking.py``. All members are trained on the same simulated scenes in five folds, and the
tables are of held-out scenes. Then a pool of unlabelled scenes, one in a hundred with a lens, and of windows of a real
field is mined once and twice. Last comes the time that the default stack takes to fit 20,000 rows. ``--only members``,
polar, mining or time runs one part, and only simulates the scenes that it needs.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from _real import image_features, plain_lenses, real_field
from _scenes import Scenes, cached_calibration, cached_cutouts, cached_polar, cached_rows, fit_recipe, usable
from joblib.externals.loky import get_reusable_executor

from gridlens.cutouts import CutoutSet
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.detector import LensDetector
from gridlens.evaluation import Estimate, auroc, average_precision, compare, tpr_at_fpr
from gridlens.features import GridPatchExtractor, Measured, measure
from gridlens.members._polar import polar_features
from gridlens.stacking import MemberStack
from gridlens.stacking._meta import fit_meta
from gridlens.stacking._registry import member_class
from gridlens.stacking._stack import member_log_odds
from gridlens.training import RECIPES
from gridlens.training._mine import Mined, mine

HERE = Path(__file__).parent
RECIPE = RECIPES["default"]
FIRST = "lightgbm"
OTHERS = ("patch", "ranked", "xgboost", "linear", "nnpu", "elkan-noto")
MEASURES = {
    "AUROC": partial(auroc, n_boot=300),
    "average precision": partial(average_precision, n_boot=300),
    "TPR at FPR 0.01": partial(tpr_at_fpr, fpr=0.01, n_boot=300),
    "TPR at FPR 0.001": partial(tpr_at_fpr, fpr=0.001, n_boot=300),
}
POOL_SCENES, POOL_SEED, POOL_PREVALENCE = 20_000, 11, 0.01
POLAR_SCENES, POLAR_SEED, POLAR_TEST, POLAR_TEST_SEED = 3000, 201, 2000, 207
TIMED_CUTOUTS, TIMED_SEED = 128, 211
TIMED_SCENES, TIMED_ROWS = 20_480, 20_000  # some scenes are rejected
PARTS = ("members", "polar", "mining", "time")


def head(*columns: str) -> None:
    """Print the header of a table."""
    print(f"| {' | '.join(columns)} |")
    print("|" + "---|" * len(columns), flush=True)


def measured(y: np.ndarray, score: np.ndarray) -> str:
    """Format the cells of all measures."""
    return " | ".join(str(measure(y, score)) for measure in MEASURES.values())


def gained(y: np.ndarray, before: np.ndarray, after: np.ndarray) -> str:
    """Format the cells of the paired differences in all measures."""

    def cell(gain: Estimate) -> str:
        return gain.note or f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"

    return " | ".join(cell(one.difference) for one in compare(y, before, after, MEASURES, n_boot=300).values())


def weights_of(train: Scenes) -> np.ndarray:
    """Return the sample weights of the recipe."""
    return np.where(train.truth["arc_snr"].to_numpy() < RECIPE.faint_snr, RECIPE.faint_weight, 1.0)


def members(train: Scenes, test: Scenes, jobs: int) -> None:
    """Print the metrics of each member alone and its gain over the first member."""
    X, y = train.features_with(RECIPE.metadata), train.label
    names = (FIRST, *OTHERS)
    held, scores, seconds = {}, {}, {}
    for name in names:
        start = time.perf_counter()
        stack = MemberStack([member_class(name)()], final="refit", n_jobs=jobs, random_state=0)
        groups = np.arange(len(y))
        held[name] = stack.out_of_fold({"features": X}, y, groups, weights_of(train))[:, 0]
        fitted = member_class(name)().fit(X, y, sample_weight=weights_of(train), groups=groups)
        scores[name] = member_log_odds(fitted.predict_proba(test.features_with(RECIPE.metadata))[:, 1])
        seconds[name] = time.perf_counter() - start

    print(f"\n### Members alone: {len(y):,} training scenes, {len(test.label):,} held out\n")
    head("member", *MEASURES, "five folds and a refit, s")
    for name in names:
        print(f"| {name} | {measured(test.label, scores[name])} | {seconds[name]:.0f} |", flush=True)

    print(f"\n### Gain of a member: stacks by logistic regression on out-of-fold log-odds, against {FIRST} alone\n")
    head("stack", "weights", *(f"gain in {name}" for name in MEASURES))
    stacks = [(FIRST, name) for name in OTHERS] + [(FIRST, "patch", name) for name in OTHERS[1:]] + [names]
    for chosen in stacks:
        weights, intercept = fit_meta("logistic", np.column_stack([held[name] for name in chosen]), y)
        score = np.column_stack([scores[name] for name in chosen]) @ weights + intercept
        title = "all" if chosen == names else " + ".join(chosen)
        shown = ", ".join(f"{weight:.2f}" for weight in weights)
        print(f"| {title} | {shown} | {gained(test.label, scores[FIRST], score)} |", flush=True)


def polar(folder: Path) -> None:
    """Print the gain from `polar` on simulated scenes, and on real lenses with plain arcs against a real field."""
    train, rows = cached_polar(POLAR_SCENES, POLAR_SEED, RECIPE.surveys)
    test, test_rows = cached_polar(POLAR_TEST, POLAR_TEST_SEED, RECIPE.surveys)
    lenses = plain_lenses(folder) if folder.is_dir() else []
    windows = real_field(folder).cutouts() if lenses else None
    sets = [*lenses, windows] if windows is not None else []
    real = {
        "cutouts": np.concatenate([polar_features(cutouts) for cutouts in sets]) if sets else None,
        "features": np.concatenate([image_features(cutouts) for cutouts in sets]) if sets else None,
    }
    y_real = np.concatenate([np.full(len(cutouts), int(cutouts is not windows)) for cutouts in sets] or [np.empty(0)])
    X = {"features": train.features_with(RECIPE.metadata), "cutouts": rows}
    T = {"features": test.features_with(RECIPE.metadata), "cutouts": test_rows}
    usable_test = np.isfinite(test_rows).any(axis=1)
    simulated, on_sky = {}, {}
    for name in (FIRST, "patch", "polar"):
        member = member_class(name)()
        member.fit(X[member.consumes], train.label, sample_weight=weights_of(train))
        simulated[name] = member_log_odds(member.predict_proba(T[member.consumes])[usable_test, 1])
        if sets:
            on_sky[name] = member_log_odds(member.predict_proba(real[member.consumes])[:, 1])
    print(f"\n### `polar`: {POLAR_SCENES:,} training scenes, {usable_test.sum():,} held out; sums of log-odds\n")
    head(
        "members",
        "AUROC",
        "TPR at FPR 0.01",
        f"AUROC of {int(y_real.sum())} real lenses, {int((1 - y_real).sum())} windows",
    )
    for names in ((FIRST,), ("patch",), ("polar",), (FIRST, "patch"), (FIRST, "polar"), (FIRST, "patch", "polar")):
        score = sum(simulated[name] for name in names)
        cells = [str(MEASURES[name](test.label[usable_test], score)) for name in ("AUROC", "TPR at FPR 0.01")]
        shown = str(auroc(y_real, sum(on_sky[name] for name in names))) if sets else "not measured"
        print(f"| {' + '.join(names)} | {' | '.join(cells)} | {shown} |", flush=True)


def polar_time() -> None:
    """Print the time of the inputs of `polar`, and of the features that they start with."""
    cutouts = cached_cutouts(TIMED_CUTOUTS, TIMED_SEED, RECIPE.surveys).cutouts
    extractor = GridPatchExtractor(n_jobs=1)

    def milliseconds(call: Callable[[CutoutSet], object]) -> float:
        call(cutouts[:2])
        spent = []
        for _ in range(5):
            start = time.process_time()
            call(cutouts)
            spent.append(1e3 * (time.process_time() - start) / len(cutouts))
        return min(spent)

    both, features = milliseconds(polar_features), milliseconds(extractor.transform)
    print(
        f"\n`polar`: {both:.2f} ms of processor time per cutout of 128 px; features alone {features:.2f} ms", flush=True
    )


def mining(train: Scenes, calibrate: Scenes, test: Scenes, folder: Path, jobs: int) -> None:
    """Print the stack before mining, after one round, and after a second round, which `train` does not offer."""
    scenes = usable(cached_rows(POOL_SCENES, POOL_SEED, RECIPE.surveys, canonical=True, lens_fraction=POOL_PREVALENCE))
    impostors = test.truth["impostor"].notna().to_numpy() | (test.label == 1)
    windows = field(folder)
    mined_windows = np.arange(len(windows)) % 2 == 0
    pool = Measured.concatenate([scenes.measured, windows[mined_windows]]).with_metadata(RECIPE.metadata)
    n = int(RECIPE.mined_fraction * len(train.label))
    before = fit_recipe(train, calibrate, RECIPE, n_jobs=jobs)
    first = mine(before, pool, n, POOL_PREVALENCE)
    after = fit_recipe(train, calibrate, RECIPE, mined=first, n_jobs=jobs)
    second = mine(after, pool, n, POOL_PREVALENCE)
    rows = Measured.concatenate([first.rows, second.rows])
    both = Mined(rows, np.concatenate([first.weight, second.weight]), first.pool)
    twice = fit_recipe(train, calibrate, RECIPE, mined=both, n_jobs=jobs)

    print(
        f"\n### Mining {len(first.weight):,} of {first.pool:,} unlabelled cutouts, one scene in a hundred with a lens, "
        f"{len(train.label):,} training scenes\n"
    )
    head("model", *MEASURES, "TPR at FPR 0.01, against scenes with an impostor", "mean score of windows not mined")
    y, X = test.label, test.features_with(RECIPE.metadata)
    scores = {}
    for name, detector in (("before", before), ("one round", after), ("two rounds", twice)):
        scores[name] = detector.predict_proba(X, prevalence=0.5)[:, 1]
        real = detector.predict_proba(windows[~mined_windows], prevalence=0.5)[:, 1] if len(windows) else np.empty(0)
        hard = tpr_at_fpr(y[impostors], scores[name][impostors], 0.01)
        shown = f"{real.mean():.3f}, highest {real.max():.2f}" if len(real) else "not measured"
        print(f"| {name} | {measured(y, scores[name])} | {hard} | {shown} |", flush=True)
    print()
    head("gain", *MEASURES)
    for name in ("one round", "two rounds"):
        print(f"| {name} | {gained(y, scores['before'], scores[name])} |", flush=True)


def field(folder: Path) -> Measured:
    """Measure windows of a real field without a known lens; return no rows if the folder does not exist."""
    if not folder.is_dir():
        return Measured.concatenate([])
    windows = measure(real_field(folder).cutouts(), RECIPE.metadata, -1).without_cutouts()
    return windows[~windows.rejected]


def timed(train: Scenes, jobs: int) -> None:
    """Print the time to fit the default stack to 20,000 rows, including its table of members and its calibration."""
    X, y = train.features_with(RECIPE.metadata)[:TIMED_ROWS], train.label[:TIMED_ROWS]
    # End the workers of earlier parts, so that their processor time is counted before the start.
    get_reusable_executor().shutdown()
    start, before = time.perf_counter(), sum(os.times()[:4])
    LensDetector(RECIPE.members, n_jobs=jobs, random_state=0).fit(X, y, groups=np.arange(len(y)))
    seconds = time.perf_counter() - start
    get_reusable_executor().shutdown()
    spent = sum(os.times()[:4]) - before
    print(
        f"\n{', '.join(RECIPE.members)} on {len(y):,} rows, five folds, {jobs} processes: {seconds:.0f} s, "
        f"{spent:.0f} s of processor time",
        flush=True,
    )


def main() -> None:
    """Print all tables or those of one part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, help="run only this part")
    parser.add_argument("--rows", type=int, default=8192, help="training scenes in the tables")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument(
        "--real", type=Path, default=HERE.parents[1] / "shared" / "data", help="folder with the real images"
    )
    arguments = parser.parse_args()
    parts = PARTS if arguments.only is None else (arguments.only,)
    if "members" in parts or "mining" in parts:
        every = usable(cached_rows(RECIPE.n_train, RECIPE.train_seed, SIMULATED_SURVEYS))
        test = usable(cached_rows(RECIPE.n_test, RECIPE.test_seed, SIMULATED_SURVEYS, canonical=True))
        train = every[: arguments.rows]
    if "members" in parts:
        members(train, test, arguments.jobs)
    if "polar" in parts:
        polar_time()
        polar(arguments.real)
    if "mining" in parts:
        mining(train, usable(cached_calibration(RECIPE)), test, arguments.real, arguments.jobs)
    if "time" in parts:
        alone = arguments.only == "time"
        timed(
            usable(cached_rows(TIMED_SCENES, RECIPE.train_seed, SIMULATED_SURVEYS)) if alone else every, arguments.jobs
        )


if __name__ == "__main__":
    main()
