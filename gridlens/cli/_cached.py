"""Scores from a table, or from features that were measured before."""

from __future__ import annotations

import pandas as pd

from gridlens._progress import progress_bar
from gridlens._tables import read_table
from gridlens.features import is_feature_cache

__all__ = ["scores_of"]


def scores_of(path: str, model: str, prevalence: float) -> pd.DataFrame:
    """The table of scores at `path`; of a feature cache, the table that `model` makes of it.

    Raises
    ------
    GridlensError
        The file cannot be read, the cache is of another contract version, or a member of the model looks at cutouts.
    """
    if not is_feature_cache(path):
        return read_table(path)
    from gridlens.engine import ranked_scores
    from gridlens.sources import CacheSource

    source = CacheSource(path)
    with (
        progress_bar("Scoring", source.n) as advance,
        ranked_scores(source, models=(model,), prevalence=prevalence, progress=advance) as ranking,
    ):
        assert ranking is not None  # only an output can be complete
        return pd.concat(list(ranking.pieces), ignore_index=True)
