"""Compiled entry point for centred images: resample the bands and the blue map to a grid centred on the BCG."""

import numpy as np

from gridlens._jit import entry
from gridlens.features._maps import BAD_GEOMETRY, OK, check_geometry, prepare, smooth, subtract_bcg, turn_to
from gridlens.features._mesh import mesh_cell, subtract_mesh
from gridlens.features._resample import aim, resample

__all__ = ["fill_images"]

N_BANDS = 3
BLUE = 2  # its index among the maps of the workspace


@entry
def fill_images(pixels, bcg_xy, pixel_scale, grid_scale, work, room, out, status):
    """Fill `out` with the S/N of cutouts of one size on the grid of `room`.

    Parameters
    ----------
    pixels, bcg_xy, pixel_scale, work
        See `extract_rows`.
    grid_scale : float
        Pixel scale of the grid, arcsec per pixel.
    room : GridRoom
        Work arrays for cutouts of this size and this grid.
    out : ndarray of shape (n, 3 or 4, size, size), float32
        The bands and, if there is a fourth channel, the blue map; 0 for a rejected cutout.
    status : ndarray of shape (n,), int64
        Filled with `OK` or another status code of `_maps.py`.
    """
    height, width = pixels.shape[1], pixels.shape[2]
    planes, blue = work.planes, work.maps[BLUE]
    for k in range(pixels.shape[0]):
        bcg_x, bcg_y, scale, images = bcg_xy[k, 0], bcg_xy[k, 1], pixel_scale[k], out[k]
        status[k] = BAD_GEOMETRY
        if check_geometry(height, width, bcg_x, bcg_y, scale):
            status[k], _ = prepare(pixels[k], planes, work.good, work.sigma, work.keys, work.values, work.sample)
        if status[k] != OK:
            images[:] = 0.0
            continue
        if images.shape[0] > N_BANDS:
            turn_to(bcg_x, bcg_y, work)
            subtract_bcg(bcg_x, bcg_y, np.int64(work.place[2]), work)
            # The raw white map is not needed, so its memory is reused for the smoothed blue map.
            smooth(work.raw[1], work.raw[0], work.lines[0])
            subtract_mesh(
                work.raw[0],
                2 * mesh_cell(scale),
                work.keys,
                work.cell_edges,
                work.cell_index,
                work.cell_weight,
                work.mesh,
                work.mesh_lines,
                blue,
            )
            for y in range(height):
                for x in range(width):
                    blue[y, x] = blue[y, x] if work.good[y, x] else 0.0
        radius = aim(height, bcg_x, bcg_y, scale, grid_scale, room)
        for channel in range(images.shape[0]):
            resample(planes[channel] if channel < N_BANDS else blue, radius, room, images[channel])
