"""Resampling of a square map to a grid centred on the BCG: a Gaussian filter if needed, then linear interpolation.

The functions use plain arrays. The Gaussian is truncated at four standard deviations, with the map reflected at its
edges; grid pixels outside the map are 0.
"""

import math
from typing import NamedTuple

import numpy as np

from gridlens._jit import jit
from gridlens.features._maps import MIN_SCALE

__all__ = ["GridRoom", "aim", "make_grid_room", "resample"]

# px; for smaller offsets from the grid, interpolation would blur more than it would improve the centring.
NEAR = 0.05
TRUNCATE = 4.0  # standard deviations

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


class GridRoom(NamedTuple):
    """Work arrays of one thread to resample maps of one size to one grid; `aim` fills the first seven."""

    first: np.ndarray  # (2, grid size) int64: map row and column before each of the grid, -1 outside the map
    following: np.ndarray  # (2, grid size) float32: weights of the next map row and column
    left: np.ndarray  # (grid size,) int64: column before each column of the grid
    right: np.ndarray  # (grid size,) int64: column after it
    near: np.ndarray  # (grid size,) float32: weight of the left column
    far: np.ndarray  # (grid size,) float32: weight of the right column
    taps: np.ndarray  # (2 largest radius + 1,) float32: the Gaussian
    line: np.ndarray  # (map size + 2 largest radius,) float32: a row with reflected margins
    blurred: np.ndarray  # (map size,) float32


def make_grid_room(size: int, grid_size: int, grid_scale: float) -> GridRoom:
    """Allocate work arrays to resample maps of `size` px to a grid of `grid_size` px of `grid_scale` arcsec."""
    radius = int(TRUNCATE * 0.5 * grid_scale / MIN_SCALE + 0.5)
    return GridRoom(
        first=np.empty((2, grid_size), np.int64),
        following=np.empty((2, grid_size), np.float32),
        left=np.empty(grid_size, np.int64),
        right=np.empty(grid_size, np.int64),
        near=np.empty(grid_size, np.float32),
        far=np.empty(grid_size, np.float32),
        taps=np.empty(2 * radius + 1, np.float32),
        line=np.empty(size + 2 * radius, np.float32),
        blurred=np.empty(size, np.float32),
    )


@jit
def aim(size, bcg_x, bcg_y, pixel_scale, grid_scale, room):
    """Fill the indices and weights of a grid centred on the BCG; return the radius of the Gaussian, px."""
    n = room.left.shape[0]
    furthest = 0.0
    for j in range(n):
        step = (j - 0.5 * (n - 1)) * grid_scale / pixel_scale
        furthest = max(furthest, off_centre(bcg_x + step), off_centre(bcg_y + step))
    picked = furthest < NEAR
    for axis in range(2):
        for j in range(n):
            place = (bcg_x if axis == 1 else bcg_y) + (j - 0.5 * (n - 1)) * grid_scale / pixel_scale
            if picked:
                place = math.floor(place + 0.5)
            inside = 0.0 <= place <= size - 1
            below = math.floor(place) if inside else -1.0
            room.first[axis, j] = np.int64(below)
            room.following[axis, j] = np.float32(place - below) if inside else _ZERO
    for j in range(n):
        at, far = room.first[1, j], room.following[1, j]
        room.left[j], room.right[j] = max(at, 0), min(at + 1, size - 1)
        room.near[j], room.far[j] = _ONE - far if at >= 0 else _ZERO, far
    return fill_taps(1.0 if picked else grid_scale / pixel_scale, room.taps)


@jit
def off_centre(place):
    """Return the distance of a position to the nearest pixel centre."""
    return abs(place - math.floor(place + 0.5))


@jit
def fill_taps(step, taps):
    """Fill the Gaussian needed for samples every `step` px; return its radius, 0 for none."""
    sigma = 0.5 * math.sqrt(step * step - 1.0) if step > 1.0 else 0.0
    radius = np.int64(TRUNCATE * sigma + 0.5)
    if radius == 0:
        taps[0] = _ONE
        return radius
    total = 0.0
    for k in range(-radius, radius + 1):
        total += math.exp(-0.5 * (k / sigma) ** 2)
    for k in range(-radius, radius + 1):
        taps[k + radius] = np.float32(math.exp(-0.5 * (k / sigma) ** 2) / total)
    return radius


@jit
def reflected(k, n):
    """Return the index into an array of `n` values, reflected at its edges, for an index outside."""
    k = k % (2 * n)
    return k if k < n else 2 * n - 1 - k


@jit
def resample(image, radius, room, out):
    """Resample a map (float32, square) to the grid set by `aim`, into `out`; `radius` is the result of `aim`."""
    size = image.shape[0]
    taps, line, blurred = room.taps, room.line[: size + 2 * radius], room.blurred
    inner = line[radius : radius + size]
    for j in range(out.shape[0]):
        row = out[j]
        first, following = room.first[0, j], room.following[0, j]
        if first < 0:
            for x in range(row.shape[0]):
                row[x] = _ZERO
            continue
        add_rows(image, first - radius, following, taps, radius, inner)
        for k in range(radius):
            line[k], line[radius + size + k] = inner[reflected(k - radius, size)], inner[reflected(size + k, size)]
        if radius == 0:
            interpolate(inner, room, row)
            continue
        for x in range(size):
            blurred[x] = _ZERO
        for k in range(2 * radius + 1):
            weight, shifted = taps[k], line[k : k + size]
            for x in range(size):
                blurred[x] += weight * shifted[x]
        interpolate(blurred, room, row)


@jit
def add_rows(image, first, following, taps, radius, out):
    """Fill `out` with a blurred and interpolated row of a map: a weighted sum of its rows from `first`."""
    size = image.shape[0]
    for x in range(size):
        out[x] = _ZERO
    for k in range(2 * radius + 2):
        weight = (_ONE - following) * taps[k] if k <= 2 * radius else _ZERO
        if k > 0:
            weight += following * taps[k - 1]
        if weight != _ZERO:
            row = image[reflected(first + k, size)]
            for x in range(size):
                out[x] += weight * row[x]


@jit
def interpolate(line, room, out):
    """Fill a row of the grid from a row of the map."""
    left, right, near, far = room.left, room.right, room.near, room.far
    for x in range(out.shape[0]):
        out[x] = near[x] * line[left[x]] + far[x] * line[right[x]]
