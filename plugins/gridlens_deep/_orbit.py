"""Flips and turns of a square: of images, and of the filters shared between them."""

from __future__ import annotations

from functools import cache

import numpy as np

__all__ = ["orbit", "turned_array"]


def turned_array(images: np.ndarray, version: int) -> np.ndarray:
    """Return a view of images (..., H, H) after a flip or turn, numbered as in `gridlens.features.dihedral`."""
    return np.rot90(images[..., ::-1] if version >= 4 else images, version % 4, (-2, -1))


@cache
def orbit(n_channels: int, kernel: int, n_copies: int, *, lifts: bool) -> np.ndarray:
    """Return, for each copy of a filter, the indices of its weights in the flattened filter.

    Parameters
    ----------
    n_channels : int
        Number of input channels. For maps of a layer with shared filters, the flips and turns vary slowest: a copy of a
        filter also permutes these channels accordingly.
    kernel : int
        Side of the kernel, px.
    n_copies : int
        8, or 4 for turns only, in the order of `gridlens.features.dihedral`.
    lifts : bool
        Whether the channels are those of an image rather than of flips and turns.

    Returns
    -------
    ndarray of shape (n_copies, n_channels * kernel**2), int64
    """
    channels = 1 if lifts else n_copies
    places = np.arange(n_channels * kernel**2).reshape(channels, n_channels // channels, kernel, kernel)
    sources = np.zeros((n_copies, 1), dtype=np.int64) if lifts else _sources(n_copies)
    found = np.stack([turned_array(places[sources[k]], k) for k in range(n_copies)]).reshape(n_copies, -1)
    found.flags.writeable = False
    return found


def _sources(n_copies: int) -> np.ndarray:
    """Return, for each copy and each flip or turn of its input, the source flip or turn, (n, n)."""
    square = np.arange(4).reshape(2, 2)
    number = {turned_array(square, k).tobytes(): k for k in range(n_copies)}
    after = np.array(
        [
            [number[turned_array(first, k).tobytes()] for first in (turned_array(square, j) for j in range(n_copies))]
            for k in range(n_copies)
        ]
    )
    return np.argsort(after, axis=1)
