"""`gridlens train`: make a model."""

from pathlib import Path
from typing import Any

import click

from gridlens.cli._messages import with_flags
from gridlens.cli._options import catalog_options, engine_options, image_options, reading_options
from gridlens.cli._runs import compile_kernels, interruptible, run_options
from gridlens.cli._terminal import print_card, say

__all__ = ["train"]


@click.command(
    short_help="Train a model on your own data, or from a recipe.",
    epilog="Example: gridlens train --data cutouts/ --labels labels.csv --from default --out my-model/",
)
@click.option(
    "--recipe",
    type=click.Choice(["default", "deep", "quick", "cluster-cluster"]),
    help="Recipe to train on simulated scenes, instead of --data.",
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
@click.option(
    "--grades",
    metavar="BOOK",
    help="Book of grades of objects in --data, the pool that they were chosen from. The consensus labels them, and the "
    "model of --from ('default' unless named) is improved, or stays where the new one is worse. --labels may name the "
    "cutouts in --data that it was trained on.",
)
@click.option(
    "--inject-into",
    multiple=True,
    metavar="PATH",
    help="Cutouts of clusters of your own survey (file, folder, glob), 200 or more, instead of --data: each is learned "
    "as it is, a non-lens, and with the arcs of a lens that is drawn for it. --labels may name known lenses, clusters "
    "and surveys. Repeatable.",
)
@click.option(
    "--known-lenses",
    metavar="FILE",
    help="Table of known lenses, by id or by ra and dec, which are kept out of the non-lenses of --inject-into.",
)
@click.option(
    "--prevalence",
    type=click.FloatRange(0.0, 0.5, min_open=True, max_open=True),
    default=1e-3,
    show_default=True,
    help="Of lenses among the cutouts of --inject-into.",
)
@click.option("--groups", metavar="COLUMN", help="Column of --labels that names clusters, if not 'cluster'.")
@click.option(
    "--positive-unlabelled",
    is_flag=True,
    help="Learn from known lenses: 1 in the column known_lens of --labels, or in label. All other cutouts are "
    "unlabelled, but for a label of 0, a vetted non-lens. A ranking of all, each scored by members that have not seen "
    "it, is written beside the model.",
)
@click.option(
    "--from",
    "init_model",
    metavar="MODEL",
    help="Build on a model, such as 'default', instead of replacing it: it joins the members of --data, is not "
    "fitted again, and its weight is learned with those of the others.",
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
    grades: str | None,
    groups: str | None,
    positive_unlabelled: bool,
    inject_into: tuple[str, ...],
    known_lenses: str | None,
    prevalence: float,
    init_model: str | None,
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
    seen, and its first line says whether the model is better there than the one that comes with gridlens. With few
    labels it seldom is: --from default builds on that model.

    With --data and --grades, on what people graded in queues of `gridlens grades queue`; the card says how the graders
    agree, and compares the model with the one that it is to replace. A model that is worse is not written, and the exit
    status is 1.

    With --inject-into, on clusters of your own survey, of which nearly all hold no arc: as they are, and with arcs. The
    card shows completeness, false alarms and controls on clusters that took no part.

    With --recipe, on scenes that are simulated first: the recipe "default" makes the bundled model of that name, in
    about an hour and a half on two cores; "quick" makes a weaker one from a sixteenth of the scenes, to try members.
    """
    injecting = bool(inject_into)
    own = bool(data or options["images"] or injecting)
    if injecting:
        _check_injection(data, recipe, positive_unlabelled, pool, grades)
    elif known_lenses is not None:
        raise click.UsageError("--known-lenses is for --inject-into.")
    if own and recipe is not None:
        raise click.UsageError("--recipe trains on simulated scenes and --data on yours: name one of the two.")
    if grades is not None and not own:
        raise click.UsageError("--grades needs --data, the cutouts that the grades are of.")
    if own != (labels is not None) and not injecting and grades is None:
        raise click.UsageError("--data needs --labels, a table with id and label, and --labels needs --data.")
    if not own and (groups or positive_unlabelled or init_model is not None or options["catalog"] is not None):
        raise click.UsageError(
            "--groups, --positive-unlabelled, --from and --catalog are for your own data: add --data."
        )
    if not own and recipe is None:
        raise click.UsageError(
            "Name what to learn from: --data and --labels for your own cutouts, or --recipe for simulated scenes, such "
            "as --recipe quick (minutes) or --recipe default (an hour and a half)."
        )
    from gridlens.cli._sources import check_sources, pool_of, source_of
    from gridlens.stacking._registry import split_members
    from gridlens.training import train as train_model
    from gridlens.training._write import ranking_path

    source = None
    if own:
        check_sources(data or inject_into, options)
        source = source_of(data or inject_into, options)
    unlabelled = pool_of(pool, options) if pool else None
    compile_kernels(source)
    with interruptible(out):
        trained = train_model(
            None if injecting else source,
            labels,
            grades=grades,
            inject_into=source if injecting else None,
            known_lenses=known_lenses,
            seeing=options["seeing"] if injecting else None,
            prevalence=prevalence,
            out=out,
            recipe=recipe,
            members=None if members is None else split_members(members),
            positive_unlabelled=positive_unlabelled,
            groups=groups,
            pool=unlabelled,
            init_model=init_model,
            verbose=1,
            **run_options(engine, scheduler, jobs, resume, overwrite),
        )
    for note in trained.notes:
        say(note)
    print_card(trained.card)
    if trained.comparison and trained.accepted:
        say(with_flags(trained.comparison))
    if trained.ranking is not None:
        say(f"cutouts by rank, each by members that have not seen it: {ranking_path(Path(out))}")
    if not trained.accepted:
        raise click.ClickException(f"{trained.comparison} Nothing was written to {out}.")
    say(f"written to {out}")


def _check_injection(
    data: tuple[str, ...],
    recipe: str | None,
    positive_unlabelled: bool,
    pool: tuple[str, ...],
    grades: str | None,
) -> None:
    """End in a usage error where options do not go with --inject-into."""
    others = {
        "--data": data,
        "--recipe": recipe,
        "--positive-unlabelled": positive_unlabelled,
        "--mine": pool,
        "--grades": grades,
    }
    for name, value in others.items():
        if value:
            raise click.UsageError(
                f"--inject-into and {name} exclude each other: the cutouts that arcs are injected into are the "
                "non-lenses, and the arcs in them the lenses."
            )
