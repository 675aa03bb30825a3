"""Subsets of the rows that a member is fitted to; for large arrays, in a temporary file."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["taken"]

_LARGE_BYTES = 2**28
_BLOCK_ROWS = 16384


@contextlib.contextmanager
def taken(X: Any, rows: np.ndarray) -> Iterator[Any]:
    """Yield ``X[rows]``; for an array of more than 256 MiB, memory-mapped from a temporary file.

    If all rows are selected in their order, `X` itself is yielded. Folds are fitted in several processes at once, each
    on four fifths of the rows, so copies in memory would take more space than the rows.
    """
    if len(rows) == len(X) and np.array_equal(rows, np.arange(len(X))):
        yield X
    elif not isinstance(X, np.ndarray) or len(rows) * X[:1].nbytes <= _LARGE_BYTES:
        yield X[rows]
    else:
        with tempfile.TemporaryFile(prefix="gridlens-rows-") as file:
            for start in range(0, len(rows), _BLOCK_ROWS):
                file.write(X[rows[start : start + _BLOCK_ROWS]].data)
            file.flush()
            yield np.memmap(file, dtype=X.dtype, mode="r", shape=(len(rows), *X.shape[1:]))
