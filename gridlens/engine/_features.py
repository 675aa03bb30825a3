"""`measure_files`: measure any number of cutouts into a feature cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, NamedTuple

import pyarrow as pa

from gridlens.engine._output import check_output, finished_parts
from gridlens.engine._work import MeasuringWork
from gridlens.features import CONTRACT_VERSION, FeatureCacheWriter, Measured
from gridlens.features._measured_table import measured_from_table, measured_to_table
from gridlens.sources import Source

__all__ = ["MeasuredFiles", "measure_files"]


class MeasureWork(MeasuringWork):
    """Work that computes rows of a feature cache."""

    def table(self, measured: Measured) -> pa.Table:
        """Return the 315 columns, and the columns that describe the row."""
        return measured_to_table(measured)

    def identity(self) -> dict[str, str]:
        """Return the versions that affect the measurements."""
        return {"gridlens": version("gridlens"), "feature contract": str(CONTRACT_VERSION)}


class MeasuredFiles(NamedTuple):
    """Result of `measure_files`."""

    rows: int
    rejected: int
    resumed: int
    """number of rows finished by an earlier run"""


def measure_files(
    source: Source,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    overwrite: bool = False,
    engine: str = "local",
    scheduler: str | None = None,
    n_jobs: int | None = -1,
    progress: Callable[[int], Any] | None = None,
) -> MeasuredFiles | None:
    """Measure any number of cutouts into a feature cache, with bounded memory.

    Rows are in the order in which cutouts are read, grouped by size, with all metadata. Read the cache with
    `FeatureCache`.

    Parameters
    ----------
    source : Source
    out : str or path
        Parquet file to write.
    resume, overwrite, engine, scheduler, n_jobs, progress
        As in `score_files`.

    Returns
    -------
    MeasuredFiles or None
        None if `resume` finds the cache complete.

    Raises
    ------
    GridlensError
        As in `score_files`.

    Examples
    --------
    >>> from gridlens.sources import FileSource
    >>> from gridlens.engine import measure_files
    >>> measure_files(FileSource("cutouts/"), "features.parquet")  # doctest: +SKIP
    """
    check_output(out, resume=resume, overwrite=overwrite)
    identity = hashlib.sha256(repr(sorted(source.identity().items())).encode()).hexdigest()
    rejected = 0
    with finished_parts(
        source,
        MeasureWork(),
        out,
        resume=resume,
        overwrite=overwrite,
        engine=engine,
        scheduler=scheduler,
        n_jobs=n_jobs,
        progress=progress,
    ) as parts:
        if parts is None:
            return None
        with FeatureCacheWriter(out, identity) as writer:
            for table in parts.tables():
                measured = measured_from_table(table)
                rejected += int(measured.rejected.sum())
                writer.add(measured)
        return MeasuredFiles(parts.count(), rejected, parts.resumed)
