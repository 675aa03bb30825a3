"""Training trees on more rows than fit comfortably in memory: peak memory, time and AUROC of each method.

python benchmarks/training.py [--rows 20000 60000] [--trees 200] [--ways array sequence ...]

The trees are trained on each row in its eight turns, as in the member `lightgbm`. The rows are random numbers, not
simulated cutouts: a lens shifts four features of one of the nine patches, so the best possible AUROC is known. They are
in a memory-mapped file. The memory is the sum of the anonymous pages of all processes, sampled twenty times per
second, because pages of a mapped file can be dropped at any time. Needs Linux; the method `dask` needs distributed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from gridlens.features import FEATURE_NAMES, dihedral
from gridlens.features._contract import N_PATCHES
from gridlens.members import LightGBMMember, _trees

N_HELD, BLOCK, SHIFT = 20_000, 5_000, 1.2
TELLING = ("arcness", "elongation", "tangentiality", "arc_snr")
WAYS = {
    "copies": "eight copies, concatenated to one array (two arrays at the peak)",
    "array": "eight copies in one array",
    "sequence": "lightgbm.Sequence, bins from 200,000 rows",
    "sequence-50k": "lightgbm.Sequence, bins from 50,000 rows",
    "dask": "lightgbm.dask, two workers of one thread",
}


def draw(path: Path, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Write features (n, 315) to `path`; return the labels and the best possible score."""
    rng = np.random.default_rng(seed)
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n, len(FEATURE_NAMES)))
    columns = np.array([[FEATURE_NAMES.index(f"patch{k}_{name}") for name in TELLING] for k in range(N_PATCHES)])
    labels, best = [], []
    for start in range(0, n, BLOCK):
        rows = min(BLOCK, n - start)
        X = rng.normal(size=(rows, len(FEATURE_NAMES))).astype(np.float32)
        y, patch = rng.integers(0, 2, rows), rng.integers(0, N_PATCHES, rows)
        X[np.arange(rows)[:, None], columns[patch]] += SHIFT * y[:, None]
        # The log of the likelihood ratio, which is a mean over the patches because the shifted one is unknown.
        ratios = (SHIFT * X[:, columns].astype(np.float64) - SHIFT**2 / 2).sum(axis=2)
        best.append(np.log(np.exp(ratios).mean(axis=1)))
        labels.append(y)
        out[start : start + rows] = X
    out.flush()
    return np.concatenate(labels), np.concatenate(best)


def grow(way: str, X: np.ndarray, y: np.ndarray, member: LightGBMMember) -> None:
    """Fit the member on the eight turns of `X`."""
    labels = np.tile(y, 8)
    if way == "dask":
        booster = grow_dask(X, y, member._lightgbm_parameters(), member.n_estimators)
        member._keep(booster.model_to_string().encode())
    elif way == "copies":
        member._grow(np.concatenate(list(dihedral(X))), labels, None)
    elif way == "array":
        member._grow(dihedral(X).reshape(-1, X.shape[1]), labels, None)
    else:
        # The member uses this method above 50,000 rows. The number of rows for the bins is varied as well.
        from gridlens.members._turned_rows import TurnedRows

        _trees._BIN_ROWS = 50_000 if way == "sequence-50k" else 200_000
        member._grow(TurnedRows(X, 8), labels, None)


def grow_dask(X: np.ndarray, labels: np.ndarray, settings: dict[str, object], n_estimators: int) -> Any:
    """Fit with LightGBM's estimator for Dask, where each worker turns its part of the rows."""
    import dask.array as da
    from dask.distributed import Client, LocalCluster
    from lightgbm.dask import DaskLGBMClassifier

    n, path = len(X), X.filename
    ranges = [(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]

    def turned_rows(start: int, stop: int) -> np.ndarray:
        return dihedral(np.load(path, mmap_mode="r")[start:stop]).reshape(-1, len(FEATURE_NAMES))

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        import dask

        rows = da.concatenate(
            [
                da.from_delayed(dask.delayed(turned_rows)(a, b), (8 * (b - a), len(FEATURE_NAMES)), np.float32)
                for a, b in ranges
            ]
        )
        y = np.concatenate([np.tile(labels[a:b], 8) for a, b in ranges])
        kept = {key: value for key, value in settings.items() if key not in ("objective", "num_threads")}
        model = DaskLGBMClassifier(client=client, n_estimators=n_estimators, **kept)
        model.fit(rows, da.from_array(y, chunks=(tuple(8 * (b - a) for a, b in ranges),)))
        return model.booster_


def run(way: str, folder: Path, trees: int) -> None:
    """Fit and score in this process, and print the results as JSON."""
    member = LightGBMMember(n_estimators=trees)
    X, y = np.load(folder / "train.npy", mmap_mode="r"), np.load(folder / "train_y.npy")
    start = time.perf_counter()
    grow(way, X, y, member)
    seconds = time.perf_counter() - start
    member.classes_ = np.array([0, 1])
    score = member.predict_proba(np.load(folder / "held.npy", mmap_mode="r"))[:, 1]
    trees_text = member.booster().model_to_string().split("parameters:")[0]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "auroc": roc_auc_score(np.load(folder / "held_y.npy"), score),
                "trees": hash(trees_text),
            }
        )
    )


def own_memory(pid: int) -> int:
    """Return the bytes of anonymous memory of a process and its descendants."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1]) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(own_memory(int(child)) for child in (task / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


def measured(way: str, folder: Path, trees: int) -> dict[str, float]:
    """Return the results of one method, run in a separate process, with its peak memory."""
    command = [sys.executable, __file__, "--run", way, str(folder), "--trees", str(trees)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONHASHSEED": "0"})
    peak = 0
    while process.poll() is None:
        peak = max(peak, own_memory(process.pid))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"The method '{way}' failed.")
    assert process.stdout is not None
    return json.loads(process.stdout.read().splitlines()[-1]) | {"peak": peak}


def main() -> None:
    """Print a table for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 60_000])
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--run", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.run[0], Path(arguments.run[1]), arguments.trees)
        return
    for n in arguments.rows:
        with tempfile.TemporaryDirectory(prefix="gridlens-training-") as name:
            folder = Path(name)
            held, best = draw(folder / "held.npy", N_HELD, 1)
            np.save(folder / "held_y.npy", held)
            np.save(folder / "train_y.npy", draw(folder / "train.npy", n, 2)[0])
            size = n * len(FEATURE_NAMES) * 4 / 2**20
            print(
                f"\n{n:,} rows in eight turns, {arguments.trees} trees; one copy of the rows is {size:.0f} MiB; the "
                f"best possible AUROC is {roc_auc_score(held, best):.4f}\n"
            )
            print("| method | peak memory [MiB] | seconds | AUROC, held out | trees |\n|---|---|---|---|---|")
            for way in arguments.ways:
                found = measured(way, folder, arguments.trees)
                figures = f"{found['peak'] / 2**20:.0f} | {found['seconds']:.0f} | {found['auroc']:.4f}"
                print(
                    f"| {WAYS[way]} | {figures} | {found['trees'] % 10000:04d} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
