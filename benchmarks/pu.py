"""Learning from positives and unlabelled rows, compared with the paper and another package, and on simulated clusters.

python benchmarks/pu.py [--seeds 10] [--draw docs/pu-bias.png]

Prints tables. Needs the extra `dev`. The features of the simulated cutouts are cached in `benchmarks/.cache/`.
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _prior_limits import limits, print_limits
from _propensity_bias import bias, print_bias
from _pu_clusters import clusters
from _pu_figure import draw
from joblib import Parallel, delayed
from lightgbm import LGBMClassifier
from pulearn import ElkanotoPuClassifier, WeightedElkanotoPuClassifier
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split

from gridlens.calibration import expected_calibration_error
from gridlens.pu import ElkanNotoClassifier, NNPULGBMClassifier


class Problem(NamedTuple):
    """Training and test rows with known classes."""

    name: str
    X: np.ndarray
    y: np.ndarray
    test_X: np.ndarray
    test_y: np.ndarray


def sets(seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the name, the rows and the classes of each data set; generated data differ for each seed."""
    digits, cancer = load_digits(), load_breast_cancer()
    rng = np.random.default_rng(seed)
    # Even against odd digits, as the paper does with MNIST.
    yield "digits, even against odd", digits.data, digits.target % 2 == 0
    yield "breast cancer, malignant", cancer.data, cancer.target == 0
    for separation, prior, n in ((1.5, 0.4, 4000), (3.0, 0.4, 4000), (3.0, 0.05, 10_000)):
        y = rng.random(n) < prior
        X = rng.normal(size=(n, 10))
        X[:, :2] += separation / np.sqrt(2) * y[:, None]
        yield f"Gaussians, {separation:g} apart, prior {prior:g}", X, y


def problems(seed: int) -> Iterator[Problem]:
    """Yield the data sets without rare positives, with a different split for each seed."""
    for name, X, y in islice(sets(seed), 4):
        X, test_X, y, test_y = train_test_split(X, y.astype(int), test_size=0.4, stratify=y, random_state=seed)
        yield Problem(name, X, y, test_X, test_y)


def mean_and_error(values: list[float], form: str = "{:.1f}") -> str:
    """Format the mean and its standard error."""
    return f"{form.format(np.mean(values))} ± {form.format(np.std(values, ddof=1) / np.sqrt(len(values)))}"


def kiryo(n_seeds: int) -> None:
    """Print the comparison of Kiryo et al. 2017, the errors of PN, uPU and nnPU with a flexible model."""
    print("\n### Test errors, %, of PN, uPU and nnPU in the set-up of Kiryo et al. 2017\n")
    print("Positives drawn separately from the unlabelled rows; 100 trees of 8 leaves. As in the paper, PN gets the")
    print("number of negatives at which its error bound equals that of PU learning, (pi_n / 2 pi_p)^2 n_p.\n")
    print("| data | positives | unlabelled | PN | uPU | nnPU |\n|---|---|---|---|---|---|")
    errors: dict[str, dict[str, list[float]]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for seed in range(n_seeds):
        for problem in problems(seed):
            rng = np.random.default_rng(seed)
            prior = float(problem.y.mean())
            positives = np.flatnonzero(problem.y == 1)
            n_p = min(200, len(positives) // 2)
            labelled = rng.choice(positives, n_p, replace=False)
            X = np.concatenate([problem.X[labelled], problem.X])
            s = np.repeat([1, 0], [n_p, len(problem.X)])
            sizes[problem.name] = n_p, len(problem.X)
            n_n = min(int(np.ceil(((1 - prior) / (2 * prior)) ** 2 * n_p)), int(np.sum(problem.y == 0)))
            negatives = rng.choice(np.flatnonzero(problem.y == 0), n_n, replace=False)
            clean = problem.X[np.concatenate([labelled, negatives])], np.repeat([1, 0], [n_p, n_n])
            for kind, rows in (("pn", clean), ("upu", (X, s)), ("nnpu", (X, s))):
                model = NNPULGBMClassifier(
                    prior,
                    risk=kind,
                    scheme="separate",
                    random_state=seed,
                ).fit(*rows)
                wrong = 100 * float(np.mean(model.predict(problem.test_X) != problem.test_y))
                errors.setdefault(problem.name, {}).setdefault(kind, []).append(wrong)
    for name, found in errors.items():
        cells = " | ".join(mean_and_error(found[kind]) for kind in ("pn", "upu", "nnpu"))
        print(f"| {name} | {sizes[name][0]} | {sizes[name][1]} | {cells} |")


def against(n_seeds: int) -> None:
    """Print the ranking and the calibration compared with pulearn, on the same folds and with the same trees."""
    print("\n### Comparison with pulearn, and with plain LightGBM on labelled against unlabelled rows\n")
    print(f"30 % of the positives labelled; out-of-fold, 3 folds; mean and standard error of {n_seeds} seeds.")
    print("Expected calibration error in 15 bins of equal mass; probabilities of pulearn above 1 count as 1.\n")
    print("| trees | data | | average precision | AUROC | calibration error |\n|---|---|---|---|---|---|")
    found = Parallel(n_jobs=2)(delayed(against_once)(seed) for seed in range(n_seeds))
    errors: dict[tuple[str, str], list[float]] = {}
    for trees, data, method in found[0]:
        values = np.array([one[trees, data, method] for one in found]).T
        cells = " | ".join(mean_and_error(list(column), "{:.3f}") for column in values)
        print(f"| {trees} | {data} | {method} | {cells} |")
        errors.setdefault((trees, method), []).append(float(values[2].mean()))
    print("\nMean calibration error over the data sets:\n")
    for (trees, method), values in errors.items():
        print(f"- {trees}, {method}: {np.mean(values):.3f}")


def against_once(seed: int) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    """Return the average precision, the AUROC and the calibration error, by trees, data set and method."""
    warnings.simplefilter("ignore")
    slow = {"learning_rate": 0.05, "num_leaves": 15, "reg_lambda": 1.0}
    results = {}
    for name, X, y in sets(seed):
        s = (y & (np.random.default_rng(seed + 100).random(len(y)) < 0.3)).astype(np.int64)
        for trees, options in (("LightGBM's defaults", {}), ("small steps", slow)):
            base = LGBMClassifier(n_jobs=1, random_state=seed, verbosity=-1, **options)
            scores: dict[str, np.ndarray] = {}
            for train, held in StratifiedKFold(3, shuffle=True, random_state=seed).split(X, y):
                n = int(s[train].sum())
                models = {
                    "plain": clone(base),
                    "pulearn, Elkan-Noto": ElkanotoPuClassifier(clone(base), random_state=seed),
                    "pulearn, weighted": WeightedElkanotoPuClassifier(
                        clone(base), n, len(train) - n, random_state=seed
                    ),
                    "gridlens, weighted": ElkanNotoClassifier(base, random_state=seed),
                }
                for method, model in models.items():
                    p = model.fit(X[train], s[train]).predict_proba(X[held])[:, 1]
                    scores.setdefault(method, np.empty(len(y)))[held] = np.clip(p, 0.0, 1.0)
            for method, p in scores.items():
                ranks = average_precision_score(y, p), roc_auc_score(y, p)
                results[trees, name, method] = *ranks, expected_calibration_error(y, p)
    return results


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--draw", type=Path, help="file for a figure of the bias and spread of c and of the prior")
    arguments: Any = parser.parse_args()
    start = time.perf_counter()
    kiryo(arguments.seeds)
    against(max(2, arguments.seeds // 2))
    clusters()
    propensities = bias()
    print_bias(propensities)
    priors = limits()
    print_limits(priors)
    if arguments.draw is not None:
        draw(propensities, priors, arguments.draw)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
