"""`gridlens train`: make a model."""

from typing import Any

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import reading_options

__all__ = ["train"]


@click.command(
    short_help="Train a model from a recipe, or on one's own data.",
    epilog="Example: gridlens train --data cutouts/ --labels labels.csv --out my-model/",
)
@click.option(
    "--recipe",
    type=click.Choice(["default", "quick", "cluster-cluster"]),
    help="What to train on simulated scenes.  [default: default]",
)
@click.option(
    "--data",
    multiple=True,
    metavar="PATH",
    help="Labelled cutouts (file, folder, glob), or their features as `gridlens features` wrote them. Repeatable.",
)
@click.option(
    "--labels",
    metavar="FILE",
    help="Table for --data with id and label, 1 for a lens and 0 for surely none; cluster, where several cutouts are "
    "of one; and calibration, 1 for rows that the members are not to see.",
)
@click.option("--groups", metavar="COLUMN", help="Column of --labels that names clusters, if not 'cluster'.")
@click.option(
    "--positive-unlabelled",
    is_flag=True,
    help="Learn from the column s of --labels, 1 for a known lens and 0 for what nobody has labelled; rows of "
    "calibration have a clean label. For members such as nnpu.",
)
@click.option(
    "--members",
    metavar="NAMES",
    help="Members in place of the default ones, with commas between them and parameters in brackets, such as "
    "'lightgbm,patch(n_estimators=300)'; `gridlens members` lists them.",
)
@click.option(
    "--mine",
    "pool",
    multiple=True,
    metavar="PATH",
    help="Unlabelled cutouts (file, folder, glob), or their features: those that the model scores highest are learned "
    "as negatives, in one round more.",
)
@click.option(
    "--out", default="gridlens-model", show_default=True, metavar="PATH", help="New folder or .zip file for the bundle."
)
@click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1 for all cores.")
@reading_options
def train(
    recipe: str | None,
    data: tuple[str, ...],
    labels: str | None,
    groups: str | None,
    positive_unlabelled: bool,
    members: str | None,
    pool: tuple[str, ...],
    out: str,
    jobs: int,
    **reading: Any,
) -> None:
    """Fit, calibrate, test; write the model, its card and its manifest to a new folder.

    With --data and --labels, on your own cutouts; the scores on the card are of cutouts that the members have not
    seen. Without, on scenes that are simulated first: the default recipe makes the model that comes with gridlens, in
    about an hour and a half on two cores; "quick" makes a weaker one of a sixteenth of the scenes, to try members
    with. Needs lenstronomy: pip install 'gridlens[sim]'.
    """
    if data and recipe is not None:
        raise click.UsageError("--recipe trains on simulated scenes and --data on yours: name one of the two.")
    if bool(data) != (labels is not None):
        raise click.UsageError("--data needs --labels, a table with id and label, and --labels needs --data.")
    if not data and (groups is not None or positive_unlabelled):
        raise click.UsageError("--groups and --positive-unlabelled are of --labels, and need --data.")
    from dataclasses import replace

    from gridlens.cli._sources import stated_options
    from gridlens.models import Sources
    from gridlens.sources import ReadOptions
    from gridlens.stacking import split_members

    reading = stated_options(ReadOptions, reading)
    named = None if members is None else split_members(members)
    unlabelled = Sources(pool, **reading) if pool else None
    waiting = 0 if unlabelled is None else unlabelled.total or 0
    if labels is not None:
        from gridlens.models.own_data import train_on_data

        sources = Sources(data, **reading)
        options: dict[str, Any] = {} if named is None else {"members": named}
        with progress_bar("Reading", (sources.total or 0) + waiting) as advance:
            trained = train_on_data(
                out,
                sources,
                labels,
                groups=groups,
                positive_unlabelled=positive_unlabelled,
                pool=unlabelled,
                n_jobs=jobs,
                progress=advance,
                **options,
            )
        for note in trained.notes:
            click.echo(note, err=True)
        card = trained.card
    else:
        from gridlens.models.recipe import RECIPES, train_recipe

        settings = RECIPES[recipe or "default"]
        if named is not None:
            settings = replace(settings, members=named)
        with progress_bar("Simulating", settings.n_scenes + waiting) as advance:
            card = train_recipe(out, settings, pool=unlabelled, n_jobs=jobs, progress=advance)
    click.echo(card)
    click.echo(f"written to {out}", err=True)
