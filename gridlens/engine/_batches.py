"""Score a stream of batches in this process, into one table in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from gridlens.cutouts import CutoutBatch, CutoutFlag
from gridlens.cutouts._flags import flag_message
from gridlens.cutouts._order import order_warning
from gridlens.detector import LensDetector
from gridlens.engine._scorers import Prevalence, Scorer, SingleScorer
from gridlens.features import Measured, measure

__all__ = ["mark_duplicates", "score_all", "score_batches"]

_Progress = Callable[[int], Any] | None


def score_batches(
    detector: LensDetector,
    batches: Iterable[CutoutBatch],
    *,
    prevalence: Prevalence = 1e-3,
    progress: _Progress = None,
) -> pd.DataFrame:
    """Score batches of cutouts, which may differ in size, into one ranked table.

    Parameters
    ----------
    detector : LensDetector
        Fitted detector.
    batches : iterable of CutoutBatch
        As yielded by `gridlens.cutouts.read_batches`; one batch is held in memory at a time.
    prevalence : float or "estimate", default=1e-3
        As in `LensDetector.score_cutouts`.
    progress : callable, optional
        Called with the number of cutouts finished since the last call.

    Returns
    -------
    DataFrame
        The table of `LensDetector.score_cutouts`; unreadable files are rows with the status "rejected".

    See Also
    --------
    score_files : Score any number of files in several processes, with the table on disk.

    Examples
    --------
    >>> from gridlens import load_model
    >>> from gridlens.cutouts import read_batches
    >>> table = score_batches(load_model(), read_batches("cutouts/"))  # doctest: +SKIP
    """
    return score_all(SingleScorer(detector), detector.n_jobs, batches, prevalence, progress)


def score_all(
    scorer: Scorer, n_jobs: int | None, batches: Iterable[CutoutBatch], prevalence: Prevalence, progress: _Progress
) -> pd.DataFrame:
    """Measure batches of cutouts in `n_jobs` threads, and return the ranked table of a scorer."""
    parts = [scorer.rows(Measured.of_failures([]))]
    for cutouts, failures in batches:
        if cutouts is not None:
            parts.append(scorer.rows(measure(cutouts, "all", n_jobs)))
        if failures:
            parts.append(scorer.rows(Measured.of_failures(failures)))
        if progress is not None:
            progress((0 if cutouts is None else len(cutouts)) + len(failures))
    kept = [part for part in parts if len(part)] or parts
    rows = pd.concat(kept, ignore_index=True)
    mark_duplicates(rows, rows["id"].duplicated().to_numpy())
    usable = rows["flags"][rows["status"] == "ok"].to_numpy(dtype=np.int64)
    if warning := order_warning(int(np.count_nonzero(usable & CutoutFlag.BAND_ORDER)), len(usable)):
        warnings.warn(warning, UserWarning, stacklevel=3)
    value, said = scorer.settle(rows, prevalence)
    table = scorer.ranked(rows, value)
    table.attrs.update(scorer.attrs)
    table.attrs["prevalence"] = value
    if said is not None:
        table.attrs["prevalence_estimate"] = said
    return table


def mark_duplicates(rows: pd.DataFrame, again: Any) -> None:
    """Flag rows whose id repeats an earlier one (`again` (n,) is true) in place; they keep their scores."""
    new = again & (rows["flags"].to_numpy() & CutoutFlag.DUPLICATE == 0)
    rows.loc[new, "flags"] |= int(CutoutFlag.DUPLICATE)
    rows.loc[new, "message"] = (rows["message"][new] + " " + flag_message(CutoutFlag.DUPLICATE)).str.strip()
