"""Slow reference for centred images: numpy, scipy and the reference of the features; it never imports gridlens."""

import naive
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

__all__ = ["centred"]


def centred(pixels, bcg_xy, pixel_scale, size, grid_scale):
    """Return bands and blue map in units of the noise on a grid centred on the BCG, (4, size, size) float64."""
    prepared = naive.prepare(pixels, naive.bcg_position(pixels, bcg_xy), pixel_scale)
    maps = np.concatenate([np.moveaxis(prepared.s, 2, 0), prepared.blue[None]])
    maps[:, prepared.bad] = 0.0
    return np.stack([placed(one, bcg_xy, pixel_scale, size, grid_scale) for one in maps])


def placed(image, bcg_xy, pixel_scale, size, grid_scale):
    """Resample one map (H, W) on the grid, (size, size): nearest pixels, or a Gaussian and linear interpolation."""
    steps = (np.arange(size) - (size - 1) / 2) * grid_scale / pixel_scale
    rows, columns = bcg_xy[1] + steps, bcg_xy[0] + steps
    if all(np.abs(at - np.round(at)).max() < 0.05 for at in (rows, columns)):
        rows, columns = np.round(rows), np.round(columns)
    elif grid_scale > pixel_scale:
        image = gaussian_filter(image, 0.5 * np.sqrt((grid_scale / pixel_scale) ** 2 - 1.0))
    at = np.broadcast_arrays(rows[:, None], columns[None, :])
    return map_coordinates(image, at, order=1, mode="constant", cval=0.0)
