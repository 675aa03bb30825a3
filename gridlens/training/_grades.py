"""Labels from grades: objects, probabilities, and the number of objects of the pool that each represents."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import pandas as pd

from gridlens.errors import GridlensError
from gridlens.evaluation import Estimate
from gridlens.grading import Consensus, GradeBook, consensus, inclusion_weights, lenses_left

__all__ = ["LENS", "NO_LENS", "Graded", "read_grades"]

LENS, NO_LENS = 0.9, 0.1
"""an object is a lens from the first probability on, and a non-lens up to the second; between them it has both labels,
with weights"""


class Graded(NamedTuple):
    """The objects of a grade book that have a label.

    Attributes
    ----------
    objects : DataFrame
        Index `object_id`; `q`, the probability of a lens from grades alone; `represents`, the number of objects of the
        pool that the object represents, NaN if its inclusion probability is unknown; `gold`, 1 for a gold lens, 0 for
        a gold non-lens and NaN otherwise; `cluster`, "" if unknown.
    grades, gold : DataFrame
        Tables returned by `GradeBook.current` and `GradeBook.gold`.
    found : Consensus
    left : Estimate
        Number of lenses left in the pool, with an interval.
    notes : list of str
        Sentences on grades that are not used.
    """

    objects: pd.DataFrame
    grades: pd.DataFrame
    gold: pd.DataFrame
    found: Consensus
    left: Estimate
    notes: list[str]


def read_grades(path: str | os.PathLike[str]) -> Graded:
    """Read the grades of a grade book and compute their consensus.

    Parameters
    ----------
    path : str or path
        A file of `GradeBook`.

    Raises
    ------
    GridlensError
        The book cannot be read, or no object in it has a label.
    """
    with GradeBook.open(path, read_only=True) as book:
        grades, gold, items, objects = book.current(), book.gold(), book.queue_items(), book.objects()
    found = consensus(grades, gold=gold)
    known = found.objects.set_index("object_id")["q_grades"].dropna()
    if not len(known):
        raise GridlensError(
            f"The book {os.fspath(path)} must contain grades of A, B, C or X for training. Got {len(grades)} other "
            "grades instead; grade a queue first."
        )
    notes = []
    unsure = len(found.objects) - len(known)
    if unsure:
        notes.append(f"{unsure} objects have only the grade U (unsure) and are left out.")
    try:
        represents = inclusion_weights(items, grades)
    except GridlensError:
        represents = pd.Series(dtype=np.float64)
        notes.append(
            "No random object of a queue was graded: the metrics on the card are for objects selected by a model, and "
            "do not apply to other objects."
        )
    clusters = objects.set_index("object_id")["cluster_id"]
    table = pd.DataFrame(
        {
            "q": known,
            "represents": represents.reindex(known.index),
            "gold": gold.set_index("object_id")["truth"].reindex(known.index).astype(np.float64),
            "cluster": clusters.reindex(known.index).fillna("").astype(str),
        }
    )
    left = lenses_left(items, grades, known)
    return Graded(table, grades, gold, found, left, notes)
