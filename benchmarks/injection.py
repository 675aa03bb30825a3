"""Models trained on arcs injected into a survey's own images, compared with the bundled models.

Run ``python benchmarks/injection.py``. For HSC, SDSS and KiDS, `gridlens.train(inject_into=...)` trains a model on
windows of some fields. It and the bundled models score the windows of the other fields, with and without arcs that are
made differently from the training arcs (HST galaxies behind two-halo and dPIE clusters, see ``_other_skies.py``). Folds
are by image; the KiDS field, a single image, is cut into strips. Intervals are 95 %, from a paired bootstrap over parts
of the sky.

None of the images shows a cluster. The windows are around bright red galaxies, and because there are few, they are
used several times, moved and turned. HSC has only nine, so the training splits their copies. This makes the test within
the training too easy, but does not affect the test on other fields.
"""

import argparse
import re
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _other_skies import OtherSky, injected_windows
from _real_windows import complete_survey
from other_skies import METRICS, PAIRS, WINDOW_SEED, Values, cell, mean, measured

from gridlens import CutoutSet, load_model, train
from gridlens.simulate._backgrounds import sky_rms
from gridlens.simulate._observe import sky_noise

SURVEYS = ("hsc", "sdss", "kids")
FOLDS = 3
FEWEST_WINDOWS = 20
# Members in addition to the bundled model, which is not refitted.
MEMBERS = ("lightgbm", "patch", "embedding")
MODELS = ("`default`", "`deep`", "trained on the windows")
# Number of windows to inject arcs into, and their seed; only the versions without an arc are used.
POOL, POOL_SEED = 384, 809


def fold_of(groups: np.ndarray) -> np.ndarray:
    """Return the fold of each part of the sky, named "image-x-y": by image, or by strip if there are too few images."""
    places = pd.DataFrame([name.split("-") for name in groups], columns=["image", "x", "y"]).astype(int)
    column = places["image"] if places["image"].nunique() >= FOLDS else places["x"]
    # Ranks along x give contiguous strips with similar numbers of windows.
    ranks = column.rank(method="average").to_numpy()
    if places["image"].nunique() >= FOLDS:
        return pd.factorize(column)[0] % FOLDS
    return np.minimum((ranks / (len(ranks) + 1) * FOLDS).astype(int), FOLDS - 1)


def pool_of(folder: Path, survey: str) -> OtherSky:
    """Return windows of a survey, moved and turned; those without an arc are the pool."""
    return injected_windows(folder, survey, POOL, POOL_SEED)


def clusters_of(pool: OtherSky) -> np.ndarray:
    """Return the cluster labels for splits of the pool: the windows or, if there are few, their single copies."""
    windows = pool.truth["window"].to_numpy()
    return windows if len(np.unique(windows)) >= FEWEST_WINDOWS else np.arange(len(windows))


def zero_point(cutouts: CutoutSet, survey: str) -> float:
    """Return the zero point at which the noise is that of the survey's depth, as assumed for the test arcs."""
    preset = complete_survey(survey)
    units = []
    for pixels, scale in zip(cutouts.pixels, cutouts.pixel_scale, strict=True):
        expected = sky_noise(np.array(preset.depth), np.array(preset.seeing), float(scale))
        units.append(float(np.mean(np.log10(sky_rms(pixels) / expected))))
    return 27.0 + 2.5 * float(np.median(units))


def scores_of(survey: str, pool: OtherSky, sky: OtherSky) -> np.ndarray:
    """Return the log-odds of the rows by models trained on other fields; print the null controls."""
    every = np.concatenate([pool.groups, sky.groups])
    folds = fold_of(every)
    of_pool, of_sky = folds[: len(pool.groups)], folds[len(pool.groups) :]
    score = np.full(len(sky.label), np.nan)
    (cutouts,), (windows,) = pool.cutouts, sky.cutouts
    for fold in range(FOLDS):
        rows = np.flatnonzero((of_pool != fold) & (pool.label == 0))
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "pool.npz"
            chosen = cutouts[rows]
            np.savez(
                path,
                pixels=chosen.pixels,
                bcg_xy=chosen.bcg_xy,
                pixel_scale=chosen.pixel_scale,
                id=chosen.ids.astype(str),
            )
            table = pd.DataFrame({"id": chosen.ids, "cluster": clusters_of(pool)[rows]})
            trained = train(
                inject_into=path,
                labels=table,
                survey=survey,
                zeropoint=zero_point(chosen, survey),
                members=MEMBERS,
                init_model="default",
                random_state=0,
            )
        held = np.flatnonzero(of_sky == fold)
        # Log-odds, because the calibrated probabilities of the three models, from few windows, have ties at the top.
        score[held] = trained.detector.decision_function(windows[held])
        null = re.search(r"AUROC of (.*?) on", trained.card)
        print(f"{survey}, fold {fold + 1}: null injection {null[1] if null else 'not in the model card'}", flush=True)
    return score


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=Path("shared/data"), help="folder with the real images")
    parser.add_argument("--surveys", nargs="+", default=list(SURVEYS), choices=SURVEYS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    bundled = [load_model("default"), load_model("deep")]
    found: dict[str, Values] = {}
    for survey in arguments.surveys:
        sky = injected_windows(arguments.real, survey, PAIRS, WINDOW_SEED)
        (windows,) = sky.cutouts
        scores = [detector.decision_function(windows) for detector in bundled]
        scores.append(scores_of(survey, pool_of(arguments.real, survey), sky))
        found[survey] = measured(sky, scores, random_state=0)
    if len(found) > 1:
        found["mean"] = mean(list(found.values()))
    head = ["windows", "model", *METRICS, *(f"{name}, against {model}" for model in MODELS[:2] for name in METRICS)]
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for name, values in found.items():
        for k, model in enumerate(MODELS):
            own = [cell(one[k]) for one in values.values()]
            gains = [cell(one[k] - one[j], "+") if k > j else "" for j in (0, 1) for one in values.values()]
            print(f"| {name} | {model} | {' | '.join([*own, *gains])} |", flush=True)


if __name__ == "__main__":
    main()
