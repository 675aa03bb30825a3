"""`gridlens features`: measure once, score and train many times."""

import time
from typing import Any

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import catalog_options, engine_options, image_options, reading_options
from gridlens.cli._sources import check_sources, open_source

__all__ = ["features"]


@click.command(
    short_help="Measure cutouts and keep their features.",
    epilog="Example: gridlens features cutouts/ --catalog clusters.csv --out features.parquet",
)
@click.argument("paths", nargs=-1)
@click.option("--out", required=True, metavar="FILE", help="Parquet file of the 315 columns.")
@catalog_options()
@image_options
@engine_options
@reading_options
def features(
    paths: tuple[str, ...],
    out: str,
    catalog: str | None,
    columns: dict[str, str],
    images: dict[str, list[str]],
    size: str,
    npix: int,
    match_psf: bool,
    seeing: Any,
    engine: str,
    scheduler: str | None,
    jobs: int,
    resume: bool,
    overwrite: bool,
    pixel_scale: float | None,
    bands: str | None,
    zeropoint: Any,
    survey: str | None,
    uncalibrated: bool,
) -> None:
    """Measure the cutouts in PATHS (files, folders, globs) and write the 315 features of each to a Parquet file.

    `gridlens score`, `train` and `evaluate` take the file in the place of cutouts. It names the version of the feature
    contract, and is refused under another one. A cutout that cannot be read or measured has a row that says why.
    """
    check_sources(paths, images, catalog, pixel_scale, bands, uncalibrated)
    from gridlens._errors import GridlensError
    from gridlens._tables import check_writable
    from gridlens.engine import measure_files, parts_folder

    if not out.lower().endswith(".parquet"):
        raise GridlensError(f"The output of `gridlens features` must end in .parquet. Got {out!r} instead.")
    check_writable(out)
    if any(path.lower().endswith(".parquet") for path in paths):
        raise GridlensError("A feature cache is measured already. Name the cutouts.")
    source, total = open_source(
        paths,
        images,
        catalog,
        columns,
        survey=survey,
        zeropoint=zeropoint,
        cut={"size": size, "npix": npix, "match_psf": match_psf, "seeing": seeing},
        read={"pixel_scale": pixel_scale, "bands": bands, "uncalibrated": uncalibrated},
    )
    start = time.perf_counter()
    try:
        with progress_bar("Measuring", total) as advance:
            made = measure_files(
                source,
                out,
                resume=resume,
                overwrite=overwrite,
                engine="dask" if scheduler is not None else engine,
                scheduler=scheduler,
                n_jobs=jobs,
                progress=advance,
            )
    except KeyboardInterrupt:
        if not parts_folder(out).is_dir():
            raise
        raise GridlensError(
            f"Interrupted. What is finished is kept in {parts_folder(out)}; the same command with --resume goes on."
        ) from None
    if made is None:
        click.echo(f"gridlens: {out} is complete, there is nothing left to do", err=True)
        return
    rate = (made.rows - made.resumed) / max(time.perf_counter() - start, 1e-9)
    click.echo(
        f"{made.rows - made.rejected} measured, {made.rejected} rejected, {rate:.0f} cutouts per second"
        + (f", {made.resumed} from an earlier run" if made.resumed else "")
        + f"; written to {out}",
        err=True,
    )
