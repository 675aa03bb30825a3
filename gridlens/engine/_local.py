"""Partitions on the processors of this machine: threads for small runs, processes for large ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, Self

from gridlens.engine._spawn import WorkerContext
from gridlens.engine._task import Part, Task
from gridlens.engine._worker import check_worker, run_partition, start_worker
from gridlens.errors import GridlensError
from gridlens.sources import Partition

__all__ = ["Engine", "ProcessEngine", "ThreadEngine"]

# Number of partitions waiting for each worker, so that workers are not idle while a part is written.
_AHEAD = 2
_LOGGER = logging.getLogger(__name__)


class Engine(Protocol):
    """Executor of partitions, several at a time, in any order."""

    @property
    def slots(self) -> int:
        """Number of partitions to keep submitted; it may change with the number of workers."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: Any) -> None:
        """Drop submitted partitions that are not finished."""
        ...

    def submit(self, ticket: int, partition: Partition) -> None:
        """Submit a partition for processing."""
        ...

    def finished(self) -> Iterator[tuple[int, Part | None]]:
        """Wait until at least one partition is finished; yield None as the part if every process that tried it died."""
        ...


class ThreadEngine:
    """Engine with threads of this process: no start-up time, but a crash ends the whole run."""

    def __init__(self, task: Task, n_workers: int) -> None:
        self._task, self._n_workers = task, n_workers
        self._futures: dict[Future[Part], int] = {}

    @property
    def slots(self) -> int:
        """Number of partitions to keep submitted."""
        return self._n_workers

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._n_workers)
        return self

    def __exit__(self, *_: Any) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, ticket: int, partition: Partition) -> None:
        """Submit a partition for processing."""
        self._futures[self._pool.submit(self._task.run, partition)] = ticket

    def finished(self) -> Iterator[tuple[int, Part | None]]:
        """Wait until at least one partition is finished, and yield those that are."""
        for future in wait(self._futures, return_when=FIRST_COMPLETED).done:
            yield self._futures.pop(future), future.result()


class ProcessEngine:
    """Engine with processes, which take seconds to start; if one dies, its partitions are tried again.

    The partition that crashed a process is unknown, since all submitted partitions are lost with it. Partitions that
    are lost twice are tried once more, each in a separate process.
    """

    def __init__(self, task: Task, n_workers: int) -> None:
        self._payload, self._n_workers = task.alone(), n_workers
        self._tickets: dict[Future[Part], int] = {}
        self._partitions: dict[int, Partition] = {}
        self._deaths: dict[int, int] = {}
        self._suspects: list[int] = []

    @property
    def slots(self) -> int:
        """Number of partitions to keep submitted."""
        return self._n_workers * _AHEAD

    def __enter__(self) -> Self:
        self._pool = self._make_pool(self._n_workers)
        return self

    def __exit__(self, *_: Any) -> None:
        _end(self._pool)

    def _make_pool(self, n_workers: int) -> ProcessPoolExecutor:
        """Start workers, and wait until the first one is ready.

        Raises
        ------
        GridlensError
            The worker cannot start. Otherwise, every partition would be blamed for a crash.
        """
        pool = None
        try:
            context = WorkerContext()
            if context.get_start_method() == "forkserver":
                context.set_forkserver_preload(["gridlens.engine._worker", "gridlens.models", "numba"])
            pool = ProcessPoolExecutor(n_workers, context, initializer=start_worker, initargs=(self._payload,))
            # One call for each worker, so that all start at once.
            ready = [pool.submit(check_worker) for _ in range(n_workers)]
            next(iter(wait(ready, return_when=FIRST_COMPLETED).done)).result()
        except BaseException as exc:
            if pool is not None:
                _end(pool)
            if isinstance(exc, OSError | EOFError | RuntimeError | ImportError):
                raise GridlensError(
                    f"The worker processes cannot start: {exc} Run in a single process with n_jobs=1."
                ) from exc
            raise
        return pool

    def submit(self, ticket: int, partition: Partition) -> None:
        """Submit a partition for processing."""
        self._partitions[ticket] = partition
        try:
            future = self._pool.submit(run_partition, partition)
        except BrokenProcessPool:
            # A process died since the last check, but not because of this partition.
            self._recover()
            future = self._pool.submit(run_partition, partition)
        self._tickets[future] = ticket

    def finished(self) -> Iterator[tuple[int, Part | None]]:
        """Wait until at least one partition is finished, and yield those that are."""
        whole: list[Future[Part]] = []
        while not whole and not self._suspects:
            done = wait(self._tickets, return_when=FIRST_COMPLETED).done
            whole = [future for future in done if not isinstance(future.exception(), BrokenProcessPool)]
            for future in whole:
                ticket = self._tickets.pop(future)
                self._forget(ticket)
                yield ticket, future.result()
            if len(whole) < len(done):
                self._recover()
        while self._suspects:
            ticket = self._suspects.pop()
            yield ticket, self._run_alone(self._forget(ticket))

    def _forget(self, ticket: int) -> Partition:
        self._deaths.pop(ticket, None)
        return self._partitions.pop(ticket)

    def _recover(self) -> None:
        """Replace lost processes, and submit their partitions again."""
        _end(self._pool)
        self._pool = self._make_pool(self._n_workers)
        kept = {f: ticket for f, ticket in self._tickets.items() if f.done() and f.exception() is None}
        lost = [ticket for future, ticket in self._tickets.items() if future not in kept]
        self._tickets = kept
        _LOGGER.info("A worker process ended; trying the %d partitions again that were lost with it", len(lost))
        for ticket in lost:
            self._deaths[ticket] = self._deaths.get(ticket, 0) + 1
            if self._deaths[ticket] > 1:
                self._suspects.append(ticket)
            else:
                self._tickets[self._pool.submit(run_partition, self._partitions[ticket])] = ticket

    def _run_alone(self, partition: Partition) -> Part | None:
        pool = self._make_pool(1)
        try:
            return pool.submit(run_partition, partition).result()
        except BrokenProcessPool:
            return None
        finally:
            _end(pool)


def _end(pool: Executor) -> None:
    """Terminate the processes of a pool, even if they are busy."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
