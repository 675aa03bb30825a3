"""The compact network of the member `convnet` beside the small ResNet: rates on a CPU, and a first small training.

Run ``python benchmarks/convnet.py``: 2,048 simulated scenes of all surveys, three epochs, 1,024 scenes held out. The
table shows that the network learns and how fast it is; so few scenes say nothing about how well it finds lenses in the
end. Needs ``gridlens[deep]``.
"""

import argparse

import numpy as np
import torch
from _scenes import cached_cutouts
from deep import MEASURES, processor_ms, seconds_for
from gridlens_deep import ConvNetMember, ResNetMember

from gridlens.cutouts._surveys import SIMULATED_SURVEYS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=2048, help="scenes to learn from")
    parser.add_argument("--epochs", type=int, default=3, help="of each network")
    parser.add_argument("--held-out", type=int, default=1024, help="scenes to test on")
    parser.add_argument("--jobs", type=int, default=2, help="threads")
    arguments = parser.parse_args()
    surveys = tuple(SIMULATED_SURVEYS)
    train, test = cached_cutouts(arguments.scenes, 411, surveys), cached_cutouts(arguments.held_out, 413, surveys)
    options = {"epochs": arguments.epochs, "n_jobs": arguments.jobs, "validation_fraction": 0.0, "device": "cpu"}
    members = {
        "convnet compact": ConvNetMember("compact", **options),
        "convnet wide": ConvNetMember("wide", **options),
        "resnet 10": ResNetMember("10", size=64, pixel_scale=1.0, **options),
    }
    print(
        f"{len(train.label):,} scenes, {arguments.epochs} epochs, {arguments.jobs} threads, torch {torch.__version__}"
    )
    head = ("network", "parameters", "prepared images/s", "training, images/s", "scoring in eight turns, images/s")
    print(f"\n| {' | '.join((*head, 'one thread, processor ms a cutout', *MEASURES))} |\n|" + "---|" * 8, flush=True)
    for name, member in members.items():
        images, preparing = seconds_for(lambda member=member: member.prepare(train.cutouts))
        _, fitting = seconds_for(lambda member=member, images=images: member.fit(images, train.label))
        p, scoring = seconds_for(lambda member=member: member.predict_proba(test.cutouts)[:, 1])
        scored = np.isfinite(p)
        rates = (len(images) / preparing, arguments.epochs * len(images) / fitting, len(p) / scoring)
        cells = [f"{rate:.0f}" for rate in rates] + [f"{processor_ms(member, test):.1f}"]
        cells += [str(measure(test.label[scored], p[scored])) for measure in MEASURES.values()]
        n_parameters = sum(value.numel() for value in member.network_.parameters())
        print(f"| {name} | {n_parameters:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
