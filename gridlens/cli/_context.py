"""`gridlens context`: known lenses and expected Einstein radii beside each candidate."""

from pathlib import Path
from typing import Any

import click

from gridlens.cli._terminal import say

__all__ = ["context"]


def _service(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is None or value == "simbad" or (value.startswith("vizier:") and len(value) > len("vizier:")):
        return value
    raise click.BadParameter(f"Got {value!r} instead of simbad or vizier:TABLE.")


@click.command(
    short_help="Add known lenses and expected Einstein radii.",
    epilog="Example: gridlens context scores.parquet --clusters clusters.csv --out context.parquet",
)
@click.argument("scores")
@click.option(
    "--out", required=True, metavar="FILE", help="Table to write: .csv, .parquet, .fits, .votable, .vot or .xml."
)
@click.option(
    "--catalog",
    "catalogs",
    multiple=True,
    metavar="FILE",
    help="Known lenses of your own besides the bundled list: a table with positions and optionally type, grade and "
    "ref, or the JSON of SLED. Repeatable.",
)
@click.option(
    "--clusters",
    metavar="FILE",
    help="Catalogue of clusters with redshifts and richness, X-ray luminosity, velocity dispersion or mass.  [default: "
    "the columns of SCORES]",
)
@click.option(
    "--online",
    callback=_service,
    metavar="NAME",
    help="Ask a service for known lenses too: simbad, or vizier:TABLE. Positions are sent to it; answers are kept for "
    "30 days.",
)
def context(scores: str, out: str, catalogs: tuple[str, ...], clusters: str | None, online: str | None) -> None:
    """Add known lenses and expected Einstein radii to a table of SCORES that has `ra` and `dec`.

    The columns begin with context_: the best known lens within 10 arcsec (galaxy), 30 (group) or 60 (cluster), and the
    16th, 50th and 84th percentiles of the Einstein radius that the mass of the cluster allows. The list of known
    lenses is bundled, and without --online no position is sent anywhere. Context is never used to score.
    """
    from gridlens._tables import check_writable, read_table, write_table
    from gridlens.context import add_context
    from gridlens.engine._record import recorded_options, write_record

    check_writable(out)
    table = read_table(scores)
    lists = _read_lists(catalogs)
    if online is not None:
        lists.append(_looked_up(table, online))
    found = add_context(table, catalogs=lists, clusters=_clusters(clusters))
    write_table(found, out)
    if options := recorded_options(Path(scores)):
        # `gridlens explain` finds the cutouts of the new table as those of the old one.
        write_record(Path(out), {}, options)
    _tell(found, out)


def _read_lists(catalogs: tuple[str, ...]) -> list[Any]:
    """Read catalogues of known lenses, and say how many of their rows have no position."""
    from gridlens.context import read_known_lenses

    lists = [read_known_lenses(path) for path in catalogs]
    for path, known in zip(catalogs, lists, strict=True):
        if known.attrs["left_out"]:
            say(f"{known.attrs['left_out']} rows of {path} without a position on the sky are left out")
    return lists


def _looked_up(table: Any, service: str) -> Any:
    """Return the lenses that a service knows near the rows of a table; `add_context` says if it has no positions."""
    from gridlens._progress import progress_bar
    from gridlens.context import look_up

    with progress_bar(f"Asking {service}", None):
        found = look_up(table.get("ra", []), table.get("dec", []), service)
    say(f"{service}: {len(found)} known lenses, as of {found.attrs['date']}")
    return found


def _clusters(path: str | None) -> Any:
    from gridlens.cutouts import read_catalog

    return None if path is None else read_catalog(path)


def _tell(found: Any, out: str) -> None:
    known = found["context_known_lens"] != ""
    unverified = known & (found["context_known_grade"] == "unverified")
    say(
        f"{len(found)} rows written to {out}: {int(known.sum() - unverified.sum())} are known lenses or candidates, "
        f"{int(unverified.sum())} only in catalogues of clusters"
    )
    if "context_theta_e_p50" in found:
        say(f"{int(found['context_theta_e_p50'].notna().sum())} have an expected Einstein radius")
    else:
        say("No column holds redshifts: name a catalogue with --clusters to get Einstein radii")
    notes = found.loc[found["context_note"] != "", "context_note"].str.split("; ").explode()
    for note, number in notes.value_counts().items():
        say(f"rows with '{note}': {number}")
