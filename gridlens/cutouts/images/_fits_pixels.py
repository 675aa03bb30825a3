"""Physical pixel values of FITS images, identical for plain, scaled and compressed files."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens.cutouts.images._header_values import header_number
from gridlens.errors import CutoutError

__all__ = ["SCALING_KEYS", "Scaling", "image_pixels", "image_scaling"]

SCALING_KEYS = ("BITPIX", "BSCALE", "BZERO", "BLANK")


class Scaling:
    """Scaling of stored values to physical values: BSCALE, BZERO and, for integers, BLANK."""

    def __init__(self, scale: float, zero: float, blank: int | None) -> None:
        self.scale, self.zero, self.blank = scale, zero, blank

    @property
    def is_trivial(self) -> bool:
        """True if the stored values are the physical values."""
        return self.scale == 1.0 and self.zero == 0.0 and self.blank is None

    def apply(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Return physical values as float32, NaN for blank pixels; values beyond the range of float32 become inf."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self.is_trivial:
                return stored.astype(np.float32)
            values = (stored.astype(np.float64) * self.scale + self.zero).astype(np.float32)
        if self.blank is not None and stored.dtype.kind in "iu":
            values[stored == self.blank] = np.nan
        return values


def image_scaling(header: Any) -> Scaling:
    """Return the scaling of the pixel values given by a header.

    Raises
    ------
    CutoutError
        A keyword is not a number.
    """
    found = {}
    for key, usual in (("BSCALE", 1.0), ("BZERO", 0.0), ("BLANK", np.nan)):
        value = header_number(header, key)
        if value is None and key in header and str(header[key]).strip():
            raise CutoutError(f"The header has {key} = {header[key]!r}, which is not a number. Correct the header.")
        found[key] = usual if value is None else value
    blank = None if np.isnan(found["BLANK"]) or header.get("BITPIX", -32) < 0 else int(header_integer(header, "BLANK"))
    return Scaling(found["BSCALE"], found["BZERO"], blank)


def header_integer(header: Any, key: str) -> int:
    """Return an integer of the header, without conversion to float if it is stored as an integer."""
    value = header[key]
    return value if isinstance(value, int) else int(float(value))


def image_pixels(hdu: Any, window: Any = None) -> NDArray[np.float32]:
    """Return the pixels of an image HDU opened by `open_fits`, or of a window given by slices, as float32."""
    stored = hdu.data if window is None else hdu.section[window]
    return image_scaling(hdu.header).apply(np.asarray(stored))
