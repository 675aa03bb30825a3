"""Tables of scores on a terminal: the columns that fit, and each message once."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gridlens._table_columns import SCORE_COLUMNS
from gridlens._table_write import csv_cells

__all__ = ["on_terminal", "print_table"]

# In the order of priority; the first four are always shown.
_SHOWN = ("rank", "id", "score", "p_lens", "p_low", "p_high", "status")
_JOINT = ("rank", "id", "p_any", "score_gc", "score_cc", "p_gc", "p_cc", "status")
_MORE = ("arc_distance", "arc_snr", "arcness", "arc_color_gr", "ra", "dec", "members_in_favour", "disagreement")
_ALWAYS = 4
# Messages are printed below the table, and the prevalence before the work.
_ELSEWHERE = ("message", "prevalence")
_GAP = 2
_NARROWEST_ID = 8
_NAMED = 3


def on_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return sys.stdout.isatty()


def print_table(table: pd.DataFrame, *, kept: Sequence[str] = (), quote_formulas: bool = False) -> None:
    """Print to stdout: the columns that fit on a terminal, or all of them as CSV in a pipe.

    A terminal shows at least the rank, the identifier, the score and the probability. A line names the other columns of
    the table, and each message is printed once, with the number of its rows. Columns `kept` from the catalogue are
    shown if there is space.
    """
    if not on_terminal():
        csv_cells(table, quote_formulas).to_csv(sys.stdout, index=False)
        return
    from rich.console import Console

    console = Console()
    columns = _columns(table, kept)
    cells = {name: _cells(table[name]) for name in columns}
    widths = {name: max(map(_width, (name, *cells[name]))) for name in columns}
    shown = _fitting(columns, widths, console.width)
    _print_rows(console, {name: cells[name] for name in shown}, widths)
    hidden = [name for name in table.columns if name not in (*shown, *_ELSEWHERE)]
    if hidden:
        _say(console, f"Only in the complete table: {', '.join(map(str, hidden))}.")
    for line in _messages(table):
        _say(console, line)


def _columns(table: pd.DataFrame, kept: Sequence[str]) -> list[str]:
    """Return the columns for display, in the order of priority."""
    first = _JOINT if "p_any" in table else _SHOWN
    wanted = [name for name in (*first, *kept, *_MORE) if name in table and table[name].notna().any()]
    if "status" in wanted and (table["status"] == "ok").all():
        wanted.remove("status")
    return wanted


def _fitting(columns: Sequence[str], widths: dict[str, int], room: int) -> list[str]:
    """Return the columns that fit into a line of `room` letters; a long identifier is narrowed for the first ones."""
    shown = list(columns[:_ALWAYS])
    free = room + _GAP - sum(widths[name] + _GAP for name in shown)
    if free < 0 and "id" in shown:
        widths["id"] = max(_NARROWEST_ID, widths["id"] + free)
    for name in columns[_ALWAYS:]:
        free -= widths[name] + _GAP
        if free < 0:
            break
        shown.append(name)
    return shown


def _print_rows(console: Any, cells: Mapping[str, Sequence[str]], widths: Mapping[str, int]) -> None:
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    for name in cells:
        left = name in ("id", "status")
        # A long identifier is wrapped, so that all of it is readable.
        shown.add_column(name, justify="left" if left else "right", width=widths[name], overflow="fold")
    for row in zip(*cells.values(), strict=True):
        # Use Text, so that brackets in an id are not interpreted as markup.
        shown.add_row(*map(Text, row))
    console.print(shown)


def _cells(values: "pd.Series[Any]") -> list[str]:
    column = SCORE_COLUMNS.get(str(values.name))
    form = column.form if column else "{:.4g}" if pd.api.types.is_float_dtype(values) else "{}"
    return ["" if pd.isna(value) else form.format(value) for value in values]


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _messages(table: pd.DataFrame) -> list[str]:
    """Return each message of the rows, with the rows that have it."""
    if "message" not in table:
        return []
    said = table[table["message"].fillna("") != ""].groupby("message", sort=False)["id"]
    return [f"{_named([str(name) for name in ids])}: {message}" for message, ids in said]


def _named(ids: Sequence[str]) -> str:
    return ", ".join(ids) if len(ids) <= _NAMED else f"{len(ids)} rows"


def _say(console: Any, text: str) -> None:
    from rich.text import Text

    console.print(Text(text, style="dim"))
