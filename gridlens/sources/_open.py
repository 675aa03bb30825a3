"""`open_source`: the source that a user names."""

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
    """Open the source of cutouts that the arguments describe.

    Parameters
    ----------
    source : str, path, list of them or Source, default=None
        Files, folders and globs of cutouts give a `FileSource`, feature caches (.parquet) a `CacheSource`. A source is
        returned as it is.
    catalog, columns
        As in `CutoutSet.read`.
    keep_columns : sequence of str, default=()
        Columns of the catalogue that follow each cutout into a table of scores, as the catalogue has them. With them
        feature caches take a catalogue, whose rows are found by id or position.
    images : mapping of "g", "r" and "i" to a path or paths, default=None
        Survey images, instead of `source`, from which the clusters of `catalog` are cut: an `ImageSource`.
    **options
        Fields of `ReadOptions`; with `images`, fields of `CutOptions`.

    Returns
    -------
    Source

    Raises
    ------
    CutoutError
        Nothing is found, or an option is invalid.
    GridlensError
        Sources of several kinds are named, `images` have no `catalog`, a catalogue or cache cannot be read, or a cache
        or source comes with options for the reading of files.
    TypeError
        Neither `source` nor `images` is given, `source` is no path and no source, or an option is unknown.

    Examples
    --------
    >>> from gridlens.sources import open_source
    >>> open_source("cutouts/", catalog="clusters.csv", survey="hsc")  # doctest: +SKIP
    >>> bands = {band: f"coadds/{band}/" for band in "gri"}
    >>> open_source(catalog="clusters.csv", images=bands, size="64arcsec")  # doctest: +SKIP
    """
    if keep_columns and catalog is None:
        raise GridlensError("The 'keep_columns' parameter needs the catalogue with the columns: catalog=FILE.")
    if images is not None:
        if source is not None:
            raise GridlensError(
                "The 'source' parameter must be None with images=. Got both; score cutouts and survey images in two "
                "calls."
            )
        if catalog is None:
            raise GridlensError("The 'images' parameter needs the clusters to cut out. State them with catalog=FILE.")
        return ImageSource(
            catalog, images, columns=columns, keep_columns=keep_columns, options=options_of(CutOptions, options)
        )
    if source is None:
        raise TypeError("One of the parameters 'source' and 'images' must be given. Got neither.")
    others = {"catalog": catalog, "columns": columns or None, "keep_columns": keep_columns or None, **options}
    if not isinstance(source, str | os.PathLike) and callable(getattr(source, "partitions", None)):
        _refuse_options(others, "A source that is open already")
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
            "The 'source' parameter must name cutouts or feature caches. Got both, and they do not go into one table: "
            "give them in two calls."
        )
    # A catalogue that is named for its columns changes no metadata.
    _refuse_options(
        options if keep_columns else others, "A feature cache holds measured cutouts with their metadata, and"
    )
    return CacheSource(caches, catalog=catalog, columns=columns, keep_columns=keep_columns)


def _sorted_by_kind(paths: list[str]) -> tuple[list[str], list[str]]:
    """Return the feature caches, globs expanded, and the other paths."""
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
            f"{what} takes no options for the reading of cutouts. Got {', '.join(given)}; leave them out, or give them "
            "where the cutouts are read."
        )
