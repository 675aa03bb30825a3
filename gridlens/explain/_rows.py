"""The cutouts of some rows of a table of scores, read again for their pictures."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd

from gridlens._file_names import existing_paths
from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.features import Measured
from gridlens.sources import Source, open_source
from gridlens.sources._selection import Selection

__all__ = ["read_rows"]

# More would read a survey again for a few pictures.
_MOST_PARTITIONS = 64


def read_rows(rows: pd.DataFrame, source: Source | None = None, **options: Any) -> list[CutoutSet]:
    """Read the cutouts of rows, as far as they can be read; those that cannot be are left out.

    Parameters
    ----------
    rows : DataFrame
        With the column `id`, and with `path` where no source is given.
    source : Source, default=None
        Where the cutouts are found by their ids. None reads the files in the column `path`.
    **options
        Further parameters of `open_source`.

    Returns
    -------
    list of CutoutSet
        In any order; empty if there are no pixels, as in a feature cache.
    """
    named = rows["path"].dropna().astype(str).unique() if "path" in rows else ()
    paths = [path for text in named for path in existing_paths(text) if os.path.exists(path)]
    found: list[CutoutSet] = []
    try:
        if source is None:
            if not paths:
                return []
            source = open_source(paths, **options)
        chosen = Selection(source, rows["id"].astype(str), paths)
        if len(chosen.partitions()) > _MOST_PARTITIONS:
            return []
        for partition in chosen.partitions():
            batches = [batch for batch in chosen.read(partition) if not isinstance(batch, Measured)]
            found += [batch.cutouts for batch in batches if batch.cutouts is not None]
    except GridlensError:
        # A report is written without pictures rather than not at all: the files may have moved since.
        return found
    return found
