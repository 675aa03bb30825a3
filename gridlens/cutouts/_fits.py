"""Read FITS images: one cube, extensions named g, r, i, or one file per band."""

import re
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlens._errors import CutoutError
from gridlens.cutouts._photometry import WCS_KEY, full_header, header_seeing, header_zeropoint
from gridlens.cutouts._planes import (
    BANDS,
    ReadOptions,
    damage_message,
    missing_bands,
    name_bands,
    pick_bands,
    split_bands,
    to_reference,
)
from gridlens.cutouts._scan import Entry
from gridlens.cutouts._set import CutoutSet

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

__all__ = ["read_fits"]

_ZEROPOINT_HINT = (
    'State them with --zeropoint g=..,r=..,i=.. (zeropoint={"g": .., "r": .., "i": ..} in Python), AB magnitudes, or '
    "name the survey with --survey."
)
# Bands must lie on one pixel grid: a shift of half a pixel already turns the flank of a galaxy into a colour.
_MAX_SHIFT = 0.5


class _Plane(NamedTuple):
    data: NDArray[Any]
    header: "Header"


def read_fits(entry: Entry, options: ReadOptions) -> tuple[CutoutSet, "WCS | None"]:
    """Read one cutout and its celestial WCS (None where the header has none).

    The metadata hold `ra` and `dec` of the centre of the image where there is a WCS, degrees, ICRS, and `seeing` where
    the header of r has it.
    """
    from astropy.io.fits.verify import VerifyWarning
    from astropy.utils.exceptions import AstropyWarning

    with warnings.catch_warnings():
        # Old keywords and short files: astropy mends the former, and the latter raise once their data is read.
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.simplefilter("ignore", VerifyWarning)
        if len(entry.bands) == len(BANDS):
            planes = []
            for band in BANDS:
                try:
                    planes.append(_read_band_file(entry.bands[band]))
                except CutoutError:
                    raise
                except Exception as exc:
                    # the entry goes by its first file, and it may be another one that is damaged
                    raise CutoutError(damage_message(exc, f"The file {entry.bands[band]}")) from exc
        else:
            planes = _read_single_file(entry, options)
        shapes = {plane.data.shape for plane in planes}
        if len(shapes) > 1:
            sizes = ", ".join(
                f"{band} {plane.data.shape[1]} x {plane.data.shape[0]} px"
                for band, plane in zip(BANDS, planes, strict=True)
            )
            raise CutoutError(f"The bands differ in size: {sizes}. Resample them to one pixel grid.")
        factors = _flux_factors([plane.header for plane in planes], options)
        wcs = _common_wcs(planes)
        scale = options.pixel_scale
        if scale is None:
            scale = options.survey.pixel_scale if wcs is None and options.survey is not None else _pixel_scale(wcs)
        seeing = header_seeing(planes[BANDS.index("r")].header)
        metadata = {} if seeing is None else {"seeing": seeing}
        if wcs is not None:
            height, width = planes[0].data.shape
            centre = wcs.pixel_to_world((width - 1) / 2, (height - 1) / 2).icrs
            metadata |= {"ra": centre.ra.deg, "dec": centre.dec.deg}
    with np.errstate(over="ignore"):
        # FITS stores big-endian numbers; astype brings them to the machine's own order.
        pixels = np.stack([plane.data.astype(np.float32) for plane in planes], axis=-1) * factors
    cutouts = CutoutSet(pixels[None], pixel_scale=scale, ids=[entry.id], metadata=metadata, paths=[entry.path])
    return cutouts, wcs


def _read_band_file(path: str) -> _Plane:
    from astropy.io import fits

    with fits.open(path, memmap=False) as hdus:
        hdu = _first_image(hdus)
        data = np.squeeze(hdu.data)
        if data.ndim != 2:
            raise CutoutError(
                f"The file {path} is named as one band, but holds an array of {' x '.join(map(str, hdu.shape))} px. "
                "Rename it if it is a cube."
            )
        return _Plane(data, full_header(hdus, hdu))


def _read_single_file(entry: Entry, options: ReadOptions) -> list[_Plane]:
    from astropy.io import fits

    with fits.open(entry.path, memmap=False) as hdus:
        images = [hdu for hdu in hdus if _holds_image(hdu)]
        named = {hdu.name.strip().lower(): hdu for hdu in images}
        stored = list(named)
        for name, band in options.filters.items():
            if name in named:
                named.setdefault(band, named[name])
        if any(band in named for band in BANDS):
            if missing := missing_bands(named):
                raise CutoutError(f"{missing}: the extensions are {', '.join(name or 'unnamed' for name in stored)}.")
            return [_Plane(np.squeeze(named[band].data), full_header(hdus, named[band])) for band in BANDS]
        hdu = _first_image(hdus)
        array, header = np.squeeze(hdu.data), full_header(hdus, hdu)
    if array.ndim == 2:
        missing = missing_bands(entry.bands)
        raise CutoutError(
            f"{missing}: the file holds a single band and no file beside it the others. Put NAME_g.fits, NAME_r.fits "
            "and NAME_i.fits side by side, or name the extensions of one file g, r and i."
        )
    names = options.bands or _header_bands(header, options)
    if names is None:
        raise CutoutError(
            f"The header does not say which bands the {' x '.join(map(str, array.shape))} cube holds. "
            'Name its planes in their order with --bands gri (bands="gri" in Python).'
        )
    cube = pick_bands(array, names)
    if cube.ndim != 3:
        raise CutoutError(f"The image has the shape {array.shape}, and a cube needs three axes.")
    return [_Plane(cube[..., k], header) for k in range(len(BANDS))]


def _holds_image(hdu: Any) -> bool:
    return bool(hdu.is_image) and len(hdu.shape) >= 2


def _first_image(hdus: Any) -> Any:
    for hdu in hdus:
        if _holds_image(hdu):
            return hdu
    raise CutoutError("There is no image in the FITS file.")


def _header_bands(header: "Header", options: ReadOptions) -> tuple[str, ...] | None:
    """Read the bands of a cube off its header: BANDS = "griz", or BAND0 ... or FILTER1 ..., one per plane."""
    if "BANDS" in header:
        return split_bands(str(header["BANDS"]), options.filters)
    for stem in ("BAND", "FILTER"):
        for start in (0, 1):
            names: list[str] = []
            while f"{stem}{start + len(names)}" in header:
                names.append(str(header[f"{stem}{start + len(names)}"]))
            if len(names) > 1:
                return name_bands(names, options.filters)
    return None


def _flux_factors(headers: "list[Header]", options: ReadOptions) -> NDArray[np.float32]:
    """Return what to multiply g, r, i with so that all are in one unit; zero point 27 where it is known."""
    units = [str(header.get("BUNIT", "")).strip().lower() for header in headers]
    for header, unit in zip(headers, units, strict=True):
        if re.search(r"\bmag", unit):
            raise CutoutError(
                f"The pixels are magnitudes (BUNIT = {header['BUNIT']!r}), and cutouts need linear flux. Convert them."
            )
        if "BSOFTEN" in header:
            raise CutoutError(
                "The pixels are asinh magnitudes (the header has BSOFTEN), and cutouts need linear flux. Convert them "
                "by BOFFSET + 2 BSOFTEN sinh(0.4 ln(10) value), or fetch linear cutouts."
            )
    if options.zeropoint is not None:
        return options.flux_factors()
    zeropoints = [header_zeropoint(header) for header in headers]
    usual = None if options.survey is None else options.survey.zeropoint
    # the survey's cannot hold for two units at once
    if len({unit for unit, zeropoint in zip(units, zeropoints, strict=True) if zeropoint is None}) == 1:
        zeropoints = [usual if zeropoint is None else zeropoint for zeropoint in zeropoints]
    known = [zeropoint for zeropoint in zeropoints if zeropoint is not None]
    if len(known) == len(headers):
        return to_reference(known)
    if known:
        stated = ", ".join(
            f"{band} {'unknown' if zp is None else zp}" for band, zp in zip(BANDS, zeropoints, strict=True)
        )
        raise CutoutError(f"The headers give zero points for some bands only ({stated}). {_ZEROPOINT_HINT}")
    if len(set(units)) > 1:
        stated = ", ".join(f"{band} {unit or 'unknown'}" for band, unit in zip(BANDS, units, strict=True))
        raise CutoutError(f"The bands differ in their unit ({stated}) and give no zero points. {_ZEROPOINT_HINT}")
    return np.ones(len(BANDS), dtype=np.float32)


def _wcs_cards(header: "Header") -> str:
    """Return the cards that make up the WCS, as text; "" where there is none.

    Parsing the hundreds of other cards that stacks carry would take most of the time of reading a cutout.
    """
    if "CTYPE1" not in header:
        return ""
    return "".join(str(card) for card in header.cards if WCS_KEY.match(card.keyword))


def _celestial_wcs(cards: str) -> "WCS | None":
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    wcs = WCS(Header.fromstring(cards))
    return wcs.celestial if wcs.has_celestial else None


def _common_wcs(planes: list[_Plane]) -> "WCS | None":
    """Return the WCS of the first band that has one, once the other bands agree with it to half a pixel."""
    first, first_band = None, ""
    height, width = planes[0].data.shape
    x, y = np.array([0, width - 1, 0, width - 1]), np.array([0, 0, height - 1, height - 1])
    seen = {""}
    for band, plane in zip(BANDS, planes, strict=True):
        cards = _wcs_cards(plane.header)
        if cards in seen:
            continue
        seen.add(cards)
        wcs = _celestial_wcs(cards)
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


def _pixel_scale(wcs: "WCS | None") -> float:
    """Return arcsec per pixel, from the CD matrix, or PC and CDELT, rotated or not."""
    from astropy.wcs.utils import proj_plane_pixel_scales

    hint = "State it with --pixel-scale (pixel_scale= in Python), arcsec per pixel, or name the survey with --survey."
    if wcs is None:
        raise CutoutError(f"The header has no celestial WCS, so the pixel scale is unknown. {hint}")
    scales = proj_plane_pixel_scales(wcs) * 3600
    if not np.ptp(scales) <= 0.01 * np.mean(scales):
        raise CutoutError(
            f"The pixels are not square: {scales[0]:.4g} x {scales[1]:.4g} arcsec. Resample them to square ones."
        )
    return float(np.mean(scales))
