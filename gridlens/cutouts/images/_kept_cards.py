"""The cards of a FITS header that are needed to read a cutout, out of the hundreds in the headers of stacks."""

import functools
import re

from gridlens.cutouts._companions import NAME_KEYS
from gridlens.cutouts.images._fits_pixels import SCALING_KEYS
from gridlens.cutouts.images._header_values import PIXEL_SCALE_KEY
from gridlens.cutouts.images._photometry import KEPT_KEYS
from gridlens.cutouts.images._wcs import WCS_KEY

__all__ = ["CUBE_BANDS", "CUBE_BAND_STEMS", "kept_cards"]

CUBE_BANDS, CUBE_BAND_STEMS = "BANDS", ("BAND", "FILTER")
"""keywords for the bands of a cube: one for all bands, or one with a number for each plane"""

_CARD = 80
_KEPT = KEPT_KEYS.union(NAME_KEYS, SCALING_KEYS, (PIXEL_SCALE_KEY, CUBE_BANDS, "SIMPLE", "END"))
# astropy interprets the card FPA = 'ZP: 25.0' as FPA.ZP = 25.0.
_RECORDS = frozenset(key.split(".")[0] for key in _KEPT if "." in key)
_NUMBERED = re.compile(f"({'|'.join(CUBE_BAND_STEMS)})[0-9]+$")


def kept_cards(header: bytes) -> str:
    """Return the cards of a header that may be needed, in their order.

    Checking the keyword of a card is several times faster than parsing the card with astropy.

    Parameters
    ----------
    header : bytes
        Cards of 80 characters, ASCII.
    """
    kept: list[bytes] = []
    keeps = False
    for at in range(0, len(header), _CARD):
        start = header[at : at + 8]
        # A continuation card is kept with the card that it continues.
        if start != b"CONTINUE":
            keeps = _is_kept(header[at : at + _CARD].split(b"=")[0] if start == b"HIERARCH" else start)
        if keeps:
            kept.append(header[at : at + _CARD])
    return b"".join(kept).decode("ascii")


@functools.lru_cache(maxsize=4096)
def _is_kept(start: bytes) -> bool:
    """Return whether a card that starts with this keyword, or with HIERARCH and this keyword, is kept."""
    name = start.decode("ascii").removeprefix("HIERARCH ").split("=")[0].strip().upper()
    return name in _KEPT or name in _RECORDS or bool(WCS_KEY.match(name) or _NUMBERED.match(name))
