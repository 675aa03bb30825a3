"""The tiles of survey image files, read from their headers and stored in the user's cache folder."""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gridlens._files import atomic_path
from gridlens.cutouts._bands import KNOWN_BANDS, band_letter
from gridlens.cutouts._companions import NAME_KEYS, science_images
from gridlens.cutouts._surveys import KNOWN_FILTERS
from gridlens.cutouts.catalogs._sky import sky_vectors
from gridlens.cutouts.images._fits_open import is_compressed, opened
from gridlens.cutouts.images._fits_pixels import SCALING_KEYS
from gridlens.cutouts.images._photometry import KEPT_KEYS, full_header
from gridlens.cutouts.images._wcs import parse_wcs, wcs_cards
from gridlens.errors import CutoutError, GridlensError

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

__all__ = ["PACKED", "Tile", "index_files"]

_INDEX_VERSION = 3
# Indexing fewer tiles than this is faster than using a cache.
_WORTH_CACHING = 20
_BAND_KEYS = ("EXTNAME", "FILTER")
_BITPIX = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
PACKED = "packed"
# Two images whose centres are closer than this, px, show the same field.
_SAME_PLACE = 2.0


class Tile(NamedTuple):
    """One image, as described by its header."""

    path: str
    hdu: int
    nx: int
    ny: int
    header: str
    """cards of the WCS, the photometry and the scaling of the values, as text"""
    layout: str
    """numpy type of the values on disk, or "packed" if they are compressed"""
    start: int
    """byte offset of the values"""
    x: float
    """unit vector of the centre"""
    y: float
    z: float
    radius: float
    """distance from the centre to the farthest corner, as a chord of the unit sphere"""
    size: int
    changed_ns: int

    def band(self, filters: Mapping[str, str]) -> str:
        """Return the band given by the extension's name or its FILTER, or "" if neither gives one.

        `filters` maps lower-case filter names to bands.
        """
        header = self.cards()
        for key in _BAND_KEYS:
            name = str(header.get(key, "")).strip()
            letter = filters.get(name.lower()) or band_letter(name)
            if letter.lower() in KNOWN_BANDS and len(letter) == 1:
                return letter.lower()
        return ""

    def cards(self) -> "Header":
        """Return the kept cards as a header."""
        from astropy.io.fits import Header

        return Header.fromstring(self.header)

    def is_at(self, other: "Tile") -> bool:
        """Return whether another tile has the same size in px and arcsec and the same centre to within two pixels."""
        shift = np.linalg.norm(np.subtract((self.x, self.y, self.z), (other.x, other.y, other.z)))
        pixel = 2.0 * self.radius / np.hypot(self.nx, self.ny)
        same_size = (self.nx, self.ny) == (other.nx, other.ny) and abs(self.radius / other.radius - 1.0) < 0.01
        return same_size and bool(shift <= _SAME_PLACE * pixel)


def index_files(paths: list[str]) -> tuple[list[Tile], list[tuple[str, str]]]:
    """Return the tiles of the files, in order, and the files without tiles, each with the reason."""
    cache = _cache_file(paths) if len(paths) >= _WORTH_CACHING else None
    kept = {} if cache is None else _load(cache)
    tiles: list[Tile] = []
    broken: list[tuple[str, str]] = []
    fresh = False
    for path in paths:
        try:
            size, changed = _stamp(path)
            known = kept.get(path)
            if known and (known[0].size, known[0].changed_ns) == (size, changed):
                tiles.extend(known)
                continue
            tiles.extend(_read_tiles(path, size, changed))
            fresh = True
        except CutoutError as exc:
            broken.append((path, str(exc)))
        except Exception as exc:
            # A damaged file may raise almost any error, and must not stop the whole survey.
            reason = (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
            broken.append((path, f"The first is damaged or not a FITS file ({reason}). Download it again."))
    if cache is not None and fresh and tiles:
        _save(cache, tiles)
    return tiles, broken


def _stamp(path: str) -> tuple[int, int]:
    """Return the size and the time of the last change of the file's content or metadata."""
    status = os.stat(path)
    return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)


def _read_tiles(path: str, size: int, changed_ns: int) -> list[Tile]:
    tiles: list[Tile] = []
    packed = is_compressed(path)
    with opened(path, memmap=True) as hdus:
        for hdu in science_images(hdus):
            if "CTYPE1" not in hdu.header:
                continue
            if min(hdu.shape[:-2], default=1) != 1 or max(hdu.shape[:-2], default=1) != 1:
                raise CutoutError("It holds a cube, but survey images must have two axes. Split it into its planes.")
            full = full_header(hdus, hdu)
            cards = wcs_cards(full) + _other_cards(full)
            wcs = parse_wcs(cards)
            if wcs is not None:
                tiles.append(_tile(path, hdus.index(hdu), hdu, cards, wcs, packed, size, changed_ns))
    if not tiles:
        raise CutoutError("It holds no two-dimensional image with a celestial WCS.")
    _check_places(tiles)
    return tiles


def _other_cards(header: "Header") -> str:
    """Return the cards for the photometry, the band and the scaling of the values, as text."""
    kept = KEPT_KEYS.union(_BAND_KEYS, NAME_KEYS, SCALING_KEYS)
    return "".join(str(card) for card in header.cards if card.keyword in kept)


def _tile(path: str, k: int, hdu: Any, cards: str, wcs: "WCS", packed: bool, size: int, changed_ns: int) -> Tile:
    ny, nx = hdu.shape[-2:]
    packed = packed or type(hdu).__name__ == "CompImageHDU"
    x = np.array([(nx - 1) / 2, -0.5, nx - 0.5, -0.5, nx - 0.5])
    y = np.array([(ny - 1) / 2, -0.5, -0.5, ny - 0.5, ny - 0.5])
    corners = wcs.pixel_to_world(x, y).icrs
    vectors = sky_vectors(corners.ra.deg, corners.dec.deg)
    radius = float(np.linalg.norm(vectors[1:] - vectors[0], axis=1).max())
    if not np.isfinite(radius):
        raise CutoutError("The WCS of its image is undefined at the centre or at a corner. Check its header.")
    return Tile(
        path=path,
        hdu=k,
        nx=nx,
        ny=ny,
        header=cards,
        layout=PACKED if packed else _BITPIX[hdu.header["BITPIX"]],
        start=0 if packed else int(hdu.fileinfo()["datLoc"]),
        x=float(vectors[0, 0]),
        y=float(vectors[0, 1]),
        z=float(vectors[0, 2]),
        radius=radius,
        size=size,
        changed_ns=changed_ns,
    )


def _check_places(tiles: list[Tile]) -> None:
    """Raise CutoutError if a file has two images of the same field and their bands are unknown."""
    from scipy.spatial import cKDTree

    nameless = [tile for tile in tiles if not tile.band(KNOWN_FILTERS)] if len(tiles) > 1 else []
    if not nameless:
        return
    tree = cKDTree([(tile.x, tile.y, tile.z) for tile in tiles])
    for tile in nameless:
        # Within half the extent of an image there are only a few others, however many extensions the file has.
        near = tree.query_ball_point((tile.x, tile.y, tile.z), tile.radius / 2.0)
        if any(tiles[k] is not tile and tile.is_at(tiles[k]) for k in near):
            raise CutoutError(
                "It holds several images of the same field, and none is marked as the science image. Name its "
                "extension SCI, or store it in a separate file."
            )


def _cache_file(paths: list[str]) -> Path | None:
    """Return the cache file for the index of these paths, or None if there is no writable cache folder."""
    from astropy.config import get_cache_dir

    text = "\n".join([str(_INDEX_VERSION), *paths])
    name = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
    try:
        folder = Path(get_cache_dir("gridlens"))
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder / f"tiles-{name}.parquet"


def _load(cache: Path) -> dict[str, list[Tile]]:
    import pandas as pd

    if not cache.exists():
        return {}
    try:
        frame = pd.read_parquet(cache)[list(Tile._fields)]
    except Exception:
        # A cache that cannot be read is rebuilt.
        return {}
    kept: dict[str, list[Tile]] = {}
    for row in frame.itertuples(index=False):
        tile = Tile(*row)
        kept.setdefault(tile.path, []).append(tile)
    return kept


def _save(cache: Path, tiles: list[Tile]) -> None:
    import pandas as pd

    # The cache is optional, and cannot store paths that are not UTF-8.
    with contextlib.suppress(GridlensError, OSError, UnicodeError), atomic_path(cache) as temporary:
        pd.DataFrame(tiles).to_parquet(temporary, index=False)
