"""Grades as integer codes, one label for each grader of an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gridlens._tables import some_names
from gridlens.errors import GridlensError
from gridlens.grading._vocabulary import GRADES

__all__ = ["LABELS", "CodedLabels", "checked_frame", "checked_gold", "checked_grades", "coded_labels", "latest_labels"]

LABELS = tuple(grade for grade in GRADES if grade != "U")
"""grades that are labels, in order; U is a missing label"""


class CodedLabels(NamedTuple):
    """The latest label by each grader of each object, as integer codes.

    Attributes
    ----------
    objects, graders : list of str
        Ids of all graded objects, and names of all graders, in the order in which they first appear,
        including those with only U grades.
    object_of, grader_of, label_of : ndarray of shape (n_labels,), int64
        Numbers of the object, of the grader and of the label (its place in `LABELS`).
    n_grades : ndarray of shape (n_objects,), int64
        All grades of each object, with U and repeats.
    """

    objects: list[str]
    graders: list[str]
    object_of: np.ndarray
    grader_of: np.ndarray
    label_of: np.ndarray
    n_grades: np.ndarray


def checked_frame(name: str, frame: Any, columns: Sequence[str]) -> pd.DataFrame:
    """Check that an object is a table with the required columns, and return it.

    Raises
    ------
    TypeError
        `frame` is not a DataFrame.
    GridlensError
        A column is missing, or a cell of `object_id`.
    """
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"The '{name}' parameter must be a DataFrame. Got {type(frame).__name__} instead.")
    missing = [column for column in columns if column not in frame]
    if missing:
        raise GridlensError(
            f"The '{name}' parameter must have the columns {', '.join(columns)}. It lacks {', '.join(missing)}; take "
            "the table of a GradeBook, or rename the columns."
        )
    if "object_id" in columns and frame["object_id"].isna().any():
        raise GridlensError(
            f"The '{name}' parameter must have an object_id in each row. Got {int(frame['object_id'].isna().sum())} "
            "rows without one; remove them."
        )
    return frame


def checked_grades(grades: Any) -> pd.DataFrame:
    """Return a table of grades after checking `object_id`, `grader` and `grade`."""
    frame = checked_frame("grades", grades, ("object_id", "grader", "grade"))
    unknown = frame["grade"][~frame["grade"].isin(list(GRADES))]
    if len(unknown):
        raise GridlensError(
            f"The 'grades' parameter must only have the grades {', '.join(GRADES)}. Got {unknown.iloc[0]!r} instead in "
            f"{len(unknown)} rows; correct them, or leave them out."
        )
    return frame


def checked_gold(gold: Any) -> pd.Series[int]:
    """Return the truth, 0 or 1, by object id; empty for None.

    Raises
    ------
    GridlensError
        If a truth is neither 0 nor 1, or an object has two.
    """
    if gold is None:
        return pd.Series(dtype=np.int64)
    frame = checked_frame("gold", gold, ("object_id", "truth")).drop_duplicates(["object_id", "truth"])
    if not frame["truth"].isin([0, 1]).all():
        raise GridlensError("The 'gold' parameter must have a truth of 1 (lens) or 0 (not a lens) in each row.")
    twice = frame["object_id"][frame["object_id"].duplicated()]
    if len(twice):
        raise GridlensError(
            f"The 'gold' parameter must have one truth for each object. Got two for {some_names(twice)}; remove one."
        )
    return pd.Series(frame["truth"].to_numpy(dtype=np.int64), index=frame["object_id"].to_numpy())


def latest_labels(grades: pd.DataFrame) -> pd.DataFrame:
    """Return the latest labelled row by each grader of each object.

    The latest row has the greatest `t_graded`, if the table has this column, or is the last row. Rows without a time
    count as older than all others.
    """
    labelled = grades[grades["grade"] != "U"]
    pair = ["object_id", "grader"]
    repeated = labelled.duplicated(pair, keep=False).to_numpy()
    if not repeated.any():
        return labelled
    several = labelled[repeated]
    if "t_graded" in several:
        several = several.sort_values("t_graded", kind="stable", na_position="first")
    last = several.drop_duplicates(pair, keep="last")
    return pd.concat([labelled[~repeated], last])


def coded_labels(grades: pd.DataFrame) -> CodedLabels:
    """Return the labels of checked grades as integer codes."""
    object_codes, objects = pd.factorize(grades["object_id"])
    grader_codes, graders = pd.factorize(grades["grader"])
    coded = pd.DataFrame({"object_id": object_codes, "grader": grader_codes, "grade": grades["grade"].to_numpy()})
    if "t_graded" in grades:
        coded["t_graded"] = grades["t_graded"].to_numpy()
    labels = latest_labels(coded)
    label_of = pd.Categorical(labels["grade"], categories=list(LABELS)).codes.astype(np.int64)
    return CodedLabels(
        list(objects),
        list(graders),
        labels["object_id"].to_numpy(dtype=np.int64),
        labels["grader"].to_numpy(dtype=np.int64),
        label_of,
        np.bincount(object_codes, minlength=len(objects)),
    )
