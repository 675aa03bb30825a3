"""Processes that start without importing the main module of the caller."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections.abc import Iterator
from multiprocessing import spawn
from typing import Any

__all__ = ["WorkerContext", "main_left_out"]

_NAME = "gridlens worker"
# Workers are forked from a process that has loaded the libraries and has no threads, where the system can.
_BASE: Any = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)
_prepare = spawn.get_preparation_data
_left_out: list[str] = []
_lock = threading.Lock()


@contextlib.contextmanager
def main_left_out(name: str) -> Iterator[None]:
    """Start processes called `name` without the main module of this one, within the block.

    A new process imports the script that started it, so that what the script defines can be unpickled. That runs a
    script without ``if __name__ == "__main__":`` again, which then starts processes itself, and fails for a script that
    is read from standard input. Tasks of gridlens hold no references to the main module (`Task.alone`).
    """
    with _lock:
        _left_out.append(name)
        spawn.get_preparation_data = _prepare_without_main
    try:
        yield
    finally:
        with _lock:
            _left_out.remove(name)
            if not _left_out:
                spawn.get_preparation_data = _prepare


def _prepare_without_main(name: str) -> dict[str, Any]:
    data: dict[str, Any] = _prepare(name)
    if name in _left_out:
        data.pop("init_main_from_name", None)
        data.pop("init_main_from_path", None)
    return data


class WorkerProcess(_BASE.Process):  # type: ignore[misc]
    """A process that starts without the main module."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "name": _NAME})

    def start(self) -> None:
        """Start the process."""
        with main_left_out(_NAME):
            super().start()


class WorkerContext(type(_BASE)):  # type: ignore[misc]
    """The context of `multiprocessing` for worker processes."""

    Process = WorkerProcess
