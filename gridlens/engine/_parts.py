"""The folder beside an output that holds what is finished of it, so that a run that was cut goes on from there."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from gridlens._errors import GridlensError
from gridlens.cutouts import JoinGaps
from gridlens.engine._task import Part

__all__ = ["Parts"]

_RUN = "run.json"
_REPORT = b"gridlens.part"


class Parts:
    """Tables of parcels, each a Parquet file of its own: together a data set that other programs can open.

    A file is there whole or not at all, whatever ends the process that writes it.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    identity : dict of str to str
        What the parts hang on, by name: a run with another one does not go on with them.
    resume : bool
        Whether parts of an earlier run may be there.

    Raises
    ------
    GridlensError
        Parts are there and are not to be gone on with, those of another run, or somebody is writing them.
    """

    def __init__(self, folder: Path, identity: dict[str, str], *, resume: bool) -> None:
        self.folder = folder
        try:
            folder.mkdir(exist_ok=True)
            self._lock = open(folder / ".lock", "w")  # noqa: SIM115 - held until the run ends
        except OSError as exc:
            raise GridlensError(f"Cannot write to {folder}: {exc.strerror or exc}. Choose another output.") from exc
        _take(self._lock, folder)
        try:
            self._begin(identity, resume)
        except BaseException:
            self._lock.close()
            raise
        self.done = {index for index in self._indices() if self._is_whole(index)}
        self.resumed = self.count()
        """rows that were there already"""

    def _begin(self, identity: dict[str, str], resume: bool) -> None:
        stored = self.folder / _RUN
        if stored.is_file():
            if not resume:
                raise GridlensError(
                    f"The folder {self.folder} holds what an earlier run had finished. Go on with it by --resume, or "
                    "begin anew with --overwrite."
                )
            self._check(json.loads(stored.read_text()), identity)
        else:
            self._write_bytes(stored, (json.dumps(identity, indent=1) + "\n").encode())
        # What was cut while it was written.
        for path in self.folder.glob(".*.partial"):
            path.unlink(missing_ok=True)
        for path in self.folder.glob("buckets-*"):
            shutil.rmtree(path, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._lock.close()

    def write(self, index: int, part: Part) -> None:
        """Keep the part of a parcel."""
        report = json.dumps({"gaps": asdict(part.gaps), "warnings": part.warnings}).encode()
        table = part.table.replace_schema_metadata({**(part.table.schema.metadata or {}), _REPORT: report})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        self._write_bytes(self._path(index), sink.getvalue())
        self.done.add(index)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The parts in the order of the parcels, or some columns of them."""
        for index in sorted(self.done):
            yield pq.read_table(self._path(index), columns=None if columns is None else list(columns))

    def reports(self) -> Iterator[tuple[JoinGaps, list[str]]]:
        """What joins left open, and warnings, by parcel."""
        for index in sorted(self.done):
            report = json.loads(pq.read_schema(self._path(index)).metadata[_REPORT])
            yield JoinGaps(**report["gaps"]), report["warnings"]

    def count(self) -> int:
        """Rows in all."""
        return sum(pq.read_metadata(self._path(index)).num_rows for index in self.done)

    def remove(self) -> None:
        """Remove the folder, once the output is written."""
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_if_empty(self) -> None:
        """Leave nothing behind where nothing was finished."""
        if not self.done:
            self.remove()

    def _path(self, index: int) -> Path:
        return self.folder / f"part-{index:07d}.parquet"

    def _indices(self) -> Iterator[int]:
        for path in self.folder.glob("part-*.parquet"):
            with contextlib.suppress(ValueError):
                yield int(path.stem.removeprefix("part-"))

    def _is_whole(self, index: int) -> bool:
        """Whether the file can be read: a disk may have lost what a process had written."""
        try:
            return _REPORT in (pq.read_schema(self._path(index)).metadata or {})
        except (OSError, pa.ArrowException):
            return False

    def _check(self, stored: dict[str, str], identity: dict[str, str]) -> None:
        changed = sorted(name for name in stored.keys() | identity.keys() if stored.get(name) != identity.get(name))
        if changed:
            raise GridlensError(
                f"The run in {self.folder} cannot go on: {', '.join(changed)} {'is' if len(changed) == 1 else 'are'} "
                "not what it began with. Put that back, or begin anew with --overwrite."
            )

    def _write_bytes(self, path: Path, content: Any) -> None:
        partial = path.with_name(f".{path.name}.partial")
        try:
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except OSError as exc:
            partial.unlink(missing_ok=True)
            if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise GridlensError(
                    f"There is no space left for {path}. What is finished is kept in {self.folder}: free some space, "
                    "and give the same command with --resume."
                ) from exc
            raise GridlensError(
                f"Cannot write {path}: {exc.strerror or exc}. What is finished is kept in {self.folder}; give the same "
                "command with --resume."
            ) from exc


def _take(lock: Any, folder: Path) -> None:
    """Hold the lock until this process ends or closes it; the system gives it back, however the process ends."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise GridlensError(
            f"Another process is writing to {folder}. Wait for it, or end it, or choose another output."
        ) from None
    except OSError:  # a file system without locks
        return
