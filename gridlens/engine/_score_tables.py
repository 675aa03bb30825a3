"""Score tables, and sources of cutouts or features that a model scores first."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pandas as pd

from gridlens._fits_headers import check_file
from gridlens._table_files import open_table
from gridlens._table_source import TableError
from gridlens._tables import read_table
from gridlens.cutouts._conventions import PathsLike
from gridlens.cutouts._file_names import split_suffix
from gridlens.errors import GridlensError
from gridlens.features._cache import is_feature_cache
from gridlens.sources import Source, open_source
from gridlens.sources._stamps import frame_digest

__all__ = ["Scores", "ScoresLike", "is_table", "open_scores"]

ScoresLike: TypeAlias = pd.DataFrame | PathsLike | Source
"""a score table or its path, or inputs for a model: paths of cutouts or of feature caches, or a source"""

_COLUMNS = {"id", "score"}


class Scores(NamedTuple):
    """A score table, or the source that a model scores; the other one is None."""

    table: pd.DataFrame | None
    source: Source | None
    record: Any
    """the path of a table, None for a DataFrame, the path of a source that has one, or else its record"""

    def digest(self) -> str:
        """Return a digest of the table, or of the identity of the source."""
        if self.table is not None:
            return frame_digest(self.table)
        assert self.source is not None
        return hashlib.sha256(repr(sorted(self.source.identity().items())).encode()).hexdigest()


def open_scores(
    scores: ScoresLike | None, against: ScoresLike | None, options: Mapping[str, Any]
) -> tuple[Scores, Scores | None]:
    """Read or open scores, and the scores to compare with.

    A path is recognized as a table by its suffix. A .parquet file is a feature cache if it is marked as one. A .fits
    file with an image is a cutout, unless it also has a table with the columns `id` and `score`.

    Parameters
    ----------
    scores : DataFrame, path, paths, Source or None
        None if survey images are given as an option.
    against : as `scores`
        None means no comparison.
    options : mapping of str to object
        Options of `open_source`, for scores given as paths of cutouts.

    Raises
    ------
    GridlensError
        A table cannot be read, tables are mixed with other paths, options are given without cutouts to read, or
        `open_source` rejects the paths or the options.
    TypeError
        There are neither `scores` nor survey images, or an option is unknown.
    """
    scores, against = _listed(scores), _listed(against)
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    if scores is None and "images" not in given:
        raise TypeError("One of the parameters 'scores' and 'images' must be given. Got neither.")
    reading = [scores is None or _names_cutouts(scores), against is not None and _names_cutouts(against)]
    if given and not any(reading):
        names = ", ".join(f"{name}=" for name in given)
        raise GridlensError(
            "Score tables, feature caches and open sources do not accept options for reading cutouts. Got "
            f"{names} with them. Remove the options, or use the cutouts instead of the scores."
        )
    first = _opened("scores", scores, given if reading[0] else {})
    return first, None if against is None else _opened("against", against, given if reading[1] else {})


def _listed(scores: Any) -> Any:
    """Return scores, with multiple paths as a list."""
    single = scores is None or isinstance(scores, pd.DataFrame | str | os.PathLike) or hasattr(scores, "partitions")
    return scores if single else list(scores)


def _opened(name: str, scores: ScoresLike | None, options: Mapping[str, Any]) -> Scores:
    if isinstance(scores, pd.DataFrame):
        return Scores(scores, None, None)
    if isinstance(scores, str | os.PathLike):
        path = os.fspath(scores)
        if is_table(path):
            return Scores(read_table(path), None, path)
        return Scores(None, open_source(path, **options), path)
    tables = [path for path in _paths(scores) if is_table(path)]
    if tables:
        raise GridlensError(
            f"The {name!r} parameter must be one score table, or cutouts or feature caches. Got {tables[0]!r} among "
            "other paths instead. Merge the tables into one, or remove them."
        )
    source = open_source(scores, **options)
    return Scores(None, source, source.record)


def _names_cutouts(scores: ScoresLike) -> bool:
    """Return whether scores are given as paths of cutouts, which accept options for reading."""
    return any(not is_table(path) and not path.lower().endswith(".parquet") for path in _paths(scores))


def _paths(scores: ScoresLike | None) -> list[str]:
    """Return the paths of scores; an empty list for a DataFrame or a source."""
    if isinstance(scores, str | os.PathLike):
        return [os.fspath(scores)]
    return [os.fspath(path) for path in scores] if isinstance(scores, list) else []


def is_table(path: str) -> bool:
    """Return whether a path is a score table rather than cutouts or a feature cache."""
    suffix = Path(path).suffix.lower()
    if not suffix or os.path.isdir(path) or (glob.has_magic(path) and not os.path.exists(path)):
        return False
    if suffix == ".parquet":
        return not is_feature_cache(path)
    if suffix == ".fits":
        return not _holds_image(path) or _holds_scores(path)
    return split_suffix(path) is None


def _holds_image(path: str) -> bool:
    """Return whether a FITS file holds an image; damage after the first image is left to the reader."""
    images: list[tuple[int, int]] = []
    try:
        with open(path, "rb") as file:
            check_file(file, os.path.getsize(path), lambda *shape: images.append(shape))
    except (OSError, EOFError, GridlensError):
        pass
    return bool(images)


def _holds_scores(path: str) -> bool:
    def rank(names: Any) -> int:
        return len(_COLUMNS.intersection(names))

    try:
        with open_table(path, rank, remarks=False) as table:
            return _COLUMNS.issubset(table.names)
    except (OSError, TableError):
        return False
