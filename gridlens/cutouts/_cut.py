"""Cut one cluster out of the images of its bands, onto one pixel grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlens._errors import CutoutError
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts._grid import grid_wcs, orientation
from gridlens.cutouts._planes import BANDS, damage_message
from gridlens.cutouts._psf import REACH, blur
from gridlens.cutouts._resample import Correspondence, axis_fit, correspond, resample_along_axes, resample_drizzle
from gridlens.cutouts._tiles import Tile
from gridlens.cutouts._windows import read_window

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["BandImage", "Cut", "cut_cluster"]

_REFERENCE = BANDS.index("r")
"""the band whose pixel axes the cutouts take: an image that is not turned stays sharper and its noise whiter"""
_MARGIN = 2
"""px of the image about the cutout's footprint"""
_SATURATED_SHARE = 0.02


@dataclass(frozen=True)
class BandImage:
    """The image of one band that a cluster lies on, and what its pixels mean."""

    tile: Tile
    wcs: "WCS"
    flux_factor: float
    """brings pixels to the flux unit of the set"""
    calibrated: bool
    """whether that unit is the reference's, AB zero point 27"""
    saturation: float
    """pixel value at which the detector is at its limit; inf where unknown"""
    sigma: float
    """arcsec of the Gaussian that the band is blurred with; 0 leaves it as it is"""


class Cut(NamedTuple):
    """One cutout."""

    pixels: NDArray[np.float32]
    wcs: "WCS"
    flags: int


def cut_cluster(place: NDArray[np.float64], images: Sequence[BandImage], pixel_scale: float, npix: int) -> Cut:
    """Cut `npix` x `npix` px of `pixel_scale` arcsec about a pixel (x, y) of the image in r out of g, r, i.

    Raises
    ------
    CutoutError
        An image is damaged.
    """
    target = _target(place, images[_REFERENCE].wcs, pixel_scale, npix)
    pixels = np.empty((npix, npix, len(BANDS)), dtype=np.float32)
    flags = CutoutFlag(0)
    for k, (band, image) in enumerate(zip(BANDS, images, strict=True)):
        try:
            pixels[..., k], found = _cut_band(image, target, npix)
        except Exception as exc:
            # A damaged file can raise nearly anything from the libraries below; one must not stop a survey.
            raise CutoutError(damage_message(exc, f"The image {image.tile.path} of the band {band}")) from exc
        flags |= found
    return Cut(pixels, target, int(flags))


def _target(place: NDArray[np.float64], reference: "WCS", pixel_scale: float, npix: int) -> "WCS":
    x, y = (float(value) for value in place)
    longitude, latitude = (float(value) for value in reference.pixel_to_world_values(x, y))
    return grid_wcs(longitude, latitude, orientation(reference, x, y), pixel_scale, npix, reference)


def _cut_band(image: BandImage, target: "WCS", npix: int) -> tuple[NDArray[np.float32], CutoutFlag]:
    found = correspond(target, image.wcs, npix)
    if found is None:
        return np.full((npix, npix), np.nan, dtype=np.float32), CutoutFlag.EDGE
    scale = _source_scale(found, target, npix)
    sigma = image.sigma / scale
    margin = _MARGIN + int(np.ceil(REACH * sigma))
    x0, y0 = (int(np.floor(values.min())) - margin for values in (found.x, found.y))
    width, height = (
        int(np.ceil(values.max())) + margin + 1 - first for values, first in ((found.x, x0), (found.y, y0))
    )
    flags = CutoutFlag(0)
    if min(found.x.min(), found.y.min()) < -0.5 or (
        found.x.max() > image.tile.nx - 0.5 or found.y.max() > image.tile.ny - 0.5
    ):
        flags |= CutoutFlag.EDGE
    window = read_window(image.tile, x0, y0, width, height)
    if np.count_nonzero(window >= image.saturation) >= _SATURATED_SHARE * window.size:
        flags |= CutoutFlag.SATURATED
    window = blur(window, sigma)
    here = found._replace(x=found.x - x0, y=found.y - y0)
    fit = axis_fit(here)
    if fit is not None:
        plane = resample_along_axes(window, fit, npix)
    else:
        plane = resample_drizzle(window, _shifted(image.wcs, x0, y0), target, npix)
    return plane * np.float32(image.flux_factor), flags


def _source_scale(found: Correspondence, target: "WCS", npix: int) -> float:
    """Arcsec per pixel of the source, about the cutout."""
    reach = np.hypot(np.ptp(found.x), np.ptp(found.y)) / np.hypot(np.ptp(found.X), np.ptp(found.Y))
    return float(np.sqrt(abs(np.linalg.det(target.wcs.cd))) * 3600.0 / reach)


def _shifted(wcs: "WCS", x0: int, y0: int) -> "WCS":
    """The WCS of a window that begins at (x0, y0)."""
    moved = wcs.deepcopy()
    moved.wcs.crpix = moved.wcs.crpix - (x0, y0)
    if moved.sip is not None:
        from astropy.wcs import Sip

        moved.sip = Sip(moved.sip.a, moved.sip.b, moved.sip.ap, moved.sip.bp, moved.wcs.crpix)
    return moved
