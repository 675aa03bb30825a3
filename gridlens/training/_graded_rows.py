"""Measured cutouts for a training from grades: graded ones, labelled ones, and a sample of the pool."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from gridlens._tables import some_names
from gridlens.errors import GridlensError
from gridlens.features import Measured
from gridlens.sources import Partition, Source
from gridlens.training._context import ListedLenses
from gridlens.training._grades import LENS, NO_LENS, Graded
from gridlens.training._kept import KeptRows, read_pixels
from gridlens.training._labels import Labels

__all__ = ["GradedRows", "graded_rows", "labelled_twice"]

# Size of the sample from which the rank of a known lens in the pool is estimated.
_SAMPLE = 20_000


class GradedRows(NamedTuple):
    """Rows of a pool.

    Attributes
    ----------
    graded : KeptRows
        Rows with a grade; their places are row numbers of `Graded.objects`.
    labelled : KeptRows
        Rows with a label in a table; their places are row numbers of that table. The label overrides a grade.
    sample : Measured
        A random sample of the pool, of at most 20,000 rows.
    notes : list of str
        Sentences on rows that were left out.
    """

    graded: KeptRows
    labelled: KeptRows
    sample: Measured
    notes: list[str]


def graded_rows(
    rows: Iterable[tuple[Partition, Measured]],
    graded: Graded,
    known: Labels | None,
    metadata: str,
    folder: Path,
    pixels: Source | None = None,
) -> GradedRows:
    """Select the rows that have a grade or a label.

    Parameters
    ----------
    rows : iterable of Partition and Measured
        The pool.
    graded : Graded
    known : Labels or None
        Labels of the earlier training; a label overrides a grade.
    metadata : {"image", "survey", "all"}
        As in `LensDetector`.
    folder : Path
        Folder for memory-mapped files.
    pixels : Source, optional
        The same pool, if members need pixels; the selected cutouts are then read again.

    Raises
    ------
    GridlensError
        A graded cutout occurs twice, or no cutout has a grade.
    """
    of_grade = {name: place for place, name in enumerate(graded.objects.index)}
    of_label = {} if known is None else known.row
    kept, labelled = KeptRows(folder, "graded"), KeptRows(folder, "labelled")
    seen: set[str] = set()
    rejected: list[str] = []
    partitions: list[Partition] = []
    sample: list[Measured] = []
    listed, unlikely = ListedLenses(), (graded.objects["q"] < 0.5).to_numpy()
    rng, n, overridden = np.random.default_rng(0), 0, 0
    for partition, measured in rows:
        names = measured.ids.tolist()
        label = np.array([of_label.get(name, -1) for name in names], dtype=np.int64)
        grade = np.array([of_grade.get(name, -1) for name in names], dtype=np.int64)
        overridden += int(((label >= 0) & (grade >= 0)).sum())
        grade[label >= 0] = -1
        negative = unlikely[grade] & (grade >= 0)
        if known is not None:
            negative |= (label >= 0) & (known.label[label] == 0)
        kept_rows = listed.without(measured, negative)
        label[~kept_rows], grade[~kept_rows] = -1, -1
        seen.update(measured.ids[~kept_rows].tolist())
        wanted = np.flatnonzero((label >= 0) | (grade >= 0))
        _check_once([names[k] for k in wanted], seen)
        rejected += measured.ids[wanted[measured.rejected[wanted]]].tolist()
        visible = measured.with_metadata(metadata)
        for one, place in ((kept, grade), (labelled, label)):
            chosen = np.flatnonzero((place >= 0) & ~measured.rejected)
            one.add(visible[chosen], place[chosen])
        if len(wanted):
            partitions.append(partition)
        usable = visible[~measured.rejected].without_cutouts()
        n += len(usable)
        sample = _sampled([*sample, usable], n, rng)
    missing = [name for name in of_grade if name not in seen]
    if of_grade and len(missing) == len(of_grade):
        raise GridlensError(
            f"No graded object ({some_names(missing)}) is among the cutouts. Check that the grades belong to these "
            "cutouts."
        )
    notes = [*graded.notes, *listed.notes]
    if missing:
        notes.append(f"{len(missing)} graded objects have no cutout: {some_names(missing)}.")
    if rejected:
        notes.append(f"{len(rejected)} graded or labelled cutouts were rejected: {some_names(rejected)}.")
    if overridden:
        notes.append(f"{overridden} graded objects also have a label in the table, which overrides their grades.")
    if pixels is not None:
        read_pixels(pixels, partitions, (kept, labelled))
    return GradedRows(kept, labelled, Measured.concatenate(sample), notes)


def labelled_twice(kept: KeptRows, graded: Graded) -> pd.DataFrame:
    """Duplicate the rows of uncertain objects, so that each has both labels, with weights.

    Returns
    -------
    DataFrame
        One row for each row of the store: `label`, `weight` of the label, and `place` in `graded.objects`.
    """
    places = kept.places
    q = graded.objects["q"].to_numpy()[places]
    between = np.flatnonzero((q > NO_LENS) & (q < LENS))
    likely = (q >= 0.5).astype(np.int64)
    weight = np.ones(len(q))
    weight[between] = np.where(likely == 1, q, 1.0 - q)[between]
    if len(between):
        whole = kept.store.measured()
        kept.store.add(whole[between])
    return pd.DataFrame(
        {
            "label": np.concatenate([likely, 1 - likely[between]]),
            "weight": np.concatenate([weight, 1.0 - weight[between]]),
            "place": np.concatenate([places, places[between]]),
        }
    )


def _sampled(parts: list[Measured], n: int, rng: np.random.Generator) -> list[Measured]:
    """Return a random sample of the `n` rows seen so far, of which the last part is new."""
    *before, new = parts
    if n <= _SAMPLE:
        return parts
    old = Measured.concatenate(before)
    taken = rng.hypergeometric(len(new), n - len(new), _SAMPLE)
    stay = rng.choice(len(old), _SAMPLE - taken, replace=False)
    return [old[np.sort(stay)], new[np.sort(rng.choice(len(new), taken, replace=False))]]


def _check_once(names: list[str], seen: set[str]) -> None:
    repeated = [name for name in names if name in seen]
    seen.update(names)
    if repeated:
        raise GridlensError(
            f"The data must contain each graded cutout once. Got {some_names(repeated)} again instead; leave out the "
            "copies."
        )
