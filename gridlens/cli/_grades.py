"""`gridlens grades`: grades of people, in a grade book and out of it."""

from typing import Any

import click

from gridlens.cli._terminal import say

__all__ = ["grades"]


class _Pair(click.ParamType):
    """Two names: "OLD=NEW"."""

    name = "old=new"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the two names; end in a usage error otherwise."""
        if isinstance(value, tuple):
            return value
        old, equals, new = str(value).partition("=")
        if not old.strip() or not equals:
            self.fail(f"must be two names, OLD=NEW. Got {value!r} instead.", param, ctx)
        return old.strip(), new.strip()


def _pairs(_ctx: click.Context, _param: click.Parameter, value: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return dict(value)


@click.group(
    short_help="Keep the grades of people, and use them.",
    epilog="Example: gridlens grades import grades.sqlite graded.csv --grader alice",
)
def grades() -> None:
    """Keep the grades that people give to candidates in one file, a grade book, and use them.

    A grade is A (definite lens), B (probable), C (possible), X (not a lens) or U (unsure: inspected, no label).
    """


@grades.command(
    "import",
    short_help="Add the grades of tables to a grade book.",
    epilog="Example: gridlens grades import grades.sqlite graded.csv --grader alice",
)
@click.argument("book")
@click.argument("tables", nargs=-1, required=True)
@click.option("--grader", metavar="NAME", help="The person who graded, for rows that do not name one.")
@click.option(
    "--translate",
    type=_Pair(),
    multiple=True,
    callback=_pairs,
    help="A grade for a word of the table, maybe=C; with nothing after =, the word is no grade. Repeatable.",
)
def import_(book: str, tables: tuple[str, ...], grader: str | None, translate: dict[str, str]) -> None:
    """Add the grades of TABLES to a grade BOOK, which is made if it is missing.

    A table (csv, parquet, fits, votable) needs the columns `object_id` or `id`, and `grade`; `subclass`, `confidence`,
    `note`, `grader`, `t_graded`, `queue_id`, `position` and `kind` are taken too: the CSV of a queue can be imported
    once its grades are filled in. Classification files of Qt-stamp-visualizer and the .txt of astrorank can be
    imported as they are. Rows without a grade are left out, and a table that is imported again adds what is new in it.
    """
    from gridlens.grading import GradeBook

    with GradeBook.open(book) as opened:
        for table in tables:
            made = opened.import_grades(table, grader=grader, translate=translate)
            say(f"{table}: {made.added} grades added, {made.known} known, {made.blank} rows without a grade")
