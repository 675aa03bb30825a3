"""Comparison of networks, inputs and numbers of training scenes, on other skies and on held-out scenes.

Run ``python benchmarks/architectures.py --scenes 8192 --epochs 8 --part architectures``; the other parts are inputs
(channels and views), pixels, scaling and self-supervision, and ``--part`` can be repeated. Except in the part scaling,
all networks of a table are trained on the same randomised scenes, for the same number of steps, in the regime of the
member `convnet`. The tables show the AUROC and the completeness at a false positive rate of 0.01 on the sets (a), (b)
and (c) of ``_other_skies.py`` and on canonical scenes of another seed that are not randomised, with the paired
difference from the first row. Intervals are 95 %, from a bootstrap over groups. Scores are means over two views, the
image and its mirror image, unless a row says otherwise. They are cached in ``benchmarks/.cache/``, so an interrupted
run continues with the next training. Needs ``gridlens[deep]``.

On an H200, ``python benchmarks/architectures.py --gpu --part architectures --jobs 16`` also trains ResNet-18 and
ViT-S/16, which cost twelve and twenty times as much as the compact network. It is meant to finish within eight
minutes, which has not been measured.
"""

import argparse
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from _arch_images import Inputs, Pictures, cutout_pictures, scene_pictures
from _arch_networks import LARGE, NETWORKS
from _arch_pairs import N_LABELS, few_label_scores
from _arch_runs import ALL_VIEWS, TWO_VIEWS, Run, Score, Test, cached_score
from other_skies import HERE, METRICS, PRESETS, Values, all_sets, cell, mean, measured

from gridlens.simulate._randomised import RANDOMISED

TRAIN_SEED, HELD_SEED = 1, 901
HELD_OUT = "held out"
VIEWS = {"one view": (0,), "the image and a quarter turn": (0, 1), "four turns": (0, 1, 2, 3), "eight views": ALL_VIEWS}
USUAL_SIZE, SIZES = (96,), (96, 64, 128)


@dataclass(frozen=True)
class Row:
    """A row of a table: all trainings of one variant."""

    name: str
    cells: tuple[str, ...]
    """cells of the columns before the metrics"""
    log_odds: list[tuple[np.ndarray, ...]] = field(repr=False)
    """for each training, (n,) of each test"""


def tests_of(arguments: argparse.Namespace, sizes: tuple[int, ...]) -> list[Test]:
    """Return the held-out scenes and the sets (a), (b) and (c), with images in the given sizes."""
    held = scene_pictures(arguments.held_out, HELD_SEED, sizes, n_jobs=arguments.jobs)
    tests = [Test(HELD_OUT, held.label, np.arange(len(held.label)).astype(str), held)]
    for letter, skies in all_sets(arguments.real, list(PRESETS)).items():
        for sky in skies if letter != "(d)" else []:
            (cutouts,) = sky.cutouts
            pictures = cutout_pictures(cutouts, sky.label, sky.truth["arc_snr"].to_numpy(), sizes, arguments.jobs)
            tests.append(Test(letter, sky.label, sky.groups, pictures))
    return tests


def averaged(score: Score, views: tuple[int, ...] = TWO_VIEWS) -> tuple[np.ndarray, ...]:
    """Return the log-odds of each test, averaged over `views`; the scores must be in all views or in these."""
    columns = [list(views) if values.shape[1] == len(ALL_VIEWS) else slice(None) for values in score.log_odds]
    return tuple(values[:, chosen].mean(axis=1) for values, chosen in zip(score.log_odds, columns, strict=True))


def measured_rows(rows: list[Row], tests: list[Test]) -> dict[str, Values]:
    """Return the metrics of each row by set, averaged over its trainings; all rows share the bootstrap draws."""
    sets: dict[str, list[Values]] = {}
    for number, test in enumerate(tests):
        scores = [values[number] for row in rows for values in row.log_odds]
        found = measured(test, scores, number)
        trainings = np.cumsum([0, *(len(row.log_odds) for row in rows)])
        every = {
            name: np.stack([values[a:b].mean(axis=0) for a, b in pairwise(trainings)]) for name, values in found.items()
        }
        sets.setdefault(test.letter, []).append(every)
    means = {letter: mean(parts) for letter, parts in sets.items()}
    others = [values for letter, values in means.items() if letter != HELD_OUT]
    return means | {f"mean of {', '.join(letter for letter in means if letter != HELD_OUT)}": mean(others)}


def print_tables(title: str, columns: tuple[str, ...], rows: list[Row], tests: list[Test]) -> None:
    """Print a table for each metric, with values and differences from the first row."""
    sets = measured_rows(rows, tests)
    for metric in METRICS:
        print(f"\n### {title}: {metric}\n")
        print(f"| {' | '.join(['', *columns, *sets])} |\n|" + "---|" * (1 + len(columns) + len(sets)))
        for number, row in enumerate(rows):
            cells = []
            for values in (found[metric] for found in sets.values()):
                gain = cell(values[number] - values[0], "+") if number else ""
                cells.append(f"{values[number, 0]:.3f}; {gain}" if number else cell(values[0]))
            print(f"| {' | '.join([row.name, *row.cells, *cells])} |", flush=True)


def architectures(arguments: argparse.Namespace, tests: list[Test]) -> None:
    """Print the comparison of the networks, with the compact one also in all views."""
    rows = []
    for network in (*NETWORKS, *(LARGE if arguments.gpu else ())):
        scores = trained(arguments, tests, USUAL_SIZE, network=network)
        cells = (f"{scores[0].n_parameters:,}", f"{np.mean([score.ms for score in scores]):.1f}")
        rows.append(Row(network, cells, [averaged(score) for score in scores]))
        if network == NETWORKS[0]:
            rows.append(Row(f"{network}, eight views", cells, [averaged(score, ALL_VIEWS) for score in scores]))
    print_tables("Architectures", ("parameters", "training, ms per image"), rows, tests)


def inputs(arguments: argparse.Namespace, tests: list[Test]) -> None:
    """Print the effect of other channels on a network, and of other views on the compact network."""
    network = arguments.network
    variants = {
        network: Inputs(),
        "without the blue map": Inputs(blue_map=False),
        "with BCG-subtracted bands": Inputs(subtracted=True),
    }
    found = {
        name: trained(arguments, tests, USUAL_SIZE, network=network, inputs=chosen) for name, chosen in variants.items()
    }
    rows = [Row(name, (), [averaged(score) for score in scores]) for name, scores in found.items()]
    if network == Run().network:
        rows += [Row(name, (), [averaged(score, some) for score in found[network]]) for name, some in VIEWS.items()]
    print_tables("Channels and views", (), rows, tests)


def pixels(arguments: argparse.Namespace, tests: list[Test]) -> None:
    """Print the effect of fewer and more pixels in the same field on the compact network."""
    rows = []
    for size in SIZES:
        scores = trained(arguments, tests, SIZES, inputs=Inputs(size=size))
        ms = f"{np.mean([score.ms for score in scores]):.1f}"
        rows.append(Row(f"{size} px", (ms,), [averaged(score) for score in scores]))
    print_tables("Pixels per 64 arcsec", ("training, ms per image",), rows, tests)


def scaling(arguments: argparse.Namespace, tests: list[Test]) -> None:
    """Print the compact network by the number of training scenes, for the same number of epochs."""
    rows = []
    numbers = [arguments.scenes]
    while numbers[-1] * 2 <= arguments.most_scenes:
        numbers.append(numbers[-1] * 2)
    for scenes in (numbers[0], numbers[0] // 2, *numbers[1:]):
        scores = trained(arguments, tests, USUAL_SIZE, scenes=scenes)
        steps = arguments.epochs * -(-scenes // Run().settings.batch_size)
        rows.append(Row(f"{scenes:,} scenes", (f"{steps:,}",), [averaged(score) for score in scores]))
    print_tables("Scaling", ("steps",), rows, tests)


def self_supervision(arguments: argparse.Namespace, tests: list[Test]) -> None:
    """Print the compact network trained on a hundred labels, by its initial weights."""
    run = Run(scenes=arguments.scenes, epochs=arguments.epochs)
    train = train_pictures(arguments, run, USUAL_SIZE)
    options = (arguments.pairs, RANDOMISED, arguments.label_sets, arguments.jobs)
    found = few_label_scores(run, train, tests, *options)
    rows = [Row(name, (), [averaged(score) for score in scores]) for name, scores in found.items()]
    print_tables(f"{N_LABELS} labels, by initial weights", (), rows, tests)


def trained(arguments: argparse.Namespace, tests: list[Test], sizes: tuple[int, ...], **changes: object) -> list[Score]:
    """Return the scores of all trainings of one variant, on scenes prepared in all `sizes` of the part."""
    run = replace(Run(scenes=arguments.scenes, epochs=arguments.epochs), **changes)
    train = train_pictures(arguments, run, sizes)
    runs = [replace(run, training=number) for number in range(arguments.trainings)]
    # The reference of all tables is also scored in all views.
    views = ALL_VIEWS if run == Run(scenes=arguments.scenes, epochs=arguments.epochs) else TWO_VIEWS
    return [cached_score(one, train, tests, views, arguments.jobs) for one in runs]


def train_pictures(arguments: argparse.Namespace, run: Run, sizes: tuple[int, ...]) -> Pictures:
    """Return the randomised training scenes of a run."""
    return scene_pictures(run.scenes, TRAIN_SEED, sizes, RANDOMISED, arguments.jobs)


def main() -> None:
    """Print the tables of the selected parts."""
    parts = {
        "architectures": (architectures, USUAL_SIZE),
        "inputs": (inputs, USUAL_SIZE),
        "pixels": (pixels, SIZES),
        "scaling": (scaling, USUAL_SIZE),
        "self-supervision": (self_supervision, USUAL_SIZE),
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=8192, help="training scenes")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--part", action="append", choices=parts, help="can be repeated; all by default")
    parser.add_argument("--network", choices=NETWORKS, default=Run().network, help="network of the part inputs")
    parser.add_argument("--trainings", type=int, default=1, help="trainings of each variant; metrics are averaged")
    parser.add_argument("--held-out", type=int, default=1536, help="canonical test scenes")
    parser.add_argument("--most-scenes", type=int, default=16384, help="largest number of scenes in the part scaling")
    parser.add_argument("--pairs", type=int, default=8192, help="pairs of scenes in the part self-supervision")
    parser.add_argument("--label-sets", type=int, default=4, help="sets of a hundred labels in that part")
    parser.add_argument("--gpu", action="store_true", help="also train ResNet-18 and ViT-S/16")
    parser.add_argument("--jobs", type=int, default=1, help="processes of the simulation and threads of the networks")
    parser.add_argument(
        "--real", type=Path, default=HERE.parents[1] / "shared" / "data", help="folder with the real images"
    )
    arguments = parser.parse_args()
    for name in arguments.part or parts:
        show, sizes = parts[name]
        show(arguments, tests_of(arguments, sizes))


if __name__ == "__main__":
    main()
