"""Bounds on what a compressed chunk becomes, tested before it is decompressed into memory."""

import zlib

from gridlens.errors import CutoutError

__all__ = ["check_deflate", "check_expanded", "check_length"]

# What decompressing one chunk may take in the worst case without a closer look.
_SAFE_BYTES = 512 * 1024**2
_MAX_DEFLATE_RATIO = 1032
_OVERHEAD_BYTES = 64 * 1024
_MAX_STREAMS = 16
_STEP_BYTES = 1024**2


def check_length(stored: int, expected: int, name: str) -> None:
    """Raise CutoutError where a chunk is stored in many more bytes than it has in memory."""
    if stored > 2 * expected + _OVERHEAD_BYTES:
        raise CutoutError(
            f"A chunk of the array '{name}' takes {stored} bytes in the file, and should have {expected} in memory. "
            "The file is damaged: fetch or write it again."
        )


def check_deflate(data: bytes, expected: int, name: str, wbits: int) -> None:
    """Raise CutoutError where deflated data become many more bytes than `expected`, after holding 1 MiB at a time.

    Data that cannot become more than 512 MiB by their length are passed over, and so is damage, which reading
    finds. `wbits` is that of `zlib.decompressobj`.
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
    """Raise CutoutError where a chunk becomes many more bytes than it should have."""
    if total > 2 * expected + _OVERHEAD_BYTES:
        raise CutoutError(
            f"A chunk of the array '{name}' should have {expected} bytes in memory, and becomes more when it is "
            "decompressed. The file is damaged: fetch or write it again."
        )
