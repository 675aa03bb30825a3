"""Tables of labels and of truth: rows by id, and clean labels of 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gridlens._ids import as_ids
from gridlens._table_columns import CONTEXT_PREFIX
from gridlens._tables import some_names
from gridlens.errors import GridlensError

__all__ = ["binary_values", "check_columns", "check_label_column", "check_no_context", "rows_by_id"]

_WORDS = {"true": "1", "yes": "1", "false": "0", "no": "0"}
_BLANK = ("", "nan", "none", "<na>")
# Columns that tell which rows were labelled, not which are lenses.
_LABELLED = ("known_lens", "s", "labelled", "labeled", "known")


def check_columns(table: pd.DataFrame, names: Sequence[str], what: str, why: str = "") -> None:
    """Raise GridlensError unless the table has these columns.

    Parameters
    ----------
    table : DataFrame
    names : sequence of str
        Columns that the table must have.
    what : str
        Name of the table for the message, such as "truth table".
    why : str, default=""
        A sentence at the end of the message.
    """
    if any(name not in table for name in names):
        wanted = " and ".join([", ".join(names[:-1])] * (len(names) > 1) + [names[-1]])
        raise GridlensError(
            f"The {what} must have the column{'s' * (len(names) > 1)} {wanted}. Got "
            f"{', '.join(map(str, table.columns[:8])) or 'no column'} instead; rename its columns."
            f"{' ' * bool(why)}{why}"
        )


def check_no_context(table: pd.DataFrame, what: str) -> None:
    """Raise GridlensError if a table that training reads has columns of catalogue context.

    Parameters
    ----------
    table : DataFrame
    what : str
        Name of the table for the message, such as "table of labels".
    """
    context = [str(name) for name in table if str(name).startswith(CONTEXT_PREFIX)]
    if context:
        raise GridlensError(
            f"The {what} must not have columns of catalogue context, which a model may not learn from. Got "
            f"{some_names(context)} instead; remove the columns that begin with {CONTEXT_PREFIX}."
        )


def check_label_column(table: pd.DataFrame, what: str, why: str) -> None:
    """Raise GridlensError unless the table has a column `label`.

    Parameters
    ----------
    table : DataFrame
    what : str
        Name of the table for the message, such as "truth table".
    why : str
        Text after "Got 's' instead, which says which rows were labelled" if the table has such a column.
    """
    labelled = [name for name in _LABELLED if name in table]
    if "label" not in table and labelled:
        raise GridlensError(
            f"The {what} must have a column 'label' of clean labels, 1 for a lens and 0 for certainly not a lens. Got "
            f"{labelled[0]!r} instead, which says which rows were labelled{why}"
        )
    check_columns(table, ("label",), what)


def rows_by_id(table: pd.DataFrame, what: str) -> tuple[pd.DataFrame, int]:
    """Return the rows with an id, with the ids as index, and the number of rows without one.

    Parameters
    ----------
    table : DataFrame
        Table with a column `id` of text or numbers; see `gridlens._ids.as_id` for their spelling.
    what : str
        Name of the table for messages, such as "truth table".

    Returns
    -------
    rows : DataFrame
        In the order of the table, without the column `id`; the index contains the ids as text and is named "id".
    nameless : int
        Number of rows with a missing id; they are left out.

    Raises
    ------
    GridlensError
        If there is no column `id`, or an id occurs more than once.

    Examples
    --------
    >>> import pandas as pd
    >>> rows, nameless = rows_by_id(pd.DataFrame({"id": [7.0, None], "label": [1, 0]}), "truth table")
    >>> rows.index.tolist(), nameless
    (['7'], 1)
    """
    check_columns(table, ("id",), what)
    ids = pd.Index(as_ids(table["id"]), dtype=object, name="id")
    rows = table.drop(columns="id").set_axis(ids, axis=0)[ids != ""]
    repeated = rows.index[rows.index.duplicated()]
    if len(repeated):
        raise GridlensError(
            f"The {what} must name each id once. Got {len(repeated)} repeated ids: {some_names(repeated)}. Remove "
            "the copies."
        )
    return rows, len(table) - len(rows)


def binary_values(
    column: pd.Series[Any], ids: Sequence[str] | pd.Index, what: str, way_out: str, *, blank: bool = False
) -> np.ndarray:
    """Return a column of labels or flags as 1, 0 and, for blanks, NaN.

    Parameters
    ----------
    column : Series of n
        Numbers, truth values or text: 1, 0, true, false, yes and no in any case, with or without surrounding blanks. A
        missing value, "", "nan" and "none" are blank.
    ids : sequence of n str
        Names of the rows, for the message.
    what : str
        Name of the column for the message, such as "column 'label' of the truth table".
    way_out : str
        Last sentence of the message.
    blank : bool, default=False
        Whether values may be blank.

    Returns
    -------
    ndarray of shape (n,), float64

    Raises
    ------
    GridlensError
        If a value is neither 1 nor 0, or is blank and must not be. The message names the first such row.

    Examples
    --------
    >>> import pandas as pd
    >>> binary_values(pd.Series(["1", "No", ""]), ["a", "b", "c"], "column 'label'", "", blank=True).tolist()
    [1.0, 0.0, nan]
    """
    text = column.astype(str).str.strip().str.lower()
    empty = column.isna().to_numpy() | text.isin(_BLANK).to_numpy()
    numbers = pd.to_numeric(text.replace(_WORDS), errors="coerce").to_numpy(dtype=np.float64)
    strange = np.flatnonzero(~np.isin(numbers, (0.0, 1.0)) & ~(empty & blank))
    if len(strange):
        first = strange[0]
        got = "a blank" if empty[first] else repr(str(column.iloc[first]))
        allowed = "1, 0 or blank" if blank else "1 or 0"
        raise GridlensError(
            f"The {what} must be {allowed}. Got {got} in the row {ids[first]} instead"
            f"{f', and others in {len(strange) - 1} more' if len(strange) > 1 else ''}. {way_out}"
        )
    return np.where(empty, np.nan, numbers)
