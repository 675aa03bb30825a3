"""Worker processes that start without importing the caller's main module."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from multiprocessing import spawn
from typing import Any

__all__ = ["WorkerContext", "main_left_out"]

_NAME = "gridlens worker"
# If the system supports it, workers are forked from a process without threads that has loaded the libraries.
_BASE: Any = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)
_prepare = spawn.get_preparation_data
_left_out: list[str] = []
_lock = threading.Lock()


@contextlib.contextmanager
def main_left_out(name: str) -> Iterator[None]:
    """Start processes called `name` without this process's main module, within the context.

    A new process imports the script that started it, so that definitions of the script can be unpickled. This would run
    a script without ``if __name__ == "__main__":`` again, which would then start processes itself, and it fails for a
    script read from standard input. Tasks of gridlens hold no references to the main module (`Task.alone`).
    """
    _warn_unguarded()
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


@functools.cache
def _warn_unguarded() -> None:
    """Warn once that the caller's script is unprotected, since other libraries require protection."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(path, str) or not os.path.isfile(path):
        return
    with open(path, encoding="utf-8", errors="replace") as script:
        guarded = "__name__" in script.read()
    if not guarded:
        warnings.warn(
            f"The script {os.path.basename(path)!r} has no 'if __name__ == \"__main__\":'. Workers of gridlens do not "
            "need it, but those of other libraries would run the script again.",
            UserWarning,
            stacklevel=2,
        )


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
