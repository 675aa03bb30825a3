"""`gridlens evaluate`: evaluate scores on a labelled sample."""

import datetime
from pathlib import Path
from typing import Any

import click

from gridlens.cli._options import Prevalence, catalog_options, engine_options, image_options, reading_options
from gridlens.cli._runs import (
    check_page,
    compile_kernels,
    interruptible,
    remove_page,
    run_options,
    tell_complete,
)
from gridlens.cli._sources import check_sources, source_options
from gridlens.cli._terminal import say

__all__ = ["evaluate"]


@click.command(
    short_help="Evaluate scores against a truth table.",
    epilog="Example: gridlens evaluate scores.csv truth.csv --prevalence 1e-3 --out report/",
)
@click.argument("scores", nargs=-1, metavar="[SCORES|PATHS...]")
@click.argument("truth")
@click.option(
    "--prevalence",
    type=Prevalence(),
    default=1e-3,
    show_default=True,
    help="Prevalence of lenses in the survey.",
)
@click.option("--out", default="report", show_default=True, metavar="FOLDER", help="New folder for the report.")
@click.option(
    "--model",
    default="default",
    show_default=True,
    metavar="BUNDLE",
    help="Model that scores cutouts and features: a bundled model, or a folder or .zip file written by `gridlens "
    "train`.",
)
@click.option("--against", metavar="SCORES|PATH", help="Other scores or cutouts of the same clusters to compare with.")
@click.option(
    "--groups",
    metavar="COLUMN",
    help="Column of the truth table that identifies clusters: rows with the same value show the same cluster.",
)
@click.option(
    "--weights",
    metavar="COLUMN",
    help="Column of the truth table with weights, such as the inverse probability that a row was selected for "
    "labelling.",
)
@click.option(
    "--draws", type=click.IntRange(min=10), default=1000, show_default=True, help="Number of bootstrap draws."
)
@click.option(
    "--seconds-per-cutout", type=click.FloatRange(min=0.0), help="Time needed to inspect one cutout, in seconds."
)
@click.option(
    "--hours-per-follow-up", type=click.FloatRange(min=0.0), help="Telescope time needed for one candidate, in hours."
)
@click.option(
    "--cost-per-hour", type=click.FloatRange(min=0.0), help="Cost of one hour of telescope time, in any currency."
)
@catalog_options()
@image_options
@engine_options
@reading_options
def evaluate(
    scores: tuple[str, ...],
    truth: str,
    prevalence: float,
    out: str,
    model: str,
    against: str | None,
    groups: str | None,
    weights: str | None,
    draws: int,
    seconds_per_cutout: float | None,
    hours_per_follow_up: float | None,
    cost_per_hour: float | None,
    engine: str,
    scheduler: str | None,
    jobs: int,
    resume: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Evaluate scores on the labelled sample TRUTH and write a report, index.html and metrics.json.

    SCORES is a table written by `gridlens score`, or any table with the columns `id` and `score`. PATHS are cutouts
    (files, folders, globs) or feature caches written by `gridlens features`; they are scored with --model first. With
    --image instead, the clusters of the --catalog are cut out of survey images and scored.

    TRUTH is a table with the columns `id` and `label`: 1 for a lens, 0 for a certain non-lens. The metrics are
    stratified by theta_e, arc_snr, seeing, richness and survey if TRUTH has these columns.
    """
    costs = _costs(seconds_per_cutout, hours_per_follow_up, cost_per_hour)
    if not scores and not options["images"]:
        raise click.UsageError("Name SCORES or PATHS before TRUTH, or survey images with --image.")
    check_sources(scores, options)
    import pandas as pd

    from gridlens.engine._evaluate_scores import reported_scores
    from gridlens.engine._output import check_output
    from gridlens.engine._score_tables import open_scores
    from gridlens.explain._remembered import NOT_REMEMBERED, remembered
    from gridlens.explain._rows import read_rows
    from gridlens.reports import write_evaluation
    from gridlens.reports._pages import check_libraries
    from gridlens.reports._worst import worst_rows
    from gridlens.sources import CacheSource

    folder = Path(out)
    check_output(folder, resume=resume, overwrite=overwrite)
    check_page(folder)
    check_libraries()
    named = source_options(scores, options)
    paths = named.pop("source")
    opened, other = open_scores(paths[0] if len(scores) == 1 else paths, against, named)
    sources = [one.source for one in (opened, other) if one is not None and one.source is not None]
    measured = [source for source in sources if not isinstance(source, CacheSource)]
    if measured:
        compile_kernels(measured[0])
    with (
        interruptible(f"{folder}.against"),
        interruptible(out),
        reported_scores(
            opened,
            truth,
            other,
            folder,
            settings={"costs": repr(costs)},
            prevalence=prevalence,
            groups=groups,
            sample_weight=weights,
            model=model,
            n_boot=draws,
            verbose=1,
            **run_options(engine, scheduler, jobs, resume, overwrite),
        ) as found,
    ):
        if found is None:
            tell_complete(out)
            return
        remove_page(folder)
        # A feature cache has no pixels, but it records the files that were measured.
        source = None if isinstance(opened.source, CacheSource) else opened.source
        is_file = source is None and isinstance(opened.record, str)
        past = remembered(opened.record) if is_file else NOT_REMEMBERED
        cutouts = read_rows(pd.concat(worst_rows(found.rows)), source, past)
        today = datetime.date.today()
        write_evaluation(found, folder, costs=costs, model=past.model, date=today, cutouts=cutouts)
    for note in found.notes:
        say(note)
    click.echo(_headline(found))
    click.echo(folder / "index.html")


# Prefixes of the metrics that are printed; the report contains all metrics.
_HEADLINE = ("TPR at FPR 1e-3", "TPR at FPR 1e-2", "precision at 100", "AUROC", "calibration error")


def _headline(found: Any) -> str:
    """Return the most important metrics with their intervals, one per line."""
    evaluation = found.evaluation
    shown = {name: str(one) for name, one in evaluation.metrics.items() if name.startswith(_HEADLINE)}
    width = max(map(len, shown))
    lines = [f"{evaluation.n_rows} cutouts, {evaluation.n_positive} of them lenses; 95 % intervals in brackets"]
    if evaluation.n_effective is not None:
        lenses, others = evaluation.n_effective
        lines.append(f"weighted: effective numbers of {lenses:.1f} lenses and {others:.1f} non-lenses")
    return "\n".join(lines + [f"{name:{width}}  {value}" for name, value in shown.items()])


def _costs(seconds: float | None, hours: float | None, cost: float | None) -> dict[str, float] | None:
    if (hours is None) != (cost is None) or (hours is not None and seconds is None):
        raise click.UsageError(
            "Costs of follow-up need all three of --seconds-per-cutout, --hours-per-follow-up and --cost-per-hour."
        )
    if seconds is None:
        return None
    more = {} if hours is None or cost is None else {"hours_per_follow_up": hours, "cost_per_hour": cost}
    return {"seconds_per_cutout": seconds, **more}
