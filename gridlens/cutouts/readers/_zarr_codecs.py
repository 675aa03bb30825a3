"""Supported filters and compressors of Zarr arrays, and bounds on the size of decoded chunks.

The metadata of a store select the code that decodes it. Codecs that can run code from the file (pickle), return
arbitrary objects (json2, msgpack) or expand without bound are refused, and so are all unknown codecs.
"""

import bz2
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridlens._ids import escaped
from gridlens.cutouts._expansion import check_deflate, check_expanded, check_length
from gridlens.errors import CutoutError

__all__ = ["CodecChain", "check_v2_type", "checked_codecs", "v2_codecs", "v3_codecs"]

_COMPRESSORS = frozenset({"gzip", "zlib", "bz2", "zstd", "blosc", "lz4"})
# These append four bytes; other checksums precede the values.
_CHECKSUMS = frozenset({"crc32c", "fletcher32"})
_CHECKSUM_BYTES = 4
_TEXT = frozenset({"vlen-utf8", "vlen-bytes"})
_LAYOUT = frozenset({"bytes", "transpose"})
# Numeric filters, which do not change the number of values.
_FILTERS = frozenset({"delta", "shuffle", "fixedscaleoffset", "quantize", "bitround", "astype", "crc32", "adler32"})
_ALLOWED = _COMPRESSORS | _CHECKSUMS | _TEXT | _LAYOUT | _FILTERS
_SHARDING = "sharding_indexed"
_INDEX_CODECS = ("bytes", "crc32c")
_PREFIX = "numcodecs."
_TYPE_KEYS = ("dtype", "astype", "encode_dtype", "decode_dtype")
# Bytes per value of the widest type: filters may work on a wider type than the array's.
_WIDEST = 8
_MAX_TEXT_BYTES = 64 * 1024**2
_ITEM_BYTES = 4
_STEP_BYTES = 1024**2


@dataclass(frozen=True)
class CodecChain:
    """The codecs of one array, in encoding order: safe codecs only, with at most one compressor."""

    codecs: tuple[tuple[str, Mapping[str, Any]], ...]
    inner_chunk: tuple[int, ...] | None = None
    """shape of the chunks in a shard; None if the array has no shards"""
    index_at_end: bool = True

    @property
    def is_text(self) -> bool:
        """True if the values are strings of variable length."""
        return any(name in _TEXT for name, _ in self.codecs)

    def check_chunk(self, data: Any, chunk_bytes: int, name: str) -> None:
        """Raise CutoutError if decoding a chunk would take far more memory than the chunk's size."""
        expected = _MAX_TEXT_BYTES if self.is_text else chunk_bytes
        if any(codec in _FILTERS for codec, _ in self.codecs):
            expected *= _WIDEST
        check_length(len(data), expected, name)
        codecs = list(self.codecs)
        while codecs and codecs[-1][0] in _CHECKSUMS:
            codecs.pop()
            data = data[:-_CHECKSUM_BYTES]
        if codecs and codecs[-1][0] in _COMPRESSORS:
            _CHECKS[codecs[-1][0]](data, expected, name)
            if self.is_text:
                data = _decoded(codecs[-1][0], data)
        if self.is_text:
            _check_items(data, name)


def v3_codecs(metadata: Mapping[str, Any]) -> list[Any]:
    """Return the codecs listed in `zarr.json`."""
    codecs = metadata.get("codecs")
    if not isinstance(codecs, list) or not codecs:
        raise CutoutError("The metadata of an array of the store name no codecs. Write the store again.")
    return codecs


def v2_codecs(metadata: Mapping[str, Any], name: str) -> list[Any]:
    """Return the filters and then the compressor listed in `.zarray`."""
    filters, compressor = metadata.get("filters"), metadata.get("compressor")
    if filters is not None and not isinstance(filters, list):
        raise CutoutError(f"The filters of the array '{name}' are not a list. Write the store again.")
    return [*(filters or []), *([] if compressor is None else [compressor])]


def check_v2_type(metadata: Mapping[str, Any], chain: CodecChain, name: str) -> None:
    """Raise CutoutError if the values of an array are records, or objects without a string codec."""
    dtype = metadata.get("dtype")
    if not isinstance(dtype, str):
        raise CutoutError(f"The array '{name}' must hold numbers or text. Got the type {dtype!r} instead.")
    if np.dtype(dtype).hasobject and not chain.is_text:
        raise CutoutError(f"The array '{name}' holds Python objects, but must hold numbers or text. Write it again.")


def checked_codecs(codecs: list[Any], name: str, key: str = "name") -> CodecChain:
    """Return the codecs of an array; raise CutoutError for unsupported codecs and for an unsafe order.

    `key` is the metadata key for the name of a codec: "name" in version 3, "id" in version 2.
    """
    chain = [_spelled(codec, key) for codec in codecs]
    if chain and chain[0][0] == _SHARDING:
        if len(chain) > 1:
            raise CutoutError(f"The array '{name}' has codecs around its shards. Write it without them.")
        return _shards(chain[0][1], name)
    for codec, configuration in chain:
        if codec not in _ALLOWED:
            raise CutoutError(
                f"The array '{name}' is encoded with {escaped(codec)!r}, which is not supported, since some codecs "
                "run code from the file. Write it with zstd, blosc or gzip."
            )
        _check_types(configuration, name)
    first = next((place for place, (codec, _) in enumerate(chain) if codec in _COMPRESSORS), len(chain))
    if any(codec not in _CHECKSUMS or "location" in configuration for codec, configuration in chain[first + 1 :]):
        raise CutoutError(f"The array '{name}' is compressed twice, or filtered after compression. Write it again.")
    return CodecChain(tuple(chain))


def _spelled(codec: Any, key: str) -> tuple[str, Mapping[str, Any]]:
    """Return the name of a codec, without the prefix for codecs from version 2, and its configuration."""
    if isinstance(codec, str):
        return codec.removeprefix(_PREFIX), {}
    if not isinstance(codec, dict) or not isinstance(codec.get(key), str):
        raise CutoutError("The metadata of an array of the store name a codec without a name. Write the store again.")
    configuration = codec if key == "id" else codec.get("configuration") or {}
    return codec[key].removeprefix(_PREFIX), configuration if isinstance(configuration, dict) else {}


def _shards(configuration: Mapping[str, Any], name: str) -> CodecChain:
    index = configuration.get("index_codecs", [])
    inner = configuration.get("codecs")
    shape = configuration.get("chunk_shape")
    if tuple(_spelled(codec, "name")[0] for codec in index) != _INDEX_CODECS or not isinstance(inner, list):
        raise CutoutError(
            f"The shard index of the array '{name}' is in an unsupported format. Write it with zarr-python."
        )
    chain = checked_codecs(inner, name)
    if chain.inner_chunk is not None or not isinstance(shape, list):
        raise CutoutError(
            f"The array '{name}' has nested shards, which are not supported. Write it with one level of shards."
        )
    return CodecChain(chain.codecs, tuple(shape), configuration.get("index_location", "end") == "end")


def _check_types(configuration: Mapping[str, Any], name: str) -> None:
    for key in _TYPE_KEYS:
        if key in configuration and np.dtype(configuration[key]).kind not in "biuf":
            raise CutoutError(
                f"A filter of the array '{name}' has the type {configuration[key]!r}, but must have a numeric type."
            )


def _check_items(data: Any, name: str) -> None:
    """Raise CutoutError if the stated number of strings, for which NumPy allocates memory, exceeds the data."""
    items = int.from_bytes(bytes(data[:_ITEM_BYTES]), "little")
    if items > max(0, len(data) - _ITEM_BYTES) // _ITEM_BYTES:
        raise CutoutError(f"The array '{name}' is damaged: it claims {items} strings in {len(data)} bytes.")


def _decoded(codec: str, data: Any) -> Any:
    import numcodecs

    return memoryview(numcodecs.get_codec({"id": codec}).decode(data)).cast("B")


def _check_bz2(data: Any, expected: int, name: str) -> None:
    stream, total, given = bz2.BZ2Decompressor(), 0, data
    while not stream.eof and (len(given) or not stream.needs_input):
        try:
            total += len(stream.decompress(given, _STEP_BYTES))
        except (OSError, ValueError):
            return  # the damage is found when the data are read
        given = b""
        check_expanded(total, expected, name)
    if stream.unused_data:
        raise CutoutError(f"A chunk of the array '{name}' is compressed in many parts. Write it again.")


def _check_blosc(data: Any, expected: int, name: str) -> None:
    check_expanded(int.from_bytes(bytes(data[4:8]), "little"), expected, name)


def _check_lz4(data: Any, expected: int, name: str) -> None:
    check_expanded(int.from_bytes(bytes(data[:4]), "little"), expected, name)


def _check_zstd(data: Any, expected: int, name: str) -> None:
    check_expanded(_zstd_bytes(bytes(data)), expected, name)


def _zstd_bytes(data: bytes) -> int:
    """Return the decoded size given by the first frame, or else the maximum decoded size of its blocks (RFC 8878)."""
    if not data.startswith(b"\x28\xb5\x2f\xfd") or len(data) < 6:
        return 0  # the damage is found when the data are decoded
    flags = data[4]
    single = flags >> 5 & 1
    at = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
    width = (single, 2, 4, 8)[flags >> 6]
    if width:
        return int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)
    total, last = 0, False
    while not last and at + 3 <= len(data):
        block = int.from_bytes(data[at : at + 3], "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        total += 128 * 1024 if kind == 2 else size
        at += 3 + (1 if kind == 1 else size)
    return total


_CHECKS = {
    "gzip": lambda data, expected, name: check_deflate(data, expected, name, zlib.MAX_WBITS | 16),
    "zlib": lambda data, expected, name: check_deflate(data, expected, name, zlib.MAX_WBITS),
    "bz2": _check_bz2,
    "blosc": _check_blosc,
    "lz4": _check_lz4,
    "zstd": _check_zstd,
}
