"""Code of the processes that work on partitions for another process."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import warnings
from multiprocessing.connection import wait
from multiprocessing.process import parent_process

from gridlens.engine._task import Part, Task
from gridlens.errors import GridlensError
from gridlens.sources import Partition

__all__ = ["check_worker", "run_partition", "start_worker", "take_task"]

# The task of this process, pickled and unpickled.
_CURRENT: list[tuple[bytes, Task]] = []
_WARNINGS: list[str] = []
# Reason why this process cannot work.
_FAILURES: list[GridlensError] = []


def start_worker(payload: bytes) -> None:
    """Initialize a process of `ProcessPoolExecutor`, which ends with its parent process even if that is killed."""
    # Ctrl-C reaches every process of the terminal; only the parent process handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    # An error raised here would end the process with a traceback on the terminal.
    try:
        take_task(payload)
    except GridlensError as exc:
        _FAILURES.append(exc)
    except Exception as exc:
        _FAILURES.append(
            GridlensError(
                f"The worker processes cannot start: {type(exc).__name__}: {exc}. Run in a single process with "
                "n_jobs=1."
            )
        )


def check_worker() -> None:
    """Raise GridlensError if this process cannot work."""
    if _FAILURES:
        raise _FAILURES[0]


def take_task(payload: bytes) -> None:
    """Unpickle a task, once per process, and collect its warnings from now on."""
    if not _CURRENT or _CURRENT[0][0] != payload:
        warnings.showwarning = _keep_warning  # type: ignore[assignment]
        warnings.simplefilter("default", UserWarning)
        _CURRENT[:] = [(payload, pickle.loads(payload))]


def run_partition(partition: Partition) -> Part:
    """Compute the rows of a partition, and collect the warnings of this process, which has no terminal."""
    check_worker()
    part = _CURRENT[0][1].run(partition)
    said = list(dict.fromkeys(_WARNINGS))
    _WARNINGS.clear()
    return part._replace(warnings=said)


def _keep_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if issubclass(category, UserWarning):
        _WARNINGS.append(str(message))


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
