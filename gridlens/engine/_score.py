"""Score any number of cutouts into a ranked table."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from gridlens._table_columns import SCORE_COLUMNS
from gridlens._tables import write_batches
from gridlens.cutouts.catalogs._join import JoinGaps
from gridlens.detector import LensDetector
from gridlens.detector._recalibrate import Recalibration
from gridlens.engine._merge import Ranking, rank_parts
from gridlens.engine._output import check_output, finished_parts
from gridlens.engine._recalibrate import PoolCalibration, check_pool_options, pool_calibration
from gridlens.engine._scorers import JointScorer, Prevalence, Scorer, SingleScorer
from gridlens.engine._work import MeasuringWork
from gridlens.errors import GridlensError
from gridlens.features import CONTRACT_VERSION, Measured
from gridlens.models import load_model
from gridlens.models._bundle import load_proven, model_digest
from gridlens.sources import Source

__all__ = ["Scored", "calibrate_on_pool", "ranked_scores", "score_files"]


class ScoreWork(MeasuringWork):
    """Work that scores with one model, or with two for both kinds of lenses; pickled by model names."""

    def __init__(self, models: tuple[str, ...], screen: float = 1.0, novelty: bool = False) -> None:
        self._models, self._screen, self._novelty = models, screen, novelty
        self._digests = [model_digest(name) for name in models]
        self._pool: PoolCalibration | None = None
        self.detectors = [load_model(name) for name in models]
        self.scorer = _scorer(self.detectors, screen, novelty)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "detectors": None, "scorer": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if [model_digest(name) for name in self._models] != self._digests:
            raise GridlensError(
                f"The model {' or '.join(map(repr, self._models))} differs on the worker. Install the same gridlens "
                "there, and use a model path that is valid on all machines."
            )
        # The sending process has already loaded the models with all checks.
        self.detectors = [load_proven(*known) for known in zip(self._models, self._digests, strict=True)]
        self.scorer = _scorer(self.detectors, self._screen, self._novelty)
        if self._pool is not None:
            self.recalibrate(self._pool)

    def recalibrate(self, pool: PoolCalibration) -> None:
        """Use the calibration on a pool for each model."""
        self._pool = pool
        self.detectors = [new.applied_to(known) for new, known in zip(pool.models, self.detectors, strict=True)]
        self.scorer = _scorer(self.detectors, self._screen, self._novelty)

    @property
    def recalibrations(self) -> list[Recalibration | None]:
        """Return the recalibration of each model, or None."""
        return [detector.recalibration_ for detector in self.detectors]

    def table(self, measured: Measured) -> pa.Table:
        """Return the rows of scores."""
        return _as_table(self.scorer.rows(measured))

    def completed(self, table: pa.Table, source: Source, gaps: JoinGaps) -> pa.Table:
        """Return the rows with the columns of the catalogue added."""
        if source.kept is None:
            return table
        rows = table.to_pandas()
        return _as_table(pd.concat([rows, source.kept.beside(rows, gaps.found, self._taken())], axis=1))

    def kept(self, source: Source) -> dict[str, str]:
        """Return the names of the catalogue columns in the table, with their units."""
        return {} if source.kept is None else source.kept.names(self._taken())

    def _taken(self) -> set[str]:
        return {*SCORE_COLUMNS, *self.failed([]).column_names}

    def identity(self) -> dict[str, str]:
        """Return the models, the scoring options and the versions that affect the measurements."""
        return {
            "model": " ".join(self._digests),
            "screen": repr(float(self._screen)),
            "novelty": str(self._novelty),
            **({} if self._pool is None else {"recalibrate": self._pool.digest}),
            "gridlens": version("gridlens"),
            "feature contract": str(CONTRACT_VERSION),
        }


def _as_table(rows: pd.DataFrame) -> pa.Table:
    table = pa.Table.from_pandas(rows, preserve_index=False)
    # Without rows, the type of a text column cannot be inferred.
    fields = [
        field.with_type(pa.string()) if pa.types.is_null(field.type) or _is_text(rows[field.name]) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields, table.schema.metadata))


def _scorer(detectors: list[LensDetector], screen: float, novelty: bool) -> Scorer:
    if len(detectors) == 1:
        return SingleScorer(detectors[0], screen, novelty=novelty)
    if screen != 1.0:
        raise ValueError(
            f"The 'screen' parameter must be 1 if two models score. Got {screen!r} instead. Score with one model, "
            "or with screen=1."
        )
    return JointScorer(detectors[0], detectors[1], novelty=novelty)


def _is_text(column: pd.Series) -> bool:
    return bool(pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column))


class Scored(NamedTuple):
    """Result of `score_files`: numbers of rows, and the prevalence."""

    rows: int
    rejected: int
    duplicates: int
    """number of rows whose id repeats an earlier one; they are flagged and scored"""
    resumed: int
    """number of rows finished by an earlier run"""
    trained: int
    """number of rows in the training data of a model; they are flagged and scored"""
    prevalence: float
    prevalence_estimate: str | None
    """description with its interval if it was estimated"""
    passed: int | None
    """number of rows that passed the screen; None without a screen"""


def calibrate_on_pool(
    pool: Source,
    *,
    models: tuple[str, ...] = ("default",),
    prevalence: Prevalence = 1e-3,
    screen: float = 1.0,
    engine: str = "local",
    scheduler: str | None = None,
    n_jobs: int | None = -1,
    progress: Callable[[int], Any] | None = None,
) -> PoolCalibration:
    """Score a pool of unlabelled cutouts, and return the resulting calibrations of the models.

    The parameters are those of `score_files`.
    """
    check_pool_options(prevalence, screen)
    assert not isinstance(prevalence, str)
    work = ScoreWork(models)
    run: dict[str, Any] = {"engine": engine, "scheduler": scheduler, "n_jobs": n_jobs, "progress": progress}
    return pool_calibration(pool, work, work.scorer, work.detectors, prevalence, **run)


@contextlib.contextmanager
def ranked_scores(
    source: Source,
    *,
    models: tuple[str, ...] = ("default",),
    prevalence: Prevalence = 1e-3,
    screen: float = 1.0,
    novelty: bool = False,
    recalibrate: PoolCalibration | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    scheduler: str | None = None,
    engine: str = "local",
    n_jobs: int | None = -1,
    progress: Callable[[int], Any] | None = None,
) -> Iterator[Ranking | None]:
    """Score cutouts, and yield the ranked table in batches of rows, in a context that writes or prints them.

    None is yielded if `resume` finds `out` complete. Parts are kept next to `out` until the context ends without an
    error, or in a temporary folder. The parameters are those of `score_files`, with the calibration on the pool instead
    of the pool.
    """
    work = ScoreWork(models, screen, novelty)
    if recalibrate is not None:
        work.recalibrate(recalibrate)
    with finished_parts(
        source,
        work,
        out,
        settings={"prevalence": repr(prevalence)},
        models=models,
        notes={} if recalibrate is None else {"recalibration": [str(one) for one in work.recalibrations]},
        resume=resume,
        overwrite=overwrite,
        scheduler=scheduler,
        engine=engine,
        n_jobs=n_jobs,
        progress=progress,
    ) as parts:
        if parts is None:
            yield None
            return
        ranking = rank_parts(parts, work.scorer, prevalence, kept=work.kept(source))
        if ranking.trained:
            warnings.warn(
                f"{ranking.trained} of {ranking.rows} cutouts were used to fit or calibrate the model: their scores "
                "are too good, and they are flagged.",
                UserWarning,
                stacklevel=2,
            )
        yield ranking


def score_files(
    source: Source,
    out: str | os.PathLike[str],
    *,
    models: tuple[str, ...] = ("default",),
    prevalence: Prevalence = 1e-3,
    screen: float = 1.0,
    novelty: bool = False,
    recalibrate: Source | None = None,
    resume: bool = False,
    overwrite: bool = False,
    engine: str = "local",
    scheduler: str | None = None,
    n_jobs: int | None = -1,
    progress: Callable[[int], Any] | None = None,
) -> Scored | None:
    """Score any number of cutouts into a ranked table on disk, with bounded memory.

    Finished parts are kept in the folder ``OUT.parts`` until the table is complete. With `resume`, an interrupted run
    continues from there and gives the same table as an uninterrupted run. The hidden file ``.OUT.run.json`` records the
    inputs and options of the table.

    Parameters
    ----------
    source : Source
        Source of the cutouts, as returned by `gridlens.sources.open_source`.
    out : str or path
        A .csv, .parquet, .fits, .votable, .vot or .xml file. Tables in all but the first two formats are held in memory
        completely before they are written.
    models : tuple of str, default=("default",)
        One model, as in `load_model`, or two models, for lensed galaxies and lensed clusters; rows are then ranked by
        the probability of either kind.
    prevalence : float or "estimate", default=1e-3
        As in `LensDetector.score_cutouts`; with more than two million rows, only every k-th row is used for an
        estimate.
    screen : float, default=1.0
        As in `LensDetector.score_cutouts`; for one model only.
    novelty : bool, default=False
        As in `LensDetector.score_cutouts`; with two models, the first one is used.
    recalibrate : Source, default=None
        A pool of at least 200 unlabelled cutouts of the same sky, whose false-alarm rates shift the probabilities, as
        in `LensDetector.recalibrated`, at the declared prevalence. It is scored first, and again with `resume`.
    resume : bool, default=False
        Continue with the finished parts of an earlier call. Damaged parts are computed again.
    overwrite : bool, default=False
        Replace the table, and drop the finished parts of an earlier call.
    engine : {"local", "dask"}, default="local"
        This machine's processors, or Dask workers. The table is identical, bit for bit.
    scheduler : str, default=None
        Address of a Dask scheduler. None starts workers on this machine.
    n_jobs : int, default=-1
        Number of workers on this machine; -1 means all processors.
    progress : callable, optional
        Called with the number of cutouts finished since the last call, including those of an earlier run.

    Returns
    -------
    Scored or None
        None if `resume` finds the table complete.

    Raises
    ------
    ValueError
        `screen` is not above 0 and at most 1, or below 1 with two models.
    GridlensError
        The model cannot screen, or has no sample for `novelty`; with `recalibrate`, the pool is too small, the model
        cannot be recalibrated, the prevalence is "estimate" or over 0.1, or `screen` is below 1; the table exists, or
        parts of it do, and neither `resume` nor `overwrite` is set; with `resume`, the table or its parts are of other
        cutouts, another model, another pool or other options; another process is writing the table; there is no space
        left; the workers cannot start; there is no scheduler, or its workers have other versions.

    Examples
    --------
    >>> from gridlens.sources import FileSource
    >>> from gridlens.engine import score_files
    >>> score_files(FileSource("cutouts/"), "scores.parquet")  # doctest: +SKIP
    """
    check_output(out, resume=resume, overwrite=overwrite)
    workers = {"engine": engine, "scheduler": scheduler, "n_jobs": n_jobs}
    how: dict[str, Any] = {"models": models, "prevalence": prevalence, "screen": screen, **workers}
    calibration = None if recalibrate is None else calibrate_on_pool(recalibrate, **how)
    with ranked_scores(
        source,
        **how,
        novelty=novelty,
        recalibrate=calibration,
        out=out,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    ) as ranking:
        if ranking is None:
            return None
        write_batches(ranking.batches, out, ranking.attrs)
    return Scored(
        ranking.rows,
        ranking.rejected,
        ranking.duplicates,
        ranking.resumed,
        ranking.trained,
        ranking.prevalence,
        ranking.prevalence_estimate,
        ranking.passed,
    )
