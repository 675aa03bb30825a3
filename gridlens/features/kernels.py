"""The compiled entry of the feature contract: one cutout in, its 306 image features out.

Plain arrays in and out, no global state, no GIL. `_maps.py` holds the preparation, `_arcs.py` the arc candidates,
`_order.py` medians; the patches are here. Features keep the names, order and units of `contract.py`.
"""

import math

import numpy as np

from gridlens._jit import jit
from gridlens.features._arcs import (
    MIN_PIXELS,
    N_FIELDS,
    N_SHOWN,
    SCORE,
    SEGMENTATION,
    colours,
    find_components,
    measure,
)
from gridlens.features._maps import (
    BAD_GEOMETRY,
    OK,
    bcg_fluxes,
    blue_map,
    check_geometry,
    prepare,
    subtract_light,
    white_maps,
)

__all__ = ["OK", "best_candidates", "extract", "make_maps", "threshold"]

N_BANDS = 3
N_MAPS = 3
WHITE0, WHITE, BLUE = 0, 1, 2
N_PATCHES = 9
N_PATCH_FEATURES = 34
N_SEGMENTATIONS = 4
FIRST_ARC_FEATURE = 14
FIRST_POSITION = 25
EDGE_LEVEL = 2.0


@jit
def extract(pixels, bcg_x, bcg_y, pixel_scale, out):
    """Fill `out` with the image features of one cutout.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), float32
        Linear flux in g, r, i; a pixel that is not finite in some band is bad in all.
    bcg_x, bcg_y : float
        Brightest cluster galaxy, px, 0-based, pixel centres at integers.
    pixel_scale : float
        Arcsec per pixel.
    out : ndarray of shape (306,), float32
        Filled with NaN where the cutout is rejected.

    Returns
    -------
    int
        `OK`, else one of the other codes of `_maps.py`.
    """
    height, width, _ = pixels.shape
    planes, residual = np.empty((N_BANDS, height, width)), np.empty((N_BANDS, height, width))
    maps = np.empty((N_MAPS, height, width))
    good = np.empty((height, width), np.bool_)
    sigma, fluxes = np.empty(N_BANDS), np.empty(N_BANDS)
    status = make_maps(pixels, bcg_x, bcg_y, pixel_scale, planes, residual, maps, good, sigma, fluxes)
    if status != OK:
        for k in range(out.shape[0]):
            out[k] = math.nan
        return status
    white0, white, blue = maps[WHITE0], maps[WHITE], maps[BLUE]
    best = best_candidates(white, blue, good, residual, fluxes, bcg_x, bcg_y, pixel_scale)
    edges = edge_map(white)
    gr0, ri0 = colours(fluxes[0], fluxes[1], fluxes[2])
    means = np.empty(N_PATCHES)
    total = 0.0
    for patch in range(N_PATCHES):
        row = out[patch * N_PATCH_FEATURES : (patch + 1) * N_PATCH_FEATURES]
        means[patch] = patch_light(planes, residual, sigma, white0, edges, patch, gr0, ri0, row)
        total += means[patch]
        patch_place(height, bcg_x, bcg_y, pixel_scale, patch, row)
        for k in range(N_SHOWN):
            row[FIRST_ARC_FEATURE + k] = best[patch, k]
    for patch in range(N_PATCHES):
        others = (total - means[patch]) / (N_PATCHES - 1)
        size = abs(means[patch]) + abs(others) + 1e-6
        out[patch * N_PATCH_FEATURES + 9] = (means[patch] - others) / size
    return status


@jit
def make_maps(pixels, bcg_x, bcg_y, pixel_scale, planes, residual, maps, good, sigma, fluxes):
    """Prepare a cutout, all arrays from `planes` on filled in place; returns the status.

    `planes`, `residual` and `maps` (white0, white, blue) are (3, H, W), `good` is (H, W), `sigma` and the BCG's
    `fluxes` are (3,).
    """
    height, width, _ = pixels.shape
    if not check_geometry(height, width, bcg_x, bcg_y, pixel_scale):
        return BAD_GEOMETRY
    status = prepare(pixels, planes, good, sigma)
    if status != OK:
        return status
    subtract_light(planes, bcg_x, bcg_y, residual)
    bcg_fluxes(planes, sigma, bcg_x, bcg_y, fluxes)
    white_maps(residual, sigma, pixel_scale, maps[WHITE0], maps[WHITE])
    blue_map(residual, sigma, fluxes, pixel_scale, maps[BLUE])
    return status


@jit
def threshold(segmentation):
    """Threshold of one of the four segmentations; the first two are of the white map, the others of the blue."""
    if segmentation == 1:
        return 6.0
    if segmentation == 3:
        return 5.0
    return 2.5


@jit
def best_candidates(white, blue, good, residual, fluxes, bcg_x, bcg_y, pixel_scale):
    """For each patch the measurements of its best candidate, (9, N_FIELDS); zeros, with score -1, where it has none."""
    size = white.shape[0]
    best = np.zeros((N_PATCHES, N_FIELDS))
    for patch in range(N_PATCHES):
        best[patch, SCORE] = -1.0
    xs, ys = np.empty(size * size, np.int64), np.empty(size * size, np.int64)
    start = np.empty(size * size // MIN_PIXELS + 2, np.int64)
    candidate = np.empty(N_FIELDS)
    shares = np.empty(N_PATCHES, np.int64)
    for segmentation in range(N_SEGMENTATIONS):
        image = white if segmentation < 2 else blue
        n_components = find_components(image, good, threshold(segmentation), xs, ys, start)
        for k in range(n_components):
            arc_x, arc_y = xs[start[k] : start[k + 1]], ys[start[k] : start[k + 1]]
            measure(arc_x, arc_y, image, residual, fluxes, bcg_x, bcg_y, pixel_scale, candidate)
            candidate[SEGMENTATION] = segmentation
            count_shares(arc_x, arc_y, size, shares)
            for patch in range(N_PATCHES):
                held = shares[patch] >= MIN_PIXELS or 2 * shares[patch] >= arc_x.shape[0]
                if held and candidate[SCORE] > best[patch, SCORE]:
                    for field in range(N_FIELDS):
                        best[patch, field] = candidate[field]
    return best


@jit
def count_shares(xs, ys, size, shares):
    """Number of a candidate's pixels in each patch; the margin belongs to none."""
    side = size // 3
    origin = (size - 3 * side) // 2
    for patch in range(N_PATCHES):
        shares[patch] = 0
    for k in range(xs.shape[0]):
        x, y = xs[k] - origin, ys[k] - origin
        if 0 <= x < 3 * side and 0 <= y < 3 * side:
            shares[3 * (y // side) + x // side] += 1


@jit
def edge_map(white):
    """Pixels where the Sobel magnitude of the white map is above 2, edges replicated."""
    height, width = white.shape
    out = np.empty((height, width), np.bool_)
    for y in range(height):
        up, low = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            nw, ne, sw, se = white[up, left], white[up, right], white[low, left], white[low, right]
            gx = ne - nw + 2.0 * (white[y, right] - white[y, left]) + se - sw
            gy = sw - nw + 2.0 * (white[low, x] - white[up, x]) + se - ne
            out[y, x] = math.sqrt((gx * gx + gy * gy) / 2.0) / 4.0 > EDGE_LEVEL
    return out


@jit
def patch_light(planes, residual, sigma, white0, edges, patch, gr0, ri0, row):
    """Fill a patch's features of light, colour and edges; returns the mean of its S/N over the bands."""
    side = white0.shape[0] // 3
    origin = (white0.shape[0] - 3 * side) // 2
    y0, x0 = origin + side * (patch // 3), origin + side * (patch % 3)
    n = side * side
    level = 0.0
    light = np.zeros(N_BANDS)
    for b in range(N_BANDS):
        total = 0.0
        for y in range(y0, y0 + side):
            for x in range(x0, x0 + side):
                total += planes[b, y, x]
                light[b] += residual[b, y, x]
        mean, square = total / n, 0.0
        for y in range(y0, y0 + side):
            for x in range(x0, x0 + side):
                square += (planes[b, y, x] - mean) ** 2
        row[b] = math.asinh(mean / sigma[b])
        row[3 + b] = math.log(math.sqrt(square / n) / sigma[b] + 1e-6)
        level += mean / sigma[b] / N_BANDS
    gr, ri = colours(light[0], light[1], light[2])
    row[6], row[7] = gr - gr0, ri - ri0
    n_edges, total = 0, 0.0
    for y in range(y0, y0 + side):
        for x in range(x0, x0 + side):
            n_edges += edges[y, x]
            total += white0[y, x]
    row[8] = n_edges / n
    row[13] = math.asinh(total / n)
    return level


@jit
def patch_place(size, bcg_x, bcg_y, pixel_scale, patch, row):
    """Fill a patch's features of geometry about the BCG and its position flags."""
    side = size // 3
    origin = (size - 3 * side) // 2
    dx = origin + 0.5 * (side - 1) + side * (patch % 3) - bcg_x
    dy = origin + 0.5 * (side - 1) + side * (patch // 3) - bcg_y
    distance = math.hypot(dx, dy) * pixel_scale
    row[10] = distance
    row[11] = math.atan2(dy, dx)
    row[12] = 0.0 if distance < 10.0 else 1.0 if distance < 20.0 else 2.0
    for k in range(N_PATCHES):
        row[FIRST_POSITION + k] = 1.0 if k == patch else 0.0
