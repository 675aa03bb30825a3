"""`gridlens train`: train a model."""

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
    help="Recipe for training on simulated scenes, instead of --data.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="PATH",
    help="Labelled cutouts (file, folder, glob), or their features written by `gridlens features`. Repeatable.",
)
@click.option(
    "--labels",
    metavar="FILE",
    help="Table for --data with the columns id and label (1 for a lens, 0 for a certain non-lens), and optionally "
    "cluster (if several cutouts show the same cluster) and calibration (1 for rows reserved for the calibration).",
)
@click.option(
    "--grades",
    metavar="BOOK",
    help="Grade book with grades of objects in --data, the pool that they were chosen from. Their consensus gives the "
    "labels for retraining the model of --from (by default 'default'), which is kept if the new model is worse. "
    "--labels may list the cutouts in --data that the old model was trained on.",
)
@click.option(
    "--inject-into",
    multiple=True,
    metavar="PATH",
    help="At least 200 cutouts of clusters from your own survey (file, folder, glob), instead of --data. Each is used "
    "twice: unchanged as a non-lens, and with simulated arcs as a lens. --labels may give known lenses, clusters and "
    "surveys. Repeatable.",
)
@click.option(
    "--known-lenses",
    metavar="FILE",
    help="Table of known lenses, by id or by ra and dec, which are excluded from the non-lenses of --inject-into.",
)
@click.option(
    "--prevalence",
    type=click.FloatRange(0.0, 0.5, min_open=True, max_open=True),
    default=1e-3,
    show_default=True,
    help="Prevalence of lenses among the cutouts of --inject-into.",
)
@click.option("--groups", metavar="COLUMN", help="Column of --labels that identifies clusters, if not 'cluster'.")
@click.option(
    "--positive-unlabelled",
    is_flag=True,
    help="Learn from known lenses, which have a 1 in the column known_lens or label of --labels. All other cutouts are "
    "unlabelled, except for vetted non-lenses with a label of 0. An out-of-fold ranking of all cutouts is written "
    "beside the model.",
)
@click.option(
    "--from",
    "init_model",
    metavar="MODEL",
    help="Model to build on, such as 'default': it is added, without refitting, to the members trained on --data, and "
    "its weight in the stack is learned together with theirs.",
)
@click.option(
    "--members",
    metavar="NAMES",
    help="Members to use instead of the default ones, separated by commas, with parameters in parentheses, such as "
    "'lightgbm,patch(n_estimators=300)'. `gridlens members` lists them.",
)
@click.option(
    "--mine",
    "pool",
    multiple=True,
    metavar="PATH",
    help="Unlabelled cutouts (file, folder, glob), or their features. Those with the highest scores are used as "
    "negatives in a second round of training. Repeatable.",
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
    """Train, calibrate and test a model, and write it with its model card and manifest to a new folder.

    With --data and --labels, the model is trained on your own labelled cutouts. The model card evaluates it on cutouts
    that its members have not seen, and begins with a comparison with the bundled model. With few labels, the bundled
    model is usually better; add --from default to build on it.

    With --data and --grades, the model is trained on candidates graded in queues of `gridlens grades queue`. The model
    card reports the agreement of the graders and compares the model with the one that it would replace. If the new
    model is worse, it is not written, and the exit status is 1.

    With --inject-into, the model is trained on cutouts of your own survey, with and without injected arcs. The model
    card reports completeness, false alarms and control experiments on clusters that were not used in the training.

    With --recipe, the model is trained on simulated scenes. The recipe "default" reproduces the bundled model of that
    name in about an hour and a half on two cores; "quick" trains a weaker model on a sixteenth of the scenes.
    """
    injecting = bool(inject_into)
    own = bool(data or options["images"] or injecting)
    if injecting:
        _check_injection(data, recipe, positive_unlabelled, pool, grades)
    elif known_lenses is not None:
        raise click.UsageError("--known-lenses needs --inject-into.")
    if own and recipe is not None:
        raise click.UsageError(
            "--recipe trains on simulated scenes and --data on your own data: give only one of them."
        )
    if grades is not None and not own:
        raise click.UsageError("--grades needs --data, the pool that contains the graded objects.")
    if own != (labels is not None) and not injecting and grades is None:
        raise click.UsageError("--data and --labels, a table with id and label, must be given together.")
    if not own and (groups or positive_unlabelled or init_model is not None or options["catalog"] is not None):
        raise click.UsageError("--groups, --positive-unlabelled, --from and --catalog need your own data: add --data.")
    if not own and recipe is None:
        raise click.UsageError(
            "Training data are missing. Give --data and --labels for your own cutouts, or --recipe for simulated "
            "scenes, such as --recipe quick (minutes) or --recipe default (an hour and a half)."
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
        say(f"out-of-fold ranking of the cutouts: {ranking_path(Path(out))}")
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
    """Raise a usage error if an option cannot be combined with --inject-into."""
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
                f"--inject-into and {name} are mutually exclusive: the cutouts of --inject-into are the non-lenses "
                "and, with injected arcs, the lenses."
            )
