"""Gain on other skies from randomised training scenes, by the ingredients that are randomised.

Run ``python benchmarks/randomisation.py``. The compact network is trained on the same number of scenes of the same
seed, which differ only in the ingredients that are randomised. The tables have the form of those of
``architectures.py`` and share its cache. Needs ``gridlens[deep]``.
"""

import argparse
from pathlib import Path

from _arch_runs import TWO_VIEWS, Run, cached_score
from architectures import TRAIN_SEED, USUAL_SIZE, Row, averaged, print_tables, scene_pictures, tests_of
from other_skies import HERE

from gridlens.simulate import RANDOMISED

GALAXIES = ("galaxies", "sources", "impostors")
# Randomised ingredients, and the fraction of the scenes in which they are randomised, by the name of the row.
VARIANTS = {
    "none": ((), 0.0),
    "all, in half of the scenes": (RANDOMISED, 0.5),
    "all, in all scenes": (RANDOMISED, 1.0),
    "the sky and the telescope, in half": (tuple(name for name in RANDOMISED if name not in GALAXIES), 0.5),
    "galaxies, sources and impostors, in half": (GALAXIES, 0.5),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=4096, help="training scenes")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--held-out", type=int, default=1536, help="canonical test scenes")
    parser.add_argument("--jobs", type=int, default=1, help="processes of the simulation and threads of the networks")
    parser.add_argument(
        "--real", type=Path, default=HERE.parents[1] / "shared" / "data", help="folder with the real images"
    )
    arguments = parser.parse_args()
    tests = tests_of(arguments, USUAL_SIZE)
    run, rows = Run(scenes=arguments.scenes, epochs=arguments.epochs), []
    for name, (ingredients, fraction) in VARIANTS.items():
        train = scene_pictures(
            run.scenes, TRAIN_SEED, USUAL_SIZE, ingredients, arguments.jobs, randomised_fraction=fraction
        )
        rows.append(Row(name, (), [averaged(cached_score(run, train, tests, TWO_VIEWS, arguments.jobs))]))
    print_tables("Randomised ingredients", (), rows, tests)


if __name__ == "__main__":
    main()
