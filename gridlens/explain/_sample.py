"""Cutouts to explain: one of a file or folder, or the best of a table of scores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gridlens._file_names import existing_path
from gridlens._ids import as_id, as_ids, escaped
from gridlens.cutouts import CutoutSet
from gridlens.cutouts.readers import read_batches
from gridlens.errors import GridlensError
from gridlens.explain._explainer import Explainer, Explanation

__all__ = ["SHEETS", "Sample", "explain_table", "read_one"]

SHEETS = 50
"""how many cutouts of a sample are kept for candidate sheets"""

_SAME = 1e-3  # of scores at even prevalence
_NAMED = 5


class Sample(NamedTuple):
    """What `explain_table` returns.

    Attributes
    ----------
    explanation : Explanation of n
        The best first.
    cutouts : dict of int to CutoutSet of 1
        The best `SHEETS`, by their row.
    prevalence : float
        Of the table; 1e-3 where it does not say.
    notes : list of str
        What is missing, or differs from the table.
    """

    explanation: Explanation
    cutouts: dict[int, CutoutSet]
    prevalence: float
    notes: list[str]


def read_one(what: str | os.PathLike[str], name: str | None = None, **reading: Any) -> CutoutSet:
    """Read one cutout.

    Parameters
    ----------
    what : str or path
        A file, a glob or a folder. Of three FITS files of one cutout any one that holds g will do.
    name : str, default=None
        Id of the cutout, where there are several.
    **reading
        Options of `gridlens.cutouts.read_batches`.

    Returns
    -------
    CutoutSet of 1

    Raises
    ------
    GridlensError
        There is none, it cannot be read, or there are several and none was named.
    """
    path = existing_path(os.fspath(what))
    name = None if name is None else as_id(name)
    found: list[CutoutSet] = []
    failures = []
    for cutouts, failed in read_batches([path, *_siblings(path)], **reading):
        failures += [failure for failure in failed if name in (None, failure.id)]
        if cutouts is not None:
            rows = np.flatnonzero([name in (None, one) for one in cutouts.ids])
            found += [cutouts[k : k + 1] for k in rows[:_NAMED]]
        if name is not None and found:
            return found[0]
        if len(found) > 1:
            names = ", ".join(str(one.ids[0]) for one in found[:_NAMED])
            raise GridlensError(f"There are several cutouts in {path}, such as {names}. Name one of them with --id.")
    if found:
        return found[0]
    if failures:
        raise GridlensError(f"The cutout {failures[0].id} cannot be read: {failures[0].message}")
    raise GridlensError(f"There is no cutout with the id {name!r} in {path}. `gridlens score` lists the ids.")


def explain_table(
    explainer: Explainer,
    table: pd.DataFrame,
    top: int = 200,
    *,
    progress: Callable[[int], Any] | None = None,
    **reading: Any,
) -> Sample:
    """Explain the best cutouts of a table of scores, which are read again from where its rows say.

    Parameters
    ----------
    explainer : Explainer
        Of the detector that gave the scores.
    table : DataFrame
        As `LensDetector.score_cutouts` gives it, or `gridlens score` wrote it.
    top : int, default=200
    progress : callable, optional
        Called with a number of cutouts once they are explained.
    **reading
        Options of `gridlens.cutouts.read_batches`: those that the scores were made with.

    Returns
    -------
    Sample

    Raises
    ------
    GridlensError
        The table lacks a column, no row of it was scored, or none of its cutouts can be read.
    """
    missing = [name for name in ("id", "path", "rank", "status") if name not in table]
    if missing:
        raise GridlensError(
            f"A table of scores must have the columns id, path, rank and status. It lacks {', '.join(missing)}; "
            "`gridlens score --out FILE` writes one."
        )
    best = table[table["status"] == "ok"].sort_values("rank", kind="stable").head(top).reset_index(drop=True)
    if not len(best):
        raise GridlensError("A table of scores must hold a row with the status 'ok'. This one has none to explain.")
    named = best["path"].fillna("").astype(str)
    files = {path: existing_path(path) for path in named.unique()}
    sources = [escaped(files[path]) for path in named]
    wanted = {key: k for k, key in reversed(list(enumerate(zip(sources, as_ids(best["id"]), strict=True))))}
    paths = list(files.values())
    gone = [path for path in paths if not path or not os.path.exists(path)]
    if len(gone) == len(paths):
        raise GridlensError(
            "The cutouts of a table must still be where its column 'path' says. "
            f"There is no {gone[0] or 'path'!r}; go to the folder from which they were scored, or score them again."
        )
    there = [path for path in paths if path not in gone]
    rows: list[int] = []
    parts: list[Explanation] = []
    kept: dict[int, CutoutSet] = {}
    for cutouts in _read([*there, *(other for path in there for other in _siblings(path))], reading):
        chosen = [
            (k, wanted[key]) for k, key in enumerate(zip(cutouts.paths, cutouts.ids, strict=True)) if key in wanted
        ]
        if chosen:
            part = cutouts[np.array([k for k, _ in chosen])]
            parts.append(explainer.explain(part))
            rows += [row for _, row in chosen]
            kept |= {row: part[i : i + 1] for i, (_, row) in enumerate(chosen) if row < SHEETS}
            if progress is not None:
                progress(len(chosen))
    if not parts:
        raise GridlensError(f"None of the {len(best)} cutouts can be read again, such as {best['path'][0]}.")
    order = np.argsort(rows, kind="stable")
    explanation = Explanation.concatenate(parts).take(order)
    places = np.array(rows)[order]
    usable = np.isfinite(explanation.log_odds)
    sheets = {i: kept[row] for i, row in enumerate(places.tolist()) if row in kept and usable[i]}
    prevalence = float(best["prevalence"][0]) if "prevalence" in best else 1e-3
    return Sample(explanation, sheets, prevalence, _notes(best, places, explanation))


def _read(paths: list[str], reading: dict[str, Any]) -> Iterator[CutoutSet]:
    for cutouts, _ in read_batches(paths, **reading):
        if cutouts is not None:
            yield cutouts


def _notes(best: pd.DataFrame, places: np.ndarray, explanation: Explanation) -> list[str]:
    notes = []
    if len(places) < len(best):
        lost = sorted(set(range(len(best))) - set(places.tolist()))
        names = ", ".join(str(best["id"][k]) for k in lost[:_NAMED])
        notes.append(f"{len(lost)} of the best {len(best)} cutouts could not be read again: {names}.")
    if "score" in best:
        off = np.abs(best["score"].to_numpy(dtype=np.float64)[places] - explanation.table["score"].to_numpy())
        n = int((off > _SAME).sum())
        if n:
            notes.append(
                f"The scores of {n} cutouts differ from the table's, by up to {np.nanmax(off):.2g}: what is explained "
                "here are the scores of this model, and of cutouts as they were read now. Give the model and the "
                "reading options that the table was made with."
            )
    return notes


def _siblings(path: str) -> list[str]:
    """The files of r and i beside that of g, of which a table names the first; none where the file stands alone."""
    folder, name = os.path.split(path)
    for k in range(len(name) - 1, -1, -1):
        if name[k] in "gG":
            lower = name[k] == "g"
            others = [name[:k] + (band if lower else band.upper()) + name[k + 1 :] for band in "ri"]
            found = [os.path.join(folder, other) for other in others]
            if all(Path(other).is_file() for other in found):
                return found
    return []
