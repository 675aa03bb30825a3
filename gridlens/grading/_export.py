"""Export of the grades and labels of a grade book to tables."""

import os
import sqlite3
from collections.abc import Iterator

import numpy as np
import pandas as pd

from gridlens._ids import escaped
from gridlens._tables import write_batches, write_table
from gridlens.grading._consensus import consensus
from gridlens.grading._frames import current_batches, frame

__all__ = ["LENS", "NON_LENS", "export_grades", "export_labels", "labels_of"]

LENS, NON_LENS = 0.9, 0.1
"""smallest `q_grades` of an object labelled as a lens, and largest of an object labelled as a non-lens"""

_DESCRIPTIONS = {
    "grade_id": "UUID of the grade",
    "object_id": "Id of the object",
    "grader": "Name of the person who graded",
    "grade": "A definite, B probable, C possible, X not a lens, U unsure",
    "subclass": "Impostor that the grade X names",
    "confidence": "Confidence of the grader, from 0 to 1",
    "note": "Note of the grader",
    "view": "Page or tool that the object was graded in",
    "blind": "Whether score and grades of others were hidden",
    "t_shown": "Time at which the object was shown, UTC",
    "t_graded": "Time of the grade, UTC",
    "queue_id": "Queue that the object was in",
    "position": "Position in the queue, from 0",
    "kind": "Reason for which the object was in the queue",
    "label": "1 lens, 0 not a lens, blank undecided",
    "cluster": "Cluster that the object shows",
    "q_grades": "Probability of a lens by the grades alone",
}


def export_grades(
    connection: sqlite3.Connection, path: str | os.PathLike[str], other_pixels: bool, left_out: list[int]
) -> int:
    """Write the current grades and return their number; for CSV and Parquet, only one batch is in memory at a time.

    See `current_batches`.
    """
    n_rows = 0

    def counted() -> Iterator[pd.DataFrame]:
        nonlocal n_rows
        for batch in current_batches(connection, other_pixels, left_out):
            n_rows += len(batch)
            # Control characters would break lines of CSV and the XML of VOTable; importing the table restores them.
            yield batch.assign(note=batch["note"].map(escaped))

    write_batches(counted(), path, _attrs(*_DESCRIPTIONS))
    return n_rows


def export_labels(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table of labels."""
    table.attrs = _attrs(*table)
    write_table(table, path)


def labels_of(connection: sqlite3.Connection, grades: pd.DataFrame, gold: pd.DataFrame) -> pd.DataFrame:
    """Return labels by the consensus of grades; see `GradeBook.labels`."""
    found = consensus(grades, gold=gold if len(gold) else None).objects
    injected = gold.loc[gold["kind"] == "injected", "object_id"]
    found = found[~found["object_id"].isin(injected)]
    q = found["q_grades"].to_numpy(dtype=float)
    label = np.where(q >= LENS, 1.0, np.where(q <= NON_LENS, 0.0, np.nan))
    table = pd.DataFrame({"id": found["object_id"].to_numpy(), "label": label})
    clusters = frame(connection, "SELECT object_id, cluster_id FROM objects WHERE cluster_id IS NOT NULL")
    if len(clusters):
        # An object without a cluster is a separate cluster.
        names = clusters.set_index("object_id")["cluster_id"].reindex(table["id"])
        table["cluster"] = names.fillna("").to_numpy()
    return table.assign(q_grades=q)


def _attrs(*names: str) -> dict[str, dict[str, dict[str, str]]]:
    return {"columns": {name: {"description": _DESCRIPTIONS[name]} for name in names if name in _DESCRIPTIONS}}
