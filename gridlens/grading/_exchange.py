"""Import and export of grades between tables and grade books."""

import contextlib
import json
import os
import sqlite3
import uuid
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gridlens._ids import as_id
from gridlens.errors import GridlensError
from gridlens.grading._foreign import read_grades
from gridlens.grading._insert import NAMESPACE
from gridlens.grading._rows import is_missing, time_text

__all__ = ["Imported", "check_known", "grades_of"]

_CONTENT = (
    "object_id",
    "grader",
    "grade",
    "subclass",
    "confidence",
    "note",
    "t_graded",
    "queue_id",
    "position",
    "kind",
)


class Imported(NamedTuple):
    """Counts of the rows of an imported table."""

    added: int
    """grades that are new in the book"""
    known: int
    """grades that were already in the book"""
    blank: int
    """rows without a grade"""


def grades_of(
    path: str | os.PathLike[str], grader: str | None, translate: Mapping[str, str] | None
) -> tuple[pd.DataFrame, int]:
    """Read a table of grades, with ids derived from its content, and count the rows without a grade.

    Raises
    ------
    GridlensError
        The table cannot be read, has unknown grades, or names no grader.
    """
    path = Path(path)
    grades, blank = read_grades(path, translate or {})
    names = grades["grader"] if "grader" in grades else pd.Series([""] * len(grades), dtype=object)
    nameless = [is_missing(name) for name in names]
    if any(nameless) and not grader:
        raise GridlensError(
            f"{sum(nameless)} rows of the table {path} do not say who graded. Name the person with grader=NAME."
        )
    grades["grader"] = [grader if missing else str(name).strip() for name, missing in zip(names, nameless, strict=True)]
    grades["grade_id"] = _ids(grades)
    return grades, blank


def _ids(grades: pd.DataFrame) -> list[Any]:
    """Return the ids of rows; missing ids are derived from the content, so that a second import adds nothing."""
    own = grades["grade_id"].tolist() if "grade_id" in grades else [None] * len(grades)
    columns = [grades[name].tolist() if name in grades else [None] * len(grades) for name in _CONTENT]
    times: Counter[str] = Counter()
    made = []
    for grade_id, *cells in zip(own, *columns, strict=True):
        content = json.dumps([_spelled(name, cell) for name, cell in zip(_CONTENT, cells, strict=True)])
        times[content] += 1
        made.append(str(uuid.uuid5(NAMESPACE, f"{content} {times[content]}")) if is_missing(grade_id) else grade_id)
    return made


def _spelled(name: str, cell: Any) -> Any:
    """Return a cell in a form that does not depend on the file format; invalid cells are rejected later."""
    if is_missing(cell):
        return None
    with contextlib.suppress(ValueError):
        if name in ("confidence", "position"):
            return float(cell)
        if name == "t_graded":
            return time_text(cell)
    return as_id(cell)


def check_known(connection: sqlite3.Connection, path: str | os.PathLike[str], grades: pd.DataFrame) -> None:
    """Raise GridlensError if the book has a different grade with the id of a row.

    Warns
    -----
    UserWarning
        Grades of the table are in the book, but were replaced or withdrawn since.
    """
    query = """
        SELECT object_id, grade, EXISTS (SELECT 1 FROM grades AS later WHERE later.supersedes = g.grade_id)
        FROM grades AS g WHERE grade_id = ?
    """
    replaced = 0
    for grade_id, object_id, grade in zip(grades["grade_id"], grades["object_id"], grades["grade"], strict=True):
        found = connection.execute(query, (str(grade_id).strip(),)).fetchone()
        if found is None:
            continue
        if found[:2] != (as_id(object_id), grade):
            raise GridlensError(
                f"The table {path} has {grade} for {as_id(object_id)} as the grade {grade_id}, which is {found[1]} for "
                f"{found[0]} in the book. Blank the grade_id of rows that you change."
            )
        replaced += found[2]
    if replaced:
        warnings.warn(
            f"{replaced} grades of the table {path} are in the book already and were replaced or withdrawn since. They "
            "stay so; to give such a grade again, state its time in the column t_graded.",
            UserWarning,
            stacklevel=3,
        )
