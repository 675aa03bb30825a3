"""Cutouts to explain: one of a source, or the best of a score table."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gridlens._cells import decoded_cells
from gridlens._file_names import existing_paths, joined_paths
from gridlens._ids import as_id, as_ids
from gridlens._table_columns import CONTEXT_PREFIX
from gridlens._tables import read_table
from gridlens.cutouts import CutoutSet
from gridlens.cutouts._conventions import PathsLike
from gridlens.engine._output import finished_parts
from gridlens.engine._parts import Parts
from gridlens.errors import GridlensError
from gridlens.explain._explainer import Explainer, Explanation
from gridlens.explain._pixel_rows import PixelWork, measured_with_pixels
from gridlens.explain._remembered import NOT_REMEMBERED, Remembered, remembered
from gridlens.explain._rows import selected_rows
from gridlens.features import Measured
from gridlens.sources import Source, open_source

__all__ = ["MOST_SHEETS", "SHEETS", "Sample", "explain_table", "explained_table", "read_one", "rows_with_id"]

SHEETS, MOST_SHEETS = 50, 500
"""number of cutouts of a sample that are kept for candidate sheets: default and maximum"""

_SAME = 1e-3  # tolerance of scores at even prevalence
_NAMED = 5
_NEEDED = ("id", "path", "rank", "status")


class Sample(NamedTuple):
    """Result of `explain_table`.

    Attributes
    ----------
    explanation : Explanation of n
        Explanation, best first.
    cutouts : dict of int to CutoutSet of 1
        The best `n_sheets` cutouts by row number; empty if the source has no pixels.
    prevalence : float
        Prevalence of the table; 1e-3 if unknown.
    notes : list of str
        Messages about missing cutouts and differences from the table.
    """

    explanation: Explanation
    cutouts: dict[int, CutoutSet]
    prevalence: float
    notes: list[str]


def read_one(source: PathsLike | Source | None = None, id: str | None = None, **options: Any) -> CutoutSet:
    """Read one cutout.

    Parameters
    ----------
    source : str, path, list of them or Source, default=None
        As in `open_source`; also a value of a table's column `path`.
    id : str, default=None
        Id of the cutout, required if there are several.
    **options
        Further parameters of `open_source`, such as `catalog`, `images` or ``survey="hsc"``.

    Returns
    -------
    CutoutSet of 1

    Raises
    ------
    GridlensError
        There is no such cutout, it cannot be read, or there are several and `id` is None.
    """
    if isinstance(source, str):
        source = existing_paths(source)
    opened = open_source(source, **options)
    id = None if id is None else as_id(id)
    found: list[CutoutSet] = []
    failures = []
    for partition in opened.partitions() if id is None else opened.find({id}):
        for batch in opened.read(partition):
            if isinstance(batch, Measured):
                raise GridlensError(
                    "A feature cache has no pixels to draw. Use the cutouts from which it was measured."
                )
            failures += [failure for failure in batch.failures if id in (None, failure.id)]
            if batch.cutouts is not None:
                rows = np.flatnonzero([id in (None, one) for one in batch.cutouts.ids])
                found += [batch.cutouts[k : k + 1] for k in rows[:_NAMED]]
            if id is not None and found:
                return found[0]
            if len(found) > 1:
                names = ", ".join(str(one.ids[0]) for one in found[:_NAMED])
                raise GridlensError(f"There are several cutouts, such as {names}. Select one of them with id=ID.")
    if found:
        return found[0]
    if failures:
        raise GridlensError(f"The cutout {failures[0].id} cannot be read: {failures[0].message}")
    raise GridlensError(f"There is no cutout with the id {id!r}. `gridlens score` lists the ids.")


def explain_table(
    explainer: Explainer,
    table: pd.DataFrame | str | os.PathLike[str],
    top: int = 200,
    *,
    source: PathsLike | Source | None = None,
    n_sheets: int = SHEETS,
    progress: Callable[[int], Any] | None = None,
    **options: Any,
) -> Sample:
    """Read the best cutouts of a score table again, and explain them.

    Parameters
    ----------
    explainer : Explainer
        Explainer of the detector that computed the scores.
    table : DataFrame, str or path
        Table as returned by `LensDetector.score_cutouts`, or the path of a table written by `gridlens score`. With the
        record next to such a table, its cutouts are read again in the same way; parameters given here take precedence.
        Relative paths are searched in the folder in which the table was made, then in the working directory, and then
        in the folder of the table.
    top : int, default=200
        Number of rows.
    source : str, path, list of them or Source, default=None
        Source in which the cutouts are found by their ids. None means the files in the table's column `path`, unless
        the cutouts were extracted from survey images.
    n_sheets : int, default=50
        Number of cutouts kept for candidate sheets, best first; at most 500.
    progress : callable, optional
        Called with the number of cutouts measured since the last call.
    **options
        Further parameters of `open_source`, such as `catalog`, `images` or ``survey="hsc"``: for a DataFrame, the
        options with which the scores were computed.

    Returns
    -------
    Sample

    Raises
    ------
    GridlensError
        The table cannot be read or lacks a column, none of its rows was scored, or none of its cutouts can be read.
    ValueError
        `n_sheets` is not 0 to 500.
    """
    past = NOT_REMEMBERED
    if not isinstance(table, pd.DataFrame):
        table, past = read_table(table), remembered(table)
    with explained_table(
        explainer, table, top, past=past, source=source, n_sheets=n_sheets, progress=progress, **options
    ) as sample:
        assert sample is not None  # only an output file can already be complete
        return sample


@contextlib.contextmanager
def explained_table(
    explainer: Explainer,
    table: pd.DataFrame,
    top: int = 200,
    *,
    past: Remembered = NOT_REMEMBERED,
    source: PathsLike | Source | None = None,
    n_sheets: int = SHEETS,
    out: str | os.PathLike[str] | None = None,
    settings: Mapping[str, str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    engine: str = "local",
    scheduler: str | None = None,
    n_jobs: int | None = -1,
    progress: Callable[[int], Any] | None = None,
    **options: Any,
) -> Iterator[Sample | None]:
    """Explain the best cutouts of a table like `explain_table`, as a context in which `out` is written.

    Measured cutouts are kept as parts next to `out` until the context ends without an error. None is yielded if
    `resume` finds `out` complete. `past` is the origin of the table; the engine parameters are those of `score_files`.
    """
    if not 0 <= n_sheets <= MOST_SHEETS:
        raise ValueError(f"The 'n_sheets' parameter must be 0 to {MOST_SHEETS}. Got {n_sheets} instead.")
    best = _best(table, top)
    with finished_parts(
        selected_rows(best, past, {"source": source, **options}),
        PixelWork(),
        out,
        settings={**(settings or {}), "scores": _digest(best)},
        resume=resume,
        overwrite=overwrite,
        engine=engine,
        scheduler=scheduler,
        n_jobs=n_jobs,
        progress=progress,
    ) as parts:
        yield None if parts is None else _sample(explainer, best, past.folders, parts, n_sheets)


def rows_with_id(table: pd.DataFrame, id: str) -> pd.DataFrame:
    """Return the rows of a score table with an id; raise GridlensError if none of them was scored."""
    _check_columns(table)
    name, table = as_id(id), decoded_cells(table)
    rows = table[[one == name for one in as_ids(table["id"])]]
    if not len(rows):
        held = f"Its first id is {table['id'].iloc[0]}." if len(table) else "It is empty."
        raise GridlensError(f"The score table has no row with the id {name!r}. {held}")
    if not (rows["status"] == "ok").any():
        said = rows["message"].fillna("").iloc[0] if "message" in rows else ""
        raise GridlensError(f"The cutout {name} was rejected and has no score to explain. {said}".strip())
    return rows


def _check_columns(table: pd.DataFrame) -> None:
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise GridlensError(
            f"A score table must have the columns id, path, rank and status. It lacks {', '.join(missing)}. `gridlens "
            "score` writes such a table."
        )


def _best(table: pd.DataFrame, top: int) -> pd.DataFrame:
    """Return the best scored rows of a score table."""
    _check_columns(table)
    table = decoded_cells(table)
    best = table[table["status"] == "ok"].sort_values("rank", kind="stable").head(top).reset_index(drop=True)
    if not len(best):
        raise GridlensError("A score table must have a row with the status 'ok'. This one has no row to explain.")
    return best.assign(id=pd.Series(as_ids(best["id"]), dtype=object), path=best["path"].fillna("").astype(str))


def _digest(best: pd.DataFrame) -> str:
    shown = [best[name].tolist() for name in ("id", "path", "score", "prevalence", *_context(best)) if name in best]
    return hashlib.sha256(repr(shown).encode()).hexdigest()


def _context(table: pd.DataFrame) -> list[str]:
    """Return the columns of a table that hold catalogue context."""
    return [name for name in table if str(name).startswith(CONTEXT_PREFIX)]


def _sample(explainer: Explainer, best: pd.DataFrame, folders: Sequence[str], parts: Parts, n_sheets: int) -> Sample:
    """Explain measured rows, and return them in the order of the table."""
    wanted = _Wanted(best, folders)
    explained: list[Explanation] = []
    rows: list[int] = []
    kept: dict[int, CutoutSet] = {}
    for table in parts.tables():
        for measured in measured_with_pixels(table):
            places = wanted.places(measured)
            chosen = np.flatnonzero(places >= 0)
            if not len(chosen):
                continue
            measured, found = measured[chosen], places[chosen].tolist()
            explained.append(explainer.explain(measured))
            rows += found
            if measured.cutouts is not None:
                kept |= {row: measured.cutouts[i] for i, row in enumerate(found) if row < n_sheets}
    if not explained:
        raise GridlensError(f"None of the {len(best)} cutouts can be read again, such as {best['path'][0]}.")
    order = np.argsort(rows, kind="stable")
    explanation = Explanation.concatenate(explained).take(order)
    numbers = np.array(rows)[order]
    if context := _context(best):
        shown = best.loc[numbers, context].set_index(explanation.table.index)
        explanation = replace(explanation, table=explanation.table.join(shown))
    usable = np.isfinite(explanation.log_odds)
    sheets = {i: kept[row] for i, row in enumerate(numbers.tolist()) if row in kept and usable[i]}
    prevalence = float(best["prevalence"][0]) if "prevalence" in best else 1e-3
    return Sample(explanation, sheets, prevalence, _notes(best, numbers, explanation))


class _Wanted:
    """Rows of a table to be found by path and id, or else by id only; each is found once."""

    def __init__(self, best: pd.DataFrame, folders: Sequence[str]) -> None:
        self._found: set[int] = set()
        self._rows: dict[str, list[int]] = {}
        self._paths = [joined_paths(existing_paths(path, folders)) for path in best["path"]]
        for row, name in enumerate(best["id"]):
            self._rows.setdefault(name, []).append(row)

    def places(self, measured: Measured) -> np.ndarray:
        """Return the table row of each measured cutout (n,), -1 if it is not needed."""
        places = np.full(len(measured), -1)
        for k in np.flatnonzero(~(measured.rejected & np.isnan(measured.valid_fraction))):
            open_rows = [row for row in self._rows.get(measured.ids[k], []) if row not in self._found]
            same = [row for row in open_rows if self._paths[row] == measured.paths[k]]
            if open_rows:
                places[k] = (same or open_rows)[0]
                self._found.add(int(places[k]))
        return places


def _notes(best: pd.DataFrame, rows: np.ndarray, explanation: Explanation) -> list[str]:
    notes = []
    if len(rows) < len(best):
        lost = sorted(set(range(len(best))) - set(rows.tolist()))
        names = ", ".join(str(best["id"][k]) for k in lost[:_NAMED])
        notes.append(f"{len(lost)} of the best {len(best)} cutouts could not be read again: {names}.")
    if "branch" in best:
        n = int((best["branch"].iloc[rows] == "classic").sum())
        notes.append(
            "The table was scored with a screen; the explained scores are computed from all members, without the "
            f"screen. {n} of the "
            f"{len(rows)} cutouts have a score without the slow members in the table, which may differ by any amount."
        )
    elif "recalibrated_on" in best:
        notes.append(
            f"The table was recalibrated on {int(best['recalibrated_on'].iloc[0]):,} unlabelled cutouts. The "
            "explained scores and their probabilities are those of the model without recalibration; the order is the "
            "same."
        )
    elif "score" in best:
        off = np.abs(best["score"].to_numpy(dtype=np.float64)[rows] - explanation.table["score"].to_numpy())
        n = int((off > _SAME).sum())
        if n:
            notes.append(
                f"The scores of {n} cutouts differ from the table's, by up to {np.nanmax(off):.2g}: the explained "
                "scores are from this model and from the cutouts as they were read now. Use the model and the reading "
                "options with which the table was made."
            )
    return notes
