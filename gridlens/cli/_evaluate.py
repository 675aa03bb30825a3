"""`gridlens evaluate`: how good a ranking is, where the truth is known."""

from typing import Any

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import Prevalence

__all__ = ["evaluate"]

# Columns of the truth table that the lenses are told apart by: name, where it is cut, whether lenses alone have it.
_STRATA = {
    "theta_e": ("Einstein radius [arcsec]", (10.0, 15.0, 25.0, 30.0), True),
    "arc_snr": ("S/N of the arcs", (0.0, 100.0, 300.0, float("inf")), True),
    "seeing": ("seeing [arcsec]", (0.0, 0.7, 0.9, 1.1, float("inf")), False),
    "richness": ("richness", (0.0, 20.0, 40.0, 80.0, float("inf")), False),
    "survey": ("survey", None, False),
}
_CONTROLS = {
    "brightness and richness": ("bcg_mag_r", "richness"),
    "metadata": ("bcg_mag_r", "richness", "redshift", "seeing", "depth", "log_xray_luminosity", "velocity_dispersion"),
}
_MATCHED = ("richness", "bcg_mag_r")


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
    help="Share of lenses in the survey that the scores are for.",
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
    "--groups", metavar="COLUMN", help="Column of the truth table: rows of one value are views of one cluster."
)
@click.option("--draws", type=click.IntRange(min=10), default=1000, show_default=True, help="Draws of the bootstrap.")
@click.option("--seconds-per-cutout", type=click.FloatRange(min=0.0), help="What a person takes to look at one.")
@click.option("--hours-per-follow-up", type=click.FloatRange(min=0.0), help="Telescope time for a candidate.")
@click.option("--cost-per-hour", type=click.FloatRange(min=0.0), help="Of telescope time, in any currency.")
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
    """Hold a table of SCORES against a table of TRUTH and write a report: index.html and metrics.json.

    SCORES is what `gridlens score` wrote, or any table with `id` and `score`; or features that `gridlens features`
    wrote, which --model then scores. TRUTH has `id` and `label`, 1 for a lens
    and 0 for surely none. Lenses are told apart by theta_e, arc_snr, seeing, richness and survey where TRUTH has them.
    """
    costs = _costs(seconds_per_cutout, hours_per_follow_up, cost_per_hour)
    from importlib.metadata import version

    from gridlens._files import check_new_folder
    from gridlens._tables import read_table
    from gridlens.cli._cached import scores_of
    from gridlens.cli._truth import join_truth
    from gridlens.errors import GridlensError
    from gridlens.evaluation import Strata, write_report
    from gridlens.evaluation import evaluate as evaluation_of
    from gridlens.features import is_feature_cache

    check_new_folder(out)
    try:
        import matplotlib  # noqa: F401
    except ImportError as exc:
        raise GridlensError("A report draws figures: pip install 'gridlens[explain]'.") from exc
    joined = join_truth(
        scores_of(scores, model, prevalence),
        read_table(truth, text=() if groups is None else (groups,)),
        None if against is None else scores_of(against, model, prevalence),
        groups=groups,
    )
    rows = joined.rows
    label = rows["label"].to_numpy()
    missing = [name for name in _STRATA if name not in rows]
    strata = {}
    for name, (said, edges, of_lenses) in _STRATA.items():
        if name in rows:
            values = rows[name].where(label == 1) if of_lenses else rows[name]
            strata[said] = Strata(values.to_numpy(), edges)
    notes = list(joined.notes)
    controls = {}
    for name, columns in _CONTROLS.items():
        known = [column for column in columns if column in rows and rows[column].notna().any()]
        if known:
            controls[name] = rows[known]
            notes.append(f"The control of {name} sees {', '.join(known)}.")
    matched = [column for column in _MATCHED if column in rows and rows[column].notna().any()]
    if missing:
        notes.append(f"Not told apart by {', '.join(missing)}: the truth table has no such column.")
    absent = [column for column in _CONTROLS["brightness and richness"] if column not in matched]
    if absent:
        notes.append(f"The control of brightness and richness lacks {' and '.join(absent)}.")
    try:
        with progress_bar("Evaluating", 5) as advance:
            found = evaluation_of(
                label,
                joined.score,
                prevalence,
                p=joined.probability,
                groups=joined.groups,
                strata=strata,
                controls=controls,
                match_on=rows[matched] if matched else None,
                other=joined.other,
                n_boot=draws,
                progress=advance,
            )
    except ValueError as exc:
        raise GridlensError(str(exc)) from exc
    record: dict[str, Any] = {
        "gridlens": version("gridlens"),
        "scores": scores,
        "truth": truth,
        "against": against,
        "model": model if is_feature_cache(scores) else None,
        "counts": joined.counts,
    }
    write_report(
        found,
        out,
        title="Scores against the truth",
        positives="lenses",
        rows="cutouts",
        notes=notes,
        record=record,
        costs=costs,
    )
    for note in notes:
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
