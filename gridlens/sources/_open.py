"""The function `open_source`."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from typing import Any

from gridlens.cutouts._conventions import CatalogLike, PathsLike
from gridlens.cutouts._keywords import options_of
from gridlens.cutouts.images import CutOptions
from gridlens.cutouts.readers import ReadOptions
from gridlens.errors import GridlensError
from gridlens.sources._caches import CacheSource
from gridlens.sources._files import FileSource
from gridlens.sources._images import ImageSource
from gridlens.sources._source import Source

__all__ = ["open_source"]


def open_source(
    source: PathsLike | Source | None = None,
    *,
    catalog: CatalogLike | None = None,
    columns: Mapping[str, str] | None = None,
    keep_columns: Sequence[str] = (),
    images: Mapping[str, PathsLike] | None = None,
    **options: Any,
) -> Source:
    """Open the source of cutouts described by the arguments.

    Parameters
    ----------
    source : str, path, list of them or Source, default=None
        Files, folders and globs of cutouts give a `FileSource`, and feature caches (.parquet) a `CacheSource`. A
        `Source` is returned unchanged.
    catalog, columns
        As in `CutoutSet.read`.
    keep_columns : sequence of str, default=()
        Columns of the catalogue that are added unchanged to each cutout's row of a score table. With them, feature
        caches accept a catalogue, whose rows are matched by id or position.
    images : mapping of "g", "r" and "i" to a path or paths, default=None
        Survey images, instead of `source`, from which the clusters of `catalog` are extracted by an `ImageSource`.
    **options
        Fields of `ReadOptions`; with `images`, fields of `CutOptions`.

    Returns
    -------
    Source

    Raises
    ------
    CutoutError
        No file is found, or an option is invalid.
    GridlensError
        Sources of several kinds are given, `images` is given without `catalog`, a catalogue or cache cannot be read, or
        a cache or source is given with options for reading files.
    TypeError
        Neither `source` nor `images` is given, `source` is neither a path nor a source, or an option is unknown.

    Examples
    --------
    >>> from gridlens.sources import open_source
    >>> open_source("cutouts/", catalog="clusters.csv", survey="hsc")  # doctest: +SKIP
    >>> bands = {band: f"coadds/{band}/" for band in "gri"}
    >>> open_source(catalog="clusters.csv", images=bands, size="64arcsec")  # doctest: +SKIP
    """
    if keep_columns and catalog is None:
        raise GridlensError(
            "The 'keep_columns' parameter requires the catalogue that holds the columns. Give it with catalog=FILE."
        )
    if images is not None:
        if source is not None:
            raise GridlensError(
                "The 'source' parameter must be None if 'images' is given. Got both instead. Score cutouts and survey "
                "images in two calls."
            )
        if catalog is None:
            raise GridlensError(
                "The 'images' parameter requires the positions of the clusters. Give them with catalog=FILE."
            )
        return ImageSource(
            catalog, images, columns=columns, keep_columns=keep_columns, options=options_of(CutOptions, options)
        )
    if source is None:
        raise TypeError("One of the parameters 'source' and 'images' must be given. Got neither.")
    others = {"catalog": catalog, "columns": columns or None, "keep_columns": keep_columns or None, **options}
    if not isinstance(source, str | os.PathLike) and callable(getattr(source, "partitions", None)):
        _refuse_options(others, "An open source")
        return source  # type: ignore[return-value]
    paths = [source] if isinstance(source, str | os.PathLike) else list(source)  # type: ignore[arg-type]
    if not all(isinstance(path, str | os.PathLike) for path in paths):
        raise TypeError(
            f"The 'source' parameter must be a path, a list of paths or a Source. Got {type(source).__name__} instead. "
            "Score cutouts in memory with load_model().score_cutouts(CutoutSet(pixels, pixel_scale=ARCSEC))."
        )
    caches, cutouts = _sorted_by_kind([os.fspath(path) for path in paths])
    if not caches:
        reading = options_of(ReadOptions, options)
        return FileSource(cutouts, catalog=catalog, columns=columns, keep_columns=keep_columns, options=reading)
    if cutouts:
        raise GridlensError(
            "The 'source' parameter must name cutouts or feature caches. Got both instead. They cannot be combined in "
            "one table: use two calls."
        )
    # A catalogue given only for its columns does not change metadata.
    _refuse_options(
        options if keep_columns else others, "A feature cache holds measured cutouts with their metadata, and"
    )
    return CacheSource(caches, catalog=catalog, columns=columns, keep_columns=keep_columns)


def _sorted_by_kind(paths: list[str]) -> tuple[list[str], list[str]]:
    """Return the feature caches, with globs expanded, and the other paths."""
    caches: list[str] = []
    cutouts: list[str] = []
    for path in paths:
        found = [path]
        if path.lower().endswith(".parquet") and not os.path.exists(path):
            found = sorted(glob.glob(path, recursive=True)) or found
        for one in found:
            is_cache = one.lower().endswith(".parquet") and not os.path.isdir(one)
            (caches if is_cache else cutouts).append(one)
    return caches, cutouts


def _refuse_options(options: Mapping[str, Any], what: str) -> None:
    given = [name for name, value in options.items() if value is not None and value is not False]
    if given:
        raise GridlensError(
            f"{what} does not accept options for reading cutouts. Got {', '.join(given)}. Remove them, or use them "
            "where the cutouts are read."
        )
