"""Evaluation of scores on a labelled sample, with strata, controls and matched columns for lens finding."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gridlens._files import locked, writable_folder
from gridlens._progress import progress_bar
from gridlens._tables import read_table
from gridlens.calibration._checks import checked_share, checked_whole
from gridlens.engine._merge import rank_parts
from gridlens.engine._output import check_output, is_taken, kept_parts, parts_folder
from gridlens.engine._record import check_record, write_record
from gridlens.engine._score import ScoreWork
from gridlens.engine._score_tables import Scores, ScoresLike, open_scores
from gridlens.engine._truth import join_truth
from gridlens.engine._truth_columns import by_columns
from gridlens.errors import GridlensError
from gridlens.evaluation import Evaluation, evaluate
from gridlens.models._bundle import model_digest
from gridlens.sources._stamps import frame_digest

__all__ = ["ScoreEvaluation", "evaluate_scores", "reported_scores"]

_PARTS = 5  # number of progress steps of `evaluate`


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
        Sentences about omitted rows, missing columns and the inputs of the controls.
    counts : dict of str to int
        Numbers of rows `joined`, of `lenses` among them, and of each without a score: `rejected`, `rejected_lenses`.
    record : dict
        Description of the evaluation in JSON types: version of gridlens, the paths of the tables (None for a DataFrame)
        or the files of a source, the column of weights (None without), the model (None if it scored nothing) and the
        counts.
    """

    evaluation: Evaluation
    rows: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...]
    counts: dict[str, int]
    record: dict[str, Any] = field(repr=False)


def evaluate_scores(
    scores: ScoresLike | None,
    truth: pd.DataFrame | str | os.PathLike[str],
    *,
    prevalence: float = 1e-3,
    groups: str | None = None,
    sample_weight: str | None = None,
    against: ScoresLike | None = None,
    model: str | os.PathLike[str] = "default",
    n_boot: int = 1000,
    random_state: int = 0,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    engine: str = "local",
    scheduler: str | None = None,
    n_jobs: int | None = -1,
    verbose: int = 0,
    **options: Any,
) -> ScoreEvaluation:
    """Evaluate scores of clusters on a labelled sample.

    The metrics are those of `gridlens.evaluation.evaluate`. They are stratified by `theta_e`, `arc_snr`, `seeing`,
    `richness` and `survey`, and compared with controls that use only metadata, if the tables have these columns.

    Parameters
    ----------
    scores : DataFrame, path, list of paths, Source or None
        A table with the columns `id` and `score`, as returned by `gridlens.score`, or the path of such a file; or
        cutouts and features that `model` scores: files, folders and globs of cutouts, feature caches, or a source of
        `gridlens.sources`. A .fits file with an image is a cutout, unless it also has a table with these columns. None
        scores survey images, which `images` names. A `score` of NaN marks a rejected cutout. Scores are evaluated as
        probabilities if the table also has a column `p_lens`.
    truth : DataFrame, str or path
        A table with the columns `id` and `label`, 1 for a lens and 0 for certainly not a lens.
    prevalence : float, default=1e-3
        Prevalence of lenses in the survey for which the scores are intended, between 0 and 1, both excluded.
    groups : str, default=None
        Column of the truth table: rows with the same value are views of one cluster. Each row without a value is a
        separate group.
    sample_weight : str, default=None
        Column of the truth table: the weight of each row, finite and at least 0, such as the inverse of the probability
        that it was selected for labelling. The metrics are then those of the population from which the rows were
        selected, and probabilities are evaluated at its prevalence. Rows of weight 0 are omitted. None means 1 for each
        row.
    against : as `scores`, default=None
        Other scores of the same clusters, for a comparison. Rows without them are omitted.
    model : str or path, default="default"
        Name or path of the model that scores cutouts and features.
    n_boot : int, default=1000
        Number of bootstrap draws of each interval.
    random_state : int, default=0
        Seed of the draws, of the controls' folds and of the matching.
    out : str or path, default=None
        Path next to which finished parts are kept while cutouts or features are scored, such as that of the report: in
        the folder ``OUT.parts``, and those of `against` in ``OUT.against.parts``. They are removed once the evaluation
        has ended without an error. Nothing is written to `out` itself. None keeps no parts.
    resume : bool, default=False
        Continue with the finished parts of an earlier call.
    overwrite : bool, default=False
        Drop the finished parts of an earlier call.
    engine, scheduler
        As in `gridlens.engine.score_files`, for cutouts and features that are scored.
    n_jobs : int, default=-1
        Number of workers for scoring; -1 means all processors.
    verbose : int, default=0
        1 shows progress bars on stderr if it is a terminal.
    **options
        Options of `gridlens.sources.open_source` for cutouts, such as `catalog`, `images` or ``survey="hsc"``.

    Returns
    -------
    ScoreEvaluation

    Raises
    ------
    ValueError
        `prevalence`, `n_boot` or `random_state` is out of range.
    GridlensError
        A table cannot be read or lacks a column, an id is repeated, the tables have no id in common, a label is not 0
        or 1, a weight is missing or negative, all usable rows have the same label or score, or a score in a table with
        `p_lens` is not a probability; no cutout is found, options for their reading are given without cutouts, or
        finished parts exist and neither `resume` nor `overwrite` is set.
    TypeError
        There are neither `scores` nor `images`, or an option is unknown.

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
    (89, 'The score table has no p_lens: its scores are used for ranking only, and calibration is not evaluated.')
    """
    if resume and overwrite:
        raise GridlensError("resume=True and overwrite=True are mutually exclusive. Give one of them.")
    opened, other = open_scores(scores, against, options)
    request = _request(
        opened,
        truth,
        other,
        prevalence=prevalence,
        groups=groups,
        sample_weight=sample_weight,
        model=model,
        n_boot=n_boot,
        random_state=random_state,
    )
    run = {"resume": resume, "overwrite": overwrite, "engine": engine, "scheduler": scheduler, "n_jobs": n_jobs}
    with contextlib.ExitStack() as stack:
        if out is not None:
            stack.enter_context(_locked(out))
        return _evaluated(stack, request, out, run, verbose)


@contextlib.contextmanager
def reported_scores(
    scores: Scores,
    truth: pd.DataFrame | str | os.PathLike[str],
    against: Scores | None,
    out: str | os.PathLike[str],
    *,
    settings: Mapping[str, str],
    resume: bool,
    overwrite: bool,
    engine: str,
    scheduler: str | None,
    n_jobs: int | None,
    verbose: int,
    **choices: Any,
) -> Iterator[ScoreEvaluation | None]:
    """Evaluate scores like `evaluate_scores`, as a context in which the report `out` is written.

    None is yielded if `resume` finds `out` complete. Finished parts are kept until the context ends without an error,
    and a record of the run is then written next to `out`.

    Parameters
    ----------
    scores, against : Scores
        As returned by `open_scores`.
    settings : mapping of str to str
        Further dependencies of `out`, by name.
    **choices
        `prevalence`, `groups`, `sample_weight`, `model`, `n_boot` and `random_state`, as in `evaluate_scores`.
    """
    out = Path(out)
    request = _request(scores, truth, against, **choices)
    run = {"resume": resume, "overwrite": overwrite, "engine": engine, "scheduler": scheduler, "n_jobs": n_jobs}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locked(out))
        check_output(out, resume=resume, overwrite=overwrite)
        identity = request.identity() | dict(settings)
        if resume and is_taken(out) and not any(folder.exists() for folder in _folders(out)):
            check_record(out, identity)
            yield None
            return
        yield _evaluated(stack, request, out, run, verbose)
        write_record(out, identity)


class _Request(NamedTuple):
    """Tables and settings of an evaluation."""

    scores: Scores
    against: Scores | None
    truth: pd.DataFrame
    truth_path: str | None
    prevalence: float
    groups: str | None
    sample_weight: str | None
    model: str
    n_boot: int
    random_state: int

    @property
    def scored_by(self) -> str | None:
        """The model; None if all scores are tables."""
        opened = [self.scores, self.against] if self.against is not None else [self.scores]
        return self.model if any(one.source is not None for one in opened) else None

    def identity(self) -> dict[str, str]:
        """Return the dependencies of the evaluation, by name."""
        return {
            "scores": self.scores.digest(),
            "against": "" if self.against is None else self.against.digest(),
            "truth": frame_digest(self.truth),
            "model": "" if self.scored_by is None else model_digest(self.scored_by),
            "gridlens": version("gridlens"),
            **{name: repr(getattr(self, name)) for name in ("prevalence", "groups", "n_boot", "random_state")},
            "sample_weight": repr(self.sample_weight),
        }


def _request(
    scores: Scores,
    truth: pd.DataFrame | str | os.PathLike[str],
    against: Scores | None,
    *,
    prevalence: float,
    groups: str | None,
    sample_weight: str | None,
    model: str | os.PathLike[str],
    n_boot: int,
    random_state: int = 0,
) -> _Request:
    """Check the parameters, and read the truth before anything is scored."""
    checked_share("prevalence", prevalence)
    checked_whole("n_boot", n_boot, 1)
    path = os.fspath(truth) if isinstance(truth, str | os.PathLike) else None
    table = truth if isinstance(truth, pd.DataFrame) else read_table(truth, text=() if groups is None else (groups,))
    return _Request(
        scores, against, table, path, prevalence, groups, sample_weight, os.fspath(model), n_boot, random_state
    )


def _evaluated(
    stack: contextlib.ExitStack,
    request: _Request,
    out: str | os.PathLike[str] | None,
    run: dict[str, Any],
    verbose: int,
) -> ScoreEvaluation:
    """Score the inputs if needed, and evaluate them; finished parts are kept until `stack` closes without an error.

    `run` has the parameters of `kept_parts`.
    """
    if out is None:
        out = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gridlens-"))) / "scores"
    own, other = _folders(out)
    joined = join_truth(
        _table(stack, request.scores, own, request, run, verbose),
        request.truth,
        None if request.against is None else _table(stack, request.against, other, request, run, verbose),
        request.groups,
        request.sample_weight,
    )
    notes = list(joined.notes)
    arguments = by_columns(joined.rows, notes)
    try:
        with _bar("Evaluating", _PARTS, verbose) as advance:
            evaluation = evaluate(
                joined.rows["label"].to_numpy(),
                joined.score,
                request.prevalence,
                p=joined.probability,
                groups=joined.groups,
                sample_weight=joined.weight,
                other=joined.other,
                n_boot=request.n_boot,
                random_state=request.random_state,
                progress=advance,
                **arguments,
            )
    except ValueError as exc:
        # The arguments were checked before: a column of the tables cannot be used.
        raise GridlensError(str(exc)) from exc
    record = {
        "gridlens": version("gridlens"),
        "scores": request.scores.record,
        "truth": request.truth_path,
        "sample_weight": request.sample_weight,
        "against": None if request.against is None else request.against.record,
        "model": request.scored_by,
        "counts": joined.counts,
    }
    return ScoreEvaluation(evaluation, joined.rows, tuple(notes), joined.counts, record)


def _table(
    stack: contextlib.ExitStack, scores: Scores, folder: Path, request: _Request, run: dict[str, Any], verbose: int
) -> pd.DataFrame:
    """Return a score table; a source is scored by the model."""
    if scores.source is None:
        assert scores.table is not None
        return scores.table
    work = ScoreWork((request.model,))
    with _bar("Scoring", scores.source.n, verbose) as advance:
        parts = stack.enter_context(kept_parts(scores.source, work, folder, progress=advance, **run))
    return pd.concat(list(rank_parts(parts, work.scorer, request.prevalence).batches), ignore_index=True)


def _folders(out: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Return the folders for the finished parts of the scores and of the scores to compare with."""
    return parts_folder(out), parts_folder(f"{Path(out)}.against")


@contextlib.contextmanager
def _locked(out: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock of an output within the context; create its parent folder."""
    writable_folder(Path(out).absolute().parent)
    with locked(out):
        yield


def _bar(description: str, total: int | None, verbose: int) -> contextlib.AbstractContextManager[Callable[[int], Any]]:
    return progress_bar(description, total, visible=verbose > 0)
