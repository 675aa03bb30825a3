"""`gridlens score`: the main job."""

import time
from collections.abc import Iterator
from typing import Any

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import Prevalence, catalog_options, image_options, reading_options

__all__ = ["score"]


@click.command(
    short_help="Score cutouts and rank them.",
    epilog="Example: gridlens score cutouts/ --catalog clusters.csv --out scores.parquet",
)
@click.argument("paths", nargs=-1)
@click.option(
    "--out",
    metavar="FILE",
    help="Write the whole table: .csv, .parquet, .fits or .votable. Without it the table goes to stdout.",
)
@click.option("--top", type=click.IntRange(min=1), metavar="K", help="Print the K best only; a file holds all rows.")
@click.option(
    "--prevalence",
    type=Prevalence("estimate"),
    default=1e-3,
    show_default=True,
    help="Share of lenses among such clusters, or 'estimate' to read it off the scores. It moves p_lens and changes no "
    "rank.",
)
@catalog_options()
@image_options
@click.option(
    "--model",
    default="default",
    show_default=True,
    metavar="BUNDLE",
    help="The bundled model, or a folder or .zip file that `gridlens train` wrote.",
)
@click.option(
    "--target",
    type=click.Choice(["galaxy-cluster", "cluster-cluster", "joint"]),
    default="galaxy-cluster",
    show_default=True,
    help="Galaxies behind the cluster, another cluster behind it, or either, ranked by p_any. Of the second no real "
    "example is known.",
)
@click.option("--jobs", type=int, default=-1, show_default=True, help="Threads; -1 for all processors.")
@reading_options
def score(
    paths: tuple[str, ...],
    out: str | None,
    top: int | None,
    prevalence: Any,
    catalog: str | None,
    columns: dict[str, str],
    images: dict[str, list[str]],
    size: str,
    npix: int,
    match_psf: bool,
    seeing: Any,
    model: str,
    target: str,
    jobs: int,
    pixel_scale: float | None,
    bands: str | None,
    zeropoint: Any,
    survey: str | None,
    uncalibrated: bool,
) -> None:
    """Score the cutouts in PATHS (files, folders, globs) and rank them by the probability of a strong lens.

    With --image instead of PATHS, the clusters of the --catalog are cut out of survey images and scored at once.

    A cutout that cannot be read or measured becomes a row with the status "rejected" and the reason; it never stops the
    rest.
    """
    if bool(paths) == bool(images):
        raise click.UsageError("Name the cutouts, PATHS, or survey images with --image, one of the two.")
    if images and catalog is None:
        raise click.UsageError("--image needs a --catalog of the clusters that are to be cut out.")
    if images and (pixel_scale is not None or bands is not None or uncalibrated):
        raise click.UsageError("--pixel-scale, --bands and --uncalibrated describe cutouts; images have a WCS.")
    if target != "galaxy-cluster" and model != "default":
        raise click.UsageError("--target picks bundled models; name one of your own with --model alone.")
    if target == "joint" and prevalence == "estimate":
        raise click.UsageError("--prevalence estimate is for one kind of lens; --target joint has two.")
    from gridlens._tables import check_writable, print_table, write_table

    if out is not None:
        check_writable(out)
    from gridlens.cutouts import CutoutBatch, count_cutouts, extract_batches, read_batches, read_catalog
    from gridlens.engine import score_batches, score_joint
    from gridlens.models import load_model

    if images:
        clusters = read_catalog(catalog, columns=columns)
        extracted = extract_batches(
            clusters,
            images,
            size=size,
            npix=npix,
            survey=survey,
            zeropoint=zeropoint,
            match_psf=match_psf,
            seeing=seeing,
        )
        batches: Iterator[Any] = (CutoutBatch(batch.cutouts, batch.failures) for batch in extracted)
        total: int | None = len(clusters)
    else:
        batches = read_batches(
            list(paths),
            catalog=catalog,
            columns=columns,
            pixel_scale=pixel_scale,
            bands=bands,
            zeropoint=zeropoint,
            survey=survey,
            uncalibrated=uncalibrated,
        )
        total = count_cutouts(list(paths), uncalibrated=uncalibrated, survey=survey)
    detectors = [load_model(name) for name in _models(target, model)]
    for detector in detectors:
        detector.n_jobs = jobs
    assumed = (
        "the prevalence estimated from the scores" if prevalence == "estimate" else f"a prevalence of {prevalence:g}"
    )
    names = " and ".join(_models(target, model))
    click.echo(f"gridlens: model {names}, probabilities at {assumed}, score at even prevalence", err=True)
    start = time.perf_counter()
    with progress_bar("Scoring", total) as advance:
        if target == "joint":
            table = score_joint(detectors[0], detectors[1], batches, prevalence=prevalence, progress=advance)
        else:
            table = score_batches(detectors[0], batches, prevalence=prevalence, progress=advance)
    seconds = time.perf_counter() - start
    if prevalence == "estimate":
        click.echo(
            f"prevalence estimated: {table.attrs['prevalence_estimate']}; p_lens is at {table.attrs['prevalence']:.3g}",
            err=True,
        )
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


def _models(target: str, model: str) -> list[str]:
    """Names of the models that score for `target`."""
    return {"galaxy-cluster": [model], "cluster-cluster": [target], "joint": [model, "cluster-cluster"]}[target]
