"""Interface and error of the table readers, and the selection among several tables of a file."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from gridlens._ids import InexactIdError, as_ids
from gridlens.errors import GridlensError

__all__ = ["UNNAMED_INDEX", "Rank", "TableError", "TableSource", "check_width", "choose_table", "text_column"]

UNNAMED_INDEX = "__index_level_0__"
"""pandas' name for an unnamed index in a Parquet file"""

_FORMATS = "It must be a CSV, FITS, ECSV, VOTable or Parquet file."
_MAX_COLUMNS = 10_000

Rank = Callable[[Sequence[Any]], int]
"""rating of how well the column names of a table fit; 0 if none of them is known"""


class TableError(GridlensError):
    """Unreadable table; the message has the reason, a clause without a full stop, and the way out, a sentence."""

    def __init__(self, reason: str, way_out: str = _FORMATS) -> None:
        super().__init__(f"{reason}. {way_out}")
        self.reason = reason
        self.way_out = way_out


class TableSource(Protocol):
    """Table in a file whose columns are known, but whose rows are not read yet."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the columns with one value per row, without repetition."""

    @property
    def typed(self) -> bool:
        """True if the columns have types; those of text are inferred from the values."""

    @property
    def units(self) -> Mapping[str, str]:
        """Units from the file, by column."""

    @property
    def notes(self) -> Sequence[str]:
        """Clauses on the rows that `read` left out."""

    def read(self, names: Collection[str] | None, text: Collection[str]) -> pd.DataFrame:
        """Read the columns `names`, or all if None; those in `text` as ids, see `gridlens._ids`.

        If the columns have types, integers with missing values remain integers.
        """


def text_column(values: Any) -> "pd.Series[Any]":
    """Return ids as a column of str, "" if missing.

    Raises
    ------
    TableError
        If ids are floating-point numbers too large to be exact.
    """
    try:
        return pd.Series(as_ids(values), dtype=object)
    except InexactIdError as exc:
        raise TableError(
            f"its ids are floating-point numbers too large to be exact, such as {exc.value!r}", exc.way_out
        ) from exc


def check_width(columns: int) -> None:
    """Raise TableError if a table has more columns than any catalogue."""
    if columns > _MAX_COLUMNS:
        raise TableError(
            f"it has {columns} columns, but at most {_MAX_COLUMNS} are supported", "Keep the columns that are needed."
        )


def choose_table(tables: Sequence[tuple[str, Sequence[str]]], rank: Rank) -> int:
    """Select the table of a file whose columns fit best, from names and columns; the first if none fits.

    Raises
    ------
    TableError
        If there is no table, or several fit equally well and none is the table of objects of a FITS_LDAC file.
    """
    if not tables:
        raise TableError("it contains no table")
    ranks = [rank(columns) for _, columns in tables]
    best = max(ranks)
    winners = [k for k, value in enumerate(ranks) if value == best]
    if best == 0 or len(winners) == 1:
        return winners[0]
    objects = [k for k in winners if tables[k][0] == "LDAC_OBJECTS"]
    if len(objects) == 1:
        return objects[0]
    named = ", ".join(tables[k][0] or f"number {k + 1}" for k in winners)
    raise TableError(f"it contains {len(winners)} tables of the same kind ({named})", "Keep one of them in the file.")
