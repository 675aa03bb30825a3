"""Conversion of pixel values to flux: units, zero points and pixels that are not linear.

The same rules apply to cutouts and survey images:

- Magnitudes are refused. Asinh magnitudes are converted to linear flux if the header is that of a Pan-STARRS1 stack,
  whose formula is known, and refused otherwise.
- A unit of flux density in BUNIT (nJy, MJy/sr, nanomaggy, erg/s/cm2/Angstrom with PHOTPLAM) implies a zero point. A
  zero point in the header must agree with it.
- Surface brightness (MJy/sr, a unit per arcsec2) is multiplied by the pixel's solid angle to give flux per pixel.
- Bands without a zero point are assumed to share one, unless BUNIT contradicts that; see
  `gridlens.cutouts._declared`.
"""

import functools
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlens.cutouts._bands import BANDS
from gridlens.cutouts.images._header_values import header_number, positive_number
from gridlens.cutouts.images._photometry import FLUX_DENSITY_OFFSET, header_zeropoint
from gridlens.errors import CutoutError

if TYPE_CHECKING:
    from astropy.io.fits import Header

    from gridlens.cutouts._surveys import Survey

__all__ = ["NotLinearError", "PixelUnit", "band_zeropoints", "pixel_unit", "zeropoint_of"]

_ZEROPOINT_HINT = (
    'Give them with zeropoint={"g": .., "r": .., "i": ..}, AB magnitudes, or name the survey with survey=NAME.'
)
# Zero points in headers are rounded; within one survey they differ from the unit's by less than this.
_ZEROPOINT_TOLERANCE = 0.02
_AB_OF_JY = 8.90  # mag of 1 Jy
_AB_OF_NANOMAGGY = 22.5
_NANOMAGGY = re.compile(r"(nanomagg(y|ies)|n?mgy)s?$", re.IGNORECASE)
_MAGGY = re.compile(r"(magg(y|ies)|mgy)$", re.IGNORECASE)
_NOT_LINEAR = re.compile(r"\bmag(?!g)|asinh|\blog|\bdex\b|luptitude", re.IGNORECASE)
# For units that astropy cannot parse, such as "counts/s/arcsec2".
_PER_ARCSEC2 = re.compile(r"arcsec|asec", re.IGNORECASE)
_PER_STERADIAN = re.compile(r"/\s*sr\b|\bsr\s*(\^|\*\*)?\s*\(?-1|steradian", re.IGNORECASE)
_ARCSEC2_OF_STERADIAN = float(np.degrees(3600.0) ** 2)
# magnitudes per e-fold of flux: 2.5 log10(e)
_POGSON = 2.5 / np.log(10.0)


class NotLinearError(CutoutError):
    """Pixel values that are not linear flux and cannot be converted to it."""


class PixelUnit(NamedTuple):
    """The unit of the pixels of an image."""

    name: str
    """BUNIT in lower case, "" if missing"""
    zeropoint: float | None = None
    """AB mag of one unit, or of one unit times its solid angle; None if the unit does not imply a zero point"""
    solid_angle: float | None = None
    """solid angle of the unit, arcsec2; None for flux per pixel"""
    per_wavelength: bool = False
    """whether the unit is flux per wavelength, with a pivot wavelength missing from the header"""
    asinh: tuple[float, float] | None = None
    """BOFFSET and BSOFTEN of asinh magnitudes as Pan-STARRS1 defines them"""

    def linear(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return linear values; the same array if they are already linear.

        References
        ----------
        C. Z. Waters et al. 2020, ApJS 251, 4, on the compression of Pan-STARRS1 images.
        """
        if self.asinh is None:
            return values
        offset, softening = self.asinh
        with np.errstate(over="ignore"):
            return (offset + 2.0 * softening * np.sinh(values.astype(np.float64) / _POGSON)).astype(np.float32)

    def per_pixel(self, pixel_area: float) -> float:
        """Return the factor that converts values to flux per pixel of `pixel_area` arcsec2."""
        return 1.0 if self.solid_angle is None else pixel_area / self.solid_angle


def pixel_unit(header: "Header") -> PixelUnit:
    """Return the unit of the pixels.

    Raises
    ------
    NotLinearError
        The pixels are magnitudes, or asinh magnitudes with an unknown formula.
    CutoutError
        The unit is flux per beam.
    """
    text = str(header.get("BUNIT", "")).strip()
    if _NOT_LINEAR.search(text):
        raise NotLinearError(
            f"The pixels are magnitudes or another logarithm (BUNIT = {text!r}), but cutouts need linear flux. "
            "Convert them."
        )
    unit = _unit(text, positive_number(header, "PHOTPLAM"))
    return unit._replace(asinh=_asinh(header)) if "BSOFTEN" in header else unit


def _asinh(header: "Header") -> tuple[float, float]:
    offset, softening = header_number(header, "BOFFSET"), positive_number(header, "BSOFTEN")
    if offset is None or softening is None or "FPA.ZP" not in header:
        raise NotLinearError(
            "The pixels are asinh magnitudes (the header has BSOFTEN), but cutouts need linear flux. Only those of "
            "Pan-STARRS1, with BOFFSET and FPA.ZP, can be converted; convert others to linear flux, or download "
            "linear cutouts."
        )
    return offset, softening


@functools.lru_cache(maxsize=64)
def _unit(text: str, pivot: float | None) -> PixelUnit:
    """Parse a unit; `pivot` is the wavelength (Angstrom) needed to convert flux per wavelength."""
    name = text.lower()
    if _MAGGY.match(text):
        return PixelUnit(name, 0.0)
    if _NANOMAGGY.match(text):
        return PixelUnit(name, _AB_OF_NANOMAGGY)
    found = _parse(text)
    if found is None:
        solid = _ARCSEC2_OF_STERADIAN if _PER_STERADIAN.search(text) else 1.0 if _PER_ARCSEC2.search(text) else None
        return PixelUnit(name, None, solid)
    rest, solid = _split(found, text)
    density = _factor(rest, "erg / (s cm2 AA)")
    if density is None:
        return PixelUnit(name, _unit_zeropoint(rest), solid)
    if pivot is None:
        return PixelUnit(name, None, solid, per_wavelength=True)
    return PixelUnit(name, -2.5 * float(np.log10(density)) + FLUX_DENSITY_OFFSET - 5.0 * float(np.log10(pivot)), solid)


def _parse(text: str) -> Any:
    from astropy import units

    if not text:
        return None
    # Angstrom, not ampere
    text = re.sub(r"\bA(?=$|[-^* ])", "Angstrom", text) if "erg" in text.lower() else text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", units.UnitsWarning)
        try:
            return units.Unit(text)
        except (ValueError, TypeError):
            return None


def _split(unit: Any, text: str) -> tuple[Any, float | None]:
    """Split a unit into the unit of flux and the solid angle, arcsec2, by which it is divided."""
    from astropy import units

    angle, rest = units.dimensionless_unscaled, units.Unit(unit.scale) if hasattr(unit, "scale") else unit
    for base, power in zip(unit.bases, unit.powers, strict=True):
        if str(base) == "beam":
            raise CutoutError(
                f"The pixels are flux per beam (BUNIT = {text!r}), but cutouts need flux per pixel. Convert them."
            )
        if base.physical_type in ("angle", "solid angle"):
            angle = angle * base**power
        elif str(base) not in ("pix", "vox"):
            rest = rest * base**power
    if angle == units.dimensionless_unscaled:
        return rest, None
    try:
        return rest, float((units.dimensionless_unscaled / angle).to(units.arcsec**2))
    except (units.UnitConversionError, AttributeError):
        raise CutoutError(
            f"The unit of the pixels (BUNIT = {text!r}) is neither a flux per pixel nor a surface brightness. Convert "
            "them."
        ) from None


def _unit_zeropoint(unit: Any) -> float | None:
    """Return the AB mag of one unit of flux density, or None for other units such as counts."""
    for wanted, zeropoint in (("Jy", _AB_OF_JY), ("nmgy", _AB_OF_NANOMAGGY)):
        if (factor := _factor(unit, wanted)) is not None:
            return zeropoint - 2.5 * float(np.log10(factor))
    return None


def _factor(unit: Any, wanted: str) -> float | None:
    from astropy import units

    try:
        return float(unit.to(units.Unit(wanted)))
    except (units.UnitConversionError, AttributeError, TypeError):
        return None


def band_zeropoints(
    headers: "Sequence[Header]", stated: Mapping[str, float] | None, survey: "Survey | None"
) -> list[float] | None:
    """Return the AB zero points of g, r and i, or None if no header gives one and the bands share one unit.

    Parameters
    ----------
    headers : sequence of three Header
        Headers of g, r and i.
    stated : mapping of band to float, or None
        Zero points given by the user. They override the headers.
    survey : Survey or None
        Survey whose zero point is used if headers lack one.

    Raises
    ------
    CutoutError
        Headers give zero points for only some bands, two conflicting ones for a band, or none and different units.
    """
    if stated is not None:
        return [stated[band] for band in BANDS]
    units = [pixel_unit(header) for header in headers]
    found = [_zeropoint(header, unit, survey) for header, unit in zip(headers, units, strict=True)]
    # The survey's zero point cannot apply to two different units.
    if survey is not None and len({unit.name for unit, zp in zip(units, found, strict=True) if zp is None}) == 1:
        found = [survey.zeropoint if zp is None else zp for zp in found]
    known = [zp for zp in found if zp is not None]
    if len(known) == len(BANDS):
        return known
    if known:
        words = ", ".join(
            f"{band} {'unknown' if zp is None else round(zp, 3)}" for band, zp in zip(BANDS, found, strict=True)
        )
        raise CutoutError(f"The headers give zero points for some bands only ({words}). {_ZEROPOINT_HINT}")
    if len({unit.name for unit in units}) > 1:
        words = ", ".join(f"{band} {unit.name or 'unknown'}" for band, unit in zip(BANDS, units, strict=True))
        raise CutoutError(f"The bands have different units ({words}) and no zero points. {_ZEROPOINT_HINT}")
    return None


def zeropoint_of(
    header: "Header", unit: PixelUnit, band: str, stated: Mapping[str, float] | None, survey: "Survey | None"
) -> float | None:
    """Return the AB zero point of one image of a band, or None if it is unknown; see `band_zeropoints`."""
    if stated is not None:
        return stated[band]
    found = _zeropoint(header, unit, survey)
    return survey.zeropoint if found is None and survey is not None else found


def _zeropoint(header: "Header", unit: PixelUnit, survey: "Survey | None") -> float | None:
    of_header = header_zeropoint(header)
    filled = survey is not None and survey.zeropoint is not None
    if of_header is None and unit.per_wavelength and not filled:
        raise CutoutError(
            f"The pixels are flux per wavelength (BUNIT = {header['BUNIT']!r}) and the header does not give the band's "
            f"pivot wavelength (PHOTPLAM), so the colours are unknown. {_ZEROPOINT_HINT}"
        )
    if of_header is None or unit.zeropoint is None:
        return unit.zeropoint if of_header is None else of_header
    if abs(of_header - unit.zeropoint) > _ZEROPOINT_TOLERANCE:
        raise CutoutError(
            f"The header gives two zero points: {of_header:.3f} mag, and {unit.zeropoint:.3f} mag from its unit "
            f"{header['BUNIT']!r}. {_ZEROPOINT_HINT}"
        )
    return unit.zeropoint
