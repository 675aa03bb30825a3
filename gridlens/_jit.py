"""The one place that says how kernels are compiled.

Every kernel in the package is decorated from here: with `entry` if Python calls it, with `jit` if other kernels do,
with `part` if it is a piece of one other kernel. NaN is data in a cutout, so `fastmath` never holds the flags `nnan`
and `ninf`; nor `reassoc`, so that a sum does not depend on how many numbers a processor adds at once.

Numba optimises a compiled function again inside each one that calls it, hence the three: what Python does not call gets
no wrapper to be called by, and a large piece of a single kernel is put into it before it is compiled.

Entries are cached beside the package. Where neither the package nor a home folder can be written (say, a node of a
cluster), numba raises when the function is decorated, and the kernel is compiled in memory instead. Numba compiles
callees and constants into the caller, but looks at the caller's own file alone to see whether a cached kernel is fresh.
Here the names of the cache files hold a digest of every source that may go into a kernel: the files of its folder,
this one and `gridlens._constants`; kernels take compiled functions and constants from nowhere else
(`tests/test_rooms.py`).

Numba trusts what it finds in its cache: a damaged index raises at every call, and a damaged kernel may crash or compute
something else. Here each file of the cache ends in a digest of its content, and a file that fails the check is compiled
and written again.
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
    """Return whether a kernel that `entry` made was compiled before, by this process or into the cache."""
    if not isinstance(kernel, Dispatcher):  # NUMBA_DISABLE_JIT
        return True
    cache: Any = getattr(kernel, "_cache", None)
    return bool(kernel.signatures) or (isinstance(cache, _Cache) and cache.is_written())


class _CheckedFile(IndexDataCacheFile):
    """Files of numba's cache that end in a digest, which pickle ignores; a damaged file counts as missing."""

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
    """Numba's cache of a kernel. Where it cannot be read or written, the kernel is compiled in memory."""

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
        # A full disk, or files of another user.
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


@functools.cache
def _digest(folder: Path) -> str:
    """Twelve hexadecimal digits that identify the sources in a folder, this file and `gridlens._constants`."""
    digest = hashlib.sha256()
    for path in [Path(__file__), Path(_constants.__file__), *sorted(folder.glob("*.py"))]:
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
