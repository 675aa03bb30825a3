"""Score any number of cutouts in this process, a batch at a time."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd

from gridlens.cutouts import CutoutBatch, CutoutFlag, CutoutSet, ReadFailure, flag_message
from gridlens.detector import ARC_COLUMNS, LensDetector, rank_table

__all__ = ["gather", "score_batches"]


def score_batches(
    detector: LensDetector,
    batches: Iterable[CutoutBatch],
    *,
    prevalence: float | Literal["estimate"] = 1e-3,
    progress: Callable[[int], Any] | None = None,
) -> pd.DataFrame:
    """Score batches of cutouts, which may differ in size, into one ranked table.

    Parameters
    ----------
    detector : LensDetector
        Fitted.
    batches : iterable of CutoutBatch
        As `gridlens.cutouts.read_batches` yields them; one is held in memory at a time.
    prevalence : float or "estimate", default=1e-3
        As in `LensDetector.score_cutouts`.
    progress : callable, optional
        Called with the number of cutouts that were finished since the last call.

    Returns
    -------
    DataFrame
        The table of `LensDetector.score_cutouts`; files that could not be read are rows with the status "rejected".

    Examples
    --------
    >>> from gridlens import load_model
    >>> from gridlens.cutouts import read_batches
    >>> table = score_batches(load_model(), read_batches("cutouts/"))  # doctest: +SKIP
    """
    rows = gather(detector.score_rows, detector.member_names_, batches, progress)
    return rank_table(rows.drop(columns="scored"), prevalence)


def gather(
    score_rows: Callable[[CutoutSet], pd.DataFrame],
    members: list[str],
    batches: Iterable[CutoutBatch],
    progress: Callable[[int], Any] | None,
) -> pd.DataFrame:
    """Rows of all batches in their order, those of files that failed among them: these are not `scored`."""
    parts = []
    for cutouts, failures in batches:
        if cutouts is not None:
            parts.append(score_rows(cutouts).assign(scored=True))
        if failures:
            parts.append(_rejected_rows(failures, members).assign(scored=False))
        if progress is not None:
            progress((0 if cutouts is None else len(cutouts)) + len(failures))
    if not parts:
        parts = [_rejected_rows([], members).assign(scored=False)]
    return _mark_duplicates(pd.concat(parts, ignore_index=True))


def _mark_duplicates(rows: pd.DataFrame) -> pd.DataFrame:
    """Flag the rows whose id an earlier row has; they keep their scores."""
    again = rows["id"].duplicated().to_numpy() & (rows["flags"].to_numpy() & CutoutFlag.DUPLICATE == 0)
    rows.loc[again, "flags"] |= int(CutoutFlag.DUPLICATE)
    rows.loc[again, "message"] = (rows["message"][again] + " " + flag_message(CutoutFlag.DUPLICATE)).str.strip()
    return rows


def _rejected_rows(failures: list[ReadFailure], members: list[str]) -> pd.DataFrame:
    n = len(failures)
    columns: dict[str, Any] = {
        "id": np.array([failure.id for failure in failures], dtype=object),
        "path": np.array([failure.path for failure in failures], dtype=object),
        **{name: np.full(n, np.nan) for name in ("score", "score_low", "score_high")},
        "status": np.full(n, "rejected", dtype=object),
        "message": np.array([failure.message for failure in failures], dtype=object),
        "flags": np.array([failure.flags for failure in failures], dtype=np.int64),
        "arc_patch": np.full(n, -1),
    }
    columns |= {name: np.full(n, np.nan) for name in ARC_COLUMNS}
    columns["votes"], columns["disagreement"] = np.zeros(n, dtype=np.int64), np.full(n, np.nan)
    columns |= {name: np.full(n, np.nan) for name in members}
    return pd.DataFrame(columns)
