"""Slow reference for the patch features: one small function per paragraph of the feature contract, version 1.

It is written from the contract alone and never imports gridlens, so that a parity test compares two independent
readings of one page. It uses float64, numpy and scipy only, and prefers clarity to speed. Where the contract leaves a
choice, the choice is explained in a comment that starts with "Reading:".
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage

N_PATCHES = 9
N_FEATURES = 34
SEGMENTATIONS = (("white", 2.5), ("white", 6.0), ("blue", 2.5), ("blue", 5.0))
MIN_PIXELS = 15
N_TRIPLETS = 48
INLIER_PX = 1.5


class Prepared(NamedTuple):
    """One cutout after the preparation steps; maps are (H, W), cubes (H, W, 3), `bad` is a bool mask."""

    bad: np.ndarray
    sigma: np.ndarray
    sky: np.ndarray
    s: np.ndarray
    rho: np.ndarray
    bcg_flux: np.ndarray
    gr0: float
    ri0: float
    white0: np.ndarray
    white: np.ndarray
    blue: np.ndarray


class Circle(NamedTuple):
    """A fitted circle in pixels, and the inlier fraction of the triplet that it came from."""

    x: float
    y: float
    radius: float
    inlier_fraction: float


class Candidate(NamedTuple):
    """A measured arc candidate; `ys` and `xs` list its pixels in raster order."""

    segmentation: int
    ys: np.ndarray
    xs: np.ndarray
    circle: Circle | None
    arcness: float
    curvature: float
    elongation: float
    tangentiality: float
    color_gr: float
    color_ri: float
    color_spread: float
    distance: float
    inlier_fraction: float
    center_offset: float
    snr: float
    score: float


def features(pixels, bcg_xy, pixel_scale):
    """Return the 9 x 34 image features of one cutout, flattened patch by patch: (306,) float64.

    Parameters
    ----------
    pixels : array of shape (H, W, 3)
        Bands g, r, i, linear flux.
    bcg_xy : pair of float or None
        Pixel (x, y) of the brightest cluster galaxy; None is the centre of the cutout.
    pixel_scale : float
        Arcsec per pixel.

    Raises
    ------
    ValueError
        If the contract rejects the cutout; the message is the reason.
    """
    bcg = bcg_position(pixels, bcg_xy)
    prep = prepare(pixels, bcg, pixel_scale)
    found = measure_candidates(prep, bcg, pixel_scale)
    return patch_features(prep, found, bcg, pixel_scale).ravel()


def candidates(pixels, bcg_xy, pixel_scale):
    """Return all measured candidates of a cutout by segmentation, each in raster order of the first pixel."""
    bcg = bcg_position(pixels, bcg_xy)
    return measure_candidates(prepare(pixels, bcg, pixel_scale), bcg, pixel_scale)


def arc_centroids(pixels, bcg_xy, pixel_scale):
    """Return the centroids (x, y) of the candidates in the patches, px, or NaN without a candidate: (9, 2) float64."""
    found = candidates(pixels, bcg_xy, pixel_scale)
    best = [shown(found, rows, columns) for rows, columns, _ in patch_slices(len(pixels))]
    return np.array([(np.nan, np.nan) if arc is None else (arc.xs.mean(), arc.ys.mean()) for arc in best])


# Input and preparation ------------------------------------------------------------------------------------------------


def bcg_position(pixels, bcg_xy):
    """Return the BCG (x, y) as floats; the default is the centre of the cutout."""
    if bcg_xy is None:
        height, width = np.shape(pixels)[:2]
        return (width - 1) / 2, (height - 1) / 2
    return float(bcg_xy[0]), float(bcg_xy[1])


def prepare(pixels, bcg, pixel_scale):
    """Run all preparation steps in the order of the contract."""
    flux = np.array(pixels, dtype=np.float64)
    check_shape(flux)
    bad = bad_pixels(flux)
    # Reading: filled pixels have no noise of their own, so the noise is measured on pairs of good pixels; otherwise a
    # cutout with a sixth of its rows filled would seem a quarter less noisy. The sky is measured on the good pixels of
    # the frame, and all later steps (profile, mesh medians, patch means) treat filled pixels as ordinary ones.
    flux[bad] = np.nan
    sigma = noise(flux)
    sky = sky_level(flux, bad)
    flux[bad] = sky
    u = flux - sky
    s = u / sigma
    rho = u - bcg_model(u, bcg)
    bcg_flux_ = bcg_flux(u, bcg, sigma)
    gr0, ri0 = magnitude_ratio(bcg_flux_[0], bcg_flux_[1]), magnitude_ratio(bcg_flux_[1], bcg_flux_[2])
    # Reading: an exact half rounds to even, as for the BCG pixel.
    cell = max(4, round(4 / pixel_scale))
    white0 = white_map(rho, sigma)
    white = white0 - mesh_background(white0, cell)
    blue0 = blue_map(rho, sigma, bcg_flux_)
    blue = blue0 - mesh_background(blue0, 2 * cell)
    return Prepared(bad, sigma, sky, s, rho, bcg_flux_, gr0, ri0, white0, white, blue)


def check_shape(flux):
    """Reject an array that is not a square three-band cutout of at least 48 px."""
    if flux.ndim != 3 or flux.shape[2] != 3:
        raise ValueError(f"not three bands: shape {flux.shape}")
    if flux.shape[0] != flux.shape[1]:
        raise ValueError(f"not square: {flux.shape[0]} x {flux.shape[1]} px")
    if flux.shape[0] < 48:
        raise ValueError(f"under 48 px: {flux.shape[0]} px")


def bad_pixels(flux):
    """Return the mask of the pixels that are not finite in any band; over 20 % of them rejects the cutout."""
    finite = np.isfinite(flux)
    for band, name in enumerate("gri"):
        if not finite[:, :, band].any():
            raise ValueError(f"band {name} has no finite pixel")
    bad = ~finite.all(axis=2)
    if 5 * bad.sum() > bad.size:
        raise ValueError(f"over 20 % bad pixels: {100 * bad.mean():.0f} %")
    return bad


def noise(flux):
    """Return the noise of each band from the differences of horizontal neighbours that are both finite."""
    sigma = np.empty(3)
    for band in range(3):
        difference = np.abs(flux[:, 1:, band] - flux[:, :-1, band])
        sigma[band] = 1.4826 * np.nanmedian(difference) / math.sqrt(2)
        if sigma[band] == 0:
            raise ValueError(f"band {'gri'[band]} has no noise: sigma is 0")
    return sigma


def sky_level(flux, bad):
    """Return the 40th percentile of each band over the good pixels of the border frame."""
    height = flux.shape[0]
    width = max(2, height // 16)
    frame = np.ones(bad.shape, dtype=bool)
    frame[width:-width, width:-width] = False
    frame &= ~bad
    # Reading: up to 20 % bad pixels can just cover the whole frame (63 px: 18 %). The cutout then has no sky level and
    # is rejected.
    if not frame.any():
        raise ValueError("no finite pixel in the border frame")
    return np.array([np.percentile(flux[:, :, band][frame], 40) for band in range(3)])


def distance_map(shape, bcg):
    """Return the distance of every pixel from the BCG in pixels."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(x - bcg[0], y - bcg[1])


def profile_bins(r):
    """Return the radial bin of each pixel: 0 for r < 2, k for k + 1 <= r < k + 2."""
    return np.where(r < 2, 0, np.floor(r).astype(int) - 1)


def profile(u_band, bins):
    """Return the median of the band per bin; a bin with fewer than 8 pixels takes the nearest lower bin that has 8."""
    n_bins = bins.max() + 1
    values = np.full(n_bins, np.nan)
    last = np.nan
    for k in range(n_bins):
        inside = u_band[bins == k]
        if inside.size >= 8:
            last = np.median(inside)
        values[k] = last
    # Reading: with the BCG at the edge of the image, bin 0 can have fewer than 8 pixels and has no lower bin; it takes
    # the nearest higher bin that has 8.
    return np.where(np.isnan(values), values[np.isfinite(values)][0], values)


def bcg_model(u, bcg):
    """Return the radial model of the BCG and the intracluster light, (H, W, 3)."""
    r = distance_map(u.shape, bcg)
    bins = profile_bins(r)
    centers = np.arange(bins.max() + 1) + 1.5
    centers[0] = 1.0
    return np.stack([np.interp(r, centers, profile(u[:, :, band], bins)) for band in range(3)], axis=2)


def bcg_flux(u, bcg, sigma):
    """Return the flux of the BCG in the 7 x 7 box per band, at least 7 sigma."""
    x, y = round(bcg[0]), round(bcg[1])
    box = u[max(y - 3, 0) : max(y + 4, 0), max(x - 3, 0) : max(x + 4, 0)]
    return np.maximum(box.sum(axis=(0, 1)), 7 * sigma)


def magnitude_ratio(a, b):
    """Return -2.5 log10(a / b)."""
    return -2.5 * math.log10(a / b)


def smooth(image):
    """Convolve with [1 2 1] x [1 2 1] / 16, edges replicated, and divide by the noise gain of the kernel."""
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    return ndimage.correlate(image, kernel, mode="nearest") / 0.375


def white_map(rho, sigma):
    """Return the map `white0`: the smoothed S/N of the three residuals together."""
    return smooth((rho / sigma).sum(axis=2) / math.sqrt(3))


def blue_map(rho, sigma, flux):
    """Return the smoothed blue map before background subtraction: g minus i scaled to the BCG's colour."""
    q = flux[0] / flux[2]
    return smooth((rho[:, :, 0] - q * rho[:, :, 2]) / math.sqrt(sigma[0] ** 2 + q**2 * sigma[2] ** 2))


def mesh_background(image, cell):
    """Return the background from cell medians, median-filtered 3 x 3 and interpolated bilinearly."""
    rows, row_centers = mesh_axis(image.shape[0], cell)
    columns, column_centers = mesh_axis(image.shape[1], cell)
    ny, nx = len(row_centers), len(column_centers)
    mesh = np.empty((ny, nx))
    for j in range(ny):
        for i in range(nx):
            mesh[j, i] = np.median(image[rows == j][:, columns == i])
    filtered = np.empty_like(mesh)
    for j in range(ny):
        for i in range(nx):
            filtered[j, i] = np.median(mesh[max(j - 1, 0) : j + 2, max(i - 1, 0) : i + 2])
    y, x = np.arange(image.shape[0]), np.arange(image.shape[1])
    along_x = np.array([np.interp(x, column_centers, line) for line in filtered])
    return np.array([np.interp(y, row_centers, along_x[:, i]) for i in range(len(x))]).T


def mesh_axis(size, cell):
    """Return the cell index of every coordinate along one axis, and the mean coordinate of each cell."""
    n = max(2, size // cell)
    index = np.minimum(np.arange(size) // cell, n - 1)
    # Reading: a cell wider than the image leaves the second cell without pixels; a cell without pixels is ignored.
    existing = np.unique(index)
    return index, np.array([np.mean(np.flatnonzero(index == k)) for k in existing])


# Arc candidates -------------------------------------------------------------------------------------------------------


def measure_candidates(prep, bcg, pixel_scale):
    """Measure every candidate of the four segmentations."""
    found = []
    for number, (name, threshold) in enumerate(SEGMENTATIONS):
        map_ = getattr(prep, name)
        for ys, xs in components((map_ > threshold) & ~prep.bad):
            found.append(measure(number, ys, xs, map_, prep, bcg, pixel_scale))
    return found


def components(mask):
    """Return the pixels (ys, xs) of each 8-connected component of 15 or more, in raster order.

    The components are ordered by their first pixel.
    """
    labels, n = ndimage.label(mask, structure=np.ones((3, 3)))
    found = [np.nonzero(labels == label) for label in range(1, n + 1)]
    found = [(ys, xs) for ys, xs in found if ys.size >= MIN_PIXELS]
    return sorted(found, key=lambda pixels: (pixels[0][0], pixels[1][0]))


def measure(number, ys, xs, map_, prep, bcg, pixel_scale):
    """Measure all quantities of one candidate."""
    n = ys.size
    height = map_.shape[0]
    cx, cy, l1, l2, t = moments(xs, ys)
    dx, dy = cx - bcg[0], cy - bcg[1]
    distance = math.hypot(dx, dy) * pixel_scale
    tangentiality = abs(math.sin(t - math.atan2(dy, dx)))
    circle = fit_circle(xs, ys, height)
    if circle is None:
        fraction, curvature, offset = 0.0, 0.0, 5.0
    else:
        fraction = circle.inlier_fraction
        curvature = min(1 / (circle.radius * pixel_scale), 1.0)
        offset = min(math.hypot(circle.x - bcg[0], circle.y - bcg[1]) / circle.radius, 5.0)
    arcness = length(xs, ys, cx, cy, l1, circle) ** 2 / n
    residual = prep.rho[ys, xs]
    color_gr, color_ri = color(residual.sum(axis=0), prep.sigma, prep.gr0, prep.ri0)
    spread = color_spread(xs, ys, residual, prep.sigma, cx, cy, t, prep.gr0, prep.ri0)
    snr = map_[ys, xs].sum() / math.sqrt(n)
    score = arcness * (0.2 + tangentiality**2) * min(1.0, distance / 4) * (1.0 if offset < 0.8 else 0.6)
    return Candidate(
        segmentation=number,
        ys=ys,
        xs=xs,
        circle=circle,
        arcness=arcness,
        curvature=curvature,
        elongation=math.sqrt(l1 / l2),
        tangentiality=tangentiality,
        color_gr=color_gr,
        color_ri=color_ri,
        color_spread=spread,
        distance=distance,
        inlier_fraction=fraction,
        center_offset=offset,
        snr=snr,
        score=score,
    )


def moments(xs, ys):
    """Return the centroid, the eigenvalues l1 >= l2 of the second moments plus 1/12, and the major-axis angle."""
    cx, cy = xs.mean(), ys.mean()
    mxx = np.mean((xs - cx) ** 2) + 1 / 12
    myy = np.mean((ys - cy) ** 2) + 1 / 12
    mxy = np.mean((xs - cx) * (ys - cy))
    half_sum, half_difference = (mxx + myy) / 2, math.hypot((mxx - myy) / 2, mxy)
    l1, l2 = half_sum + half_difference, max(half_sum - half_difference, 1 / 12)
    # Reading: the axis points to positive x, and its angle is in (-pi/2, pi/2]; the sign decides which runs of the
    # colour spread have one more pixel.
    t = 0.5 * math.atan2(2 * mxy, mxx - myy)
    return cx, cy, l1, l2, t


def radical_inverse(k, base):
    """Return the van der Corput radical inverse of k as an exact fraction (numerator, denominator)."""
    numerator, denominator = 0, 1
    while k:
        k, digit = divmod(k, base)
        numerator, denominator = numerator * base + digit, denominator * base
    return numerator, denominator


def triplet(k, n):
    """Return the indices of the three pixels of triplet k."""
    # Reading: the floor is computed exactly, in integers; in floating point n * h can fall just below a whole number.
    fractions = [radical_inverse(k, base) for base in (2, 3, 5)]
    return [n * numerator // denominator for numerator, denominator in fractions]


def kasa(xs, ys):
    """Return the Kasa circle (x, y, R) through the points, or None if they are collinear."""
    mx, my = xs.mean(), ys.mean()
    u, v = xs - mx, ys - my
    suu, svv, suv = (u * u).sum(), (v * v).sum(), (u * v).sum()
    determinant = suu * svv - suv**2
    if determinant <= 1e-9 * max(suu, svv) ** 2:
        return None
    z = u * u + v * v
    a, b = (u * z).sum() / 2, (v * z).sum() / 2
    uc, vc = (a * svv - b * suv) / determinant, (b * suu - a * suv) / determinant
    return mx + uc, my + vc, math.sqrt(uc**2 + vc**2 + z.mean())


def inliers(xs, ys, circle):
    """Return the mask of the pixels within 1.5 px of the circle (x, y, R)."""
    x, y, radius = circle
    return np.abs(np.hypot(xs - x, ys - y) - radius) < INLIER_PX


def fit_circle(xs, ys, height):
    """Fit a circle by RANSAC with 48 fixed triplets and a refit to the inliers; None if no triplet gives a circle."""
    best, best_inside = None, None
    for k in range(1, N_TRIPLETS + 1):
        index = triplet(k, xs.size)
        circle = kasa(xs[index], ys[index])
        if circle is None or circle[2] > 2 * height:
            continue
        inside = inliers(xs, ys, circle)
        if best is None or inside.sum() > best_inside.sum():
            best, best_inside = circle, inside
    if best is None:
        return None
    # Reading: a collinear refit is not a circle, so the triplet's circle stays.
    refit = kasa(xs[best_inside], ys[best_inside])
    kept = refit if refit is not None and 0 < refit[2] <= 2 * height else best
    return Circle(*kept, inlier_fraction=best_inside.sum() / xs.size)


def length(xs, ys, cx, cy, l1, circle):
    """Return the length of the candidate in pixels, along its circle if it has one."""
    straight = 4 * math.sqrt(l1)
    if circle is None:
        return straight
    toward = math.atan2(cy - circle.y, cx - circle.x)
    angles = [wrap(math.atan2(y - circle.y, x - circle.x) - toward) for x, y in zip(xs, ys, strict=True)]
    return max(straight, circle.radius * (max(angles) - min(angles)))


def wrap(angle):
    """Return the angle in (-pi, pi]."""
    while angle > math.pi:
        angle -= 2 * math.pi
    while angle <= -math.pi:
        angle += 2 * math.pi
    return angle


def color(total, sigma, gr0, ri0):
    """Return the colours g - r and r - i of three summed fluxes, relative to the BCG."""
    floor = 1e-3 * np.abs(total).sum() + 1e-12 * sigma.mean()
    g, r, i = np.maximum(total, floor)
    return magnitude_ratio(g, r) - gr0, magnitude_ratio(r, i) - ri0


def color_spread(xs, ys, residual, sigma, cx, cy, t, gr0, ri0):
    """Return the scatter of the colours of four runs along the major axis."""
    projection = (xs - cx) * math.cos(t) + (ys - cy) * math.sin(t)
    runs = np.array_split(np.argsort(projection, kind="stable"), 4)
    colors = np.array([color(residual[run].sum(axis=0), sigma, gr0, ri0) for run in runs])
    return math.sqrt(colors[:, 0].var() + colors[:, 1].var())


# Patches --------------------------------------------------------------------------------------------------------------


def patch_slices(height):
    """Return the row and column slices of the nine patches, and their centres (x, y)."""
    p = height // 3
    origin = (height - 3 * p) // 2
    patches = []
    for k in range(N_PATCHES):
        y0, x0 = origin + (k // 3) * p, origin + (k % 3) * p
        patches.append((slice(y0, y0 + p), slice(x0, x0 + p), (x0 + (p - 1) / 2, y0 + (p - 1) / 2)))
    return patches


def belongs(candidate, rows, columns):
    """Return whether the patch contains at least min(15, n / 2) of the candidate's pixels."""
    ys, xs = candidate.ys, candidate.xs
    held = (ys >= rows.start) & (ys < rows.stop) & (xs >= columns.start) & (xs < columns.stop)
    return held.sum() >= min(MIN_PIXELS, ys.size / 2)


def shown(found, rows, columns):
    """Return the candidate with the highest score in the patch (the first if scores are equal), or None."""
    best = None
    for candidate in found:
        if belongs(candidate, rows, columns) and (best is None or candidate.score > best.score):
            best = candidate
    return best


def sobel_magnitude(image):
    """Return the Sobel magnitude: weights 1 2 1 / 4 across and -1 0 1 along, edges replicated."""
    gx = ndimage.correlate(image, np.outer([1, 2, 1], [-1, 0, 1]) / 4, mode="nearest")
    gy = ndimage.correlate(image, np.outer([-1, 0, 1], [1, 2, 1]) / 4, mode="nearest")
    return np.sqrt((gx**2 + gy**2) / 2)


def radial_bin(distance):
    """Return 0 below 10 arcsec, 1 from 10 to 20, and 2 from 20."""
    return 0 if distance < 10 else 1 if distance < 20 else 2


def arc_columns(best):
    """Return features 15 to 25."""
    if best is None:
        return [0.0] * 11
    return [
        best.arcness,
        best.curvature,
        best.elongation,
        best.tangentiality,
        best.color_gr,
        best.color_ri,
        best.color_spread,
        best.distance,
        best.inlier_fraction,
        best.center_offset,
        math.asinh(best.snr),
    ]


def patch_features(prep, found, bcg, pixel_scale):
    """Return the (9, 34) features of the patches."""
    patches = patch_slices(prep.s.shape[0])
    edges = sobel_magnitude(prep.white) > 2
    levels = [prep.s[rows, columns].mean() for rows, columns, _ in patches]
    table = np.empty((N_PATCHES, N_FEATURES))
    for k, (rows, columns, (x, y)) in enumerate(patches):
        s = prep.s[rows, columns]
        m, others = levels[k], (sum(levels) - levels[k]) / 8
        dx, dy = x - bcg[0], y - bcg[1]
        distance = math.hypot(dx, dy) * pixel_scale
        row = list(np.arcsinh(s.mean(axis=(0, 1))))
        row += list(np.log(s.std(axis=(0, 1)) + 1e-6))
        row += color(prep.rho[rows, columns].sum(axis=(0, 1)), prep.sigma, prep.gr0, prep.ri0)
        row.append(edges[rows, columns].mean())
        row.append((m - others) / (abs(m) + abs(others) + 1e-6))
        row += [distance, math.atan2(dy, dx), radial_bin(distance)]
        row.append(math.asinh(prep.white0[rows, columns].mean()))
        row += arc_columns(shown(found, rows, columns))
        row += [1.0 if k == slot else 0.0 for slot in range(N_PATCHES)]
        table[k] = row
    return table
