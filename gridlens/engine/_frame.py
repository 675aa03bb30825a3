"""`score`: score cutouts of any size into one table in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import pandas as pd

from gridlens.cutouts._conventions import CatalogLike, PathsLike
from gridlens.engine._recalibrate import open_pool
from gridlens.engine._score import calibrate_on_pool, ranked_scores
from gridlens.engine._scorers import Prevalence
from gridlens.sources import Source, open_source

__all__ = ["score"]


def score(
    source: PathsLike | Source | None = None,
    *,
    catalog: CatalogLike | None = None,
    columns: Mapping[str, str] | None = None,
    keep_columns: Sequence[str] = (),
    images: Mapping[str, PathsLike] | None = None,
    model: str | os.PathLike[str] = "default",
    prevalence: Prevalence = 1e-3,
    screen: float = 1.0,
    novelty: bool = False,
    recalibrate: PathsLike | Source | None = None,
    n_jobs: int | None = -1,
    **options: Any,
) -> pd.DataFrame:
    """Score cutouts of one or several sizes, and return the ranked table of `gridlens score`.

    Parameters
    ----------
    source : str, path, list of them or Source, default=None
        Files, folders (read with their subfolders) and globs, with any mixture of formats and sizes; or feature caches;
        or an open source. See `gridlens.sources.open_source`.
    catalog, columns
        As in `CutoutSet.read`.
    keep_columns : sequence of str, default=()
        Columns of the catalogue to add to the table, after those of the members. Integers stay integers, missing text
        is "", and other missing values are pandas' missing values. "_catalog" is appended to a name that the table
        already has.
    images : mapping of "g", "r" and "i" to a path or paths, default=None
        Survey images, instead of `source`, from which the clusters of `catalog` are extracted.
    model : str or path, default="default"
        As in `load_model`.
    prevalence : float or "estimate", default=1e-3
        Prevalence of lenses among such clusters, between 0 and 1; see `LensDetector.score_cutouts`.
    screen : float, default=1.0
        Fraction of the non-lenses that are also scored by slow members; see `LensDetector.score_cutouts`.
    novelty : bool, default=False
        Whether to add the column `novelty` and flag cutouts unlike the training cutouts of the model; see
        `LensDetector.score_cutouts`.
    recalibrate : str, path, list of them or Source, default=None
        A pool of at least 200 unlabelled cutouts of the same sky, or their feature caches, read like `source`. Their
        false-alarm rates shift the probabilities, at the declared prevalence; see `LensDetector.recalibrated`.
    n_jobs : int, default=-1
        Number of workers; -1 uses all processors. Few cutouts are scored in threads, many in processes.
    **options
        Fields of `gridlens.sources.ReadOptions`; with `images`, fields of `gridlens.sources.CutOptions`.

    Returns
    -------
    DataFrame
        The table of `LensDetector.score_cutouts`, best first. A cutout that cannot be read or measured is a row with
        the status "rejected", at the end.

    Raises
    ------
    CutoutError
        No file is found, or an option is invalid.
    GridlensError
        The catalogue or the model cannot be read, the model cannot screen or has no sample for `novelty`, the
        prevalence cannot be estimated from these scores, several kinds of sources are given, or the model cannot be
        recalibrated on the pool.
    TypeError
        An option is unknown, or neither `source` nor `images` is given.
    ValueError
        `prevalence` is not between 0 and 1, or `screen` is not above 0 and at most 1.

    See Also
    --------
    gridlens.cutouts.read_batches : Iterate over sets of cutouts, each of one size.
    gridlens.engine.score_files : Write the table to disk, for more cutouts than fit a table in memory.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import gridlens
    >>> folder = tempfile.mkdtemp()
    >>> for size in (64, 80):
    ...     pixels = np.random.default_rng(size).normal(size=(size, size, 3))
    ...     np.save(f"{folder}/cutout-{size}.npy", pixels.astype(np.float32))
    >>> table = gridlens.score(folder, bands="gri", pixel_scale=0.8, n_jobs=1)
    >>> sorted(table["id"])
    ['cutout-64', 'cutout-80']
    >>> table["status"].tolist()
    ['ok', 'ok']
    """
    _check_prevalence(prevalence)
    opened = open_source(source, catalog=catalog, columns=columns, keep_columns=keep_columns, images=images, **options)
    how: dict[str, Any] = {"models": (os.fspath(model),), "prevalence": prevalence, "screen": screen, "n_jobs": n_jobs}
    calibration = None
    if recalibrate is not None:
        calibration = calibrate_on_pool(open_pool(recalibrate, options if images is None else {}), **how)
    with ranked_scores(opened, **how, novelty=novelty, recalibrate=calibration) as ranking:
        assert ranking is not None  # only an output file can already be complete
        table = pd.concat(list(ranking.batches), ignore_index=True)
    table.attrs.update(ranking.attrs)
    return table


def _check_prevalence(prevalence: Any) -> None:
    """Raise ValueError before the work begins if the prevalence is invalid."""
    if isinstance(prevalence, str) and prevalence == "estimate":
        return
    if not isinstance(prevalence, Real) or not 0.0 < float(prevalence) < 1.0:
        raise ValueError(
            f"The 'prevalence' parameter must be between 0 and 1, or 'estimate'. Got {prevalence!r} instead."
        )
