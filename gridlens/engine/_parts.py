"""The folder of finished parts next to an output, with which an interrupted run can be resumed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from gridlens._files import read_regular
from gridlens.cutouts.catalogs._join import JoinGaps
from gridlens.engine._seal import identity_digest, is_sealed, sealed, unsealed_metadata
from gridlens.engine._task import Part
from gridlens.errors import GridlensError

__all__ = ["FILES", "Parts", "differences", "is_parts_folder"]

_RUN = "run.json"
_FORMAT = "gridlens parts 1"
_REPORT = b"gridlens.part"
# Mark left by a run in threads that did not end normally: a cutout may have crashed the process.
_IN_THREADS = ".threads"
# All files that a run writes into the folder; `run.json` is removed last, since it marks the folder.
_OWN_FILES = ("part-*.parquet", ".*.partial", _IN_THREADS, _RUN)
_OWN_FOLDERS = ("batches-*",)
FILES = "files"
"""subfolder for files that a work writes in addition to its rows; removed with the parts"""


class Parts:
    """Tables of partitions, each in a Parquet file; together a data set that other programs can open.

    Files are written atomically. Each contains its index, the digest of the run's identity and a digest of its own
    bytes. On `resume`, a part that fails any of these checks is removed and computed again. The caller holds the lock
    of the output.

    Parameters
    ----------
    folder : Path
        Created if it is missing. A folder without the mark of gridlens is refused and not changed.
    identity : dict of str to str
        Dependencies of the parts, by name. A run with another identity cannot be resumed.
    resume : bool
        Whether to keep the parts of an earlier run.
    overwrite : bool, default=False
        Whether to remove the parts of an earlier run.

    Raises
    ------
    GridlensError
        The folder was not written by gridlens, or holds parts of an earlier run that cannot be or should not be
        resumed.
    """

    def __init__(self, folder: Path, identity: dict[str, str], *, resume: bool, overwrite: bool = False) -> None:
        self.folder = folder
        self._identity, self._digest = identity, identity_digest(identity)
        self.crashed = False
        """whether an earlier run in threads did not end normally"""
        self._rows: dict[int, int] = {}
        try:
            self._open(resume, overwrite)
        except OSError as exc:
            raise GridlensError(f"Cannot write to {folder}: {exc.strerror or exc}. Choose another output.") from exc
        self.resumed = self.count()
        """number of rows already present"""

    @property
    def done(self) -> set[int]:
        """Indices of the finished partitions."""
        return set(self._rows)

    def _open(self, resume: bool, overwrite: bool) -> None:
        if not os.path.lexists(self.folder):
            self._create()
            return
        stored = _read_run(self.folder)
        if stored is None:
            raise _foreign(self.folder)
        self.crashed = (self.folder / _IN_THREADS).exists()
        if overwrite:
            self.remove()
            if self.folder.exists():
                raise _foreign(self.folder)
            self._create()
        elif resume:
            self._check(stored)
            self._remove_leftovers()
            self._verify()
        else:
            raise GridlensError(
                f"The folder {self.folder} holds the finished parts of an earlier run. Resume it with resume=True, "
                "or start again with overwrite=True."
            )

    def _create(self) -> None:
        """Create the folder with its mark, so that a folder without the mark never belongs to gridlens."""
        fresh = self.folder.with_name(f".{self.folder.name}.new")
        fresh.mkdir(exist_ok=True)
        try:
            run = {"format": _FORMAT, "identity": self._identity}
            _write_bytes(fresh / _RUN, (json.dumps(run, indent=1) + "\n").encode())
            if self.crashed:
                (fresh / _IN_THREADS).touch()
            fresh.rename(self.folder)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.remove_if_empty()

    def write(self, index: int, part: Part) -> None:
        """Write the part of a partition."""
        report = {
            "index": index,
            "rows": part.table.num_rows,
            "run": self._digest,
            "gaps": asdict(part.gaps),
            "warnings": part.warnings,
        }
        metadata = {**(part.table.schema.metadata or {}), _REPORT: json.dumps(report).encode(), **unsealed_metadata()}
        sink = pa.BufferOutputStream()
        pq.write_table(part.table.replace_schema_metadata(metadata), sink)
        path = self._path(index)
        try:
            _write_bytes(path, sealed(sink.getvalue().to_pybytes()))
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise GridlensError(
                    f"There is no space left for {path}. The finished parts are kept in {self.folder}: free some "
                    "space, "
                    "and resume the run with resume=True."
                ) from exc
            raise GridlensError(
                f"Cannot write {path}: {exc.strerror or exc}. The finished parts are kept in {self.folder}; resume "
                "the run with resume=True."
            ) from exc
        self._rows[index] = part.table.num_rows

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the parts, or some columns of them, in the order of the partitions."""
        for index in sorted(self._rows):
            yield pq.read_table(self._path(index), columns=None if columns is None else list(columns))

    def reports(self) -> Iterator[tuple[JoinGaps, list[str]]]:
        """Yield the gaps of the catalogue join and the warnings of each partition."""
        for index in sorted(self._rows):
            report = json.loads(pq.read_schema(self._path(index)).metadata[_REPORT])
            yield JoinGaps(**report["gaps"]), report["warnings"]

    def count(self) -> int:
        """Return the number of rows."""
        return sum(self._rows.values())

    @contextlib.contextmanager
    def in_threads(self) -> Iterator[None]:
        """Leave a mark for the next run in case this process dies within the context."""
        mark = self.folder / _IN_THREADS
        with contextlib.suppress(OSError):  # such as a full disk, which the first part reports
            mark.touch()
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the files written by gridlens, and the folder unless it holds other files."""
        self._remove_leftovers()
        shutil.rmtree(self.folder / FILES, ignore_errors=True)
        for pattern in _OWN_FILES:
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def remove_if_empty(self) -> None:
        """Remove the folder if no part was finished."""
        if not self._rows and not self.crashed:
            self.remove()

    def _remove_leftovers(self) -> None:
        """Remove files that were incomplete when an earlier run ended."""
        for path in self.folder.glob(".*.partial"):
            path.unlink(missing_ok=True)
        for pattern in _OWN_FOLDERS:
            for path in self.folder.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)

    def _path(self, index: int) -> Path:
        return self.folder / f"part-{index:07d}.parquet"

    def _verify(self) -> None:
        """Count the rows of each part that passes its checks, and remove the others."""
        bad = 0
        for path in self.folder.glob("part-*.parquet"):
            report = self._verified(path)
            if report is None:
                bad += 1
                path.unlink()
            else:
                self._rows[report["index"]] = report["rows"]
        if bad:
            warnings.warn(
                f"{bad} finished parts in {self.folder} are damaged or belong to another run; they are computed again.",
                UserWarning,
                stacklevel=2,
            )

    def _verified(self, path: Path) -> dict[str, Any] | None:
        """Return the report of a part of this run; None if it is damaged or is another part."""
        try:
            content = read_regular(path)
            if not is_sealed(content):
                return None
            metadata = pq.read_metadata(pa.BufferReader(content))
            report: dict[str, Any] = json.loads(metadata.metadata[_REPORT])
        except (OSError, pa.ArrowException, KeyError, ValueError):
            return None
        same = report["run"] == self._digest and report["rows"] == metadata.num_rows
        return report if same and path == self._path(report["index"]) else None

    def _check(self, stored: dict[str, str]) -> None:
        if changed := differences(stored, self._identity):
            raise GridlensError(
                f"The run in {self.folder} cannot be resumed: it was started with other values of {changed}. Files are "
                "compared by path, size, times and inode. Restore them, or start again with overwrite=True."
            )


def is_parts_folder(folder: Path) -> bool:
    """Return whether a folder carries the mark of gridlens."""
    return _read_run(folder) is not None


def differences(stored: dict[str, str], identity: dict[str, str]) -> str:
    """Return the names of the entries that differ between two identities, for a message."""
    names = stored.keys() | identity.keys()
    return ", ".join(sorted(name for name in names if stored.get(name) != identity.get(name)))


def _read_run(folder: Path) -> dict[str, str] | None:
    """Return the identity of the run that wrote a folder; None if the mark is missing or damaged."""
    try:
        run = json.loads(read_regular(folder / _RUN))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(run, dict) or run.get("format") != _FORMAT or not isinstance(run.get("identity"), dict):
        return None
    identity: dict[str, str] = run["identity"]
    return identity


def _foreign(folder: Path) -> GridlensError:
    return GridlensError(
        f"{folder} already exists, but is not a folder of finished parts, or its {_RUN} is missing or damaged. Move "
        "or remove it, or choose another output."
    )


def _write_bytes(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
