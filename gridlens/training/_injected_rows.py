"""Rows of a pool with and without injected arcs, split by cluster into training, calibration and test rows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gridlens._groups import group_of_each
from gridlens._labels import binary_values, check_no_context, rows_by_id
from gridlens._tables import read_table, some_names
from gridlens.engine._output import kept_parts
from gridlens.errors import GridlensError
from gridlens.features import Measured
from gridlens.features._measured_table import measured_from_table
from gridlens.simulate._cluster_arcs import ARC
from gridlens.sources import Partition, Source
from gridlens.training._context import ListedLenses
from gridlens.training._injected_source import (
    AS_IT_IS,
    KNOWN_LENS,
    InjectedSource,
    Injection,
    InjectWork,
    truth_of,
)
from gridlens.training._kept import KeptRows, read_pixels

__all__ = ["CONTROLLED", "CONTROLS", "LEARN", "InjectedRows", "PoolTable", "injected_rows", "read_pool_table"]

_SMALLEST_POOL = 200
CONTROLS = ("null", "recoloured", "turned", "straight")
"""versions of cutouts on which the finished model is tested"""
# Fractions of the clusters for training and calibration; the others are for the test.
LEARN, _CALIBRATE = 0.6, 0.2
_ROLES, _KNOWN, _OF_CONTROLS = ("learn", "calibrate", "test"), "known", "controls"
# The cross-validation of the members needs enough clusters in three fifths of the pool.
_FEWEST_CLUSTERS = 8
# Number of cutouts for the controls, enough for an AUROC to 0.03.
CONTROLLED = 1200
# A pool with a larger fraction of known lenses does not consist of clusters presumed to be lens-free.
_MOST_KNOWN = 0.1


@dataclass(frozen=True)
class PoolTable:
    """Properties of the cutouts of a pool from a table of labels, by id."""

    lenses: frozenset[str] = frozenset()
    surveys: dict[str, str] | None = None
    clusters: dict[str, Any] | None = None


class InjectedRows(NamedTuple):
    """Rows of a pool.

    Attributes
    ----------
    learn, calibrate, test, known, controls : KeptRows
        Their places are row numbers of `truth`. `known` are known lenses; `controls` are versions of cutouts of the
        first three.
    truth : DataFrame
        All usable rows, with the columns `INJECTED_COLUMNS`, `group` (number of the cluster), `role` ("learn",
        "calibrate", "test" or "known") and `label` (1 with arcs).
    notes : list of str
        Sentences on rows that were left out.
    """

    learn: KeptRows
    calibrate: KeptRows
    test: KeptRows
    known: KeptRows
    controls: KeptRows
    truth: pd.DataFrame
    notes: list[str]


def read_pool_table(labels: str | os.PathLike[str] | pd.DataFrame | None, groups: str | None) -> PoolTable:
    """Read the table of labels of a pool: `id`, and optionally `label`, `survey` and `cluster`.

    Parameters
    ----------
    labels : str, path, DataFrame or None
        `label` is 1 for a known lens, and 0 or blank for other cutouts.
    groups : str, default=None
        Column that identifies clusters; None uses `cluster` if it exists.

    Raises
    ------
    GridlensError
        The table cannot be read, has no ids, repeats one, or lacks the column `groups`.
    """
    if labels is None:
        return PoolTable()
    what = "table of labels" if isinstance(labels, pd.DataFrame) else f"table of labels {labels}"
    table = labels if isinstance(labels, pd.DataFrame) else read_table(labels, text=() if groups is None else (groups,))
    check_no_context(table, what)
    rows, _ = rows_by_id(table, what)
    if groups is not None and groups not in rows:
        raise GridlensError(f"The 'groups' parameter must name a column of the {what}. Got {groups!r} instead.")
    column = groups or ("cluster" if "cluster" in rows else None)
    lenses: frozenset[str] = frozenset()
    if "label" in rows:
        way_out = "Set known lenses to 1, and leave the others blank."
        values = binary_values(rows["label"], rows.index, f"column 'label' of the {what}", way_out, blank=True)
        lenses = frozenset(rows.index[values == 1])
    return PoolTable(
        lenses,
        dict(rows["survey"].fillna("").astype(str).str.lower()) if "survey" in rows else None,
        None if column is None else dict(zip(rows.index, rows[column], strict=True)),
    )


def injected_rows(
    stack: contextlib.ExitStack,
    pool: Source,
    injection: Injection,
    table: PoolTable,
    *,
    metadata: str,
    folder: Path,
    parts: Path,
    pixels: bool,
    random_state: int,
    **run: Any,
) -> InjectedRows:
    """Measure the cutouts of a pool with and without arcs, and split them by cluster.

    Parameters
    ----------
    stack : ExitStack
        Finished parts are kept beside the bundle until the stack is closed without an error.
    pool : Source
    injection : Injection
    table : PoolTable
    metadata : {"image", "survey", "all"}
        As in `LensDetector`.
    folder : Path
        Folder for memory-mapped files.
    parts : Path
        Folder of the finished parts; the folder of the controls is beside it.
    pixels : bool
        Whether members need pixels, which are then read again.
    random_state : int
        Seed of the split.
    **run
        `resume`, `overwrite`, `engine`, `scheduler`, `n_jobs` and `progress`, as in `gridlens.engine.score_files`.

    Raises
    ------
    GridlensError
        Fewer than 200 cutouts are usable, or too many of them are known lenses.
    """
    main = _Measuring(stack, InjectedSource(pool, injection), parts, run)
    listed = ListedLenses()
    seen = pd.concat([_presumed(rows, told, listed) for _, rows, told in main.rows()], ignore_index=True)
    notes = _checked(seen) + listed.notes
    truth = _with_roles(seen, table.clusters or {}, random_state)
    again = replace(injection, kinds=CONTROLS, only=_controlled(truth))
    controls = _Measuring(stack, InjectedSource(pool, again), parts.with_name(f"{parts.name}.controls"), run)
    told = pd.concat([told[~rows.rejected] for _, rows, told in controls.rows()], ignore_index=True)
    of_cutout = truth.drop_duplicates("cutout").set_index("cutout")[["group", "role"]]
    made = told.join(of_cutout, on="cutout").assign(label=1)
    truth = pd.concat([truth, made], ignore_index=True)
    kept = {name: KeptRows(folder, name) for name in (*_ROLES, _KNOWN, _OF_CONTROLS)}
    part = truth["role"].where(~truth["kind"].isin(CONTROLS), _OF_CONTROLS)
    place = dict(zip(truth["id"], zip(range(len(truth)), part, strict=True), strict=True))
    for measuring in (main, controls):
        measuring.keep(place, kept, metadata, pixels)
    return InjectedRows(**kept, truth=truth, notes=notes)


def _presumed(rows: Measured, told: pd.DataFrame, listed: ListedLenses) -> pd.DataFrame:
    """Return the truth of rows without the lenses of the bundled list, except for known lenses that the user named."""
    lost = listed.among(rows) & (told["kind"] != KNOWN_LENS).to_numpy()
    listed.dropped += told["cutout"][lost & (told["kind"] == AS_IT_IS).to_numpy()].tolist()
    return told.assign(rejected=rows.rejected)[~lost]


class _Measuring:
    """Rows of a source, measured once by the engine."""

    def __init__(self, stack: contextlib.ExitStack, source: InjectedSource, folder: Path, run: dict[str, Any]) -> None:
        self._source = source
        self._parts = stack.enter_context(kept_parts(source, InjectWork(), folder, **run))

    def rows(self) -> Iterator[tuple[Partition, Measured, pd.DataFrame]]:
        """Yield the rows of each partition, with their truth."""
        for partition, table in zip(self._source.partitions(), self._parts.tables(), strict=False):
            yield partition, measured_from_table(table), truth_of(table)

    def keep(self, place: dict[str, tuple[int, str]], kept: dict[str, KeptRows], metadata: str, pixels: bool) -> None:
        """Add each row that has a place in the truth to its part, with pixels if they are needed."""
        partitions = []
        filled: dict[str, KeptRows] = {}
        for partition, rows, _ in self.rows():
            places = [place.get(name, (-1, "")) for name in rows.ids]
            numbers, parts = np.array([k for k, _ in places], dtype=np.int64), np.array([name for _, name in places])
            for name in np.unique(parts[numbers >= 0]):
                chosen = np.flatnonzero((parts == name) & ~rows.rejected)
                kept[name].add(rows[chosen].with_metadata(metadata), numbers[chosen])
                filled[name] = kept[name]
            partitions.append(partition)
        if pixels:
            read_pixels(self._source, partitions, list(filled.values()))


def _checked(seen: pd.DataFrame) -> list[str]:
    """Return notes on rows that are left out; raise GridlensError if the pool is not suitable for training."""
    repeated = seen["id"][seen["id"].duplicated()]
    if len(repeated):
        raise GridlensError(
            f"The pool must contain each cutout once. Got {some_names(repeated.tolist())} again instead; leave out the "
            "copies."
        )
    rejected = seen[seen["rejected"].to_numpy()]
    lenses = int((seen["kind"] == KNOWN_LENS).sum())
    usable = int((~seen["rejected"] & (seen["kind"] == AS_IT_IS)).sum())
    if usable < _SMALLEST_POOL:
        raise GridlensError(
            f"The pool must contain at least {_SMALLEST_POOL} usable cutouts besides known lenses: they are the "
            f"training data, and a fifth of them the test. Got {usable} instead; add cutouts of the survey, or use an "
            "existing model."
        )
    if lenses > _MOST_KNOWN * (usable + lenses):
        raise GridlensError(
            "The pool must consist of clusters that are presumed to be lens-free, up to the prevalence. Got "
            f"{lenses:,} known lenses among {usable + lenses:,} cutouts instead; use an unselected catalogue of "
            "clusters, or train on labelled lenses with source= and labels=."
        )
    notes = []
    if lenses:
        notes.append(
            f"{lenses:,} known lenses of the pool are excluded from the negatives, and no arcs are injected into them."
        )
    if len(rejected):
        names = some_names(rejected["id"].tolist())
        notes.append(f"{len(rejected):,} cutouts of the pool were rejected and are left out: {names}.")
    return notes


def _with_roles(seen: pd.DataFrame, clusters: dict[str, Any], random_state: int) -> pd.DataFrame:
    """Return the usable rows, each cutout unchanged and with arcs, with their cluster, role and label."""
    rows = seen[~seen["rejected"].to_numpy()].drop(columns="rejected")
    known = rows[rows["kind"] == KNOWN_LENS].assign(group=-1, role=_KNOWN, label=1)
    rows = rows[rows["kind"] != KNOWN_LENS]
    both = rows.groupby("cutout")["id"].transform("size") == rows["kind"].nunique()
    rows = rows[both.to_numpy()].reset_index(drop=True)
    cutouts = pd.unique(rows["cutout"])
    named = [clusters.get(name) for name in cutouts]
    _, number = np.unique(group_of_each(np.array(named, dtype=object)), return_inverse=True)
    n = int(number.max()) + 1
    if n < _FEWEST_CLUSTERS:
        raise GridlensError(
            f"The pool must contain at least {_FEWEST_CLUSTERS} clusters or fields, to be split. Got {n} in the table "
            "of labels instead; add cutouts of other clusters."
        )
    order = np.random.default_rng(random_state).permutation(n)
    ends = np.round(np.array([LEARN, LEARN + _CALIBRATE]) * n).astype(int)
    role = np.array(_ROLES)[np.searchsorted(ends, np.argsort(order), side="right")]
    of_cutout = pd.DataFrame({"group": number, "role": role[number]}, index=cutouts)
    rows = rows.join(of_cutout, on="cutout").assign(label=(rows["kind"] == ARC).astype(np.int64))
    return pd.concat([rows, known], ignore_index=True)


def _controlled(truth: pd.DataFrame) -> frozenset[str]:
    """Return the cutouts for the controls, preferably test cutouts."""
    cutouts = truth[truth["kind"] == AS_IT_IS]
    order = cutouts["role"].map({name: k for k, name in enumerate(reversed(_ROLES))}).to_numpy()
    return frozenset(cutouts["cutout"].to_numpy()[np.argsort(order, kind="stable")][:CONTROLLED])
