"""Score tables and a truth table, row by row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gridlens._groups import group_of_each
from gridlens._ids import as_ids
from gridlens._tables import some_names
from gridlens.calibration import shift_prior
from gridlens.cutouts import known_metadata
from gridlens.errors import GridlensError

__all__ = ["JoinedTruth", "join_truth"]

_EVEN = 0.5


class JoinedTruth(NamedTuple):
    """Rows that were scored and whose truth is known."""

    rows: pd.DataFrame
    """columns of the truth table, and of the score table where the truth has none of that name"""
    score: np.ndarray
    probability: np.ndarray | None
    """at the share of lenses among these rows; None where the scores are no probabilities"""
    other: np.ndarray | None
    groups: np.ndarray | None
    counts: dict[str, int]
    notes: list[str]


def join_truth(
    scores: pd.DataFrame, truth: pd.DataFrame, other: pd.DataFrame | None = None, groups: str | None = None
) -> JoinedTruth:
    """Join tables on `id`; rows in one of them alone are counted and named.

    Raises
    ------
    GridlensError
        A column is missing, ids are doubled or do not meet at all, a label is no clean one.
    """
    _need(scores, ("id", "score"), "score table")
    notes: list[str] = []
    scores, truth = _by_id(scores, "score table", notes), _by_id(truth, "truth table", notes)
    _need_label(truth)
    if groups is not None:
        _need(truth, (groups,), "truth table")
    shared = truth.index[truth.index.isin(scores.index)]
    if not len(shared):
        raise GridlensError(
            f"No id of the score table ({some_names(scores.index)}) is in the truth table ({some_names(truth.index)}). "
            "Check that they are tables of the same cutouts."
        )
    for index, others, said in (
        (scores.index, truth.index, "in the score table have no truth"),
        (truth.index, scores.index, "in the truth table have no score"),
    ):
        alone = index[~index.isin(others)]
        if len(alone):
            notes.append(f"{len(alone)} ids {said} and are left out: {some_names(alone)}.")
    label = _clean_labels(truth.loc[shared, "label"])
    values = pd.to_numeric(scores.loc[shared, "score"], errors="coerce").to_numpy(dtype=np.float64)
    usable = ~np.isnan(values)
    counts = {"joined": len(shared), "lenses": int(label.sum()), "rejected": int((~usable).sum())}
    counts["rejected_lenses"] = int(label[~usable].sum())
    beside = None
    if other is not None:
        _need(other, ("id", "score"), "other score table")
        column = _by_id(other, "other score table", notes)["score"].reindex(shared)
        beside = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
        lacking = int(np.isnan(beside[usable]).sum())
        if lacking:
            notes.append(f"{lacking} cutouts without a score in the other table are left out.")
        usable &= ~np.isnan(beside)
    if counts["rejected"]:
        notes.append(
            f"{counts['rejected']} cutouts were rejected and have no score, among them {counts['rejected_lenses']} of "
            f"{counts['lenses']} lenses: of all lenses, what is found is "
            f"{1 - counts['rejected_lenses'] / max(counts['lenses'], 1):.3g} times what the measures say."
        )
    kept = shared[usable]
    rows = truth.loc[kept].copy()
    numbers = rows.select_dtypes("number")
    known, words = known_metadata({name: numbers[name] for name in numbers})
    if words:
        rows = rows.assign(**known)
        notes.append(f"Some values of the truth table cannot be right and are taken as unknown: {words}.")
    rows["label"] = label[usable]
    for name in scores.columns.difference(rows.columns):
        rows[name] = scores.loc[kept, name]
    score = values[usable]
    return JoinedTruth(
        rows,
        score,
        _probability(scores.loc[kept], score, label[usable], notes),
        None if beside is None else beside[usable],
        None if groups is None else group_of_each(rows[groups]),
        counts,
        notes,
    )


def _probability(scores: pd.DataFrame, score: np.ndarray, label: np.ndarray, notes: list[str]) -> np.ndarray | None:
    """`score` of the tables of gridlens is a probability at even prevalence; others' scores may be anything."""
    if "p_lens" not in scores:
        notes.append("The score table has no p_lens: its scores are ranked, and calibration is not looked at.")
        return None
    outside = score[(score < 0.0) | (score > 1.0)]
    if len(outside):
        raise GridlensError(
            f"The column 'score' beside 'p_lens' must hold probabilities from 0 to 1. Got {outside[0]:g} instead; a "
            "table of scores that are none has no column p_lens."
        )
    share = float(label.mean())
    return shift_prior(score, _EVEN, share) if 0.0 < share < 1.0 else score


def _need(table: pd.DataFrame, names: tuple[str, ...], what: str) -> None:
    missing = [name for name in names if name not in table]
    if missing:
        raise GridlensError(
            f"The {what} must have the columns {' and '.join(names)}. Got {', '.join(map(str, table.columns[:8]))} "
            "instead; rename its columns."
        )


def _need_label(truth: pd.DataFrame) -> None:
    if "label" in truth:
        return
    labelled = [name for name in ("s", "labelled", "labeled", "known") if name in truth]
    if labelled:
        raise GridlensError(
            f"The truth table must have a column 'label' of clean labels, 1 for a lens and 0 for surely none. Got "
            f"{labelled[0]!r} instead, which says what was labelled: the lenses among the others would count as false "
            "positives."
        )
    _need(truth, ("label",), "truth table")


def _clean_labels(column: pd.Series[Any]) -> np.ndarray:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    strange = column[~np.isin(numbers, (0.0, 1.0))]
    if len(strange):
        raise GridlensError(
            "The column 'label' of the truth table must be 1 for a lens and 0 for surely none. "
            f"Got {strange.iloc[0]} in {len(strange)} rows instead, as of {strange.index[0]}; leave out the rows "
            "that nobody is sure of."
        )
    return numbers.astype(np.int64)


def _by_id(table: pd.DataFrame, what: str, notes: list[str]) -> pd.DataFrame:
    _need(table, ("id",), what)
    named = table.assign(id=pd.Series(as_ids(table["id"]), index=table.index, dtype=object))
    nameless = named["id"] == ""
    if nameless.any():
        notes.append(f"{nameless.sum()} rows of the {what} have no id and are left out.")
        named = named[~nameless]
    doubled = named["id"][named["id"].duplicated()]
    if len(doubled):
        raise GridlensError(
            f"The {what} must name each id once. Got {len(doubled)} ids again instead: {some_names(doubled)}. Remove "
            "the copies."
        )
    return named.set_index("id")
