"""What happens in a process that works on partitions for another one."""

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

# Pickled, and unpacked: the one task that this process works on.
_CURRENT: list[tuple[bytes, Task]] = []
_WARNINGS: list[str] = []
# Why this process cannot work.
_FAILURES: list[GridlensError] = []


def start_worker(payload: bytes) -> None:
    """Begin a process of `ProcessPoolExecutor`: it ends with the one that it works for, even if that was killed."""
    # Ctrl-C reaches every process of the terminal; the one that was asked decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    # An error raised here would end the process, with a traceback on the terminal.
    try:
        take_task(payload)
    except GridlensError as exc:
        _FAILURES.append(exc)
    except Exception as exc:
        _FAILURES.append(
            GridlensError(
                f"The worker processes cannot start: {type(exc).__name__}: {exc}. Work in this process alone with "
                "n_jobs=1."
            )
        )


def check_worker() -> None:
    """Raise GridlensError if this process cannot work."""
    if _FAILURES:
        raise _FAILURES[0]


def take_task(payload: bytes) -> None:
    """Unpack a task, once in each process, and keep its warnings from now on."""
    if not _CURRENT or _CURRENT[0][0] != payload:
        warnings.showwarning = _keep_warning  # type: ignore[assignment]
        warnings.simplefilter("default", UserWarning)
        _CURRENT[:] = [(payload, pickle.loads(payload))]


def run_partition(partition: Partition) -> Part:
    """Make the rows of a partition, with the warnings of this process, which has no terminal."""
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
