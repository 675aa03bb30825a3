"""Read FITS images: one cube, extensions named g, r, i, or one file per band."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlens._ids import escaped
from gridlens.cutouts._bands import BANDS, missing_bands, name_bands, pick_bands, split_bands
from gridlens.cutouts._companions import science_image
from gridlens.cutouts._damage import damage_message
from gridlens.cutouts._declared import assumed_flags
from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts._tangent import at_scale, tangent_frame
from gridlens.cutouts._zeropoints import flux_factors
from gridlens.cutouts.images._blank import mark_blank
from gridlens.cutouts.images._fits_open import PlainImage, opened, quiet
from gridlens.cutouts.images._fits_pixels import image_pixels
from gridlens.cutouts.images._flux import band_zeropoints, pixel_unit
from gridlens.cutouts.images._header_values import PIXEL_SCALE_KEY, positive_number
from gridlens.cutouts.images._kept_cards import CUBE_BAND_STEMS, CUBE_BANDS
from gridlens.cutouts.images._photometry import full_header, header_seeing
from gridlens.cutouts.images._wcs import parse_wcs, wcs_cards
from gridlens.cutouts.readers._resolved import Resolved
from gridlens.cutouts.readers._scan import Entry
from gridlens.errors import CutoutError

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

__all__ = ["read_fits"]

# px. Bands must share one pixel grid: even a shift of half a pixel creates a spurious colour on the flank of a galaxy.
_MAX_SHIFT = 0.5


class _Plane(NamedTuple):
    data: NDArray[np.float32]
    header: "Header"
    plain: PlainImage | None = None
    """the image, if the file holds nothing else"""

    @property
    def wcs_cards(self) -> str:
        """Return the cards that define the WCS."""
        return wcs_cards(self.header) if self.plain is None else self.plain.wcs_cards


def read_fits(entry: Entry, options: Resolved) -> tuple[CutoutSet, "WCS | None"]:
    """Read one cutout and its celestial WCS (None if the header has none).

    The metadata contain `ra` and `dec` of the centre of the image (degrees, ICRS) if there is a WCS, and `seeing` if
    the header of r has it.
    """
    with quiet():
        planes = _read_planes(entry, options)
        _check_shapes(planes)
        headers = [plane.header for plane in planes]
        units = [pixel_unit(header) for header in headers]
        zeropoints = band_zeropoints(headers, options.zeropoint, options.survey)
        wcs = _common_wcs(planes)
        scale = options.pixel_scale
        if scale is None:
            scale = _unprojected_scale(headers, options) if wcs is None else _pixel_scale(wcs)
        seeing = header_seeing(planes[BANDS.index("r")].header)
        metadata = {} if seeing is None else {"seeing": seeing}
        axes = None
        if wcs is not None:
            height, width = planes[0].data.shape
            (metadata["ra"], metadata["dec"]), axes = tangent_frame(wcs, (width - 1) / 2, (height - 1) / 2)
            if options.pixel_scale is not None:
                axes = at_scale(axes, scale)
    factors = flux_factors(zeropoints) * np.array([unit.per_pixel(scale**2) for unit in units], dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        linear = [unit.linear(mark_blank(plane.data)) for unit, plane in zip(units, planes, strict=True)]
        pixels = np.empty((*linear[0].shape, len(BANDS)), dtype=np.float32)
        for k, values in enumerate(linear):
            np.multiply(values, factors[k], out=pixels[..., k])
    cutouts = CutoutSet(
        pixels[None],
        pixel_scale=scale,
        ids=[entry.id],
        metadata=metadata,
        paths=[entry.joined],
        flags=assumed_flags(pixel_scale=True, zeropoint=zeropoints is not None),
        sky_axes=axes,
    )
    return cutouts, wcs


def _read_planes(entry: Entry, options: Resolved) -> list[_Plane]:
    """Read g, r and i from three files or from one."""
    if len(entry.bands) < len(BANDS):
        return _read_single_file(entry, options)
    planes = []
    for band in BANDS:
        try:
            planes.append(_read_band_file(entry.bands[band], options))
        except CutoutError:
            raise
        except Exception as exc:
            # the entry is identified by its first file, but another one may be damaged
            raise CutoutError(damage_message(exc, f"The file {escaped(entry.bands[band])}")) from exc
    return planes


def _check_shapes(planes: list[_Plane]) -> None:
    if len({plane.data.shape for plane in planes}) > 1:
        sizes = ", ".join(
            f"{band} {plane.data.shape[1]} x {plane.data.shape[0]} px"
            for band, plane in zip(BANDS, planes, strict=True)
        )
        raise CutoutError(f"The bands differ in size: {sizes}. Resample them to one pixel grid.")


def _read_band_file(path: str, options: Resolved) -> _Plane:
    with opened(path, max_side=options.max_size) as hdus:
        hdu = science_image(hdus)
        data = _squeezed(hdu)
        if data.ndim != 2:
            raise CutoutError(
                f"The file {escaped(path)} is named like a single band, but holds an array of "
                f"{' x '.join(map(str, hdu.shape))} px. Rename it if it is a cube."
            )
        return _Plane(data, full_header(hdus, hdu), hdu if isinstance(hdu, PlainImage) else None)


def _squeezed(hdu: Any) -> NDArray[np.float32]:
    """Return the pixels of an image, without axes of length one before the last two."""
    pixels = image_pixels(hdu)
    leading = tuple(axis for axis in range(pixels.ndim - 2) if pixels.shape[axis] == 1)
    return np.squeeze(pixels, axis=leading)


def _read_single_file(entry: Entry, options: Resolved) -> list[_Plane]:
    with opened(entry.path, max_side=options.max_size) as hdus:
        images = [hdu for hdu in hdus if hdu.is_image and len(hdu.shape) >= 2]
        named = {hdu.name.strip().lower(): hdu for hdu in images}
        stored = list(named)
        for name, band in options.filters.items():
            if name in named:
                named.setdefault(band, named[name])
        if any(band in named for band in BANDS):
            if missing := missing_bands(named):
                raise CutoutError(f"{missing}: the extensions are {', '.join(name or 'unnamed' for name in stored)}.")
            return [_Plane(_squeezed(named[band]), full_header(hdus, named[band])) for band in BANDS]
        hdu = science_image(hdus)
        array, header = _squeezed(hdu), full_header(hdus, hdu)
    if array.ndim == 2:
        missing = missing_bands(entry.bands)
        raise CutoutError(
            f"{missing}: the file holds a single band, and no other file in the folder holds the missing ones. Put "
            "NAME_g.fits, NAME_r.fits and NAME_i.fits in one folder, or name the extensions of one file g, r and i."
        )
    names = options.bands or _header_bands(header, options)
    if names is None:
        raise CutoutError(
            f"The header does not give the bands of the {' x '.join(map(str, array.shape))} cube.  "
            'Name its planes in their order with bands="gri".'
        )
    cube = pick_bands(array, names)
    if cube.ndim != 3:
        raise CutoutError(f"The image has the shape {array.shape}, but a cube needs three axes.")
    return [_Plane(cube[..., k], header) for k in range(len(BANDS))]


def _header_bands(header: "Header", options: Resolved) -> tuple[str, ...] | None:
    """Read the bands of a cube from its header: BANDS = "griz", or BAND0 ... or FILTER1 ..., one per plane."""
    if CUBE_BANDS in header:
        return split_bands(str(header[CUBE_BANDS]), options.filters)
    for stem in CUBE_BAND_STEMS:
        for start in (0, 1):
            names: list[str] = []
            while f"{stem}{start + len(names)}" in header:
                names.append(str(header[f"{stem}{start + len(names)}"]))
            if len(names) > 1:
                return name_bands(names, options.filters)
    return None


def _common_wcs(planes: list[_Plane]) -> "WCS | None":
    """Return the WCS of the first band that has one, after checking that the others agree to half a pixel."""
    first, first_band = None, ""
    height, width = planes[0].data.shape
    x, y = np.array([0, width - 1, 0, width - 1]), np.array([0, 0, height - 1, height - 1])
    seen = {""}
    for band, plane in zip(BANDS, planes, strict=True):
        cards = plane.wcs_cards
        if cards in seen:
            continue
        seen.add(cards)
        wcs = parse_wcs(cards)
        if wcs is None:
            continue
        if first is None:
            first, first_band = wcs, band
            continue
        there = wcs.world_to_pixel(first.pixel_to_world(x, y))
        shift = float(np.max(np.hypot(there[0] - x, there[1] - y)))
        if not shift <= _MAX_SHIFT:
            raise CutoutError(
                f"The bands {first_band} and {band} are not on one pixel grid: they differ by {shift:.1f} px. "
                "Resample them to one grid."
            )
    return first


def _unprojected_scale(headers: "list[Header]", options: Resolved) -> float:
    """Return the pixel scale, arcsec, of an image without a WCS: from its header or else the survey."""
    stated = positive_number(headers[BANDS.index("r")], PIXEL_SCALE_KEY)
    if stated is not None:
        return stated
    if options.survey is not None:
        return options.survey.pixel_scale
    raise CutoutError(
        "The header has no celestial WCS, so the pixel scale is unknown. Give it with pixel_scale=ARCSEC, arcsec per "
        "pixel, or name the survey with survey=NAME."
    )


def _pixel_scale(wcs: "WCS") -> float:
    """Return the pixel scale, arcsec, from the CD matrix, or PC and CDELT, with or without rotation."""
    from astropy.wcs.utils import proj_plane_pixel_scales

    scales = proj_plane_pixel_scales(wcs) * 3600
    if not np.ptp(scales) <= 0.01 * np.mean(scales):
        raise CutoutError(
            f"The pixels are not square: {scales[0]:.4g} x {scales[1]:.4g} arcsec. Resample the image to square pixels."
        )
    return float(np.mean(scales))
