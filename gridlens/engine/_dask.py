"""Partitions on Dask workers: those of a LocalCluster, or of a scheduler anywhere."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import pickle
import platform
import warnings
from collections.abc import Iterator
from concurrent.futures import CancelledError
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

from gridlens.engine._spawn import main_left_out
from gridlens.engine._task import Part, Task
from gridlens.engine._worker import run_partition, take_task
from gridlens.errors import GridlensError
from gridlens.sources import Partition

__all__ = ["DaskEngine", "own_versions", "work_on"]

# Partitions for each thread of a worker, and in all: an adaptive cluster grows by what waits for it.
_AHEAD, _FEWEST = 4, 64
# Seconds.
_PATIENCE = 15
# For workers on this machine, which leave no processor to spare: no profile of a hundred looks a second at what they
# do, and no memory given back after every batch.
_LEAN = {
    "distributed.worker.profile.enabled": False,
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1},
}
# What Dask calls the processes of a LocalCluster.
_NANNY = "Dask Worker process (from Nanny)"
_LOGGERS = ("distributed", "distributed.client", "tornado.application", "asyncio")
# The bits of a table depend on these.
_PACKAGES = ("gridlens", "lightgbm", "numba", "numpy", "pyarrow")


class DaskEngine:
    """Dask workers, which read the files themselves and send back rows.

    A worker that is lost costs its partitions another try. One that is lost with several workers is given up by the
    scheduler (``distributed.scheduler.allowed-failures``, 3), and tried alone here before it is called deadly. While
    workers come and go, as those of an adaptive cluster do, more or fewer partitions are kept with the scheduler.

    Parameters
    ----------
    task : Task
    n_workers : int
        Processes of the LocalCluster, of one thread each, where there is no `scheduler`.
    scheduler : str or None
        Address of a scheduler.

    Raises
    ------
    GridlensError
        Dask is not installed; when the engine is entered: the scheduler does not answer, it has no workers, or they
        have other versions.
    """

    def __init__(self, task: Task, n_workers: int, scheduler: str | None = None) -> None:
        try:
            import distributed  # noqa: F401
        except ImportError as exc:
            raise GridlensError(
                "The engine 'dask' needs the package distributed: pip install 'gridlens[dask]'."
            ) from exc
        self._payload, self._n_workers, self._scheduler = task.alone(), n_workers, scheduler
        self._versions = own_versions()
        self._tickets: dict[Any, tuple[int, Partition]] = {}
        self._suspects: list[tuple[int, Partition]] = []

    def __enter__(self) -> Self:
        import dask
        import distributed

        with contextlib.ExitStack() as opened:
            opened.enter_context(_silenced())
            cluster: Any = None
            if self._scheduler is None:
                # As long as the cluster is there, for it may start a worker at any time.
                opened.enter_context(dask.config.set(_LEAN))
                opened.enter_context(main_left_out(_NANNY))
                with _without_collection():
                    cluster = self._local_cluster()
                opened.callback(cluster.close)
            address = self._scheduler if cluster is None else cluster
            try:
                with _without_collection():
                    self._client = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
            except (OSError, ValueError, TypeError) as exc:
                raise GridlensError(
                    f"There is no Dask scheduler at {self._scheduler}: {exc}. Start one with `dask scheduler` and "
                    "workers with `dask worker ADDRESS`, and check the address."
                ) from exc
            opened.callback(self._client.close)
            self._check_workers()
            if cluster is not None:
                # Workers that have nothing left to do at the end are given back, and not before.
                cluster.adapt(minimum=1, maximum=self._n_workers, target_duration="500ms", wait_count=5)
            self._opened = opened.pop_all()
        return self

    def _local_cluster(self) -> Any:
        import distributed

        try:
            with warnings.catch_warnings():
                # Another cluster has the usual port of the pages for people, which are not asked for.
                warnings.filterwarnings("ignore", "\\s*Port \\d+ is already in use", UserWarning)
                return distributed.LocalCluster(
                    n_workers=self._n_workers,
                    threads_per_worker=1,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                    # Memory is bounded by what a partition holds; a worker that is paused would only be slower.
                    memory_limit=0,
                )
        except (RuntimeError, OSError, ImportError) as exc:
            raise GridlensError(
                f"The Dask workers cannot start: {exc}. Work on this machine's processors with the engine 'local'."
            ) from exc

    def __exit__(self, *_: Any) -> None:
        self._client.cancel(list(self._tickets), force=True)
        self._opened.close()

    @property
    def slots(self) -> int:
        """As in `Engine`."""
        if self._suspects:
            return 0  # until they were tried alone
        return max(_FEWEST, _AHEAD * sum(self._client.nthreads().values()))

    def submit(self, ticket: int, partition: Partition) -> None:
        """As in `Engine`."""
        self._tickets[self._send(partition)] = ticket, partition

    def _send(self, partition: Partition) -> Any:
        call = pickle.dumps(_Call(self._payload, self._versions, partition))
        return self._client.submit(pickle.loads, call, pure=False)

    def finished(self) -> Iterator[tuple[int, Part | None]]:
        """As in `Engine`."""
        from distributed import wait
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker

        try:
            if not self._tickets:
                # Each is alone on all workers now: what ends one is this partition.
                ticket, partition = self._suspects.pop()
                try:
                    yield ticket, self._send(partition).result()
                except KilledWorker:
                    yield ticket, None
                return
            with self._client.as_current():
                done = wait(list(self._tickets), return_when="FIRST_COMPLETED").done
            for future in done:
                ticket, partition = self._tickets.pop(future)
                try:
                    yield ticket, future.result()
                except KilledWorker:
                    # By this one, or by another that was with the same worker.
                    self._suspects.append((ticket, partition))
        except (CancelledError, CommClosedError, TimeoutError) as exc:
            raise GridlensError(
                "The Dask scheduler was lost. Start it again, and resume the run with resume=True."
            ) from exc
        except (ImportError, AttributeError, pickle.UnpicklingError) as exc:
            raise GridlensError(
                f"A Dask worker cannot do the work: {type(exc).__name__}: {exc}. Install gridlens "
                f"{version('gridlens')} and what it needs there, and resume the run with resume=True."
            ) from exc

    def _check_workers(self) -> None:
        """Refuse workers that are not there, cannot load gridlens, or have other versions."""
        try:
            self._client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as exc:
            raise GridlensError(
                f"The Dask scheduler at {self._scheduler} has no workers. Start some with `dask worker ADDRESS`."
            ) from exc
        try:
            found = self._client.run(own_versions)
        except Exception as exc:
            raise GridlensError(
                f"The Dask workers cannot load gridlens: {exc}. Install gridlens {version('gridlens')} there."
            ) from exc
        for worker, theirs in found.items():
            _compare(self._versions, theirs, worker)


def own_versions() -> dict[str, str]:
    """Return the versions, in this process, of what the rows depend on."""
    versions = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "none"
    return versions


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Keep garbage from being collected while a client starts.

    A client that failed to connect is closed once it is collected, and would wait there for the lock that the new one
    holds in the same thread, for ever.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Silence Dask's loggers, which print tracebacks while it recovers; what matters is raised."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@functools.cache
def _versions_here() -> dict[str, str]:
    return own_versions()


class _Call:
    """The call of `work_on`, made when it is unpickled.

    A worker without gridlens would lose its connection because of a function that it cannot import, start again and
    take the next partition. A call that it cannot unpickle is an error that it reports.
    """

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return work_on, self._arguments


def work_on(payload: bytes, wanted: dict[str, str], partition: Partition) -> Part:
    """Make the rows of a partition on a worker, which may have joined after the others were looked at."""
    from distributed import get_worker

    _compare(wanted, _versions_here(), get_worker().address)
    take_task(payload)
    return run_partition(partition)


def _compare(wanted: dict[str, str], found: dict[str, str], worker: str) -> None:
    other = [f"{name} {found.get(name)} for {value}" for name, value in wanted.items() if found.get(name) != value]
    if other:
        raise GridlensError(
            f"The Dask worker {worker} has {', '.join(other)}: its rows could differ from those of others. Install the "
            "same versions there, and resume the run with resume=True."
        )
