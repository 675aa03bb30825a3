"""Join of a score table and a truth table by id."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from gridlens._cells import decoded_cells
from gridlens._groups import group_of_each
from gridlens._labels import binary_values, check_columns, check_label_column, rows_by_id
from gridlens._tables import some_names
from gridlens.calibration import shift_prior
from gridlens.cutouts import CutoutFlag
from gridlens.cutouts._plausible import known_metadata
from gridlens.detector._table import EVEN
from gridlens.errors import GridlensError

__all__ = ["JoinedTruth", "join_truth"]

_SCORES, _OTHER, _TRUTH = "score table", "other score table", "truth table"


class JoinedTruth(NamedTuple):
    """Rows with a score and a valid label."""

    rows: pd.DataFrame
    """indexed by id: columns of the truth table, and those of the score table that the truth table lacks"""
    score: np.ndarray
    probability: np.ndarray | None
    """at the prevalence of these rows; None if the scores are not probabilities"""
    other: np.ndarray | None
    groups: np.ndarray | None
    weight: np.ndarray | None
    """weights, above 0"""
    counts: dict[str, int]
    notes: list[str]


def join_truth(
    scores: pd.DataFrame,
    truth: pd.DataFrame,
    other: pd.DataFrame | None = None,
    groups: str | None = None,
    sample_weight: str | None = None,
) -> JoinedTruth:
    """Join tables on `id`; rows present in only one of them are counted and named in a note.

    `groups` and `sample_weight` are columns of the truth table.

    Raises
    ------
    GridlensError
        A column is missing, an id is repeated, no id is in both tables, a label is not 0 or 1, a weight is missing or
        negative, or all usable rows have the same label or the same score.
    """
    notes: list[str] = []
    check_columns(scores, ("id", "score"), _SCORES)
    scores, truth = _by_id(scores, _SCORES, notes), _by_id(truth, _TRUTH, notes)
    if other is not None:
        check_columns(other, ("id", "score"), _OTHER)
        other = _by_id(other, _OTHER, notes)
    check_label_column(truth, _TRUTH, ": lenses among the other rows would count as false positives.")
    for parameter, column in (("groups", groups), ("sample_weight", sample_weight)):
        if column is not None and column not in truth:
            raise GridlensError(
                f"The '{parameter}' parameter must name a column of the truth table. Got {column!r} instead. Its "
                f"columns are {', '.join(map(str, truth.columns[:8]))}."
            )
    shared = _untrained(_shared(scores.index, truth.index, notes), (scores, other), notes)
    label = binary_values(
        truth.loc[shared, "label"],
        shared,
        f"column 'label' of the {_TRUTH}",
        "Write 1 for a lens and 0 for certainly not a lens, and omit uncertain rows.",
    ).astype(np.int64)
    weight = np.ones(len(shared)) if sample_weight is None else _weights(truth.loc[shared, sample_weight])
    values = _numbers(scores.loc[shared, "score"])
    usable = ~np.isnan(values)
    counts = {"joined": len(shared), "lenses": int(label.sum()), "rejected": int((~usable).sum())}
    counts["rejected_lenses"] = int(label[~usable].sum())
    beside = None if other is None else _other_scores(other, shared, usable, notes)
    if beside is not None:
        usable &= ~np.isnan(beside)
    if counts["rejected"]:
        lost = weight[(label == 1) & np.isnan(values)].sum() / (weight[label == 1].sum() or 1.0)
        notes.append(
            f"{counts['rejected']} cutouts were rejected and have no score, among them {counts['rejected_lenses']} of "
            f"{counts['lenses']} lenses. The fraction of all lenses that is found is {1 - lost:.3g} times the value "
            "of the metrics."
        )
    if not weight.all():
        notes.append(f"{int((weight == 0.0).sum())} cutouts have a weight of 0 and are omitted.")
        usable &= weight > 0.0
    if not usable.any():
        heavy = "" if sample_weight is None else " with a weight above 0"
        raise GridlensError(
            f"The {_SCORES} must hold a score for a row of the {_TRUTH}{heavy}. Got none for the {len(shared)} "
            "cutouts in both tables. The column 'message' of the score table may give the reason."
        )
    kept, label, score, weight = shared[usable], label[usable], values[usable], weight[usable]
    _check_informative(label, score)
    rows = _described(truth.loc[kept], scores.loc[kept], notes).assign(label=label, score=score)
    return JoinedTruth(
        rows,
        score,
        _probability(scores.loc[kept], score, float(np.average(label, weights=weight)), notes),
        None if beside is None else beside[usable],
        None if groups is None else group_of_each(rows[groups]),
        None if sample_weight is None else weight,
        counts,
        notes,
    )


def _by_id(table: pd.DataFrame, what: str, notes: list[str]) -> pd.DataFrame:
    rows, nameless = rows_by_id(decoded_cells(table), what)
    if nameless:
        notes.append(f"{nameless} rows of the {what} have no id and are omitted.")
    return rows


def _shared(scored: pd.Index, known: pd.Index, notes: list[str]) -> pd.Index:
    """Return the ids in both tables, in the order of the truth table."""
    shared = known[known.isin(scored)]
    if not len(shared):
        raise GridlensError(
            f"No id of the score table ({some_names(scored)}) is in the truth table ({some_names(known)}). "
            "Check that both tables describe the same cutouts."
        )
    for index, others, said in (
        (scored, known, "in the score table have no truth"),
        (known, scored, "in the truth table have no score"),
    ):
        alone = index[~index.isin(others)]
        if len(alone):
            notes.append(f"{len(alone)} ids {said} and are omitted: {some_names(alone)}.")
    return shared


def _untrained(shared: pd.Index, tables: tuple[pd.DataFrame, pd.DataFrame | None], notes: list[str]) -> pd.Index:
    """Return the ids of the rows that are not in the training data of the models, according to their flags.

    Raises
    ------
    GridlensError
        No row is left.
    """
    trained = np.zeros(len(shared), dtype=bool)
    for table in tables:
        # In a table of another program, a column of this name has another meaning.
        if table is not None and {"flags", "status"} <= set(table.columns):
            flags = np.nan_to_num(_numbers(table["flags"].reindex(shared))).astype(np.int64)
            trained |= flags & int(CutoutFlag.TRAINED) != 0
    n = int(trained.sum())
    if n and n == len(shared):
        raise GridlensError(
            f"The {_TRUTH} must contain cutouts on which the model was not trained. Got {n} cutouts, all of which "
            "were used to fit or calibrate it, so their scores are too good. Evaluate it on other cutouts; its model "
            "card has out-of-fold measures for these."
        )
    if n:
        notes.append(
            f"{n} of {len(shared)} cutouts are omitted, because the model was fitted or calibrated on them: their "
            "scores are too good."
        )
    return shared[~trained]


def _numbers(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)


def _other_scores(other: pd.DataFrame, shared: pd.Index, usable: np.ndarray, notes: list[str]) -> np.ndarray:
    beside = _numbers(other["score"].reindex(shared))
    lacking = int(np.isnan(beside[usable]).sum())
    if lacking:
        notes.append(f"{lacking} cutouts without a score in the other table are omitted.")
    return beside


def _check_informative(label: np.ndarray, score: np.ndarray) -> None:
    """Raise GridlensError if there is nothing to rank."""
    if label.min() == label.max():
        raise GridlensError(
            f"The column 'label' of the truth table must contain both 0 and 1. Got only {label[0]} in {len(label)} "
            "rows instead. A ranking is evaluated by how it orders the two."
        )
    if len(np.unique(score)) == 1:
        raise GridlensError(
            f"The column 'score' of the score table must not be constant. Got {score[0]:g} in all {len(score)} rows "
            "instead. Use a table that ranks the cutouts."
        )


def _described(truth: pd.DataFrame, scores: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Return the columns of both tables, with implausible metadata of the truth as NaN."""
    rows = truth.copy()
    numbers = rows.select_dtypes("number")
    known, words = known_metadata({name: numbers[name] for name in numbers})
    if words:
        rows = rows.assign(**known)
        notes.append(f"Some values of the truth table are implausible and are treated as unknown: {words}.")
    for name in scores.columns.difference(rows.columns):
        rows[name] = scores[name]
    return rows


def _weights(column: pd.Series) -> np.ndarray:
    """Return the weights of rows, finite and at least 0.

    Raises
    ------
    GridlensError
        A weight is missing, not a number, negative or infinite.
    """
    weight = _numbers(column)
    bad = ~(np.isfinite(weight) & (weight >= 0.0))
    if bad.any():
        raise GridlensError(
            f"The column {column.name!r} of the {_TRUTH} must hold a finite weight of at least 0 in each row. Got "
            f"{column[bad].iloc[0]} for {some_names(column.index[bad])} instead. Remove rows without a weight."
        )
    return weight


def _probability(scores: pd.DataFrame, score: np.ndarray, prevalence: float, notes: list[str]) -> np.ndarray | None:
    """Return probabilities at the prevalence of the rows, or of the population that their weights represent.

    In a table of gridlens, which also has `p_lens`, `score` is a probability at even prevalence. Other scores may have
    any meaning.
    """
    if "p_lens" not in scores:
        notes.append(
            "The score table has no p_lens: its scores are used for ranking only, and calibration is not evaluated."
        )
        return None
    outside = score[(score < 0.0) | (score > 1.0)]
    if len(outside):
        raise GridlensError(
            "The column 'score' of a score table with the column 'p_lens' must hold probabilities from 0 to 1. Got "
            f"{outside[0]:g} instead. Remove the column p_lens if scores are not probabilities."
        )
    return np.asarray(shift_prior(score, EVEN, prevalence))
