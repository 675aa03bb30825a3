"""The rule on band order, pixel scale and zero points: what is known, what is refused, what is assumed with a flag.

A value is known where the user states it, else where the file does, else where the survey does. The rest:

- **The order of the bands** is never assumed. An array that does not name its bands is refused, unless it has the name
  `pixels` in an npz, HDF5 or Zarr file: that is the layout of gridlens, whose bands are g, r, i.
- **The pixel scale** decides which separations the features see. It is refused where it is unknown, except in the
  layout of gridlens, whose default is the canonical scale, and of pictures, which are not calibrated at all. There the
  canonical scale is assumed, and the cutout has the flag `ASSUMED_SCALE`.
- **Zero points** hardly matter to the features, which are in units of each band's noise, with colours against the
  central galaxy. Without one in any band, the bands are assumed to share one, and the cutout has the flag
  `ASSUMED_ZEROPOINT`. Zero points of some bands only are refused: they say that the bands differ.
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
        Begins the message, such as "The array of the file does".

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
            f"{subject} not state {' and '.join(missing)}, and a wrong guess gives a wrong score. State {them} with "
            f"{options}."
        )


def assumed_flags(*, pixel_scale: bool, zeropoint: bool) -> int:
    """Return the bits of `CutoutFlag` for what is assumed, where the pixel scale or the zero points are not known.

    Examples
    --------
    >>> assumed_flags(pixel_scale=False, zeropoint=True)
    32768
    """
    scale = CutoutFlag(0) if pixel_scale else CutoutFlag.ASSUMED_SCALE
    return int(scale | (CutoutFlag(0) if zeropoint else CutoutFlag.ASSUMED_ZEROPOINT))
