"""Learning from positives and unlabelled rows: against the paper, against other packages, and on simulated clusters.

python benchmarks/pu.py [--seeds 10]

Prints tables.
"""

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

from gridlens.pu import NNPULGBMClassifier


class Problem(NamedTuple):
    """Rows with known classes to learn from and to test on."""

    name: str
    X: np.ndarray
    y: np.ndarray
    test_X: np.ndarray
    test_y: np.ndarray


def problems(seed: int) -> Iterator[Problem]:
    """The data sets, split anew for each seed."""
    digits, cancer = load_digits(), load_breast_cancer()
    rng = np.random.default_rng(seed)
    # Even against odd, as the paper takes MNIST.
    sets = [("digits, even against odd", digits.data, digits.target % 2 == 0)]
    sets.append(("breast cancer, malignant", cancer.data, cancer.target == 0))
    for separation in (1.5, 3.0):
        y = rng.random(4000) < 0.4
        X = rng.normal(size=(4000, 10))
        X[:, :2] += separation / np.sqrt(2) * y[:, None]
        sets.append((f"Gaussians, {separation:g} apart", X, y))
    for name, X, y in sets:
        X, test_X, y, test_y = train_test_split(X, y.astype(int), test_size=0.4, stratify=y, random_state=seed)
        yield Problem(name, X, y, test_X, test_y)


def mean_and_error(values: list[float], form: str = "{:.1f}") -> str:
    """Mean and its standard error."""
    return f"{form.format(np.mean(values))} ± {form.format(np.std(values, ddof=1) / np.sqrt(len(values)))}"


def kiryo(n_seeds: int) -> None:
    """Print the comparison of Kiryo et al. 2017: errors of PN, uPU and nnPU with a flexible model."""
    print("\n### Test errors, %, of PN, uPU and nnPU, the set-up of Kiryo et al. 2017\n")
    print("Positives drawn apart from the unlabelled rows; 100 trees of 8 leaves; PN gets, as in the paper,")
    print("as many negatives as make its error bound that of PU learning, (pi_n / 2 pi_p)^2 n_p.\n")
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


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    arguments: Any = parser.parse_args()
    kiryo(arguments.seeds)


if __name__ == "__main__":
    main()
