"""The one place that says how kernels are compiled.

Every kernel in the package is decorated with `jit` from here. NaN is data in a cutout, so `fastmath` never holds
the flags `nnan` and `ninf`. Compiled code is cached beside the package; where neither the package nor a home folder
can be written (a container, a cluster node), numba raises when the function is decorated, and the kernel is
compiled in memory instead.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

__all__ = ["jit"]

_FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}

_F = TypeVar("_F", bound=Callable[..., Any])


def jit(function: _F) -> _F:
    """Compile `function` in nopython mode, without the GIL, cached on disk where that is possible."""
    options: dict[str, Any] = {"nogil": True, "fastmath": _FASTMATH, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError as exc:
        if "no locator available" not in str(exc):
            raise
        return numba.njit(**options)(function)
