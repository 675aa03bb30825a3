"""Open FITS files: plain or compressed, whatever the name says, and only once their headers have been checked."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from gridlens._errors import CutoutError
from gridlens._fits_headers import BLOCK, HeaderError, check_file, walk_headers
from gridlens._ids import escaped
from gridlens.cutouts._planes import damage_message
from gridlens.cutouts._sniff import KIND_WORDS, content_kind

__all__ = ["is_compressed", "open_fits", "opened"]

_DECOMPRESSORS: dict[str, Callable[..., Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
# What a compressed file may hold, in memory: a mosaic of 19,200 px has 1.5 GB.
_MOST_INFLATED = 4 * 1024**3
_STEP = 4 * 1024**2


@contextlib.contextmanager
def opened(path: str, *, max_side: int | None = None, memmap: bool = False) -> Iterator[Any]:
    """Open a FITS file for a block; see `open_fits`. Warnings of astropy are silenced within it."""
    with quiet():
        hdus = open_fits(path, max_side=max_side, memmap=memmap)
        with hdus:
            yield hdus


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what astropy says of old keywords and files that end early: it mends those, and these raise later."""
    from astropy.io.fits.verify import VerifyWarning
    from astropy.utils.exceptions import AstropyWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.simplefilter("ignore", VerifyWarning)
        yield


def open_fits(path: str, *, max_side: int | None = None, memmap: bool = False) -> Any:
    """Open a FITS file whose headers have been checked, with pixels as they are stored; see `image_pixels`.

    Parameters
    ----------
    path : str
        A regular file, plain or compressed by gzip, bzip2 or xz: its first bytes tell, not its name.
    max_side : int, default=None
        Longest side of an image, px. None allows any.
    memmap : bool, default=False
        Whether to map a plain file into memory rather than to read it.

    Returns
    -------
    astropy.io.fits.HDUList

    Raises
    ------
    CutoutError
        The file is of another kind, its headers are damaged, an image is too large, or it takes too much memory.
    EOFError
        The file ends too early.
    """
    try:
        return _open_checked(path, max_side, memmap)
    except HeaderError as exc:
        raise CutoutError(f"The file {escaped(path)} is not read: {exc.reason}. {exc.way_out}") from exc


def _open_checked(path: str, max_side: int | None, memmap: bool) -> Any:
    from astropy.io import fits

    kind = content_kind(path)
    if kind == "fits":
        with open(path, "rb") as file:
            check_file(file, os.path.getsize(path), max_side)
        return fits.open(path, memmap=memmap, do_not_scale_image_data=True)
    if kind not in _DECOMPRESSORS:
        found = KIND_WORDS[kind] if os.path.getsize(path) else "empty"
        raise CutoutError(damage_message(ValueError(f"it is {found}"), f"The file {escaped(path)}"))
    with _DECOMPRESSORS[kind](path, "rb") as stream:
        content = _inflate(stream, max_side, escaped(path))
    return fits.open(content, memmap=False, do_not_scale_image_data=True)


def is_compressed(path: str) -> bool:
    """Return whether a FITS file is compressed as a whole, by gzip, bzip2 or xz."""
    return content_kind(path) in _DECOMPRESSORS


def _inflate(stream: BinaryIO, max_side: int | None, name: str) -> io.BytesIO:
    """Decompress a FITS file into memory as its headers are checked, so that no claim is believed before."""
    content = io.BytesIO()

    def read(length: int) -> bytes:
        block = stream.read(length)
        _check_room(content.tell() + len(block), name)
        content.write(block)
        return block

    def skip(length: int) -> bool:
        _check_room(content.tell() + length, name)
        left = length
        while left and (part := read(min(left, _STEP))):
            left -= len(part)
        # The filling up to a block may be missing at the end of the file.
        read(-length % BLOCK)
        return not left

    walk_headers(read, skip, max_side)
    content.seek(0)
    return content


def _check_room(length: int, name: str) -> None:
    if length > _MOST_INFLATED:
        raise CutoutError(
            f"The file {name} takes more than {_MOST_INFLATED / 1024**3:.0f} GiB when it is decompressed. Decompress "
            "it on disk first."
        )
