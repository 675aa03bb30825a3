"""Where a command's cutouts come from: files, survey images, or features that were measured before."""

from typing import Any

import click

from gridlens._errors import GridlensError

__all__ = ["check_sources", "open_source"]


def check_sources(
    paths: tuple[str, ...],
    images: dict[str, list[str]],
    catalog: str | None,
    pixel_scale: float | None,
    bands: str | None,
    uncalibrated: bool,
) -> None:
    """End in a usage error where options do not go together."""
    if bool(paths) == bool(images):
        raise click.UsageError("Name the cutouts, PATHS, or survey images with --image, one of the two.")
    if images and catalog is None:
        raise click.UsageError("--image needs a --catalog of the clusters that are to be cut out.")
    if images and (pixel_scale is not None or bands is not None or uncalibrated):
        raise click.UsageError("--pixel-scale, --bands and --uncalibrated describe cutouts; images have a WCS.")


def open_source(
    paths: tuple[str, ...],
    images: dict[str, list[str]],
    catalog: str | None,
    columns: dict[str, str],
    *,
    survey: str | None,
    zeropoint: Any,
    cut: dict[str, Any],
    read: dict[str, Any],
) -> tuple[Any, int | None]:
    """The source, and how many cutouts it holds if that is known.

    `cut` are the options of cutting alone, `read` those of reading alone.
    """
    caches = [path for path in paths if path.lower().endswith(".parquet")]
    if caches:
        return _open_caches(paths, caches, [catalog, survey, zeropoint, *read.values()])
    from gridlens.cutouts import ClusterCutter, CutoutReader, count_cutouts, read_catalog

    shared = {"columns": columns, "survey": survey, "zeropoint": zeropoint}
    if images:
        return ClusterCutter(catalog, images, **shared, **cut), len(read_catalog(catalog, columns=columns))
    reader = CutoutReader(list(paths), catalog=catalog, **shared, **read)
    return reader, count_cutouts(list(paths), uncalibrated=read["uncalibrated"], survey=survey)


def _open_caches(paths: tuple[str, ...], caches: list[str], options: list[Any]) -> tuple[Any, int]:
    from gridlens.engine import CachedFeatures

    if len(caches) < len(paths):
        raise GridlensError("Feature caches and cutouts do not go into one table. Give them in two commands.")
    if any(option is not None and option is not False for option in options):
        raise GridlensError(
            "A feature cache holds what was measured, metadata too: options on the reading of cutouts change nothing "
            "in it. Leave them out, or give them to `gridlens features`."
        )
    source = CachedFeatures(caches)
    return source, source.n
