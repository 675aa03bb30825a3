"""Ranked table of scores at a given prevalence."""

from typing import Literal

import numpy as np
import pandas as pd

from gridlens._table_columns import in_order
from gridlens.calibration import estimate_shift, shift_prior
from gridlens.errors import GridlensError

__all__ = [
    "ARC_COLUMNS",
    "CANDIDATE_COLUMNS",
    "EVEN",
    "add_probabilities",
    "order_table",
    "rank_table",
    "settle_prevalence",
]

# Columns of the arc candidate: features of its patch.
ARC_COLUMNS = ("arc_distance", "arcness", "arc_color_gr", "arc_snr")
CANDIDATE_COLUMNS = ("arc_x", "arc_y", "arc_ra", "arc_dec", "arc_patch", *ARC_COLUMNS)
"""all columns of the arc candidate"""
EVEN = 0.5


def rank_table(rows: pd.DataFrame, prevalence: float | Literal["estimate"]) -> pd.DataFrame:
    """Rank the rows of `LensDetector.score_rows`, from any number of batches, at a given prevalence.

    Rows with equal scores keep their order; rejected rows come last. The prevalence is in a column and in
    ``attrs["prevalence"]``.
    """
    value, said = settle_prevalence(rows["score"].to_numpy(dtype=np.float64), prevalence)
    table = order_table(add_probabilities(rows, value), "score")
    table.attrs["prevalence"] = value
    if said is not None:
        table.attrs["prevalence_estimate"] = said
    return table


def settle_prevalence(score: np.ndarray, prevalence: float | Literal["estimate"]) -> tuple[float, str | None]:
    """Return the prevalence, and a text on its estimate if it was estimated from the scores (n,); NaN is left out."""
    return _estimated(score, prevalence) if isinstance(prevalence, str) else (prevalence, None)


def add_probabilities(rows: pd.DataFrame, prevalence: float) -> pd.DataFrame:
    """Replace the interval of the score by `p_lens`, its interval and the prevalence."""
    table = rows.copy()
    table["p_lens"] = shift_prior(rows["score"].to_numpy(dtype=np.float64), EVEN, prevalence)
    for end in ("low", "high"):
        values = table.pop(f"score_{end}").to_numpy(dtype=np.float64)
        table[f"p_{end}"] = shift_prior(values, EVEN, prevalence)
    # The prevalence has a column, because a CSV file has no other place for this assumption of p_lens.
    table["prevalence"] = prevalence
    return table


def order_table(table: pd.DataFrame, by: str, *, first: int = 1) -> pd.DataFrame:
    """Sort rows by the column `by`, best first, with ranks from `first`, 0 if rejected; order the columns."""
    order = np.argsort(-table[by].to_numpy(dtype=np.float64), kind="stable")  # NaN sorts last
    table = table.iloc[order].reset_index(drop=True)
    table["rank"] = np.where(table["status"] == "ok", first + np.arange(len(table)), 0)
    return table[in_order(table.columns)]


def _estimated(score: np.ndarray, how: str) -> tuple[float, str]:
    """Return the prevalence estimated from the scores of usable rows, and a text on the estimate."""
    if how != "estimate":
        raise ValueError(
            f"The 'prevalence' parameter must be a number between 0 and 1, or 'estimate'. Got {how!r} instead."
        )
    known = score[np.isfinite(score)]
    if len(known) < 2 or known.min() == known.max():
        raise GridlensError(
            "The 'prevalence' parameter must be a number, such as 1e-3, if it cannot be estimated. "
            f"Got 'estimate' for {len(known)} scored cutouts with {len(np.unique(known))} distinct scores instead."
        )
    found = estimate_shift(known, EVEN)
    if found.low == 0.0 and found.high == 1.0:
        raise GridlensError(
            "The 'prevalence' parameter must be a number, such as 1e-3, if it cannot be estimated. "
            f"Got 'estimate', which is {found.note}, instead."
        )
    if found.low == 0.0:
        return found.high, str(found)
    return (found.low if found.high == 1.0 else found.value), str(found)
