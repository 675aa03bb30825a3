"""`gridlens score`: the main job."""

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

# Rows that a terminal shows where no number is given.
_ON_TERMINAL = 20


@click.command(
    short_help="Score cutouts and rank them.",
    epilog="Example: gridlens score cutouts/ --catalog clusters.csv --out scores.parquet",
)
@click.argument("paths", nargs=-1)
@click.option(
    "--out",
    metavar="FILE",
    help="Write the whole table: .csv, .parquet, .fits, .votable, .vot or .xml. Without it the table goes to stdout.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="K",
    help="Print the K best rows. Without it a terminal shows 20, and a pipe gets all unless they go to a file.",
)
@click.option(
    "--prevalence",
    type=Prevalence("estimate"),
    default=1e-3,
    show_default=True,
    help="Prevalence of lenses among such clusters, or 'estimate' to estimate it from the scores. It moves p_lens and "
    "changes no rank.",
)
@click.option(
    "--quote-formulas",
    is_flag=True,
    help="In CSV, put ' before text that begins with = + - or @, which spreadsheets run as formulas.",
)
@catalog_options()
@click.option(
    "--keep-columns",
    callback=lambda _ctx, _param, value: [name.strip() for name in (value or "").split(",") if name.strip()],
    metavar="A,B",
    help="Columns of the catalogue to add to the table, behind all others, as the catalogue has them.",
)
@click.option(
    "--context",
    is_flag=True,
    help="Add known lenses and, from the --catalog, expected Einstein radii, in columns that begin with context_. It "
    "changes no score; see `gridlens context`.",
)
@image_options
@click.option(
    "--model",
    default="default",
    show_default=True,
    metavar="BUNDLE",
    help="A bundled model, 'default' or 'deep' (with a network; needs gridlens[onnx]), or a folder or .zip file that "
    "`gridlens train` wrote.",
)
@click.option(
    "--screen",
    type=Fraction(),
    default=1.0,
    show_default=True,
    metavar="FRACTION",
    help="Let the networks of the model score only cutouts that its other members rank as high as this fraction of the "
    "non-lenses of its calibration. The column branch says which members scored.",
)
@click.option(
    "--novelty",
    is_flag=True,
    help="Add the column novelty, the p-value of being like the cutouts that the model learned from, and flag cutouts "
    "that are unusual. It changes no score.",
)
@click.option(
    "--recalibrate",
    multiple=True,
    metavar="PATH",
    help="At least 200 unlabelled cutouts of the same sky (file, folder, glob; PATHS themselves will do), or their "
    "features: their false-alarm rates move the probabilities and change no rank. Repeatable.",
)
@click.option(
    "--target",
    type=click.Choice(["galaxy-cluster", "cluster-cluster", "joint"]),
    default="galaxy-cluster",
    show_default=True,
    help="Galaxies behind the cluster, another cluster behind it, or either, ranked by p_any. Of the second no real "
    "example is known.",
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

    With --image instead of PATHS, the clusters of the --catalog are cut out of survey images and scored at once. PATHS
    may be feature caches that `gridlens features` wrote.

    A cutout that cannot be read or measured becomes a row with the status "rejected" and the reason; it never stops the
    rest.
    """
    check_sources(paths, options)
    if target != "galaxy-cluster" and model != "default":
        raise click.UsageError("--target picks bundled models; name one of your own with --model alone.")
    if target == "joint" and prevalence == "estimate":
        raise click.UsageError("--prevalence estimate is for one kind of lens; --target joint has two.")
    if target == "joint" and screen < 1.0:
        raise click.UsageError("--screen is for one model; --target joint has two.")
    if recalibrate and prevalence == "estimate":
        raise click.UsageError("--recalibrate needs a declared --prevalence, which its false-alarm rates depend on.")
    if recalibrate and screen < 1.0:
        raise click.UsageError("--recalibrate is for the whole model; a --screen has calibrations of its own.")
    if quote_formulas and out is not None and not out.lower().endswith(".csv"):
        raise click.UsageError("--quote-formulas is for CSV alone. Leave it out, or name a .csv file with --out.")
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
        say(f"{ranking.duplicates} rows have an id that an earlier row has; they are scored, and flagged")
    if novelty:
        say(
            f"{ranking.unusual} of {ranking.rows - ranking.rejected} cutouts are flagged as unusual; about 2 in 100 "
            "are on the sky that the model learned from"
        )
    if ranking.passed is not None:
        usable = ranking.rows - ranking.rejected
        part = f" ({ranking.passed / usable:.2g} of them)" if usable else ""
        say(f"{ranking.passed} of {usable} cutouts{part} passed the screen of {screen:g}, and all members scored them")
    tell("scored", ranking.rows, ranking.rejected, ranking.resumed, seconds, out)


def _show(table: Any, ranking: Any, out: str | None, quote_formulas: bool) -> None:
    """Print the best rows; on a terminal say how to read them, and where the others are."""
    from gridlens._table_print import on_terminal, print_table

    print_table(table, kept=ranking.kept, quote_formulas=quote_formulas)
    if not on_terminal():
        return
    scores, p = ("score_gc and score_cc are", "p_any") if "p_any" in table else ("score is", "p_lens")
    say(
        f"{scores} the probability of a lens if half of the cutouts held one, and {p} at a prevalence of "
        f"{ranking.prevalence:.3g}, where it is small for good candidates too."
    )
    rest = ranking.rows - len(table)
    if rest and out is not None:
        say(f"These are the best {len(table)} of {ranking.rows} rows; {out} holds all of them.")
    elif rest:
        say(
            f"These are the best {len(table)} of {ranking.rows} rows. Write all of them with --out FILE, or show more "
            "with --top."
        )


def _with_context(batches: Iterable[Any], options: dict[str, Any]) -> Iterator[Any]:
    """Yield batches with their catalogue context, from the bundled list and the clusters of a catalogue."""
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
    """Keep the best `most` rows of a table that comes in batches; None for all."""

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
        """Take batches until there are enough rows."""
        for _ in batches:
            if self._most is not None and sum(map(len, self._kept)) >= self._most:
                return

    def table(self) -> Any:
        import pandas as pd

        return pd.concat(self._kept, ignore_index=True)


def _models(target: str, model: str) -> tuple[str, ...]:
    """Names of the models that score for `target`."""
    return {"galaxy-cluster": (model,), "cluster-cluster": (target,), "joint": (model, "cluster-cluster")}[target]
