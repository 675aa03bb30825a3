"""Partitions on Dask workers, of a LocalCluster or of any scheduler."""

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

# Partitions submitted per worker thread, and minimum in total: an adaptive cluster grows with the waiting work.
_AHEAD, _FEWEST = 4, 64
_LOGGER = logging.getLogger(__name__)
# Seconds.
_PATIENCE = 15
# Settings for workers on this machine, which use all processors: no profiling a hundred times per second, and no
# release of memory after every batch.
_LEAN = {
    "distributed.worker.profile.enabled": False,
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1},
}
# Dask's name for the processes of a LocalCluster.
_NANNY = "Dask Worker process (from Nanny)"
_LOGGERS = ("distributed", "distributed.client", "tornado.application", "asyncio")
# The exact values in a table depend on the versions of these packages.
_PACKAGES = ("gridlens", "lightgbm", "numba", "numpy", "pyarrow")


class DaskEngine:
    """Engine with Dask workers, which read the files themselves and return rows.

    If a worker is lost, its partitions are tried again. If a partition is lost with several workers, the scheduler
    gives it up (``distributed.scheduler.allowed-failures``, 3), and it is tried alone before it is considered to crash
    workers. The number of submitted partitions follows the number of workers, which may change as in an adaptive
    cluster.

    Parameters
    ----------
    task : Task
    n_workers : int
        Number of processes of the LocalCluster, with one thread each, if `scheduler` is None.
    scheduler : str or None
        Address of a scheduler.

    Raises
    ------
    GridlensError
        Dask is not installed. When the engine is entered: the scheduler does not answer, it has no workers, or they
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
                # As long as the cluster exists, since it may start a worker at any time.
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
                # Idle workers are released only at the end.
                cluster.adapt(minimum=1, maximum=self._n_workers, target_duration="500ms", wait_count=5)
            self._opened = opened.pop_all()
        return self

    def _local_cluster(self) -> Any:
        import distributed

        try:
            with warnings.catch_warnings():
                # Another cluster uses the default port of the dashboard, which is not needed.
                warnings.filterwarnings("ignore", "\\s*Port \\d+ is already in use", UserWarning)
                return distributed.LocalCluster(
                    n_workers=self._n_workers,
                    threads_per_worker=1,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                    # Memory is bounded by the size of a partition; pausing a worker would only be slower.
                    memory_limit=0,
                )
        except (RuntimeError, OSError, ImportError) as exc:
            raise GridlensError(
                f"The Dask workers cannot start: {exc}. Use this machine's processors with the engine 'local'."
            ) from exc

    def __exit__(self, *_: Any) -> None:
        self._client.cancel(list(self._tickets), force=True)
        self._opened.close()

    @property
    def slots(self) -> int:
        """Number of partitions to keep submitted."""
        if self._suspects:
            return 0  # until the suspects have been tried alone
        return max(_FEWEST, _AHEAD * sum(self._client.nthreads().values()))

    def submit(self, ticket: int, partition: Partition) -> None:
        """Submit a partition for processing."""
        self._tickets[self._send(partition)] = ticket, partition

    def _send(self, partition: Partition) -> Any:
        call = pickle.dumps(_Call(self._payload, self._versions, partition))
        return self._client.submit(pickle.loads, call, pure=False)

    def finished(self) -> Iterator[tuple[int, Part | None]]:
        """Wait until at least one partition is finished, and yield those that are."""
        from distributed import wait
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker

        try:
            if not self._tickets:
                # Each suspect now runs alone on all workers, so if a worker is lost, this partition is the cause.
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
                    # The cause is this partition or another one on the same worker.
                    _LOGGER.info("Dask workers ended; trying one of their partitions again, alone")
                    self._suspects.append((ticket, partition))
        except (CancelledError, CommClosedError, TimeoutError) as exc:
            raise GridlensError(
                "The Dask scheduler was lost. Start it again, and resume the run with resume=True."
            ) from exc
        except (ImportError, AttributeError, pickle.UnpicklingError) as exc:
            raise GridlensError(
                f"A Dask worker cannot do the work: {type(exc).__name__}: {exc}. Install gridlens "
                f"{version('gridlens')} and its dependencies there, and resume the run with resume=True."
            ) from exc

    def _check_workers(self) -> None:
        """Raise GridlensError if there are no workers, or they cannot load gridlens or have other versions."""
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
    """Return the versions in this process of the packages that affect the rows."""
    versions = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "none"
    return versions


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Disable garbage collection while a client starts.

    A client that failed to connect is closed when it is collected. It would then wait forever for the lock that the new
    client holds in the same thread.
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
    """Silence Dask's loggers, which print tracebacks during recovery; relevant errors are raised."""
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
    """A call of `work_on` that is made when it is unpickled.

    Without this, a worker without gridlens would lose its connection over a function that it cannot import, restart and
    take the next partition. A call that cannot be unpickled is reported as an error instead.
    """

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return work_on, self._arguments


def work_on(payload: bytes, wanted: dict[str, str], partition: Partition) -> Part:
    """Compute the rows of a partition on a worker, which may have joined after the versions were checked."""
    from distributed import get_worker

    _compare(wanted, _versions_here(), get_worker().address)
    take_task(payload)
    return run_partition(partition)


def _compare(wanted: dict[str, str], found: dict[str, str], worker: str) -> None:
    other = [f"{name} {found.get(name)} for {value}" for name, value in wanted.items() if found.get(name) != value]
    if other:
        raise GridlensError(
            f"The Dask worker {worker} has {', '.join(other)}: its rows could differ from those of other workers. "
            "Install the "
            "same versions there, and resume the run with resume=True."
        )
