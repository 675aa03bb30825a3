"""Calls of a compiled kernel on chunks of cutouts, in threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from gridlens.cutouts import CutoutSet

__all__ = ["in_chunks"]

# Cutouts in one call of the kernel: few enough that Ctrl-C is heard and the last thread is not waited for.
_CHUNK = 16


def in_chunks(cutouts: CutoutSet, n_jobs: int, make_room: Callable[[], Any], call: Callable[..., None]) -> None:
    """Call a kernel on all cutouts; each of `n_jobs` threads has a room to work in and takes the next chunk.

    Parameters
    ----------
    cutouts : CutoutSet of n
    n_jobs : int
        Threads.
    make_room : callable
        Makes the room of a thread.
    call : callable
        Called with the room, the rows of the chunk as a slice, and their pixels (read-only), places of the BCG and
        pixel scales as the kernels take them.
    """
    # A range's iterator hands each chunk to one thread: `next` on it cannot be interrupted by another one.
    waiting = iter(range(0, len(cutouts), _CHUNK))

    def work(_: int) -> None:
        room = make_room()
        for begin in waiting:
            chunk = slice(begin, begin + _CHUNK)
            # Read-only arrays are another type to numba; given one type, it compiles once.
            pixels = np.require(cutouts.pixels[chunk], np.float32, ["C"]).view()
            pixels.flags.writeable = False
            call(
                room,
                chunk,
                pixels,
                np.array(cutouts.bcg_xy[chunk], np.float64, order="C"),
                np.array(cutouts.pixel_scale[chunk], np.float64, order="C"),
            )

    if n_jobs == 1:
        work(0)
        return
    with ThreadPoolExecutor(n_jobs) as pool:
        for _ in pool.map(work, range(n_jobs)):
            pass
