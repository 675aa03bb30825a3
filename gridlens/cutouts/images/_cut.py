"""Extract the cutout of one cluster from the images of its bands, on a common pixel grid."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlens._file_names import joined_paths
from gridlens._ids import escaped
from gridlens.cutouts._bands import BANDS
from gridlens.cutouts._damage import damage_message
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts.images._flux import PixelUnit
from gridlens.cutouts.images._grid import grid_wcs, orientation, sky_of
from gridlens.cutouts.images._psf import REACH, blur
from gridlens.cutouts.images._resample import (
    Correspondence,
    axis_fit,
    correspond,
    pixel_to_pixel,
    resample_along_axes,
    resample_drizzle,
)
from gridlens.cutouts.images._tiles import Tile
from gridlens.cutouts.images._windows import read_window
from gridlens.errors import CutoutError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["BandImage", "Cut", "cut_cluster"]

_REFERENCE = BANDS.index("r")
"""the band whose pixel axes the cutouts use: without rotation, an image stays sharper and its noise less correlated"""
_MOST_WINDOW = 16_384
"""px; largest side of the image area that is read for one cutout"""
_MARGIN = 2
"""px; margin of the image area around the cutout's footprint"""
_SATURATED_FRACTION = 0.02
_BLANK_FRACTION = 0.02
"""fraction of blank pixels in a band from which a cutout is flagged"""


@dataclass(frozen=True)
class BandImage:
    """The image of one band that covers a cluster, and the meaning of its pixel values."""

    tile: Tile
    wcs: "WCS"
    unit: PixelUnit
    saturation: float
    """pixel value at which the detector saturates; inf if unknown"""
    fwhm: float
    """arcsec; NaN if unknown"""
    flux_factor: float = 1.0
    """factor that converts flux per pixel to the flux unit of the set"""
    calibrated: bool = False
    """whether that unit is the reference unit, AB zero point 27"""
    sigma: float = 0.0
    """sigma of the Gaussian that blurs the band, arcsec; 0 means no blurring"""


class Cut(NamedTuple):
    """One cutout and its properties."""

    pixels: NDArray[np.float32]
    wcs: "WCS"
    flags: int
    path: str
    """the images of g, r and i that contribute most of the pixels, joined by `joined_paths`"""


class _Plane(NamedTuple):
    """One band of a cutout."""

    pixels: NDArray[np.float32]
    flags: CutoutFlag
    image: BandImage
    """the image that contributes most of the pixels"""

    @property
    def valid(self) -> int:
        """Number of finite pixels."""
        return int(np.count_nonzero(np.isfinite(self.pixels)))


def cut_cluster(
    place: NDArray[np.float64],
    images: Sequence[BandImage],
    others: Callable[[int], Iterable[BandImage]],
    pixel_scale: float,
    npix: int,
) -> Cut:
    """Extract a cutout of `npix` x `npix` px of `pixel_scale` arcsec at a position from the images of g, r, i.

    If a band has several images, the one with the most valid pixels in the cutout is used, and its missing pixels are
    filled from the others.

    Parameters
    ----------
    place : ndarray of shape (2,)
        Pixel (x, y) on the r image.
    images : sequence of three BandImage
        For each band, the image that covers the position.
    others : callable
        Function that returns further images of a band, given its number. It is called if the first image lacks pixels.

    Raises
    ------
    CutoutError
        An image is damaged.
    """
    first = images[_REFERENCE]
    target = _target(place, first.wcs, pixel_scale, npix)
    reference = _cut_band(_REFERENCE, images, others, target, npix)
    if reference.image is not first:
        x, y = (float(value) for value in pixel_to_pixel(first.wcs, reference.image.wcs, *place))
        target = _target(np.array([x, y]), reference.image.wcs, pixel_scale, npix)
        reference = _cut_band(_REFERENCE, images, others, target, npix)
    pixels = np.empty((npix, npix, len(BANDS)), dtype=np.float32)
    flags = CutoutFlag(0)
    paths: list[str] = []
    for k in range(len(BANDS)):
        plane = reference if k == _REFERENCE else _cut_band(k, images, others, target, npix)
        pixels[..., k] = plane.pixels
        flags |= plane.flags
        paths.append(plane.image.tile.path)
    return Cut(pixels, target, int(flags), joined_paths(dict.fromkeys(paths)))


def _target(place: NDArray[np.float64], reference: "WCS", pixel_scale: float, npix: int) -> "WCS":
    x, y = (float(value) for value in place)
    longitude, latitude = (float(value) for value in sky_of(reference, x, y))
    return grid_wcs(longitude, latitude, orientation(reference, x, y), pixel_scale, npix, reference)


def _cut_band(
    b: int, images: Sequence[BandImage], others: Callable[[int], Iterable[BandImage]], target: "WCS", npix: int
) -> _Plane:
    """Extract band number `b` from the image with the most valid pixels, and fill missing pixels from the others."""
    planes: list[_Plane] = []
    problem: CutoutError | None = None
    # The other images are requested, and their headers parsed, only if the first one is incomplete.
    for image in chain((images[b],), others(b)):
        try:
            planes.append(_Plane(*_cut_image(image, target, npix), image))
        except Exception as exc:
            # A damaged file may raise almost any error in the libraries used, and must not stop the whole survey.
            message = damage_message(exc, f"The image {escaped(image.tile.path)} of the band {BANDS[b]}")
            problem = problem or CutoutError(str(exc) if isinstance(exc, CutoutError) else message)
            continue
        if planes[-1].valid == npix**2:
            break
    if not planes:
        assert problem is not None  # each image was either read or raised an error
        raise problem
    best, *rest = sorted(planes, key=lambda plane: -plane.valid)
    pixels, flags = best.pixels, best.flags
    for other in rest:
        filled = np.isnan(pixels) & np.isfinite(other.pixels)
        if filled.any():
            pixels = np.where(filled, other.pixels, pixels)
            # Saturation is kept from every image; whether an edge remains is checked below.
            flags = (flags | other.flags) & ~CutoutFlag.EDGE
    return _Plane(pixels, flags | _blank_flag(pixels), best.image)


def _blank_flag(pixels: NDArray[np.float32]) -> CutoutFlag:
    blank = np.count_nonzero(~np.isfinite(pixels))
    if blank == pixels.size:
        return CutoutFlag.NO_IMAGE
    return CutoutFlag.EDGE if blank >= _BLANK_FRACTION * pixels.size else CutoutFlag(0)


def _cut_image(image: BandImage, target: "WCS", npix: int) -> tuple[NDArray[np.float32], CutoutFlag]:
    found = correspond(target, image.wcs, npix)
    if found is None:
        return np.full((npix, npix), np.nan, dtype=np.float32), CutoutFlag.EDGE
    area = _pixel_area(found, target)
    sigma = image.sigma / np.sqrt(area)
    margin = _MARGIN + int(np.ceil(REACH * sigma))
    x0, y0 = (int(np.floor(values.min())) - margin for values in (found.x, found.y))
    width, height = (
        int(np.ceil(values.max())) + margin + 1 - first for values, first in ((found.x, x0), (found.y, y0))
    )
    _check_window(width, height)
    flags = CutoutFlag(0)
    if min(found.x.min(), found.y.min()) < -0.5 or (
        found.x.max() > image.tile.nx - 0.5 or found.y.max() > image.tile.ny - 0.5
    ):
        flags |= CutoutFlag.EDGE
    window = read_window(image.tile, x0, y0, width, height)
    if np.count_nonzero(window >= image.saturation) >= _SATURATED_FRACTION * window.size:
        flags |= CutoutFlag.SATURATED
    window = blur(image.unit.linear(window), sigma)
    here = found._replace(x=found.x - x0, y=found.y - y0)
    fit = axis_fit(here)
    if fit is not None:
        plane = resample_along_axes(window, fit, npix)
    else:
        plane = resample_drizzle(window, _shifted(image.wcs, x0, y0), target, npix)
    return plane * np.float32(image.flux_factor * image.unit.per_pixel(area)), flags


def _check_window(width: int, height: int) -> None:
    if max(width, height) > _MOST_WINDOW:
        raise CutoutError(
            f"The cutout takes {width} x {height} px of the image, more than {_MOST_WINDOW} per side. Use a smaller "
            "size=ANGLE."
        )


def _pixel_area(found: Correspondence, target: "WCS") -> float:
    """Return the area of a source pixel at the cutout, arcsec2."""
    grid = np.column_stack([found.X, found.Y, np.ones_like(found.X)])
    turn = np.linalg.lstsq(grid, np.column_stack([found.x, found.y]), rcond=None)[0][:2]
    return float(abs(np.linalg.det(target.wcs.cd)) * 3600.0**2 / abs(np.linalg.det(turn)))


def _shifted(wcs: "WCS", x0: int, y0: int) -> "WCS":
    """Return the WCS of a window that begins at (x0, y0)."""
    moved = wcs.deepcopy()
    moved.wcs.crpix = moved.wcs.crpix - (x0, y0)
    if moved.sip is not None:
        from astropy.wcs import Sip

        moved.sip = Sip(moved.sip.a, moved.sip.b, moved.sip.ap, moved.sip.bp, moved.wcs.crpix)
    return moved
