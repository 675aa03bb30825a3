"""`gridlens train`: make a model."""

from typing import Any

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import reading_options

__all__ = ["train"]


@click.command(
    short_help="Train a model from a recipe.",
    epilog="Example: gridlens train --recipe default --out my-model/",
)
@click.option(
    "--recipe",
    type=click.Choice(["default", "quick", "cluster-cluster"]),
    default="default",
    show_default=True,
    help="What to train.",
)
@click.option(
    "--members",
    metavar="NAMES",
    help="Members in place of the recipe's, with commas between them and parameters in brackets, such as "
    "'lightgbm,patch(n_trees=300)'; `gridlens members` lists them.",
)
@click.option(
    "--mine",
    "pool",
    multiple=True,
    metavar="CUTOUTS",
    help="Unlabelled cutouts (file, folder, glob): those that the model scores highest are learned as negatives, in "
    "one round more.",
)
@click.option(
    "--out", default="gridlens-model", show_default=True, metavar="PATH", help="New folder or .zip file for the bundle."
)
@click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1 for all cores.")
@reading_options
def train(
    recipe: str,
    members: str | None,
    pool: tuple[str, ...],
    out: str,
    jobs: int,
    pixel_scale: float | None,
    bands: str | None,
    zeropoint: Any,
    survey: str | None,
    uncalibrated: bool,
) -> None:
    """Simulate, extract, fit, calibrate, test; write the model, its card and its manifest to a new folder.

    The default recipe makes the model that comes with gridlens, in about an hour and a half on two cores; "quick"
    makes a weaker one of a sixteenth of the scenes, to try members with. Needs lenstronomy: pip install
    'gridlens[sim]'.
    """
    from dataclasses import replace

    from gridlens.cutouts import count_cutouts, read_batches
    from gridlens.models.recipe import RECIPES, train_recipe
    from gridlens.stacking import split_members

    settings = RECIPES[recipe]
    if members is not None:
        settings = replace(settings, members=split_members(members))
    total, batches = settings.n_scenes, None
    if pool:
        batches = read_batches(
            list(pool),
            pixel_scale=pixel_scale,
            bands=bands,
            zeropoint=zeropoint,
            survey=survey,
            uncalibrated=uncalibrated,
        )
        total += count_cutouts(list(pool), uncalibrated=uncalibrated, survey=survey) or 0
    with progress_bar("Simulating", total) as advance:
        card = train_recipe(out, settings, pool=batches, n_jobs=jobs, progress=advance)
    click.echo(card)
    click.echo(f"written to {out}", err=True)
