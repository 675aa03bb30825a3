"""Two kinds of lenses in one table: galaxies, or a cluster, behind a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from gridlens.calibration import shift_prior
from gridlens.cutouts import CutoutBatch
from gridlens.detector import EVEN, LensDetector, order_table
from gridlens.engine._local import gather
from gridlens.features import measure

__all__ = ["score_joint"]


def score_joint(
    galaxy_cluster: LensDetector,
    cluster_cluster: LensDetector,
    batches: Iterable[CutoutBatch],
    *,
    prevalence: float = 1e-3,
    progress: Callable[[int], Any] | None = None,
) -> pd.DataFrame:
    """Score batches of cutouts for both kinds of lenses, and rank them by the probability of either.

    ``p_any = 1 - (1 - p_gc) (1 - p_cc)``: as if the two kinds were independent of each other.

    Parameters
    ----------
    galaxy_cluster, cluster_cluster : LensDetector
        Fitted on lensed galaxies, and on lensed clusters.
    batches : iterable of CutoutBatch
        As `gridlens.cutouts.read_batches` yields them.
    prevalence : float, default=1e-3
        Share of lenses of each kind among such clusters, between 0 and 1. Here it moves ranks too.
    progress : callable, optional
        Called with the number of cutouts that were finished since the last call.

    Returns
    -------
    DataFrame
        The table of `LensDetector.score_cutouts` for the first detector, best `p_any` first, with `p_any`, `p_gc` and
        `p_cc` in place of `p_lens` and its interval, and `score_gc` and `score_cc` in place of `score`.

    Raises
    ------
    ValueError
        `prevalence` is not between 0 and 1.
    """
    second: list[np.ndarray] = []

    def rows_of(cutouts: Any) -> pd.DataFrame:
        measured = measure(cutouts, "all", galaxy_cluster.n_jobs)
        second.append(cluster_cluster.score_measured(measured, cutouts)["score"].to_numpy())
        return galaxy_cluster.score_measured(measured, cutouts)

    rows = gather(rows_of, galaxy_cluster.member_names_, batches, progress)
    scores = {"gc": rows["score"].to_numpy(dtype=np.float64), "cc": np.full(len(rows), np.nan)}
    # Rows of files that could not be read were never scored, and lie between the others.
    scores["cc"][rows.pop("scored").to_numpy(dtype=bool)] = np.concatenate([np.empty(0), *second])
    p = {name: shift_prior(values, EVEN, prevalence) for name, values in scores.items()}
    p_any = 1.0 - (1.0 - p["gc"]) * (1.0 - p["cc"])
    table = rows.drop(columns=["score_low", "score_high"])
    place = list(table.columns).index("score")
    table = table.drop(columns="score")
    ranked = {
        "p_any": p_any,
        "p_gc": p["gc"],
        "p_cc": p["cc"],
        "prevalence": np.full(len(rows), prevalence),
        "score_gc": scores["gc"],
        "score_cc": scores["cc"],
    }
    for k, (name, values) in enumerate(ranked.items()):
        table.insert(place + k, name, values)
    table = order_table(table, "p_any", after="score_cc")
    table.attrs["prevalence"] = prevalence
    return table
