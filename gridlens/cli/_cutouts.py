"""`gridlens cutouts`: cut clusters out of survey images, or convert cutouts of any format."""

import time
from typing import Any

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import catalog_options, engine_options, image_options, reading_options
from gridlens.cli._runs import interruptible, run_options, tell, tell_complete
from gridlens.cli._sources import check_sources, source_of

__all__ = ["cutouts"]


@click.command(
    short_help="Cut clusters out of survey images.",
    epilog="Example: gridlens cutouts --catalog clusters.csv --image g=coadds/g --image r=coadds/r --image i=coadds/i "
    "--size 64arcsec --npix 128 --out cutouts/",
)
@click.argument("paths", nargs=-1)
@catalog_options()
@image_options
@click.option(
    "--out",
    required=True,
    metavar="FOLDER",
    help="New or empty folder for the cutouts and for cutouts.csv, which has a row for each cluster.",
)
@click.option(
    "--format",
    type=click.Choice(["npz", "fits"]),
    default="npz",
    show_default=True,
    help="Output format: npz shards, which keep all information on each cutout, or one FITS file per cutout.",
)
@engine_options
@reading_options
def cutouts(
    paths: tuple[str, ...],
    out: str,
    format: str,
    engine: str,
    scheduler: str | None,
    jobs: int,
    resume: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Cut each cluster of a --catalog out of the --image files of three bands, onto a common pixel grid.

    The resampling conserves flux. With PATHS instead of --image (files, folders, globs), existing cutouts of any format
    are converted to npz shards or FITS.

    A cluster that is not covered by the images or has no position, and a cutout that cannot be read, are listed in
    cutouts.csv with the reason. They never stop the run.
    """
    check_sources(paths, options)
    from gridlens.engine import write_cutouts
    from gridlens.engine._cutouts import check_folder

    check_folder(out, resume=resume, overwrite=overwrite)
    source = source_of(paths, options)
    start = time.perf_counter()
    with interruptible(out), progress_bar("Writing", source.n) as advance:
        run = run_options(engine, scheduler, jobs, resume, overwrite)
        made = write_cutouts(source, out, format=format, progress=advance, **run)  # type: ignore[arg-type]
    if made is None:
        tell_complete(out)
        return
    tell("cutouts", made.rows, made.rejected, made.resumed, time.perf_counter() - start, out)
