"""Grades of people as labels: which objects have one, how sure it is, and whom each object represents."""

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
"""probabilities from which, and up to which, an object has one label; between them it has both, with weights"""


class Graded(NamedTuple):
    """The objects of a book of grades that have a label.

    Attributes
    ----------
    objects : DataFrame
        Index `object_id`; `q`, the probability of a lens from grades alone; `represents`, the number of objects of the
        pool that it represents, NaN where its probability of inclusion is unknown; `gold`, 1 for a gold lens, 0 for
        another gold object and NaN otherwise; `cluster`, "" where unknown.
    grades, gold : DataFrame
        As `GradeBook.current` and `GradeBook.gold` return them.
    found : Consensus
    left : Estimate
        Lenses that are left in the pool, with an interval.
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
    """Read the grades of a book, and their consensus.

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
            f"The book {os.fspath(path)} must hold grades of A, B, C or X to train on. Got {len(grades)} grades with "
            "none of these instead; grade a queue first."
        )
    notes = []
    unsure = len(found.objects) - len(known)
    if unsure:
        notes.append(f"{unsure} objects have no grade but U, unsure, and are left out.")
    try:
        represents = inclusion_weights(items, grades)
    except GridlensError:
        represents = pd.Series(dtype=np.float64)
        notes.append(
            "No random object of a queue was graded: the figures on the card are of objects that a model chose, and "
            "say nothing of the others."
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
