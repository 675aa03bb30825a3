"""A Zarr store that inspects every file before zarr decodes it. This module requires zarr."""

import struct
from typing import Any

from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.storage import WrapperStore

from gridlens.cutouts._expansion import check_length
from gridlens.cutouts.readers._zarr_codecs import CodecChain
from gridlens.cutouts.readers._zarr_files import StoreFiles
from gridlens.errors import CutoutError

__all__ = ["GuardedStore"]

_MAX_METADATA_BYTES = 16 * 1024**2
_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_INDEX_ENTRY_BYTES = 16
_INDEX_CHECKSUM_BYTES = 4
_MISSING = 2**64 - 1
_MAX_INDICES = 64


class GuardedStore(WrapperStore[Any]):
    """Wrapper around a store that only returns accepted files, and chunks that do not expand beyond their size.

    Parameters
    ----------
    store : zarr.abc.store.Store
    files : StoreFiles
        The files of the same store.
    prefix : str
        Folder of the zip file that is the root of `files`, otherwise "".
    """

    def __init__(self, store: Any, files: StoreFiles, prefix: str = "") -> None:
        super().__init__(store)
        self._files = files
        self._prefix = f"{prefix}/" if prefix else ""
        self._arrays: dict[str, _Guard] = {}

    def guard(self, name: str, chain: CodecChain, chunk_bytes: int, n_inner: int) -> None:
        """Inspect the chunks of the array with this name ("" for the root) from now on."""
        self._arrays[name] = _Guard(name or "pixels", chain, chunk_bytes, n_inner)

    def _with_store(self, store: Any) -> "GuardedStore":
        return GuardedStore(store, self._files, self._prefix.rstrip("/"))

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Return the bytes of a file, or None if it is missing."""
        inner = key.removeprefix(self._prefix)
        size = self._files.size(inner)
        if size is None:
            return None
        if inner.rpartition("/")[2] in _METADATA:
            if size > _MAX_METADATA_BYTES:
                raise CutoutError(f"The metadata {inner} of the store take {size / 1e6:.0f} MB. Write the store again.")
            return await self._store.get(key, prototype, byte_range)
        guard = self._arrays.get(inner.partition("/")[0]) or self._arrays.get("")
        if guard is None:
            raise CutoutError(
                f"The file {inner} of the store does not belong to an array that is read. Write the store again."
            )
        guard.check_size(size, byte_range)
        value = await self._store.get(key, prototype, byte_range)
        if value is not None:
            guard.check(inner, size, memoryview(value.as_numpy_array()).cast("B"), byte_range)
        return value


class _Guard:
    """Checker of the chunks of one array. Chunks in shards are checked one by one, using the shard index."""

    def __init__(self, name: str, chain: CodecChain, chunk_bytes: int, n_inner: int) -> None:
        self._name, self._chain, self._chunk_bytes, self._n_inner = name, chain, chunk_bytes, n_inner
        self._index_bytes = n_inner * _INDEX_ENTRY_BYTES + _INDEX_CHECKSUM_BYTES
        self._indices: dict[str, dict[int, int]] = {}

    def check_size(self, size: int, byte_range: Any) -> None:
        """Raise CutoutError if a file is too large for a chunk, or for a shard that is read completely."""
        if self._chain.inner_chunk is None:
            if not self._chain.is_text:
                check_length(size, 8 * self._chunk_bytes, self._name)
        elif byte_range is None:
            check_length(size, self._n_inner * 8 * self._chunk_bytes + self._index_bytes, self._name)

    def check(self, key: str, size: int, data: memoryview, byte_range: Any) -> None:
        """Raise CutoutError if a chunk in the bytes would expand too much."""
        if self._chain.inner_chunk is None:
            self._chain.check_chunk(data, self._chunk_bytes, self._name)
            return
        start = _start(byte_range, size)
        if self._has_index(start, len(data), size):
            self._keep_index(key, data)
        index = self._indices.get(key, {})
        if index.get(start) == len(data):
            index = {start: len(data)}
        for offset, length in index.items():
            if start <= offset and offset + length <= start + len(data):
                self._chain.check_chunk(data[offset - start :][:length], self._chunk_bytes, self._name)

    def _has_index(self, start: int, length: int, size: int) -> bool:
        index_start = size - self._index_bytes if self._chain.index_at_end else 0
        return start <= index_start and index_start + self._index_bytes <= start + length

    def _keep_index(self, key: str, data: memoryview) -> None:
        if len(self._indices) >= _MAX_INDICES:
            self._indices.clear()
        index = data[-self._index_bytes :] if self._chain.index_at_end else data[: self._index_bytes]
        entries = struct.iter_unpack("<QQ", index[:-_INDEX_CHECKSUM_BYTES])
        self._indices[key] = {offset: length for offset, length in entries if offset != _MISSING}


def _start(byte_range: Any, size: int) -> int:
    """Return the offset at which a byte range begins in a file of this size."""
    if isinstance(byte_range, RangeByteRequest):
        return int(byte_range.start)
    if isinstance(byte_range, SuffixByteRequest):
        return max(0, size - int(byte_range.suffix))
    return 0 if byte_range is None else int(byte_range.offset)
