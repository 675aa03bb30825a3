"""Processes that end with the server, even if it is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

__all__ = ["end_with_parent"]

_SECONDS = 1.0


def end_with_parent(*, group: bool = False) -> None:
    """End this process within about a second after its parent has ended.

    Parameters
    ----------
    group : bool, default=False
        Whether to end the whole process group that this process leads, including its workers.
    """
    threading.Thread(target=_watch, args=(os.getppid(), group), daemon=True).start()


def _watch(parent: int, group: bool) -> None:
    # The operating system gives an orphan another parent.
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    if group:
        with contextlib.suppress(AttributeError, OSError):  # on systems without process groups
            os.killpg(0, signal.SIGKILL)
    os._exit(1)
