"""Circle fit of an arc candidate: the best of 48 fixed triplets of its pixels, refitted to its inliers.

Coordinates are integer pixels in float32 relative to a corner near the candidate, so sums of their powers are exact in
float64. The circle is float64.
"""

import math

import numpy as np

from gridlens._jit import jit
from gridlens.features._order import extremes, key_of, value_of

__all__ = ["N_GATES", "N_TRIPLETS", "fit_circle", "kasa", "opening_angle", "spread"]

N_TRIPLETS = 48
COLLINEAR = 1e-9
INLIER_PX = 1.5

_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_THIRD, _INLIER_PX, _COLLINEAR = np.float32(1.0 / 3.0), np.float32(INLIER_PX), np.float32(COLLINEAR)
_ROUNDING = np.float32(1e-5)


def radical_inverse(k: int, base: int) -> tuple[int, int]:
    """Return the van der Corput radical inverse of `k` as numerator and denominator."""
    numerator, denominator = 0, 1
    while k > 0:
        k, digit = divmod(k, base)
        numerator, denominator = numerator * base + digit, denominator * base
    return numerator, denominator


def inverse_table() -> np.ndarray:
    """Return the radical inverses of 1 to 48 in bases 2, 3, 5 and the offsets used by `spread`, (3, 48, 2)."""
    out = np.empty((3, N_TRIPLETS, 2))
    for row, base in zip(out, (2, 3, 5), strict=True):
        for k in range(N_TRIPLETS):
            numerator, denominator = radical_inverse(k + 1, base)
            row[k] = numerator / denominator, 0.5 / denominator
    return out


_INVERSES = inverse_table()


@jit
def spread(n, corner, k):
    """Return the pixel at a corner (0, 1, 2) of triplet `k` (from 0): floor(n h), computed exactly.

    n h is a multiple of 1 / denominator, so adding half of that keeps its floor and exceeds the rounding error.
    """
    return np.int32(n * _INVERSES[corner, k, 0] + _INVERSES[corner, k, 1])


@jit
def kasa(n, x, y, xx, yy, xy, xz, yz):
    """Fit an algebraic (Kasa) circle from sums over `n` points, with z = x^2 + y^2.

    Return whether the circle exists (the points are not on a line), its centre and its radius.
    """
    mean_x, mean_y = x / n, y / n
    uu, vv, uv = xx - mean_x * x, yy - mean_y * y, xy - mean_x * y
    # Sums of u (u^2 + v^2) and v (u^2 + v^2) about the mean, by the binomial theorem.
    z = xx + yy
    u_cubic = xz - mean_x * z - 2.0 * (mean_x * uu + mean_y * uv)
    v_cubic = yz - mean_y * z - 2.0 * (mean_x * uv + mean_y * vv)
    determinant = uu * vv - uv * uv
    if determinant <= COLLINEAR * max(uu, vv) ** 2:
        return False, math.nan, math.nan, math.nan
    u = 0.5 * (u_cubic * vv - v_cubic * uv) / determinant
    v = 0.5 * (v_cubic * uu - u_cubic * uv) / determinant
    return True, mean_x + u, mean_y + v, math.sqrt(u * u + v * v + (uu + vv) / n)


N_GATES = 5
_CENTRE_X, _CENTRE_Y, _RADIUS, _INNER, _OUTER = range(N_GATES)


@jit
def fill_gates(xs, ys, max_radius, corners, gates, counts):
    """Fill the circles through the triplets and the limits of the squared distances of their inliers, (5, 48) float32.

    `corners` (6, 48) float32 and `counts` (48,) int32 are work arrays. A triplet on a line or with too large a circle
    gets limits that no point satisfies.
    """
    ax, ay, bx, by, cx, cy = corners[0], corners[1], corners[2], corners[3], corners[4], corners[5]
    n, widest = np.float64(xs.shape[0]), np.float32(max_radius)
    for corner in range(3):
        x, y = corners[2 * corner], corners[2 * corner + 1]
        for k in range(N_TRIPLETS):
            counts[k] = spread(n, corner, k)
        for k in range(N_TRIPLETS):
            x[k], y[k] = xs[counts[k]], ys[counts[k]]
    centre_x, centre_y, radius = gates[_CENTRE_X], gates[_CENTRE_Y], gates[_RADIUS]
    inner, outer = gates[_INNER], gates[_OUTER]
    for k in range(N_TRIPLETS):
        # Relative to the first corner: integers, so exact up to the divisions for candidates of up to 200 px.
        px, py, qx, qy = bx[k] - ax[k], by[k] - ay[k], cx[k] - ax[k], cy[k] - ay[k]
        p, q, area = px * px + py * py, qx * qx + qy * qy, px * qy - py * qx
        # The scatter matrix of three points has the determinant area^2 / 3.
        uu = px * px + qx * qx - (px + qx) * (px + qx) * _THIRD
        vv = py * py + qy * qy - (py + qy) * (py + qy) * _THIRD
        largest = max(uu, vv)
        twice = area + area if area != _ZERO else _ONE
        u, v = (qy * p - py * q) / twice, (px * q - qx * p) / twice
        r = np.sqrt(u * u + v * v)
        fine = (area * area * _THIRD > _COLLINEAR * largest * largest) & (r <= widest)
        low, high = r - _INLIER_PX, r + _INLIER_PX
        centre_x[k], centre_y[k], radius[k] = ax[k] + u, ay[k] + v, r
        inner[k] = low * low if low >= _ZERO else -_ONE
        outer[k] = high * high if fine else -_ONE


@jit
def count_inliers(xs, ys, gates, counts):
    """Count the points within the limits of each circle, (48,), testing all circles for each point in turn.

    A candidate has few points, so the inner loop over the circles is longer, and its length is fixed.
    """
    centre_x, centre_y, inner, outer = gates[_CENTRE_X], gates[_CENTRE_Y], gates[_INNER], gates[_OUTER]
    for k in range(N_TRIPLETS):
        counts[k] = 0
    for m in range(xs.shape[0]):
        x, y = xs[m], ys[m]
        for k in range(N_TRIPLETS):
            dx, dy = x - centre_x[k], y - centre_y[k]
            square = dx * dx + dy * dy
            counts[k] = np.int32(counts[k] + np.int32((square < outer[k]) & (square > inner[k])))


@jit
def refit(xs, ys, x, y, inner, outer):
    """Fit a Kasa circle to the points whose squared distance from (x, y) lies between two limits; see `kasa`."""
    n, sx, sy, sxx, syy, sxy, sxz, syz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(xs.shape[0]):
        dx, dy = xs[k] - x, ys[k] - y
        square = dx * dx + dy * dy
        inside = (square < outer) & (square > inner)
        px, py = np.float64(xs[k] if inside else _ZERO), np.float64(ys[k] if inside else _ZERO)
        z = px * px + py * py
        n += 1.0 if inside else 0.0
        sx += px
        sy += py
        sxx += px * px
        syy += py * py
        sxy += px * py
        sxz += px * z
        syz += py * z
    return kasa(n, sx, sy, sxx, syy, sxy, sxz, syz)


@jit
def fit_circle(xs, ys, max_radius, corners, gates, counts):
    """Fit a circle to a candidate: the best of 48 fixed triplets, refitted to its inliers.

    Return whether there is a circle, its centre and radius (NaN without one), and the inliers of the triplet's circle.
    `corners`, `gates` and `counts` are work arrays.
    """
    fill_gates(xs, ys, max_radius, corners, gates, counts)
    count_inliers(xs, ys, gates, counts)
    best, kept = np.int64(0), 0
    for k in range(N_TRIPLETS):
        if counts[k] > best:
            best, kept = np.int64(counts[k]), k
    if best == 0:
        return False, math.nan, math.nan, math.nan, best
    x, y = gates[_CENTRE_X, kept], gates[_CENTRE_Y, kept]
    solved, fit_x, fit_y, fit_r = refit(xs, ys, x, y, gates[_INNER, kept], gates[_OUTER, kept])
    if solved and 0.0 < fit_r <= max_radius:
        return True, fit_x, fit_y, fit_r, best
    return True, np.float64(x), np.float64(y), np.float64(gates[_RADIUS, kept]), best


@jit
def quarters(dx, dy):
    """Return a monotonic function of the angle of a vector, from -2 to 2 for -pi to pi.

    A vector along -x, as in symmetric candidates, counts as pi, regardless of rounding.
    """
    size = abs(dx) + abs(dy)
    share = dy / (size if size > _ZERO else _ONE)
    return share if dx >= _ZERO else (_TWO if share >= -_ROUNDING else -_TWO) - share


@jit
def angle_of(quarter):
    """Return the angle, rad, for a value of `quarters`."""
    share = np.float64(quarter)
    if share > 1.0:
        return math.atan2(max(2.0 - share, 0.0), 1.0 - share)
    if share < -1.0:
        return math.atan2(-2.0 - share, 1.0 + share)
    return math.atan2(share, 1.0 - abs(share))


@jit
def opening_angle(xs, ys, x, y, circle_x, circle_y, keys):
    """Return the angle spanned by the pixels about the circle's centre, cut opposite to the centroid (x, y), rad.

    `keys` is a work array.
    """
    dx, dy = x - circle_x, y - circle_y
    r = math.hypot(dx, dy)
    ux, uy = (np.float32(dx / r), np.float32(dy / r)) if r > 0.0 else (_ONE, _ZERO)
    cx, cy = np.float32(circle_x), np.float32(circle_y)
    n = xs.shape[0]
    for k in range(n):
        px, py = xs[k] - cx, ys[k] - cy
        keys[k] = key_of(quarters(px * ux + py * uy, py * ux - px * uy))
    low, high = extremes(keys[:n])
    return angle_of(value_of(high)) - angle_of(value_of(low))
