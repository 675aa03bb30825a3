"""The worst errors of an evaluation: lenses with the lowest scores, and non-lenses with the highest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gridlens.cutouts import CutoutSet
from gridlens.reports._contact import find_cutouts, thumbnail
from gridlens.reports._sheet_values import score_words

__all__ = ["WORST", "shown_errors", "worst_rows"]

WORST = 12
"""maximum number of lenses, and of non-lenses, that are shown"""


def worst_rows(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the worst misses and the worst false alarms, worst first.

    At most `WORST` lenses and at most half of all are returned, and likewise for non-lenses.

    Parameters
    ----------
    rows : DataFrame
        The attribute `rows` of a `ScoreEvaluation`: indexed by id, with `label` and `score`.

    Returns
    -------
    misses, false_alarms : DataFrame
        Rows with the id as a column; `place` is the rank of the score among all rows, 1 for the highest.
    """
    placed = rows.assign(place=rows["score"].rank(method="min", ascending=False).astype(int))
    placed = placed.assign(id=rows.index.astype(str)).sort_values("score", kind="stable")
    is_lens = placed["label"].to_numpy() == 1
    lenses, others = placed[is_lens], placed[~is_lens].iloc[::-1]
    return lenses.head(_number(lenses)), others.head(_number(others))


def shown_errors(rows: pd.DataFrame, cutouts: CutoutSet | Iterable[CutoutSet]) -> list[dict[str, Any]]:
    """Return the worst errors for the template of an evaluation, with a picture if the cutout is available."""
    tables = worst_rows(rows)
    found = find_cutouts(pd.concat(tables), [cutouts] if isinstance(cutouts, CutoutSet) else cutouts)
    titles = "Lenses with the lowest scores", "Non-lenses with the highest scores"
    shown, first = [], 0
    for title, table in zip(titles, tables, strict=True):
        lines = [_tile(line, found.get(first + k)) for k, line in enumerate(table.to_dict("records"))]
        shown.append({"title": title, "tiles": lines})
        first += len(table)
    return shown


def _number(table: pd.DataFrame) -> int:
    return min(WORST, -(-len(table) // 2))


def _tile(line: Mapping[Any, Any], cutout: CutoutSet | None) -> dict[str, Any]:
    patch = line.get("arc_patch", -1)
    return {
        "id": line["id"],
        "score": score_words(float(line["score"])) if 0.0 <= line["score"] <= 1.0 else f"{line['score']:.3g}",
        "place": int(line["place"]),
        "theta_e": _known(line.get("theta_e")),
        "thumbnail": "" if cutout is None else thumbnail(cutout, int(patch) if np.isfinite(patch) else -1),
    }


def _known(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, int | float) and np.isfinite(value) else ""
