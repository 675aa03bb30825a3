"""`gridlens cutouts`: from survey images and a catalogue to cutouts."""

import time
from typing import Any, Literal

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import SurveyName, Zeropoint, catalog_options, image_options

__all__ = ["cutouts"]


@click.command(
    short_help="Cut clusters out of survey images.",
    epilog="Example: gridlens cutouts --catalog clusters.csv --image g=coadds/g --image r=coadds/r --image i=coadds/i "
    "--size 64arcsec --npix 128 --out cutouts/",
)
@catalog_options(required=True)
@image_options
@click.option(
    "--out",
    required=True,
    metavar="FOLDER",
    help="New or empty folder for the cutouts and cutouts.csv, which has a row for each cluster.",
)
@click.option(
    "--format",
    type=click.Choice(["npz", "fits"]),
    default="npz",
    show_default=True,
    help="npz shards, or one FITS file a cutout, with its WCS.",
)
@click.option(
    "--zeropoint",
    type=Zeropoint(),
    help="AB zero points that go before those in the headers: 27 or g=27,r=26.5,i=26.",
)
@click.option(
    "--survey",
    type=SurveyName(),
    help="Survey whose zero points, seeing and depth fill what the headers lack.",
)
def cutouts(
    catalog: str,
    columns: dict[str, str],
    images: dict[str, list[str]],
    size: str,
    npix: int,
    out: str,
    format: Literal["npz", "fits"],
    survey: str | None,
    zeropoint: Any,
    match_psf: bool,
    seeing: Any,
) -> None:
    """Cut each cluster of a catalogue out of the images of three bands, onto one pixel grid, flux conserved.

    A cluster that is on no image, or whose position is unknown, becomes a row of cutouts.csv with the reason; it never
    stops the rest.
    """
    from gridlens._files import check_new_folder
    from gridlens.cutouts.catalogs import read_catalog
    from gridlens.cutouts.images import extract_batches, write_extracted

    check_new_folder(out)
    clusters = read_catalog(catalog, columns=columns)
    batches = extract_batches(
        clusters,
        images,
        size=size,
        npix=npix,
        survey=survey,
        zeropoint=zeropoint,
        match_psf=match_psf,
        seeing=seeing,
    )
    start = time.perf_counter()
    with progress_bar("Cutting", len(clusters)) as advance:
        table = write_extracted(out, batches, format=format, progress=advance)
    seconds = time.perf_counter() - start
    failed = int((table["status"] == "rejected").sum())
    rate = len(table) / seconds if seconds > 0.0 else float("inf")
    click.echo(
        f"{len(table) - failed} cutouts, {failed} clusters without; {rate:.0f} a second; written to {out}", err=True
    )
