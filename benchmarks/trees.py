"""Scoring time of the trees of the bundled model: the kernel that uses bit masks of leaves, and LightGBM.

Run ``python benchmarks/trees.py``. Each uses one thread. As in a scoring run, the rows are simulated scenes in the
eight turns that the member averages, 170 at a time. Both give bitwise identical numbers.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from _scenes import cached_cutouts

from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.features import dihedral
from gridlens.models import load_model

SCENES, SEED, BATCH = 512, 221, 170


def microseconds(score: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the processor time per row in the best of five rounds, and the scores."""
    spent = []
    for _ in range(5):
        start = time.process_time()
        found = np.concatenate([score(rows[k : k + BATCH]) for k in range(0, len(rows), BATCH)])
        spent.append(1e6 * (time.process_time() - start) / len(rows))
    return min(spent), found


def main() -> None:
    """Print the times of both and their ratio."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    rows = dihedral(cached_cutouts(SCENES, SEED, SIMULATED_SURVEYS).features_with("image"))
    rows = rows.reshape(-1, rows.shape[2])
    member = load_model().stack_.members_[0]
    trees, booster = member.trees_, member.booster()
    trees.raw_scores(rows[:1])
    own, reference = microseconds(lambda X: booster.predict(X, raw_score=True, num_threads=1), rows)
    kernel, found = microseconds(trees.raw_scores, rows)
    same = "identical numbers" if np.array_equal(found, reference) else "DIFFERENT NUMBERS"
    print(f"{trees.n_trees} trees, {len(rows):,} rows: LightGBM {own:.1f} us per row, kernel {kernel:.1f}, {same}.")
    print(f"The kernel is {own / kernel:.1f} times as fast.")


if __name__ == "__main__":
    main()
