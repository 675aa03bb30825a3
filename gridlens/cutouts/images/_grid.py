"""The pixel grid of a cutout on the sky."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["grid_wcs", "orientation", "sky_of"]


def sky_of(image: "WCS", x: Any, y: Any) -> tuple[Any, Any]:
    """Return longitude and latitude of pixels, degrees; the axes of the WCS may be in either order."""
    world = image.pixel_to_world_values(x, y)
    return world[image.wcs.lng], world[image.wcs.lat]


def orientation(image: "WCS", x: float, y: float) -> NDArray[np.float64]:
    """Return the directions of the pixel axes at a pixel, (2, 2): columns x and y, rows longitude and latitude.

    The result is the orthogonal matrix nearest to the local Jacobian: a rotation, with or without a flip. Distortion
    and non-square pixels are ignored.
    """
    step = np.array([0.0, 1.0, 0.0])
    longitude, latitude = sky_of(image, x + step, y + step[[0, 2, 1]])
    east = (longitude[1:] - longitude[0] + 180.0) % 360.0 - 180.0
    jacobian = np.array([east * np.cos(np.radians(latitude[0])), latitude[1:] - latitude[0]])
    left, _, right = np.linalg.svd(jacobian)
    return np.asarray(left @ right)


def grid_wcs(
    longitude: float, latitude: float, axes: NDArray[np.float64], pixel_scale: float, npix: int, like: "WCS"
) -> "WCS":
    """Return the gnomonic WCS of `npix` x `npix` px of `pixel_scale` arcsec, centred on a position.

    The position (degrees) is in the sky frame of the WCS `like`; `axes` is the result of `orientation`.
    """
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    axes_like = like.wcs.lng, like.wcs.lat
    wcs.wcs.ctype = [f"{like.wcs.ctype[axis][:5]}TAN" for axis in axes_like]
    wcs.wcs.radesys = like.wcs.radesys
    wcs.wcs.equinox = like.wcs.equinox
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = [longitude, latitude]
    wcs.wcs.crpix = [(npix + 1) / 2, (npix + 1) / 2]
    wcs.wcs.cd = axes * pixel_scale / 3600.0
    wcs.wcs.set()
    return wcs
