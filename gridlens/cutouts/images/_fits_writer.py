"""Write cutouts as FITS."""

import os
from typing import TYPE_CHECKING

import numpy as np

from gridlens._files import atomic_path
from gridlens._ids import as_ascii
from gridlens.cutouts._bands import BANDS
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts.images._header_values import PIXEL_SCALE_KEY

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["write_fits"]


def write_fits(
    path: str | os.PathLike[str], cutout: CutoutSet, wcs: "WCS | None" = None, zeropoint: float = np.nan
) -> None:
    """Write one cutout as a FITS file, atomically: extensions g, r and i of linear flux, with its WCS.

    Parameters
    ----------
    path : str or path
    cutout : CutoutSet of 1
    wcs : WCS, default=None
        WCS of the pixels. None means the tangent plane given by the cutout's `bcg_radec` and `sky_axes`; if these are
        unknown too, the pixel scale is written as PIXSCALE, arcsec, unless it was only assumed.
    zeropoint : float, default=NaN
        AB mag of one flux unit, written as MAGZERO. NaN means unknown and is not written.

    Raises
    ------
    GridlensError
        The file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.cutouts import CutoutSet
    >>> from gridlens.cutouts import write_fits
    >>> write_fits("cutout.fits", CutoutSet(np.ones((1, 48, 48, 3))))  # doctest: +SKIP
    """
    from astropy.io import fits

    wcs = _tangent_wcs(cutout) if wcs is None else wcs
    header = fits.Header() if wcs is None else wcs.to_header()
    if wcs is None and not cutout.flags[0] & CutoutFlag.ASSUMED_SCALE:
        header[PIXEL_SCALE_KEY] = (float(cutout.pixel_scale[0]), "arcsec per pixel")
    primary = fits.PrimaryHDU()
    # A FITS header may contain only ASCII.
    primary.header["OBJECT"] = as_ascii(str(cutout.ids[0]))
    hdus = fits.HDUList([primary])
    for k, band in enumerate(BANDS):
        hdu = fits.ImageHDU(np.ascontiguousarray(cutout.pixels[0, :, :, k]), header=header, name=band)
        hdu.header["FILTER"] = band
        if np.isfinite(zeropoint):
            hdu.header["MAGZERO"] = (float(zeropoint), "AB mag of one flux unit")
        hdus.append(hdu)
    with atomic_path(path) as temporary:
        hdus.writeto(temporary, overwrite=True)


def _tangent_wcs(cutout: CutoutSet) -> "WCS | None":
    """Return the gnomonic WCS about the BCG, or None if its position or the orientation is unknown."""
    from astropy.wcs import WCS

    if np.isnan(cutout.sky_axes).any() or np.isnan(cutout.bcg_radec).any():
        return None
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = cutout.bcg_radec[0]
    wcs.wcs.crpix = cutout.bcg_xy[0] + 1.0
    wcs.wcs.cd = cutout.sky_axes[0] / 3600.0
    wcs.wcs.set()
    return wcs
