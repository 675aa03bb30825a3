"""Threads, processes and Dask workers on the same shards: cutouts per second, and whether the tables agree.

Run ``python benchmarks/engines.py``; needs ``gridlens[dask]``. Each engine has two workers. The rate is measured from
the first finished partition to the last, without the seconds in which the workers load their libraries; these are
given separately.
"""

import argparse
import hashlib
import tempfile
import time
from pathlib import Path
from typing import Any

from _shards import link_shards

from gridlens.engine import _output as output
from gridlens.engine import score_files
from gridlens.sources import FileSource

ENGINES = ("threads", "processes", "dask")


def measured(
    engine: str, shards: list[Path], out: Path, workers: int, **options: Any
) -> tuple[float, float, float, str]:
    """Return the seconds to the first part, the rate after it, the seconds to rank and write, and a digest.

    The rate is in cutouts per second, and the digest is that of the table. `options` are passed to `score_files`.
    """
    times: list[tuple[float, int]] = []
    # Threads are normally used for small inputs only; here they score all cutouts.
    output._PROCESSES_FROM = 10**9 if engine == "threads" else 0
    begin = time.perf_counter()
    score_files(
        FileSource(shards),
        out,
        engine="dask" if engine == "dask" else "local",
        n_jobs=workers,
        **options,
        progress=lambda rows: times.append((time.perf_counter() - begin, rows)),
    )
    end = time.perf_counter() - begin
    (first, rows), last = times[0], times[-1][0]
    rate = (sum(n for _, n in times) - rows) / (last - first)
    return first, rate, end - last, hashlib.sha256(out.read_bytes()).hexdigest()[:12]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=16_000, help="cutouts for each engine")
    parser.add_argument("--rounds", type=int, default=2, help="rounds over all engines, one after the other")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    arguments = parser.parse_args()
    rates: dict[str, list[float]] = {engine: [] for engine in arguments.engines}
    print("| engine | round | s to the first part | cutouts per s | s to rank and write | table |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        shards = link_shards(Path(name), arguments.n)
        for k in range(arguments.rounds):
            for engine, found in rates.items():
                out = Path(name) / f"{engine}-{k}.csv"
                first, rate, rest, digest = measured(engine, shards, out, arguments.workers)
                found.append(rate)
                print(f"| {engine} | {k + 1} | {first:.1f} | {rate:.0f} | {rest:.1f} | {digest} |", flush=True)
    best = {engine: max(found) for engine, found in rates.items()}
    if "processes" in best:
        of = ", ".join(f"{engine} {rate / best['processes']:.2f}" for engine, rate in best.items())
        print(f"\nbest of {arguments.rounds} rounds, relative to processes: {of}")


if __name__ == "__main__":
    main()
