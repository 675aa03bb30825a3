"""Two hundred thousand cutouts from shards to a ranked table: rate and memory, and whether they stay constant.

Run ``python benchmarks/soak.py --draw docs/soak.png``. It starts `gridlens score` as a user would, and monitors its
processes and the parts that it finishes. The cutouts are a few thousand simulated ones under different ids, so after
the first round they are read from memory and not from disk. Needs ``gridlens[explain,dask]``.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pyarrow.parquet as pq
from _shards import DISTINCT, SHARD, link_shards, single_model
from joblib import effective_n_jobs

from gridlens.engine._output import parts_folder

_EVERY = 2.0  # s
# Assumed rate of one core among many, relative to a single core: memory and disk are shared.
_EFFICIENCY = 0.9
_WORKER_GB = 0.4
_PIXEL_BYTES, _FEATURE_BYTES = 128 * 128 * 3 * 4, 315 * 4


class Soak(NamedTuple):
    """Samples of a run, every two seconds."""

    name: str
    seconds: np.ndarray
    rows: np.ndarray
    memory: np.ndarray
    """MB of all processes, with shared memory counted once"""
    total: float
    """s, from the command to its end"""
    ranking: float
    """s of the total after the last part"""


def soak(name: str, model: str, shards: Path, out: Path, jobs: int) -> Soak:
    """Score the shards with the command in a separate process, and sample its progress and memory."""
    command = [sys.executable, "-m", "gridlens", "score", str(shards), "--model", model, "--out", str(out)]
    begin = time.perf_counter()
    process = subprocess.Popen([*command, "--jobs", str(jobs)], stderr=subprocess.PIPE, text=True)
    seen, known = [], {}
    last = 0.0
    while process.poll() is None:
        for path in parts_folder(out).glob("part-*.parquet"):
            if path not in known:
                try:
                    known[path] = pq.read_metadata(path).num_rows
                    last = time.perf_counter() - begin
                except (OSError, ValueError):
                    pass  # The file has been removed meanwhile.
        seen.append((time.perf_counter() - begin, sum(known.values()), memory_of(process.pid)))
        time.sleep(_EVERY)
    total = time.perf_counter() - begin
    if process.returncode:
        raise SystemExit(process.stderr.read())
    print(process.stderr.read().strip().splitlines()[-1], flush=True)
    return Soak(name, *np.array(seen).T, total, total - last)


def memory_of(pid: int) -> float:
    """Return the memory of a process and its descendants, MB."""
    total = 0.0
    try:
        main = psutil.Process(pid)
        for process in (main, *main.children(recursive=True)):
            try:
                total += process.memory_full_info().pss / 1e6
            except (psutil.Error, FileNotFoundError):
                continue
    except psutil.Error:
        pass
    return total


def busy_rate(run: Soak, n: int) -> float:
    """Return the cutouts per second from the first sample with a finished part to the last unfinished one, or NaN."""
    busy = (run.rows > 0) & (run.rows < n)
    return rate_of(run.seconds[busy], run.rows[busy])


def rate_of(seconds: np.ndarray, rows: np.ndarray) -> float:
    """Return the rows per second from the first sample to the last; NaN for fewer than two samples."""
    return (rows[-1] - rows[0]) / (seconds[-1] - seconds[0]) if len(rows) > 1 else float("nan")


def tell(run: Soak, n: int) -> None:
    """Print a row of the table, with "nan" for figures that need a longer run."""
    busy = np.flatnonzero((run.rows > 0) & (run.rows < n))
    quarters = np.array_split(busy, 4)
    rates = [rate_of(run.seconds[part], run.rows[part]) for part in quarters]
    memory = [run.memory[part].mean() if len(part) else float("nan") for part in quarters]
    print(
        f"| {run.name} | {n:,} | {run.total:.0f} | {n / run.total:.0f} | {busy_rate(run, n):.0f} | "
        f"{', '.join(f'{value:.0f}' for value in rates)} | {run.memory.max():.0f} | "
        f"{', '.join(f'{value:.0f}' for value in memory)} | {run.ranking:.0f} |",
        flush=True,
    )


def project(run: Soak, n: int, workers: int, cores: int, price: float, table_bytes: float) -> None:
    """Print a projection to more cutouts and the assumptions behind it."""
    rate = busy_rate(run, n)
    if not rate > 0.0:
        print(f"\n{n:,} cutouts are too few for a projection.")
        return
    each, rank = rate / workers, run.ranking / n
    there = _EFFICIENCY * each * cores
    print(
        f"\nOne worker: {each:.0f} cutouts per second. {cores} cores: {each:.0f} x {cores} x {_EFFICIENCY} = "
        f"{there:.0f}. Ranking and writing, one core: {1e6 * rank:.0f} s per million. A worker takes {_WORKER_GB} GB, "
        f"a cutout of 128 px {_PIXEL_BYTES / 1e3:.0f} kB, its features {_FEATURE_BYTES / 1e3:.1f} kB, its row of the "
        f"table {table_bytes:.0f} bytes. The machine costs {price:g} per hour.\n"
    )
    print(
        f"| cutouts | hours, {workers} cores | hours, {cores} cores | cost, {cores} cores | cost per million | "
        f"memory, {cores} workers, GB | pixels, TB | features, GB | table, GB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for power in (6, 7, 8):
        many = 10.0**power
        small, large = (many * (1 / speed + rank) / 3600 for speed in (rate, there))
        print(
            f"| 10^{power} | {small:.2g} | {large:.2g} | {large * price:.2g} | {large * price * 1e6 / many:.2g} | "
            f"{1 + _WORKER_GB * cores:.0f} | {many * _PIXEL_BYTES / 1e12:.2g} | {many * _FEATURE_BYTES / 1e9:.2g} | "
            f"{many * table_bytes / 1e9:.2g} |",
            flush=True,
        )


def draw(runs: list[Soak], path: Path) -> None:
    """Draw the rate and the memory over time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 5.5), layout="constrained")
    for run in runs:
        # Average over half a minute, because parts finish in bursts.
        step = min(max(1, round(30 / _EVERY)), len(run.seconds) - 1)
        seconds = run.seconds[step:]
        rate = (run.rows[step:] - run.rows[:-step]) / (run.seconds[step:] - run.seconds[:-step])
        above.plot(seconds / 60, rate, label=run.name)
        below.plot(run.seconds / 60, run.memory / 1000, label=run.name)
    above.set(ylabel="cutouts per second", ylim=(0, None))
    above.legend(frameon=False)
    below.axhline(1.5, color="0.6", linestyle=":", linewidth=1)
    below.set(xlabel="minutes", ylabel="memory of all processes [GB]", ylim=(0, None))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Print the tables and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=200_000, help="cutouts")
    parser.add_argument("--single", type=int, default=200_000, help="cutouts for the model of a single member")
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--cores", type=int, default=32, help="cores of the machine in the projection")
    parser.add_argument("--price", type=float, default=1.5, help="price of one hour on this machine")
    parser.add_argument("--folder", type=Path, help="folder for a temporary folder with the shards and tables")
    parser.add_argument("--draw", type=Path, metavar="PNG")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        shards = link_shards(folder, max(arguments.n, arguments.single))
        print(f"{DISTINCT:,} distinct cutouts of 128 px under different ids, {len(shards)} npz shards")
        runs: list[Soak] = []
        counts: list[int] = []
        for title, model, n in (
            ("default stack", "default", arguments.n),
            ("single LightGBM model", str(single_model(folder)), arguments.single),
        ):
            for path in shards[-(-n // SHARD) :]:
                path.unlink(missing_ok=True)
            n = SHARD * len(list((folder / "shards").iterdir()))
            runs.append(soak(title, model, folder / "shards", folder / f"{len(runs)}.parquet", arguments.jobs))
            if len(runs) == 1:
                print(
                    "\n| model | cutouts | s in all | per s, in all | per s, after the start | per s, by quarter | "
                    "peak memory, MB | by quarter, MB | s to rank and write |"
                )
                print("|---|---|---|---|---|---|---|---|---|")
            tell(runs[-1], n)
            counts.append(n)
        table_bytes = (folder / "0.parquet").stat().st_size / counts[0]
        project(
            runs[0], counts[0], int(effective_n_jobs(arguments.jobs)), arguments.cores, arguments.price, table_bytes
        )
    if arguments.draw is not None:
        draw(runs, arguments.draw)


if __name__ == "__main__":
    main()
