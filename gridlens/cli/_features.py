"""`gridlens features`: measure cutouts once, to score and train many times."""

import time
from typing import Any

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import catalog_options, engine_options, image_options, reading_options
from gridlens.cli._runs import compile_kernels, interruptible, run_options, tell, tell_complete
from gridlens.cli._sources import check_sources, source_of

__all__ = ["features"]


@click.command(
    short_help="Measure cutouts and save their features.",
    epilog="Example: gridlens features cutouts/ --catalog clusters.csv --out features.parquet",
)
@click.argument("paths", nargs=-1)
@click.option("--out", required=True, metavar="FILE", help="Parquet file to write the 315 features to.")
@catalog_options()
@image_options
@engine_options
@reading_options
def features(
    paths: tuple[str, ...],
    out: str,
    engine: str,
    scheduler: str | None,
    jobs: int,
    resume: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Measure the cutouts in PATHS (files, folders, globs) and write the 315 features of each to a Parquet file.

    `gridlens score`, `train` and `evaluate` accept this file in place of cutouts. It records the version of the feature
    contract and is rejected by versions of gridlens with a different contract. A cutout that cannot be read or measured
    has a row with the reason.
    """
    check_sources(paths, options)
    from gridlens._tables import check_writable
    from gridlens.engine import measure_files
    from gridlens.errors import GridlensError

    if not out.lower().endswith(".parquet"):
        raise GridlensError(f"The output of `gridlens features` must end in .parquet. Got {out!r} instead.")
    check_writable(out)
    if any(path.lower().endswith(".parquet") for path in paths):
        raise GridlensError("A feature cache contains no cutouts to measure. Name the cutouts instead.")
    source = source_of(paths, options)
    total = source.n
    compile_kernels(source)
    start = time.perf_counter()
    with interruptible(out), progress_bar("Measuring", total) as advance:
        run = run_options(engine, scheduler, jobs, resume, overwrite)
        made = measure_files(source, out, progress=advance, **run)
    if made is None:
        tell_complete(out)
        return
    tell("measured", made.rows, made.rejected, made.resumed, time.perf_counter() - start, out)
