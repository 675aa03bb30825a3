"""Mesh background of a map: medians of cells, median-filtered, bilinear between the cells' centres [9]."""

import numpy as np

from gridlens._jit import jit
from gridlens.features._order import key_of, median

__all__ = ["mesh_cell", "most_cells", "subtract_mesh"]

SMALLEST_CELL = 4
MESH_ARCSEC = 4.0

_ZERO = np.float32(0.0)
_HALF = np.float32(0.5)
_STEP = np.float32(0.3)  # typical difference between the medians of neighbouring cells, S/N


def most_cells(size: int) -> int:
    """Return the maximum number of cells along an axis of `size` px."""
    return size // SMALLEST_CELL + 1


@jit
def mesh_cell(pixel_scale):
    """Return the side of a mesh cell of the white map, px; half a pixel rounds to even."""
    return max(SMALLEST_CELL, round(MESH_ARCSEC / pixel_scale))


@jit
def subtract_mesh(image, cell, keys, edges, index, weight, mesh, lines, out):
    """Subtract from an image (float32, square) its background on a mesh of `cell` px, and fill `out`.

    Work arrays, with m = `most_cells`: `keys` for each pixel, `edges` (m + 1,), `index` and `weight` for each
    column, `mesh` (2, m, m), `lines` (m + 1, columns).
    """
    size = image.shape[0]
    n = fill_edges(size, cell, edges)
    between_centres(edges, n, index, weight)
    cell_medians(image, edges, n, keys, mesh[0])
    filter_mesh(mesh[0], n, lines[0], mesh[1])
    # Interpolate along x once per row of cells, and then along y once per row of pixels.
    for j in range(n + 1):
        cells, line = mesh[1, min(j, n - 1)], lines[j]
        for x in range(size):
            i = index[x]
            line[x] = cells[i] + weight[x] * (cells[min(i + 1, n - 1)] - cells[i])
    for y in range(size):
        line, following, v = lines[index[y]], lines[index[y] + 1], weight[y]
        source, target = image[y], out[y]
        for x in range(size):
            target[x] = source[x] - (line[x] + v * (following[x] - line[x]))


@jit
def cell_medians(image, edges, n, keys, medians):
    """Compute the median of each cell of an image."""
    value = _ZERO
    for j in range(n):
        y0, rows = edges[j], edges[j + 1] - edges[j]
        # One row of cells, cell by cell.
        for i in range(n):
            x0, columns = edges[i], edges[i + 1] - edges[i]
            k = rows * x0
            for y in range(y0, y0 + rows):
                for x in range(x0, x0 + columns):
                    keys[k] = key_of(image[y, x])
                    k += 1
        for i in range(n):
            value = median(keys[rows * edges[i] : rows * edges[i + 1]], value, _STEP)
            medians[j, i] = value


@jit
def filter_mesh(mesh, n, near, out):
    """Compute the median of each cell and its existing neighbours; `near` is a work array of nine numbers."""
    for j in range(n):
        for i in range(n):
            count = 0
            for y in range(max(j - 1, 0), min(j + 2, n)):
                for x in range(max(i - 1, 0), min(i + 2, n)):
                    value, k = mesh[y, x], count
                    while k > 0 and near[k - 1] > value:
                        near[k] = near[k - 1]
                        k -= 1
                    near[k] = value
                    count += 1
            middle = count // 2
            out[j, i] = near[middle] if count % 2 == 1 else _HALF * (near[middle - 1] + near[middle])


@jit
def fill_edges(size, cell, edges):
    """Fill the cell edges along an axis, the last cell with the remainder; return the number of non-empty cells."""
    n = min(max(2, size // cell), (size - 1) // cell + 1)
    for k in range(n):
        edges[k] = k * cell
    edges[n] = size
    return n


@jit
def between_centres(edges, n, index, weight):
    """Fill, for each pixel of an axis, the index of the cell centre at or before it and the weight of the next."""
    k = 0
    for x in range(edges[n]):
        while k < n - 1 and x >= 0.5 * (edges[k + 1] + edges[k + 2] - 1):
            k += 1
        index[x] = k
        centre = 0.5 * (edges[k] + edges[k + 1] - 1)
        if k < n - 1 and x > centre:
            weight[x] = np.float32((x - centre) / (0.5 * (edges[k + 1] + edges[k + 2] - 1) - centre))
        else:
            weight[x] = _ZERO
