"""Conversion of grade tables from users and other tools to the columns of a grade book.

The files of two tools are recognised:

- Qt-stamp-visualizer (github.com/ClarkGuilty/Qt-stamp-visualizer; its branch unified_dev_with_lobby of 2026 and the
  scripts before it, down to the classes SL, ML, FL and NL of 2023): `file_name`, `classification` and, from the
  one-by-one viewer, `subclassification` and `comment`; from the mosaic, `grid_pos`, `page` and `time`.
- astrorank 0.1.0 (github.com/eriksolhaug/astrorank): lines of a file name, a rank from 0 (worst) to 3 (best) and, in
  the file of comments, a comment, separated by tabs and without a line of names.

The object is the name of the file without its folder and its suffix.
"""

import csv
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from gridlens._ids import as_id, from_ascii, unescaped
from gridlens._tables import read_table
from gridlens.errors import GridlensError
from gridlens.grading._rows import GRADE_COLUMNS, is_missing
from gridlens.grading._vocabulary import GRADES, SUBCLASSES

__all__ = ["read_grades"]

_TEXT = (*(name for name in GRADE_COLUMNS if name not in ("confidence", "position", "blind")), "id", "file_name")
_QT_TEXT = ("classification", "subclassification", "comment")
# "Interesting" is neither a lens candidate nor a non-lens, so it is not a label.
_QT = {"SL": "A", "ML": "B", "FL": "C", "NL": "X", "I": "U", "INTERESTING": "U"}
# A click in the mosaic marks an object that is worth a closer look.
_QT_MOSAIC = {"1": "C", "2": "U", "0": "X"}
_ASTRORANK = {"3": "A", "2": "B", "1": "C", "0": "X"}
_QT_BLANK = ("", "None", "Empty", "nan")
_IMAGES = (".fits", ".fit", ".fz", ".gz", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".npy", ".npz")
_SUBCLASSES = {**{name: name for name in SUBCLASSES}, "ring": "ring galaxy", "artifact": "artefact"}


def read_grades(path: Path, translate: Mapping[str, str]) -> tuple[pd.DataFrame, int]:
    """Read a table of grades.

    Parameters
    ----------
    path : Path
        A table in one of the formats of `gridlens._tables.read_table` with `object_id` or `id` and `grade`, or a file
        of one of the tools.
    translate : mapping of str to str
        Grades by the words of the file, which override the known words; "" for a word that is not a grade.

    Returns
    -------
    grades : DataFrame
        Rows with a grade; `object_id`, `grade` and those columns of a grade book that the file has.
    blank : int
        Rows without a grade, which are left out.

    Raises
    ------
    GridlensError
        The file cannot be read, has none of the forms, or has unknown grades.
    """
    if path.suffix.lower() == ".txt":
        table, words = _astrorank(path), _ASTRORANK
    else:
        table = _restored(read_table(path, text=(*_TEXT, *_QT_TEXT)), path.suffix.lower())
        words = {}
        if {"file_name", "classification"} <= set(table):
            words = _QT_MOSAIC if "grid_pos" in table else _QT
            table = _qt(table)
    if "object_id" not in table and "id" in table:
        table = table.rename(columns={"id": "object_id"})
    if not {"object_id", "grade"} <= set(table):
        raise GridlensError(
            f"The table {path} must have the columns object_id (or id) and grade, or be a file of Qt-stamp-visualizer "
            f"or astrorank. Got {', '.join(map(str, list(table)[:8])) or 'no column'} instead; rename its columns."
        )
    written = ["" if is_missing(value) else as_id(value) for value in table["grade"]]
    known = {name: name for name in GRADES} | words
    grades = [translate[word] if word in translate else known.get(word.upper(), word) for word in written]
    if unknown := [word for word, grade in zip(written, grades, strict=True) if grade not in (*GRADES, "")]:
        distinct = list(dict.fromkeys(unknown))
        raise GridlensError(
            f"{len(unknown)} rows of the table {path} have unknown grades: {', '.join(map(repr, distinct[:10]))}"
            f"{', ...' if len(distinct) > 10 else ''}. Nothing was imported. Grades are {', '.join(GRADES)}; translate "
            f'others with translate={{"{distinct[0]}": GRADE}}.'
        )
    table = table[[name for name in GRADE_COLUMNS if name in table]].assign(grade=grades)
    graded = [grade != "" for grade in grades]
    return _with_subclasses(table[graded].reset_index(drop=True)), len(graded) - sum(graded)


def _restored(table: pd.DataFrame, suffix: str) -> pd.DataFrame:
    """Restore text that was escaped when written: FITS is limited to ASCII, and tables have no control characters."""
    names = [name for name in ("object_id", "id", "grader", "note") if name in table]
    if suffix == ".fits":
        table = table.assign(**{name: table[name].map(from_ascii) for name in names})
    return table.assign(note=table["note"].map(unescaped)) if "note" in table else table


def _qt(table: pd.DataFrame) -> pd.DataFrame:
    """Return a file of Qt-stamp-visualizer with the columns of a grade book."""
    made = pd.DataFrame({"object_id": [_stem(name) for name in table["file_name"]]})
    made["grade"] = [_qt_word(value) for value in table["classification"]]
    made["view"] = "Qt-stamp-visualizer"
    if "grid_pos" in table:
        # All objects start as 0; only the time of their page shows that they were displayed.
        if "time" not in table:
            raise GridlensError(
                "A mosaic of Qt-stamp-visualizer without the column time does not say which objects were shown. Keep "
                "the rows of the pages that were seen, and name the columns object_id and grade."
            )
        seen = pd.to_numeric(table["time"], errors="coerce").fillna(0.0).to_numpy() > 0
        made.loc[~seen & (made["grade"] == "0").to_numpy(), "grade"] = ""
    for name, column in (("subclassification", "subclass"), ("comment", "note")):
        if name in table:
            words = [_qt_word(value) for value in table[name]]
            # Older scripts repeat the class in these columns.
            made[column] = ["" if word == grade else word for word, grade in zip(words, made["grade"], strict=True)]
    return made


def _qt_word(value: Any) -> str:
    word = as_id(value)
    return "" if word in _QT_BLANK else word.removesuffix(".0")


def _astrorank(path: Path) -> pd.DataFrame:
    """Return a file of astrorank with the columns of a grade book."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            lines = [line for line in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if any(line)]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise GridlensError(f"The file {path} cannot be read: {exc}.") from exc
    if not lines or any(len(line) < 2 for line in lines):
        raise GridlensError(
            f"The file {path} must hold a file name, a tab and a rank in each line, as astrorank writes them. Tables "
            "of other programs must end in .csv, .parquet, .fits or .votable."
        )
    return pd.DataFrame(
        {
            "object_id": [_stem(line[0]) for line in lines],
            "grade": [line[1].strip() for line in lines],
            "note": ["\t".join(line[2:]).strip() for line in lines],
            "view": "astrorank",
        }
    )


def _stem(name: Any) -> str:
    """Return the name of an image without its folder and the suffixes of images."""
    stem = PurePosixPath(as_id(name).replace("\\", "/")).name
    while stem.lower().endswith(_IMAGES):
        stem = stem[: stem.rindex(".")]
    return stem


def _with_subclasses(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with known subclasses of the grade X; other words are kept in the note."""
    if "subclass" not in table:
        return table
    words = ["" if is_missing(value) else str(value).strip() for value in table["subclass"]]
    notes = ["" if is_missing(value) else str(value) for value in table.get("note", [""] * len(table))]
    subclasses = []
    for k, (word, grade) in enumerate(zip(words, table["grade"], strict=True)):
        known = _SUBCLASSES.get(word.lower(), "") if grade == "X" else ""
        if word and not known:
            notes[k] = "; ".join(filter(None, (notes[k], f"subclass: {word}")))
        subclasses.append(known or ("other" if word and grade == "X" else ""))
    return table.assign(subclass=subclasses, note=notes)
