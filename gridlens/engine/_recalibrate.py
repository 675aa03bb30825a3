"""Scores of a pool of unlabelled cutouts, and the calibrations derived from them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gridlens._ids import escaped
from gridlens.calibration import shift_prior
from gridlens.cutouts import CutoutFlag
from gridlens.cutouts._conventions import PathsLike
from gridlens.detector import LensDetector
from gridlens.detector._recalibrate import LARGEST_PREVALENCE, Recalibrated, check_recalibration, recalibrate
from gridlens.detector._table import EVEN
from gridlens.engine._output import kept_parts
from gridlens.engine._scorers import Prevalence, Scorer
from gridlens.engine._work import Work
from gridlens.errors import GridlensError
from gridlens.sources import Source, open_source

__all__ = ["PoolCalibration", "check_pool_options", "open_pool", "pool_calibration"]

_NAMED = 3


class PoolCalibration(NamedTuple):
    """Calibration of each model on a pool; pickled for each process."""

    models: tuple[Recalibrated, ...]
    digest: str
    """digest of all dependencies except the models"""


def open_pool(pool: PathsLike | Source, options: Mapping[str, Any]) -> Source:
    """Open a pool of cutouts with options for reading, which feature caches do not accept."""
    paths = [pool] if isinstance(pool, str | os.PathLike) else pool
    reads = isinstance(paths, list | tuple) and not all(str(path).lower().endswith(".parquet") for path in paths)
    return open_source(pool, **(options if reads else {}))


def check_pool_options(prevalence: Prevalence, screen: float) -> None:
    """Raise GridlensError if the options of a run do not allow a recalibration."""
    if isinstance(prevalence, str):
        raise GridlensError(
            "The 'recalibrate' parameter requires a declared prevalence: the lenses in the pool are not counted as "
            "false alarms, and an estimate would come from the scores themselves. Give one, such as 1e-3."
        )
    if prevalence > LARGEST_PREVALENCE:
        raise GridlensError(
            f"The 'prevalence' parameter must be at most {LARGEST_PREVALENCE:g} for a recalibration, which assumes "
            f"that nearly all cutouts of the pool are non-lenses. Got {prevalence:g} instead."
        )
    if screen != 1.0:
        raise GridlensError(
            f"The 'screen' parameter must be 1 for a recalibration. Got {screen:g} instead. Each branch of a screen "
            "has its own calibration, but the pool gives the false-alarm rates of the whole model."
        )


def pool_calibration(
    pool: Source, work: Work, scorer: Scorer, detectors: Sequence[LensDetector], prevalence: float, **run: Any
) -> PoolCalibration:
    """Score a pool, and return the resulting calibrations of the detectors.

    Parameters
    ----------
    pool : Source
    work, scorer, detectors
        The scoring work, its scorer, and a detector for each column used for the ranking.
    prevalence : float
        Prevalence of lenses, in the pool and among the scored cutouts.
    **run
        Parameters of `kept_parts` for workers and progress.
    """
    for detector in detectors:
        check_recalibration(detector, prevalence)
    scores: list[list[np.ndarray]] = [[] for _ in detectors]
    n = 0
    with (
        tempfile.TemporaryDirectory(prefix="gridlens-") as folder,
        kept_parts(pool, work, Path(folder) / "pool", resume=False, **run) as parts,
    ):
        for table in parts.tables([*scorer.ranked_by, "status", "flags"]):
            rows = table.to_pandas()
            n += len(rows)
            trained = rows["flags"].to_numpy(dtype=np.int64) & CutoutFlag.TRAINED != 0
            usable = (rows["status"] == "ok").to_numpy() & ~trained
            for column, found in zip(scorer.ranked_by, scores, strict=True):
                found.append(rows[column].to_numpy(dtype=np.float64)[usable])
    models = []
    for detector, found in zip(detectors, scores, strict=True):
        p = shift_prior(np.concatenate(found), EVEN, detector.calibration_prevalence_)
        models.append(recalibrate(detector, "recalibrate", p, n, prevalence, pool=_name(pool)))
    depends = repr((sorted(pool.identity().items()), float(prevalence)))
    return PoolCalibration(tuple(models), hashlib.sha256(depends.encode()).hexdigest())


def _name(pool: Source) -> str:
    """Return the first paths of a pool, as one string without control characters."""
    paths = (pool.arguments or {}).get("source") or ["a source"]
    return escaped(", ".join(map(str, paths[:_NAMED])) + (", ..." if len(paths) > _NAMED else ""))
