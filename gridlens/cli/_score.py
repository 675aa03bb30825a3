"""`gridlens score`: score and rank cutouts."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import Any

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import Fraction, Prevalence, catalog_options, engine_options, image_options, reading_options
from gridlens.cli._runs import compile_kernels, interruptible, run_options, tell, tell_complete
from gridlens.cli._sources import check_sources, pool_of, source_of
from gridlens.cli._terminal import say

__all__ = ["score"]

# Rows shown on a terminal by default.
_ON_TERMINAL = 20


@click.command(
    short_help="Score cutouts and rank them.",
    epilog="Example: gridlens score cutouts/ --catalog clusters.csv --out scores.parquet",
)
@click.argument("paths", nargs=-1)
@click.option(
    "--out",
    metavar="FILE",
    help="File for the whole table: .csv, .parquet, .fits, .votable, .vot or .xml. By default, the table is printed.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="K",
    help="Print the K best rows. By default, 20 rows are printed on a terminal and all rows to a pipe; with --out, "
    "none to a pipe.",
)
@click.option(
    "--prevalence",
    type=Prevalence("estimate"),
    default=1e-3,
    show_default=True,
    help="Prevalence of lenses in the survey, or 'estimate' to estimate it from the scores. It affects p_lens, but not "
    "the ranking.",
)
@click.option(
    "--quote-formulas",
    is_flag=True,
    help="Prefix text in CSV that begins with = + - or @ with ', so that spreadsheets do not run it as a formula.",
)
@catalog_options()
@click.option(
    "--keep-columns",
    callback=lambda _ctx, _param, value: [name.strip() for name in (value or "").split(",") if name.strip()],
    metavar="A,B",
    help="Columns of the catalogue to copy, unchanged, to the end of the table.",
)
@click.option(
    "--context",
    is_flag=True,
    help="Add known lenses and, with --catalog, expected Einstein radii in columns that begin with context_. It does "
    "not change the scores; see `gridlens context`.",
)
@image_options
@click.option(
    "--model",
    default="default",
    show_default=True,
    metavar="BUNDLE",
    help="Model: bundled ('default', or 'deep' with a network, which needs gridlens[onnx]), or a folder or .zip file "
    "written by `gridlens train`.",
)
@click.option(
    "--screen",
    type=Fraction(),
    default=1.0,
    show_default=True,
    metavar="FRACTION",
    help="Score with the networks of the model only those cutouts that its other members rank as high as this "
    "fraction of the non-lenses in its calibration sample. The column branch tells which members were used.",
)
@click.option(
    "--novelty",
    is_flag=True,
    help="Add the column novelty, the p-value for similarity to the cutouts that the model was trained on, and flag "
    "unusual cutouts. It does not change the scores.",
)
@click.option(
    "--recalibrate",
    multiple=True,
    metavar="PATH",
    help="At least 200 unlabelled cutouts of the same survey (file, folder, glob; may be the same as PATHS), or their "
    "features. The probabilities are recalibrated with their false-alarm rates; the ranking does not change. "
    "Repeatable.",
)
@click.option(
    "--target",
    type=click.Choice(["galaxy-cluster", "cluster-cluster", "joint"]),
    default="galaxy-cluster",
    show_default=True,
    help="Source of the lens: a galaxy behind the cluster, a second cluster behind it, or either (ranked by p_any). No "
    "real example of the second kind is known.",
)
@engine_options
@reading_options
def score(
    paths: tuple[str, ...],
    out: str | None,
    top: int | None,
    prevalence: Any,
    quote_formulas: bool,
    model: str,
    screen: float,
    novelty: bool,
    recalibrate: tuple[str, ...],
    target: str,
    keep_columns: list[str],
    context: bool,
    engine: str,
    scheduler: str | None,
    jobs: int,
    resume: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Score the cutouts in PATHS (files, folders, globs) and rank them by the probability of a strong lens.

    With --image instead of PATHS, the clusters of the --catalog are cut out of survey images and scored directly. PATHS
    may also be feature caches written by `gridlens features`.

    A cutout that cannot be read or measured has a row with the status "rejected" and the reason; it never stops the
    run.
    """
    check_sources(paths, options)
    if target != "galaxy-cluster" and model != "default":
        raise click.UsageError("--target selects bundled models. To use your own model, give --model without --target.")
    if target == "joint" and prevalence == "estimate":
        raise click.UsageError("--prevalence estimate supports one kind of lens; --target joint has two.")
    if target == "joint" and screen < 1.0:
        raise click.UsageError("--screen supports a single model; --target joint uses two.")
    if recalibrate and prevalence == "estimate":
        raise click.UsageError(
            "--recalibrate needs a numeric --prevalence, because the false-alarm rates depend on it."
        )
    if recalibrate and screen < 1.0:
        raise click.UsageError("--recalibrate and --screen are mutually exclusive: a screen has its own calibrations.")
    if quote_formulas and out is not None and not out.lower().endswith(".csv"):
        raise click.UsageError("--quote-formulas is for CSV only. Leave it out, or name a .csv file with --out.")
    from gridlens._table_print import on_terminal
    from gridlens._tables import check_writable, write_batches
    from gridlens.engine._output import check_output
    from gridlens.engine._score import calibrate_on_pool, ranked_scores

    if out is not None:
        check_writable(out)
        check_output(out, resume=resume, overwrite=overwrite)
    source = source_of(paths, options | {"keep_columns": keep_columns})
    pool = pool_of(recalibrate, options) if recalibrate else None
    total = source.n
    models = _models(target, model)
    assumed = (
        "the prevalence estimated from the scores" if prevalence == "estimate" else f"a prevalence of {prevalence:g}"
    )
    names = " and ".join(models)
    say(f"gridlens: model {names}, probabilities at {assumed}, score at even prevalence")
    compile_kernels(source)
    if pool is not None:
        compile_kernels(pool)
    start = time.perf_counter()
    shown = top if top is not None else _ON_TERMINAL if on_terminal() else None if out is None else 0
    best = _Best(shown)
    run = run_options(engine, scheduler, jobs, resume, overwrite)
    calibration = None
    if pool is not None:
        workers = {name: run[name] for name in ("engine", "scheduler", "n_jobs")}
        with progress_bar("Scoring the pool", pool.n) as advance:
            calibration = calibrate_on_pool(pool, models=models, prevalence=prevalence, progress=advance, **workers)
        for name, one in zip(models, calibration.models, strict=True):
            say(f"{name}: {one.recalibration}" if len(models) > 1 else str(one.recalibration))
    with interruptible(out), contextlib.ExitStack() as stack:
        with progress_bar("Scoring", total) as advance:
            ranking = stack.enter_context(
                ranked_scores(
                    source,
                    models=models,
                    prevalence=prevalence,
                    screen=screen,
                    novelty=novelty,
                    recalibrate=calibration,
                    out=out,
                    progress=advance,
                    **run,
                )
            )
        if ranking is None:
            tell_complete(str(out))
            if context and not _has_context(str(out)):
                say("It has no context columns: add them with `gridlens context`, or start again with --overwrite.")
            return
        batches = best.passing(_with_context(ranking.batches, options) if context else ranking.batches)
        if out is not None:
            write_batches(batches, out, ranking.attrs, quote_formulas=quote_formulas)
        else:
            best.take(batches)
    seconds = time.perf_counter() - start
    if ranking.prevalence_estimate is not None:
        say(f"prevalence estimated: {ranking.prevalence_estimate}; p_lens is at {ranking.prevalence:.3g}")
    if shown != 0:
        _show(best.table(), ranking, out, quote_formulas)
    if ranking.duplicates:
        say(f"{ranking.duplicates} rows repeat the id of an earlier row; they are scored and flagged")
    if novelty:
        say(
            f"{ranking.unusual} of {ranking.rows - ranking.rejected} cutouts are flagged as unusual; about 2 in 100 "
            "are expected for data like those that the model was trained on"
        )
    if ranking.passed is not None:
        usable = ranking.rows - ranking.rejected
        part = f" ({ranking.passed / usable:.2g} of them)" if usable else ""
        say(
            f"{ranking.passed} of {usable} cutouts{part} passed the screen of {screen:g} and were scored by all members"
        )
    tell("scored", ranking.rows, ranking.rejected, ranking.resumed, seconds, out)


def _show(table: Any, ranking: Any, out: str | None, quote_formulas: bool) -> None:
    """Print the best rows; on a terminal, explain the columns and how to get the other rows."""
    from gridlens._table_print import on_terminal, print_table

    print_table(table, kept=ranking.kept, quote_formulas=quote_formulas)
    if not on_terminal():
        return
    scores, p = ("score_gc and score_cc are", "p_any") if "p_any" in table else ("score is", "p_lens")
    say(
        f"{scores} the probability of a lens if half of the cutouts contained one. {p} is the probability at a "
        f"prevalence of {ranking.prevalence:.3g}, which is small even for good candidates."
    )
    rest = ranking.rows - len(table)
    if rest and out is not None:
        say(f"These are the best {len(table)} of {ranking.rows} rows; {out} contains all of them.")
    elif rest:
        say(
            f"These are the best {len(table)} of {ranking.rows} rows. Write all of them with --out FILE, or show more "
            "with --top."
        )


def _has_context(path: str) -> bool:
    """Return whether a table has columns of catalogue context."""
    from gridlens._table_columns import CONTEXT_PREFIX
    from gridlens._table_files import open_table

    with open_table(path, lambda _: 0, remarks=False) as table:
        return any(name.startswith(CONTEXT_PREFIX) for name in table.names)


def _with_context(batches: Iterable[Any], options: dict[str, Any]) -> Iterator[Any]:
    """Yield batches with context columns from the bundled list of lenses and the clusters of a catalogue."""
    import warnings

    from gridlens.context import add_context
    from gridlens.cutouts import read_catalog

    clusters = None
    if options["catalog"] is not None:
        # Its warnings were shown when the cutouts were read.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clusters = read_catalog(options["catalog"], columns=options["columns"])
    for batch in batches:
        yield add_context(batch, clusters=clusters)


class _Best:
    """Collector of the first `most` rows of a table that arrives in batches; None keeps all rows."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._kept: list[Any] = []

    def passing(self, batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            left = len(batch) if self._most is None else self._most - sum(map(len, self._kept))
            if left > 0 or not self._kept:
                self._kept.append(batch.head(max(left, 0)))
            yield batch

    def take(self, batches: Iterable[Any]) -> None:
        """Consume batches until there are enough rows."""
        for _ in batches:
            if self._most is not None and sum(map(len, self._kept)) >= self._most:
                return

    def table(self) -> Any:
        import pandas as pd

        return pd.concat(self._kept, ignore_index=True)


def _models(target: str, model: str) -> tuple[str, ...]:
    """Return the names of the models that score for `target`."""
    return {"galaxy-cluster": (model,), "cluster-cluster": (target,), "joint": (model, "cluster-cluster")}[target]
