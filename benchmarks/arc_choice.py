"""The choice of the arc candidate of a row: agreement with its full definition, other choices, and its cost.

Run ``python benchmarks/arc_choice.py``; it takes two minutes on two cores.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
from _scenes import cached_rows, usable

from gridlens import load_model
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.detector import _arcs
from gridlens.explain import Explainer
from gridlens.features import best_arc

_SEED = 511
_REPEATS = 5
_ARC = slice(14, 25)


def by_shapley(values: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return the patch of the candidate with the highest sum of Shapley values over all patches that show it."""
    added = values[:, :306].reshape(-1, 9, 34)[:, :, _ARC].sum(axis=2)
    same = (shown[:, :, None] == shown[:, None]).all(axis=-1)
    totals = np.where((shown != 0.0).any(axis=2), (same * added[:, None]).sum(axis=2), -np.inf)
    return totals.argmax(axis=1)


def agreement(shown: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """Return the fraction of rows in which two choices are the same candidate."""
    rows = np.arange(len(shown))
    return float((shown[rows, one] == shown[rows, other]).all(axis=1).mean())


def seconds(work: Callable[[], Any]) -> float:
    """Return the processor time of the fastest of several runs, s."""
    took = []
    for _ in range(_REPEATS):
        begin = time.process_time()
        work()
        took.append(time.process_time() - begin)
    return min(took)


def main() -> None:
    """Print the table of choices and the time of the choice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=600, help="scenes, half of them lenses")
    scenes = usable(cached_rows(parser.parse_args().n, _SEED, SIMULATED_SURVEYS))
    model = load_model()
    X = scenes.features_with(model.metadata)
    score = model.score_rows(scenes.measured)["score"].to_numpy()
    shown = X[:, :306].reshape(-1, 9, 34)[:, :, _ARC]
    choices = {
        "as gridlens chooses": _arcs.decisive_arcs(model.stack_, X, score),
        "the highest sum of Shapley values": by_shapley(Explainer(model).explain(X).values, shown),
        "the highest geometric score": best_arc(X),
    }
    with mock.patch.multiple(_arcs, _LEAST_SCORE=-1.0, _COMPETING=0.0, _unturned=lambda member: member):
        whole = _arcs.decisive_arcs(model.stack_, X, score)
    limits = (_arcs._LEAST_SCORE, 0.5, 0.9)
    print("Agreement with the full definition: the candidate, of all, whose removal lowers the score most.\n")
    print(f"| choice | {' | '.join(f'score > {limit:g} ({(score > limit).sum()} rows)' for limit in limits)} |")
    print(f"|---|{'---|' * len(limits)}")
    for name, choice in choices.items():
        found = [agreement(shown[score > low], choice[score > low], whole[score > low]) for low in limits]
        print(f"| {name} | {' | '.join(f'{100 * value:.0f} %' for value in found)} |")
    print(
        "\n| rows | scored above the limit | scoring without the choice, ms per row | added by the choice, ms per row |"
    )
    print("|---|---|---|---|")
    for name, rows in (("half of them lenses", score > -1.0), ("without lenses", scenes.label == 0)):
        part, own = scenes.measured[rows], score[rows]
        added = seconds(lambda part=part, own=own: _arcs.decisive_arcs(model.stack_, part.features, own))
        took = seconds(lambda part=part: model.score_rows(part)) - added
        above = f"{100 * (own > limits[0]).mean():.0f} %"
        print(f"| {name} | {above} | {1e3 * took / len(own):.3f} | {1e3 * added / len(own):.3f} |")


if __name__ == "__main__":
    main()
