"""`gridlens train`: make a model."""

import click

from gridlens._progress import progress_bar

__all__ = ["train"]


@click.command(
    short_help="Train a model from a recipe.",
    epilog="Example: gridlens train --recipe default --out my-model/",
)
@click.option("--recipe", type=click.Choice(["default"]), default="default", show_default=True, help="What to train.")
@click.option(
    "--members",
    metavar="NAMES",
    help="Members in place of the recipe's, with commas between them: lightgbm, elkan-noto, nnpu, or a plugin's.",
)
@click.option("--out", default="gridlens-model", show_default=True, metavar="FOLDER", help="New folder for the bundle.")
@click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1 for all cores.")
def train(recipe: str, members: str | None, out: str, jobs: int) -> None:
    """Simulate, extract, fit, calibrate, test; write the model, its card and its manifest to a new folder.

    The default recipe makes the model that comes with gridlens, in about half an hour on two cores. Needs lenstronomy:
    pip install 'gridlens[sim]'.
    """
    from dataclasses import replace

    from gridlens.models.recipe import RECIPES, train_recipe

    settings = RECIPES[recipe]
    if members is not None:
        settings = replace(settings, members=tuple(name.strip() for name in members.split(",")))
    with progress_bar("Simulating", settings.n_scenes) as advance:
        card = train_recipe(out, settings, n_jobs=jobs, progress=advance)
    click.echo(card)
    click.echo(f"written to {out}", err=True)
