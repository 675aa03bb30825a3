"""Survey images on disk: an index of which tile covers which part of the sky, built once from the headers.

A tile is one two-dimensional image with a celestial WCS: a file, an extension of a file, plain or compressed. The
index of a folder is kept in the user's cache folder, and a file that has changed since is read again.
"""

import contextlib
import hashlib
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlens._errors import CutoutError, GridlensError
from gridlens._files import atomic_path
from gridlens.cutouts._photometry import KEPT_KEYS, WCS_KEY, full_header
from gridlens.cutouts._planes import KNOWN_BANDS, band_letter
from gridlens.cutouts._sky import sky_vectors

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

__all__ = ["Tile", "TileIndex"]

_INDEX_VERSION = 2
# Fewer tiles are indexed faster than a cache is found.
_WORTH_CACHING = 20
_PLAIN = (".fits", ".fit")
_BAND_KEYS = ("EXTNAME", "FILTER")
_BITPIX = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


class Tile(NamedTuple):
    """One image, as far as its header tells."""

    path: str
    hdu: int
    nx: int
    ny: int
    header: str
    """cards of the WCS and the photometry, as text"""
    layout: str
    """numpy type of the pixels on disk, or how to decode them: "scaled" integers, "packed" in a compressed file"""
    start: int
    """byte at which the pixels begin"""
    x: float
    """unit vector of the centre"""
    y: float
    z: float
    radius: float
    """from the centre to the farthest corner, as a chord of the unit sphere"""
    size: int
    mtime_ns: int

    def band(self, filters: Mapping[str, str]) -> str:
        """The band that the extension's name or its FILTER says it is, "" where neither does.

        `filters` are names, in lower case, that stand for a band.
        """
        header = self.cards()
        for key in _BAND_KEYS:
            name = str(header.get(key, "")).strip()
            letter = filters.get(name.lower()) or band_letter(name)
            if letter.lower() in KNOWN_BANDS and len(letter) == 1:
                return letter.lower()
        return ""

    def cards(self) -> "Header":
        """The cards of the WCS and the photometry as a header."""
        from astropy.io.fits import Header

        return Header.fromstring(self.header)


class Found(NamedTuple):
    """Where positions lie on the tiles of a band."""

    tile: NDArray[np.intp]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


class TileIndex:
    """Tiles of one band, found by position.

    Parameters
    ----------
    paths : list of str
        FITS files. Those that cannot be read are warned of once; positions on them are on no image.
    band : str
        For messages.

    Raises
    ------
    CutoutError
        There is no image with a celestial WCS in any of the files.
    """

    def __init__(self, paths: Iterable[str], band: str) -> None:
        self.band = band
        paths = [os.path.abspath(path) for path in paths]
        self.tiles, broken = _index(paths)
        if broken:
            names = ", ".join(path for path, _ in broken[:3]) + (" ..." if len(broken) > 3 else "")
            said = f"{len(broken)} of {len(paths)} images of the band {band} cannot be used: {names}. {broken[0][1]}"
            if not self.tiles:
                raise CutoutError(said)
            warnings.warn(said, UserWarning, stacklevel=3)
        self._plant()

    def keep(self, tiles: list[Tile]) -> None:
        """Leave only these tiles in the index."""
        self.tiles = tiles
        self._plant()

    def _plant(self) -> None:
        from scipy.spatial import cKDTree

        self._tree = cKDTree([(tile.x, tile.y, tile.z) for tile in self.tiles])
        self._reach = max(tile.radius for tile in self.tiles)
        self._wcs: dict[int, WCS] = {}

    def wcs(self, k: int) -> "WCS":
        """WCS of tile `k`, parsed once."""
        if k not in self._wcs:
            wcs = parse_wcs(self.tiles[k].header)
            assert wcs is not None  # else it were no tile
            self._wcs[k] = wcs
        return self._wcs[k]

    def find(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> "Found":
        """Find the tile on which each position lies farthest from the edge.

        Parameters
        ----------
        ra, dec : ndarray of shape (n,)
            degrees, ICRS; NaN is on no tile.

        Returns
        -------
        Found
            Arrays of shape (n,): the tile's number, -1 where there is none, and the pixel on it.
        """
        from astropy.coordinates import SkyCoord

        best, depth = np.full(len(ra), -1, dtype=np.intp), np.zeros(len(ra))
        place = np.full((2, len(ra)), np.nan)
        known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
        if not known.size:
            return Found(best, *place)
        near: dict[int, list[int]] = {}
        vectors = sky_vectors(ra, dec)
        for row, tiles in zip(known, self._tree.query_ball_point(vectors[known], self._reach), strict=True):
            for k in tiles:
                near.setdefault(k, []).append(int(row))
        for k in sorted(near):
            tile, rows = self.tiles[k], np.array(near[k])
            x, y = self.wcs(k).world_to_pixel(SkyCoord(ra[rows], dec[rows], unit="deg"))
            inside = np.minimum.reduce([x + 0.5, tile.nx - 0.5 - x, y + 0.5, tile.ny - 0.5 - y])
            # Far from its centre a projection may have a second solution; the tile's own extent rules it out.
            inside[np.linalg.norm(vectors[rows] - (tile.x, tile.y, tile.z), axis=1) > tile.radius] = 0.0
            better = inside > depth[rows]
            best[rows[better]], depth[rows[better]] = k, inside[better]
            place[:, rows[better]] = x[better], y[better]
        return Found(best, *place)

    def extent(self) -> str:
        """The part of the sky from the southernmost to the northernmost centre, in words."""
        dec = np.degrees(np.arcsin([tile.z for tile in self.tiles]))
        ra = np.degrees(np.arctan2([tile.y for tile in self.tiles], [tile.x for tile in self.tiles])) % 360
        reach = np.degrees(self._reach)
        return (
            f"RA {ra.min() - reach:.2f} to {ra.max() + reach:.2f} and Dec {dec.min() - reach:.2f} to "
            f"{dec.max() + reach:.2f} degrees"
        )


def parse_wcs(header: str) -> "WCS | None":
    """Celestial WCS of the cards that the index keeps; None where they make up none."""
    from astropy.io.fits import Header
    from astropy.utils.exceptions import AstropyWarning
    from astropy.wcs import WCS

    with warnings.catch_warnings():
        # deprecated keywords, which astropy mends
        warnings.simplefilter("ignore", AstropyWarning)
        wcs = WCS(Header.fromstring(header))
    return wcs.celestial if wcs.has_celestial else None


def _kept_cards(header: "Header") -> str:
    """Cards of the WCS and the photometry: parsing the hundreds of others that stacks carry takes most of the time."""
    kept = KEPT_KEYS.union(_BAND_KEYS)
    return "".join(str(card) for card in header.cards if WCS_KEY.match(card.keyword) or card.keyword in kept)


def _index(paths: list[str]) -> tuple[list[Tile], list[tuple[str, str]]]:
    """Tiles of the files, in order, and the files that hold none, each with the reason."""
    cache = _cache_file(paths) if len(paths) >= _WORTH_CACHING else None
    kept = {} if cache is None else _load(cache)
    tiles: list[Tile] = []
    broken: list[tuple[str, str]] = []
    fresh = False
    for path in paths:
        try:
            status = os.stat(path)
            known = kept.get(path)
            if known and (known[0].size, known[0].mtime_ns) == (status.st_size, status.st_mtime_ns):
                tiles.extend(known)
                continue
            found = _read_tiles(path, status.st_size, status.st_mtime_ns)
            fresh = True
            if not found:
                raise CutoutError("It holds no two-dimensional image with a celestial WCS.")
            tiles.extend(found)
        except CutoutError as exc:
            broken.append((path, str(exc)))
        except Exception as exc:
            # A damaged file raises nearly anything; one must not stop a survey.
            reason = (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
            broken.append((path, f"The first is damaged or no FITS file ({reason}). Fetch it again."))
    if cache is not None and fresh and tiles:
        _save(cache, tiles)
    return tiles, broken


def _read_tiles(path: str, size: int, mtime_ns: int) -> list[Tile]:
    from astropy.io import fits
    from astropy.io.fits.verify import VerifyWarning
    from astropy.utils.exceptions import AstropyWarning

    tiles = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.simplefilter("ignore", VerifyWarning)
        with fits.open(path, memmap=True) as hdus:
            for k, hdu in enumerate(hdus):
                if not hdu.is_image or len(hdu.shape) != 2 or "CTYPE1" not in hdu.header:
                    continue
                header = _kept_cards(full_header(hdus, hdu))
                wcs = parse_wcs(header)
                if wcs is None:
                    continue
                tiles.append(_tile(path, k, hdu, header, wcs, size, mtime_ns))
    return tiles


def _tile(path: str, k: int, hdu: Any, header: str, wcs: "WCS", size: int, mtime_ns: int) -> Tile:
    ny, nx = hdu.shape
    compressed = type(hdu).__name__ == "CompImageHDU"
    scaled = any(key in hdu.header for key in ("BSCALE", "BZERO", "BLANK"))
    packed = compressed or not path.lower().endswith(_PLAIN)
    info = None if packed or scaled else hdu.fileinfo()
    x = np.array([(nx - 1) / 2, -0.5, nx - 0.5, -0.5, nx - 0.5])
    y = np.array([(ny - 1) / 2, -0.5, -0.5, ny - 0.5, ny - 0.5])
    corners = wcs.pixel_to_world(x, y).icrs
    vectors = sky_vectors(corners.ra.deg, corners.dec.deg)
    radius = float(np.linalg.norm(vectors[1:] - vectors[0], axis=1).max())
    if info is not None and info["datLoc"] + nx * ny * abs(hdu.header["BITPIX"]) // 8 > size:
        raise CutoutError("It ends before its pixels do. Fetch it again.")
    return Tile(
        path=path,
        hdu=k,
        nx=nx,
        ny=ny,
        header=header,
        layout="packed" if packed else "scaled" if scaled else _BITPIX[hdu.header["BITPIX"]],
        start=0 if info is None else int(info["datLoc"]),
        x=float(vectors[0, 0]),
        y=float(vectors[0, 1]),
        z=float(vectors[0, 2]),
        radius=radius,
        size=size,
        mtime_ns=mtime_ns,
    )


def _cache_file(paths: list[str]) -> Path | None:
    """File that keeps the index of these paths, or None where there is no cache folder to write to."""
    from astropy.config import get_cache_dir

    name = hashlib.sha256("\n".join([str(_INDEX_VERSION), *paths]).encode()).hexdigest()[:16]
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
        # A cache that cannot be read is made again.
        return {}
    kept: dict[str, list[Tile]] = {}
    for row in frame.itertuples(index=False):
        tile = Tile(*row)
        kept.setdefault(tile.path, []).append(tile)
    return kept


def _save(cache: Path, tiles: list[Tile]) -> None:
    import pandas as pd

    # The index serves without its cache.
    with contextlib.suppress(GridlensError, OSError), atomic_path(cache) as temporary:
        pd.DataFrame(tiles).to_parquet(temporary, index=False)
