"""Numbers in FITS headers, also if they are written in quotes."""

import math
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = ["PIXEL_SCALE_KEY", "header_number", "positive_number", "text_as_number"]

PIXEL_SCALE_KEY = "PIXSCALE"
"""keyword for the pixel scale, arcsec, in files without a WCS"""


def header_number(header: "Header", key: str) -> float | None:
    """Return a number of the header, or None if it is missing or not a finite number.

    Text that contains a number is converted; other text is ignored with a warning.

    Examples
    --------
    >>> from astropy.io import fits
    >>> header_number(fits.Header({"EXPTIME": "53.907456"}), "EXPTIME")
    53.907456
    """
    # Looking up a missing keyword is much slower than testing for it.
    value: Any = header[key] if key in header else None  # noqa: SIM401
    if isinstance(value, str):
        number = text_as_number(value)
        if number is None and value.strip():
            warnings.warn(
                f"A header has {key} = {value.strip()[:40]!r}, which is not a number and is ignored.",
                UserWarning,
                stacklevel=2,
            )
        return number
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def positive_number(header: "Header", key: str) -> float | None:
    """Return a number of the header, or None if it is missing or not positive."""
    value = header_number(header, key)
    return value if value is not None and value > 0 else None


def text_as_number(text: str) -> float | None:
    """Convert text to a finite number, also with a Fortran exponent (1.5D3); None for other text."""
    try:
        number = float(text.strip().upper().replace("D", "E"))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
