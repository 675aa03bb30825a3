"""Some rows of what a member learns from; those of a large array in a file of their own."""

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
    """Yield ``X[rows]``; where that is an array of more than 256 MiB, mapped from a file that is gone afterwards.

    All rows in their order are `X` itself. Folds are fitted in several processes at once, each on four rows of five:
    in memory these copies would take more of it than the rows.
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
