"""Preparation of network images from cutouts: stretched, in units of the noise, on a grid centred on the BCG."""

from dataclasses import dataclass

import numpy as np

from gridlens.cutouts import CutoutSet, is_rejected, quality_flags
from gridlens.features import centred_images

__all__ = ["Grid", "clean_rows", "images_of", "measured_images"]


@dataclass(frozen=True)
class Grid:
    """Pixel grid and channels of a member's images.

    Attributes
    ----------
    size : int
        Side of the images, px.
    pixel_scale : float
        arcsec per pixel.
    softening : float
        S/N at which the stretch changes from linear to logarithmic.
    blue_map : bool
        Whether the blue map of the feature contract is the fourth channel, after g, r and i.
    """

    size: int = 128
    pixel_scale: float = 0.5
    softening: float = 3.0
    blue_map: bool = False

    @property
    def n_channels(self) -> int:
        """Number of channels of an image."""
        return 4 if self.blue_map else 3


def images_of(cutouts: CutoutSet, grid: Grid, n_jobs: int | None = 1) -> np.ndarray:
    """Prepare images for a network, centred on the BCG.

    The S/N of the bands on the grid (`gridlens.features.centred_images`) is stretched by ``asinh(s / softening)``.
    Negative values stay negative, and cutouts are not scaled by their brightest pixel, so colours and depths are
    comparable between cutouts. The blue map (`gridlens.features.detection_maps`) is already in units of its noise.

    Parameters
    ----------
    cutouts : CutoutSet of n
    grid : Grid
    n_jobs : int, default=1
        Number of threads.

    Returns
    -------
    ndarray of shape (n, 3, size, size), float32
        Four channels with `Grid.blue_map`. Bad pixels, pixels outside the cutout, and all pixels of a cutout that the
        features reject are 0, the level of the sky.
    """
    return measured_images(cutouts, grid, n_jobs)[0]


def measured_images(cutouts: CutoutSet, grid: Grid, n_jobs: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of `images_of`, and a mask (n,) of the cutouts that the features do not reject."""
    images, measured = centred_images(cutouts, grid.size, grid.pixel_scale, blue_map=grid.blue_map, n_jobs=n_jobs)
    images /= np.float32(grid.softening)
    return np.arcsinh(images, out=images), measured


def clean_rows(cutouts: CutoutSet) -> np.ndarray:
    """Return a mask (n,) of the cutouts that neither their flags nor `gridlens.cutouts.quality_flags` reject."""
    return ~is_rejected(cutouts.flags | quality_flags(cutouts))
