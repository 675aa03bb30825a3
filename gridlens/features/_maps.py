"""From pixels to the residual planes and the detection maps: "per-cutout preparation" of the feature contract.

Plain arrays in and out. Planes are (3, H, W) float64 in the order g, r, i; `good` is False where a pixel is not
finite in some band. Numbers in brackets are the steps of the contract page.
"""

import math

import numpy as np

from gridlens._jit import jit
from gridlens.features._order import median, percentile

__all__ = ["OK", "bcg_fluxes", "blue_map", "prepare", "subtract_light", "white_maps"]

# Status codes of `prepare`; a band without noise is NOISELESS plus the band's index.
OK = 0
BAD_GEOMETRY = 1
TOO_MANY_BAD = 2
NO_SKY = 3
NOISELESS = 4

MIN_SIZE = 48
MIN_SCALE = 0.03
MAX_SCALE = 2.0
ONE_BAD_IN = 5  # more bad pixels than one in five reject a cutout
SKY_FRACTION = 0.4
MIN_BIN_PIXELS = 8
BCG_HALF_BOX = 3
SMOOTHING_GAIN = 0.375
MESH_ARCSEC = 4.0


@jit
def check_geometry(height, width, bcg_x, bcg_y, pixel_scale):
    """Whether a cutout of this shape, BCG (px) and scale (arcsec per px) can be measured; False for NaN."""
    return (
        height == width
        and height >= MIN_SIZE
        and MIN_SCALE <= pixel_scale <= MAX_SCALE
        and -0.5 <= bcg_x < width - 0.5
        and -0.5 <= bcg_y < height - 0.5
    )


@jit
def prepare(pixels, planes, good, sigma):
    """Sky-subtracted planes, mask of good pixels and noise per band, all filled in place; returns a status [1-3]."""
    height, width, _ = pixels.shape
    n_bad = 0
    for y in range(height):
        for x in range(width):
            fine = True
            for b in range(3):
                planes[b, y, x] = pixels[y, x, b]
                fine = fine and math.isfinite(planes[b, y, x])
            good[y, x] = fine
            if not fine:
                n_bad += 1
    if n_bad * ONE_BAD_IN > height * width:
        return TOO_MANY_BAD
    work = np.empty(height * width)
    for b in range(3):
        sigma[b] = noise(planes, b, good, work)
        if not sigma[b] > 0.0:
            return NOISELESS + b
        if not subtract_sky(planes, b, good, work):
            return NO_SKY
    return OK


@jit
def noise(planes, b, good, work):
    """Noise of one band from the differences of horizontal neighbours that are both good; 0 without any [2]."""
    height, width = good.shape
    n = 0
    for y in range(height):
        for x in range(width - 1):
            if good[y, x] and good[y, x + 1]:
                work[n] = abs(planes[b, y, x + 1] - planes[b, y, x])
                n += 1
    if n == 0:
        return 0.0
    return 1.4826 * median(work, 0, n) / math.sqrt(2.0)


@jit
def subtract_sky(planes, b, good, work):
    """Subtract the sky of one band in place and set its bad pixels to 0, the sky's level [1, 3].

    The sky is read from the good pixels of the border frame; returns whether there are any.
    """
    height, width = good.shape
    border = max(2, height // 16)
    n = 0
    for y in range(height):
        for x in range(width):
            inside = border <= y < height - border and border <= x < width - border
            if good[y, x] and not inside:
                work[n] = planes[b, y, x]
                n += 1
    if n == 0:
        return False
    sky = percentile(work, n, SKY_FRACTION)
    for y in range(height):
        for x in range(width):
            planes[b, y, x] = planes[b, y, x] - sky if good[y, x] else 0.0
    return True


@jit
def radial_bin(r):
    """Bin of the light profile at `r` px from the BCG: 0 under 2 px, then one bin a pixel."""
    return max(0, math.floor(r) - 1)


@jit
def subtract_light(planes, bcg_x, bcg_y, residual):
    """Residual planes without the BCG and its intracluster light, a median profile in circles [5]."""
    height, width = planes.shape[1], planes.shape[2]
    radius = np.empty((height, width))
    n_bins = 1
    for y in range(height):
        for x in range(width):
            radius[y, x] = math.sqrt((x - bcg_x) ** 2 + (y - bcg_y) ** 2)
            n_bins = max(n_bins, radial_bin(radius[y, x]) + 1)
    start = np.zeros(n_bins + 1, np.int64)
    for y in range(height):
        for x in range(width):
            start[radial_bin(radius[y, x]) + 1] += 1
    for k in range(n_bins):
        start[k + 1] += start[k]
    fill = np.empty(n_bins, np.int64)
    values = np.empty(height * width)
    profile = np.empty(n_bins)
    for b in range(3):
        for k in range(n_bins):
            fill[k] = start[k]
        for y in range(height):
            for x in range(width):
                k = radial_bin(radius[y, x])
                values[fill[k]] = planes[b, y, x]
                fill[k] += 1
        fill_profile(values, start, profile)
        for y in range(height):
            for x in range(width):
                residual[b, y, x] = planes[b, y, x] - light_at(profile, radius[y, x])


@jit
def fill_profile(values, start, profile):
    """Median of each bin's run of `values`; a thin bin takes the nearest lower full one, else the first full one."""
    n_bins = profile.shape[0]
    first = -1
    for k in range(n_bins):
        if start[k + 1] - start[k] >= MIN_BIN_PIXELS:
            profile[k] = median(values, start[k], start[k + 1])
            if first < 0:
                first = k
        elif first >= 0:
            profile[k] = profile[k - 1]
    for k in range(first):
        profile[k] = profile[first]


@jit
def light_at(profile, r):
    """Profile at radius `r`, linear between the bin centres 1, 2.5, 3.5, ..., constant outside."""
    last = profile.shape[0] - 1
    if r <= 1.0 or last == 0:
        return profile[0]
    if r < 2.5:
        k, weight = 0, (r - 1.0) / 1.5
    else:
        k = math.floor(r - 1.5)
        weight = r - 1.5 - k
    if k >= last:
        return profile[last]
    return profile[k] + weight * (profile[k + 1] - profile[k])


@jit
def bcg_fluxes(planes, sigma, bcg_x, bcg_y, fluxes):
    """Flux of the BCG per band in a 7 x 7 box, at least 7 sigma, filled in place [6]."""
    height, width = planes.shape[1], planes.shape[2]
    x0, y0 = round(bcg_x), round(bcg_y)
    for b in range(3):
        total = 0.0
        for y in range(max(0, y0 - BCG_HALF_BOX), min(height, y0 + BCG_HALF_BOX + 1)):
            for x in range(max(0, x0 - BCG_HALF_BOX), min(width, x0 + BCG_HALF_BOX + 1)):
                total += planes[b, y, x]
        fluxes[b] = max(total, 7.0 * sigma[b])


@jit
def smooth(image, out):
    """Smooth an image by [1 2 1] x [1 2 1] / 16 with replicated edges, over the kernel's noise gain, into `out`."""
    height, width = image.shape
    rows = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            rows[y, x] = image[y, max(x - 1, 0)] + 2.0 * image[y, x] + image[y, min(x + 1, width - 1)]
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            out[y, x] = (rows[above, x] + 2.0 * rows[y, x] + rows[below, x]) / (16.0 * SMOOTHING_GAIN)


@jit
def mesh_cell(pixel_scale):
    """Side of a mesh cell of the white map, px; half a pixel rounds to even."""
    return max(4, round(MESH_ARCSEC / pixel_scale))


@jit
def white_maps(residual, sigma, pixel_scale, white0, white):
    """Fill `white0` and `white`: S/N of the three bands together, without and with a background taken off [7]."""
    height, width = white0.shape
    for y in range(height):
        for x in range(width):
            total = residual[0, y, x] / sigma[0] + residual[1, y, x] / sigma[1] + residual[2, y, x] / sigma[2]
            white[y, x] = total / math.sqrt(3.0)
    smooth(white, white0)
    subtract_mesh(white0, mesh_cell(pixel_scale), white)


@jit
def blue_map(residual, sigma, fluxes, pixel_scale, blue):
    """Fill `blue`: S/N of the light that is bluer than the BCG in g - i [8]."""
    height, width = blue.shape
    q = fluxes[0] / fluxes[2]
    scale = math.sqrt(sigma[0] ** 2 + q * q * sigma[2] ** 2)
    smoothed = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            blue[y, x] = (residual[0, y, x] - q * residual[2, y, x]) / scale
    smooth(blue, smoothed)
    subtract_mesh(smoothed, 2 * mesh_cell(pixel_scale), blue)


@jit
def subtract_mesh(image, cell, out):
    """Image minus its background, the filtered mesh of medians, bilinear between the cells' centres, into `out` [9]."""
    height, width = image.shape
    y_edges, x_edges = cell_edges(height, cell), cell_edges(width, cell)
    mesh = filtered_mesh(image, y_edges, x_edges)
    ny, nx = mesh.shape
    x_cell, x_weight = between_centres(x_edges)
    y_cell, y_weight = between_centres(y_edges)
    row = np.empty(nx)
    for y in range(height):
        j, v = y_cell[y], y_weight[y]
        for i in range(nx):
            row[i] = mesh[j, i] + v * (mesh[min(j + 1, ny - 1), i] - mesh[j, i])
        for x in range(width):
            i = x_cell[x]
            out[y, x] = image[y, x] - (row[i] + x_weight[x] * (row[min(i + 1, nx - 1)] - row[i]))


@jit
def filtered_mesh(image, y_edges, x_edges):
    """Medians of the image's cells, median-filtered 3 x 3 over the cells that exist."""
    ny, nx = y_edges.shape[0] - 1, x_edges.shape[0] - 1
    mesh, filtered = np.empty((ny, nx)), np.empty((ny, nx))
    work = np.empty(image.size)
    for j in range(ny):
        for i in range(nx):
            mesh[j, i] = block_median(image, y_edges[j], y_edges[j + 1], x_edges[i], x_edges[i + 1], work)
    for j in range(ny):
        for i in range(nx):
            filtered[j, i] = block_median(mesh, max(j - 1, 0), min(j + 2, ny), max(i - 1, 0), min(i + 2, nx), work)
    return filtered


@jit
def block_median(image, y0, y1, x0, x1, work):
    """Median of ``image[y0:y1, x0:x1]``."""
    n = 0
    for y in range(y0, y1):
        for x in range(x0, x1):
            work[n] = image[y, x]
            n += 1
    return median(work, 0, n)


@jit
def cell_edges(size, cell):
    """Edges of the mesh cells along an axis, the last cell with the remainder; cells without pixels are left out."""
    n = min(max(2, size // cell), (size - 1) // cell + 1)
    edges = np.empty(n + 1, np.int64)
    for k in range(n):
        edges[k] = k * cell
    edges[n] = size
    return edges


@jit
def between_centres(edges):
    """For each pixel of an axis the cell centre at or before it and the weight of the next one."""
    n, size = edges.shape[0] - 1, edges[-1]
    cell = np.zeros(size, np.int64)
    weight = np.zeros(size)
    for x in range(size):
        k = 0
        while k < n - 1 and x >= 0.5 * (edges[k + 1] + edges[k + 2] - 1):
            k += 1
        cell[x] = k
        centre = 0.5 * (edges[k] + edges[k + 1] - 1)
        if k < n - 1 and x > centre:
            weight[x] = (x - centre) / (0.5 * (edges[k + 1] + edges[k + 2] - 1) - centre)
    return cell, weight
