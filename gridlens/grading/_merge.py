"""Merging of grade books."""

import contextlib
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gridlens.errors import GridlensError
from gridlens.grading._connection import connect, damaged, explained, writing
from gridlens.grading._insert import last_sequence, settle

__all__ = ["merge_books"]

_GRADE_COLUMNS = (
    *("grade_id", "object_id", "grader_id", "grade", "subclass", "confidence", "note", "marks_json", "view", "blind"),
    *("t_shown", "t_graded", "queue_id", "position", "kind", "supersedes", "pixels_sha256"),
)
_Reader = Callable[..., Iterator[Any]]
_QUEUE = "strategy, params_json, seed, created, n_pool, pool_sha256"


def merge_books(mine: sqlite3.Connection, path: Path, other_path: Path, rename: Mapping[str, str]) -> dict[str, int]:
    """Add everything that a book lacks from another book, in one transaction; return the new rows by table.

    See `GradeBook.merge`.
    """
    if path.exists() and other_path.exists() and path.samefile(other_path):
        raise GridlensError(f"The grade book {path} cannot be merged into itself. Name another book.")
    # The other book is read in its state at the beginning, even if another process writes to it in the meantime.
    with contextlib.closing(connect(other_path, read_only=True)) as opened:
        opened.execute("BEGIN")
        other = _reader(opened, other_path)
        # Reading rows does not always reveal damage to their pages.
        if next(other("PRAGMA quick_check(1)"))[0] != "ok":
            raise GridlensError(damaged(other_path))
        with writing(mine, path):
            counts = {"graders": 0}
            graders, counts["graders"] = _graders(mine, other, rename, other_path)
            models, counts["models"] = _models(mine, other)
            differing, counts["objects"] = _objects(mine, other)
            contradicting, counts["gold"] = _gold(mine, other)
            counts["queues"] = _queues(mine, other, models, other_path)
            counts["grades"] = _grades(mine, other, graders)
    if differing:
        warnings.warn(
            f"The pixels of {differing} objects differ between {path} and {other_path}. All grades are kept; those of "
            f"the pixels in {other_path} are not current.",
            UserWarning,
            stacklevel=3,
        )
    if contradicting:
        warnings.warn(
            f"{contradicting} gold objects have a different truth in {other_path}. That of {path} is kept.",
            UserWarning,
            stacklevel=3,
        )
    return counts


def _reader(connection: sqlite3.Connection, path: Path) -> _Reader:
    """Return a function that yields the rows of a query and names the file in its errors."""

    def read(query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        with explained(path):
            yield from connection.execute(query, values)

    return read


def _graders(
    mine: sqlite3.Connection, other: _Reader, rename: Mapping[str, str], other_path: Path
) -> tuple[dict[str, str], int]:
    """Add graders without their login tokens; return their ids by their ids in the other book."""
    ids = {name: grader_id for grader_id, name in mine.execute("SELECT grader_id, name FROM graders")}
    known = set(ids.values())
    rows = list(other("SELECT grader_id, name, created FROM graders ORDER BY name"))
    if missing := sorted(set(rename) - {name for _, name, _ in rows}):
        raise GridlensError(
            f"The grade book {other_path} has no grader {', '.join(missing)}. Rename those that it has."
        )
    found, added, clashes = {}, 0, []
    for grader_id, name, created in rows:
        new_name = rename.get(name, name)
        if grader_id in known:
            found[grader_id] = grader_id
        elif new_name not in ids:
            mine.execute(
                "INSERT INTO graders (grader_id, name, created) VALUES (?, ?, ?)", (grader_id, new_name, created)
            )
            ids[new_name] = found[grader_id] = grader_id
            added += 1
        elif name in rename:
            found[grader_id] = ids[new_name]
        else:
            clashes.append(name)
    if clashes:
        first = clashes[0]
        raise GridlensError(
            f"Both grade books have a grader {', '.join(clashes)}, entered in each separately. Nothing was merged. If "
            f'these are two people, rename one with rename={{"{first}": "{first}-2"}}; if they are one person, state '
            f'this with rename={{"{first}": "{first}"}}.'
        )
    return found, added


def _models(mine: sqlite3.Connection, other: _Reader) -> tuple[dict[str | None, str | None], int]:
    """Add models; return their ids by their ids in the other book, which differ if both books had the model."""
    known = dict(mine.execute("SELECT sha256, model_id FROM models"))
    rows = list(other("SELECT * FROM models ORDER BY rowid"))
    ids: dict[str | None, str | None] = {None: None} | {row[0]: known.get(row[1], row[0]) for row in rows}
    new = [(*row[:4], ids[row[4]], *row[5:]) for row in rows if row[1] not in known]
    mine.executemany("INSERT INTO models VALUES (?, ?, ?, ?, ?, ?, ?)", new)
    return ids, len(new)


def _objects(mine: sqlite3.Connection, other: _Reader) -> tuple[int, int]:
    """Add objects and complete existing ones; return the number with other pixels, and the number of new ones."""
    hashes = dict(mine.execute("SELECT object_id, pixels_sha256 FROM objects"))
    rows = list(other("SELECT object_id, ra, dec, source, pixels_sha256, cluster_id FROM objects"))
    differing = sum(None not in (row[4], hashes.get(row[0])) and row[4] != hashes[row[0]] for row in rows)
    updates = ", ".join(
        f"{name} = COALESCE({name}, excluded.{name})" for name in ("ra", "dec", "source", "pixels_sha256", "cluster_id")
    )
    mine.executemany(
        "INSERT INTO objects (object_id, ra, dec, source, pixels_sha256, cluster_id) VALUES (?, ?, ?, ?, ?, ?) "
        f"ON CONFLICT (object_id) DO UPDATE SET {updates}",
        rows,
    )
    return differing, sum(row[0] not in hashes for row in rows)


def _gold(mine: sqlite3.Connection, other: _Reader) -> tuple[int, int]:
    """Add gold objects; return the number with a different truth in this book, and the number of new ones."""
    truths = dict(mine.execute("SELECT object_id, truth FROM gold"))
    rows = list(other("SELECT object_id, truth, kind, params_json FROM gold"))
    mine.executemany("INSERT INTO gold VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)
    return sum(truths.get(row[0], row[1]) != row[1] for row in rows), sum(row[0] not in truths for row in rows)


def _queues(mine: sqlite3.Connection, other: _Reader, models: dict[str | None, str | None], other_path: Path) -> int:
    """Add queues with their items; return the number of new ones."""
    added = 0
    for queue_id, model_id, *rest in other(f"SELECT queue_id, model_id, {_QUEUE} FROM queues ORDER BY rowid"):
        known = mine.execute(f"SELECT {_QUEUE} FROM queues WHERE queue_id = ?", (queue_id,)).fetchone()
        if known is not None:
            if known != tuple(rest):
                raise GridlensError(
                    f"The queue {queue_id} of {other_path} differs from the queue of that name in this book. Nothing "
                    "was merged. Queues that are added without a queue_id never clash."
                )
            continue
        mine.execute(
            f"INSERT INTO queues (queue_id, model_id, {_QUEUE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (queue_id, models[model_id], *rest),
        )
        columns = "queue_id, position, object_id, kind, p, score, inclusion_probability, stratum"
        mine.executemany(
            f"INSERT INTO queue_items ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            other(f"SELECT {columns} FROM queue_items WHERE queue_id = ? ORDER BY position", (queue_id,)),
        )
        added += 1
    return added


def _grades(mine: sqlite3.Connection, other: _Reader, graders: dict[str, str]) -> int:
    """Add rows of grades, including those that withdraw one; return the number of new ones."""
    before = last_sequence(mine)
    place = _GRADE_COLUMNS.index("grader_id")

    def mapped(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*row[:place], graders[row[place]], *row[place + 1 :])

    names = ", ".join(_GRADE_COLUMNS)
    cells = ", ".join("?" * len(_GRADE_COLUMNS))
    added = mine.executemany(
        f"INSERT INTO grades ({names}) VALUES ({cells}) ON CONFLICT (grade_id) DO NOTHING",
        map(mapped, other(f"SELECT {names} FROM grades ORDER BY sequence")),
    ).rowcount
    settle(mine, before)
    return added
