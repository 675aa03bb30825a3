"""Photometric keywords of FITS headers: zero point, seeing and saturation, as written by surveys."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gridlens.cutouts.images._header_values import header_number, positive_number

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = [
    "FLUX_DENSITY_OFFSET",
    "KEPT_KEYS",
    "full_header",
    "header_saturation",
    "header_seeing",
    "header_zeropoint",
]

# Keywords that surveys use for the AB zero point of the pixel values. 0 means unknown: some writers use it for a
# missing value, and the coadds of KiDS, whose zero point really is 0, are covered by their preset.
_ZEROPOINT_KEYS = ("MAGZERO", "MAGZPT", "ZEROPNT", "ZEROPOINT", "ZEROPT", "PHOTZP", "MZP_AB", "MAG_ZP", "MAGZP")
# Pan-STARRS1 stacks hold the counts of the whole exposure, but a zero point for one second.
_ZEROPOINT_PER_SECOND, _EXPOSURE = "FPA.ZP", "EXPTIME"
# HSC and other users of its pipeline give the flux of magnitude 0.
_FLUX_OF_0_MAG = "FLUXMAG0"
# HST gives the flux density, erg/s/cm2/Angstrom, of one unit per second, and the pivot wavelength, Angstrom.
_FLUX_DENSITY, _PIVOT = "PHOTFLAM", "PHOTPLAM"
# AB mag of 1 erg/s/cm2/Angstrom at a pivot wavelength of 1 Angstrom.
FLUX_DENSITY_OFFSET = -21.1 + 18.6921
# Values of BUNIT for counts of the whole exposure.
_WHOLE_EXPOSURE = ("electrons", "electron", "e-", "counts", "count", "adu", "dn")
# Stacks of CFHTLS T0007 (the unit is in its comment); ESO's standard for science data products; coadds of KiDS, whose
# values are the FWHM in arcsec quoted by the survey.
_SEEING_KEYS = ("IQIMAGE", "PSF_FWHM", "PSF_RAD")
# Some pipelines write these in arcsec and others in pixels, so they are used only if their comment names the unit.
_SEEING_KEYS_OF_ANY_UNIT = ("SEEING", "FWHM")
_SATURATION = "SATURATE"

KEPT_KEYS = frozenset(
    {*_ZEROPOINT_KEYS, _ZEROPOINT_PER_SECOND, _EXPOSURE, _FLUX_OF_0_MAG, _FLUX_DENSITY, _PIVOT}
    | {"BUNIT", "BSOFTEN", "BOFFSET"}
    | {*_SEEING_KEYS, *_SEEING_KEYS_OF_ANY_UNIT, _SATURATION}
)
"""all keywords related to photometry"""


def full_header(hdus: Any, hdu: Any) -> "Header":
    """Return the HDU's header, with photometric keywords that it lacks added from the primary header."""
    header: Header = hdu.header
    if hdu is hdus[0]:
        return header
    header = header.copy()
    primary = hdus[0].header
    for key in sorted(KEPT_KEYS):
        if key not in header and key in primary:
            header.append(primary.cards[key])
    return header


def header_zeropoint(header: "Header") -> float | None:
    """Return the AB magnitude of one unit of the pixels, or None if the header does not give it.

    It is read directly (MAGZERO and similar keywords; 0 means unknown), computed from the zero point of one second and
    the exposure time (Pan-STARRS1), from FLUXMAG0 (HSC), or from PHOTFLAM and PHOTPLAM (HST; with EXPTIME if BUNIT
    indicates counts of the whole exposure).

    References
    ----------
    HST: M. Sirianni et al. 2005, PASP 117, 1049.

    Examples
    --------
    >>> from astropy.io import fits
    >>> round(header_zeropoint(fits.Header({"PHOTFLAM": 7.8e-20, "PHOTPLAM": 5921.0})), 2)
    26.5
    """
    for key in _ZEROPOINT_KEYS:
        value = header_number(header, key)
        if value is not None and value != 0:
            return value
    exposure = positive_number(header, _EXPOSURE)
    per_second = positive_number(header, _ZEROPOINT_PER_SECOND)
    if per_second is not None and exposure is not None:
        return per_second + 2.5 * float(np.log10(exposure))
    flux = positive_number(header, _FLUX_OF_0_MAG)
    if flux is not None:
        return 2.5 * float(np.log10(flux))
    density, pivot = positive_number(header, _FLUX_DENSITY), positive_number(header, _PIVOT)
    if density is None or pivot is None:
        return None
    # ST magnitudes (flat in wavelength), converted to AB (flat in frequency) at the pivot wavelength
    zeropoint = -2.5 * float(np.log10(density)) + FLUX_DENSITY_OFFSET - 5 * float(np.log10(pivot))
    if str(header.get("BUNIT", "")).strip().lower() in _WHOLE_EXPOSURE:
        return None if exposure is None else zeropoint + 2.5 * float(np.log10(exposure))
    return zeropoint


def header_seeing(header: "Header") -> float | None:
    """Return the FWHM of the PSF, arcsec, or None if the header does not give it in a known unit.

    Keywords: IQIMAGE (CFHTLS), PSF_FWHM (ESO), PSF_RAD (KiDS); SEEING and FWHM if their comment says arcsec.

    Examples
    --------
    >>> from astropy.io import fits
    >>> header_seeing(fits.Header([("SEEING", 0.71, "FWHM (arcsec)")]))
    0.71
    >>> header_seeing(fits.Header([("SEEING", 3.2, "FWHM (pixels)")])) is None
    True
    """
    for key in _SEEING_KEYS:
        # a comment that mentions pixels overrides the usual unit
        if (value := positive_number(header, key)) is not None and "pix" not in header.comments[key].lower():
            return value
    for key in _SEEING_KEYS_OF_ANY_UNIT:
        if (value := positive_number(header, key)) is not None and "arcsec" in header.comments[key].lower():
            return value
    return None


def header_saturation(header: "Header") -> float:
    """Return the value at which pixels saturate (SATURATE), or inf if the header does not give it.

    Examples
    --------
    >>> from astropy.io import fits
    >>> header_saturation(fits.Header({"SATURATE": 5270.0})), header_saturation(fits.Header({"SATURATE": 0.0}))
    (5270.0, inf)
    """
    value = positive_number(header, _SATURATION)
    return np.inf if value is None else value
