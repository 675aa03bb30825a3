"""The next queue of a grade book, chosen in the process that measures: a table of 500,000 rows takes 300 MB for it."""

from __future__ import annotations

import os
import warnings
from typing import NamedTuple

from gridlens.errors import GridlensError
from gridlens.grading import GradeBook
from gridlens.grading._next_queue import add_next_queue
from gridlens.triage._grading import open_queue
from gridlens.triage._scores import ScoreTable, release_memory

__all__ = ["Chosen", "add_queue", "load"]

_tables: dict[tuple[str, int, int], ScoreTable] = {}


class Chosen(NamedTuple):
    """Result of `add_queue`.

    Attributes
    ----------
    notes : list of str
        Sentences on the queue.
    error : str
        The reason why there is no queue; "" where there is one.
    is_of_file : bool
        Whether the error is of the file of grades, which another process may have locked.
    """

    notes: list[str]
    error: str = ""
    is_of_file: bool = False


def load(scores: str) -> ScoreTable:
    """Open a table of scores; the last one stays open, unless its file was replaced."""
    status = os.stat(scores) if os.path.exists(scores) else None
    key = (os.path.abspath(scores), *((status.st_mtime_ns, status.st_ino) if status else (0, 0)))
    if key not in _tables:
        _tables.clear()
        _tables[key] = ScoreTable(scores)
    return _tables[key]


def add_queue(
    grades: str, scores: str, grader: str, since: str, strategy: str, batch: int, model_id: str | None
) -> Chosen:
    """Add the next queue to a grade book, unless a grader has an open one.

    Parameters are those of `open_queue` and `add_next_queue`, with the paths of the grade book and of the table.
    """
    with warnings.catch_warnings():
        # The server says the same of the grades of other pixels.
        warnings.simplefilter("ignore", UserWarning)
        try:
            with GradeBook.open(grades) as book:
                if open_queue(book, grader, since) is not None:
                    return Chosen([])
                items = add_next_queue(
                    book, load(scores).candidates(), strategy=strategy, batch=batch, model_id=model_id
                )
                return Chosen(list(items.attrs["notes"]))
        except GridlensError as exc:
            # As text: an exception would come out of another process with a cause of its own.
            return Chosen([], str(exc), exc.__cause__ is not None)
        finally:
            release_memory()
