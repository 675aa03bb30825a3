"""Calibration of the bundled model when lenses are rare, compared with other methods.

python benchmarks/calibration.py [--repeats 200] [--few]

Prints tables. The features of the simulated cutouts are cached in `benchmarks/.cache/`. `--few` prints only the
comparison of beta calibration with a sigmoid for few positives, on scores whose true probability is known; it takes a
minute on two cores.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from _calibration_intervals import POPULATIONS, Population, print_coverage
from _few_positives import fit_sigmoid, print_few_positives
from _scenes import cached_rows, usable
from scipy.special import xlogy
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedKFold

from gridlens import load_model
from gridlens.calibration import (
    IsotonicCalibrator,
    calibrate_out_of_fold,
    estimate_shift,
    expected_calibration_error,
    shift_prior,
)
from gridlens.cutouts._surveys import SIMULATED_SURVEYS

Predict = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray], Predict]
RARE = 1e-3
FOLD_SEEDS = range(20)


def rare_lenses() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores, probabilities at prevalence 0.01 and labels of the bundled model on 20,000 simulated cutouts."""
    rows = usable(cached_rows(20_000, 11, SIMULATED_SURVEYS, canonical=True, lens_fraction=0.01))
    detector = load_model("default")
    X = rows.features_with("image")
    score = detector.stack_.decision_function(detector.stack_.member_probabilities({"features": X}))
    return score, detector.predict_proba(X, prevalence=0.01)[:, 1], rows.label


def fit_ours(score: np.ndarray, y: np.ndarray) -> Predict:
    return IsotonicCalibrator().fit(score, y).predict


def fit_plain(score: np.ndarray, y: np.ndarray) -> Predict:
    """Fit what CalibratedClassifierCV(method="isotonic") fits to the scores of a trained model."""
    return IsotonicRegression(out_of_bounds="clip").fit(score, y).predict


def fit_weighted(score: np.ndarray, y: np.ndarray) -> Predict:
    """Fit the same as `fit_plain`, with weights that give both classes the same total."""
    weight = np.where(y == 1, 0.5 / y.mean(), 0.5 / (1.0 - y.mean()))
    return IsotonicRegression(out_of_bounds="clip").fit(score, y, weight).predict


def fit_beta(score: np.ndarray, y: np.ndarray) -> Predict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return IsotonicCalibrator(min_positives=len(y)).fit(score, y).predict


def fit_isotonic(score: np.ndarray, y: np.ndarray) -> Predict:
    return IsotonicCalibrator(min_positives=0).fit(score, y).predict


def out_of_fold(fit: Fit, score: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    p = np.empty(len(y))
    for fitted, held in StratifiedKFold(5, shuffle=True, random_state=seed).split(score, y):
        p[held] = fit(score[fitted], y[fitted])(score[held])
    return p


def log_loss(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
    p = np.clip(p, 1e-12, 1.0 - 1e-12)
    return float(-np.average(xlogy(y, p) + xlogy(1 - y, 1.0 - p), weights=weight))


def print_errors(score: np.ndarray, bundled: np.ndarray, y: np.ndarray) -> None:
    print("\n### Out-of-fold calibration, 5 folds, means over 20 random splits\n")
    print(
        f"{len(y):,} simulated cutouts, {y.sum()} lenses (prevalence {y.mean():.4f}), scores of the bundled model. ECE"
    )
    print("in 15 bins of equal mass.\n")
    print("| calibration | ECE | mean probability | log loss |\n|---|---|---|---|")
    ways: dict[str, Callable[[int], np.ndarray]] = {
        "`calibrate_out_of_fold`": lambda seed: calibrate_out_of_fold(score, y, random_state=seed),
        "scikit-learn's isotonic": lambda seed: out_of_fold(fit_plain, score, y, seed),
        "the same, classes weighted": lambda seed: out_of_fold(fit_weighted, score, y, seed),
        "bundled, `prevalence=0.01`": lambda seed: bundled,
    }
    for name, way in ways.items():
        found = []
        for seed in FOLD_SEEDS:
            p = way(seed)
            found.append((expected_calibration_error(y, p), p.mean(), log_loss(y, p)))
        error, mean, loss = np.mean(found, axis=0)
        print(f"| {name} | {error:.5f} ± {np.std(found, axis=0)[0]:.5f} | {mean:.4f} | {loss:.4f} |", flush=True)


def print_shift(score: np.ndarray, bundled: np.ndarray, y: np.ndarray) -> None:
    print("\n### At prevalence 1e-3, lenses weighted down\n")
    print("| probabilities | mean probability | true prevalence | ratio | ECE, lenses thinned |\n|---|---|---|---|---|")
    weight = np.where(y == 1, RARE / (1.0 - RARE) / (y.mean() / (1.0 - y.mean())), 1.0)
    truth = np.average(y, weights=weight)
    rng = np.random.default_rng(0)
    thinned = np.flatnonzero((y == 0) | (rng.random(len(y)) < weight))
    moved = [shift_prior(calibrate_out_of_fold(score, y, random_state=seed), y.mean(), RARE) for seed in FOLD_SEEDS]
    for name, p in (("`calibrate_out_of_fold`, shifted", moved), ("bundled", [shift_prior(bundled, 0.01, RARE)])):
        mean = np.mean([np.average(one, weights=weight) for one in p])
        error = np.mean([expected_calibration_error(y[thinned], one[thinned]) for one in p])
        print(f"| {name} | {mean:.6f} | {truth:.6f} | {mean / truth:.3f} | {error:.5f} |")


def print_few(score: np.ndarray, y: np.ndarray) -> None:
    print("\n### Few positives: log loss times 1000 on held-out rows, prevalence 0.01, 60 draws\n")
    print("Differences from the sigmoid, with standard errors. Negative is better.\n")
    print("| scores | positives | sigmoid | beta | isotonic |\n|---|---|---|---|---|")
    positive, negative = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    for k in (10, 20, 35, 50):
        found = []
        for seed in range(60):
            rng = np.random.default_rng(seed)
            lenses, others = rng.permutation(positive), rng.permutation(negative)
            rows, rest = (
                np.concatenate(pair)
                for pair in zip(
                    *((part[:size], part[size:]) for part, size in ((lenses, k), (others, 99 * k))), strict=True
                )
            )
            weight = np.where(y[rest] == 1, 0.01 / y[rest].mean(), 0.99 / (1.0 - y[rest].mean()))
            found.append(_losses(score[rows], y[rows], score[rest], y[rest], weight))
        _print_losses("bundled model", k, found)


def _losses(
    score: np.ndarray, y: np.ndarray, test_score: np.ndarray, test_y: np.ndarray, weight: np.ndarray | None
) -> list[float]:
    return [1e3 * log_loss(test_y, fit(score, y)(test_score), weight) for fit in (fit_sigmoid, fit_beta, fit_isotonic)]


def _print_losses(name: str, k: int, found: list[list[float]]) -> None:
    table = np.array(found)
    against = table[:, 1:] - table[:, :1]
    error = against.std(axis=0, ddof=1) / np.sqrt(len(table))
    cells = " | ".join(f"{mean:+.2f} ± {of:.2f}" for mean, of in zip(against.mean(axis=0), error, strict=True))
    print(f"| {name} | {k} | {table[:, 0].mean():.2f} | {cells} |", flush=True)


def print_estimates(score: np.ndarray, y: np.ndarray, repeats: int) -> None:
    print(f"\n### `estimate_shift`: prevalence of 10,000 unlabelled rows, {repeats} repeats\n")
    print("Probabilities: the true ones of the first normal population; those of a calibration on 10,000 other rows of")
    print("it; those of a calibration on half of the simulated cutouts, with the lenses of the other half thinned.\n")
    print("| probabilities | true prevalence | mean | spread | coverage of the interval |\n|---|---|---|---|---|")
    population = POPULATIONS[0]
    for kind in ("true", "calibrated", "simulated cutouts"):
        for share in (0.01, RARE):
            found = [
                _estimate(kind, share, population, score, y, np.random.default_rng(seed)) for seed in range(repeats)
            ]
            value, low, high = np.array(found).T
            held = np.mean((low <= share) & (share <= high))
            print(f"| {kind} | {share:g} | {value.mean():.5f} | {value.std():.5f} | {held:.2f} |", flush=True)


def _estimate(
    kind: str, share: float, population: Population, score: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> tuple[float, ...]:
    n = 10_000
    if kind == "simulated cutouts":
        rows = rng.permutation(len(y))
        fitted, rest = rows[: len(y) // 2], rows[len(y) // 2 :]
        wanted = round(share * n)
        lenses = rng.choice(rest[y[rest] == 1], min(wanted, int(y[rest].sum())), replace=False)
        target = np.concatenate([lenses, rest[y[rest] == 0][: n - len(lenses)]])
        p = IsotonicCalibrator().fit(score[fitted], y[fitted]).predict(score[target])
        return estimate_shift(p, float(y[fitted].mean()), n_boot=100)[:3]
    target = population.draw(rng, n, share)[0]
    if kind == "true":
        return estimate_shift(population.truth(target), 0.01, n_boot=100)[:3]
    fitted_score, fitted_y = population.draw(rng, n)
    p = IsotonicCalibrator().fit(fitted_score, fitted_y).predict(target)
    return estimate_shift(p, float(fitted_y.mean()), n_boot=100)[:3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--few", action="store_true", help="only compare calibrations for few positives")
    arguments = parser.parse_args()
    if arguments.few:
        print_few_positives(arguments.repeats)
        return
    score, bundled, y = rare_lenses()
    start = time.perf_counter()
    print_errors(score, bundled, y)
    print_shift(score, bundled, y)
    print_few(score, y)
    print_few_positives(arguments.repeats)
    print_estimates(score, y, arguments.repeats // 2)
    print_coverage(arguments.repeats, draws=100)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
