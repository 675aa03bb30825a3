"""Patch features without arc candidates: light, colours, edges, geometry (section "patches" of the contract)."""

import math

import numpy as np

from gridlens._jit import jit
from gridlens.features._arcs import colours, magnitude
from gridlens.features._geometry import N_PATCHES, patch_corner, patch_side
from gridlens.features._maps import total

__all__ = ["N_COLUMNS", "N_PATCH_FEATURES", "N_SUMS", "light", "place"]

N_PATCH_FEATURES = 34
FIRST_POSITION = 25
N_BANDS = 3
# Columns of the sums over a patch that follow the columns of the bands.
_SQUARES, _SMOOTH, _EDGES, N_COLUMNS = 3, 6, 7, 8
_LEVEL, N_SUMS = 8, 9
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
# Threshold for a Sobel magnitude of 2: the weights are 1 2 1 / 4, and the magnitude is the root of half the sum of
# squares.
_EDGE = np.float32(2.0 * 16.0 * 2.0**2)


@jit
def light(planes, white0, white, sigma, fluxes, profile, shares, n_rings, lines, columns, sums, out):
    """Fill the features of light, colour and edges of all patches, (306,).

    `lines`, `columns` and `sums` are work arrays.
    """
    size = white.shape[0]
    side, origin = patch_side(size)
    n = side * side
    for band in range(3):
        sum_columns(planes, white0, white, origin + band * side, side, lines, columns)
        # One loop instead of two, here and below: the inner loop would be unrolled into much larger code.
        for j in range(3 * N_COLUMNS):
            column, k = j // N_COLUMNS, j % N_COLUMNS
            x0 = origin + column * side
            sums[3 * band + column, k] = total(columns[k, x0 : x0 + side])
    for patch in range(N_PATCHES):
        sums[patch, _LEVEL] = 0.0
    for k in range(N_PATCHES * N_BANDS):
        patch, b = k // N_BANDS, k % N_BANDS
        first = patch * N_PATCH_FEATURES
        mean = sums[patch, b] / n
        variance = max(sums[patch, _SQUARES + b] / n - mean * mean, 0.0)
        out[first + b] = math.asinh(mean)
        out[first + 3 + b] = math.log(math.sqrt(variance) + 1e-6)
        sums[patch, _LEVEL] += mean / N_BANDS
        sums[patch, b] = (sums[patch, b] - dot(shares[patch], profile[b], n_rings + 1)) * sigma[b]
    gr0, ri0 = magnitude(fluxes[0], fluxes[1]), magnitude(fluxes[1], fluxes[2])
    for patch in range(N_PATCHES):
        first = patch * N_PATCH_FEATURES
        gr, ri = colours(sums[patch, 0], sums[patch, 1], sums[patch, 2], sigma)
        out[first + 6], out[first + 7] = gr - gr0, ri - ri0
        out[first + 8] = sums[patch, _EDGES] / n
        out[first + 13] = math.asinh(sums[patch, _SMOOTH] / n)
    contrast(sums, out)


@jit
def dot(a, b, n):
    """Return the sum of products of the first `n` numbers."""
    out = 0.0
    for k in range(n):
        out += a[k] * b[k]
    return out


@jit
def sum_columns(planes, white0, white, y0, rows, lines, columns):
    """Sum rows by column into `columns` (N_COLUMNS, size): light, its squares, white0, edges."""
    for k in range(N_COLUMNS):
        fill(columns[k])
    for y in range(y0, y0 + rows):
        for b in range(N_BANDS):
            add_squares(planes[b, y], columns[b], columns[_SQUARES + b])
        add(white0[y], columns[_SMOOTH])
        add_edges(white, y, lines, columns[_EDGES])


@jit
def fill(values):
    """Set values to 0."""
    for x in range(values.shape[0]):
        values[x] = 0.0


@jit
def add(row, sums):
    """Add a row to sums."""
    for x in range(row.shape[0]):
        sums[x] += row[x]


@jit
def add_squares(row, sums, squares):
    """Add a row and its squares to sums, in float64, which is accurate enough for the variance."""
    for x in range(row.shape[0]):
        value = np.float64(row[x])
        sums[x] += value
        squares[x] += value * value


@jit
def contrast(sums, out):
    """Fill the contrast between each patch's band-averaged S/N and that of the other eight."""
    all_levels = 0.0
    for patch in range(N_PATCHES):
        all_levels += sums[patch, _LEVEL]
    for patch in range(N_PATCHES):
        level = sums[patch, _LEVEL]
        others = (all_levels - level) / (N_PATCHES - 1)
        out[patch * N_PATCH_FEATURES + 9] = (level - others) / (abs(level) + abs(others) + 1e-6)


@jit
def add_edges(image, y, lines, sums):
    """Count the pixels of a row whose Sobel magnitude is above the edge level; `lines` is a work array."""
    size = image.shape[0]
    over, here, under = image[max(y - 1, 0)], image[y], image[min(y + 1, size - 1)]
    across, along = lines[0], lines[1]
    across_inner, along_inner = across[1 : size + 1], along[1 : size + 1]
    for x in range(size):
        across_inner[x] = over[x] + here[x] + here[x] + under[x]
        along_inner[x] = under[x] - over[x]
    across[0], across[size + 1] = across[1], across[size]
    along[0], along[size + 1] = along[1], along[size]
    across_left, across_right = across[0:size], across[2 : size + 2]
    along_left, along_right = along[0:size], along[2 : size + 2]
    for x in range(size):
        gx = across_right[x] - across_left[x]
        gy = along_left[x] + along_inner[x] + along_inner[x] + along_right[x]
        sums[x] += _ONE if gx * gx + gy * gy > _EDGE else _ZERO


@jit
def place(size, bcg_x, bcg_y, pixel_scale, out):
    """Fill the geometric features relative to the BCG and the position flags of all patches."""
    side, _ = patch_side(size)
    for patch in range(N_PATCHES):
        row = out[patch * N_PATCH_FEATURES : (patch + 1) * N_PATCH_FEATURES]
        y0, x0 = patch_corner(size, patch)
        dx, dy = x0 + 0.5 * (side - 1) - bcg_x, y0 + 0.5 * (side - 1) - bcg_y
        distance = math.hypot(dx, dy) * pixel_scale
        row[10] = distance
        row[11] = math.atan2(dy, dx)
        row[12] = 0.0 if distance < 10.0 else 1.0 if distance < 20.0 else 2.0
        for k in range(N_PATCHES):
            row[FIRST_POSITION + k] = 1.0 if k == patch else 0.0
