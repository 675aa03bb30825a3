"""`gridlens explain`: why a cutout, or the best of a table, scored as it did."""

from pathlib import Path
from typing import Any

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import Prevalence, catalog_options, engine_options, image_options, reading_options
from gridlens.cli._runs import check_page, compile_kernels, interruptible, run_options, tell_complete
from gridlens.cli._sources import check_sources, source_options

__all__ = ["explain"]

_TABLES = (".csv", ".parquet", ".votable")
_PAGE = "index.html"


@click.command(
    short_help="Say why a cutout scored as it did.",
    epilog="Example: gridlens explain scores.csv --top 200 --out report/",
)
@click.argument("what", nargs=-1, metavar="[SCORES] [PATHS]...")
@click.option("--top", type=click.IntRange(min=1), metavar="K", help="Explain the K best of a table. [default: 200]")
@click.option("--all-sheets", is_flag=True, help="Draw sheets of all K, up to 500, instead of the best 50.")
@click.option("--id", "name", metavar="ID", help="Which cutout, where there are several.")
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
@image_options
@engine_options
@reading_options
def explain(
    what: tuple[str, ...],
    top: int | None,
    all_sheets: bool,
    name: str | None,
    out: str | None,
    model: str,
    prevalence: float | None,
    engine: str,
    scheduler: str | None,
    jobs: int,
    resume: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Say why a cutout scored as it did: which arc, which patch, which numbers, in words and units.

    PATHS are files, globs or folders of cutouts, or --image and --catalog survey images, as `gridlens score` takes
    them: the candidate sheet of one cutout is written, NAME.png and NAME.html.

    With SCORES, a table that `gridlens score` wrote (.csv, .parquet, .votable, and with --top .fits), a page is
    written, index.html, with the candidate sheets of the best 50, and what the best scores depend on. The cutouts are
    found again by their ids in PATHS or the images, and without either in the files of the table's column `path`. Give
    the options that they were scored with.
    """
    is_table = bool(what) and (
        what[0].lower().endswith(_TABLES) or (top is not None and what[0].lower().endswith(".fits"))
    )
    if not is_table and top is not None:
        raise click.UsageError("--top goes with a table of scores, which comes first; name a cutout with --id.")
    if is_table and name is not None:
        raise click.UsageError("--id picks one of several cutouts; a table of scores has --top.")
    if not is_table and (resume or overwrite or all_sheets):
        raise click.UsageError("--resume, --overwrite and --all-sheets go with a table of scores.")
    paths = what[1:] if is_table else what
    if paths or options["images"] or not is_table:
        check_sources(paths, options)
    from gridlens.reports._pages import check_libraries

    check_libraries()
    compile_kernels()
    if not is_table:
        _sheet(paths, name, out or ".", model, 1e-3 if prevalence is None else prevalence, jobs, options)
        return
    run = run_options(engine, scheduler, jobs, resume, overwrite)
    with interruptible(out or "report"):
        _table(
            what[0], paths, 200 if top is None else top, out or "report", model, prevalence, all_sheets, run, options
        )


def _explainer(model: str, jobs: int) -> Any:
    from gridlens.explain import Explainer
    from gridlens.models import load_model

    detector = load_model(model)
    detector.n_jobs = jobs
    return Explainer(detector)


def _sheet(
    paths: tuple[str, ...],
    name: str | None,
    out: str,
    model: str,
    prevalence: float,
    jobs: int,
    options: dict[str, Any],
) -> None:
    from gridlens._file_names import existing_paths
    from gridlens._files import writable_folder
    from gridlens.explain._sample import read_one
    from gridlens.reports import write_candidate_sheet

    # A path may be copied from a table, which names all files of a cutout in one text.
    files = tuple(path for text in paths for path in existing_paths(text))
    cutout = read_one(id=name, **source_options(files, options))
    folder = writable_folder(Path(out))
    picture, page = write_candidate_sheet(_explainer(model, jobs), cutout, folder, prevalence=prevalence)
    click.echo(picture)
    click.echo(page)


def _table(
    scores: str,
    paths: tuple[str, ...],
    top: int,
    out: str,
    model: str,
    prevalence: float | None,
    all_sheets: bool,
    run: dict[str, Any],
    options: dict[str, Any],
) -> None:
    from gridlens._tables import read_table
    from gridlens.engine._output import check_output
    from gridlens.explain._sample import MOST_SHEETS, SHEETS, explained_table
    from gridlens.models._bundle import model_digest
    from gridlens.reports import write_explanations

    check_output(out, resume=run["resume"], overwrite=run["overwrite"])
    check_page(Path(out), _PAGE)
    table = read_table(scores)
    explainer = _explainer(model, run["n_jobs"])
    settings = {"model": model_digest(model), "prevalence": repr(prevalence), "all sheets": repr(all_sheets)}
    with (
        progress_bar("Measuring", min(top, len(table))) as advance,
        explained_table(
            explainer,
            table,
            top,
            n_sheets=MOST_SHEETS if all_sheets else SHEETS,
            out=out,
            settings=settings,
            progress=advance,
            **run,
            **source_options(paths, options),
        ) as found,
    ):
        if found is None:
            tell_complete(out)
            return
        for note in found.notes:
            click.echo(note, err=True)
        shown = found.prevalence if prevalence is None else prevalence
        if run["overwrite"]:
            (Path(out) / _PAGE).unlink(missing_ok=True)
        with progress_bar("Drawing", len(found.cutouts)) as drawn:
            write_explanations(
                explainer, found.explanation, found.cutouts, out, prevalence=shown, notes=found.notes, progress=drawn
            )
    click.echo(f"{out}/{_PAGE}")
