"""Progress and agreement for the page, as functions of a grade book."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from gridlens.evaluation import Estimate
from gridlens.grading import GradeBook, agreement, consensus, lenses_left, non_lens_run

__all__ = ["agreed", "progress"]

_POINTS = 400
_WINDOW = 100


def progress(book: GradeBook, n_pool: int) -> dict[str, Any]:
    """Return the number of lenses found, the rate of finding, and the number left.

    Lenses are objects whose consensus of grades is at least 0.5; gold objects are left out.
    """
    grades, gold, items = book.current(), book.gold(), book.queue_items()
    own = grades[~grades["object_id"].isin(gold["object_id"])]
    if own.empty:
        return {
            "n_graded": 0,
            "n_pool": n_pool,
            "discovery": [],
            "per_100": [],
            "left": _estimate(Estimate(math.nan, math.nan, math.nan, "not resolvable with 0 random objects")),
            "run_of_non_lenses": 0,
            "by_kind": [],
        }
    q = consensus(grades, gold=gold).objects.set_index("object_id")["q_grades"]
    order = own.sort_values("t_graded", kind="stable").drop_duplicates("object_id")
    is_lens = order["object_id"].map(q).to_numpy(dtype=np.float64) >= 0.5
    found = np.cumsum(is_lens)
    at = np.unique(np.linspace(0, len(order) - 1, min(len(order), _POINTS)).astype(int))
    kinds = order["kind"].replace("", "other").to_numpy()
    by_kind = pd.DataFrame({"kind": kinds, "lens": is_lens}).groupby("kind")["lens"].agg(["size", "sum"])
    return {
        "n_graded": len(order),
        "n_pool": n_pool,
        "discovery": [[int(k) + 1, int(found[k])] for k in at],
        "per_100": [
            [min(first + _WINDOW, len(order)), 100.0 * float(is_lens[first : first + _WINDOW].mean())]
            for first in range(0, len(order), _WINDOW)
        ],
        "left": _estimate(lenses_left(items, grades, q)),
        "run_of_non_lenses": non_lens_run(own),
        "by_kind": [
            {"kind": str(kind), "n": int(n), "lenses": int(lenses)} for kind, n, lenses in by_kind.itertuples()
        ],
    }


def agreed(book: GradeBook) -> dict[str, Any]:
    """Return the tables of `agreement`."""
    return agreement(book.current(), book.gold()).to_dict()


def _estimate(value: Estimate) -> dict[str, Any]:
    return {name: None if one != one else one for name, one in value._asdict().items()}
