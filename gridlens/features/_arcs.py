"""Measurements of arc candidates (section "arc candidates" of the feature contract).

Each candidate fills one row of a (.., N_FIELDS) float64 array, whose columns are named below: first the eleven features
of a patch, in the order of the contract, then its score and its position. The colours and the S/N, which the score does
not need, are measured only for the candidates selected for a patch.
"""

import math

import numpy as np

from gridlens._jit import jit
from gridlens.features._circle import fit_circle, opening_angle
from gridlens.features._geometry import N_PATCHES, patch_side
from gridlens.features._order import count_below, key_of, select

__all__ = ["N_FIELDS", "N_SHOWN", "colours", "count_shares", "finish", "list_pixels", "magnitude", "measure"]

ARCNESS = 0
CURVATURE = 1
ELONGATION = 2
TANGENTIALITY = 3
COLOR_GR = 4
COLOR_RI = 5
COLOR_SPREAD = 6
DISTANCE = 7
INLIER_FRACTION = 8
CENTER_OFFSET = 9
SNR = 10
N_SHOWN = 11
SCORE = 11
SEGMENTATION = 12
COMPONENT = 13
CENTROID_X = 14
CENTROID_Y = 15
AXIS_ANGLE = 16
CIRCLE_X = 17
CIRCLE_Y = 18
CIRCLE_R = 19
N_FIELDS = 20

MAX_OFFSET = 5.0
N_RUNS = 4


@jit
def colours(sum_g, sum_r, sum_i, sigma):
    """Return the colours g - r and r - i of three fluxes, mag.

    A flux near or below zero is replaced by a thousandth of the sum of all three. The second term keeps the floor above
    zero; it is relative to the noise, so the colours do not depend on the flux unit.
    """
    floor = 1e-3 * (abs(sum_g) + abs(sum_r) + abs(sum_i)) + 1e-12 * (sigma[0] + sigma[1] + sigma[2]) / 3.0
    g, r, i = max(sum_g, floor), max(sum_r, floor), max(sum_i, floor)
    return magnitude(g, r), magnitude(r, i)


@jit
def magnitude(a, b):
    """Return -2.5 log10(a / b)."""
    return -2.5 * math.log10(a / b)


@jit
def score(arcness, tangentiality, distance, offset):
    """Return the score of a candidate: high if long, thin, tangential, off the BCG (arcsec) and curved about it."""
    centred = 1.0 if offset < 0.8 else 0.6
    return arcness * (0.2 + tangentiality * tangentiality) * min(1.0, distance / 4.0) * centred


@jit
def count_shares(runs, members, size, shares):
    """Count a component's pixels in each patch, excluding the margin; return the total number of its pixels."""
    side, origin = patch_side(size)
    for patch in range(N_PATCHES):
        shares[patch] = 0
    n = np.int64(0)
    for k in range(members.shape[0]):
        run = members[k]
        y, x0, x1 = np.int64(runs[0, run]), np.int64(runs[1, run]), np.int64(runs[2, run])
        n += x1 - x0
        row = (y - origin) // side if y >= origin else -1
        if 0 <= row < 3:
            for column in range(3):
                low = max(x0, origin + column * side)
                shares[3 * row + column] += max(min(x1, origin + (column + 1) * side) - low, 0)
    return n


@jit
def list_pixels(runs, members, xs, ys):
    """List the pixels of a component in raster order, relative to the first column and row of its first run."""
    first = members[0]
    x_origin, y_origin = np.int64(runs[1, first]), np.int64(runs[0, first])
    n = 0
    for k in range(members.shape[0]):
        run = members[k]
        y = np.float32(runs[0, run] - y_origin)
        for x in range(runs[1, run], runs[2, run]):
            xs[n], ys[n] = np.float32(x - x_origin), y
            n += 1
    return x_origin, y_origin, n


@jit
def moments(runs, members, n, x_origin, y_origin):
    """Return the centroid, the eigenvalues of the second moments (with the pixel's 1/12), and the axis angle.

    The sums run over runs of pixels in integers and are therefore exact.
    """
    x, y, xx, yy, xy = 0, 0, 0, 0, 0
    for k in range(members.shape[0]):
        run = members[k]
        row, x0, x1 = runs[0, run] - y_origin, runs[1, run] - x_origin, runs[2, run] - x_origin
        count, total = x1 - x0, (x1 - x0) * (x0 + x1 - 1) // 2
        x += total
        y += count * row
        yy += count * row * row
        xy += row * total
        xx += (x1 - 1) * x1 * (2 * x1 - 1) // 6 - (x0 - 1) * x0 * (2 * x0 - 1) // 6
    square = np.float64(n) * n
    cov_xx, cov_yy, cov_xy = (n * xx - x * x) / square, (n * yy - y * y) / square, (n * xy - x * y) / square
    half, root = 0.5 * (cov_xx + cov_yy) + 1.0 / 12.0, math.hypot(0.5 * (cov_xx - cov_yy), cov_xy)
    angle = 0.5 * math.atan2(2.0 * cov_xy, cov_xx - cov_yy)
    return x / n, y / n, half + root, max(half - root, 1.0 / 12.0), angle


@jit
def measure(runs, members, size, bcg_x, bcg_y, pixel_scale, xs, ys, keys, corners, gates, counts, out):
    """Measure one candidate into `out` (N_FIELDS,), except its segmentation, colours and S/N.

    The centroid and the axis are relative to the first column and row of its first run. `xs` to `counts` are work
    arrays.
    """
    x_origin, y_origin, n = list_pixels(runs, members, xs, ys)
    x, y, l1, l2, angle = moments(runs, members, n, x_origin, y_origin)
    bx, by = bcg_x - x_origin, bcg_y - y_origin
    distance = math.hypot(x - bx, y - by) * pixel_scale
    tangentiality = abs(math.sin(angle - math.atan2(y - by, x - bx)))
    px, py = xs[:n], ys[:n]
    found, circle_x, circle_y, radius, inliers = fit_circle(px, py, 2.0 * size, corners, gates, counts)
    length = 4.0 * math.sqrt(l1)
    curvature, offset = 0.0, MAX_OFFSET
    if found:
        curvature = min(1.0 / (radius * pixel_scale), 1.0)
        offset = min(math.hypot(circle_x - bx, circle_y - by) / radius, MAX_OFFSET)
        length = max(length, radius * opening_angle(px, py, x, y, circle_x, circle_y, keys))
    arcness = length * length / n
    out[ARCNESS] = arcness
    out[CURVATURE] = curvature
    out[ELONGATION] = math.sqrt(l1 / l2)
    out[TANGENTIALITY] = tangentiality
    out[DISTANCE] = distance
    out[INLIER_FRACTION] = inliers / n
    out[CENTER_OFFSET] = offset
    out[SCORE] = score(arcness, tangentiality, distance, offset)
    out[CENTROID_X], out[CENTROID_Y], out[AXIS_ANGLE] = x, y, angle
    out[CIRCLE_X], out[CIRCLE_Y], out[CIRCLE_R] = circle_x + x_origin, circle_y + y_origin, radius


@jit
def finish(runs, members, image, planes, sigma, fluxes, profile, lower, weight, xs, ys, keys, run, sums, out):
    """Add colours, their spread, S/N and the image centroid to a measured candidate of the map `image`.

    `xs`, `ys`, `keys`, `run` and `sums` (at least 4 x 3) are work arrays.
    """
    x_origin, y_origin, n = list_pixels(runs, members, xs, ys)
    runs_along_axis(xs[:n], ys[:n], out[CENTROID_X], out[CENTROID_Y], out[AXIS_ANGLE], keys[:n], run)
    size = image.shape[0]
    for j in range(N_RUNS):
        for b in range(3):
            sums[j, b] = 0.0
    snr = 0.0
    for k in range(n):
        row, column = y_origin + np.int64(ys[k]), x_origin + np.int64(xs[k])
        pixel = row * size + column
        ring, w = lower[pixel], weight[pixel]
        for b in range(3):
            model = profile[b, ring] + w * (profile[b, ring + 1] - profile[b, ring])
            sums[run[k], b] += planes[b, row, column] - model
        snr += image[row, column]
    total_g, total_r, total_i = 0.0, 0.0, 0.0
    for j in range(N_RUNS):
        g, r, i = sums[j, 0] * sigma[0], sums[j, 1] * sigma[1], sums[j, 2] * sigma[2]
        sums[j, 0], sums[j, 1] = colours(g, r, i, sigma)
        total_g += g
        total_r += r
        total_i += i
    gr, ri = colours(total_g, total_r, total_i, sigma)
    out[COLOR_GR] = gr - magnitude(fluxes[0], fluxes[1])
    out[COLOR_RI] = ri - magnitude(fluxes[1], fluxes[2])
    out[COLOR_SPREAD] = math.sqrt(variance(sums, 0) + variance(sums, 1))
    out[SNR] = math.asinh(snr / math.sqrt(n))
    out[CENTROID_X] += x_origin
    out[CENTROID_Y] += y_origin


@jit
def variance(table, column):
    """Return the population variance of the first four numbers of a column."""
    mean, square = 0.0, 0.0
    for j in range(N_RUNS):
        mean += table[j, column] / N_RUNS
    for j in range(N_RUNS):
        difference = table[j, column] - mean
        square += difference * difference / N_RUNS
    return square


@jit
def runs_along_axis(xs, ys, x, y, angle, keys, run):
    """Assign each pixel to a run (0 to 3): a stable sort along the major axis, cut into four, longer runs first.

    `run` is filled; `keys` is a work array.
    """
    n = xs.shape[0]
    cosine, sine = math.cos(angle), math.sin(angle)
    for k in range(n):
        # float32 makes pixels at equal positions on a diagonal equal in spite of rounding.
        keys[k] = key_of(np.float32((xs[k] - x) * cosine + (ys[k] - y) * sine))
        run[k] = 0
    cut = 0
    for j in range(N_RUNS - 1):
        cut += n // N_RUNS + (1 if j < n % N_RUNS else 0)
        key = key_of(select(keys, cut, np.float32(0.0), np.float32(1.0))[1])
        ties_before = cut - count_below(keys, key)
        for k in range(n):
            if keys[k] > key:
                run[k] += 1
            elif keys[k] == key:
                run[k] += ties_before <= 0
                ties_before -= 1
