"""Features of the patches that need no arc candidate: light, colours, edges, geometry ("patches" of the contract)."""

import math

import numpy as np

from gridlens._jit import jit
from gridlens.features._arcs import colours
from gridlens.features._geometry import N_PATCHES, patch_corner, patch_side

__all__ = ["N_PATCH_FEATURES", "N_SUMS", "light", "place"]

N_PATCH_FEATURES = 34
FIRST_POSITION = 25
N_BANDS = 3
# Columns of the sums over a patch after those of the bands.
_SMOOTH, _EDGES, _LEVEL, N_SUMS = 3, 4, 5, 6
# Sobel magnitude over 2: its weights are 1 2 1 / 4, the magnitude is the root of half of the sum of squares.
_EDGE = np.float32(2.0 * 16.0 * 2.0**2)


@jit
def light(planes, white0, white, sigma, fluxes, profile, shares, n_rings, lines, sums, out):
    """Fill the features of light, colour and edges of all patches, (306,); `lines` and `sums` are room to work in."""
    size = white.shape[0]
    side, origin = patch_side(size)
    n = side * side
    gr0, ri0 = colours(fluxes[0], fluxes[1], fluxes[2])
    for patch in range(N_PATCHES):
        for k in range(N_SUMS):
            sums[patch, k] = 0.0
    for y in range(origin, origin + 3 * side):
        edge_row = sobel(white, y, lines)
        for column in range(3):
            patch = 3 * ((y - origin) // side) + column
            x0, x1 = origin + column * side, origin + (column + 1) * side
            for b in range(N_BANDS):
                sums[patch, b] += total(planes[b, y, x0:x1])
            sums[patch, _SMOOTH] += total(white0[y, x0:x1])
            sums[patch, _EDGES] += above(edge_row[x0:x1], _EDGE)
    for patch in range(N_PATCHES):
        y0, x0 = patch_corner(size, patch)
        row = out[patch * N_PATCH_FEATURES : (patch + 1) * N_PATCH_FEATURES]
        level = 0.0
        for b in range(N_BANDS):
            mean = sums[patch, b] / n
            level += mean / N_BANDS
            square = 0.0
            for y in range(y0, y0 + side):
                square += scatter(planes[b, y, x0 : x0 + side], mean)
            row[b] = math.asinh(mean)
            row[3 + b] = math.log(math.sqrt(square / n) + 1e-6)
            model = 0.0
            for k in range(n_rings + 1):
                model += shares[patch, k] * profile[b, k]
            sums[patch, b] = (sums[patch, b] - model) * sigma[b]
        gr, ri = colours(sums[patch, 0], sums[patch, 1], sums[patch, 2])
        row[6], row[7] = gr - gr0, ri - ri0
        row[8] = sums[patch, _EDGES] / n
        row[13] = math.asinh(sums[patch, _SMOOTH] / n)
        sums[patch, _LEVEL] = level
    contrast(sums, out)


@jit
def contrast(sums, out):
    """Fill the contrast of each patch's mean S/N over the bands with that of the other eight."""
    all_levels = 0.0
    for patch in range(N_PATCHES):
        all_levels += sums[patch, _LEVEL]
    for patch in range(N_PATCHES):
        level = sums[patch, _LEVEL]
        others = (all_levels - level) / (N_PATCHES - 1)
        out[patch * N_PATCH_FEATURES + 9] = (level - others) / (abs(level) + abs(others) + 1e-6)


@jit
def total(values):
    """Sum of float32 values in float64."""
    out = 0.0
    for k in range(values.shape[0]):
        out += values[k]
    return out


@jit
def scatter(values, mean):
    """Sum of squared differences of float32 values from a mean, in float64."""
    out = 0.0
    for k in range(values.shape[0]):
        difference = values[k] - mean
        out += difference * difference
    return out


@jit
def above(values, limit):
    """Number of values over a limit."""
    n = np.int32(0)
    for k in range(values.shape[0]):
        n = np.int32(n + np.int32(values[k] > limit))
    return np.int64(n)


@jit
def sobel(image, y, lines):
    """Squared Sobel magnitude of one row, in units of the weights 1 2 1, edges replicated; `lines` is room for it."""
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
    out = lines[2, :size]
    for x in range(size):
        gx = across_right[x] - across_left[x]
        gy = along_left[x] + along_inner[x] + along_inner[x] + along_right[x]
        out[x] = gx * gx + gy * gy
    return out


@jit
def place(size, bcg_x, bcg_y, pixel_scale, out):
    """Fill the features of geometry about the BCG and the position flags of all patches."""
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
