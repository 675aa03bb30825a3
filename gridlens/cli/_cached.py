"""Scores from a table, or from features that were measured before."""

from __future__ import annotations

import pandas as pd

from gridlens._progress import progress_bar
from gridlens._tables import read_table
from gridlens.detector import rank_table
from gridlens.features import FeatureCache, is_feature_cache, measured_failures

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
    from gridlens.models import load_model

    cache, detector = FeatureCache(path), load_model(model)
    # No rows make a table too, of no rows.
    parts = [detector.score_measured(measured_failures([]))] if not len(cache) else []
    with progress_bar("Scoring", len(cache)) as advance:
        for measured in cache.batches():
            parts.append(detector.score_measured(measured))
            advance(len(measured.ids))
    return rank_table(pd.concat(parts, ignore_index=True), prevalence)
