"""The compact network of the member `convnet` beside the small ResNet: cost on a CPU, and a first small training.

Run ``python benchmarks/convnet.py``: 2,048 simulated scenes of all surveys, three epochs, 1,024 scenes held out. The
table shows that the network learns, and how much processor time of one thread it takes, which says the same on a busy
machine; so few scenes say nothing about how well it finds lenses in the end. Needs ``gridlens[deep]``.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from _scenes import cached_cutouts
from deep import MEASURES
from gridlens_deep import ConvNetMember, ResNetMember

from gridlens.cutouts._surveys import SIMULATED_SURVEYS

COLUMNS = ("network", "parameters", "preparing", "training, one image", "scoring, eight turns", *MEASURES)


def processor_ms(call: Callable[[], object], n: int) -> tuple[object, float]:
    """Return the result of a call, and its processor time for each of `n` images, ms."""
    start = time.process_time()
    result = call()
    return result, 1e3 * (time.process_time() - start) / n


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=2048, help="scenes to learn from")
    parser.add_argument("--epochs", type=int, default=3, help="of each network")
    parser.add_argument("--held-out", type=int, default=1024, help="scenes to test on")
    arguments = parser.parse_args()
    surveys = tuple(SIMULATED_SURVEYS)
    train, test = cached_cutouts(arguments.scenes, 411, surveys), cached_cutouts(arguments.held_out, 413, surveys)
    options = {"epochs": arguments.epochs, "validation_fraction": 0.0, "device": "cpu"}
    members = {
        'convnet("compact")': ConvNetMember("compact", **options),
        'convnet("wide")': ConvNetMember("wide", **options),
        'resnet("10"), 64 px': ResNetMember("10", size=64, pixel_scale=1.0, **options),
        'resnet("10"), 96 px': ResNetMember("10", size=96, pixel_scale=64.0 / 96.0, **options),
    }
    # The kernels of the features compile before the clock starts.
    members['convnet("compact")'].prepare(train.cutouts[:1])
    print(f"{arguments.scenes:,} scenes, {arguments.epochs} epochs, torch {torch.__version__}; processor time in ms\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for name, member in members.items():
        images, preparing = processor_ms(lambda member=member: member.prepare(train.cutouts), len(train.label))
        _, training = processor_ms(
            lambda member=member, images=images: member.fit(images, train.label), arguments.epochs * len(train.label)
        )
        held = member.prepare(test.cutouts)
        p, scoring = processor_ms(lambda member=member, held=held: member.predict_proba(held)[:, 1], len(test.label))
        scored = np.isfinite(p)
        cells = [f"{ms:.1f}" for ms in (preparing, training, scoring)]
        cells += [str(measure(test.label[scored], p[scored])) for measure in MEASURES.values()]
        n_parameters = sum(value.numel() for value in member.network_.parameters())
        print(f"| {name} | {n_parameters:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
