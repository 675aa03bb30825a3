"""Scores of clusters evaluated on a labelled sample: strata, controls and matched columns of lens finding."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, NamedTuple, TypeAlias

import pandas as pd

from gridlens._progress import progress_bar
from gridlens._tables import read_table
from gridlens.calibration._checks import checked_share, checked_whole
from gridlens.engine._score import ranked_scores
from gridlens.engine._truth import join_truth
from gridlens.errors import GridlensError
from gridlens.evaluation import Evaluation, Strata, evaluate
from gridlens.features._cache import is_feature_cache
from gridlens.sources import CacheSource, Source

__all__ = ["ScoreEvaluation", "evaluate_scores"]

ScoresLike: TypeAlias = pd.DataFrame | str | os.PathLike[str] | Source
"""a table of scores or the path of one, or what a model scores: the path of a feature cache, or a source"""

_PARTS = 5  # of `evaluate`, for its progress
_INFINITE = float("inf")


class _Stratum(NamedTuple):
    title: str
    edges: tuple[float, ...] | None
    lenses_only: bool
    """whether only lenses have such a value, so that each stratum is compared with all negatives"""


# By column of the truth table.
_STRATA = {
    "theta_e": _Stratum("Einstein radius [arcsec]", (10.0, 15.0, 25.0, 30.0), True),
    "arc_snr": _Stratum("S/N of the arcs", (0.0, 100.0, 300.0, _INFINITE), True),
    "seeing": _Stratum("seeing [arcsec]", (0.0, 0.7, 0.9, 1.1, _INFINITE), False),
    "richness": _Stratum("richness", (0.0, 20.0, 40.0, 80.0, _INFINITE), False),
    "survey": _Stratum("survey", None, False),
}
_SIMPLE = "brightness and richness"
_CONTROLS = {
    _SIMPLE: ("bcg_mag_r", "richness"),
    "metadata": ("bcg_mag_r", "richness", "redshift", "seeing", "depth", "log_xray_luminosity", "velocity_dispersion"),
}
_MATCHED = ("richness", "bcg_mag_r")


@dataclass(frozen=True)
class ScoreEvaluation:
    """Result of `evaluate_scores`.

    Attributes
    ----------
    evaluation : Evaluation
        The metrics, with an interval each, the strata, controls and curves.
    rows : DataFrame
        The n evaluated rows, indexed by id in the order of the truth table: its columns, those of the score table that
        it lacks, `label` (int64, 0 or 1) and `score` (float64).
    notes : tuple of str
        Sentences on what was left out, what is missing and what the controls saw.
    counts : dict of str to int
        Rows `joined`, `lenses` among them, and how many of either have no score: `rejected`, `rejected_lenses`.
    record : dict
        What was evaluated, in types that JSON has: version of gridlens, the paths of the tables (None for a DataFrame),
        the model and the counts.
    """

    evaluation: Evaluation
    rows: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...]
    counts: dict[str, int]
    record: dict[str, Any] = field(repr=False)


def evaluate_scores(
    scores: ScoresLike,
    truth: pd.DataFrame | str | os.PathLike[str],
    *,
    prevalence: float = 1e-3,
    groups: str | None = None,
    against: ScoresLike | None = None,
    model: str | os.PathLike[str] = "default",
    n_boot: int = 1000,
    random_state: int = 0,
    n_jobs: int | None = -1,
    verbose: int = 0,
) -> ScoreEvaluation:
    """Evaluate scores of clusters on a labelled sample.

    The metrics are those of `gridlens.evaluation.evaluate`. They are stratified by `theta_e`, `arc_snr`, `seeing`,
    `richness` and `survey`, and compared with controls that see only metadata, as far as the tables have such columns.

    Parameters
    ----------
    scores : DataFrame, str, path or Source
        A table with the columns `id` and `score`, as `gridlens.score` returns it or the path of such a file; or cutouts
        and features that `model` scores: the path of a feature cache, or a source of `gridlens.sources`. A `score` of
        NaN marks a rejected cutout. Scores are evaluated as probabilities where the table also has a column `p_lens`.
    truth : DataFrame, str or path
        A table with the columns `id` and `label`, 1 for a lens and 0 for certainly not a lens.
    prevalence : float, default=1e-3
        Prevalence of lenses in the survey that the scores are meant for, between 0 and 1, both excluded.
    groups : str, default=None
        Column of the truth table: rows with the same value are views of one cluster. Rows without a value are groups
        of their own.
    against : DataFrame, str, path or Source, default=None
        Other scores of the same clusters, to compare with. Rows without them are left out.
    model : str or path, default="default"
        Name or path of the model that scores what is not a table of scores.
    n_boot : int, default=1000
        Number of bootstrap draws of each interval.
    random_state : int, default=0
        Seed of the draws, of the controls' folds and of the matching.
    n_jobs : int, default=-1
        Number of workers where something is scored; -1 for all processors.
    verbose : int, default=0
        1 shows progress bars on stderr if it is a terminal.

    Returns
    -------
    ScoreEvaluation

    Raises
    ------
    ValueError
        `prevalence`, `n_boot` or `random_state` is out of range.
    GridlensError
        A table cannot be read or lacks a column, an id is repeated, the tables have no id in common, a label is not 0
        or 1, all usable rows have the same label or score, or a score beside `p_lens` is not a probability.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from gridlens import evaluate_scores
    >>> rng = np.random.default_rng(0)
    >>> truth = pd.DataFrame({"id": np.arange(1000), "label": rng.random(1000) < 0.1})
    >>> scores = pd.DataFrame({"id": truth["id"], "score": rng.normal(size=1000) + 2 * truth["label"]})
    >>> found = evaluate_scores(scores, truth, n_boot=100)
    >>> print(found.evaluation.metrics["TPR at FPR 1e-2"])
    0.483 [0.382, 0.585]
    >>> found.counts["lenses"], found.notes[0]
    (89, 'The score table has no p_lens: its scores only rank, and calibration is not evaluated.')
    """
    checked_share("prevalence", prevalence)
    checked_whole("n_boot", n_boot, 1)
    options: dict[str, Any] = {"model": model, "prevalence": prevalence, "n_jobs": n_jobs, "verbose": verbose}
    joined = join_truth(
        _score_table(scores, **options),
        truth if isinstance(truth, pd.DataFrame) else read_table(truth, text=() if groups is None else (groups,)),
        None if against is None else _score_table(against, **options),
        groups,
    )
    notes = list(joined.notes)
    arguments = _by_columns(joined.rows, notes)
    try:
        with _bar("Evaluating", _PARTS, verbose) as advance:
            evaluation = evaluate(
                joined.rows["label"].to_numpy(),
                joined.score,
                prevalence,
                p=joined.probability,
                groups=joined.groups,
                other=joined.other,
                n_boot=n_boot,
                random_state=random_state,
                progress=advance,
                **arguments,
            )
    except ValueError as exc:
        # The arguments were checked above: a column of the tables cannot be used.
        raise GridlensError(str(exc)) from exc
    record = {
        "gridlens": version("gridlens"),
        "scores": _path(scores),
        "truth": _path(truth),
        "against": _path(against),
        "model": None if _is_table(scores) else os.fspath(model),
        "counts": joined.counts,
    }
    return ScoreEvaluation(evaluation, joined.rows, tuple(notes), joined.counts, record)


def _by_columns(rows: pd.DataFrame, notes: list[str]) -> dict[str, Any]:
    """Return the arguments `strata`, `controls` and `match_on` of `evaluate`, and note what is missing."""
    strata = {}
    for name, (title, edges, lenses_only) in _STRATA.items():
        if name in rows:
            values = rows[name].where(rows["label"] == 1) if lenses_only else rows[name]
            strata[title] = Strata(values.to_numpy(), edges)
    controls = {}
    for name, columns in _CONTROLS.items():
        known = _known(rows, columns)
        if known:
            controls[name] = rows[known]
            notes.append(f"The control of {name} sees {', '.join(known)}.")
    missing = [name for name in _STRATA if name not in rows]
    if missing:
        notes.append(f"Not stratified by {', '.join(missing)}: the truth table has no such column.")
    matched = _known(rows, _MATCHED)
    absent = [name for name in _CONTROLS[_SIMPLE] if name not in matched]
    if absent:
        notes.append(f"The control of {_SIMPLE} lacks {' and '.join(absent)}.")
    return {"strata": strata, "controls": controls, "match_on": rows[matched] if matched else None}


def _known(rows: pd.DataFrame, columns: tuple[str, ...]) -> list[str]:
    return [name for name in columns if name in rows and rows[name].notna().any()]


def _score_table(
    scores: ScoresLike,
    *,
    model: str | os.PathLike[str],
    prevalence: float,
    n_jobs: int | None,
    verbose: int,
) -> pd.DataFrame:
    """Return a table of scores, scored by `model` where it is not one yet."""
    if isinstance(scores, pd.DataFrame):
        return scores
    if isinstance(scores, str | os.PathLike):
        if not is_feature_cache(scores):
            return read_table(scores)
        scores = CacheSource(scores)
    with (
        _bar("Scoring", scores.n, verbose) as advance,
        ranked_scores(
            scores, models=(os.fspath(model),), prevalence=prevalence, n_jobs=n_jobs, progress=advance
        ) as ranking,
    ):
        assert ranking is not None  # only an output can be complete
        return pd.concat(list(ranking.batches), ignore_index=True)


def _is_table(scores: Any) -> bool:
    return isinstance(scores, pd.DataFrame) or (isinstance(scores, str | os.PathLike) and not is_feature_cache(scores))


def _path(table: Any) -> str | None:
    return os.fspath(table) if isinstance(table, str | os.PathLike) else None


def _bar(description: str, total: int | None, verbose: int) -> contextlib.AbstractContextManager[Callable[[int], Any]]:
    return progress_bar(description, total) if verbose else contextlib.nullcontext(lambda _: None)
