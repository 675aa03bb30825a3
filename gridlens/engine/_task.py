"""The work on one partition: reading it and computing its rows."""

from __future__ import annotations

import contextlib
import pickle
import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import cloudpickle
import pyarrow as pa

from gridlens.cutouts.catalogs._join import JoinGaps
from gridlens.engine._work import Work
from gridlens.errors import GridlensError
from gridlens.sources import Partition, Source

__all__ = ["Part", "Task"]


class Part(NamedTuple):
    """Rows of one partition, the gaps of its join and the warnings of its worker."""

    table: pa.Table
    gaps: JoinGaps
    warnings: list[str]
    """warnings of another process, which are not shown there"""


class Task:
    """Computation of the rows of partitions; pickled once for each process.

    Parameters
    ----------
    source : Source
    work : Work
    n_threads : int, default=1
        Number of threads for the feature extraction within one partition.
    """

    def __init__(self, source: Source, work: Work, n_threads: int = 1) -> None:
        self.source, self.work, self._n_threads = source, work, n_threads

    def alone(self) -> bytes:
        """Return this task pickled for another process, where each partition has one thread.

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
                f"The 'source' parameter must be picklable to be read by several processes: {exc}. Run in a single "
                "process with n_jobs=1."
            ) from exc
        return payload

    def run(self, partition: Partition) -> Part:
        """Compute the rows of a partition. A cutout with an error becomes a rejected row.

        Raises
        ------
        GridlensError
            The work cannot be done, or fails on every cutout.
        """
        gaps = JoinGaps()
        with contextlib.closing(_read_ahead(self.work.read(self.source, partition, gaps))) as batches:
            tables = list(self.work.tables(batches, self._n_threads))
        return self._part(pa.concat_tables(tables or [self.work.failed([])]), gaps)

    def empty(self) -> Part:
        """Return the columns without rows."""
        return self._part(self.work.failed([]), JoinGaps())

    def lost(self, partition: Partition, message: str) -> Part:
        """Return the rejected row of a single cutout that crashes every process that reads it."""
        return self._part(self.work.failed([self.source.lost(partition, message)]), JoinGaps())

    def _part(self, table: pa.Table, gaps: JoinGaps) -> Part:
        table = self.work.completed(table, self.source, gaps)
        # Only the counts are kept, since the table already contains the catalogue columns of the matched rows.
        gaps.found.clear()
        return Part(table, gaps, [])


_END = object()


def _read_ahead(batches: Iterator[Any]) -> Generator[Any, None, None]:
    """Yield the same batches, while another thread reads the next one."""
    # One batch waits here and one is being read, so memory is bounded even if the work is slow.
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
