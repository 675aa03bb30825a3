"""Rows of your own labelled cutouts, measured by the engine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gridlens._tables import some_names
from gridlens.engine._features import MeasureWork
from gridlens.engine._output import kept_parts
from gridlens.errors import GridlensError
from gridlens.features import Measured
from gridlens.features._measured_table import measured_from_table
from gridlens.sources import CacheSource, Partition, Source
from gridlens.training._context import ListedLenses, check_split
from gridlens.training._examples import Examples
from gridlens.training._kept import KeptRows, read_pixels
from gridlens.training._labels import Labels

__all__ = ["Labelled", "gather", "measured_partitions", "without_labelled"]


class Labelled(NamedTuple):
    """Labelled rows."""

    learn: Examples
    calibrate: Examples | None
    """None where no row is marked for calibration"""
    notes: list[str]
    """rows that were left out, a sentence each"""


def measured_partitions(
    stack: contextlib.ExitStack,
    source: Source,
    folder: Path,
    *,
    progress: Callable[[int], Any],
    **run: Any,
) -> Iterator[tuple[Partition, Measured]]:
    """Yield the measured rows of a source by partitions; cutouts are measured before the first one.

    Parameters
    ----------
    stack : ExitStack
        The finished parts of cutouts are kept in `folder` until it is closed without an error.
    source : Source
    folder : Path
    progress : callable
        Called with the number of cutouts that were finished since the last call.
    **run
        `resume`, `overwrite`, `engine`, `scheduler` and `n_jobs`, as in `gridlens.engine.score_files`.
    """
    if isinstance(source, CacheSource):
        # All rows at once: each partition would decode groups of more rows again.
        whole = Partition((), (0, source.n))
        for measured in source.read(whole):
            yield whole, measured
            progress(len(measured))
        return
    parts = stack.enter_context(kept_parts(source, MeasureWork(), folder, progress=progress, **run))
    # Without any partition there is one part without a row.
    yield from zip(source.partitions(), map(measured_from_table, parts.tables()), strict=False)


def gather(
    rows: Iterable[tuple[Partition, Measured]],
    known: Labels,
    metadata: str,
    folder: Path,
    pixels: Source | None = None,
) -> Labelled:
    """Keep the rows that have a label: some to learn from, others to calibrate on.

    Parameters
    ----------
    rows : iterable of Partition and Measured
        As `measured_partitions` yields them.
    known : Labels
    metadata : {"image", "survey", "all"}
        As in `LensDetector`.
    folder : Path
        For the files that rows are mapped from.
    pixels : Source, optional
        The same source, where members look at cutouts: those that are kept are read once more.

    Raises
    ------
    GridlensError
        A labelled cutout occurs more than once, no label belongs to a cutout, or the cutouts differ in size.
    """
    learn, calibrate = KeptRows(folder, "learn"), KeptRows(folder, "calibrate")
    listed = ListedLenses()
    seen: set[str] = set()
    without: list[str] = []
    rejected: list[str] = []
    partitions: list[Partition] = []
    for partition, measured in rows:
        names = measured.ids.tolist()
        _check_once(names, seen, known)
        places = np.array([known.row.get(name, -1) for name in names], dtype=np.int64)
        without += [name for name, place in zip(names, places, strict=True) if place < 0]
        used = places >= 0
        if known.unlabelled:
            used |= np.array([name not in known.left_out for name in names], dtype=bool)
        rejected += measured.ids[used & measured.rejected].tolist()
        chosen = np.flatnonzero(used & ~measured.rejected)
        chosen = chosen[listed.without(measured[chosen], known.negative(places[chosen]))]
        held = places[chosen] >= 0
        held[held] = known.calibration[places[chosen][held]]
        visible = measured[chosen].with_metadata(metadata)
        learn.add(visible[~held], places[chosen[~held]])
        calibrate.add(visible[held], places[chosen[held]])
        if len(chosen):
            partitions.append(partition)
    notes = _notes(known, seen, without, rejected) + listed.notes
    if len(learn.store) and len(calibrate.store):
        check_split(learn.store.measured(), calibrate.store.measured())
    if pixels is not None:
        read_pixels(pixels, partitions, (learn, calibrate))
    held_rows = _examples(calibrate, known, "to calibrate on") if len(calibrate.store) else None
    return Labelled(_examples(learn, known, "to learn from"), held_rows, notes)


def without_labelled(rows: Iterable[tuple[Partition, Measured]], known: Labels | None) -> Iterator[Measured]:
    """Yield the rows of a pool that have no label."""
    labelled: Collection[str] = () if known is None else known.row.keys()
    for _, measured in rows:
        yield measured[np.array([name not in labelled for name in measured.ids], dtype=bool)]


def _examples(kept: KeptRows, known: Labels, what: str) -> Examples:
    y, group, vetted = known.at(kept.places)
    if not 0 < y.sum() < len(y):
        way_out = "label some of the other class"
        if y.all() and not known.unlabelled:
            way_out += ", or count cutouts without a label as unlabelled by positive_unlabelled=True"
        raise GridlensError(
            f"The rows {what} must be of both classes. Got {int(y.sum())} lenses and {int(len(y) - y.sum())} "
            f"others instead; {way_out}."
        )
    return Examples(kept.store, y, group, vetted=vetted)


def _check_once(names: list[str], seen: set[str], known: Labels) -> None:
    """Add names to those seen; raise GridlensError if one that has a label is among them already."""
    repeated = []
    for name in names:
        if name in seen and (name in known.row or known.unlabelled):
            repeated.append(name)
        seen.add(name)
    if repeated:
        kind = "cutout" if known.unlabelled else "labelled cutout"
        raise GridlensError(
            f"The data must hold each {kind} once. Got {some_names(repeated)} again instead; leave out the copies."
        )


def _notes(known: Labels, seen: set[str], without: list[str], rejected: list[str]) -> list[str]:
    if known.row and not seen & known.row.keys():
        raise GridlensError(
            f"No id of the table of labels ({some_names(known.row)}) is among those of the cutouts "
            f"({some_names(sorted(seen))}). Check that they describe the same cutouts."
        )
    notes = []
    if without and known.unlabelled:
        notes.append(f"{len(without)} cutouts are not in the table of labels and count as unlabelled.")
    elif without:
        notes.append(f"{len(without)} cutouts have no label and are left out: {some_names(without)}.")
    missing = [name for name in known.row if name not in seen]
    if missing:
        notes.append(f"{len(missing)} labels have no cutout: {some_names(missing)}.")
    if rejected:
        kind = "" if known.unlabelled else "labelled "
        notes.append(f"{len(rejected)} {kind}cutouts were rejected and are left out: {some_names(rejected)}.")
    return notes
