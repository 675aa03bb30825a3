"""World coordinate systems of images, from the relevant cards of their headers."""

import re
import warnings
from typing import TYPE_CHECKING

from gridlens.cutouts.images._header_values import text_as_number
from gridlens.errors import CutoutError

if TYPE_CHECKING:
    from astropy.io.fits import Card, Header
    from astropy.wcs import WCS

__all__ = ["WCS_KEY", "parse_wcs", "standard_wcs_cards", "wcs_cards"]

_CARD = 80

# All keywords that astropy and wcslib use for a celestial WCS: projections and their parameters, SIP, and the
# polynomials that IRAF writes into WAT cards (TNX, ZPX). The lookup tables of the FITS distortion paper are included so
# that astropy refuses them: the tables are in extensions that are not read here.
WCS_KEY = re.compile(
    r"NAXIS\d?$|WCSAXES$|WCSDIM$|(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)\d+$|(CD|PC|PV|PS)\d+_\d+$|PC\d{6}$"
    r"|LONPOLE$|LATPOLE$|RADESYS$|RADECSYS$|EQUINOX$|EPOCH$|(A|B|AP|BP)_(\d+_\d+|ORDER|DMAX)$|WAT\d_\d+$|PROJP\d+$"
    r"|(CPDIS|CQDIS|D2IMDIS)\d+$|AXISCORR$|D2IMEXT$|(DP|DQ|D2IM)\d+"
)
_TEXTS = re.compile(r"CTYPE|CUNIT|RADE|WAT|CPDIS|CQDIS|D2IM|DP|DQ|PS\d")
# Keywords of a two-axis WCS that is only a projection, and the codes of projections without parameters.
_PROJECTED_TEXTS = frozenset({"CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2", "RADESYS", "RADECSYS"})
_PROJECTED_KEYS = _PROJECTED_TEXTS.union(
    {"NAXIS", "WCSAXES", "LONPOLE", "LATPOLE", "EQUINOX", "EPOCH"},
    (f"{stem}{axis}" for stem in ("NAXIS", "CRVAL", "CRPIX", "CDELT", "CROTA") for axis in (1, 2)),
    (f"{stem}{i}_{j}" for stem in ("CD", "PC") for i in (1, 2) for j in (1, 2)),
)
_PROJECTED = re.compile(r"CTYPE[12] *= *'(RA--|DEC-)-(TAN|SIN|ARC|STG|ZEA|CAR) *'")
# Cards in standard form, which astropy returns unchanged.
_STANDARD_TEXT = re.compile(r"[A-Z0-9_-]+ *= +'[A-Za-z0-9 ._/+-]*' *(/[ -~]*)?$")
_STANDARD_NUMBER = re.compile(r"[A-Z0-9_-]+ *= +[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([DE][+-]?[0-9]+)? *(/[ -~]*)?$")
_DISTORTED = re.compile(r"-(SIP|TPV|TPD|TNX|ZPX|TUV|DSS)$")


def wcs_cards(header: "Header") -> str:
    """Return the cards that define the WCS, as text; "" if there is none.

    Parsing the hundreds of other cards in the headers of stacks would take most of the time of reading a cutout.

    Raises
    ------
    CutoutError
        A number of the WCS is text that cannot be converted.
    """
    if "CTYPE1" not in header:
        return ""
    return "".join(_with_number(card) for card in header.cards if WCS_KEY.match(card.keyword))


def standard_wcs_cards(header: str) -> str | None:
    """Return `wcs_cards` of a header given as text if all its WCS cards have the standard form; else None.

    astropy verifies each card before returning it, which takes longer than the projection.
    """
    found: list[str] = []
    for card in (header[at : at + _CARD] for at in range(0, len(header), _CARD)):
        name = card.removeprefix("HIERARCH ").split("=")[0].strip()
        if name in _PROJECTED_KEYS and card[8:10] == "= ":
            if not (_STANDARD_TEXT if name in _PROJECTED_TEXTS else _STANDARD_NUMBER).match(card):
                return None
            found.append(card)
        elif WCS_KEY.match(name.upper()) or name.startswith("CONTINUE"):
            return None
    return "".join(found) if any(card.startswith("CTYPE1 ") for card in found) else ""


def _with_number(card: "Card") -> str:
    """Return the text of a card, with quotes around a number removed, since wcslib would read it as 0."""
    from astropy.io.fits import Card

    text = str(card)
    if "'" not in text or _TEXTS.match(card.keyword) or not isinstance(card.value, str):
        return text
    number = text_as_number(card.value)
    if number is None:
        raise CutoutError(
            f"The header has {card.keyword} = {card.value.strip()[:40]!r}, but the WCS needs a number there. Correct "
            "the header."
        )
    whole = card.keyword.startswith(("NAXIS", "WCSAXES", "WCSDIM")) or card.keyword.endswith("_ORDER")
    return str(Card(card.keyword, int(number) if whole else number))


def parse_wcs(cards: str) -> "WCS | None":
    """Return the celestial WCS of the cards, or None if they do not define one.

    Raises
    ------
    CutoutError
        astropy cannot represent the WCS, or would ignore its distortion.
    """
    from astropy.io.fits import Header
    from astropy.utils.exceptions import AstropyWarning
    from astropy.wcs import WCS

    projected = _projected_wcs(cards)
    if projected is not None:
        return projected
    header = Header.fromstring(cards)
    with warnings.catch_warnings():
        # deprecated keywords, which astropy fixes
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            wcs = _of_two_axes(header) if _is_distorted(header) else WCS(header)
            found = wcs.celestial if wcs.has_celestial else None
        except Exception as exc:
            reason = (" ".join(str(exc).split()) or type(exc).__name__).rstrip(".")[:200]
            raise CutoutError(
                f"The WCS of the header cannot be used ({reason}). Resample the image to a plain projection."
            ) from exc
    if found is not None:
        _check_kept(header, found)
    return found


def _projected_wcs(cards: str) -> "WCS | None":
    """Return the WCS of cards that define only a projection of two axes; None for other cards.

    The WCS equals ``WCS(header)``, which parses the header five times to find distortions and tables.
    """
    from astropy.utils.exceptions import AstropyWarning
    from astropy.wcs import WCS, Wcsprm

    each = [cards[at : at + _CARD] for at in range(0, len(cards), _CARD)]
    names = {card[:8].rstrip() for card in each}
    types = sorted(found.groups() for found in map(_PROJECTED.match, each) if found)
    is_plain = len(names) == len(each) and names <= _PROJECTED_KEYS
    if not is_plain or [kind for kind, _ in types] != ["DEC-", "RA--"] or types[0][1] != types[1][1]:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            parameters = Wcsprm(header=cards.encode(), relax=True)
            if parameters.naxis != len(types):
                return None
            wcs = WCS(naxis=len(types))
            wcs.wcs = parameters
            wcs.fix()
            wcs.wcs.set()
        except Exception:
            # The general path raises the error.
            return None
    return wcs


def _is_distorted(header: "Header") -> bool:
    return "A_ORDER" in header or "CPDIS1" in header


def _of_two_axes(header: "Header") -> "WCS":
    """Parse the WCS of the first two axes: astropy supports distortions of two axes only."""
    from astropy.wcs import WCS

    return WCS(header, naxis=2)


def _check_kept(header: "Header", wcs: "WCS") -> None:
    """Raise CutoutError if the header has a distortion that astropy ignored."""
    axes = [str(header.get(f"CTYPE{k}", "")).strip().upper() for k in (1, 2)]
    named = next((found.group(1) for found in map(_DISTORTED.search, axes) if found), "")
    lacks_sip = named == "SIP" and "A_ORDER" in header and wcs.sip is None
    lacks_wat = named in ("TNX", "ZPX") and "WAT1_001" not in header
    if lacks_sip or lacks_wat or named in ("DSS", "TUV"):
        raise CutoutError(
            f"The header's CTYPE1 = {axes[0]!r} names a distortion whose cards are missing or cannot be used. Resample "
            "the image to a plain projection."
        )
