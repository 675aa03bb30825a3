"""Weights that make several rounds of biased queues an unbiased sample of the pool."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gridlens.errors import GridlensError
from gridlens.grading._labels import checked_frame, checked_grades
from gridlens.grading._queues import CERTAIN

__all__ = ["SAMPLED", "inclusion_weights", "with_strata"]

SAMPLED = (*CERTAIN, "random")
"""kinds of items that are part of the sample"""


def inclusion_weights(items: pd.DataFrame, grades: pd.DataFrame) -> pd.Series[float]:
    """Return the weights with which graded objects represent the pool from which the queues were chosen.

    The pool of round r contains all objects that are not graded yet. From round r alone, a total over all objects is
    estimated from those graded before, with weight 1, the items chosen for certain, with weight 1, and the random
    items, with weight 1 / pi. This estimate is unbiased given the past, so any fixed mean over the rounds is also
    unbiased, as in LURE [1]_. With ``a_r`` in proportion to the number of random items of round r, an object that was
    first graded in round s has the weight ``a_s w_s`` plus the sum of ``a_r`` over all later rounds, where ``w_s`` is 1
    or 1 / pi.

    Parameters
    ----------
    items : DataFrame
        Items of all queues in the order in which the queues were made, with `queue_id`, `object_id`, `kind`,
        `inclusion_probability` and `stratum`, such as `GradeBook.queue_items` returns.
    grades : DataFrame
        The columns `object_id`, `grader` and `grade`, and optionally `queue_id`, `kind` and `t_graded`.

    Returns
    -------
    Series of float
        Weights by object id, of the objects with a label (A, B, C or X). Gold objects are left out. Objects that were
        graded outside the queues count as graded before the first queue whose grades are later, and before all queues
        if there are no times. ``attrs`` counts the items without a label: `random_ungraded`, `random_unsure` (U alone),
        `certain_ungraded` and `certain_unsure`.

    Raises
    ------
    GridlensError
        A column is missing, a grade is unknown, or no random item has a label.

    Notes
    -----
    Items without a label are assumed to be missing at random within their stratum (all items chosen for certain form
    one), and labelled items represent them. A stratum without any label is represented by the other strata of its
    queue. Objects with only U grades are not queued again, so labelled objects also represent them in later rounds. U
    is given to difficult objects, so this is an approximation. Each queue is assumed to be graded, or abandoned, before
    the next one is made. A queue of more than 100 objects has lower scores in its later hundreds, so grade all of it.

    References
    ----------
    .. [1] Farquhar, Gal & Rainforth 2021, "On statistical bias in active learning: how and when to fix it", ICLR.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.grading import inclusion_weights
    >>> items = pd.DataFrame(
    ...     {
    ...         "queue_id": "q1",
    ...         "object_id": ["1", "2", "3"],
    ...         "kind": ["top", "random", "random"],
    ...         "inclusion_probability": [1.0, 0.02, 0.02],
    ...         "stratum": [None, "1", "1"],
    ...     }
    ... )
    >>> grades = pd.DataFrame({"object_id": ["1", "2", "3"], "grader": "ada", "grade": ["A", "X", "X"]})
    >>> inclusion_weights(items, grades).to_dict()
    {'1': 1.0, '2': 50.0, '3': 50.0}
    """
    sampled = with_strata(items, grades)
    is_random = (sampled["kind"] == "random").to_numpy()
    labelled, graded = sampled["labelled"].to_numpy(), sampled["graded"].to_numpy()
    n_rounds = int(sampled["round"].max()) + 1 if len(sampled) else 0
    round_of = sampled["round"].to_numpy(dtype=np.int64)
    usable = np.bincount(round_of[is_random & labelled], minlength=n_rounds) > 0
    part = np.where(usable, np.bincount(round_of[is_random & graded], minlength=n_rounds), 0.0)
    if not part.sum():
        raise GridlensError(
            "Weights need labels of random items: the others were chosen by the model and only represent themselves. "
            "Got none; grade a queue of the strategy mix or random."
        )
    part /= part.sum()
    later = np.concatenate([part[::-1].cumsum()[::-1][1:], [0.0]])
    own, carried = _represented(sampled)
    weight = part[round_of] * own + later[round_of] * carried
    outside = _outside(items, grades, sampled, part)
    made = pd.concat([pd.Series(weight[labelled], index=sampled["object_id"].to_numpy()[labelled]), outside])
    made = made.rename("weight").rename_axis("object_id")
    made.attrs = {
        f"{name}_{what}": int((rows & missing).sum())
        for name, rows in (("random", is_random), ("certain", ~is_random))
        for what, missing in (("ungraded", ~graded), ("unsure", graded & ~labelled))
    }
    return made


def with_strata(items: pd.DataFrame, grades: pd.DataFrame) -> pd.DataFrame:
    """Return the items that are part of the sample, up to the round in which each object was first graded.

    Returns
    -------
    DataFrame
        The columns of `items`; `round` from 0; `graded` and `labelled`, in this round; `cell`, a number for each
        stratum of a round, where all items chosen for certain are one.
    """
    frame = checked_frame("items", items, ("queue_id", "object_id", "kind", "inclusion_probability", "stratum"))
    given = checked_grades(grades)
    rounds, _ = pd.factorize(frame["queue_id"])
    sampled = frame.assign(round=rounds)[frame["kind"].isin(SAMPLED)].drop_duplicates(["round", "object_id"])
    wrong = ~sampled["inclusion_probability"].between(0.0, 1.0, inclusive="right")
    if wrong.any():
        raise GridlensError(
            "The 'items' parameter must have an inclusion_probability above 0 and at most 1 for each item that is not "
            f"gold, a repeat or a relabel. Got {int(wrong.sum())} items without; take the items of `make_queue`."
        )
    queue_of = dict(zip(frame["queue_id"], rounds, strict=True))
    answers = given["queue_id"].map(queue_of) if "queue_id" in given else pd.Series(np.nan, index=given.index)
    keys = pd.DataFrame({"object_id": given["object_id"], "round": answers, "labelled": given["grade"] != "U"})
    in_queue = keys.dropna(subset=["round"]).astype({"round": np.int64})
    # A grade without a queue answers the first queue that contains its object.
    first = sampled.groupby("object_id", sort=False)["round"].min()
    loose = keys[keys["round"].isna()]
    loose = loose.assign(round=loose["object_id"].map(first)).dropna(subset=["round"]).astype({"round": np.int64})
    known = pd.concat([in_queue, loose]).groupby(["round", "object_id"], sort=False)["labelled"].any()
    sampled = sampled.merge(known.rename("answer").reset_index(), on=["round", "object_id"], how="left")
    sampled["graded"] = sampled["answer"].notna()
    sampled["labelled"] = sampled["answer"].eq(True)
    begun = sampled[sampled["graded"]].groupby("object_id", sort=False)["round"].min()
    start = sampled["object_id"].map(begun)
    sampled = sampled[(start.isna() | (sampled["round"] <= start)).to_numpy()].drop(columns="answer")
    stratum = sampled["stratum"].where(sampled["kind"] == "random", "certain").fillna("")
    return sampled.assign(cell=sampled.groupby(["round", sampled["kind"] == "random", stratum]).ngroup())


def _represented(sampled: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the objects of the pool that each labelled item represents in its round, and in later ones."""
    cell, round_of = sampled["cell"].to_numpy(), sampled["round"].to_numpy()
    labelled, graded = sampled["labelled"].to_numpy(), sampled["graded"].to_numpy()
    is_random = (sampled["kind"] == "random").to_numpy()
    inverse = 1.0 / sampled["inclusion_probability"].to_numpy()
    n_labelled = np.bincount(cell, labelled)[cell]
    total = np.bincount(cell, inverse)[cell]
    # Strata without any label are represented by the labels of the other strata that were drawn at random.
    side = 2 * round_of + is_random
    reached = np.bincount(side, np.where(n_labelled > 0, inverse, 0.0))[side]
    spread = np.bincount(side, inverse)[side] / np.where(reached > 0.0, reached, 1.0)
    counts = np.maximum(n_labelled, 1.0)
    return total / counts * spread, np.bincount(cell, graded)[cell] / counts


def _outside(items: pd.DataFrame, grades: pd.DataFrame, sampled: pd.DataFrame, part: np.ndarray) -> pd.Series[float]:
    """Return the weights of labelled objects that were in no queue: 1 in the rounds after their first grade.

    `part` are the weights of the rounds.
    """
    asked = {*sampled.loc[sampled["graded"], "object_id"], *items.loc[items["kind"] == "gold", "object_id"]}
    loose = grades[(grades["grade"] != "U") & ~grades["object_id"].isin(list(asked))]
    if "t_graded" not in grades or "queue_id" not in grades:
        return pd.Series(1.0, index=loose["object_id"].unique(), dtype=np.float64)
    queues = items["queue_id"].unique()[: len(part)]
    begin = grades.groupby("queue_id")["t_graded"].min().reindex(queues)
    first = loose.groupby("object_id", sort=False)["t_graded"].min()
    total = np.zeros(len(first))
    for time, weight in zip(begin, part, strict=True):
        if weight:
            total += weight * (first.to_numpy(dtype=str) < str(time))
    return pd.Series(total, index=first.index, dtype=np.float64)
