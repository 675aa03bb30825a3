"""Ray shooting: images of Sersic sources on pixels, with adaptive sampling.

The kernels take plain arrays and change arrays in place. First, rays are shot through the corners and the centre of
blocks of pixels; only for blocks whose outline in the source plane comes near a source are rays shot through every
pixel.
"""

import math

import numpy as np

from gridlens._jit import entry, jit
from gridlens.lensing._profiles import DPIE_ROW, KIND, NFW_ROW, SIE_ROW, STRENGTH, X, Y, add_deflection

__all__ = ["SOURCE_COLUMNS", "shoot"]

# Columns of the table of sources: position, effective radius, Sersic index, its coefficient b, radius of truncation,
# root of the axis ratio, direction of the major axis, scale of the deflection.
S_X, S_Y, S_RADIUS, S_INDEX, S_B, S_REACH, S_STRETCH, S_COS, S_SIN, S_SCALE = range(10)
SOURCE_COLUMNS = 10
# Pixels along the side of a block, without the border of one pixel that is needed for differences.
_BLOCK = 8
_SIDE = _BLOCK + 2
# Largest distance of samples in the source plane, in units of the effective radius of the minor axis, or of the length
# over which the light decreases to 1/e: the mean over a pixel is then accurate to about one percent. The last number
# limits the parts of a pixel along each axis.
_SPACING = 0.35
_STEEPNESS = 0.6
_MOST = 24
# If the middle of a pixel's edge deviates from the local linear map by more than this fraction of the minor axis, a ray
# is shot for every sample.
_CURVED = 0.05


@jit
def _sharp(rows, x, y, near):
    """Return a bound for the variation of the deflection around a point due to components within `near` of it."""
    total = 0.0
    for component in range(rows.shape[0]):
        kind = rows[component, KIND]
        dx = rows[component, X] - x
        dy = rows[component, Y] - y
        if dx * dx + dy * dy < near * near:
            if kind in (SIE_ROW, DPIE_ROW):
                # Apart from its ellipticity, an isothermal profile deflects by at most its strength.
                total += 2.0 * rows[component, STRENGTH]
            elif kind == NFW_ROW:
                total += math.inf
    return total


@jit
def _sample(source, dx, dy):
    """Return the surface brightness, relative to the effective radius, at an offset from the source's centre."""
    u = (source[S_COS] * dx + source[S_SIN] * dy) * source[S_STRETCH]
    v = (source[S_COS] * dy - source[S_SIN] * dx) / source[S_STRETCH]
    r2 = (u * u + v * v) / (source[S_RADIUS] * source[S_RADIUS])
    n = source[S_INDEX]
    if n == 0.5:
        power = r2
    elif n == 1.0:
        power = math.sqrt(r2)
    else:
        power = r2 ** (0.5 / n)
    return math.exp(-source[S_B] * (power - 1.0))


@jit
def _is_near(source, dx, dy, margin):
    """Return whether light of a source may be within `margin` of an offset from its centre."""
    limit = source[S_REACH] / source[S_STRETCH] + margin
    return dx * dx + dy * dy < limit * limit


@jit
def _spacing(source, dx, dy, reach):
    """Return the largest distance of samples in a pixel that extends `reach` around an offset from the centre."""
    spacing = _SPACING
    n = source[S_INDEX]
    if n > 1.0:
        # Light steeper than an exponential has a cusp.
        stretch = source[S_STRETCH]
        u = (source[S_COS] * dx + source[S_SIN] * dy) * stretch
        v = (source[S_COS] * dy - source[S_SIN] * dx) / stretch
        nearest = max(math.sqrt(u * u + v * v) - reach / stretch, 0.0) / source[S_RADIUS]
        spacing = min(spacing, _STEEPNESS * n / source[S_B] * nearest ** (1.0 - 1.0 / n))
    return spacing * source[S_RADIUS] * source[S_STRETCH]


@jit
def _parts(span, spacing):
    """Return the number of parts of a pixel's side of length `span` in the source plane."""
    if span >= _MOST * spacing:
        return _MOST
    return max(math.ceil(span / spacing), 1)


@jit
def _mean_linear(source, dx, dy, xx, yx, xy, yy, parts_x, parts_y):
    """Return the mean over a pixel whose sides are (xx, yx) and (xy, yy) in the source plane."""
    total = 0.0
    for j in range(parts_y):
        fy = (j + 0.5) / parts_y - 0.5
        for i in range(parts_x):
            fx = (i + 0.5) / parts_x - 0.5
            total += _sample(source, dx + xx * fx + xy * fy, dy + yx * fx + yy * fy)
    return total / (parts_x * parts_y)


@jit
def _mean_rays(source, rows, x, y, step, parts_x, parts_y, work):
    """Return the mean over a pixel with a separate ray through each sample."""
    total = 0.0
    for j in range(parts_y):
        for i in range(parts_x):
            work[0, i] = x + step * ((i + 0.5) / parts_x - 0.5)
            work[1, i] = y + step * ((j + 0.5) / parts_y - 0.5)
            work[2, i] = 0.0
            work[3, i] = 0.0
        add_deflection(rows, work[0, :parts_x], work[1, :parts_x], work[2, :parts_x], work[3, :parts_x])
        for i in range(parts_x):
            dx = work[0, i] - source[S_SCALE] * work[2, i] - source[S_X]
            dy = work[1, i] - source[S_SCALE] * work[3, i] - source[S_Y]
            total += _sample(source, dx, dy)
    return total / (parts_x * parts_y)


@jit
def _draw_block(images, rows, source, light, rays, i0, j0, step, work, fixed):
    """Add one source to the pixels of a block; `rays` (4, 10, 10) has the positions and deflections of its pixels."""
    bands, ny, nx = images.shape
    scale = source[S_SCALE]
    thin = source[S_RADIUS] * source[S_STRETCH]
    for j in range(1, _SIDE - 1):
        if j0 + j - 1 >= ny:
            break
        for i in range(1, _SIDE - 1):
            if i0 + i - 1 >= nx:
                break
            dx = rays[0, j, i] - scale * rays[2, j, i] - source[S_X]
            dy = rays[1, j, i] - scale * rays[3, j, i] - source[S_Y]
            # Sides of the pixel in the source plane, and their curvature.
            xx = step - 0.5 * scale * (rays[2, j, i + 1] - rays[2, j, i - 1])
            yx = -0.5 * scale * (rays[3, j, i + 1] - rays[3, j, i - 1])
            xy = -0.5 * scale * (rays[2, j + 1, i] - rays[2, j - 1, i])
            yy = step - 0.5 * scale * (rays[3, j + 1, i] - rays[3, j - 1, i])
            bent = 0.0
            for axis in range(2, 4):
                middle = 2.0 * rays[axis, j, i]
                bent = max(bent, abs(rays[axis, j, i + 1] + rays[axis, j, i - 1] - middle))
                bent = max(bent, abs(rays[axis, j + 1, i] + rays[axis, j - 1, i] - middle))
            bent *= 0.125 * scale
            if not _is_near(source, dx, dy, 0.5 * (abs(xx) + abs(yx) + abs(xy) + abs(yy)) + 4.0 * bent):
                continue
            parts_x = parts_y = fixed
            if fixed == 0:
                side_x = math.sqrt(xx * xx + yx * yx) + 4.0 * bent
                side_y = math.sqrt(xy * xy + yy * yy) + 4.0 * bent
                spacing = _spacing(source, dx, dy, 0.5 * (side_x + side_y))
                parts_x = _parts(side_x, spacing)
                parts_y = _parts(side_y, spacing)
            if fixed == 0 and bent > _CURVED * thin:
                value = _mean_rays(source, rows, rays[0, j, i], rays[1, j, i], step, parts_x, parts_y, work)
            else:
                value = _mean_linear(source, dx, dy, xx, yx, xy, yy, parts_x, parts_y)
            for band in range(bands):
                images[band, j0 + j - 1, i0 + i - 1] += light[band] * value


@entry
def shoot(images, rows, sources, light, x0, y0, step, fixed):
    """Add the images of `sources` seen through the lens `rows` to `images` (bands, ny, nx) in place.

    `sources` (k, 10) has the columns above, and `light` (k, bands) the flux of a pixel at the surface brightness of the
    effective radius; the centre of pixel (0, 0) is at `x0`, `y0`, and pixels are `step` wide (arcsec). A pixel is
    divided into `fixed` parts along each side, by the local linear map alone, or adaptively if `fixed` is 0.
    """
    _, ny, nx = images.shape
    down = (ny + _BLOCK - 1) // _BLOCK
    across = (nx + _BLOCK - 1) // _BLOCK
    size = _BLOCK * step
    # Corners of the blocks, then their centres, one row at a time.
    corners = np.zeros((2, down + 1, across + 1))
    centres = np.zeros((2, down, across))
    axis = np.empty(across + 1)
    level = np.empty(across + 1)
    for i in range(across + 1):
        axis[i] = x0 - 0.5 * step + i * size
    for j in range(down + 1):
        level[:] = y0 - 0.5 * step + j * size
        add_deflection(rows, axis, level, corners[0, j], corners[1, j])
    axis += 0.5 * size
    for j in range(down):
        level[:] = y0 - 0.5 * step + (j + 0.5) * size
        add_deflection(rows, axis[:across], level[:across], centres[0, j], centres[1, j])
    rays = np.empty((4, _SIDE, _SIDE))
    flat = rays.reshape(4, _SIDE * _SIDE)
    work = np.empty((4, _MOST))
    for j in range(down):
        for i in range(across):
            x = x0 - 0.5 * step + (i + 0.5) * size
            y = y0 - 0.5 * step + (j + 0.5) * size
            sharp = _sharp(rows, x, y, 1.5 * size)
            shot = False
            for k in range(sources.shape[0]):
                source = sources[k]
                scale = source[S_SCALE]
                # The outline of the block in the source plane, with a margin for its curvature.
                extent = 0.0
                for cj in range(2):
                    for ci in range(2):
                        dx = (ci - 0.5) * size - scale * (corners[0, j + cj, i + ci] - centres[0, j, i])
                        dy = (cj - 0.5) * size - scale * (corners[1, j + cj, i + ci] - centres[1, j, i])
                        extent = max(extent, dx * dx + dy * dy)
                margin = 1.5 * math.sqrt(extent) + scale * sharp
                dx = x - scale * centres[0, j, i] - source[S_X]
                dy = y - scale * centres[1, j, i] - source[S_Y]
                if not _is_near(source, dx, dy, margin):
                    continue
                if not shot:
                    for fj in range(_SIDE):
                        for fi in range(_SIDE):
                            rays[0, fj, fi] = x0 + (i * _BLOCK + fi - 1) * step
                            rays[1, fj, fi] = y0 + (j * _BLOCK + fj - 1) * step
                    rays[2:] = 0.0
                    add_deflection(rows, flat[0], flat[1], flat[2], flat[3])
                    shot = True
                _draw_block(images, rows, source, light[k], rays, i * _BLOCK, j * _BLOCK, step, work, fixed)
