"""Decorators for the compilation of kernels, used by the whole package.

Kernels are decorated with `entry` if Python calls them, with `jit` if other kernels do, and with `part` if they are a
part of a single kernel. NaN is data in a cutout, so `fastmath` never contains the flags `nnan` and `ninf`; it does not
contain `reassoc` either, so that a sum does not depend on the vector width of the processor.

Numba optimises a compiled function again in each function that calls it, which is the reason for the three decorators:
functions that Python does not call get no wrapper, and a large part of a single kernel is inlined before the
compilation.

Entries are cached beside the package. If neither the package nor a home folder is writable (for example, on a node of a
computing cluster), numba raises an error when the function is decorated, and the kernel is compiled in memory instead.
Numba compiles callees and constants into the caller, but only checks the caller's own file to decide whether a cached
kernel is up to date. The names of the cache files therefore contain a digest of every source that may be part of a
kernel: the files of its folder, this file and `gridlens._constants`; kernels use compiled functions and constants only
from there (`tests/test_rooms.py`).

Numba does not verify its cache: a damaged index raises an error at every call, and a damaged kernel may crash or
compute wrong values. Here, each file of the cache ends with a digest of its content, and if the digest does not match,
the kernel is compiled again and the file replaced.
"""

import contextlib
import functools
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.dispatcher import Dispatcher

from gridlens import _constants

__all__ = ["entry", "is_compiled", "jit", "part"]

_FASTMATH = {"nsz", "arcp", "contract", "afn"}
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": _FASTMATH, "error_model": "numpy", "no_cfunc_wrapper": True}
_UNCALLED: dict[str, Any] = {"no_cpython_wrapper": True}

_F = TypeVar("_F", bound=Callable[..., Any])


def jit(function: _F) -> _F:
    """Compile a function for calls from kernels, in nopython mode; Python cannot call it."""
    return numba.njit(**_OPTIONS, **_UNCALLED)(function)


def part(function: _F) -> _F:
    """Mark a function that is inlined into the kernel that calls it; Python can call it too."""
    return numba.njit(inline="always", **_OPTIONS)(function)


def entry(function: _F) -> _F:
    """Compile a kernel for calls from Python, in nopython mode, without the GIL, and cached on disk if possible."""
    folder = Path(function.__code__.co_filename).parent
    digest = _digest(folder)
    # Every version of numba and every cache location includes this in the names of the files.
    function.__qualname__ += f"_{digest}"
    compiled = numba.njit(**_OPTIONS)(function)
    if compiled is function:  # NUMBA_DISABLE_JIT
        return compiled
    try:
        compiled._cache = _Cache(function)
    except RuntimeError as exc:
        if "no locator available" not in str(exc):
            raise
        return compiled
    _remove_stale(folder, digest)
    return compiled


def is_compiled(kernel: Any) -> bool:
    """Return whether a kernel from `entry` was compiled before, in this process or in the cache."""
    if not isinstance(kernel, Dispatcher):  # NUMBA_DISABLE_JIT
        return True
    cache: Any = getattr(kernel, "_cache", None)
    return bool(kernel.signatures) or (isinstance(cache, _Cache) and cache.is_written())


class _CheckedFile(IndexDataCacheFile):
    """Files of numba's cache that end with a digest, which pickle ignores; a damaged file counts as missing."""

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[io.BytesIO]:
        with super()._open_for_write(filepath) as file:
            content = io.BytesIO()
            yield content
            file.write(content.getvalue() + hashlib.sha256(content.getvalue()).digest())

    def _load_index(self) -> dict[Any, str]:
        return super()._load_index() if _is_whole(self._index_path) else {}

    def _load_data(self, name: str) -> Any:
        path = self._data_path(name)
        if not _is_whole(path):
            raise FileNotFoundError(path)
        return super()._load_data(name)


def _is_whole(path: str) -> bool:
    try:
        content = Path(path).read_bytes()
    except OSError:
        return False
    return content[-32:] == hashlib.sha256(content[:-32]).digest()


class _Cache(FunctionCache):
    """Numba's cache of a kernel. If it cannot be read or written, the kernel is compiled in memory."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _CheckedFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def is_written(self) -> bool:
        """Return whether the cache has an index of compiled kernels for these sources."""
        return Path(self._cache_file._index_path).is_file()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        # The disk may be full, or the files may belong to another user.
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


@functools.cache
def _digest(folder: Path) -> str:
    """Return twelve hexadecimal digits that identify the sources in a folder, this file and `gridlens._constants`."""
    digest = hashlib.sha256()
    for path in [Path(__file__), Path(_constants.__file__), *sorted(folder.glob("*.py"))]:
        source = path.read_bytes()
        digest.update(f"{path.name} {len(source)} ".encode() + source)
    return digest.hexdigest()[:12]


@functools.cache
def _remove_stale(folder: Path, digest: str) -> None:
    """Remove cache files of earlier sources beside the sources, so that they do not accumulate during development.

    If the cache is elsewhere, two installations may share a folder, so files with other digests are kept.
    """
    for path in (folder / "__pycache__").glob("*.nb[ic]"):
        if digest not in path.name:
            # The folder is read-only, or another process was faster.
            with contextlib.suppress(OSError):
                path.unlink()
