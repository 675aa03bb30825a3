"""Cutouts in units of the noise on a grid centred on the BCG, for members that use pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from joblib import effective_n_jobs

from gridlens.cutouts import CutoutSet
from gridlens.features._batches import in_batches

__all__ = ["centred_images"]


def centred_images(
    cutouts: CutoutSet, size: int, pixel_scale: float, *, blue_map: bool = False, n_jobs: int | None = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Resample the S/N of cutouts to a common grid centred on the BCG.

    Sky and noise of each band are estimated as for the features: the 40th percentile of a frame along the border, and
    `gridlens.cutouts.band_noise`. If the grid is coarser than the cutout, a Gaussian filter is applied before the
    linear interpolation. If all grid pixels are within a twentieth of a pixel of the cutout's pixels, no interpolation
    is done.

    Parameters
    ----------
    cutouts : CutoutSet of n
    size : int
        Side of the grid, px.
    pixel_scale : float
        Pixel scale of the grid, arcsec per pixel.
    blue_map : bool, default=False
        Whether to add the blue map of `detection_maps` as a fourth channel.
    n_jobs : int, default=1
        Number of threads; -1 means all processors.

    Returns
    -------
    images : ndarray of shape (n, 3, size, size), float32
        The bands g, r, i; with `blue_map` of shape (n, 4, size, size). Bad pixels, and pixels outside the cutout, are
        0, the level of the sky.
    measured : ndarray of shape (n,), bool
        False for a cutout rejected by `gridlens.cutouts.rejection`; its images are 0. The checks of
        `gridlens.cutouts.quality_flags` are not applied.

    Raises
    ------
    ValueError
        `size` is not a positive integer, or `pixel_scale` is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import CutoutSet
    >>> from gridlens.features import centred_images
    >>> cutouts = CutoutSet(np.random.default_rng(0).normal(size=(2, 64, 64, 3)), pixel_scale=1.0)
    >>> images, measured = centred_images(cutouts, 32, 2.0)
    >>> images.shape, measured.tolist()
    ((2, 3, 32, 32), [True, True])
    """
    if not (isinstance(size, int | np.integer) and size > 0):
        raise ValueError(f"The 'size' parameter must be a number of pixels, 1 or more. Got {size!r} instead.")
    if not 0.0 < pixel_scale < math.inf:
        raise ValueError(f"The 'pixel_scale' parameter must be above 0, arcsec per pixel. Got {pixel_scale!r} instead.")
    n = len(cutouts)
    images = np.empty((n, 4 if blue_map else 3, size, size), dtype=np.float32)
    status = np.zeros(n, dtype=np.int64)
    if n:
        _fill(cutouts, float(pixel_scale), min(effective_n_jobs(n_jobs), n), images, status)
    return images, status == 0


def _fill(cutouts: CutoutSet, grid_scale: float, n_jobs: int, images: np.ndarray, status: np.ndarray) -> None:
    # Imported here, so that importing this module does not load Numba.
    from gridlens.features._centred_kernels import fill_images
    from gridlens.features._resample import make_grid_room
    from gridlens.features._workspace import make_workspace

    side, size = cutouts.pixels.shape[1], images.shape[2]

    def make_room() -> tuple[Any, Any]:
        return make_workspace(side), make_grid_room(side, size, grid_scale)

    def call(room: tuple[Any, Any], batch: slice, pixels: np.ndarray, bcg_xy: np.ndarray, scale: np.ndarray) -> None:
        fill_images(pixels, bcg_xy, scale, grid_scale, *room, images[batch], status[batch])

    in_batches(cutouts, n_jobs, make_room, call)
