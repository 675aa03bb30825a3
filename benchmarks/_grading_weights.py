"""Calibration error and AUROC of rows chosen by their score, with and without weights."""

from collections.abc import Callable

import numpy as np
from scipy.special import expit, logit

from gridlens.evaluation import Estimate, auroc, calibration_error

__all__ = ["weights_table"]

ROWS, PREVALENCE, REPEATS, DRAWS = 20_000, 0.01, 100, 500
# The probabilities state four times the true odds.
FACTOR = 4.0

Measure = Callable[[np.ndarray, np.ndarray, np.ndarray | None, int], Estimate]
MEASURES: dict[str, Measure] = {
    "calibration error": lambda y, p, weight, draws: calibration_error(y, p, None, weight, n_boot=draws),
    "AUROC": lambda y, p, weight, draws: auroc(y, p, None, weight, n_boot=draws),
}


def full_set(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and miscalibrated probabilities; the scores of both classes are normal and 2 apart."""
    y = (rng.random(ROWS) < PREVALENCE).astype(np.int64)
    score = rng.normal(size=ROWS) + 2.0 * y
    return y, expit(2.0 * score - 2.0 + logit(PREVALENCE) + np.log(FACTOR))


def in_proportion(p: np.ndarray) -> np.ndarray:
    """Return the inclusion probabilities: three times `p`, limited to 0.02 to 1."""
    return np.clip(3.0 * p, 0.02, 1.0)


def top_and_strata(p: np.ndarray) -> np.ndarray:
    """Return the inclusion probabilities: 1 in the top 200, 0.1 in the rest of the upper fifth, 0.02 below."""
    place = np.argsort(np.argsort(-p))
    return np.where(place < 200, 1.0, np.where(place < ROWS // 5, 0.1, 0.02))


DESIGNS = {"in proportion to the probability": in_proportion, "the top 200, and strata": top_and_strata}


def weights_table(repeats: int = REPEATS, random_state: int = 0) -> None:
    """Print how often 95 % intervals contain the value of the full set, with and without weights.

    Parameters
    ----------
    repeats : int, default=100
        Number of full sets, each sampled once.
    random_state : int, default=0
        Seed.
    """
    print(f"\n{repeats} full sets of {ROWS:,} rows at a prevalence of {PREVALENCE:g}, whose probabilities state")
    print(f"{FACTOR:g} times the true odds. Rows are chosen by their probability. Within: repeats in which the 95 %")
    print("interval of the chosen rows contains the value of the full set.\n")
    print("| rows chosen | measure | full set | weighted | interval | within | unweighted | interval | within |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, inclusion in DESIGNS.items():
        found: dict[str, list[tuple[float, ...]]] = {measure: [] for measure in MEASURES}
        chosen = []
        for repeat in range(repeats):
            rng = np.random.default_rng([random_state, repeat])
            y, p = full_set(rng)
            probability = inclusion(p)
            drawn = rng.random(ROWS) < probability
            chosen.append(drawn.sum())
            for measure, of in MEASURES.items():
                truth = of(y, p, None, 1).value
                values = [truth]
                for weight in (1.0 / probability[drawn], None):
                    value, low, high, _ = of(y[drawn], p[drawn], weight, DRAWS)
                    values += [value, low, high, low <= truth <= high]
                found[measure].append(tuple(values))
        for measure, rows in found.items():
            truth, *others = np.mean(rows, axis=0)
            cells = [
                f"{value:.4f} | {low:.4f} to {high:.4f} | {round(within * repeats)} of {repeats}"
                for value, low, high, within in (others[:4], others[4:])
            ]
            print(f"| {name}: {np.mean(chosen):.0f} | {measure} | {truth:.4f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    weights_table()
