"""The work on one partition: read it, measure it, make rows of it."""

from __future__ import annotations

import contextlib
import pickle
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import cloudpickle
import pyarrow as pa

from gridlens.cutouts import CutoutBatch, CutoutFlag, CutoutSet, ReadFailure
from gridlens.cutouts.catalogs import JoinGaps
from gridlens.errors import GridlensError
from gridlens.features import Measured, measure
from gridlens.sources import Partition

__all__ = ["Part", "Source", "Task", "Work"]

# Fewer that fail are bad luck; where all of so many do, it is the model, and nobody wants a million rejected rows.
_ALL_FAIL = 8


class Source(Protocol):
    """Where cutouts come from: `gridlens.cutouts.FileSource`, `ImageSource`, or features in a cache."""

    @property
    def n(self) -> int | None:
        """Cutouts in all; None where that is not known without reading them."""
        ...

    def partitions(self) -> Sequence[Partition]: ...

    def read(
        self, partition: Partition, gaps: JoinGaps | None = None
    ) -> Iterator[CutoutBatch] | Iterator[Measured]: ...

    def split(self, partition: Partition) -> list[Partition]: ...

    def lost(self, partition: Partition, message: str) -> ReadFailure: ...

    def identity(self) -> dict[str, str]: ...


class Work(Protocol):
    """What is made of measured cutouts."""

    def table(self, measured: Measured) -> pa.Table:
        """Rows, one for each cutout, in their order."""
        ...

    def identity(self) -> dict[str, str]:
        """What would make other rows of the same cutouts, by name."""
        ...


class Part(NamedTuple):
    """Rows of one partition, and what is to be said of it."""

    table: pa.Table
    gaps: JoinGaps
    warnings: list[str]
    """of a worker whose own nobody would see"""


class Task:
    """Makes rows of partitions; pickled once for each process.

    Parameters
    ----------
    source : Source
    work : Work
    n_threads : int, default=1
        Of the extraction, within one partition.
    """

    def __init__(self, source: Source, work: Work, n_threads: int = 1) -> None:
        self.source, self.work, self._n_threads = source, work, n_threads

    def alone(self) -> bytes:
        """Return this task for another process, where each partition has one thread.

        Classes of the caller's main module are pickled with their code, since workers do not import that module.

        Raises
        ------
        GridlensError
            The source or the work cannot be pickled.
        """
        try:
            payload: bytes = cloudpickle.dumps(Task(self.source, self.work))
        except (pickle.PicklingError, TypeError, AttributeError) as exc:
            raise GridlensError(
                f"The 'source' parameter must be picklable to be read by several processes: {exc}. Work in this "
                "process alone with n_jobs=1."
            ) from exc
        return payload

    def run(self, partition: Partition) -> Part:
        """Make the rows of a partition. What is wrong with a cutout becomes a rejected row.

        Raises
        ------
        GridlensError
            The model cannot score these cutouts, or fails on every one of them.
        """
        tables, failed, total, gaps = [], 0, 0, JoinGaps()
        with contextlib.closing(_read_ahead(self.source.read(partition, gaps))) as batches:
            for batch in batches:
                if isinstance(batch, Measured):
                    tables.append(self.work.table(batch))
                    continue
                if batch.cutouts is not None:
                    total += len(batch.cutouts)
                    made, unlucky = self._tables(batch.cutouts)
                    tables += made
                    failed += len(unlucky)
                    if failed == total >= _ALL_FAIL:
                        raise GridlensError(
                            f"All of the first {total} cutouts of a partition failed, the last, "
                            f"{unlucky[-1].id}, with: {unlucky[-1].message} See whether the model fits these cutouts."
                        )
                if batch.failures:
                    tables.append(self.work.table(Measured.of_failures(batch.failures)))
        return Part(pa.concat_tables(tables or [self.empty().table]), gaps, [])

    def empty(self) -> Part:
        """The columns without a row."""
        return Part(self.work.table(Measured.of_failures([])), JoinGaps(), [])

    def lost(self, partition: Partition, message: str) -> Part:
        """The rejected row of a partition of one cutout that ends the process of whoever reads it."""
        return Part(self.work.table(Measured.of_failures([self.source.lost(partition, message)])), JoinGaps(), [])

    def _tables(self, cutouts: CutoutSet) -> tuple[list[pa.Table], list[ReadFailure]]:
        """Rows of the cutouts; where that fails, of each half, down to the cutout that fails."""
        try:
            return [self.work.table(measure(cutouts, "all", self._n_threads))], []
        except GridlensError:
            raise
        except Exception as exc:
            if len(cutouts) == 1:
                said = f"Measuring it failed: {type(exc).__name__}: {exc}"
                failure = ReadFailure(cutouts.ids[0], cutouts.paths[0], said, int(CutoutFlag.FAILED))
                return [self.work.table(Measured.of_failures([failure]))], [failure]
        middle = len(cutouts) // 2
        (left, bad_left), (right, bad_right) = self._tables(cutouts[:middle]), self._tables(cutouts[middle:])
        return left + right, bad_left + bad_right


_END = object()


def _read_ahead(batches: Iterator[Any]) -> Generator[Any, None, None]:
    """The same batches, the next one read by another thread while the last one is worked on."""
    # One waits here and one is being read: no more pixels are in memory, however slow the work is.
    waiting: queue.Queue[Any] = queue.Queue(maxsize=1)
    left = threading.Event()

    def put(item: Any) -> bool:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return True
        return False

    def read() -> None:
        try:
            for batch in batches:
                if not put(batch):
                    return
            put(_END)
        except BaseException as exc:
            put(exc)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item
            del item
    finally:
        left.set()
        thread.join()
