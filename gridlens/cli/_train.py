"""`gridlens train`: make a model."""

from typing import Any

import click

from gridlens.cli._options import catalog_options, engine_options, image_options, reading_options
from gridlens.cli._runs import compile_kernels, interruptible, run_options

__all__ = ["train"]


@click.command(
    short_help="Train a model from a recipe, or on your own data.",
    epilog="Example: gridlens train --data cutouts/ --labels labels.csv --out my-model/",
)
@click.option(
    "--recipe",
    type=click.Choice(["default", "quick", "cluster-cluster"]),
    help="Recipe to train on simulated scenes.  [default: default]",
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
    help="Table for --data with id and label, 1 for a lens and 0 for certainly not a lens; cluster, where several "
    "cutouts show one; and calibration, 1 for rows that the members must not see.",
)
@click.option("--groups", metavar="COLUMN", help="Column of --labels that names clusters, if not 'cluster'.")
@click.option(
    "--positive-unlabelled",
    is_flag=True,
    help="Learn from the column s of --labels, 1 for a known lens and 0 for an unlabelled row; rows of calibration "
    "have a clean label. For members such as nnpu.",
)
@click.option(
    "--members",
    metavar="NAMES",
    help="Members instead of the default ones, separated by commas and with parameters in brackets, such as "
    "'lightgbm,patch(n_estimators=300)'; `gridlens members` lists them.",
)
@click.option(
    "--mine",
    "pool",
    multiple=True,
    metavar="PATH",
    help="Unlabelled cutouts (file, folder, glob), or their features: those that the model scores highest are learned "
    "as negatives in a second round.",
)
@click.option(
    "--out", default="gridlens-model", show_default=True, metavar="PATH", help="New folder or .zip file for the bundle."
)
@catalog_options()
@image_options
@engine_options
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
    engine: str,
    scheduler: str | None,
    jobs: int,
    resume: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Fit, calibrate and test a model; write it with its card and its manifest to a new folder.

    With --data and --labels, on your own cutouts; the scores on the card are of cutouts that the members have not
    seen. Otherwise on scenes that are simulated first: the default recipe makes the model that comes with gridlens, in
    about an hour and a half on two cores; "quick" makes a weaker one from a sixteenth of the scenes, to try members.
    Simulating needs lenstronomy: pip install 'gridlens[sim]'.
    """
    own = bool(data or options["images"])
    if own and recipe is not None:
        raise click.UsageError("--recipe trains on simulated scenes and --data on yours: name one of the two.")
    if own != (labels is not None):
        raise click.UsageError("--data needs --labels, a table with id and label, and --labels needs --data.")
    if not own and (groups is not None or positive_unlabelled or options["catalog"] is not None):
        raise click.UsageError("--groups, --positive-unlabelled and --catalog describe your own data, and need --data.")
    from gridlens.cli._sources import check_sources, pool_of, source_of
    from gridlens.stacking._registry import split_members
    from gridlens.training import train as train_model

    source = None
    if own:
        check_sources(data, options)
        source = source_of(data, options)
    unlabelled = pool_of(pool, options) if pool else None
    compile_kernels(source)
    with interruptible(out):
        trained = train_model(
            source,
            labels,
            out=out,
            recipe=recipe,
            members=None if members is None else split_members(members),
            positive_unlabelled=positive_unlabelled,
            groups=groups,
            pool=unlabelled,
            verbose=1,
            **run_options(engine, scheduler, jobs, resume, overwrite),
        )
    for note in trained.notes:
        click.echo(note, err=True)
    click.echo(trained.card)
    click.echo(f"written to {out}", err=True)
