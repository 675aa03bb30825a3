"""`gridlens triage`: inspect, grade and retrain in a browser."""

from typing import Any

import click

from gridlens.cli._options import catalog_options, image_options, reading_options
from gridlens.cli._sources import check_sources, given_options, source_options
from gridlens.cli._terminal import say

__all__ = ["triage"]


@click.command(
    short_help="Inspect, grade and retrain in a browser.",
    epilog="Example: gridlens triage scores.parquet --graders alice,bob",
)
@click.argument("scores")
@click.argument("paths", nargs=-1)
@click.option("--grader", metavar="NAME", help="Your name in the grade book.  [default: your user name]")
@click.option("--graders", metavar="NAMES", help="Several graders, such as alice,bob, with a link for each.")
@click.option(
    "--grades",
    "book",
    default="grades.sqlite",
    show_default=True,
    metavar="BOOK",
    help="Grade book, created if missing.",
)
@click.option("--model", metavar="BUNDLE", help="Model that produced the scores.  [default: that of the table]")
@click.option(
    "--strategy",
    type=click.Choice(("mix", "top", "random")),
    default="mix",
    show_default=True,
    help="Queues: mix (the best objects, and a few disputed, diverse and random ones), top (the best) or random.",
)
@click.option(
    "--batch", type=click.IntRange(1, 1000), default=100, show_default=True, help="Number of objects in a queue."
)
@click.option(
    "--blind/--no-blind",
    default=True,
    show_default=True,
    help="Hide scores and the grades of others until an object is graded.",
)
@click.option("--gold", metavar="FILE", help="Table of objects with a known truth, as for `gridlens grades queue`.")
@click.option("--criteria", metavar="FILE", help="JSON list of grade, meaning and object_id, shown while grading.")
@click.option("--keys", metavar="FILE", help='JSON object of keys by action, such as {"undo": "Backspace"}.')
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port of the page; 0 selects a free one.",
)
@click.option("--no-browser", is_flag=True, help="Print the link without opening a browser.")
@click.option(
    "--allow-host",
    metavar="HOST",
    help="Name or address of this machine at which other machines can open the page. There is no encryption.",
)
@click.option(
    "--export",
    "folder",
    metavar="FOLDER",
    help="Write the queue as a page in one file, for graders without Python. They download their grades as a table for "
    "`gridlens grades import`.",
)
@catalog_options()
@image_options
@reading_options
def triage(
    scores: str,
    paths: tuple[str, ...],
    grader: str | None,
    graders: str | None,
    book: str,
    gold: str | None,
    port: int,
    no_browser: bool,
    allow_host: str | None,
    folder: str | None,
    model: str | None,
    strategy: str,
    batch: int,
    blind: bool,
    criteria: str | None,
    keys: str | None,
    **options: Any,
) -> None:
    """Open a page in the browser to inspect and grade the best objects of a table of SCORES, until Ctrl-C.

    The cutouts are read with the options recorded beside the table. If they have moved, give their location as PATHS,
    or with --image and --catalog; options on the command line override the recorded ones.

    Each grade is saved in the grade book at once. Scores and the grades of others are shown after your own grade.
    Several people grade independently, each with their own link, which works once. Without --allow-host, only this
    machine can open the page.
    """
    from gridlens.cli._grades_queue import gold_of

    if grader is not None and graders is not None:
        raise click.UsageError("--grader names one person and --graders several: give only one of them.")
    if paths or options["images"]:
        check_sources(paths, options)
    chosen = {
        "graders": _names(grader, graders),
        "grades": book,
        "model": model,
        "strategy": strategy,
        "batch": batch,
        "blind": blind,
        "keys": keys,
        "criteria": criteria,
        "gold": None if gold is None else gold_of(gold),
        **source_options(paths, given_options(options)),
    }
    if folder is not None:
        _export(scores, folder, batch, chosen)
        return
    from gridlens.triage import serve

    if allow_host is not None:
        say(
            f"Warning: the page at {allow_host} is not encrypted. Everyone on the network can read the images, the "
            "grades and the links. Prefer an SSH tunnel to this machine: ssh -L PORT:localhost:PORT HOST."
        )
    serve(scores, announce=lambda links: _tell(links, no_browser), port=port, allow_host=allow_host, **chosen)


def _export(scores: str, folder: str, batch: int, chosen: dict[str, Any]) -> None:
    """Write the page for graders without Python."""
    from gridlens._progress import progress_bar
    from gridlens.triage import export_page

    with progress_bar("Drawing", batch) as advance:
        made = export_page(scores, folder, progress=advance, **chosen)
    for note in made.notes:
        say(note)
    if made.missing:
        say(f"{len(made.missing)} objects are left out, such as {made.missing[0]}: their cutouts cannot be read.")
    click.echo(made.path)


def _names(grader: str | None, graders: str | None) -> list[str]:
    import getpass

    if graders is None:
        try:
            return [grader or getpass.getuser()]
        except (ImportError, KeyError, OSError):  # a container may have a user without a name
            raise click.UsageError("Your user has no name. Give one with --grader NAME.") from None
    names = [name.strip() for name in graders.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise click.UsageError(f"--graders needs different names, such as alice,bob. Got {graders!r} instead.")
    return names


def _tell(links: Any, no_browser: bool) -> None:
    """Print the links, and open the browser for a single grader."""
    import threading
    import webbrowser

    for name, link in links.items():
        click.echo(link if len(links) == 1 else f"{name}: {link}")
    say("Each link works once. End with Ctrl-C; every grade is saved at once.")
    if len(links) == 1 and not no_browser:
        # A browser in the terminal would keep the server from starting.
        threading.Thread(target=webbrowser.open, args=tuple(links.values()), daemon=True).start()
