"""Everything known about an object, shown after it is graded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gridlens.errors import GridlensError
from gridlens.grading import GradeBook
from gridlens.triage._grading import grades_of_others
from gridlens.triage._measuring import Reasons
from gridlens.triage._state import Triage

__all__ = ["CONTEXT", "links_of", "revealed"]

_COLUMNS = ("ra", "dec", "rank", "score", "p_lens", "p_low", "p_high", "arc_patch")
CONTEXT = ("context_", "known_")
"""prefixes of the columns that `gridlens context` adds"""


async def revealed(triage: Triage, grader: str, name: str) -> dict[str, Any]:
    """Return the probability of an object, its reasons, its context, the grades of others, and links."""
    table = triage.table
    context = [column for column in table.columns if column.startswith(CONTEXT)]
    cells = await triage.in_reader(lambda: table.values([name], {*_COLUMNS, *context}).get(name, {}))
    kind, truth, others = await triage.statistics.run(_of_book, grader, name)
    patch, score = cells.get("arc_patch"), cells.get("score")
    try:
        cutout, *_ = await triage.cutout(name)
        reasons = await triage.measuring.reasons(
            cutout, triage.settings.model if cells else None, None if patch is None else int(patch), score
        )
    except GridlensError as exc:
        reasons = Reasons([], "", None, str(exc))
    return {
        **{column: cells.get(column) for column in ("p_lens", "p_low", "p_high", "score", "rank")},
        **reasons._asdict(),
        "context": {column: cells[column] for column in context if cells.get(column) not in (None, "")},
        "others": others,
        "links": links_of(cells.get("ra"), cells.get("dec")),
        "kind": kind,
        "truth": truth,
    }


def links_of(ra: Any, dec: Any) -> list[Mapping[str, str]]:
    """Return links to pages on a position (ICRS, deg), with their names; an empty list if it is unknown.

    Examples
    --------
    >>> [link["name"] for link in links_of(10.5, -5.0)]
    ['Legacy Survey', 'Aladin', 'SIMBAD', 'NED']
    >>> links_of(None, None)
    []
    """
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in (ra, dec)):
        return []
    here = f"{ra:.6f}%20{dec:+.6f}".replace("+", "%2B")
    return [
        {
            "name": "Legacy Survey",
            "url": f"https://www.legacysurvey.org/viewer?ra={ra:.6f}&dec={dec:.6f}&layer=ls-dr10&zoom=15",
        },
        {"name": "Aladin", "url": f"https://aladin.cds.unistra.fr/AladinLite/?target={here}&fov=0.03"},
        {
            "name": "SIMBAD",
            "url": f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={here}&Radius=1&Radius.unit=arcmin",
        },
        {
            "name": "NED",
            "url": "https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search"
            f"&ra={ra:.6f}d&dec={dec:.6f}d&radius=1",
        },
    ]


def _of_book(book: GradeBook, grader: str, name: str) -> tuple[str | None, int | None, list[dict[str, str]]]:
    """Return the reason why an object was last queued, its truth if it is gold, and the grades of others."""
    items, gold = book.queue_items(), book.gold()
    kinds = items.loc[items["object_id"] == name, "kind"]
    truth = gold.loc[gold["object_id"] == name, "truth"]
    return (
        None if kinds.empty else str(kinds.iloc[-1]),
        None if truth.empty else int(truth.iloc[0]),
        grades_of_others(book, grader, name),
    )
