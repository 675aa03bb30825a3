"""Messages, cards and tables that fit the width of a terminal, and are unchanged in a pipe."""

import os
import sys
import textwrap
from collections.abc import Sequence

import click

__all__ = ["fitted", "print_card", "print_rows", "say"]

_FALLBACK = 80


def say(message: str) -> None:
    """Write a message to stderr, above a progress bar."""
    # click writes past the stream that rich puts in the place of stderr while it draws.
    print(fitted(message), file=sys.stderr, flush=True)


def fitted(message: str, first: int = 0) -> str:
    """Return a message with line breaks at words where stderr is a terminal; `first` columns are taken already."""
    if not sys.stderr.isatty():
        return message
    wrapper = textwrap.TextWrapper(width=_width(), break_long_words=False, break_on_hyphens=False)
    wrapped = []
    for k, line in enumerate(message.split("\n")):
        wrapper.initial_indent = "" if k else " " * first
        wrapped.append(wrapper.fill(line)[0 if k else first :])
    return "\n".join(wrapped)


def _width() -> int:
    """Return the columns of the terminal behind stderr."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _FALLBACK
    except OSError:
        return _FALLBACK


def print_card(card: str) -> None:
    """Print a model card, which is Markdown: formatted in a terminal, unchanged in a pipe."""
    if not sys.stdout.isatty():
        click.echo(card.rstrip())
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(card))


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text in columns; in a terminal, cells that are too long are broken."""
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for _ in rows[0]:
        table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
