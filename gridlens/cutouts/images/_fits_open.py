"""Open FITS files, plain or compressed regardless of their names, after their headers have been checked."""

import contextlib
import functools
import io
import math
import os
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gridlens._content import DECOMPRESSORS, KIND_WORDS
from gridlens._fits_headers import BLOCK, HeaderError, check_file, plain_header, walk_headers
from gridlens._ids import escaped
from gridlens.cutouts._damage import damage_message
from gridlens.cutouts._expansion import check_deflate
from gridlens.cutouts._sides import check_side
from gridlens.cutouts._sniff import check_regular, content_kind
from gridlens.cutouts.images._kept_cards import kept_cards
from gridlens.cutouts.images._wcs import standard_wcs_cards, wcs_cards
from gridlens.errors import CutoutError

__all__ = ["PlainImage", "is_compressed", "open_fits", "opened"]

# Limit on the decompressed size of a file, bytes: a mosaic of 19,200 px has 1.5 GB.
_MOST_INFLATED = 4 * 1024**3
# The same limit for a file of cutouts, per pixel of the largest square: five planes of float64.
_MOST_PIXEL_BYTES = 40
_STEP = 4 * 1024**2
_SIMPLE = b"SIMPLE  ="
_GZIP_COLUMNS = frozenset({"COMPRESSED_DATA", "GZIP_COMPRESSED_DATA"})
_PIXEL_BYTES = 8


@contextlib.contextmanager
def opened(path: str, *, max_side: int | None = None, memmap: bool = False) -> Iterator[Any]:
    """Open a FITS file as a context; see `open_fits`. Warnings from astropy are silenced inside it.

    For a file with a single plain image, a list with one `PlainImage` is yielded unless `memmap` is true: opening such
    a file with astropy takes longer than computing the features of a cutout.
    """
    with quiet():
        plain = None if memmap else _plain_image(path, max_side)
        if plain is not None:
            yield [plain]
            return
        hdus = open_fits(path, max_side=max_side, memmap=memmap)
        with hdus:
            yield hdus


class PlainImage:
    """The image of a plain file, with the attributes of an astropy HDU that the readers use.

    Parameters
    ----------
    cards : str
        The cards of the header that the readers need; see `kept_cards`.
    data : ndarray
        The values as stored in the file.
    """

    is_image = True

    def __init__(self, cards: str, data: NDArray[Any]) -> None:
        from astropy.io.fits import Header

        self.header, self.data = Header.fromstring(cards), data
        self._cards = cards

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the values."""
        return self.data.shape

    @property
    def name(self) -> str:
        """Return the name in capitals, as astropy does."""
        return str(self.header["EXTNAME"]).strip().upper() if "EXTNAME" in self.header else "PRIMARY"

    @property
    def wcs_cards(self) -> str:
        """Return the cards that define the WCS, like `wcs_cards`."""
        standard = standard_wcs_cards(self._cards)
        return wcs_cards(self.header) if standard is None else standard


def _plain_image(path: str, max_side: int | None) -> PlainImage | None:
    """Read a file that holds a single uncompressed image; return None for other files."""
    from astropy.io.fits.hdu import BITPIX2DTYPE

    size = check_regular(path)
    with open(path, "rb") as file, _named(path):
        if file.peek(1)[: len(_SIMPLE)] != _SIMPLE:
            return None
        found = plain_header(file, size, _check_of(max_side))
        if found is None:
            return None
        dtype = np.dtype(BITPIX2DTYPE[found.bitpix]).newbyteorder(">")
        data = np.fromfile(file, dtype, math.prod(found.shape))
    return PlainImage(kept_cards(found.cards), data.reshape(found.shape))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence astropy's warnings about old keywords, which it fixes, and truncated files, which raise later."""
    from astropy.io.fits.verify import VerifyWarning
    from astropy.utils.exceptions import AstropyWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.simplefilter("ignore", VerifyWarning)
        yield


def open_fits(path: str, *, max_side: int | None = None, memmap: bool = False) -> Any:
    """Check the headers of a FITS file and open it, with unscaled pixels; see `image_pixels`.

    Parameters
    ----------
    path : str
        A regular file, plain or compressed by gzip, bzip2 or xz, as determined from its first bytes.
    max_side : int, default=None
        Longest side of an image, px. None allows any.
    memmap : bool, default=False
        Whether to map a plain file into memory instead of reading it.

    Returns
    -------
    astropy.io.fits.HDUList

    Raises
    ------
    CutoutError
        The file is not a FITS file, its headers are damaged, an image is too large, or it needs too much memory.
    EOFError
        The file is truncated.
    """
    with _named(path):
        return _open_checked(path, max_side, memmap)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Add the name of the file to errors about a header."""
    try:
        yield
    except HeaderError as exc:
        raise CutoutError(f"The file {escaped(path)} cannot be read: {exc.reason}. {exc.way_out}") from exc


def _open_checked(path: str, max_side: int | None, memmap: bool) -> Any:
    from astropy.io import fits

    kind = content_kind(path)
    if kind == "fits":
        with open(path, "rb") as file:
            has_gzip = check_file(file, os.path.getsize(path), _check_of(max_side))
        if has_gzip and max_side is not None:
            _check_tiles(path, max_side)
        return fits.open(path, memmap=memmap, do_not_scale_image_data=True)
    if kind not in DECOMPRESSORS:
        found = KIND_WORDS[kind] if os.path.getsize(path) else "empty"
        raise CutoutError(damage_message(ValueError(f"it is {found}"), f"The file {escaped(path)}"))
    with DECOMPRESSORS[kind](path, "rb") as stream:
        content, has_gzip = _inflate(stream, max_side, escaped(path))
    if has_gzip and max_side is not None:
        _check_tiles(io.BytesIO(content.getbuffer()), max_side)
    return fits.open(content, memmap=False, do_not_scale_image_data=True)


def _check_of(max_side: int | None) -> Callable[[int, int], None] | None:
    return None if max_side is None else functools.partial(check_side, max_side=max_side)


def is_compressed(path: str) -> bool:
    """Return whether a whole FITS file is compressed by gzip, bzip2 or xz."""
    return content_kind(path) in DECOMPRESSORS


def _check_tiles(source: str | BinaryIO, max_side: int) -> None:
    """Raise CutoutError if a gzip-compressed tile expands to more than the size of the largest image."""
    from astropy.io import fits

    with fits.open(source, memmap=False, disable_image_compression=True) as tables:
        for table in tables:
            names = table.columns.names if table.header.get("ZIMAGE") else ()
            for name in _GZIP_COLUMNS.intersection(names):
                for tile in table.data[name]:
                    check_deflate(tile.tobytes(), _PIXEL_BYTES * max_side**2, name, zlib.MAX_WBITS | 16)


def _inflate(stream: BinaryIO, max_side: int | None, name: str) -> tuple[io.BytesIO, bool]:
    """Decompress a FITS file into memory while checking its headers, so that no size is trusted unchecked."""
    content = io.BytesIO()
    most = _MOST_INFLATED
    if max_side is not None:
        # Every file has some headers, however small its images are.
        most = min(most, max(_STEP, _MOST_PIXEL_BYTES * max_side**2))

    def read(length: int) -> bytes:
        block = stream.read(length)
        _check_room(content.tell() + len(block), most, name)
        content.write(block)
        return block

    def skip(length: int) -> bool:
        _check_room(content.tell() + length, most, name)
        left = length
        while left and (part := read(min(left, _STEP))):
            left -= len(part)
        # The padding of the last block may be missing at the end of the file.
        read(-length % BLOCK)
        return not left

    has_gzip = walk_headers(read, skip, _check_of(max_side))
    content.seek(0)
    return content, has_gzip


def _check_room(length: int, most: int, name: str) -> None:
    if length > most:
        raise CutoutError(
            f"The file {name} takes more than {most / 1024**2:.0f} MiB when it is decompressed. Decompress it on disk "
            "first."
        )
