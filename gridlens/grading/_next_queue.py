"""Selection of the next queue of a grade book."""

from __future__ import annotations

import hashlib

import pandas as pd

from gridlens._ids import as_ids
from gridlens.errors import GridlensError
from gridlens.grading._book import GradeBook
from gridlens.grading._queues import make_queue

__all__ = ["add_next_queue"]


def add_next_queue(
    book: GradeBook,
    candidates: pd.DataFrame,
    *,
    strategy: str = "mix",
    batch: int = 100,
    random_state: int = 0,
    model_id: str | None = None,
) -> pd.DataFrame:
    """Choose the next queue for a book with `make_queue`, and add it to the book.

    Graded objects are not queued again, except for repeats. The gold objects are those of the book.

    Parameters
    ----------
    book : GradeBook
    candidates : DataFrame
        As for `make_queue`.
    strategy, batch, random_state
        As for `make_queue`.
    model_id : str, default=None
        Model of the book that produced the scores, if known.

    Returns
    -------
    DataFrame
        The items, with their `queue_id`. ``attrs["notes"]`` also mentions items of earlier queues without a grade.

    Raises
    ------
    GridlensError
        If the candidates differ from those of the earlier queues of the book, none of them can be queued, or as for
        `make_queue`.
    """
    grades, gold, queues, earlier = book.current(), book.gold(), book.queues(), book.queue_items()
    items = make_queue(
        candidates,
        strategy=strategy,
        batch=batch,
        graded=grades["object_id"].unique(),
        gold=gold["object_id"],
        repeats=grades.loc[grades["grade"] != "U", "object_id"].unique(),
        random_state=random_state,
    )
    pool = _pool_sha256(candidates)
    others = queues[queues["pool_sha256"] != pool]
    if len(others):
        raise GridlensError(
            f"The objects of the table of scores differ from those from which {len(others)} queues of the grade book "
            f"{book.path} were chosen. The weights of graded objects hold for one pool: score all objects of the "
            "earlier table again, or start another grade book, into which you can import the exported grades."
        )
    if items.empty:
        raise GridlensError("The table of scores has no object left to grade: all are graded, rejected or gold.")
    open_items = earlier[~earlier["object_id"].isin(grades["object_id"]) & (earlier["kind"] != "gold")]
    if len(open_items):
        items.attrs["notes"].append(
            f"{len(open_items)} objects of earlier queues have no grade. Import their grades before the next queue, "
            "because later grades weaken the weights."
        )
    items["queue_id"] = book.add_queue(
        items,
        strategy=strategy,
        params={"batch": batch},
        seed=random_state,
        model_id=model_id,
        n_pool=items.attrs["n_pool"],
        pool_sha256=pool,
    )
    return items


def _pool_sha256(candidates: pd.DataFrame) -> str:
    """Return a hash of all ids of a table, including rejected ones, that does not depend on their order."""
    ids = as_ids(candidates["object_id" if "object_id" in candidates else "id"])
    return hashlib.sha256("\n".join(sorted(ids)).encode("utf-8", "surrogatepass")).hexdigest()
