"""The one place that says how kernels are compiled.

Every kernel in the package is decorated from here: with `entry` if Python calls it, with `jit` if other kernels do,
with `part` if it is a piece of one other kernel. NaN is data in a cutout, so `fastmath` never holds the flags `nnan`
and `ninf`; nor `reassoc`, so that a sum does not depend on how many numbers a processor adds at once.

Numba optimises a compiled function again inside each one that calls it, hence the three: what Python does not call gets
no wrapper to be called by, and a large piece of a single kernel is put into it before it is compiled.

Entries are cached beside the package. Where neither the package nor a home folder can be written (say, a node of a
cluster), numba raises when the function is decorated, and the kernel is compiled in memory instead. Numba compiles
callees and constants into the caller, but looks at the caller's own file alone to see whether a cached kernel is fresh.
Here the names of the cache files hold a digest of every source that may go into a kernel: the files of its folder and
this one, for kernels take compiled functions and constants from nowhere else (`tests/test_rooms.py`).
"""

import contextlib
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

__all__ = ["entry", "jit", "part"]

_FASTMATH = {"nsz", "arcp", "contract", "afn"}
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": _FASTMATH, "error_model": "numpy", "no_cfunc_wrapper": True}
_UNCALLED: dict[str, Any] = {"no_cpython_wrapper": True}

_F = TypeVar("_F", bound=Callable[..., Any])


def jit(function: _F) -> _F:
    """Compile a function that kernels call, in nopython mode; Python cannot call it."""
    return numba.njit(**_OPTIONS, **_UNCALLED)(function)


def part(function: _F) -> _F:
    """Make a function a part of the kernel that calls it; Python can call it too."""
    return numba.njit(inline="always", **_OPTIONS)(function)


def entry(function: _F) -> _F:
    """Compile a kernel that Python calls, in nopython mode, without the GIL, cached on disk where that is possible."""
    folder = Path(function.__code__.co_filename).parent
    digest = _digest(folder)
    # Every numba and every place that it caches in names the files after this.
    function.__qualname__ += f"_{digest}"
    try:
        compiled = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError as exc:
        if "no locator available" not in str(exc):
            raise
        return numba.njit(**_OPTIONS)(function)
    _remove_stale(folder, digest)
    return compiled


@functools.cache
def _digest(folder: Path) -> str:
    """Twelve hexadecimal digits that stand for the sources in a folder and for this file."""
    digest = hashlib.sha256()
    for path in [Path(__file__), *sorted(folder.glob("*.py"))]:
        source = path.read_bytes()
        digest.update(f"{path.name} {len(source)} ".encode() + source)
    return digest.hexdigest()[:12]


@functools.cache
def _remove_stale(folder: Path, digest: str) -> None:
    """Remove what earlier sources left beside the sources, so that nothing piles up where kernels are edited.

    In a cache elsewhere, two installations may share a folder; files of older digests stay there.
    """
    for path in (folder / "__pycache__").glob("*.nb[ic]"):
        if digest not in path.name:
            # Read-only, or another process was faster.
            with contextlib.suppress(OSError):
                path.unlink()
