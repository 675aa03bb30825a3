"""Quantities that depend only on the BCG position: the rings of its light profile and their overlap with patches.

They are computed once and reused while cutouts of one size have the BCG at the same position, as in most sets.
"""

import math

import numpy as np

from gridlens._jit import jit

__all__ = ["N_PATCHES", "fill_rings", "fill_shares", "patch_corner", "patch_side"]

N_PATCHES = 9


@jit
def patch_side(size):
    """Return the side of a patch, px, and the start of the first patch."""
    side = size // 3
    return side, (size - 3 * side) // 2


@jit
def patch_corner(size, patch):
    """Return the first row and column of a patch."""
    side, origin = patch_side(size)
    return origin + side * (patch // 3), origin + side * (patch % 3)


@jit
def fill_rings(size, bcg_x, bcg_y, ring, order, start, lower, weight):
    """Sort the pixels of a square cutout into rings about the BCG [5]; return the number of rings.

    `order` lists the pixels ring by ring, ring k from ``start[k]`` to ``start[k + 1]``: ring 0 extends to 2 px, the
    others are one pixel wide. `lower` and `weight` interpolate a profile at each pixel: its values are at the ring
    centres 1, 2.5, 3.5, ... px. `ring` is a work array for the ring of each pixel.
    """
    last = 0
    for y in range(size):
        row = slice(y * size, (y + 1) * size)
        ring_row, lower_row, weight_row = ring[row], lower[row], weight[row]
        square = (y - bcg_y) * (y - bcg_y)
        for x in range(size):
            dx = np.int32(x) - bcg_x
            r = math.sqrt(dx * dx + square)
            outside = r - 1.0 if r > 1.0 else 0.0
            place = outside / 1.5 if r < 2.5 else r - 1.5
            below = np.int32(place)
            lower_row[x] = below
            weight_row[x] = np.float32(place - below)
            ring_row[x] = np.int32(outside)
        last = max(last, ring_row[0], ring_row[size - 1])
    n_rings = last + 1
    for k in range(n_rings + 1):
        start[k] = 0
    for k in range(ring.shape[0]):
        start[ring[k] + 1] += 1
    for k in range(n_rings):
        start[k + 1] += start[k]
    for k in range(ring.shape[0]):
        order[start[ring[k]]] = k
        start[ring[k]] += 1
    # The start of each ring has moved to that of the next ring; move it back.
    for k in range(n_rings, 0, -1):
        start[k] = start[k - 1]
    start[0] = 0
    return n_rings


@jit
def fill_shares(size, n_rings, lower, weight, shares):
    """Fill the factors (9, n_rings + 1) that turn a profile into the sum of its radial model over each patch."""
    side, _ = patch_side(size)
    for patch in range(N_PATCHES):
        share = shares[patch]
        for k in range(n_rings + 1):
            share[k] = 0.0
        y0, x0 = patch_corner(size, patch)
        for y in range(y0, y0 + side):
            for k in range(y * size + x0, y * size + x0 + side):
                share[lower[k]] += 1.0 - weight[k]
                share[lower[k] + 1] += weight[k]
