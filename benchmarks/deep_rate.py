"""Cutouts a second from npz shards to a ranked table: models with networks beside the default one, and where time goes.

Run ``python benchmarks/deep_rate.py --model PATH``; needs ``gridlens[onnx]`` or ``gridlens[deep]``, and
``gridlens[explain]`` for the memory. The rate of two processes is that from the first finished part to the last. All
models take turns in one run, so that their ratio says the same on a busy machine. Steps are processor time of one
thread.
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
    """Return the result of a call, and the most MB that this process and its workers hold meanwhile."""
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
    """Print rate and memory of each model, and of each with networks by the fraction that they score."""
    runs = [("default", 1.0), *((model, fraction) for model in models for fraction in fractions)]
    rates: dict[tuple[str, float], list[float]] = {run: [] for run in runs}
    print("| model | screen | round | cutouts per s | of the default's | peak memory, MB |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for k in range(rounds):
            for number, (model, fraction) in enumerate(runs):
                out = Path(folder) / f"{k}-{number}.csv"
                # An older gridlens has no screen, and needs none where all cutouts pass.
                options = {} if fraction == 1.0 else {"screen": fraction}
                (_, rate, _, _), peak = with_memory(
                    partial(measured, "processes", shards, out, workers, models=(model,), **options)
                )
                rates[model, fraction].append(rate)
                ratio = rate / rates["default", 1.0][k]
                print(f"| {model} | {fraction:g} | {k + 1} | {rate:.0f} | {ratio:.2f} | {peak:.0f} |", flush=True)


def print_steps(shard: Path, models: list[str]) -> None:
    """Print the processor time of reading, of measuring, and of each member of the models."""
    source = FileSource([shard])
    parts = [batch.cutouts for part in source.partitions() for batch in source.read(part) if batch.cutouts is not None]
    cutouts = CutoutSet.concatenate(parts)[:160]

    def tell(step: str, call: Callable[[], object], n: int = len(cutouts)) -> None:
        # The best of three, after a first call that compiles and fills caches.
        best = min([processor_ms(call, n)[1] for _ in range(4)][1:])
        print(f"| {step} | {best:.2f} |", flush=True)

    print("\n| step | ms for each cutout |\n|---|---|")
    tell("reading", lambda: [list(source.read(part)) for part in source.partitions()], sum(map(len, parts)))
    tell("measuring", partial(measure, cutouts))
    rows = measure(cutouts)
    for model in ("default", *models):
        detector = load_model(model)
        tell(f"{model}: all that follows measuring", partial(detector.score_rows, rows))
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
    parser.add_argument("--model", action="append", required=True, metavar="PATH", help="beside the default model")
    parser.add_argument("--screen", type=float, nargs="+", default=[1.0], help="fractions that the networks score")
    parser.add_argument("--n", type=int, default=16_000, help="cutouts for each")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        shards = link_shards(Path(name), arguments.n)
        print_rates(shards, arguments.model, arguments.screen, arguments.workers, arguments.rounds)
        print_steps(shards[0], arguments.model)


if __name__ == "__main__":
    main()
