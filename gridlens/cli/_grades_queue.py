"""`gridlens grades queue` and `gridlens grades agreement`: objects to grade, and the agreement of graders."""

from typing import Any

import click

from gridlens.cli._terminal import print_rows, say

__all__ = ["agreement", "gold_of", "queue"]

# Columns that the grader fills in.
_BLANK = ("grade", "subclass", "confidence", "note")


@click.command(
    short_help="Choose the objects to grade next.",
    epilog="Example: gridlens grades queue scores.parquet --grades grades.sqlite --out queue.csv --sheets sheets/",
)
@click.argument("scores")
@click.option("--grades", "book", required=True, metavar="BOOK", help="Grade book, created if missing.")
@click.option(
    "--strategy",
    type=click.Choice(("mix", "top", "random")),
    default="mix",
    show_default=True,
    help="Strategy: mix (the best objects, and a few disputed, diverse and random ones), top (the best) or random.",
)
@click.option("--batch", type=click.IntRange(min=1), default=100, show_default=True, help="Number of objects.")
@click.option(
    "--gold",
    metavar="FILE",
    help="Table of objects with a known truth: `id`, `truth` or `label`, and `arc_snr` if known.",
)
@click.option("--random-state", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the draws.")
@click.option("--out", required=True, metavar="FILE", help="New table to fill in: csv, parquet, fits or votable.")
@click.option("--sheets", metavar="FOLDER", help="Folder for pictures of the objects.")
def queue(
    scores: str,
    book: str,
    strategy: str,
    batch: int,
    gold: str | None,
    random_state: int,
    out: str,
    sheets: str | None,
) -> None:
    """Choose the objects of a table of SCORES to grade next, and write them to a table to fill in.

    Of 100 objects, 75 have the highest probabilities, 8 are those on which the members of the model disagree most, 5
    differ most from these, 5 are random, 4 are gold objects and 3 were graded before. Their kinds and scores are stored
    in the grade book but not in the table, so that grading is blind. Fill in the column grade with A, B, C, X or U, and
    import the table with `gridlens grades import`.

    With --sheets, a picture of each object is drawn, named by its position and id: in colour, all light, and light
    bluer than the central galaxy. The cutouts are read with the options recorded beside the table of scores. The book
    keeps a hash of the pixels, and warns if an object is drawn again with different pixels.
    """
    from pathlib import Path

    from gridlens._files import writable_folder
    from gridlens._tables import check_writable, read_table, write_table
    from gridlens.errors import GridlensError
    from gridlens.grading import GradeBook
    from gridlens.grading._next_queue import add_next_queue

    check_writable(out)
    if Path(out).exists():
        raise GridlensError(f"The output {out} exists and may contain grades. Import them, and name a new file.")
    if sheets is not None:
        from gridlens.reports._pages import check_libraries

        check_libraries()
        writable_folder(Path(sheets))
    candidates = read_table(scores, text=("object_id",))
    known = None if gold is None else gold_of(gold)
    with GradeBook.open(book) as opened:
        if known is not None:
            opened.add_gold(known)
        items = add_next_queue(opened, candidates, strategy=strategy, batch=batch, random_state=random_state)
        places = _places(candidates, known, items)
        opened.add_objects(places.rename(columns={"path": "source"}))
        write_table(_to_fill_in(items, places), out)
        for note in items.attrs["notes"]:
            say(note)
        if sheets is not None:
            opened.add_objects(_draw_sheets(scores, places, Path(sheets)))
    say(f"{len(items)} objects written to {out}, chosen from {items.attrs['n_pool']} that have no grade")


@click.command(
    short_help="Print how well graders agree.",
    epilog="Example: gridlens grades agreement grades.sqlite",
)
@click.argument("book")
@click.option(
    "--snr", metavar="FILE", help="Table with `id` and `arc_snr` of gold lenses.  [default: those of the book]"
)
@click.option("--out", metavar="FILE", help="JSON file to write the tables to.")
def agreement(book: str, snr: str | None, out: str | None) -> None:
    """Print how well the graders of a BOOK agree with each other, with themselves and with gold objects.

    Agreement is the quadratic-weighted kappa: 1 for equal grades, 0 for grades that agree no better than by chance.
    Intervals of 95 % are in brackets.
    """
    import json

    from gridlens._files import atomic_path
    from gridlens.grading import GradeBook, non_lens_run
    from gridlens.grading import agreement as measured

    with GradeBook.open(book, read_only=True) as opened:
        grades, gold = opened.current(), opened.gold()
    found = measured(grades, gold, None if snr is None else _snr_of(snr))
    click.echo(f"kappa of all graders: {found.kappa}")
    click.echo(f"objects graded X since the last A, B or C: {non_lens_run(grades)}")
    for title, table in _tables(found).items():
        if len(table):
            click.echo(f"\n{title}")
            print_rows([[str(name) for name in table], *([_cell(cell) for cell in row] for row in table.to_numpy())])
    if out is not None:
        with atomic_path(out) as temporary:
            temporary.write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")


def gold_of(path: str) -> Any:
    """Return the gold objects of a table with the columns of a grade book and their positions."""
    from gridlens._tables import read_table
    from gridlens.errors import GridlensError

    table = read_table(path, text=("object_id", "kind"))
    table = table.rename(columns={"id": "object_id"} if "object_id" not in table else {})
    table = table.rename(columns={"label": "truth"} if "truth" not in table else {})
    if not {"object_id", "truth"}.issubset(table.columns):
        raise GridlensError(f"The table {path} must have the columns id, and truth or label. Rename its columns.")
    if "arc_snr" in table:
        table["params_json"] = [{"arc_snr": float(snr)} if snr > 0 else None for snr in table["arc_snr"]]
    if "kind" not in table:
        table["kind"] = ["known_lens" if truth == 1 else "known_nonlens" for truth in table["truth"]]
    return table


def _snr_of(path: str) -> Any:
    """Return the arc S/N of a table by id."""
    from gridlens._tables import read_table
    from gridlens.errors import GridlensError

    table = read_table(path, text=("object_id",))
    name = "object_id" if "object_id" in table else "id"
    if not {name, "arc_snr"}.issubset(table.columns):
        raise GridlensError(f"The table {path} must have the columns id and arc_snr. Rename its columns.")
    return table.set_index(name)["arc_snr"]


def _places(candidates: Any, gold: Any, items: Any) -> Any:
    """Return the `object_id` of each item, and its `path`, `ra` and `dec` if the tables contain them."""
    import pandas as pd

    known = []
    for table in (candidates, gold):
        if table is not None:
            name = "object_id" if "object_id" in table else "id"
            columns = [column for column in ("path", "ra", "dec") if column in table]
            known.append(table.set_index(name)[columns])
    both = pd.concat(known)
    both = both[~both.index.duplicated()]
    return both.reindex(items["object_id"]).rename_axis("object_id").reset_index()


def _to_fill_in(items: Any, places: Any) -> Any:
    table = places.assign(**dict.fromkeys(_BLANK, ""))
    return table.assign(queue_id=items["queue_id"].to_numpy(), position=items["position"].to_numpy())


def _draw_sheets(scores: str, places: Any, folder: Any) -> Any:
    """Draw a blind sheet of each object whose cutout can be read, and return the hashes of their pixels by object."""
    import contextlib

    import pandas as pd

    from gridlens._file_names import file_stem
    from gridlens._progress import progress_bar
    from gridlens.errors import GridlensError
    from gridlens.explain._remembered import NOT_REMEMBERED, remembered
    from gridlens.explain._rows import read_rows
    from gridlens.reports._blind import write_blind_sheet
    from gridlens.reports._contact import find_cutouts

    rows = places.rename(columns={"object_id": "id"})
    found = find_cutouts(rows, read_rows(rows, None, remembered(scores)))
    lost = rows.drop(index=list(found))
    if len(lost) and "path" in lost:
        # Injected gold objects are in separate files.
        again = find_cutouts(lost, read_rows(lost, None, NOT_REMEMBERED))
        found |= {int(lost.index[row]): cutout for row, cutout in again.items()}
    width, shown = len(str(len(rows) - 1)), {}
    with progress_bar("Drawing", len(found)) as advance:
        for row, cutout in sorted(found.items()):
            name = f"{row:0{width}d}-{file_stem(rows['id'][row])}.png"
            # A gold object may be too small or too damaged to be drawn; it must not stop the others.
            with contextlib.suppress(GridlensError):
                shown[rows["id"][row]] = write_blind_sheet(cutout, folder / name)
            advance(1)
    missing = [name for name in rows["id"] if name not in shown]
    if missing:
        say(f"{len(missing)} objects have no picture, such as {missing[0]}: their cutouts cannot be read or drawn.")
    return pd.DataFrame({"object_id": list(shown), "pixels_sha256": list(shown.values())})


def _tables(found: Any) -> dict[str, Any]:
    return {
        "Pairs of graders": found.pairs,
        "Repeated objects": found.repeats,
        "Gold objects (found: A or B)": found.gold,
        "Completeness of gold lenses by arc S/N": found.completeness,
        "Seconds for each image": found.seconds[found.seconds["n_images"] > 0],
    }


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
