"""`gridlens grades simulate`: rounds of grading and retraining on a labelled pool."""

from typing import Any

import click

from gridlens._progress import progress_bar
from gridlens.cli._options import reading_options
from gridlens.cli._terminal import say

__all__ = ["simulate"]


@click.command(
    short_help="Compare strategies on a labelled pool.",
    epilog="Example: gridlens grades simulate pool/ --truth truth.csv --batch 100 --rounds 4 --out replay/",
)
@click.argument("paths", nargs=-1, required=True)
@click.option(
    "--truth",
    required=True,
    metavar="FILE",
    help="Table with the columns id and label (1 for a lens, 0 otherwise) for all objects.",
)
@click.option("--from", "init_model", default="default", show_default=True, metavar="MODEL", help="Initial model.")
@click.option(
    "--strategy",
    "strategies",
    type=click.Choice(("mix", "top", "random")),
    multiple=True,
    help="Strategy to compare, as in `gridlens grades queue`. Repeatable; all strategies by default.",
)
@click.option(
    "--batch", type=click.IntRange(min=1), default=100, show_default=True, help="Number of objects in a queue."
)
@click.option("--rounds", type=click.IntRange(min=1), default=4, show_default=True, help="Number of queues.")
@click.option(
    "--graders", type=click.IntRange(min=1), default=2, show_default=True, help="Number of simulated graders."
)
@click.option("--random-state", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the draws.")
@click.option("--jobs", type=int, default=-1, show_default=True, help="Number of workers; -1 uses all processors.")
@click.option(
    "--out", default="replay", show_default=True, metavar="FOLDER", help="New folder for the table and the plot."
)
@reading_options
def simulate(
    paths: tuple[str, ...],
    truth: str,
    init_model: str,
    strategies: tuple[str, ...],
    batch: int,
    rounds: int,
    graders: int,
    random_state: int,
    jobs: int,
    out: str,
    **options: Any,
) -> None:
    """Simulate rounds of grading, with human error rates, and retraining on a labelled pool.

    PATHS are the cutouts of the pool (files, folders, globs) or their features, written by `gridlens features`. The
    output folder contains replay.csv, with a row for each strategy and round, and replay.png, which shows the lenses
    found, the lenses per 100 objects, the lenses in the next list, and the calibration error against the number of
    graded objects.

    A round of 100 objects takes about a minute on two cores; simulating scenes for the training takes two more minutes.
    """
    from pathlib import Path

    from gridlens._files import atomic_folder, check_new_folder
    from gridlens._labels import binary_values, check_label_column, rows_by_id
    from gridlens._tables import read_table
    from gridlens.cli._sources import pool_of
    from gridlens.reports._pages import check_libraries
    from gridlens.reports._replay import draw_replay
    from gridlens.training._replay import measured_pool, replay_grading

    folder = Path(out)
    check_new_folder(folder)
    check_libraries()
    table = read_table(truth)
    what = f"table of truth {truth}"
    check_label_column(table, what, "; it says which objects are lenses.")
    rows, _ = rows_by_id(table, what)
    labels = binary_values(rows["label"], rows.index, f"column 'label' of the {what}", "Give 1 to lenses, 0 to others.")
    source = pool_of(paths, options)
    with progress_bar("Measuring", source.n) as advance:
        pool = measured_pool(source, n_jobs=jobs, progress=advance)
    kinds = strategies or ("mix", "top", "random")
    with progress_bar("Replaying", rounds * (1 + len(kinds))) as advance:
        found = replay_grading(
            pool,
            dict(zip(rows.index, labels.astype(int).tolist(), strict=True)),
            source,
            init_model=init_model,
            strategies=kinds,
            batch=batch,
            rounds=rounds,
            graders=graders,
            random_state=random_state,
            n_jobs=jobs,
            progress=advance,
        )
    with atomic_folder(folder) as temporary:
        found.to_csv(temporary / "replay.csv", index=False)
        draw_replay(found, temporary / "replay.png")
    last = found[found["round"] == rounds]
    for row in last.itertuples():
        click.echo(f"{row.strategy}: {row.lenses_found} of the lenses ({row.recall:.0%}) in {row.n_graded} objects")
    say(f"written to {out}")
