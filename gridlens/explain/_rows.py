"""Cutouts of the rows of a table, found by their ids."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pandas as pd

from gridlens._file_names import existing_paths
from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.explain._remembered import NOT_REMEMBERED, Remembered
from gridlens.features import Measured
from gridlens.sources import Source, open_source
from gridlens.sources._selection import Selection

__all__ = ["read_rows", "selected_rows"]

# Reading more partitions would read a whole survey again for a few pictures.
_MOST_PARTITIONS = 64


def selected_rows(rows: pd.DataFrame, past: Remembered, stated: Mapping[str, Any]) -> Selection:
    """Return the rows of a table as a source, from the given cutouts or from the files of the table.

    Parameters
    ----------
    rows : DataFrame
        Table with the columns `id` and, if no cutouts are given, `path`.
    past : Remembered
        Origin of the table.
    stated : mapping of str to object
        Arguments of `open_source`, which take precedence.

    Raises
    ------
    GridlensError
        None of the files exists, or `open_source` rejects the arguments.
    """
    named = rows["path"].dropna().astype(str).unique() if "path" in rows else ()
    files = [existing_paths(text, past.folders) for text in named]
    there = [paths for paths in files if paths and all(map(os.path.exists, paths))]
    known = [path for paths in there for path in paths]
    arguments = past.with_stated(stated)
    if stated.get("source") is None and arguments.get("images") is None:
        arguments["source"] = known or arguments.get("source")
        if not arguments["source"]:
            gone = next((path for paths in files for path in paths if not os.path.exists(path)), "path")
            raise GridlensError(
                f"The cutouts of a table must still be at the paths in its column 'path'. There is no {gone!r}. Run "
                "this in the folder in which they were scored, or give the cutouts, or the survey images with "
                'catalog=FILE and images={"g": PATH, "r": PATH, "i": PATH}.'
            )
    return Selection(open_source(**arguments), rows["id"].astype(str), known)


def read_rows(
    rows: pd.DataFrame, source: Source | None = None, past: Remembered = NOT_REMEMBERED, **options: Any
) -> list[CutoutSet]:
    """Read the cutouts of rows; unreadable ones are omitted.

    Parameters
    ----------
    rows : DataFrame
        Table with the column `id`, and with `path` if no source is given.
    source : Source, default=None
        Source in which the cutouts are found by their ids. None means the files in the column `path`, or remembered
        survey images.
    past : Remembered, optional
        Origin of the table.
    **options
        Further parameters of `open_source`.

    Returns
    -------
    list of CutoutSet
        In any order; empty if there are no pixels, as in a feature cache.
    """
    found: list[CutoutSet] = []
    try:
        chosen = selected_rows(rows, past, {"source": source, **options})
        if len(chosen.partitions()) > _MOST_PARTITIONS:
            return []
        for partition in chosen.partitions():
            batches = [batch for batch in chosen.read(partition) if not isinstance(batch, Measured)]
            found += [batch.cutouts for batch in batches if batch.cutouts is not None]
    except GridlensError:
        # The files may have moved. A report without pictures is better than no report.
        return found
    return found
