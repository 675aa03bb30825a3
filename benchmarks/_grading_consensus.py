"""Consensus of simulated graders and the estimate of lenses left: log loss, AUROC, wrong labels, interval coverage.

python benchmarks/_grading_consensus.py

The tables of the graders are drawn around those of `gridlens grades simulate`. Look-alikes are graded like lenses.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.special import expit

from gridlens.evaluation import auroc, log_loss
from gridlens.grading import consensus, lenses_left, make_queue
from gridlens.grading._oracle import GRADER_TABLES

__all__ = ["consensus_table", "drawn_grades", "lenses_left_table"]

LABELS = np.array(["A", "B", "C", "X"])
SPREAD = 40.0
"""concentration of the Dirichlet distribution of the graders' tables"""
PREVALENCE = 0.3
N_OBJECTS, N_GOLD, N_GRADERS = 300, 20, 3
LOOKALIKES = 0.05
"""fraction of non-lenses that look like lenses to all graders"""


def drawn_grades(seed: int, lookalikes: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, pd.Series]:
    """Draw grades, gold objects, the truth by object id, and the probabilities of a model.

    Each of the three pairs of graders grades a third of the 300 objects; all graders grade the 20 + 20 gold objects.
    The scores of the model are normal in both classes, 2.5 sigma apart, and its probability is exact. Look-alikes do
    not score higher than other non-lenses.
    """
    rng = np.random.default_rng(seed)
    n = N_OBJECTS + 2 * N_GOLD
    truth = np.concatenate([rng.random(N_OBJECTS) < PREVALENCE, np.arange(2 * N_GOLD) < N_GOLD]).astype(int)
    looks = truth | ((rng.random(n) < lookalikes) & (np.arange(n) < N_OBJECTS)).astype(int)
    ids = np.array([f"o{i}" for i in range(n)])
    rows = []
    for g in range(N_GRADERS):
        tables = np.stack([rng.dirichlet(SPREAD * table) for table in GRADER_TABLES])
        chosen = np.flatnonzero((np.arange(n) % N_GRADERS != g) | (np.arange(n) >= N_OBJECTS))
        cumulated = np.cumsum(tables[1 - looks[chosen]], axis=1)
        picked = (rng.random((len(chosen), 1)) > cumulated[:, :-1]).sum(axis=1)
        rows.append(pd.DataFrame({"object_id": ids[chosen], "grader": f"g{g}", "grade": LABELS[picked]}))
    gold = pd.DataFrame({"object_id": ids[N_OBJECTS:], "truth": truth[N_OBJECTS:]})
    separation = 2.5
    score = rng.normal(size=n) + separation * truth
    log_odds = separation * (score - separation / 2.0) + np.log(PREVALENCE / (1.0 - PREVALENCE))
    by_id = pd.Series(truth, index=ids)
    return pd.concat(rows, ignore_index=True), gold, by_id, pd.Series(expit(log_odds), index=ids)


def consensus_table(seeds: Iterable[int] = range(200)) -> pd.DataFrame:
    """Return means over the draws with 95 % intervals, with independent errors and with look-alikes, by tempering.

    The columns are the log loss and the AUROC of `q_grades`, and the fractions of non-lenses among objects with
    `q_grades` and `q_all` above 0.9, all without gold objects. The intervals are those of the mean.
    """
    seeds = list(seeds)
    lines = []
    for lookalikes in (0.0, LOOKALIKES):
        for tempering in (0.0, 0.3):
            found = pd.DataFrame([_one(seed, lookalikes, tempering) for seed in seeds])
            line: dict[str, object] = {"look-alikes": lookalikes, "tempering": tempering}
            for name, value in found.items():
                half = 1.96 * value.std() / np.sqrt(value.notna().sum())
                line[str(name)] = f"{value.mean():.3f} [{value.mean() - half:.3f}, {value.mean() + half:.3f}]"
            lines.append(line)
    return pd.DataFrame(lines)


def _one(seed: int, lookalikes: float, tempering: float) -> dict[str, float]:
    grades, gold, truth, p = drawn_grades(seed, lookalikes)
    table = consensus(grades, gold=gold, p=p, tempering=tempering).objects
    table = table[~table["object_id"].isin(gold["object_id"])]
    y = truth[table["object_id"]].to_numpy()
    q_grades, q_all = table["q_grades"].to_numpy(), table["q_all"].to_numpy()
    return {
        "log loss": log_loss(y, q_grades, n_boot=1).value,
        "AUROC": auroc(y, q_grades).value,
        "wrong, q_grades > 0.9": _wrong(y, q_grades),
        "wrong, q_all > 0.9": _wrong(y, q_all),
        "lenses with q_all > 0.9": float((q_all[y == 1] > 0.9).mean()),
    }


def _wrong(y: np.ndarray, q: np.ndarray) -> float:
    chosen = q > 0.9
    return float(1.0 - y[chosen].mean()) if chosen.any() else np.nan


def consensus_seconds(n_grades: int = 1_000_000, n_graders: int = 10) -> float:
    """Return the seconds that the consensus of many grades takes, with three grades per object."""
    rng = np.random.default_rng(0)
    n = n_grades // 3
    truth = rng.random(n) < PREVALENCE
    object_of = np.repeat(np.arange(n), 3)
    first = rng.integers(n_graders, size=n)
    grader_of = (first[:, None] + np.arange(3)).ravel() % n_graders
    cumulated = np.cumsum(GRADER_TABLES[1 - truth[object_of].astype(int)], axis=1)
    picked = (rng.random((len(object_of), 1)) > cumulated[:, :-1]).sum(axis=1)
    ids = np.array([f"cluster-{i}" for i in range(n)], dtype=object)
    names = np.array([f"g{g}" for g in range(n_graders)], dtype=object)
    grades = pd.DataFrame({"object_id": ids[object_of], "grader": names[grader_of], "grade": LABELS[picked]})
    begin = time.perf_counter()
    consensus(grades)
    return time.perf_counter() - begin


def lenses_left_table(seeds: Iterable[int] = range(200), n_pool: int = 3000, n_rounds: int = 4) -> pd.DataFrame:
    """Return the coverage of the interval for the number of lenses left, after rounds of the strategy "mix"."""
    seeds = list(seeds)
    lines = []
    for n_lenses in (10, 60, 300):
        found = pd.DataFrame([_search(seed, n_lenses, n_pool, n_rounds) for seed in seeds])
        lines.append(
            {
                "lenses": n_lenses,
                "left": f"{found['left'].mean():.1f}",
                "estimate": f"{found['value'].mean():.1f} +- {found['value'].std() / np.sqrt(len(seeds)):.1f}",
                "interval": f"{found['low'].mean():.1f} to {found['high'].mean():.1f}",
                "coverage": f"{found['left'].between(found['low'], found['high']).mean():.3f}",
            }
        )
    return pd.DataFrame(lines)


def _search(seed: int, n_lenses: int, n_pool: int, n_rounds: int) -> dict[str, float]:
    """Grade queues of 100 without errors; each round ranks by a new score, as after retraining."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n_pool) < n_lenses
    names = np.array([f"o{i}" for i in range(n_pool)])
    items, done = [], np.zeros(0, dtype=int)
    for k in range(n_rounds):
        table = pd.DataFrame({"object_id": names, "score": rng.normal(size=n_pool) + 1.5 * truth})
        made = make_queue(table, graded=names[done], random_state=seed)
        items.append(made.assign(queue_id=f"q{k}"))
        done = np.append(done, made["object_id"].str[1:].astype(int))
    grades = pd.DataFrame({"object_id": names[done], "grader": "g", "grade": np.where(truth[done], "A", "X")})
    estimate = lenses_left(pd.concat(items), grades, pd.Series(truth[done].astype(float), index=names[done]))
    return {"left": n_lenses - truth[done].sum(), **estimate._asdict()}


if __name__ == "__main__":
    print(consensus_table().to_string(index=False))
    print(lenses_left_table().to_string(index=False))
    print(f"consensus of 10^6 grades: {consensus_seconds():.1f} s")
