"""Rows of a grade book as tables."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

__all__ = ["CURRENT", "batches", "frame"]

_BATCH = 50_000
# Columns whose values differ from row to row; the others keep one copy of each text in memory.
_DISTINCT = {"grade_id", "supersedes", "t_shown", "t_graded", "ra", "dec", "p", "score", "inclusion_probability"}
_FLOATS = ("ra", "dec", "confidence", "position", "p", "score", "inclusion_probability", "seed")

CURRENT = """
    SELECT g.grade_id, g.object_id, r.name AS grader, g.grade, COALESCE(g.subclass, '') AS subclass, g.confidence,
           g.note, g.view, g.blind, COALESCE(g.t_shown, '') AS t_shown, g.t_graded,
           COALESCE(g.queue_id, '') AS queue_id, g.position, COALESCE(g.kind, '') AS kind
    FROM current_grades AS g JOIN graders AS r USING (grader_id)
    {where}
    ORDER BY g.sequence
"""
"""columns of `GradeBook.current`"""


def frame(connection: sqlite3.Connection, query: str, values: Sequence[Any] = ()) -> pd.DataFrame:
    """Return the rows of a query as one table; see `batches`."""
    found = list(batches(connection, query, values, size=None))
    return found[0]


def batches(
    connection: sqlite3.Connection, query: str, values: Sequence[Any] = (), size: int | None = _BATCH
) -> Iterator[pd.DataFrame]:
    """Yield the rows of a query as tables of `size` rows; all of them in one table where `size` is None.

    A query without rows yields one empty table. Numbers are float64 with NaN, `blind` is a truth value.
    """
    cursor = connection.execute(query, values)
    names = [entry[0] for entry in cursor.description]
    known: dict[Any, Any] = {}
    columns: list[list[Any]] = [[] for _ in names]
    first = True
    while rows := cursor.fetchmany(_BATCH):
        for name, column, cells in zip(names, columns, zip(*rows, strict=True), strict=True):
            column += cells if name in _DISTINCT else [known.setdefault(cell, cell) for cell in cells]
        if size is not None:
            yield _table(names, columns)
            columns, first = [[] for _ in names], False
    if size is None or first:
        yield _table(names, columns)


def _table(names: list[str], columns: list[list[Any]]) -> pd.DataFrame:
    made: dict[str, Any] = {}
    # The lists are emptied one by one, so that two copies of the table are never in memory together.
    for name in names:
        values = columns.pop(0)
        if name in _FLOATS:
            made[name] = pd.Series(values, dtype="float64")
        elif name == "blind":
            made[name] = pd.Series(values, dtype=bool)
        elif name in ("truth", "n_pool"):
            made[name] = pd.Series(values, dtype="int64")
        else:
            made[name] = pd.Series(values, dtype=None if values else object)
        del values
    return pd.DataFrame(made)
