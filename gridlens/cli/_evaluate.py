"""`gridlens evaluate`: scores evaluated on a labelled sample."""

import click

from gridlens.cli._options import Prevalence

__all__ = ["evaluate"]


@click.command(
    short_help="Evaluate scores against a truth table.",
    epilog="Example: gridlens evaluate scores.csv truth.csv --prevalence 1e-3 --out report/",
)
@click.argument("scores")
@click.argument("truth")
@click.option(
    "--prevalence",
    type=Prevalence(),
    default=1e-3,
    show_default=True,
    help="Prevalence of lenses in the survey that the scores are for.",
)
@click.option("--out", default="report", show_default=True, metavar="FOLDER", help="New folder for the report.")
@click.option(
    "--model",
    default="default",
    show_default=True,
    metavar="NAME|PATH",
    help="Model that scores the features where SCORES is a feature cache.",
)
@click.option("--against", metavar="SCORES", help="Another score table of the same clusters, to compare with.")
@click.option(
    "--groups", metavar="COLUMN", help="Column of the truth table: rows with the same value are views of one cluster."
)
@click.option("--draws", type=click.IntRange(min=10), default=1000, show_default=True, help="Bootstrap draws.")
@click.option("--seconds-per-cutout", type=click.FloatRange(min=0.0), help="Time to inspect one cutout.")
@click.option("--hours-per-follow-up", type=click.FloatRange(min=0.0), help="Telescope time for one candidate.")
@click.option("--cost-per-hour", type=click.FloatRange(min=0.0), help="Cost of telescope time, in any currency.")
def evaluate(
    scores: str,
    truth: str,
    prevalence: float,
    out: str,
    model: str,
    against: str | None,
    groups: str | None,
    draws: int,
    seconds_per_cutout: float | None,
    hours_per_follow_up: float | None,
    cost_per_hour: float | None,
) -> None:
    """Evaluate SCORES on a labelled sample, TRUTH, and write a report: index.html and metrics.json.

    SCORES is a table that `gridlens score` wrote, or any table with `id` and `score`; or a feature cache that
    `gridlens features` wrote, which --model then scores. TRUTH is a table with `id` and `label`, 1 for a lens and 0 for
    certainly not a lens. The metrics are stratified by theta_e, arc_snr, seeing, richness and survey where TRUTH has
    such columns.
    """
    costs = _costs(seconds_per_cutout, hours_per_follow_up, cost_per_hour)
    from gridlens._files import check_new_folder
    from gridlens.engine import evaluate_scores
    from gridlens.reports import write_evaluation
    from gridlens.reports._pages import check_libraries

    check_new_folder(out)
    check_libraries()
    found = evaluate_scores(
        scores,
        truth,
        prevalence=prevalence,
        groups=groups,
        against=against,
        model=model,
        n_boot=draws,
        verbose=1,
    )
    write_evaluation(found, out, costs=costs)
    for note in found.notes:
        click.echo(note, err=True)
    click.echo(f"{out}/index.html")


def _costs(seconds: float | None, hours: float | None, cost: float | None) -> dict[str, float] | None:
    if (hours is None) != (cost is None) or (hours is not None and seconds is None):
        raise click.UsageError(
            "Costs of follow-up need --seconds-per-cutout, --hours-per-follow-up and --cost-per-hour, all three."
        )
    if seconds is None:
        return None
    more = {} if hours is None or cost is None else {"hours_per_follow_up": hours, "cost_per_hour": cost}
    return {"seconds_per_cutout": seconds, **more}
