"""Choice of the next queue of a grade book, in the measuring process: with 500,000 rows it takes 300 MB."""

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
        Remarks on the queue, as sentences.
    error : str
        Reason why there is no queue; "" if there is one.
    is_of_file : bool
        Whether the error concerns the grade book file, which another process may have locked.
    """

    notes: list[str]
    error: str = ""
    is_of_file: bool = False


def load(scores: str) -> ScoreTable:
    """Open a table of scores; the last one stays open unless its file has been replaced."""
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

    The parameters are those of `open_queue` and `add_next_queue`, and the paths of the grade book and the table.
    """
    with warnings.catch_warnings():
        # The server also warns about grades of other pixels.
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
            # Returned as text, because an exception from another process arrives with a different cause.
            return Chosen([], str(exc), exc.__cause__ is not None)
        finally:
            release_memory()
