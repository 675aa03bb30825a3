"""Join catalogues to cutouts, and find the rows of a catalogue that stand for one cluster."""

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens.cutouts._catalog import read_catalog
from gridlens.cutouts._set import METADATA_NAMES, CutoutSet
from gridlens.cutouts._sky import chord, sky_vectors

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["MATCH_RADIUS", "CatalogJoin", "duplicate_rows"]

MATCH_RADIUS = 2.0
"""arcsec"""


def duplicate_rows(catalog: pd.DataFrame, radius: float = MATCH_RADIUS) -> NDArray[np.bool_]:
    """Find the rows that stand for a cluster which an earlier row stands for.

    Parameters
    ----------
    catalog : DataFrame of n rows
        As `read_catalog` returns it; without `id`, or without `ra` and `dec`, the other alone counts.
    radius : float, default=2.0
        arcsec.

    Returns
    -------
    ndarray of shape (n,), bool
        True where an earlier row has the same id, or lies within `radius` and is no duplicate itself. Rows without an
        id or a position are none by that. With n = 0, empty.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.cutouts import duplicate_rows
    >>> duplicate_rows(pd.DataFrame({"ra": [10.0, 50.0, 10.0001], "dec": [0.0, 0.0, 0.0]}))
    array([False, False,  True])
    """
    from scipy.spatial import cKDTree

    found = np.zeros(len(catalog), dtype=bool)
    if "id" in catalog:
        names = catalog["id"]
        found |= (names.duplicated() & names.notna() & (names != "")).to_numpy()
    if not {"ra", "dec"} <= set(catalog.columns):
        return found
    ra, dec = catalog["ra"].to_numpy(), catalog["dec"].to_numpy()
    known = np.flatnonzero(np.isfinite(ra) & (np.abs(dec) <= 90.0) & ~found)
    # Equal positions go first: thousands of rows at one placeholder would each have all the others near them.
    repeated = pd.DataFrame({"ra": ra[known], "dec": dec[known]}).duplicated().to_numpy()
    found[known[repeated]] = True
    known = known[~repeated]
    if len(known) < 2:
        return found
    points, limit = sky_vectors(ra[known], dec[known]), chord(radius)
    tree = cKDTree(points)
    nearest, _ = tree.query(points, k=2, distance_upper_bound=limit)
    # In the order of the rows, so that it is settled whether the earlier one is a duplicate.
    for row in np.flatnonzero(np.isfinite(nearest[:, 1])):
        if not found[known[row]]:
            near = np.asarray(tree.query_ball_point(points[row], limit))
            found[known[near[near > row]]] = True
    return found


class CatalogJoin:
    """A catalogue made ready to be joined to cutouts, a few at a time.

    Parameters
    ----------
    catalog : str, path or DataFrame
        See `read_catalog`.
    columns : mapping of str to str, default=None
        As there.
    """

    def __init__(
        self, catalog: str | os.PathLike[str] | pd.DataFrame, columns: Mapping[str, str] | None = None
    ) -> None:
        frame = read_catalog(catalog, columns=columns).drop_duplicates(ignore_index=True)
        self._columns = {name: frame[name].to_numpy() for name in frame.columns if name != "id"}
        self._row_of_id: dict[str, int] = {}
        self._repeated: set[str] = set()
        for row, name in enumerate(frame.get("id", ())):
            if name in self._row_of_id:
                self._repeated.add(name)
            elif name:
                self._row_of_id[name] = row
        self._ambiguous: list[str] = []
        self._crowded: list[str] = []
        self._sky = _SkyIndex(self._columns["ra"], self._columns["dec"]) if {"ra", "dec"} <= set(frame) else None
        self._joined = self._unmatched = self._without_wcs = self._exchanged = 0
        self._cutouts_of_row: dict[int, int] = {}

    def join(self, cutouts: CutoutSet, wcs: "WCS | None") -> CutoutSet:
        """Return the cutouts with metadata and BCG positions of their rows; values that are NaN change nothing.

        `wcs` is that of the single cutout in the set, or None; without it BCGs given in degrees are not placed.
        """
        rows = self._find(cutouts)
        self._joined += len(rows)
        self._unmatched += int(np.sum(rows < 0))
        for row in rows[rows >= 0].tolist():
            self._cutouts_of_row[row] = self._cutouts_of_row.get(row, 0) + 1
        metadata, bcg_xy = cutouts.metadata.copy(), cutouts.bcg_xy.copy()
        for name in METADATA_NAMES:
            if name in self._columns:
                values = self._values(name, rows)
                metadata[name] = np.where(np.isfinite(values), values, metadata[name])
        self._place_bcgs(rows, bcg_xy, wcs)
        return CutoutSet(
            cutouts.pixels,
            bcg_xy=bcg_xy,
            pixel_scale=cutouts.pixel_scale,
            ids=cutouts.ids,
            metadata=metadata,
            paths=cutouts.paths,
            flags=cutouts.flags,
        )

    def warn_of_gaps(self) -> None:
        """Warn of the cutouts without a row, with several, or with another's, and of BCGs that could not be placed."""
        said: list[str] = []
        if self._ambiguous:
            said.append(
                f"{len(self._ambiguous)} cutouts have several rows of their id in the catalogue, such as "
                f"{self._ambiguous[0]!r}: the first row is used. Keep one of the rows."
            )
        if self._crowded:
            said.append(
                f"{len(self._crowded)} cutouts have several rows within {MATCH_RADIUS:g} arcsec in the catalogue, such "
                f"as {self._crowded[0]!r}: the nearest is used. Keep one of the rows."
            )
        shared = sum(count for count in self._cutouts_of_row.values() if count > 1)
        if shared:
            said.append(f"{shared} cutouts share a row of the catalogue with another cutout.")
        if self._unmatched:
            exchanged = (
                f" With 'ra' and 'dec' exchanged {self._exchanged} have one: exchange the columns, --column ra=... "
                "--column dec=..."
                if self._exchanged and self._unmatched == self._joined
                else ""
            )
            said.append(
                f"{self._unmatched} of {self._joined} cutouts have no row in the catalogue, neither by id nor within "
                f"{MATCH_RADIUS:g} arcsec: their metadata stay unknown and their BCG stays at the centre.{exchanged}"
            )
        if self._without_wcs:
            said.append(
                f"{self._without_wcs} cutouts have no WCS, so bcg_ra and bcg_dec of the catalogue were not used for "
                "them. Give bcg_x and bcg_y in pixels instead."
            )
        for message in said:
            warnings.warn(message, UserWarning, stacklevel=2)

    def _find(self, cutouts: CutoutSet) -> NDArray[np.intp]:
        names = [name.strip() for name in cutouts.ids]
        rows = np.array([self._row_of_id.get(name, -1) for name in names], dtype=np.intp)
        self._ambiguous += [name for name in names if name in self._repeated]
        if self._sky is None or (rows >= 0).all():
            return rows
        lost = np.flatnonzero(rows < 0)
        ra, dec = (cutouts.metadata[name].to_numpy()[lost] for name in ("ra", "dec"))
        rows[lost], several = self._sky.nearest(ra, dec)
        self._crowded += [names[k] for k in lost[several]]
        far = rows[lost] < 0
        self._exchanged += int(np.sum(self._sky.nearest(dec[far], ra[far])[0] >= 0))
        return rows

    def _place_bcgs(self, rows: NDArray[np.intp], bcg_xy: NDArray[np.float64], wcs: "WCS | None") -> None:
        """Write the places of the BCGs of those rows that have one."""
        pixel = self._pairs("bcg_x", "bcg_y", rows)
        in_pixels = np.isfinite(pixel).all(axis=1)
        bcg_xy[in_pixels] = pixel[in_pixels]
        sky = self._pairs("bcg_ra", "bcg_dec", rows)
        on_sky = ~in_pixels & np.isfinite(sky).all(axis=1)
        if not on_sky.any():
            return
        if wcs is None:
            self._without_wcs += int(on_sky.sum())
            return
        from astropy.coordinates import SkyCoord

        x, y = wcs.world_to_pixel(SkyCoord(*sky[on_sky].T, unit="deg"))
        bcg_xy[on_sky] = np.stack([x, y], axis=-1)

    def _pairs(self, first: str, second: str, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        if first not in self._columns or second not in self._columns:
            return np.full((len(rows), 2), np.nan)
        return np.stack([self._values(first, rows), self._values(second, rows)], axis=-1)

    def _values(self, name: str, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Values of a column in rows, NaN where the row is -1."""
        values = np.full(len(rows), np.nan)
        values[rows >= 0] = self._columns[name][rows[rows >= 0]]
        return values


class _SkyIndex:
    """Rows by position, for the nearest one within the match radius of a point."""

    def __init__(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> None:
        from scipy.spatial import cKDTree

        self._rows = np.flatnonzero(np.isfinite(ra) & (np.abs(dec) <= 90.0))
        self._tree = cKDTree(sky_vectors(ra[self._rows], dec[self._rows])) if self._rows.size else None

    def nearest(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows nearest to points, -1 where none is near or the point is unknown; and the points that have several."""
        rows = np.full(len(ra), -1, dtype=np.intp)
        known = np.flatnonzero(np.isfinite(ra) & (np.abs(dec) <= 90.0))
        if self._tree is None or not known.size:
            return rows, known[:0]
        distance, place = self._tree.query(
            sky_vectors(ra[known], dec[known]), k=2, distance_upper_bound=chord(MATCH_RADIUS)
        )
        near = np.isfinite(distance)
        rows[known[near[:, 0]]] = self._rows[place[near[:, 0], 0]]
        return rows, known[near[:, 1]]
