"""Insertion of grades, each of which supersedes an earlier grade."""

import sqlite3
import uuid
from typing import Any

from gridlens.errors import GridlensError
from gridlens.grading._rows import GRADE_COLUMNS, now

__all__ = ["NAMESPACE", "complete_kinds", "insert_grades", "last_sequence", "settle", "withdraw"]

NAMESPACE = uuid.UUID("1f6c7f0e-6a0e-4f0c-9a55-0f8c6a4d2b7e")
"""namespace of grade ids derived from content, so that they are the same in every book"""

# A grade replaces the current grade of the same grader for the same object. A repeat measures how well a grader agrees
# with the first grade, so it only replaces an earlier answer to the same item of the queue. A grade with a stated time
# does not replace a later one. (The + keeps SQLite from reading all grades of the grader by their time.)
_ADD = """
    INSERT INTO grades (
        grade_id, object_id, grader_id, grade, subclass, confidence, note, marks_json, view, blind, t_shown, t_graded,
        queue_id, position, kind, supersedes, pixels_sha256
    )
    VALUES (
        :grade_id, :object_id, :grader, :grade, :subclass, :confidence, :note, :marks_json, :view, :blind, :t_shown,
        COALESCE(:t_graded, :now), :queue_id, :position, :kind,
        (
            SELECT c.grade_id FROM current_grades AS c
            WHERE c.object_id = :object_id AND c.grader_id = :grader AND NOT c.other_pixels
              AND CASE WHEN :kind IS 'repeat'
                       THEN c.kind IS 'repeat' AND c.queue_id = :queue_id AND c.position = :position
                       ELSE c.kind IS NOT 'repeat' END
              AND (:t_graded IS NULL OR c.t_graded <= :t_graded)
            ORDER BY +c.t_graded DESC, +c.sequence DESC LIMIT 1
        ),
        (SELECT o.pixels_sha256 FROM objects AS o WHERE o.object_id = :object_id)
    )
    ON CONFLICT (grade_id) DO NOTHING
"""
# Pairs of current grades of one grader for one object and the same pixels, the later one first, of which one is new.
_RIVALS = """
    SELECT later.grade_id, later.t_graded, earlier.grade_id
    FROM current_grades AS new
    JOIN current_grades AS other
      ON other.object_id = new.object_id AND other.grader_id = new.grader_id AND other.grade_id <> new.grade_id
     AND COALESCE(other.pixels_sha256 = new.pixels_sha256, 1)
     AND CASE WHEN new.kind IS 'repeat'
              THEN other.kind IS 'repeat' AND other.queue_id = new.queue_id AND other.position = new.position
              ELSE other.kind IS NOT 'repeat' END
    JOIN grades AS later ON later.grade_id = CASE
        WHEN (new.t_graded, new.grade_id) > (other.t_graded, other.grade_id) THEN new.grade_id ELSE other.grade_id END
    JOIN grades AS earlier ON earlier.grade_id = CASE
        WHEN later.grade_id = new.grade_id THEN other.grade_id ELSE new.grade_id END
    WHERE new.sequence > ?
    ORDER BY later.t_graded DESC, later.grade_id DESC
"""
_WITHDRAW = """
    INSERT INTO grades (
        grade_id, object_id, grader_id, note, view, blind, t_graded, queue_id, position, kind, supersedes, pixels_sha256
    )
    SELECT ?, object_id, grader_id, '', view, blind, ?, queue_id, position, kind, grade_id, pixels_sha256
    FROM grades WHERE grade_id = ?
    ON CONFLICT (grade_id) DO NOTHING
"""


def last_sequence(connection: sqlite3.Connection) -> int:
    """Return the number of the last row of grades, or 0 for an empty table."""
    return int(connection.execute("SELECT COALESCE(MAX(sequence), 0) FROM grades").fetchone()[0])


def insert_grades(connection: sqlite3.Connection, rows: dict[str, list[Any]]) -> int:
    """Add checked rows, with the ids of the graders in `grader`; return the number of new ones.

    Rows without a time get the current time and supersede the current grade, as do rows with a later time.
    """
    before, moment = last_sequence(connection), now()
    cells = zip(*(rows[name] for name in GRADE_COLUMNS), strict=True)
    values = ({**dict(zip(GRADE_COLUMNS, row, strict=True)), "now": moment} for row in cells)
    added = connection.executemany(_ADD, values).rowcount
    if any(time is not None for time in rows["t_graded"]):
        settle(connection, before)
    return added


def complete_kinds(connection: sqlite3.Connection, rows: dict[str, list[Any]]) -> None:
    """Set the kinds of rows that answer items of queues to those of the items.

    Raises
    ------
    GridlensError
        If a queue is not in the book, or one of its items is missing or is another object.
    """
    items = {}
    for queue_id in set(rows["queue_id"]) - {None}:
        if not connection.execute("SELECT 1 FROM queues WHERE queue_id = ?", (queue_id,)).fetchone():
            raise GridlensError(f"The queue {queue_id} is not in the grade book. Merge the book that has it first.")
        query = "SELECT position, object_id, kind FROM queue_items WHERE queue_id = ?"
        items[queue_id] = {place: (name, kind) for place, name, kind in connection.execute(query, (queue_id,))}
    for k, (queue_id, position) in enumerate(zip(rows["queue_id"], rows["position"], strict=True)):
        if queue_id is None or position is None:
            continue
        object_id, kind = items[queue_id].get(position, (None, None))
        if object_id != rows["object_id"][k]:
            raise GridlensError(
                f"The item {position} of the queue {queue_id} is {object_id or 'missing'}, not {rows['object_id'][k]}. "
                "Keep the columns queue_id, position and object_id as the queue has them."
            )
        rows["kind"][k] = kind


def settle(connection: sqlite3.Connection, after: int) -> None:
    """Withdraw all but the latest of several current grades of one grader for one object.

    There are several if a new grade is older than the current one, or if two books have independent grades. The ids of
    the added rows are derived from those of the grades, so two books that settle the same grades, in either order, have
    the same rows.

    Parameters
    ----------
    after : int
        Only grades with a larger number are compared with the others.
    """
    earlier = {pair[2]: pair for pair in reversed(connection.execute(_RIVALS, (after,)).fetchall())}
    for later_id, time, earlier_id in earlier.values():
        withdraw(connection, earlier_id, str(uuid.uuid5(NAMESPACE, f"{earlier_id} gives way to {later_id}")), time)


def withdraw(connection: sqlite3.Connection, grade_id: str, new_id: str, time: str) -> None:
    """Add a row without a grade that supersedes a grade."""
    connection.execute(_WITHDRAW, (new_id, time, grade_id))
