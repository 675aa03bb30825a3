"""Cut one cluster out of the images of its bands, onto one pixel grid."""

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
"""the band whose pixel axes the cutouts take: an image that is not turned stays sharper and its noise whiter"""
_MOST_WINDOW = 16_384
"""px of an image that are read for one cutout, a side"""
_MARGIN = 2
"""px of the image about the cutout's footprint"""
_SATURATED_FRACTION = 0.02
_BLANK_FRACTION = 0.02
"""of a band's pixels, from which on a cutout is flagged"""


@dataclass(frozen=True)
class BandImage:
    """The image of one band that a cluster lies on, and what its pixels mean."""

    tile: Tile
    wcs: "WCS"
    unit: PixelUnit
    saturation: float
    """pixel value at which the detector is at its limit; inf where unknown"""
    fwhm: float
    """arcsec, NaN where unknown"""
    flux_factor: float = 1.0
    """brings flux per pixel to the flux unit of the set"""
    calibrated: bool = False
    """whether that unit is the reference's, AB zero point 27"""
    sigma: float = 0.0
    """arcsec of the Gaussian that the band is blurred with; 0 leaves it as it is"""


class Cut(NamedTuple):
    """One cutout."""

    pixels: NDArray[np.float32]
    wcs: "WCS"
    flags: int
    path: str
    """the images of g, r and i that most of the pixels are of, as `joined_paths` joins them"""


class _Plane(NamedTuple):
    """One band of a cutout."""

    pixels: NDArray[np.float32]
    flags: CutoutFlag
    image: BandImage
    """the image that most of the pixels are of"""

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
    """Cut `npix` x `npix` px of `pixel_scale` arcsec about a place out of the images of g, r, i.

    Of several images of a band the one with the most valid pixels in the cutout is taken, and what it lacks from the
    others.

    Parameters
    ----------
    place : ndarray of shape (2,)
        Pixel (x, y) on the image of r.
    images : sequence of three BandImage
        Of each band the image that the place lies on.
    others : callable
        Called with the number of a band whose image lacks pixels of the cutout, to return further images of it.

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
    """Cut band number `b` out of the image with the most valid pixels, and fill what it lacks from the others."""
    planes: list[_Plane] = []
    problem: CutoutError | None = None
    # The others are asked for, and their headers parsed, only where the first one is not complete.
    for image in chain((images[b],), others(b)):
        try:
            planes.append(_Plane(*_cut_image(image, target, npix), image))
        except Exception as exc:
            # A damaged file can raise nearly anything from the libraries below; one must not stop a survey.
            message = damage_message(exc, f"The image {escaped(image.tile.path)} of the band {BANDS[b]}")
            problem = problem or CutoutError(str(exc) if isinstance(exc, CutoutError) else message)
            continue
        if planes[-1].valid == npix**2:
            break
    if not planes:
        assert problem is not None  # each image has been read or has raised one
        raise problem
    best, *rest = sorted(planes, key=lambda plane: -plane.valid)
    pixels, flags = best.pixels, best.flags
    for other in rest:
        filled = np.isnan(pixels) & np.isfinite(other.pixels)
        if filled.any():
            pixels = np.where(filled, other.pixels, pixels)
            # Saturation counts wherever it comes from; whether an edge is left is seen below.
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
            f"The cutout takes {width} x {height} px of the image, more than {_MOST_WINDOW} a side. Choose a smaller "
            "size=ANGLE."
        )


def _pixel_area(found: Correspondence, target: "WCS") -> float:
    """Return the area of a pixel of the source about the cutout, arcsec2."""
    grid = np.column_stack([found.X, found.Y, np.ones_like(found.X)])
    turn = np.linalg.lstsq(grid, np.column_stack([found.x, found.y]), rcond=None)[0][:2]
    return float(abs(np.linalg.det(target.wcs.cd)) * 3600.0**2 / abs(np.linalg.det(turn)))


def _shifted(wcs: "WCS", x0: int, y0: int) -> "WCS":
    """The WCS of a window that begins at (x0, y0)."""
    moved = wcs.deepcopy()
    moved.wcs.crpix = moved.wcs.crpix - (x0, y0)
    if moved.sip is not None:
        from astropy.wcs import Sip

        moved.sip = Sip(moved.sip.a, moved.sip.b, moved.sip.ap, moved.sip.bp, moved.wcs.crpix)
    return moved
