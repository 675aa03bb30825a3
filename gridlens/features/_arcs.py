"""Arc candidates: connected components of a detection map and what is measured on each ("arc candidates").

Plain arrays in and out. A candidate is measured into one row of a (.., N_FIELDS) float64 array, whose columns are
named below: first the eleven shown in a patch, in the order of the contract, then what drawing needs.
"""

import math

import numpy as np

from gridlens._jit import jit
from gridlens.features._order import select

__all__ = ["MIN_PIXELS", "N_FIELDS", "N_SHOWN", "colours", "fill_component", "find_components", "measure"]

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
SEED_X = 13
SEED_Y = 14
CIRCLE_X = 15
CIRCLE_Y = 16
CIRCLE_R = 17
N_FIELDS = 18

MIN_PIXELS = 15
N_TRIPLETS = 48
INLIER_PX = 1.5
MAX_OFFSET = 5.0
N_RUNS = 4


@jit
def fill_component(mask, x, y, xs, ys):
    """Clear the 8-connected component of `mask` that holds (x, y); its pixels go to `xs`, `ys`; returns their count."""
    height, width = mask.shape
    mask[y, x] = False
    xs[0], ys[0] = x, y
    n, k = 1, 0
    while k < n:
        for near_y in range(max(ys[k] - 1, 0), min(ys[k] + 2, height)):
            for near_x in range(max(xs[k] - 1, 0), min(xs[k] + 2, width)):
                if mask[near_y, near_x]:
                    mask[near_y, near_x] = False
                    xs[n], ys[n] = near_x, near_y
                    n += 1
        k += 1
    return n


@jit
def find_components(image, good, threshold, xs, ys, start):
    """Components of at least 15 good pixels above a threshold, in the raster order of their first pixels.

    Component k holds the pixels ``start[k]:start[k + 1]`` of `xs` and `ys`, in raster order. Returns their number.
    """
    height, width = image.shape
    mask = np.empty((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            mask[y, x] = good[y, x] and image[y, x] > threshold
    label = np.zeros((height, width), np.int64)
    n_components = 0
    start[0] = 0
    for y in range(height):
        for x in range(width):
            if mask[y, x]:
                n = fill_component(mask, x, y, xs, ys)
                if n >= MIN_PIXELS:
                    n_components += 1
                    for k in range(n):
                        label[ys[k], xs[k]] = n_components
                    start[n_components] = start[n_components - 1] + n
    fill = np.empty(n_components, np.int64)
    for k in range(n_components):
        fill[k] = start[k]
    for y in range(height):
        for x in range(width):
            if label[y, x] > 0:
                k = label[y, x] - 1
                xs[fill[k]], ys[fill[k]] = x, y
                fill[k] += 1
    return n_components


@jit
def colours(sum_g, sum_r, sum_i):
    """Colours g - r and r - i of three fluxes, mag; a flux near or below zero counts as a thousandth of them all."""
    floor = 1e-3 * (abs(sum_g) + abs(sum_r) + abs(sum_i)) + 1e-12
    g, r, i = math.log10(max(sum_g, floor)), math.log10(max(sum_r, floor)), math.log10(max(sum_i, floor))
    return -2.5 * (g - r), -2.5 * (r - i)


@jit
def measure(xs, ys, image, residual, fluxes, bcg_x, bcg_y, pixel_scale, out):
    """Measure one candidate, its pixels in raster order, into `out` (N_FIELDS,); all but the segmentation."""
    n = xs.shape[0]
    x, y, l1, l2, angle = moments(xs, ys)
    distance = math.hypot(x - bcg_x, y - bcg_y) * pixel_scale
    tangentiality = abs(math.sin(angle - math.atan2(y - bcg_y, x - bcg_x)))
    found, circle_x, circle_y, radius, inliers = fit_circle(xs, ys, 2.0 * image.shape[0])
    length = 4.0 * math.sqrt(l1)
    curvature, offset = 0.0, MAX_OFFSET
    if found:
        curvature = min(1.0 / (radius * pixel_scale), 1.0)
        offset = min(math.hypot(circle_x - bcg_x, circle_y - bcg_y) / radius, MAX_OFFSET)
        length = max(length, radius * opening_angle(xs, ys, x, y, circle_x, circle_y))
    arcness = length * length / n
    gr, ri, spread = arc_colours(xs, ys, residual, x, y, angle)
    gr0, ri0 = colours(fluxes[0], fluxes[1], fluxes[2])
    total = 0.0
    for k in range(n):
        total += image[ys[k], xs[k]]
    out[ARCNESS] = arcness
    out[CURVATURE] = curvature
    out[ELONGATION] = math.sqrt(l1 / l2)
    out[TANGENTIALITY] = tangentiality
    out[COLOR_GR] = gr - gr0
    out[COLOR_RI] = ri - ri0
    out[COLOR_SPREAD] = spread
    out[DISTANCE] = distance
    out[INLIER_FRACTION] = inliers / n
    out[CENTER_OFFSET] = offset
    out[SNR] = math.asinh(total / math.sqrt(n))
    out[SCORE] = score(arcness, tangentiality, distance, offset)
    out[SEED_X], out[SEED_Y] = xs[0], ys[0]
    out[CIRCLE_X], out[CIRCLE_Y], out[CIRCLE_R] = circle_x, circle_y, radius


@jit
def score(arcness, tangentiality, distance, offset):
    """Rank of a candidate: long, thin, tangential, away from the BCG (arcsec) and curved about it."""
    centred = 1.0 if offset < 0.8 else 0.6
    return arcness * (0.2 + tangentiality * tangentiality) * min(1.0, distance / 4.0) * centred


@jit
def moments(xs, ys):
    """Centroid, eigenvalues of the second moments with the pixel's own 1/12, and the angle of the major axis."""
    n = xs.shape[0]
    x, y = 0.0, 0.0
    for k in range(n):
        x += xs[k]
        y += ys[k]
    x /= n
    y /= n
    xx, yy, xy = 0.0, 0.0, 0.0
    for k in range(n):
        dx, dy = xs[k] - x, ys[k] - y
        xx += dx * dx
        yy += dy * dy
        xy += dx * dy
    xx = xx / n + 1.0 / 12.0
    yy = yy / n + 1.0 / 12.0
    xy /= n
    half, root = 0.5 * (xx + yy), math.hypot(0.5 * (xx - yy), xy)
    return x, y, half + root, max(half - root, 1.0 / 12.0), 0.5 * math.atan2(2.0 * xy, xx - yy)


@jit
def fit_circle(xs, ys, max_radius):
    """Circle through a candidate: the best of 48 fixed triplets, refitted to its inliers.

    Returns whether there is one, its centre and radius (NaN without), and the inliers of the triplet's circle.
    """
    n = xs.shape[0]
    best, best_x, best_y, best_r = 0, math.nan, math.nan, math.nan
    px, py = np.empty(n), np.empty(n)
    for k in range(1, N_TRIPLETS + 1):
        a, b, c = spread_index(n, k, 2), spread_index(n, k, 3), spread_index(n, k, 5)
        px[0], px[1], px[2] = xs[a], xs[b], xs[c]
        py[0], py[1], py[2] = ys[a], ys[b], ys[c]
        solved, x, y, r = kasa(px, py, 3)
        if not solved or r > max_radius:
            continue
        inliers = 0
        for m in range(n):
            inliers += is_inlier(xs[m] - x, ys[m] - y, r)
        if inliers > best:
            best, best_x, best_y, best_r = inliers, x, y, r
    if best == 0:
        return False, best_x, best_y, best_r, best
    count = 0
    for m in range(n):
        if is_inlier(xs[m] - best_x, ys[m] - best_y, best_r):
            px[count], py[count] = xs[m], ys[m]
            count += 1
    solved, x, y, r = kasa(px, py, count)
    if solved and 0.0 < r <= max_radius:
        best_x, best_y, best_r = x, y, r
    return True, best_x, best_y, best_r, best


@jit
def spread_index(n, k, base):
    """floor(n h) for the van der Corput radical inverse h of k, in integers: a float h falls short of 1/3."""
    mirrored, power = 0, 1
    while k > 0:
        mirrored = mirrored * base + k % base
        power *= base
        k //= base
    return n * mirrored // power


@jit
def is_inlier(dx, dy, radius):
    """Whether an offset from the centre lies within 1.5 px of the circle."""
    square = dx * dx + dy * dy
    outer, inner = radius + INLIER_PX, radius - INLIER_PX
    return square < outer * outer and (inner < 0.0 or square > inner * inner)


@jit
def kasa(xs, ys, n):
    """Algebraic (Kasa) circle through the first `n` points: whether it exists (not collinear), centre, radius."""
    mean_x, mean_y = 0.0, 0.0
    for k in range(n):
        mean_x += xs[k]
        mean_y += ys[k]
    mean_x /= n
    mean_y /= n
    uu, vv, uv, u_cubic, v_cubic = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        u, v = xs[k] - mean_x, ys[k] - mean_y
        square = u * u + v * v
        uu += u * u
        vv += v * v
        uv += u * v
        u_cubic += u * square
        v_cubic += v * square
    determinant = uu * vv - uv * uv
    if determinant <= 1e-9 * max(uu, vv) ** 2:
        return False, math.nan, math.nan, math.nan
    u = 0.5 * (u_cubic * vv - v_cubic * uv) / determinant
    v = 0.5 * (v_cubic * uu - u_cubic * uv) / determinant
    return True, mean_x + u, mean_y + v, math.sqrt(u * u + v * v + (uu + vv) / n)


@jit
def opening_angle(xs, ys, x, y, circle_x, circle_y):
    """Angle that the pixels span about the circle's centre, cut opposite to the centroid (x, y), rad."""
    middle = math.atan2(y - circle_y, x - circle_x)
    low, high = math.inf, -math.inf
    for k in range(xs.shape[0]):
        turn = math.atan2(ys[k] - circle_y, xs[k] - circle_x) - middle
        if turn > math.pi:
            turn -= 2.0 * math.pi
        elif turn <= -math.pi:
            turn += 2.0 * math.pi
        low, high = min(low, turn), max(high, turn)
    return high - low


@jit
def arc_colours(xs, ys, residual, x, y, angle):
    """Colours g - r and r - i of a candidate and their spread over four runs along its major axis, mag."""
    n = xs.shape[0]
    run = runs_along_axis(xs, ys, x, y, angle)
    sums = np.zeros((N_RUNS, 3))
    for k in range(n):
        for b in range(3):
            sums[run[k], b] += residual[b, ys[k], xs[k]]
    run_gr, run_ri = np.empty(N_RUNS), np.empty(N_RUNS)
    total_g, total_r, total_i = 0.0, 0.0, 0.0
    for j in range(N_RUNS):
        run_gr[j], run_ri[j] = colours(sums[j, 0], sums[j, 1], sums[j, 2])
        total_g += sums[j, 0]
        total_r += sums[j, 1]
        total_i += sums[j, 2]
    gr, ri = colours(total_g, total_r, total_i)
    return gr, ri, math.sqrt(variance(run_gr) + variance(run_ri))


@jit
def variance(values):
    """Population variance of a short array."""
    n = values.shape[0]
    mean, square = 0.0, 0.0
    for k in range(n):
        mean += values[k] / n
    for k in range(n):
        square += (values[k] - mean) ** 2 / n
    return square


@jit
def runs_along_axis(xs, ys, x, y, angle):
    """Run (0 to 3) of each pixel: a stable sort along the major axis, cut into four runs, the longer ones first."""
    n = xs.shape[0]
    along, work = np.empty(n), np.empty(n)
    for k in range(n):
        along[k] = (xs[k] - x) * math.cos(angle) + (ys[k] - y) * math.sin(angle)
        work[k] = along[k]
    run = np.zeros(n, np.int64)
    cut = 0
    for j in range(N_RUNS - 1):
        cut += n // N_RUNS + (1 if j < n % N_RUNS else 0)
        value = select(work, 0, n, cut)
        ties_before = cut
        for k in range(n):
            if along[k] < value:
                ties_before -= 1
        for k in range(n):
            if along[k] > value:
                run[k] += 1
            elif along[k] == value:
                if ties_before <= 0:
                    run[k] += 1
                ties_before -= 1
    return run
