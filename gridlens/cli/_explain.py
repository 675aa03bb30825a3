"""`gridlens explain`: why a cutout, or the best of a table, scored as it did."""

from pathlib import Path
from typing import Any

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import Prevalence, catalog_options, reading_options

__all__ = ["explain"]

_TABLES = (".csv", ".parquet", ".votable")


@click.command(
    short_help="Say why a cutout scored as it did.",
    epilog="Example: gridlens explain scores.csv --top 200 --out report/",
)
@click.argument("what", metavar="CUTOUT|SCORES")
@click.option("--top", type=click.IntRange(min=1), metavar="K", help="Explain the K best of a table. [default: 200]")
@click.option("--id", "name", metavar="ID", help="Which cutout, where CUTOUT holds several.")
@click.option(
    "--out",
    metavar="FOLDER",
    help="Folder for the candidate sheet, or new folder for the page of a table. [default: . or report]",
)
@click.option(
    "--model",
    default="default",
    show_default=True,
    metavar="BUNDLE",
    help="The model that gave the scores: the bundled one, or what `gridlens train` wrote.",
)
@click.option(
    "--prevalence",
    type=Prevalence(),
    default=None,
    help="Prevalence of lenses among such clusters. [default: the table's, or 1e-3]",
)
@catalog_options()
@click.option("--jobs", type=int, default=-1, show_default=True, help="Threads; -1 for all processors.")
@reading_options
def explain(
    what: str,
    top: int | None,
    name: str | None,
    out: str | None,
    model: str,
    prevalence: float | None,
    jobs: int,
    **reading: Any,
) -> None:
    """Say why a cutout scored as it did: which arc, which patch, which numbers, in words and units.

    CUTOUT is a file, a glob or a folder, read as `gridlens score` reads it: its candidate sheet is written, NAME.png
    and NAME.html. SCORES is a table that `gridlens score` wrote (.csv, .parquet, .votable, and with --top .fits): a
    page is written, index.html, on what the best scores depend on, with the candidate sheets of the best 50. The
    cutouts are read again, from the table's column `path`: give the options that they were read with.
    """
    is_table = what.lower().endswith(_TABLES) or (top is not None and what.lower().endswith(".fits"))
    if not is_table and top is not None:
        raise click.UsageError(f"--top goes with a table of scores, and {what} is none; name a cutout with --id.")
    if is_table and name is not None:
        raise click.UsageError("--id picks one of several cutouts; a table of scores has --top.")
    from gridlens.cli._sources import stated_options
    from gridlens.reports import check_libraries
    from gridlens.sources import ReadOptions

    check_libraries()
    reading = {"catalog": reading["catalog"], "columns": reading["columns"], **stated_options(ReadOptions, reading)}
    if is_table:
        _table(what, 200 if top is None else top, out or "report", model, prevalence, jobs, reading)
    else:
        _sheet(what, name, out or ".", model, 1e-3 if prevalence is None else prevalence, jobs, reading)


def _explainer(model: str, jobs: int) -> Any:
    from gridlens.explain import Explainer
    from gridlens.models import load_model

    detector = load_model(model)
    detector.n_jobs = jobs
    return Explainer(detector)


def _sheet(
    what: str, name: str | None, out: str, model: str, prevalence: float, jobs: int, reading: dict[str, Any]
) -> None:
    from gridlens._files import writable_folder
    from gridlens.explain import read_one
    from gridlens.reports import write_candidate_sheet

    cutout = read_one(what, name, **reading)
    folder = writable_folder(Path(out))
    picture, page = write_candidate_sheet(_explainer(model, jobs), cutout, folder, prevalence=prevalence)
    click.echo(picture)
    click.echo(page)


def _table(
    what: str, top: int, out: str, model: str, prevalence: float | None, jobs: int, reading: dict[str, Any]
) -> None:
    from gridlens._files import check_new_folder
    from gridlens._tables import read_table
    from gridlens.explain import explain_table
    from gridlens.reports import write_explanations

    check_new_folder(out)
    table = read_table(what)
    explainer = _explainer(model, jobs)
    with progress_bar("Explaining", min(top, len(table))) as advance:
        found = explain_table(explainer, table, top, progress=advance, **reading)
    for note in found.notes:
        click.echo(note, err=True)
    shown = found.prevalence if prevalence is None else prevalence
    with progress_bar("Drawing", len(found.cutouts)) as advance:
        write_explanations(
            explainer, found.explanation, found.cutouts, out, prevalence=shown, notes=found.notes, progress=advance
        )
    click.echo(f"{out}/index.html")
