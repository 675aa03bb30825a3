"""Measure grading: weights, consensus, the store, and the gain from rounds of grading and retraining.

Run ``python benchmarks/grading.py``, or select parts with ``--part``: `weights`, `consensus`, `store`, `loop` (one
round of 200 grades) and `replay` (four rounds of 100 by strategy, with a plot). The pools of the last two are 20,000
simulated cutouts, one in a hundred with a lens. They are measured once and cached in ``benchmarks/.cache``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from _grading_consensus import consensus_seconds, consensus_table, lenses_left_table
from _grading_store import store_table
from _grading_weights import weights_table
from _spirals import nearby_spirals

import gridlens.training._replay as replay
from gridlens._progress import progress_bar
from gridlens.features import FeatureCacheWriter, Measured, measure
from gridlens.reports._replay import draw_replay
from gridlens.sources import open_source
from gridlens.training._graded_old import OldRows
from gridlens.training._replay import WITHOUT, measured_pool, replay_grading
from gridlens.training._scenes import measured_scenes

HERE = Path(__file__).parent
PARTS = ("weights", "consensus", "store", "loop", "replay")
N, N_SPIRALS, SEED, SPIRAL_SEED, PREVALENCE = 20_000, 400, 2603, 2610, 0.01
POOLS = {
    "spirals": "realistic scenes, 2 % of the pool replaced by nearby spirals",
    "plain": "realistic scenes",
}


def pool(name: str, jobs: int) -> tuple[Path, dict[str, int]]:
    """Return a feature cache of 20,000 simulated cutouts and their truth by id."""
    cache, truth = (HERE / ".cache" / f"grading-{name}.{kind}" for kind in ("parquet", "csv"))
    if not truth.exists():
        cache.parent.mkdir(exist_ok=True)
        rows: list[Measured] = []
        told: list[dict[str, object]] = []
        n = N - N_SPIRALS if name == "spirals" else N
        options = {"canonical": True, "lens_fraction": PREVALENCE, "realistic_fraction": 1.0, "n_jobs": jobs}
        with progress_bar(f"Simulating the pool {name}", n) as advance:
            for measured, scenes in measured_scenes(n, SEED, **options):
                rows.append(measured)
                told += scenes
                advance(len(measured))
        label = [int(scene["label"]) for scene in told]
        if name == "spirals":
            rows.append(measure(nearby_spirals(N_SPIRALS, SPIRAL_SEED)).without_cutouts())
            label += [0] * N_SPIRALS
        whole = Measured.concatenate(rows)
        cache.unlink(missing_ok=True)
        with FeatureCacheWriter(cache, f"simulated pool {name}") as writer:
            writer.add(whole)
        pd.DataFrame({"id": whole.ids, "label": label}).to_csv(truth, index=False)
    table = pd.read_csv(truth, dtype={"id": str})
    return cache, dict(zip(table["id"], table["label"].tolist(), strict=True))


def share_scenes(folder: Path) -> None:
    """Make all replays share the simulated training scenes that are added to the grades."""
    made: dict[str, OldRows] = {}
    simulated = replay.old_rows

    def shared(labelled: object, known: object, old: object, on: str, _: Path, **options: object) -> OldRows:
        if on not in made:
            (folder / on).mkdir()
            made[on] = simulated(labelled, known, old, on, folder / on, **options)
        return made[on]

    replay.old_rows = shared


def replayed(name: str, jobs: int, **options: object) -> pd.DataFrame:
    """Return the table of a replay on a pool."""
    cache, truth = pool(name, jobs)
    source = open_source(cache)
    rows = measured_pool(source, n_jobs=1, progress=lambda count: None)
    with progress_bar(f"Replaying on the pool {name}", None) as advance:
        return replay_grading(rows, truth, source, n_jobs=jobs, progress=advance, **options)


def loop_table(jobs: int, seeds: int = 1) -> pd.DataFrame:
    """Return the effect of one round of 200 grades by one grader on the remaining objects."""
    lines = []
    for name, what in POOLS.items():
        for seed in range(seeds):
            options = {"strategies": ["mix"], "batch": 200, "rounds": 1, "graders": 1, "random_state": seed}
            table = replayed(name, jobs, **options)
            row = table[(table["strategy"] == "mix") & (table["round"] == 1)].iloc[0]
            lines.append(
                {
                    "pool": what,
                    "seed": seed,
                    "lenses found": int(row["lenses_found"]),
                    "recall in the next 200, retrained": row["recall_next"],
                    "not retrained": row["recall_next_old"],
                    "difference": row["recall_next"] - row["recall_next_old"],
                    "calibration error, retrained": row["calibration_error"],
                    "not retrained ": row["calibration_error_old"],
                    "accepted": row["accepted"],
                }
            )
    return pd.DataFrame(lines)


def shown(table: pd.DataFrame) -> str:
    """Format a table as text."""
    return table.to_string(index=False, float_format=lambda value: f"{value:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="can be repeated; all by default")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the queues and graders in the part loop")
    parser.add_argument("--out", type=Path, default=None, help="folder for the plot of the replay")
    chosen = parser.parse_args()
    parts = chosen.part or PARTS
    if "weights" in parts:
        weights_table()
    if "consensus" in parts:
        print("Consensus of three graders, 200 draws", shown(consensus_table()), sep="\n")
        print(f"A million grades: {consensus_seconds():.1f} s", "\nLenses left", shown(lenses_left_table()), sep="\n")
    if "store" in parts:
        print("\nA book of a million grades", store_table(), sep="\n")
    scenes = tempfile.TemporaryDirectory()
    share_scenes(Path(scenes.name))
    if "loop" in parts:
        print("\nOne loop of 200 grades", shown(loop_table(chosen.jobs, chosen.seeds)), sep="\n")
    if "replay" in parts:
        table = replayed("spirals", chosen.jobs)
        print("\nFour rounds of 100 objects, two graders", shown(table), sep="\n")
        folder = chosen.out or Path(tempfile.mkdtemp())
        draw_replay(table, folder / "replay.png")
        table.to_csv(folder / "replay.csv", index=False)
        first = table[table["strategy"] == WITHOUT]
        print(f"plot in {folder}; without retraining, {np.max(first['recall']):.3f} of the lenses are found")


if __name__ == "__main__":
    main()
