"""Sources of cutouts for commands: files, survey images, or measured features."""

from dataclasses import fields
from typing import Any

import click

from gridlens._progress import progress_bar

__all__ = ["check_sources", "given_options", "pool_of", "source_of", "source_options", "stated_options"]


def check_sources(paths: tuple[str, ...], options: dict[str, Any]) -> None:
    """Raise a usage error if the options for catalogues, images and reading cannot be combined."""
    if bool(paths) == bool(options["images"]):
        raise click.UsageError("Name either cutouts with PATHS or survey images with --image.")
    if options["images"] and options["catalog"] is None:
        raise click.UsageError("--image needs a --catalog of the clusters to cut out.")
    if options["images"] and any(options[name] for name in ("pixel_scale", "bands", "uncalibrated")):
        raise click.UsageError(
            "--pixel-scale, --bands and --uncalibrated apply to cutouts and cannot be combined with --image."
        )


def given_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the current command, with None in place of defaults that the user did not give."""
    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT
    return {name: None if context.get_parameter_source(name) == default else value for name, value in options.items()}


def source_of(paths: tuple[str, ...], options: dict[str, Any]) -> Any:
    """Open the source described by the options for catalogues, images and reading."""
    from gridlens.sources import open_source

    # Listing a million files takes seconds.
    with progress_bar("Listing", None):
        return open_source(**source_options(paths, options))


def source_options(paths: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `open_source` for the options for catalogues, images and reading."""
    from gridlens.sources import CutOptions, ReadOptions

    images = options.get("images") or None
    chosen = stated_options(ReadOptions if images is None else CutOptions, options)
    shared = {"catalog": options["catalog"], "columns": options["columns"] or None}
    if options.get("keep_columns"):
        shared["keep_columns"] = options["keep_columns"]
    return {"source": list(paths) or None, "images": images, **shared, **chosen}


def pool_of(paths: tuple[str, ...], options: dict[str, Any]) -> Any:
    """Open a pool of cutouts without a catalogue; reading options apply to cutouts, not to feature caches."""
    from gridlens.sources import ReadOptions, open_source

    caches = all(path.lower().endswith(".parquet") for path in paths)
    return open_source(list(paths), **({} if caches else stated_options(ReadOptions, options)))


def stated_options(kind: type[Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the command-line options that are fields of `kind` and have a value."""
    stated = {field.name: options.get(field.name) for field in fields(kind)}
    return {name: value for name, value in stated.items() if value is not None and value is not False}
