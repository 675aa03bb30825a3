"""Cutouts per second from npz shards to a ranked table, for models with networks and the default one, and by step.

Run ``python benchmarks/deep_rate.py --model PATH``; needs ``gridlens[onnx]`` or ``gridlens[deep]``, and
``gridlens[explain]`` for the memory. The rate of two processes is measured from the first finished partition to the
last. The models take turns, so that the ratio of their rates hardly depends on other load. The steps are given in
processor time of one thread.
"""

import argparse
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from os import getpid
from pathlib import Path

from _shards import link_shards
from _timing import processor_ms
from engines import measured
from gridlens_deep import images_of
from soak import memory_of

from gridlens import CutoutSet, load_model
from gridlens.features import measure
from gridlens.sources import FileSource


def with_memory(call: Callable[[], tuple]) -> tuple[tuple, float]:
    """Return the result of a call and the peak memory of this process and its workers during it, MB."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.3):
            peak[0] = max(peak[0], memory_of(getpid()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        return call(), peak[0]
    finally:
        done.set()
        thread.join()


def print_rates(shards: list[Path], models: list[str], fractions: list[float], workers: int, rounds: int) -> None:
    """Print the rate and the memory of each model; for models with networks, by the fraction that these score."""
    runs = [("default", 1.0), *((model, fraction) for model in models for fraction in fractions)]
    rates: dict[tuple[str, float], list[float]] = {run: [] for run in runs}
    print(
        "| model | screen | round | cutouts per s | ratio to the default | peak memory, MB |\n|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for k in range(rounds):
            for number, (model, fraction) in enumerate(runs):
                out = Path(folder) / f"{k}-{number}.csv"
                # Older versions have no `screen`, which is not needed if all cutouts pass.
                options = {} if fraction == 1.0 else {"screen": fraction}
                (_, rate, _, _), peak = with_memory(
                    partial(measured, "processes", shards, out, workers, models=(model,), **options)
                )
                rates[model, fraction].append(rate)
                ratio = rate / rates["default", 1.0][k]
                print(f"| {model} | {fraction:g} | {k + 1} | {rate:.0f} | {ratio:.2f} | {peak:.0f} |", flush=True)


def print_steps(shard: Path, models: list[str]) -> None:
    """Print the processor time of reading, measuring, and each member of the models."""
    source = FileSource([shard])
    parts = [batch.cutouts for part in source.partitions() for batch in source.read(part) if batch.cutouts is not None]
    cutouts = CutoutSet.concatenate(parts)[:160]

    def tell(step: str, call: Callable[[], object], n: int = len(cutouts)) -> None:
        # The best of three calls, after a first one that compiles and fills the caches.
        best = min([processor_ms(call, n)[1] for _ in range(4)][1:])
        print(f"| {step} | {best:.2f} |", flush=True)

    print("\n| step | ms per cutout |\n|---|---|")
    tell("reading", lambda: [list(source.read(part)) for part in source.partitions()], sum(map(len, parts)))
    tell("measuring", partial(measure, cutouts))
    rows = measure(cutouts)
    for model in ("default", *models):
        detector = load_model(model)
        tell(f"{model}: everything after measuring", partial(detector.score_rows, rows))
        for member in detector.stack_.members_:
            if member.consumes == "features":
                tell(f"{model}: member {member.name}", partial(member.predict_proba, rows.features))
                continue
            tell(f"{model}: images of {member.name}", partial(images_of, cutouts, member.settings.grid))
            images = member.prepare(cutouts)
            for turns in (1, 2, 4, 8):
                member.set_params(turns=turns)
                tell(f"{model}: {member.name}, views: {turns}", partial(member.predict_proba, images))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", action="append", required=True, metavar="PATH", help="model to compare with the default"
    )
    parser.add_argument("--screen", type=float, nargs="+", default=[1.0], help="fractions that the networks score")
    parser.add_argument("--n", type=int, default=16_000, help="cutouts for each model")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        shards = link_shards(Path(name), arguments.n)
        print_rates(shards, arguments.model, arguments.screen, arguments.workers, arguments.rounds)
        print_steps(shards[0], arguments.model)


if __name__ == "__main__":
    main()
