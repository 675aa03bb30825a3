"""Probabilities of a model on other skies before and after recalibration on unlabelled cutouts.

Run ``python benchmarks/recalibration.py --model default``. Each set of ``other_skies.py``, and a set of scenes like the
training scenes, is divided at random into halves: the non-lenses of one half are the pool, and the other is scored. The
table shows the log loss at even prevalence and at 0.01 and the calibration error at even prevalence, with unchanged
odds, recalibrated odds, and odds from the false-alarm rates alone, which shift twice as far. The values are means over
ten divisions, with 95 % intervals from a bootstrap over groups. The pools of real windows have 128 windows, which
overlap.
"""

import argparse
from pathlib import Path

import numpy as np
from _scenes import cached_rows, usable
from other_skies import HERE, PRESETS, all_sets
from scipy.special import expit, logit

from gridlens import load_model
from gridlens.calibration._bins import equal_mass_bins, mean_bin_error
from gridlens.calibration._recalibrate import match_false_alarms
from gridlens.evaluation._draws import draws, groups_of
from gridlens.training import RECIPES

DIVISIONS, DRAWS, BINS = 10, 500, 10
RARE = 0.01
OWN_SCENES, OWN_SEED = 2048, 811
# Factors of the shift: none, that of the library, and that to equal false-alarm rates.
WAYS = {"unchanged": 0.0, "recalibrated": 1.0, "false-alarm rates alone": 2.0}


def log_loss(label: np.ndarray, log_odds: np.ndarray) -> np.ndarray:
    """Return the log loss of each row."""
    return np.logaddexp(0.0, np.where(label == 1, -log_odds, log_odds))


def class_weights(label: np.ndarray, prevalence: float) -> np.ndarray:
    """Return weights (n,) at which the lenses have the fraction `prevalence`."""
    lenses = label.mean()
    return np.where(label == 1, prevalence / lenses, (1.0 - prevalence) / (1.0 - lenses))


def losses(detector, z: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the log loss (ways, prevalences, n) and the calibration error (ways,), averaged over the divisions."""
    home = detector.class_scores_.moved(detector.calibrator_, detector.calibration_prevalence_)
    total = np.zeros((len(WAYS), 2, len(z)))
    errors = np.zeros(len(WAYS))
    for _ in range(DIVISIONS):
        half = rng.permutation(len(z)) % 2
        log_odds = np.empty((len(WAYS), len(z)))
        for scored in (0, 1):
            odds = match_false_alarms(home, z[(half != scored) & (label == 0)], 0.0)
            rows = half == scored
            shift = odds.moved(z[rows]) - z[rows]
            log_odds[:, rows] = z[rows] + np.array(list(WAYS.values()))[:, None] * shift
        for way, found in enumerate(log_odds):
            for k, prevalence in enumerate((0.5, RARE)):
                total[way, k] += log_loss(label, found + logit(prevalence)) / DIVISIONS
            p = expit(found)
            weight = class_weights(label, 0.5)
            errors[way] += mean_bin_error(equal_mass_bins(p, BINS), label - p, weight) / DIVISIONS
    return total, errors


def measured(detector, z, label, groups, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the log losses (ways, prevalences, 1 + draws of groups) and the calibration errors (ways,)."""
    loss, errors = losses(detector, z, label, np.random.default_rng(seed))
    once = np.ones(len(label), dtype=np.int64)
    found = np.empty((*loss.shape[:2], 1 + DRAWS))
    for draw, counts in enumerate([once, *draws(label, groups_of(groups, len(label)), DRAWS, seed)]):
        rows = np.repeat(np.arange(len(label)), counts)
        for k, prevalence in enumerate((0.5, RARE)):
            found[:, k, draw] = (loss[:, k, rows] * class_weights(label[rows], prevalence)).mean(axis=1)
    return found, errors


def print_rows(name: str, loss: np.ndarray, errors: np.ndarray) -> None:
    """Print a row of the table for each of the `WAYS`."""
    for way, said in enumerate(WAYS):
        cells = []
        for k, digits in enumerate((4, 5)):
            gain = loss[way, k] - loss[0, k]
            low, high = np.nanpercentile(gain[1:], [2.5, 97.5])
            against = f"{gain[0]:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]" if way else ""
            cells += [f"{loss[way, k, 0]:.{digits}f}", against]
        print(f"| {name} | {said} | {' | '.join(cells)} | {errors[way]:.3f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="a bundled model or the path of a bundle")
    parser.add_argument("--real", type=Path, default=HERE.parents[1] / "shared" / "data", help="the real images")
    arguments = parser.parse_args()
    detector = load_model(arguments.model)
    print("\n| set | odds | log loss, even | against | log loss, 0.01 | against | calibration error |")
    print("|---|---|---|---|---|---|---|", flush=True)
    own = usable(cached_rows(OWN_SCENES, OWN_SEED, RECIPES["default"].surveys, canonical=True))
    p = detector.predict_proba(own.measured.without_cutouts(), prevalence=0.5)[:, 1]
    print_rows("own scenes", *measured(detector, logit(p), own.label, np.arange(len(p)), 0))
    means = []
    for letter, skies in all_sets(arguments.real, PRESETS).items():
        if letter == "(d)":
            continue
        parts = []
        for part, sky in enumerate(skies):
            p = np.concatenate([detector.predict_proba(cutouts, prevalence=0.5)[:, 1] for cutouts in sky.cutouts])
            kept = np.isfinite(p)
            parts.append(measured(detector, logit(p[kept]), sky.label[kept], sky.groups[kept], 10 * len(means) + part))
            print_rows(f"{letter} {sky.name}", *parts[-1])
        means.append([np.mean(values, axis=0) for values in zip(*parts, strict=True)])
    print_rows("mean of (a), (b), (c)", *(np.mean(values, axis=0) for values in zip(*means, strict=True)))


if __name__ == "__main__":
    main()
