"""`gridlens grades`: import, export and merge grades."""

from typing import Any

import click

from gridlens.cli._grades_queue import agreement, queue
from gridlens.cli._grades_simulate import simulate
from gridlens.cli._terminal import say

__all__ = ["grades"]


class _Pair(click.ParamType):
    """Two names: "OLD=NEW"."""

    name = "old=new"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the two names; raise a usage error for invalid text."""
        if isinstance(value, tuple):
            return value
        old, equals, new = str(value).partition("=")
        if not old.strip() or not equals:
            self.fail(f"must be two names, OLD=NEW. Got {value!r} instead.", param, ctx)
        return old.strip(), new.strip()


def _pairs(_ctx: click.Context, _param: click.Parameter, value: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return dict(value)


@click.group(
    short_help="Keep and use grades given by people.",
    epilog="Example: gridlens grades import grades.sqlite graded.csv --grader alice",
)
def grades() -> None:
    """Keep the grades that people give to candidates in one file, the grade book, and use them.

    A grade is A (definite lens), B (probable), C (possible), X (not a lens) or U (unsure: inspected, no label).
    """


@grades.command(
    "import",
    short_help="Add the grades of tables to a grade book.",
    epilog="Example: gridlens grades import grades.sqlite graded.csv --grader alice",
)
@click.argument("book")
@click.argument("tables", nargs=-1, required=True)
@click.option("--grader", metavar="NAME", help="Name of the grader, for rows without one.")
@click.option(
    "--translate",
    type=_Pair(),
    multiple=True,
    callback=_pairs,
    help="Translation of a word in the table into a grade, such as maybe=C; maybe= ignores the word. Repeatable.",
)
def import_(book: str, tables: tuple[str, ...], grader: str | None, translate: dict[str, str]) -> None:
    """Add the grades of TABLES to a grade BOOK, which is created if missing.

    A table (csv, parquet, fits, votable) needs the columns `object_id` or `id`, and `grade`; `subclass`, `confidence`,
    `note`, `grader`, `t_graded`, `queue_id`, `position` and `kind` are imported too, so the CSV of a queue can be
    imported once its grades are filled in. Classification files of Qt-stamp-visualizer and the .txt of astrorank can be
    imported unchanged. Rows without a grade are left out, and importing a table again adds only its new rows.
    """
    from gridlens.grading import GradeBook

    with GradeBook.open(book) as opened:
        for table in tables:
            made = opened.import_grades(table, grader=grader, translate=translate)
            say(f"{table}: {made.added} grades added, {made.known} known, {made.blank} rows without a grade")


@grades.command(
    short_help="Write grades or labels to a table.",
    epilog="Example: gridlens grades export grades.sqlite --labels --out labels.csv",
)
@click.argument("book")
@click.option("--out", required=True, metavar="FILE", help="Table to write: csv, parquet, fits or votable.")
@click.option("--labels", is_flag=True, help="Write labels for `gridlens train --labels` instead of the grades.")
@click.option("--other-pixels", is_flag=True, help="Include grades of objects whose pixels have changed since.")
def export(book: str, out: str, labels: bool, other_pixels: bool) -> None:
    """Write the current grades of a BOOK to a table.

    With --labels, write a row for each graded object: its id, its label by the consensus of the grades (1 if the
    probability of a lens is at least 0.9, 0 if it is at most 0.1, blank in between), its cluster if known, and the
    probability.
    """
    from gridlens.grading import GradeBook

    with GradeBook.open(book, read_only=True) as opened:
        n_rows = opened.export(out, labels=labels, other_pixels=other_pixels)
    say(f"{n_rows} {'labels' if labels else 'grades'} written to {out}")


@grades.command(
    short_help="Merge another grade book into one.",
    epilog="Example: gridlens grades merge grades.sqlite bob.sqlite",
)
@click.argument("book")
@click.argument("other")
@click.option(
    "--rename",
    type=_Pair(),
    multiple=True,
    callback=_pairs,
    help="Name in BOOK of a grader of OTHER, such as alice=alice-2; alice=alice states that both graders of this name "
    "are one person. Repeatable.",
)
def merge(book: str, other: str, rename: dict[str, str]) -> None:
    """Add everything that a BOOK lacks from the book OTHER: objects, graders, queues, gold, models and grades.

    OTHER is not changed, and merging it again adds nothing.
    """
    from gridlens.grading import GradeBook

    with GradeBook.open(book) as opened:
        counts = opened.merge(other, rename=rename)
    say(f"{other}: " + ", ".join(f"{n} {name}" for name, n in counts.items()) + " added")


for _command in (queue, agreement, simulate):
    grades.add_command(_command)
