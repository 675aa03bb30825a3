"""Validation of the headers of a FITS file before a library acts on them.

A damaged or malicious header may declare images of any size, thousands of axes or polynomials of any order, and the
libraries allocate memory accordingly. This module reads the headers, checks a few keywords of each, and compares the
declared size with the available bytes.
"""

import math
import os
import string
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from gridlens.errors import GridlensError

__all__ = ["BLOCK", "HeaderError", "PlainHeader", "check_file", "plain_header", "walk_headers"]

BLOCK = 2880
"""bytes; headers and data are padded to a multiple of this"""

_CARD = 80
_END = b"END".ljust(_CARD)
_MOST_BLOCKS = 2_000  # 72,000 cards: the longest history of a stack has a few thousand
_MOST_HDUS = 5_000
_MOST_AXES = 9
_MOST_ORDER = 9  # largest order of a SIP polynomial
_MOST_TILE_PIXELS = 2**26  # limit for a tile of a compressed image, which is decoded as a whole
_MOST_FIELDS = 999
_BITPIX = (8, 16, 32, 64, -32, -64)

_COUNTS = ("BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "TFIELDS", "ZBITPIX", "ZNAXIS", "ZIMAGE", "WCSAXES")
# Keywords that are checked, as written in a card. Others are ignored.
_CHECKED = frozenset(
    name.ljust(8).encode()
    for name in (
        *_COUNTS,
        *(f"NAXIS{k}" for k in range(1, 100)),
        *(f"{stem}{k}" for stem in ("ZNAXIS", "ZTILE") for k in range(1, 10)),
        *(f"WCSAXES{letter}" for letter in string.ascii_uppercase),
        *(f"{stem}_ORDER" for stem in ("A", "B", "AP", "BP")),
    )
)


class HeaderError(GridlensError):
    """Invalid FITS header; the message has the reason, a clause without a full stop, and the way out, a sentence."""

    way_out = "Download or write it again."

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}. {self.way_out}")
        self.reason = reason


class _Claims(NamedTuple):
    """Numbers in a header that describe its data."""

    numbers: dict[str, int]
    is_table: bool

    def shape(self, prefix: str = "") -> tuple[int, ...]:
        """Return the lengths of the axes, starting with the first (fastest) one."""
        n = self.numbers.get(f"{prefix}NAXIS", 0)
        return tuple(self.numbers.get(f"{prefix}NAXIS{k + 1}", 0) for k in range(n))

    def data_bytes(self) -> int:
        """Return the number of bytes that follow the header, without padding."""
        shape = self.shape()
        if not shape:
            return 0
        # NAXIS1 = 0 denotes the random groups of radio astronomy.
        size = math.prod(shape[1:] if shape[0] == 0 and len(shape) > 1 else shape)
        item = abs(self.numbers["BITPIX"]) // 8
        return item * self.numbers.get("GCOUNT", 1) * (self.numbers.get("PCOUNT", 0) + size)


def walk_headers(
    read: Callable[[int], bytes],
    skip: Callable[[int], bool],
    check_image: Callable[[int, int], None] | None = None,
    size: int | None = None,
) -> bool:
    """Read the headers of a FITS file and validate them.

    Parameters
    ----------
    read : callable
        Return the next bytes; fewer at the end of the file.
    skip : callable
        Skip a number of bytes of data, whose padding to a full block may be missing; return False if the file ends
        before.
    check_image : callable, default=None
        Called with the width and the height of each image, px; raise an error in it if the caller cannot use the image.
    size : int, default=None
        Size of the file, bytes, if known.

    Returns
    -------
    bool
        Whether tiles of an image are compressed with gzip, which has no limit of its own.

    Raises
    ------
    HeaderError
        If a header is damaged or declares more than any image or table has.
    EOFError
        If the file ends within a header or its data.
    """
    has_gzip = False
    for k in range(_MOST_HDUS):
        header = _read_header(read, first=k == 0)
        if header is None:
            return has_gzip
        claims = _claims(header)
        has_gzip = has_gzip or (bool(claims.numbers.get("ZIMAGE")) and b"'GZIP" in header)
        _check(claims, check_image)
        data = claims.data_bytes()
        if (size is not None and data > size) or not skip(data):
            raise EOFError("the file ends within its data")
    raise HeaderError(f"it has more than {_MOST_HDUS:,} extensions")


def check_file(file: BinaryIO, size: int, check_image: Callable[[int, int], None] | None = None) -> bool:
    """Read and validate the headers of a seekable file, see `walk_headers`."""
    file.seek(0)

    def skip(length: int) -> bool:
        end = file.tell() + length
        file.seek(length + -length % BLOCK, os.SEEK_CUR)
        return end <= size

    return walk_headers(file.read, skip, check_image, size)


class PlainHeader(NamedTuple):
    """Header of a file that contains a single uncompressed image."""

    cards: bytes
    bitpix: int
    shape: tuple[int, ...]
    """shape of the array, with the slowest axis first"""


def plain_header(
    file: BinaryIO, size: int, check_image: Callable[[int, int], None] | None = None
) -> PlainHeader | None:
    """Read and validate the header of a plain image, and position the file at the image; None for other content.

    Parameters
    ----------
    file : file of bytes
        File at its first byte.
    size : int
        Size of the file, bytes.
    check_image : callable, default=None
        As in `walk_headers`.

    Raises
    ------
    HeaderError
        If the header is damaged or declares more than any image has.
    EOFError
        If the file ends within the header.
    """
    header = _read_header(file.read, first=True)
    if header is None or header[:_CARD].split(b"/")[0].split() != [b"SIMPLE", b"=", b"T"]:
        return None
    claims = _claims(header)
    _check(claims, check_image)
    numbers, shape = claims.numbers, claims.shape()
    is_image = bool(shape) and min(shape) > 0 and not numbers.get("PCOUNT") and numbers.get("GCOUNT", 1) == 1
    end = len(header) + claims.data_bytes()
    # astropy repairs headers with other characters.
    if not is_image or not end <= size <= end + -end % BLOCK or not header.isascii() or b"\0" in header:
        return None
    return PlainHeader(header, numbers["BITPIX"], shape[::-1])


def _read_header(read: Callable[[int], bytes], first: bool) -> bytes | None:
    """Return the cards of the next header; None at the end of the file."""
    blocks: list[bytes] = []
    for _ in range(_MOST_BLOCKS):
        block = read(BLOCK)
        if not blocks and not first and not block.startswith(b"XTENSION"):
            # Some writers leave bytes after the last extension.
            return None
        if len(block) < BLOCK:
            raise EOFError("the file ends within a header")
        blocks.append(block)
        if _ends(block):
            return b"".join(blocks)
    raise HeaderError(f"one of its headers has more than {_MOST_BLOCKS * BLOCK // _CARD:,} cards")


def _ends(block: bytes) -> bool:
    at = block.find(_END)
    while at >= 0:
        if at % _CARD == 0:
            return True
        at = block.find(_END, at + 1)
    return False


def _claims(header: bytes) -> _Claims:
    numbers: dict[str, int] = {}
    is_table = header.startswith((b"XTENSION= 'BINTABLE", b"XTENSION= 'TABLE"))
    checked = [at for at in range(0, len(header), _CARD) if header[at : at + 8] in _CHECKED]
    for at in checked:
        name, card = header[at : at + 8].decode().rstrip(), header[at : at + _CARD]
        value = card[9:].split(b"/")[0].strip()
        if card[8:9] != b"=" or not value:
            continue
        if name == "ZIMAGE":
            numbers[name] = int(value == b"T")
            continue
        try:
            numbers.setdefault(name, int(value))
        except ValueError:
            raise _fault(name, value.decode("ascii", "replace")) from None
    return _Claims(numbers, is_table)


def _fault(name: str, value: object) -> HeaderError:
    return HeaderError(f"one of its headers has the invalid value {name} = {str(value)[:20]}")


def _check(claims: _Claims, check_image: Callable[[int, int], None] | None) -> None:
    numbers = claims.numbers
    for name, value in numbers.items():
        if value < 0 and not name.endswith("BITPIX"):
            raise _fault(name, value)
        if name.startswith(("WCSAXES", "NAXIS", "ZNAXIS")) and not name[-1].isdigit() and value > _MOST_AXES:
            raise _fault(name, value)
        if name.endswith("_ORDER") and value > _MOST_ORDER:
            raise _fault(name, value)
        if name.endswith("BITPIX") and value not in _BITPIX:
            raise _fault(name, value)
    if "BITPIX" not in numbers or "NAXIS" not in numbers:
        raise _fault("BITPIX" if "NAXIS" in numbers else "NAXIS", "missing")
    if numbers.get("TFIELDS", 0) > _MOST_FIELDS:
        raise _fault("TFIELDS", numbers["TFIELDS"])
    shape: tuple[int, ...] = ()
    if claims.is_table:
        if numbers.get("ZIMAGE"):
            _check_compressed(claims)
            shape = claims.shape("Z")
    else:
        shape = claims.shape()
    if check_image is not None and len(shape) > 1:
        check_image(shape[0], shape[1])


def _check_compressed(claims: _Claims) -> None:
    """Check that a compressed image has as many tiles as its shape requires, and none is too large to decode."""
    shape = claims.shape("Z")
    if not shape or "ZBITPIX" not in claims.numbers:
        raise _fault("ZNAXIS" if not shape else "ZBITPIX", "missing")
    # The default tiles are rows.
    usual = (shape[0], *(1 for _ in shape[1:]))
    tile = [claims.numbers.get(f"ZTILE{k + 1}", side) for k, side in enumerate(usual)]
    if min(tile) < 1 or math.prod(min(*sides) for sides in zip(tile, shape, strict=True)) > _MOST_TILE_PIXELS:
        raise _fault("ZTILE", " x ".join(map(str, tile)))
    n_tiles = math.prod(-(-side // step) for side, step in zip(shape, tile, strict=True))
    if claims.numbers.get("NAXIS2") != n_tiles:
        raise _fault("NAXIS2", claims.numbers.get("NAXIS2"))
