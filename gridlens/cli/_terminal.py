"""Messages, cards and tables that are wrapped to the width of a terminal and left unchanged in a pipe."""

import os
import sys
import textwrap
from collections.abc import Sequence

import click

from gridlens._progress import is_quiet

__all__ = ["fitted", "print_card", "print_rows", "say"]

_FALLBACK = 80


def say(message: str) -> None:
    """Write a message to stderr, above a progress bar; nothing under ``gridlens --quiet``."""
    if is_quiet():
        return
    # print, because click bypasses the stream that replaces stderr while rich draws a bar.
    print(fitted(message), file=sys.stderr, flush=True)


def fitted(message: str, first: int = 0) -> str:
    """Return a message wrapped to the terminal, if stderr is one; `first` columns of the first line are taken."""
    if not sys.stderr.isatty():
        return message
    wrapper = textwrap.TextWrapper(width=_width(), break_long_words=False, break_on_hyphens=False)
    wrapped = []
    for k, line in enumerate(message.split("\n")):
        wrapper.initial_indent = "" if k else " " * first
        wrapped.append(wrapper.fill(line)[0 if k else first :])
    return "\n".join(wrapped)


def _width() -> int:
    """Return the width of the terminal behind stderr in columns."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _FALLBACK
    except OSError:
        return _FALLBACK


def print_card(card: str) -> None:
    """Print a model card: formatted Markdown on a terminal, unchanged text in a pipe."""
    if not sys.stdout.isatty():
        click.echo(card.rstrip())
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(card))


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text in columns; on a terminal, long cells are wrapped."""
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
