"""Queues and grades of one grader for the page, as functions of a grade book."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gridlens.errors import GridlensError
from gridlens.grading import GradeBook, consensus

__all__ = [
    "add_grade",
    "disagreement",
    "graded_by",
    "grades_of_others",
    "history",
    "open_queue",
    "practice",
    "undo",
]

_PRACTICE = 10
# Number of levels of confidence on the page.
_LEVELS = 3


def open_queue(book: GradeBook, grader: str, since: str) -> dict[str, Any] | None:
    """Return the first queue with items that a grader has not graded, or None.

    Queues before the last one with a grade of this grader are skipped. A grader without grades starts with the first
    queue created after the time `since` or, if there is none, with the last queue.
    """
    queues = book.queues()
    if queues.empty:
        return None
    grades = book.current()
    mine = grades[grades["grader"] == grader]
    names = queues["queue_id"].tolist()
    begun = [k for k, name in enumerate(names) if name in set(mine["queue_id"])]
    later = np.flatnonzero(queues["created"] >= since)
    first = begun[-1] if begun else int(later[0]) if len(later) else len(names) - 1
    for queue_id, strategy in zip(names[first:], queues["strategy"][first:], strict=True):
        items = _items(book.queue_items(queue_id), mine, queue_id)
        if any(item["grade"] is None for item in items):
            return {"queue_id": queue_id, "strategy": strategy, "items": items}
    return None


def _items(items: pd.DataFrame, mine: pd.DataFrame, queue_id: str) -> list[dict[str, Any]]:
    """Return the items of a queue with the grader's own grades, without anything that a blind grader must not see."""
    answers = mine[mine["queue_id"] == queue_id].set_index("position")
    # A repeat requires a second grade, so the grade of another item does not answer it.
    others = mine[mine["kind"] != "repeat"].drop_duplicates("object_id", keep="last").set_index("object_id")
    made = []
    for position, name, kind in zip(items["position"], items["object_id"], items["kind"], strict=True):
        line = None
        if position in answers.index:
            line = answers.loc[[position]].iloc[-1]
        elif kind != "repeat" and name in others.index:
            line = others.loc[name]
        made.append({"position": int(position), "object_id": name, **_own(line)})
    return made


def _own(line: Any) -> dict[str, Any]:
    if line is None:
        return {"grade": None, "subclass": None, "confidence": None, "note": "", "grade_id": None}
    return {
        "grade": line["grade"],
        "subclass": line["subclass"] or None,
        "confidence": None if np.isnan(line["confidence"]) else round(float(line["confidence"]) * _LEVELS),
        "note": line["note"],
        "grade_id": line["grade_id"],
    }


def add_grade(book: GradeBook, grader: str, given: Mapping[str, Any], blind: bool) -> str:
    """Add a grade sent by the page and return its id; a grade that is already in the book changes nothing.

    Raises
    ------
    GridlensError
        If a value is invalid.
    """
    grade_id = given.get("grade_id") or str(uuid.uuid4())
    try:
        grade_id = str(uuid.UUID(str(grade_id)))
    except ValueError:
        raise GridlensError(f"The grade_id must be a UUID. Got {grade_id!r} instead.") from None
    confidence = given.get("confidence")
    if confidence is not None:
        if confidence not in range(1, _LEVELS + 1):
            raise GridlensError(f"The confidence must be 1, 2 or 3. Got {confidence!r} instead.")
        confidence = confidence / _LEVELS
    row = {
        "grade_id": grade_id,
        "object_id": given.get("object_id"),
        "grader": grader,
        "grade": given.get("grade"),
        "subclass": given.get("subclass"),
        "confidence": confidence,
        "note": given.get("note") or "",
        "marks_json": given.get("marks") or None,
        "view": given.get("view") or "",
        "blind": blind,
        "t_shown": given.get("t_shown"),
        "queue_id": given.get("queue_id"),
        "position": given.get("position"),
    }
    book.add_many(pd.DataFrame({name: pd.Series([value], dtype=object) for name, value in row.items()}))
    return grade_id


def undo(book: GradeBook, grader: str, grade_id: str | None) -> dict[str, Any]:
    """Withdraw a grade, or the last one for None; return its object with the grade that is now current."""
    before = book.current()
    withdrawn = book.undo(grader, grade_id)
    if withdrawn is None:
        return {"object_id": None, "grade": None, "grade_id": None}
    line = before[before["grade_id"] == withdrawn].iloc[0]
    left = before[
        (before["object_id"] == line["object_id"]) & (before["grader"] == grader) & (before["grade_id"] != withdrawn)
    ]
    return {
        "object_id": line["object_id"],
        "grade": None if left.empty else left["grade"].iloc[-1],
        "grade_id": withdrawn,
        "queue_id": line["queue_id"] or None,
        "position": None if np.isnan(line["position"]) else int(line["position"]),
    }


def graded_by(book: GradeBook, grader: str, object_id: str) -> bool:
    """Return whether a grader has a current grade of an object."""
    grades = book.current()
    return bool(((grades["object_id"] == object_id) & (grades["grader"] == grader)).any())


def grades_of_others(book: GradeBook, grader: str, object_id: str) -> list[dict[str, str]]:
    """Return the current grades of an object by all other graders."""
    grades = book.current()
    chosen = grades[(grades["object_id"] == object_id) & (grades["grader"] != grader)]
    return [dict(line) for line in chosen[["grader", "grade"]].to_dict("records")]


def practice(book: GradeBook, seed: int) -> list[dict[str, Any]]:
    """Return up to ten gold objects with their truth for a training round, half of them lenses if possible."""
    gold = book.gold().sample(frac=1.0, random_state=seed)
    lenses, others = gold[gold["truth"] == 1], gold[gold["truth"] == 0]
    n_lenses = min(len(lenses), max(_PRACTICE // 2, _PRACTICE - len(others)))
    chosen = pd.concat([lenses[:n_lenses], others[: _PRACTICE - n_lenses]]).sample(frac=1.0, random_state=seed)
    return [
        {"object_id": name, "truth": int(truth), "kind": kind}
        for name, truth, kind in zip(chosen["object_id"], chosen["truth"], chosen["kind"], strict=True)
    ]


def disagreement(book: GradeBook, grader: str) -> list[dict[str, Any]]:
    """Return the objects graded by a grader on which the graders disagree, least certain first."""
    grades = book.current()
    labelled = grades[grades["grade"] != "U"]
    mine = set(labelled.loc[labelled["grader"] == grader, "object_id"])
    differ = labelled.groupby("object_id")["grade"].nunique()
    chosen = [name for name in differ.index[differ > 1] if name in mine]
    chosen_grades = labelled[labelled["object_id"].isin(chosen)]
    several = chosen_grades.groupby("object_id")["grader"].nunique()
    chosen = list(several.index[several > 1])
    if not chosen:
        return []
    q = consensus(grades, gold=book.gold()).objects.set_index("object_id")["q_grades"].reindex(chosen)
    lines = chosen_grades.groupby("object_id")[["grader", "grade"]]
    ordered = sorted(chosen, key=lambda name: abs(q[name] - 0.5))
    return [
        {"object_id": name, "q": float(q[name]), "grades": lines.get_group(name).to_dict("records")} for name in ordered
    ]


def history(book: GradeBook, grader: str, limit: int) -> list[dict[str, Any]]:
    """Return the grades of a grader, newest first, marking whether each is current."""
    rows = book.history()
    replaced = set(rows["supersedes"]) - {""}
    own = rows[(rows["grader"] == grader) & (rows["grade"] != "")].iloc[::-1][:limit]
    return [
        {
            "grade_id": line["grade_id"],
            "object_id": line["object_id"],
            "grade": line["grade"],
            "subclass": line["subclass"] or None,
            "note": line["note"],
            "t_graded": line["t_graded"],
            "current": line["grade_id"] not in replaced,
        }
        for line in own.to_dict("records")
    ]
