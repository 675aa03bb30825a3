"""Calls of a compiled kernel on batches of cutouts, in threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from gridlens.cutouts import CutoutSet

__all__ = ["in_batches"]

# Cutouts per kernel call: few enough that Ctrl-C works promptly and the threads finish at about the same time.
_BATCH_SIZE = 16


def in_batches(cutouts: CutoutSet, n_jobs: int, make_room: Callable[[], Any], call: Callable[..., None]) -> None:
    """Call a kernel on all cutouts; each of `n_jobs` threads has its own work arrays and takes the next batch.

    Parameters
    ----------
    cutouts : CutoutSet of n
    n_jobs : int
        Number of threads.
    make_room : callable
        Function that creates the work arrays of a thread.
    call : callable
        Function called with the work arrays, the rows of the batch as a slice, and their pixels (read-only), BCG
        positions and pixel scales in the form that the kernels expect.
    """
    # The iterator of a range gives each batch to one thread only: `next` on it is atomic.
    waiting = iter(range(0, len(cutouts), _BATCH_SIZE))

    def work(_: int) -> None:
        room = make_room()
        for begin in waiting:
            batch = slice(begin, begin + _BATCH_SIZE)
            # Read-only arrays are a different type for Numba; with a single type, it compiles once.
            pixels = np.require(cutouts.pixels[batch], np.float32, ["C"]).view()
            pixels.flags.writeable = False
            call(
                room,
                batch,
                pixels,
                np.array(cutouts.bcg_xy[batch], np.float64, order="C"),
                np.array(cutouts.pixel_scale[batch], np.float64, order="C"),
            )

    if n_jobs == 1:
        work(0)
        return
    with ThreadPoolExecutor(n_jobs) as pool:
        for _ in pool.map(work, range(n_jobs)):
            pass
