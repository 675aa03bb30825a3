"""`write_cutouts`: write any number of cutouts to a folder of npz shards or FITS files, with a table."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from gridlens._file_names import file_stem
from gridlens._files import atomic_path, writable_folder
from gridlens._ids import as_id, escaped
from gridlens.cutouts import CutoutBatch, CutoutFlag, ReadFailure, write_fits, write_npz
from gridlens.cutouts._flags import flag_message
from gridlens.cutouts._quality import valid_fraction
from gridlens.cutouts._zeropoints import REFERENCE_ZEROPOINT
from gridlens.cutouts.catalogs._join import JoinGaps
from gridlens.cutouts.images._extract import ExtractedBatch
from gridlens.engine._output import check_output, finished_parts, is_taken, parts_folder
from gridlens.engine._parts import FILES, Parts
from gridlens.engine._record import CUTOUT_TABLE
from gridlens.errors import GridlensError
from gridlens.sources import CacheSource, ImageSource, Partition, Source

__all__ = ["WrittenCutouts", "check_folder", "write_cutouts"]

_FORMATS = ("npz", "fits")
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("file", pa.string()),
        ("status", pa.string()),
        ("message", pa.string()),
        ("flags", pa.int64()),
        ("valid_fraction", pa.float64()),
    ]
)


class WrittenCutouts(NamedTuple):
    """Result of `write_cutouts`."""

    rows: int
    rejected: int
    resumed: int
    """number of rows finished by an earlier run"""


class WriteWork:
    """Work that writes files of cutouts under temporary names, and a row for each cutout and failure."""

    def __init__(self, folder: Path, format: str) -> None:
        self._folder, self._format = folder, format

    def read(self, source: Source, partition: Partition, gaps: JoinGaps) -> Iterator[Any]:
        """Read a partition in batches; for images, with the WCS of each cutout."""
        return source.cut(partition) if isinstance(source, ImageSource) else source.read(partition, gaps)

    def tables(self, batches: Iterator[Any], n_threads: int) -> Iterator[pa.Table]:
        """Write the cutouts of batches, and yield their rows."""
        for batch in batches:
            if batch.cutouts is not None:
                yield self._written(batch)
            if batch.failures:
                yield self.failed(batch.failures)

    def _written(self, batch: ExtractedBatch | CutoutBatch) -> pa.Table:
        cutouts = batch.cutouts
        assert cutouts is not None
        self._folder.mkdir(exist_ok=True)
        stem = uuid.uuid4().hex
        if self._format == "npz":
            files = [f"{stem}.npz"] * len(cutouts)
            write_npz(self._folder / files[0], cutouts)
        else:
            files = [f"{stem}-{k}.fits" for k in range(len(cutouts))]
            for k, name in enumerate(files):
                wcs = batch.wcs[k] if isinstance(batch, ExtractedBatch) else None
                known = not cutouts.flags[k] & (CutoutFlag.ASSUMED_ZEROPOINT | CutoutFlag.UNCALIBRATED)
                write_fits(self._folder / name, cutouts[k], wcs, REFERENCE_ZEROPOINT if known else np.nan)
        messages = [flag_message(flags) for flags in cutouts.flags]
        columns = [cutouts.ids, files, ["ok"] * len(files), messages, cutouts.flags, valid_fraction(cutouts.pixels)]
        return _table(columns)

    def failed(self, failures: Sequence[ReadFailure]) -> pa.Table:
        """Return the rows of failures."""
        n = len(failures)
        ids, messages = [as_id(failure.id) for failure in failures], [escaped(failure.message) for failure in failures]
        return _table(
            [ids, [""] * n, ["rejected"] * n, messages, [failure.flags for failure in failures], [np.nan] * n]
        )

    def completed(self, table: pa.Table, source: Source, gaps: JoinGaps) -> pa.Table:
        """Return the table unchanged."""
        return table

    def identity(self) -> dict[str, str]:
        """Return the format and the version of the writer."""
        return {"format": self._format, "gridlens": version("gridlens")}


def _table(columns: Sequence[Any]) -> pa.Table:
    arrays = [pa.array(column, field.type, from_pandas=False) for column, field in zip(columns, _SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_SCHEMA)


def write_cutouts(
    source: Source,
    out: str | os.PathLike[str],
    *,
    format: Literal["npz", "fits"] = "npz",
    resume: bool = False,
    overwrite: bool = False,
    engine: str = "local",
    scheduler: str | None = None,
    n_jobs: int | None = -1,
    progress: Callable[[int], Any] | None = None,
) -> WrittenCutouts | None:
    """Write any number of cutouts to a folder, with the table ``cutouts.csv`` at the end.

    The table has a row for each cutout and each failure: `id`, `file` (relative to the folder; "" if there is none),
    `status` ("ok" or "rejected"), `message`, `flags` and `valid_fraction` (fraction of the pixels that are finite in
    all bands; NaN if there is no cutout). The files get their final names when all are written.

    Parameters
    ----------
    source : FileSource or ImageSource
    out : str or path
        New or empty folder; created if it is missing.
    format : {"npz", "fits"}, default="npz"
        "npz" writes shards, which contain all information and are read fastest; "fits" writes one file per cutout, with
        extensions g, r and i that contain the pixels, the id, and the WCS or else the pixel scale.
    resume : bool, default=False
        Continue with the finished parts of an earlier call.
    overwrite : bool, default=False
        Replace the cutouts written there by an earlier call. A folder with other files is refused.
    engine, scheduler, n_jobs, progress
        As in `score_files`.

    Returns
    -------
    WrittenCutouts or None
        None if `resume` finds the folder complete.

    Raises
    ------
    GridlensError
        As in `score_files`; also if the source has no pixels, or the folder holds other files.

    Examples
    --------
    >>> from gridlens.engine import write_cutouts
    >>> from gridlens.sources import open_source
    >>> write_cutouts(open_source("pictures/", uncalibrated=True), "cutouts/")  # doctest: +SKIP
    """
    if format not in _FORMATS:
        raise GridlensError(f"The 'format' parameter must be 'npz' or 'fits'. Got {format!r} instead.")
    if isinstance(source, CacheSource):
        raise GridlensError("The 'source' parameter must have pixels. Got a feature cache instead. Use the cutouts.")
    out = _named(out)
    check_folder(out, resume=resume, overwrite=overwrite)
    with finished_parts(
        source,
        WriteWork(parts_folder(out).absolute() / FILES, format),
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
        table = _renamed(_rows(parts, source), format)
        target = writable_folder(out)
        if overwrite:
            _remove_written(target)
        _move(parts.folder / FILES, target, table)
        with atomic_path(target / CUTOUT_TABLE) as temporary:
            table.drop(columns="temporary").to_csv(temporary, index=False)
        return WrittenCutouts(len(table), int((table["status"] == "rejected").sum()), parts.resumed)


def _named(out: str | os.PathLike[str]) -> Path:
    """Return the path of a folder with its name, next to which the parts are kept; "." has no name."""
    return Path(out) if Path(out).name else Path(out).resolve()


def check_folder(out: str | os.PathLike[str], *, resume: bool, overwrite: bool) -> None:
    """Raise GridlensError before the work if the output folder cannot be used; see `check_output`."""
    out = _named(out)
    if out.exists() and not out.is_dir():
        raise GridlensError(f"The output {out} must be a folder, but is a file. Use another output.")
    if is_taken(out) and not resume and not overwrite:
        raise GridlensError(
            f"The output folder {out} is not empty. Use a new folder, or replace the cutouts in it with overwrite=True."
        )
    check_output(out, resume=resume, overwrite=overwrite)
    if overwrite and (others := _others(out)):
        raise GridlensError(
            f"The output folder {out} contains files other than the cutouts of an earlier run, such as {others[0]}. "
            "Use another folder."
        )


def _written(folder: Path) -> set[str]:
    """Return the names of the files written to a folder by an earlier call, according to its table."""
    table = folder / CUTOUT_TABLE
    if not table.is_file():
        return set()
    try:
        files = pd.read_csv(table, usecols=["file"], dtype=str, keep_default_na=False)["file"]
    except (OSError, ValueError):
        return set()
    return {name for name in files if name and os.path.basename(name) == name} | {CUTOUT_TABLE}


def _others(folder: Path) -> list[str]:
    written = _written(folder)
    return sorted(path.name for path in folder.iterdir() if path.name not in written) if folder.is_dir() else []


def _remove_written(folder: Path) -> None:
    for name in _written(folder):
        (folder / name).unlink(missing_ok=True)


def _rows(parts: Parts, source: Source) -> pd.DataFrame:
    """Return the rows of all parts; clusters without an image follow the cutouts of the first partition."""
    tables = [part.to_pandas() for part in parts.tables()]
    if isinstance(source, ImageSource) and len(tables) > 1:
        without, first = tables[:2]
        is_cut = first["status"] == "ok"
        tables[:2] = [first[is_cut], without, first[~is_cut]]
    return pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)


def _renamed(table: pd.DataFrame, format: str) -> pd.DataFrame:
    """Set the final file names of the rows, and keep the temporary names in the column `temporary`."""
    table["temporary"] = table["file"]
    names = table["file"][table["file"] != ""]
    if format == "npz":
        numbers = {name: f"cutouts-{k:05d}.npz" for k, name in enumerate(dict.fromkeys(names))}
        table.loc[names.index, "file"] = names.map(numbers)
    else:
        taken: set[str] = set()
        table.loc[names.index, "file"] = [f"{file_stem(name, taken)}.fits" for name in table["id"][names.index]]
    return table


def _move(files: Path, target: Path, table: pd.DataFrame) -> None:
    """Move the files to their final names. An interrupted call may already have moved some of them."""
    moves = table[table["temporary"] != ""].drop_duplicates("temporary")
    for temporary, name in zip(moves["temporary"], moves["file"], strict=True):
        if (files / temporary).exists():
            shutil.move(files / temporary, target / name)
        elif not (target / name).exists():
            raise GridlensError(
                f"The file {files / temporary} of an earlier run is missing. Start again with overwrite=True."
            )
