"""`gridlens score`: the main job."""

import time
from typing import Any

import click

from gridlens.cli._options import Prevalence, reading_options
from gridlens.cli._progress import progress_bar

__all__ = ["score"]


@click.command(
    short_help="Score cutouts and rank them.",
    epilog="Example: gridlens score cutouts/ --catalog clusters.csv --out scores.parquet",
)
@click.argument("paths", nargs=-1, required=True)
@click.option(
    "--out",
    metavar="FILE",
    help="Write the whole table: .csv, .parquet, .fits or .votable. Without it the table goes to stdout.",
)
@click.option("--top", type=click.IntRange(min=1), metavar="K", help="Print the K best only; a file holds all rows.")
@click.option(
    "--prevalence",
    type=Prevalence(),
    default=1e-3,
    show_default=True,
    help="Share of lenses among such clusters. It moves p_lens and changes no rank.",
)
@click.option(
    "--catalog",
    metavar="FILE",
    help="Clusters to join on id or sky position, for metadata and BCG positions: csv, ECSV, FITS table or VOTable.",
)
@click.option(
    "--model",
    default="default",
    show_default=True,
    metavar="BUNDLE",
    help="The bundled model, or a folder that `gridlens train` wrote.",
)
@click.option("--jobs", type=int, default=-1, show_default=True, help="Threads; -1 for all processors.")
@reading_options
def score(
    paths: tuple[str, ...],
    out: str | None,
    top: int | None,
    prevalence: float,
    catalog: str | None,
    model: str,
    jobs: int,
    pixel_scale: float | None,
    bands: str | None,
    zeropoint: Any,
) -> None:
    """Score the cutouts in PATHS (files, folders, globs) and rank them by the probability of a strong lens.

    A cutout that cannot be read or measured becomes a row with the status "rejected" and the reason; it never stops the
    rest.
    """
    from gridlens._tables import check_writable, print_table, write_table

    if out is not None:
        check_writable(out)
    from gridlens.cutouts import count_cutouts, read_batches
    from gridlens.engine import score_batches
    from gridlens.models import load_model

    batches = read_batches(list(paths), catalog=catalog, pixel_scale=pixel_scale, bands=bands, zeropoint=zeropoint)
    detector = load_model(model)
    detector.n_jobs = jobs
    click.echo(f"gridlens: model {model}, p_lens at a prevalence of {prevalence:g}, score at even prevalence", err=True)
    start = time.perf_counter()
    with progress_bar("Scoring", count_cutouts(list(paths))) as advance:
        table = score_batches(detector, batches, prevalence=prevalence, progress=advance)
    seconds = time.perf_counter() - start
    if out is not None:
        write_table(table, out)
    if out is None or top is not None:
        print_table(table if top is None else table.head(top))
    rejected = int((table["status"] == "rejected").sum())
    rate = len(table) / seconds if seconds > 0.0 else float("inf")
    click.echo(
        f"{len(table) - rejected} scored, {rejected} rejected, {rate:.0f} cutouts per second"
        + (f"; written to {out}" if out is not None else ""),
        err=True,
    )
