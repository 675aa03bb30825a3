"""Rows of labelled cutouts, measured by the engine."""

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
    """None if no row is marked for calibration"""
    notes: list[str]
    """sentences on rows that were left out"""


def measured_partitions(
    stack: contextlib.ExitStack,
    source: Source,
    folder: Path,
    *,
    progress: Callable[[int], Any],
    **run: Any,
) -> Iterator[tuple[Partition, Measured]]:
    """Yield the measured rows of a source by partition, after all cutouts have been measured.

    Parameters
    ----------
    stack : ExitStack
        Finished parts are kept in `folder` until the stack is closed without an error.
    source : Source
    folder : Path
    progress : callable
        Called with the number of cutouts finished since the last call.
    **run
        `resume`, `overwrite`, `engine`, `scheduler` and `n_jobs`, as in `gridlens.engine.score_files`.
    """
    if isinstance(source, CacheSource):
        # All rows at once, since row groups span partitions and would be decoded repeatedly.
        whole = Partition((), (0, source.n))
        for measured in source.read(whole):
            yield whole, measured
            progress(len(measured))
        return
    parts = stack.enter_context(kept_parts(source, MeasureWork(), folder, progress=progress, **run))
    # An empty source has one empty part and no partition.
    yield from zip(source.partitions(), map(measured_from_table, parts.tables()), strict=False)


def gather(
    rows: Iterable[tuple[Partition, Measured]],
    known: Labels,
    metadata: str,
    folder: Path,
    pixels: Source | None = None,
) -> Labelled:
    """Select the rows that have a label, for training and for calibration.

    Parameters
    ----------
    rows : iterable of Partition and Measured
        Rows yielded by `measured_partitions`.
    known : Labels
    metadata : {"image", "survey", "all"}
        As in `LensDetector`.
    folder : Path
        Folder for memory-mapped files.
    pixels : Source, optional
        The same source, if members need pixels; the selected cutouts are then read again.

    Raises
    ------
    GridlensError
        A labelled cutout occurs more than once, no cutout has a label, or the cutouts differ in size.
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
        way_out = "label some rows of the other class"
        if y.all() and not known.unlabelled:
            way_out += ", or treat cutouts without a label as unlabelled with positive_unlabelled=True"
        raise GridlensError(
            f"The rows {what} must contain both classes. Got {int(y.sum())} lenses and {int(len(y) - y.sum())} "
            f"others instead; {way_out}."
        )
    return Examples(kept.store, y, group, vetted=vetted)


def _check_once(names: list[str], seen: set[str], known: Labels) -> None:
    """Add names to `seen`; raise GridlensError if a name with a label is repeated."""
    repeated = []
    for name in names:
        if name in seen and (name in known.row or known.unlabelled):
            repeated.append(name)
        seen.add(name)
    if repeated:
        kind = "cutout" if known.unlabelled else "labelled cutout"
        raise GridlensError(
            f"The data must contain each {kind} once. Got {some_names(repeated)} again instead; leave out the copies."
        )


def _notes(known: Labels, seen: set[str], without: list[str], rejected: list[str]) -> list[str]:
    if known.row and not seen & known.row.keys():
        raise GridlensError(
            f"No id of the table of labels ({some_names(known.row)}) matches an id of the cutouts "
            f"({some_names(sorted(seen))}). Check that the labels belong to these cutouts."
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
