"""Rows of a grade book as tables."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

__all__ = ["batches", "current_batches", "frame"]

_BATCH = 50_000
# Number of rows fetched at a time, so that they stay in the processor's cache during the conversion to columns.
_FETCHED = 1_000
# Columns with few distinct texts, of which only one copy is kept in memory.
_REPETITIVE = {"object_id", "grader", "subclass", "view", "queue_id", "kind"}
_FLOATS = ("ra", "dec", "confidence", "position", "p", "score", "inclusion_probability", "seed")
_FLAG = "other_pixels"
_CURRENT = f"""
    SELECT g.grade_id, g.object_id, r.name AS grader, g.grade, COALESCE(g.subclass, '') AS subclass, g.confidence,
           g.note, g.view, g.blind, COALESCE(g.t_shown, '') AS t_shown, g.t_graded,
           COALESCE(g.queue_id, '') AS queue_id, g.position, COALESCE(g.kind, '') AS kind, g.{_FLAG}
    FROM current_grades AS g JOIN graders AS r USING (grader_id)
    ORDER BY g.sequence
"""


def frame(connection: sqlite3.Connection, query: str, values: Sequence[Any] = ()) -> pd.DataFrame:
    """Return the rows of a query as one table; see `batches`."""
    return next(batches(connection.execute(query, values), None))


def current_batches(
    connection: sqlite3.Connection, other_pixels: bool, left_out: list[int], size: int | None = _BATCH
) -> Iterator[pd.DataFrame]:
    """Yield the current grades; without `other_pixels`, append the number of grades left out, once it is known."""
    cursor = connection.execute(_CURRENT)
    n_rows = n_kept = 0
    for batch in batches(cursor, size):
        flags = batch.pop(_FLAG).astype(bool)
        kept = batch if other_pixels or not flags.any() else batch[~flags].reset_index(drop=True)
        n_rows, n_kept = n_rows + len(batch), n_kept + len(kept)
        yield kept
    left_out.append(n_rows - n_kept)


def batches(cursor: sqlite3.Cursor, size: int | None) -> Iterator[pd.DataFrame]:
    """Yield the rows of a query as tables of `size` rows, or as one table if `size` is None.

    A query without rows yields one empty table. Numbers are float64 with NaN, and `blind` is boolean.
    """
    names = [entry[0] for entry in cursor.description]
    known: dict[Any, Any] = {}
    columns: list[list[Any]] = [[] for _ in names]
    first = True
    while rows := cursor.fetchmany(_FETCHED):
        for name, column, cells in zip(names, columns, zip(*rows, strict=True), strict=True):
            column += [known.setdefault(cell, cell) for cell in cells] if name in _REPETITIVE else cells
        if size is not None and len(columns[0]) >= size:
            yield _table(names, columns)
            columns, first = [[] for _ in names], False
    if first or columns[0]:
        yield _table(names, columns)


def _table(names: list[str], columns: list[list[Any]]) -> pd.DataFrame:
    made: dict[str, Any] = {}
    # The lists are emptied one by one, so that two copies of the table are never in memory at the same time.
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
