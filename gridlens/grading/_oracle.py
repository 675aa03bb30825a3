"""Simulated graders, who know the truth and make errors as human graders do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

__all__ = ["GRADER_TABLES", "simulated_grades"]

_LABELS = np.array(["A", "B", "C", "X"])
GRADER_TABLES = np.array([[0.45, 0.27, 0.16, 0.12], [0.01, 0.04, 0.15, 0.80]])
"""P(grade in A, B, C, X | class) of an average grader, for lenses and for other objects"""
# Concentration of the Dirichlet distribution of the graders' tables.
_SPREAD = 40.0


def simulated_grades(
    items: pd.DataFrame, truth: Mapping[str, int], graders: Iterable[str], random_state: int = 0
) -> pd.DataFrame:
    """Return the grades that simulated graders give to the items of a queue.

    Their tables of P(grade | class) scatter around a mean that agrees with the findings of Rojas et al. [1]_: few
    non-lenses are graded highly, faint arcs are missed, and graders differ. Their errors are independent.

    Parameters
    ----------
    items : DataFrame
        With `object_id`, `queue_id`, `position` and `kind`.
    truth : mapping of str to int
        1 for a lens, 0 otherwise, by object id.
    graders : iterable of str
        Names. A grader with the same name and seed has the same table in each queue.
    random_state : int, default=0

    Returns
    -------
    DataFrame
        Table for `GradeBook.add_many`.

    References
    ----------
    .. [1] Rojas et al. 2023, MNRAS 523, 4413.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.grading._oracle import simulated_grades
    >>> items = pd.DataFrame({"object_id": ["1", "2"], "queue_id": "q", "position": [0, 1], "kind": "top"})
    >>> simulated_grades(items, {"1": 1, "2": 0}, ["ada"])["grade"].tolist()
    ['A', 'X']
    """
    is_lens = items["object_id"].map(truth).to_numpy(dtype=np.int64)
    rows = []
    for k, grader in enumerate(graders):
        own = np.random.default_rng([random_state, k])
        tables = np.stack([own.dirichlet(_SPREAD * table) for table in GRADER_TABLES])
        # The draws depend on the queue, so that errors differ between queues.
        rng = np.random.default_rng([random_state, k, *map(ord, "".join(items["object_id"].head(3)))])
        cumulated = np.cumsum(tables[1 - is_lens], axis=1)[:, :-1]
        picked = (rng.random((len(items), 1)) > cumulated).sum(axis=1)
        asked = items[["object_id", "queue_id", "position", "kind"]]
        rows.append(asked.assign(grader=grader, grade=_LABELS[picked]))
    return pd.concat(rows, ignore_index=True)
