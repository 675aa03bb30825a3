"""Validation and normalization of grades before they enter a grade book."""

import json
import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gridlens._ids import as_id
from gridlens.errors import GridlensError
from gridlens.grading._vocabulary import GRADES, KINDS, SUBCLASSES

__all__ = [
    "GRADE_COLUMNS",
    "as_json",
    "as_text",
    "checked_rows",
    "is_missing",
    "new_id",
    "now",
    "number_or_none",
    "time_text",
]

_Error = type[GridlensError] | type[ValueError]
_TRUTH = {"true": 1, "false": 0, "1": 1, "0": 0, "1.0": 1, "0.0": 0}


def now() -> str:
    """Return the time as UTC, ISO 8601 with milliseconds."""
    return time_text(datetime.now(UTC))


def new_id() -> str:
    """Return a random UUID as text."""
    return str(uuid.uuid4())


def time_text(value: Any) -> str:
    """Return a time as UTC, ISO 8601 with milliseconds; a time without a zone is UTC.

    Raises
    ------
    ValueError
        If the value is not a time.

    Examples
    --------
    >>> time_text("2026-03-01 12:00:00+01:00"), time_text("2026-03-01")
    ('2026-03-01T11:00:00.000Z', '2026-03-01T00:00:00.000Z')
    """
    time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_missing(value: Any) -> bool:
    """Return whether a cell is empty: None, NaN, NaT, `pandas.NA` or blank text."""
    if isinstance(value, str):
        return not value.strip()
    return as_id(value) == "" if not isinstance(value, list | dict | tuple) else False


def number_or_none(value: Any) -> float | None:
    """Return a cell as a float, or None if it is empty; raise ValueError for other text."""
    return None if is_missing(value) else float(value)


def as_json(value: Any) -> str:
    """Return a value as JSON with sorted keys; NaN and infinities are rejected.

    Raises
    ------
    ValueError
        If JSON does not support the value.
    """
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as exc:
        raise ValueError(f"JSON cannot hold {value!r}: {exc}. Use numbers, text, lists and dictionaries.") from exc


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # of numpy
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _uuid(value: Any) -> str:
    return new_id() if is_missing(value) else str(uuid.UUID(str(value).strip()))


def _id(value: Any) -> str:
    if not (name := as_id(value)):
        raise ValueError
    return name


def _one_of(words: Iterable[str], *, needed: bool = False) -> Callable[[Any], str | None]:
    allowed = frozenset(words)

    def convert(value: Any) -> str | None:
        if not needed and is_missing(value):
            return None
        if str(value).strip() not in allowed:
            raise ValueError
        return str(value).strip()

    return convert


def _confidence(value: Any) -> float | None:
    number = number_or_none(value)
    if number is not None and not 0.0 <= number <= 1.0:
        raise ValueError
    return number


def _position(value: Any) -> int | None:
    number = number_or_none(value)
    if number is None:
        return None
    if number < 0 or not number.is_integer():
        raise ValueError
    return int(number)


def _text(value: Any) -> str:
    return "" if is_missing(value) else as_text(value)


def as_text(value: Any) -> str:
    """Return a note as text with escaped lone surrogates, which UTF-8 cannot encode."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def _optional_id(value: Any) -> str | None:
    return as_id(value) or None


def _blind(value: Any) -> int:
    return 1 if is_missing(value) else _TRUTH[str(value).strip().lower()]


def _shown(value: Any) -> str | None:
    return None if is_missing(value) else time_text(value)


def _marks(value: Any) -> str | None:
    if isinstance(value, str):
        value = json.loads(value) if value.strip() else None
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else as_json(value)


# Conversion and description of the valid values, by column.
_CHECKS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "grade_id": (_uuid, "a UUID"),
    "object_id": (_id, "an id"),
    "grader": (_id, "the name of a grader"),
    "grade": (_one_of(GRADES, needed=True), f"one of {', '.join(GRADES)}"),
    "subclass": (_one_of(SUBCLASSES), f"one of {', '.join(SUBCLASSES)}"),
    "confidence": (_confidence, "a number from 0 to 1"),
    "note": (_text, "text"),
    "marks_json": (_marks, "JSON"),
    "view": (as_id, "text"),
    "blind": (_blind, "True or False"),
    "t_shown": (_shown, "a time in ISO 8601"),
    "t_graded": (_shown, "a time in ISO 8601"),
    "queue_id": (_optional_id, "the id of a queue"),
    "position": (_position, "a whole number from 0"),
    "kind": (_one_of(KINDS), f"one of {', '.join(KINDS)}"),
}
GRADE_COLUMNS = tuple(_CHECKS)
"""columns of a grade that the book accepts, with the name of the grader"""
_NEEDED = ("object_id", "grader", "grade")
_REPETITIVE = ("grader", "grade", "subclass", "view", "queue_id", "kind", "blind", "note")


def checked_rows(
    columns: Mapping[str, Sequence[Any]], n_rows: int, what: str = "column", error: _Error = GridlensError
) -> dict[str, list[Any]]:
    """Return the columns of grades in the form used in the book.

    Parameters
    ----------
    columns : mapping of str to sequence
        Values by the name of their column. `GRADE_COLUMNS` are used; `object_id`, `grader` and `grade` are required.
    n_rows : int
        Number of rows of each column.
    what : {"column", "parameter"}, default="column"
        Name of a column in messages.
    error : type, default=GridlensError
        Type of the exception.

    Returns
    -------
    dict of str to list
        All `GRADE_COLUMNS`; missing values are None.

    Raises
    ------
    GridlensError or ValueError
        If a column is missing or a value is invalid; the message lists the values.
    """
    if lacking := [name for name in _NEEDED if name not in columns]:
        raise error(f"A table of grades must have the columns {', '.join(_NEEDED)}. {', '.join(lacking)} is missing.")
    rows = {name: _converted(name, columns[name], what, error) for name in GRADE_COLUMNS if name in columns}
    for name in GRADE_COLUMNS:
        if name not in rows:
            convert = _CHECKS[name][0]
            rows[name] = [new_id() for _ in range(n_rows)] if name == "grade_id" else [convert(None)] * n_rows
    wrong = [
        f"{grade} ({subclass})"
        for grade, subclass in zip(rows["grade"], rows["subclass"], strict=True)
        if subclass is not None and grade != "X"
    ]
    if wrong:
        raise error(f"The 'subclass' {what} must be missing unless the grade is X. Got {_some(wrong)} instead.")
    return rows


def _converted(name: str, values: Sequence[Any], what: str, error: _Error) -> list[Any]:
    convert, allowed = _CHECKS[name]
    found: list[Any] = []
    wrong: list[str] = []
    known: dict[Any, Any] = {}
    for value in values:
        try:
            if name in _REPETITIVE and isinstance(value, str):
                if value not in known:
                    known[value] = convert(value)
                found.append(known[value])
            else:
                found.append(convert(value))
        except (ValueError, TypeError, KeyError, GridlensError):
            wrong.append("a blank" if is_missing(value) else repr(value))
    if wrong:
        raise error(f"The '{name}' {what} must be {allowed}. Got {_some(wrong)} instead.")
    return found


def _some(values: Iterable[str]) -> str:
    """List distinct values, at most ten of them."""
    distinct = list(dict.fromkeys(values))
    return ", ".join(distinct[:10]) + (f" and {len(distinct) - 10} more" if len(distinct) > 10 else "")
