"""Where a command's cutouts come from: files, survey images, or features that were measured before."""

from typing import Any

import click

from gridlens.errors import GridlensError

__all__ = ["check_sources", "open_source"]

# Options of cutting clusters out of images alone, and of reading cutouts alone.
_CUTTING = ("size", "npix", "match_psf", "seeing")
_READING = ("pixel_scale", "bands", "uncalibrated")


def check_sources(paths: tuple[str, ...], options: dict[str, Any]) -> None:
    """End in a usage error where the options of catalogues, images and reading do not go together."""
    if bool(paths) == bool(options["images"]):
        raise click.UsageError("Name the cutouts, PATHS, or survey images with --image, one of the two.")
    if options["images"] and options["catalog"] is None:
        raise click.UsageError("--image needs a --catalog of the clusters that are to be cut out.")
    if options["images"] and any(_is_given(options[name]) for name in _READING):
        raise click.UsageError("--pixel-scale, --bands and --uncalibrated describe cutouts; images have a WCS.")


def open_source(paths: tuple[str, ...], options: dict[str, Any]) -> Any:
    """The source that the options of catalogues, images and reading describe."""
    caches = [path for path in paths if path.lower().endswith(".parquet")]
    if caches:
        return _open_caches(paths, caches, options)
    from gridlens.sources import FileSource, ImageSource

    shared = {name: options[name] for name in ("columns", "survey", "zeropoint")}
    if options["images"]:
        cutting = {name: options[name] for name in _CUTTING}
        return ImageSource(options["catalog"], options["images"], **shared, **cutting)
    reading = {name: options[name] for name in _READING}
    return FileSource(list(paths), catalog=options["catalog"], max_size=options["max_size"], **shared, **reading)


def _open_caches(paths: tuple[str, ...], caches: list[str], options: dict[str, Any]) -> Any:
    from gridlens.sources import CacheSource

    if len(caches) < len(paths):
        raise GridlensError("Feature caches and cutouts do not go into one table. Give them in two commands.")
    if any(_is_given(options[name]) for name in ("catalog", "survey", "zeropoint", *_READING)):
        raise GridlensError(
            "A feature cache holds what was measured, metadata too: options on the reading of cutouts change nothing "
            "in it. Leave them out, or give them to `gridlens features`."
        )
    return CacheSource(caches)


def _is_given(option: Any) -> bool:
    return option is not None and option is not False
