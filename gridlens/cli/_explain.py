"""`gridlens explain`: explain the score of a cutout, or the best scores of a table."""

import contextlib
from pathlib import Path
from typing import Any

import click

from gridlens._progress import progress_bar
from gridlens.cli._messages import as_flags
from gridlens.cli._options import Prevalence, catalog_options, engine_options, image_options, reading_options
from gridlens.cli._runs import (
    check_page,
    compile_kernels,
    interruptible,
    remove_page,
    run_options,
    tell_complete,
)
from gridlens.cli._sources import check_sources, given_options, source_options
from gridlens.cli._terminal import say

__all__ = ["explain"]


@click.command(
    short_help="Explain the score of a cutout.",
    epilog="Example: gridlens explain scores.csv --top 200 --out report/",
)
@click.argument("what", nargs=-1, metavar="[SCORES] [PATHS]...")
@click.option(
    "--top", type=click.IntRange(min=1), metavar="K", help="Explain the K best rows of a table.  [default: 200]"
)
@click.option(
    "--all-sheets", is_flag=True, help="Draw candidate sheets of all K rows, up to 500, instead of the best 50."
)
@click.option("--id", "name", metavar="ID", help="Cutout to explain, from a table or from several PATHS.")
@click.option(
    "--out",
    metavar="FOLDER",
    help="Folder for the candidate sheet, or new folder for the page of a table.  [default: . or report]",
)
@click.option(
    "--model",
    metavar="BUNDLE",
    help="Model that produced the scores: a bundled model, or a folder or .zip file written by `gridlens train`.  "
    "[default: that of the table, or the bundled model]",
)
@click.option(
    "--prevalence",
    type=Prevalence(),
    default=None,
    help="Prevalence of lenses in the survey.  [default: that of the table, or 1e-3]",
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
    model: str | None,
    prevalence: float | None,
    engine: str,
    scheduler: str | None,
    jobs: int,
    resume: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Explain the score of a cutout by the arc, the image patches and the features that it depends on.

    With PATHS (files, folders, globs) or with --image and --catalog, as in `gridlens score`, the candidate sheet of one
    cutout is written to NAME.png and NAME.html.

    With SCORES, a table written by `gridlens score`, a page (index.html) is written that contains the candidate sheets
    of the best 50 rows and shows which features the best scores depend on. With --id, only the candidate sheet of that
    row is written. The cutouts are read with the options recorded beside the table; options on the command line
    override them. For a table without a record, repeat the options that it was scored with.

    Relative paths in a table are resolved against the folder in which the table was made, then against the working
    directory, and then against the folder of the table.
    """
    is_scores = bool(what) and _names_scores(what[0])
    if not is_scores and top is not None:
        raise click.UsageError("--top needs a table of scores as the first argument. Select a single cutout with --id.")
    if top is not None and name is not None:
        raise click.UsageError(
            "--top and --id are mutually exclusive: --top explains the best rows of a table, --id a single row."
        )
    is_page = is_scores and name is None
    if (resume or all_sheets) and not is_page:
        raise click.UsageError("--resume and --all-sheets need a table of scores, and cannot be combined with --id.")
    paths = what[1:] if is_scores else what
    if paths or options["images"] or not is_scores:
        check_sources(paths, options)
    from gridlens.reports._pages import check_libraries

    check_libraries()
    compile_kernels()
    run = run_options(engine, scheduler, jobs, resume, overwrite)
    if not is_scores:
        _cutout_sheet(paths, name, out or ".", model or "default", prevalence or 1e-3, jobs, options)
        return
    stated = source_options(paths, given_options(options))
    if name is not None:
        _row_sheet(what[0], name, out or ".", model, prevalence, run, stated)
        return
    with interruptible(out or "report"):
        _page(what[0], top or 200, out or "report", model, prevalence, all_sheets, run, stated)


def _names_scores(path: str) -> bool:
    """Return whether a path names a table of scores; a missing FITS file is taken for a cutout."""
    from gridlens.engine._score_tables import is_table

    return is_table(path) and (not path.lower().endswith(".fits") or Path(path).exists())


def _explainer(model: str, jobs: int) -> Any:
    from gridlens.explain import Explainer
    from gridlens.models import load_model

    detector = load_model(model)
    detector.n_jobs = jobs
    return Explainer(detector)


def _cutout_sheet(
    paths: tuple[str, ...],
    name: str | None,
    out: str,
    model: str,
    prevalence: float,
    jobs: int,
    options: dict[str, Any],
) -> None:
    from gridlens._file_names import existing_paths
    from gridlens.explain._sample import read_one

    # A path may be copied from a table, in which one cell lists all files of a cutout.
    files = tuple(path for text in paths for path in existing_paths(text))
    cutout = read_one(id=name, **source_options(files, options))
    _write_sheet(_explainer(model, jobs), cutout, out, prevalence)


def _write_sheet(explainer: Any, cutout: Any, out: str, prevalence: float, explanation: Any = None) -> None:
    from gridlens._files import writable_folder
    from gridlens.reports import write_candidate_sheet

    folder = writable_folder(Path(out))
    for path in write_candidate_sheet(explainer, cutout, folder, prevalence=prevalence, explanation=explanation):
        click.echo(path)


def _row_sheet(
    scores: str,
    name: str,
    out: str,
    model: str | None,
    prevalence: float | None,
    run: dict[str, Any],
    stated: dict[str, Any],
) -> None:
    """Write the candidate sheet of one row of a table."""
    from gridlens._tables import read_table
    from gridlens.errors import GridlensError
    from gridlens.explain._sample import explained_table, rows_with_id

    table = rows_with_id(read_table(scores), name)
    model, past = _past(scores, model, stated)
    explainer = _explainer(model, run["n_jobs"])
    with explained_table(explainer, table, 1, past=past, **run, **stated) as found:
        assert found is not None  # only an output can be complete already
        for note in found.notes:
            say(note)
        if not found.cutouts:
            raise GridlensError(f"The pixels of {name} were not found. Name the cutouts that were scored.")
        prevalence = found.prevalence if prevalence is None else prevalence
        _write_sheet(explainer, found.cutouts[0], out, prevalence, found.explanation)


def _past(scores: str, model: str | None, stated: dict[str, Any]) -> tuple[str, Any]:
    """Return the model and the reading options recorded for a table, and print the options that are reused."""
    from gridlens._file_names import existing_path
    from gridlens.explain._remembered import remembered
    from gridlens.models._bundle import BUNDLED

    past = remembered(scores)
    shown = {name: value for name, value in past.with_stated(stated).items() if stated.get(name) is None}
    if model is None and past.model is not None:
        model = past.model if past.model in BUNDLED else existing_path(past.model, past.folders)
        shown["model"] = None if model == "default" else model
    if words := as_flags(shown):
        say(f"gridlens: options of the run that wrote {scores}: {words}")
    return model or "default", past


def _page(
    scores: str,
    top: int,
    out: str,
    model: str | None,
    prevalence: float | None,
    all_sheets: bool,
    run: dict[str, Any],
    stated: dict[str, Any],
) -> None:
    """Write the page of the best rows of a table."""
    from gridlens._tables import read_table
    from gridlens.engine._output import check_output
    from gridlens.explain._sample import MOST_SHEETS, SHEETS, explained_table
    from gridlens.models._bundle import model_digest
    from gridlens.reports import write_explanations

    check_output(out, resume=run["resume"], overwrite=run["overwrite"])
    check_page(Path(out))
    table = read_table(scores)
    model, past = _past(scores, model, stated)
    explainer = _explainer(model, run["n_jobs"])
    settings = {"model": model_digest(model), "prevalence": repr(prevalence)}
    with contextlib.ExitStack() as stack:
        with progress_bar("Measuring", min(top, len(table))) as advance:
            explained = explained_table(
                explainer,
                table,
                top,
                past=past,
                n_sheets=MOST_SHEETS if all_sheets else SHEETS,
                out=out,
                settings=settings,
                progress=advance,
                **run,
                **stated,
            )
            found = stack.enter_context(explained)
        if found is None:
            tell_complete(out)
            return
        for note in found.notes:
            say(note)
        shown = found.prevalence if prevalence is None else prevalence
        if run["overwrite"]:
            remove_page(Path(out))
        with progress_bar("Drawing", len(found.cutouts)) as drawn:
            write_explanations(
                explainer, found.explanation, found.cutouts, out, prevalence=shown, notes=found.notes, progress=drawn
            )
    click.echo(Path(out) / "index.html")
