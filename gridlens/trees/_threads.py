"""Batches of rows for a kernel, in threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from joblib import effective_n_jobs

__all__ = ["by_batches"]


def by_batches(work: Callable[[slice], None], n: int, size: int, n_jobs: int) -> None:
    """Call `work` with each slice of `size` of `n` rows, in `n_jobs` threads; -1 uses all processors."""
    batches = [slice(begin, begin + size) for begin in range(0, n, size)]
    n_threads = min(effective_n_jobs(n_jobs), len(batches))
    if n_threads < 2:
        for batch in batches:
            work(batch)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(work, batches):
            pass
