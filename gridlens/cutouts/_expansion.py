"""Bounds on the size of a compressed chunk, checked before it is decompressed into memory."""

import zlib

from gridlens.errors import CutoutError

__all__ = ["check_deflate", "check_expanded", "check_length"]

# A chunk whose worst-case decompressed size is below this limit is not checked further.
_SAFE_BYTES = 512 * 1024**2
_MAX_DEFLATE_RATIO = 1032
_OVERHEAD_BYTES = 64 * 1024
_MAX_STREAMS = 16
_STEP_BYTES = 1024**2


def check_length(stored: int, expected: int, name: str) -> None:
    """Raise CutoutError if a stored chunk is much larger than it should be in memory."""
    if stored > 2 * expected + _OVERHEAD_BYTES:
        raise CutoutError(
            f"A chunk of the array '{name}' takes {stored} bytes in the file, but should take {expected} in memory. "
            "The file is damaged: download or write it again."
        )


def check_deflate(data: bytes, expected: int, name: str, wbits: int) -> None:
    """Raise CutoutError if deflated data expand to many more bytes than `expected`, using 1 MiB of memory at a time.

    Data too short to expand beyond 512 MiB are skipped, and so are damaged data, which fail when they are read. `wbits`
    is passed to `zlib.decompressobj`.
    """
    if len(data) * _MAX_DEFLATE_RATIO <= _SAFE_BYTES:
        return
    total = 0
    for _ in range(_MAX_STREAMS):
        stream = zlib.decompressobj(wbits)
        while data and not stream.eof:
            try:
                total += len(stream.decompress(data, _STEP_BYTES))
            except zlib.error:
                return
            data = stream.unconsumed_tail
            check_expanded(total, expected, name)
        data = stream.unused_data
        if not data:
            return
    raise CutoutError(f"A chunk of the array '{name}' is compressed in many parts. Write it again.")


def check_expanded(total: int, expected: int, name: str) -> None:
    """Raise CutoutError if a chunk expands to many more bytes than it should have."""
    if total > 2 * expected + _OVERHEAD_BYTES:
        raise CutoutError(
            f"A chunk of the array '{name}' should have {expected} bytes in memory, but expands to more when it is "
            "decompressed. The file is damaged: download or write it again."
        )
