"""Open Zarr stores for reading cutouts after inspecting their metadata."""

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from gridlens.cutouts._damage import import_library
from gridlens.cutouts.readers._chunks import MAX_CHUNK_BYTES, Stored, believed_rows, find_columns, pixels_name
from gridlens.cutouts.readers._zarr_codecs import CodecChain, check_v2_type, checked_codecs, v2_codecs, v3_codecs
from gridlens.cutouts.readers._zarr_files import FolderFiles, StoreFiles, ZipFiles, open_files, read_json
from gridlens.errors import CutoutError

__all__ = ["open_zarr"]

_MAX_INNER_CHUNKS = 10**6
# Entries that consolidated metadata must repeat exactly, since they determine how values are read.
_SAME = ("shape", "data_type", "chunk_grid", "codecs", "dtype", "chunks", "compressor", "filters", "order")


@contextlib.contextmanager
def open_zarr(path: str) -> Iterator[Stored]:
    """Open the arrays of cutouts in a Zarr store, a folder or a zip file, without reading their values.

    Raises
    ------
    CutoutError
        There are no pixels, the metadata are damaged or outside the store, or an array has an unsupported codec.
    """
    zarr = import_library("zarr", "Zarr stores")
    with contextlib.ExitStack() as stack:
        files = stack.enter_context(contextlib.closing(open_files(path)))
        below = _below(zarr, path, files)
        stack.callback(_close, below)
        yield _Store(zarr, below, files).stored()


def _below(zarr: Any, path: str, files: FolderFiles | ZipFiles) -> Any:
    if isinstance(files, ZipFiles):
        return zarr.storage.ZipStore(path, mode="r")
    return zarr.storage.LocalStore(path, read_only=True)


def _close(store: Any) -> None:
    with contextlib.suppress(AttributeError):  # raised by zarr for a zip file that it has not opened yet
        store.close()


class _Store:
    """The arrays of a store, with their metadata inspected before they are passed to zarr."""

    def __init__(self, zarr: Any, below: Any, files: FolderFiles | ZipFiles) -> None:
        from gridlens.cutouts.readers._zarr_store import GuardedStore

        self._zarr, self._files = zarr, files
        self._folder = files.folder if isinstance(files, ZipFiles) else ""
        self._store = GuardedStore(below, files, self._folder)
        self._root, self.version = _root(files)
        self._consolidated = _consolidated(files, self._root, self.version)

    def stored(self) -> Stored:
        lone = _is_array(self._root, self.version)
        names = [] if lone else self._names()
        name = "" if lone else pixels_name(names)
        pixels = self.array(name)
        owners = [pixels.attrs] if lone else [pixels.attrs, self._attributes()]
        columns = find_columns(names, self.array, owners)
        blocks = _Blocks(self._files, name, pixels)
        chunk = pixels.chunks[0] if pixels.chunks else 1
        return Stored(name, pixels, columns, chunk, blocks.held, blocks.has, random=True)

    def array(self, name: str) -> Any:
        """Open the array with this name, "" for the root of the store."""
        metadata = self._metadata(name)
        codecs = v3_codecs(metadata) if self.version == 3 else v2_codecs(metadata, name)
        chain = checked_codecs(codecs, name or "pixels", "name" if self.version == 3 else "id")
        if self.version == 2:
            check_v2_type(metadata, chain, name or "pixels")
        path = "/".join(filter(None, (self._folder, name)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr warns about types without a final specification
            array = self._zarr.open_array(self._store, mode="r", path=path, zarr_format=self.version)
        self._guard(array, name, chain)
        return array

    def _guard(self, array: Any, name: str, chain: CodecChain) -> None:
        shown = name or "pixels"
        if (array.dtype.kind in "OT") != chain.is_text:
            raise CutoutError(f"The array '{shown}' has the type {array.dtype}, which does not fit its codecs.")
        inner = chain.inner_chunk or array.chunks
        chunk_bytes = math.prod(inner) * array.dtype.itemsize
        n_inner = math.prod(array.shards or inner) // max(1, math.prod(inner))
        if chunk_bytes > MAX_CHUNK_BYTES or n_inner > _MAX_INNER_CHUNKS:
            raise CutoutError(
                f"The array '{shown}' is stored in chunks of {chunk_bytes / 1e6:.0f} MB, {n_inner} per file, too "
                "large to hold in memory. Write it in chunks of a few cutouts."
            )
        self._store.guard(name, chain, chunk_bytes, n_inner)

    def _names(self) -> list[str]:
        marks = ("zarr.json",) if self.version == 3 else (".zarray", ".zgroup")
        found = dict.fromkeys(self._files.names(""))
        return [name for name in found if any(self._files.size(f"{name}/{mark}") is not None for mark in marks)]

    def _metadata(self, name: str) -> Mapping[str, Any]:
        metadata = read_json(self._files, _key(name, self.version)) if name else self._root
        if metadata is None or not _is_array(metadata, self.version):
            raise CutoutError(
                f"There is a group {name!r} where an array is expected. Store the array itself under that name."
            )
        other = self._consolidated.get(name if self.version == 3 else f"{name}/.zarray")
        if isinstance(other, dict) and any(other.get(key) != metadata.get(key) for key in _SAME):
            raise CutoutError(
                f"The consolidated metadata of the store and those of the array '{name}' differ. Consolidate them "
                "again (zarr.consolidate_metadata)."
            )
        return metadata

    def _attributes(self) -> Mapping[str, Any]:
        attributes = self._root.get("attributes") if self.version == 3 else read_json(self._files, ".zattrs")
        return attributes if isinstance(attributes, dict) else {}


class _Blocks:
    """Counter of the cutouts with stored chunks: a store may claim any number, and missing chunks are blank."""

    def __init__(self, files: StoreFiles, name: str, array: Any) -> None:
        self._files, self._name, self._n = files, name, array.shape[0] if array.shape else 0
        self._step = max(1, (array.shards or array.chunks or (1,))[0])
        self._zeros = [0] * (len(array.shape) - 1)

    def has(self, row: int) -> bool:
        """Return whether the first chunk of a row is stored."""
        corner = [str(place) for place in (row // self._step, *self._zeros)]
        spelled = (mark + separator.join(corner) for separator in "/." for mark in ("", f"c{separator}"))
        return any(self._files.size("/".join(filter(None, (self._name, key)))) is not None for key in spelled)

    def held(self) -> int:
        """Return the number of rows that the stored chunks can hold."""
        listed = [*self._files.names(self._name), *self._files.names("/".join(filter(None, (self._name, "c"))))]
        stored = len({place for name in listed if (place := _first_place(name)) is not None})
        return believed_rows(self._n, stored * self._step, self._step)


def _first_place(name: str) -> str | None:
    """Return the first-axis index in the name of a chunk or of a folder of chunks; None for other files."""
    place = name.removeprefix("c.").partition(".")[0]
    return place if place.isdecimal() else None


def _root(files: StoreFiles) -> tuple[Mapping[str, Any], int]:
    """Return the metadata at the root of the store, and the version of the format."""
    for key, version in (("zarr.json", 3), (".zarray", 2), (".zgroup", 2)):
        metadata = read_json(files, key)
        if metadata is not None:
            return metadata, version
    raise CutoutError(
        "The file is damaged or does not match its name (there is no zarr.json, .zarray or .zgroup in the store). "
        "Download or write it again."
    )


def _consolidated(files: StoreFiles, root: Mapping[str, Any], version: int) -> Mapping[str, Any]:
    found = root.get("consolidated_metadata") if version == 3 else read_json(files, ".zmetadata")
    entries = found.get("metadata") if isinstance(found, dict) else None
    return entries if isinstance(entries, dict) else {}


def _key(name: str, version: int) -> str:
    return f"{name}/zarr.json" if version == 3 else f"{name}/.zarray"


def _is_array(metadata: Mapping[str, Any], version: int) -> bool:
    return metadata.get("node_type") == "array" if version == 3 else "shape" in metadata
