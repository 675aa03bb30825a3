"""Statements that write the objects, gold objects, queues and models of a grade book."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from gridlens._ids import as_id, as_ids
from gridlens.errors import GridlensError
from gridlens.grading._rows import as_json, is_missing, new_id, now, number_or_none
from gridlens.grading._vocabulary import KINDS, STRATEGIES

__all__ = ["GOLD_KINDS", "insert_gold", "insert_model", "insert_objects", "insert_queue", "name_objects"]

GOLD_KINDS = ("injected", "known_lens", "known_nonlens")
_OBJECT_COLUMNS = ("object_id", "ra", "dec", "source", "pixels_sha256", "cluster_id")
_ITEM_COLUMNS = ("position", "object_id", "kind", "p", "score", "inclusion_probability", "stratum")


def name_objects(connection: sqlite3.Connection, object_ids: Iterable[str]) -> None:
    """Add objects with only their id, unless they are already in the book."""
    connection.executemany(
        "INSERT INTO objects (object_id) VALUES (?) ON CONFLICT DO NOTHING", ((name,) for name in set(object_ids))
    )


def insert_objects(connection: sqlite3.Connection, table: pd.DataFrame) -> tuple[int, int]:
    """Add objects, or complete existing ones; missing values do not overwrite existing ones.

    Returns
    -------
    changed : int
        Number of objects whose pixels differ from those in the book so far.
    graded : int
        Number of current grades of these objects, which belong to the earlier pixels.
    """
    rows = _columns(
        table,
        "objects",
        {
            "object_id": as_id,
            "ra": number_or_none,
            "dec": number_or_none,
            "source": _text,
            "pixels_sha256": _text,
            "cluster_id": _text,
        },
        needed=("object_id",),
    )
    _check_ids(rows["object_id"], "objects")
    connection.execute("CREATE TEMP TABLE incoming (object_id TEXT PRIMARY KEY, pixels_sha256 TEXT)")
    connection.executemany(
        "INSERT INTO incoming VALUES (?, ?)", zip(rows["object_id"], rows["pixels_sha256"], strict=True)
    )
    differing = """
        FROM incoming JOIN objects AS o USING (object_id) {more}
        WHERE incoming.pixels_sha256 <> o.pixels_sha256
    """
    changed = connection.execute("SELECT COUNT(*)" + differing.format(more="")).fetchone()[0]
    graded = connection.execute(
        "SELECT COUNT(*)"
        + differing.format(more="JOIN current_grades AS g USING (object_id)")
        + "AND NOT g.other_pixels"
    ).fetchone()[0]
    connection.execute("DROP TABLE incoming")
    updates = ", ".join(f"{name} = COALESCE(excluded.{name}, objects.{name})" for name in _OBJECT_COLUMNS[1:])
    connection.executemany(
        f"INSERT INTO objects ({', '.join(_OBJECT_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?) "
        f"ON CONFLICT (object_id) DO UPDATE SET {updates}",
        zip(*(rows[name] for name in _OBJECT_COLUMNS), strict=True),
    )
    return changed, graded


def insert_gold(connection: sqlite3.Connection, table: pd.DataFrame) -> int:
    """Add gold objects; return the number of those that had a different truth in the book, which is replaced."""
    checks: dict[str, Callable[[Any], Any]] = {
        "object_id": as_id,
        "truth": _truth,
        "kind": _word(GOLD_KINDS),
        "params_json": _params,
    }
    rows = _columns(table, "gold objects", checks, needed=("object_id", "truth", "kind"))
    _check_ids(rows["object_id"], "gold objects")
    name_objects(connection, rows["object_id"])
    values = list(zip(*(rows[name] for name in checks), strict=True))
    known = dict(connection.execute("SELECT object_id, truth FROM gold"))
    connection.executemany(
        "INSERT INTO gold VALUES (?, ?, ?, ?) ON CONFLICT (object_id) DO UPDATE "
        "SET truth = excluded.truth, kind = excluded.kind, "
        "params_json = CASE excluded.params_json WHEN '{}' THEN gold.params_json ELSE excluded.params_json END",
        values,
    )
    return sum(known.get(name, truth) != truth for name, truth, *_ in values)


def insert_queue(
    connection: sqlite3.Connection,
    items: pd.DataFrame,
    *,
    strategy: str,
    params: Mapping[str, Any],
    seed: int | None,
    model_id: str | None,
    n_pool: int,
    pool_sha256: str,
) -> str:
    """Add a queue with its items and return its id, which is that of the items if they have one."""
    if strategy not in STRATEGIES:
        raise ValueError(f"The 'strategy' parameter must be one of {', '.join(STRATEGIES)}. Got {strategy!r} instead.")
    ids = set(as_ids(items["queue_id"])) - {""} if "queue_id" in items else set()
    if len(ids) > 1:
        raise GridlensError(
            f"The items of a queue must have one queue_id. Got {len(ids)} of them; add them one by one."
        )
    queue_id = ids.pop() if ids else new_id()
    rows = _columns(
        items,
        "items of a queue",
        {
            "position": _whole,
            "object_id": as_id,
            "kind": _word(KINDS),
            "p": number_or_none,
            "score": number_or_none,
            "inclusion_probability": _inclusion,
            "stratum": _text,
        },
        needed=("position", "object_id", "kind"),
    )
    if "" in rows["object_id"]:
        raise GridlensError("The items of a queue must have an object_id each. Got a blank instead.")
    if len(set(rows["position"])) < len(rows["position"]):
        raise GridlensError("The items of a queue must have a position each. Got a position twice instead.")
    if connection.execute("SELECT 1 FROM queues WHERE queue_id = ?", (queue_id,)).fetchone():
        raise GridlensError(f"The queue {queue_id} is in the book already. Drop the column queue_id to add it again.")
    if (
        model_id is not None
        and not connection.execute("SELECT 1 FROM models WHERE model_id = ?", (model_id,)).fetchone()
    ):
        raise GridlensError(f"The model {model_id} is not in the book. Add it with add_model first.")
    name_objects(connection, rows["object_id"])
    connection.execute(
        "INSERT INTO queues VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (queue_id, strategy, as_json(dict(params)), seed, model_id, now(), n_pool, pool_sha256),
    )
    connection.executemany(
        f"INSERT INTO queue_items (queue_id, {', '.join(_ITEM_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ((queue_id, *row) for row in zip(*(rows[name] for name in _ITEM_COLUMNS), strict=True)),
    )
    return queue_id


def insert_model(
    connection: sqlite3.Connection,
    path: str,
    *,
    sha256: str,
    trained_at: str | None,
    parent_id: str | None,
    recipe: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> str:
    """Add a model and return its id: that of the model in the book with the same hash, if there is one."""
    known = connection.execute("SELECT model_id FROM models WHERE sha256 = ?", (sha256,)).fetchone()
    if known:
        return str(known[0])
    if (
        parent_id is not None
        and not connection.execute("SELECT 1 FROM models WHERE model_id = ?", (parent_id,)).fetchone()
    ):
        raise GridlensError(f"The model {parent_id} is not in the book. Add the parent first.")
    model_id = new_id()
    connection.execute(
        "INSERT INTO models VALUES (?, ?, ?, ?, ?, ?, ?)",
        (model_id, sha256, path, trained_at, parent_id, as_json(dict(recipe)), as_json(dict(metrics))),
    )
    return model_id


def _columns(
    table: pd.DataFrame, what: str, checks: Mapping[str, Callable[[Any], Any]], *, needed: tuple[str, ...]
) -> dict[str, list[Any]]:
    """Return columns of a table, converted; a missing column is one of missing values."""
    if lacking := [name for name in needed if name not in table]:
        raise GridlensError(
            f"A table of {what} must have the columns {', '.join(needed)}. {', '.join(lacking)} is missing."
        )
    made = {}
    for name, convert in checks.items():
        if name == "object_id":
            made[name] = list(as_ids(table[name]))
            continue
        values = table[name].tolist() if name in table else [None] * len(table)
        try:
            made[name] = [convert(value) for value in values]
        except (ValueError, TypeError) as exc:
            raise GridlensError(f"The column {name!r} of the {what} has a value that is not allowed: {exc}.") from exc
    return made


def _check_ids(ids: list[str], what: str) -> None:
    if "" in ids or len(set(ids)) < len(ids):
        raise GridlensError(f"A table of {what} must name each object_id once. Got a blank or a repeated id instead.")


def _text(value: Any) -> str | None:
    return as_id(value) or None


def _truth(value: Any) -> int:
    if is_missing(value) or float(value) not in (0.0, 1.0):
        raise ValueError(f"1 or 0 is needed, got {value!r}")
    return int(float(value))


def _params(value: Any) -> str:
    """Return parameters, a dictionary or its JSON, as JSON."""
    if not isinstance(value, dict) and is_missing(value):
        return "{}"
    return as_json(json.loads(value) if isinstance(value, str) else value)


def _whole(value: Any) -> int:
    number = number_or_none(value)
    if number is None or number < 0 or not number.is_integer():
        raise ValueError(f"a whole number from 0 is needed, got {value!r}")
    return int(number)


def _inclusion(value: Any) -> float | None:
    number = number_or_none(value)
    if number is not None and not 0.0 < number <= 1.0:
        raise ValueError(f"a number above 0 and at most 1 is needed, got {value!r}")
    return number


def _word(words: tuple[str, ...]) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if str(value) not in words:
            raise ValueError(f"one of {', '.join(words)} is needed, got {value!r}")
        return str(value)

    return convert
