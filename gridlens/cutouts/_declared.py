"""The rule for band order, pixel scale and zero points: known, refused, or assumed with a flag.

A value comes from the user, else from the file, else from the survey. If none of them gives it:

- **The order of the bands** is never assumed. An array that does not name its bands is refused, unless it is called
  `pixels` in an npz, HDF5 or Zarr file: that is the gridlens layout, whose bands are g, r, i.
- **The pixel scale** determines which separations the features measure. A file with an unknown scale is refused, except
  in the gridlens layout, whose default is the canonical scale, and for pictures, which are not calibrated at all. There
  the canonical scale is assumed, and the cutout is flagged `ASSUMED_SCALE`.
- **Zero points** hardly affect the features, which are in units of each band's noise, with colours relative to the
  central galaxy. If no band has a zero point, the bands are assumed to share one, and the cutout is flagged
  `ASSUMED_ZEROPOINT`. Zero points for only some of the bands are refused, since they indicate that the bands differ.
"""

from gridlens.cutouts._flags import CutoutFlag
from gridlens.errors import CutoutError

__all__ = ["assumed_flags", "check_declared"]


def check_declared(*, bands: bool, pixel_scale: bool, subject: str) -> None:
    """Raise CutoutError unless the order of the bands and the pixel scale of `subject` are known.

    Parameters
    ----------
    bands, pixel_scale : bool
        Whether each is known, or may be assumed.
    subject : str
        Start of the message, such as "The array of the file does".

    Examples
    --------
    >>> check_declared(bands=True, pixel_scale=True, subject="The file does")
    """
    unknown = {
        "the order of its bands": ("" if bands else 'bands="gri"'),
        "its pixel scale": ("" if pixel_scale else "pixel_scale=ARCSEC, or name the survey with survey=NAME"),
    }
    missing = [name for name, option in unknown.items() if option]
    if missing:
        options = " and ".join(option for option in unknown.values() if option)
        them = "them" if len(missing) > 1 else "it"
        raise CutoutError(
            f"{subject} not state {' and '.join(missing)}, and a wrong guess gives a wrong score. Give {them} with "
            f"{options}."
        )


def assumed_flags(*, pixel_scale: bool, zeropoint: bool) -> int:
    """Return the bits of `CutoutFlag` for the values that are assumed.

    Examples
    --------
    >>> assumed_flags(pixel_scale=False, zeropoint=True)
    32768
    """
    scale = CutoutFlag(0) if pixel_scale else CutoutFlag.ASSUMED_SCALE
    return int(scale | (CutoutFlag(0) if zeropoint else CutoutFlag.ASSUMED_ZEROPOINT))
