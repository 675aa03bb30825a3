"""Index of the tiles of survey images by sky position, built once from the headers.

A tile is one two-dimensional image with a celestial WCS: a file or an extension of a file, plain or compressed. The
index of a folder is stored in the user's cache folder, and files that have changed are read again.
"""

import os
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlens._ids import escaped
from gridlens.cutouts.catalogs._sky import chord, sky_vectors
from gridlens.cutouts.images._alike import check_alike
from gridlens.cutouts.images._tile_files import Tile, index_files
from gridlens.cutouts.images._wcs import parse_wcs
from gridlens.errors import CutoutError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["Found", "Tile", "TileIndex"]

MOST_TILES = 6
"""maximum number of tiles kept for each position"""


class Found(NamedTuple):
    """Tiles and pixels of positions in one band."""

    tile: NDArray[np.intp]
    """(n,): the tile on which the position is farthest from the edge, -1 if there is none"""
    x: NDArray[np.float64]
    """(n,): the pixel on that tile"""
    y: NDArray[np.float64]
    others: NDArray[np.int32]
    """(n, 5): further tiles within reach, best first, filled with -1"""


class TileIndex:
    """Index of the tiles of one band by position.

    Parameters
    ----------
    paths : list of str
        FITS files. Unreadable files cause one warning, and the positions that they cover have no image.
    band : str
        Name of the band in messages.

    Raises
    ------
    CutoutError
        None of the files has an image with a celestial WCS, or several files show the same field and it is unknown
        which of them is the science image.
    """

    def __init__(self, paths: Iterable[str], band: str) -> None:
        self.band = band
        paths = [os.path.abspath(path) for path in paths]
        self.tiles, broken = index_files(paths)
        if broken:
            names = escaped(", ".join(path for path, _ in broken[:3])) + (" ..." if len(broken) > 3 else "")
            said = f"{len(broken)} of {len(paths)} images of the band {band} cannot be used: {names}. {broken[0][1]}"
            if not self.tiles:
                raise CutoutError(said)
            warnings.warn(said, UserWarning, stacklevel=3)
        self._plant()

    def keep(self, tiles: list[Tile]) -> None:
        """Keep only these tiles in the index."""
        self.tiles = tiles
        self._plant()

    def check_alike(self) -> None:
        """Raise CutoutError if files show the same field and it is unknown which is the science image."""
        check_alike(self.tiles, self.band)

    def _plant(self) -> None:
        from scipy.spatial import cKDTree

        self._tree = cKDTree([(tile.x, tile.y, tile.z) for tile in self.tiles])
        self._reach = max(tile.radius for tile in self.tiles)
        self._wcs: dict[int, WCS] = {}

    def wcs(self, k: int) -> "WCS":
        """Return the WCS of tile `k`, parsed once."""
        if k not in self._wcs:
            wcs = parse_wcs(self.tiles[k].header)
            assert wcs is not None  # every tile has a WCS
            self._wcs[k] = wcs
        return self._wcs[k]

    def find(self, ra: NDArray[np.float64], dec: NDArray[np.float64], reach: float = 0.0) -> Found:
        """Find the tile on which each position is farthest from the edge, and other tiles nearby.

        Parameters
        ----------
        ra, dec : ndarray of shape (n,)
            degrees, ICRS; NaN matches no tile.
        reach : float, default=0.0
            Maximum distance of a position from the other tiles, arcsec.
        """
        from astropy.coordinates import SkyCoord

        n = len(ra)
        tile, depth = np.full((n, MOST_TILES), -1, dtype=np.intp), np.full((n, MOST_TILES), -np.inf)
        place = np.full((2, n), np.nan)
        known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
        near: dict[int, list[int]] = {}
        vectors = sky_vectors(ra, dec)
        if known.size:
            far = self._reach + chord(reach)
            for row, tiles in zip(known, self._tree.query_ball_point(vectors[known], far), strict=True):
                for k in tiles:
                    near.setdefault(k, []).append(int(row))
        for k in sorted(near):
            this, rows = self.tiles[k], np.array(near[k])
            x, y = self.wcs(k).world_to_pixel(SkyCoord(ra[rows], dec[rows], unit="deg"))
            inside = np.minimum.reduce([x + 0.5, this.nx - 0.5 - x, y + 0.5, this.ny - 0.5 - y])
            # Far from its centre a projection may have a second solution, which the tile's extent excludes.
            distance = np.linalg.norm(vectors[rows] - (this.x, this.y, this.z), axis=1)
            inside[~(distance <= this.radius + chord(reach))] = -np.inf
            # Reach in pixels of the tile, from its extent.
            margin = chord(reach) * np.hypot(this.nx, this.ny) / (2.0 * this.radius)
            inside[~(inside > -margin)] = -np.inf
            better = inside > np.maximum(depth[rows, 0], 0.0)
            place[:, rows[better]] = x[better], y[better]
            _insert(tile, depth, rows, k, inside)
        on_it = depth[:, 0] > 0.0
        others = np.where(on_it[:, None], tile[:, 1:], -1).astype(np.int32)
        return Found(np.where(on_it, tile[:, 0], -1), place[0], place[1], others)

    def extent(self) -> str:
        """Return the range of the sky covered by the tiles, as text."""
        dec = np.degrees(np.arcsin([tile.z for tile in self.tiles]))
        ra = np.degrees(np.arctan2([tile.y for tile in self.tiles], [tile.x for tile in self.tiles])) % 360
        reach = np.degrees(self._reach)
        return (
            f"RA {ra.min() - reach:.2f} to {ra.max() + reach:.2f} and Dec {dec.min() - reach:.2f} to "
            f"{dec.max() + reach:.2f} degrees"
        )


def _insert(
    tile: NDArray[np.intp],
    depth: NDArray[np.float64],
    rows: NDArray[np.intp],
    k: int,
    inside: NDArray[np.float64],
) -> None:
    """Insert tile `k` into the best tiles of each row by its depth; an earlier tile of equal depth stays ahead."""
    rows, inside = rows[inside > -np.inf], inside[inside > -np.inf]
    depths = np.column_stack([depth[rows], inside])
    tiles = np.column_stack([tile[rows], np.full(len(rows), k)])
    order = np.argsort(-depths, axis=1, kind="stable")[:, :-1]
    depth[rows] = np.take_along_axis(depths, order, axis=1)
    tile[rows] = np.take_along_axis(tiles, order, axis=1)
