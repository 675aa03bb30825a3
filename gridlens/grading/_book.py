"""The grade book, an SQLite file that keeps all grades."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gridlens._ids import as_id
from gridlens._tables import check_writable
from gridlens.grading._connection import explained, writing
from gridlens.grading._exchange import Imported, check_known, grades_of
from gridlens.grading._export import export_grades, export_labels, labels_of
from gridlens.grading._file import BookFile
from gridlens.grading._frames import current_batches
from gridlens.grading._insert import complete_kinds, insert_grades, withdraw
from gridlens.grading._merge import merge_books
from gridlens.grading._records import name_objects
from gridlens.grading._rows import GRADE_COLUMNS, checked_rows, new_id, now

__all__ = ["GradeBook"]


class GradeBook(BookFile):
    """Grades in one SQLite file, with their objects, gold objects, queues and models.

    Rows of grades are never changed or deleted: a new grade of the same grader for the same object supersedes the
    earlier one, and `undo` adds a row that withdraws a grade. Each write is one short transaction, which is on the disk
    when the call returns, and several processes may have the file open. A `GradeBook` can only be used in the thread
    that opened it, so open one in each thread.

    Open a book with `GradeBook.open`, in a ``with`` statement or with `close` at the end.

    Examples
    --------
    >>> with GradeBook.open("grades.sqlite") as book:
    ...     _ = book.add("cl01", "alice", "A")
    ...     _ = book.add("cl01", "bob", "X", subclass="spiral")
    ...     book.current()[["object_id", "grader", "grade", "subclass"]].to_numpy().tolist()
    [['cl01', 'alice', 'A', ''], ['cl01', 'bob', 'X', 'spiral']]
    """

    def add(
        self,
        object_id: Any,
        grader: str,
        grade: str,
        *,
        subclass: str | None = None,
        confidence: float | None = None,
        note: str = "",
        marks: Any = None,
        view: str = "",
        blind: bool = True,
        t_shown: Any = None,
        queue_id: str | None = None,
        position: int | None = None,
        kind: str | None = None,
    ) -> str:
        """Add one grade with the current time, and return its id.

        It supersedes the current grade of the same grader for the same object. With the kind "repeat" it supersedes
        only an earlier answer to the same item of the queue.

        Parameters
        ----------
        object_id : str or number
        grader : str
            Name of the grader, who is added to the book if unknown.
        grade : {"A", "B", "C", "X", "U"}
            See `GRADES`.
        subclass : str, default=None
            One of `SUBCLASSES`, for the grade X only.
        confidence : float, default=None
            From 0 to 1.
        note : str, default=""
        marks : object, default=None
            Marks on the image, such as a list of points; any value that JSON supports.
        view : str, default=""
            Page or tool in which the object was graded.
        blind : bool, default=True
            Whether the score and the grades of others were hidden.
        t_shown : str or datetime, default=None
            Time at which the object was shown. A time without a zone is UTC.
        queue_id, position : str and int, default=None
            Item of a queue of this book that the grade answers.
        kind : str, default=None
            Reason why the object was graded; if the grade answers an item of a queue, that of the item.

        Raises
        ------
        ValueError
            A value is not allowed.
        GridlensError
            The book has no such item of a queue, or cannot be written.
        """
        row = {
            "object_id": object_id,
            "grader": grader,
            "grade": grade,
            "subclass": subclass,
            "confidence": confidence,
            "note": note,
            "marks_json": marks,
            "view": view,
            "blind": blind,
            "t_shown": t_shown,
            "queue_id": queue_id,
            "position": position,
            "kind": kind,
        }
        rows = checked_rows({name: [value] for name, value in row.items()}, 1, "parameter", ValueError)
        self._insert(rows)
        return str(rows["grade_id"][0])

    def add_many(self, grades: pd.DataFrame) -> int:
        """Add the rows of a table in order, all or none, as with `add`; return the number of new grades.

        Parameters
        ----------
        grades : DataFrame
            With the columns `object_id`, `grader` and `grade`, and optionally the others of `current` and
            `marks_json`. A missing `t_graded` is the time of the call. Rows whose `grade_id` is already in the book
            are left out.

        Raises
        ------
        GridlensError
            A column is missing, a value is not allowed, or the book has no such item of a queue. Nothing is added.
        """
        columns = {name: grades[name].tolist() for name in GRADE_COLUMNS if name in grades}
        return self._insert(checked_rows(columns, len(grades)))

    def _insert(self, rows: dict[str, list[Any]]) -> int:
        """Add checked rows in one transaction and return the number of new ones."""
        connection = self._connection
        with writing(connection, self.path):
            graders = {name: self._grader_id(name) for name in dict.fromkeys(rows["grader"])}
            name_objects(connection, rows["object_id"])
            complete_kinds(connection, rows)
            values = {**rows, "grader": [graders[name] for name in rows["grader"]]}
            return insert_grades(connection, values)

    def _grader_id(self, name: str) -> str:
        """Return the id of a grader; add the grader if unknown."""
        known = self._connection.execute("SELECT grader_id FROM graders WHERE name = ?", (name,)).fetchone()
        if known:
            return str(known[0])
        made = new_id()
        self._connection.execute("INSERT INTO graders (grader_id, name, created) VALUES (?, ?, ?)", (made, name, now()))
        return made

    def undo(self, grader: str, grade_id: str | None = None) -> str | None:
        """Withdraw a current grade of a grader and return its id, or None if there is none.

        Calling it again without `grade_id` withdraws the previous grade. A grade that the withdrawn one had superseded
        is not restored, so the object counts as not graded by this grader.

        Parameters
        ----------
        grader : str
        grade_id : str, default=None
            The grade to withdraw. If None, the last one.
        """
        with writing(self._connection, self.path):
            found = self._connection.execute(
                "SELECT c.grade_id FROM current_grades AS c JOIN graders AS r USING (grader_id) "
                "WHERE r.name = :grader AND NOT c.other_pixels AND COALESCE(c.grade_id = :grade_id, 1) "
                "ORDER BY c.t_graded DESC, c.sequence DESC LIMIT 1",
                {"grader": as_id(grader), "grade_id": grade_id},
            ).fetchone()
            if found is None:
                return None
            withdraw(self._connection, found[0], new_id(), now())
            return str(found[0])

    def current(self, *, other_pixels: bool = False) -> pd.DataFrame:
        """Return the current grades: not superseded, not withdrawn, and for the current pixels of the objects.

        Parameters
        ----------
        other_pixels : bool, default=False
            Include grades of objects whose pixels have changed since.

        Returns
        -------
        DataFrame
            One row per grade, in the order of arrival: `grade_id`, `object_id`, `grader`, `grade`, `subclass`,
            `confidence`, `note`, `view`, `blind`, `t_shown`, `t_graded` (UTC, ISO 8601 with milliseconds), `queue_id`,
            `position` and `kind`. Missing text is "", missing numbers are NaN. A repeat is a separate row.

        Warns
        -----
        UserWarning
            Grades of other pixels are left out.
        """
        left_out: list[int] = []
        with explained(self.path):
            (found,) = current_batches(self._connection, other_pixels, left_out, size=None)
        _warn_of(left_out)
        return found

    def import_grades(
        self, path: str | os.PathLike[str], *, grader: str | None = None, translate: Mapping[str, str] | None = None
    ) -> Imported:
        """Add the grades of a table, all or none. Importing a table again adds only its new rows.

        Parameters
        ----------
        path : str or path
            A table (csv, parquet, fits, votable) with `object_id` or `id` and `grade`, and optionally the other columns
            of `current`: the CSV of a queue with its grades filled in, for example. Or a classification file of
            Qt-stamp-visualizer, or a .txt of astrorank 0.1. Rows with a blank grade are left out.
        grader : str, default=None
            Name of the grader, for rows without one.
        translate : mapping of str to str, default=None
            Grades by the words of the table, such as ``{"maybe": "C"}``; "" for a word that is not a grade. The classes
            SL, ML, FL, NL and I of Qt-stamp-visualizer become A, B, C, X and U; lens candidates, interesting objects
            and other objects shown in its mosaic become C, U and X; the ranks 3, 2, 1 and 0 of astrorank become A, B, C
            and X.

        Returns
        -------
        Imported
            The numbers of rows that are new (`added`), already in the book (`known`) and without a grade (`blank`).

        Raises
        ------
        GridlensError
            The table cannot be read, has unknown grades, or names no grader. Nothing is added.

        Warns
        -----
        UserWarning
            Grades of the table are already in the book, but have been replaced or withdrawn since, and remain so.
        """
        grades, blank = grades_of(path, grader, translate)
        with explained(self.path):
            check_known(self._connection, path, grades)
        added = self.add_many(grades)
        return Imported(added, len(grades) - added, blank)

    def export(self, path: str | os.PathLike[str], *, labels: bool = False, other_pixels: bool = False) -> int:
        """Write the current grades, or labels to train on, to a table and return its number of rows.

        Parameters
        ----------
        path : str or path
            Path that ends in .csv, .parquet, .fits or .votable.
        labels : bool, default=False
            Write `labels` instead of the grades.
        other_pixels : bool, default=False
            See `current`.

        Raises
        ------
        GridlensError
            The suffix is unknown or the file cannot be written.
        """
        check_writable(path)
        if labels:
            table = self.labels(other_pixels=other_pixels)
            export_labels(table, path)
            return len(table)
        left_out: list[int] = []
        with explained(self.path):
            n_rows = export_grades(self._connection, path, other_pixels, left_out)
        _warn_of(left_out)
        return n_rows

    def labels(self, *, other_pixels: bool = False) -> pd.DataFrame:
        """Return labels to train on, from the consensus of the current grades.

        Parameters
        ----------
        other_pixels : bool, default=False
            See `current`.

        Returns
        -------
        DataFrame
            A row for each graded object without injected arcs: `id`, `label` (1 if `q_grades` is at least 0.9, 0 if it
            is at most 0.1, NaN in between), `cluster` if the book has clusters ("" for an object that is a separate
            cluster), and `q_grades`; see `consensus`.
        """
        return labels_of(self._connection, self.current(other_pixels=other_pixels), self.gold())

    def merge(self, path: str | os.PathLike[str], *, rename: Mapping[str, str] | None = None) -> dict[str, int]:
        """Add everything that this book lacks from another book, or nothing at all; merging a book again adds nothing.

        If both books have current grades of one grader for one object, the latest remains current. Existing values of
        objects and gold objects are not changed.

        Parameters
        ----------
        path : str or path
            The other book, which is not changed.
        rename : mapping of str to str, default=None
            Names in this book for graders of the other one. A name that already exists in this book means that both are
            the same person.

        Returns
        -------
        dict of str to int
            Number of new rows of `graders`, `models`, `objects`, `gold`, `queues` and `grades`, where the last includes
            rows that withdraw a grade.

        Raises
        ------
        GridlensError
            If a grader of the same name was entered in each book separately, the books have different queues with one
            id, or the other book cannot be read. Nothing is added.

        Warns
        -----
        UserWarning
            Pixels of objects or truths of gold objects differ between the books.
        """
        return merge_books(self._connection, self.path, Path(path), rename or {})

    def history(self) -> pd.DataFrame:
        """Return all rows ever added, in order.

        The columns are those of `current`, `supersedes` (the grade that the row replaces, or ""), `marks_json` and
        `pixels_sha256` (of the object at the time). A row with the grade "" withdraws the one that it supersedes.
        """
        return self._frame(
            """
            SELECT g.grade_id, g.object_id, r.name AS grader, COALESCE(g.grade, '') AS grade,
                   COALESCE(g.subclass, '') AS subclass, g.confidence, g.note, g.view, g.blind,
                   COALESCE(g.t_shown, '') AS t_shown, g.t_graded, COALESCE(g.queue_id, '') AS queue_id, g.position,
                   COALESCE(g.kind, '') AS kind, COALESCE(g.supersedes, '') AS supersedes,
                   COALESCE(g.marks_json, '') AS marks_json, COALESCE(g.pixels_sha256, '') AS pixels_sha256
            FROM grades AS g JOIN graders AS r USING (grader_id) ORDER BY g.sequence
            """
        )

    def set_token(self, grader: str, token_sha256: str) -> None:
        """Store the hash of the token that identifies a grader on a page; add the grader if unknown.

        It replaces the previous hash. The token itself is not stored.
        """
        with writing(self._connection, self.path):
            self._connection.execute(
                "UPDATE graders SET token_sha256 = ? WHERE grader_id = ?",
                (token_sha256, self._grader_id(as_id(grader))),
            )

    def grader_of(self, token_sha256: str) -> str | None:
        """Return the grader whose token has a given hash, or None if there is none."""
        with explained(self.path):
            found = self._connection.execute(
                "SELECT name FROM graders WHERE token_sha256 = ?", (token_sha256,)
            ).fetchone()
        return None if found is None else str(found[0])

    def graders(self) -> pd.DataFrame:
        """Return the graders: `grader_id`, `name` and `created`."""
        return self._frame("SELECT grader_id, name, created FROM graders ORDER BY name")


def _warn_of(left_out: list[int]) -> None:
    """Warn about grades of other pixels that the caller's table leaves out."""
    if sum(left_out):
        warnings.warn(
            f"{sum(left_out)} grades belong to pixels that their objects no longer have, and are left out. Grade these "
            "objects again, or include them with other_pixels=True.",
            UserWarning,
            stacklevel=3,
        )
