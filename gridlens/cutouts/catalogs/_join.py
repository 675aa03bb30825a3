"""Join catalogues to cutouts, and find the rows of a catalogue that stand for one cluster."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens.cutouts._conventions import METADATA_NAMES, CatalogLike
from gridlens.cutouts._plausible import known_metadata
from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts._tangent import move_along
from gridlens.cutouts.catalogs._catalog import read_with_kept
from gridlens.cutouts.catalogs._sky import chord, sky_vectors

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["MATCH_RADIUS", "CatalogJoin", "JoinGaps", "JoinReport", "duplicate_rows", "place_on"]

MATCH_RADIUS = 2.0
"""arcsec"""
_FARTHEST_BCG = 3600.0  # arcsec; the BCGs of the nearest clusters are closer to their centres


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
    >>> from gridlens.cutouts.catalogs._join import duplicate_rows
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
    known = np.flatnonzero((np.abs(ra) <= 360.0) & (np.abs(dec) <= 90.0) & ~found)
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


_RADEC = [METADATA_NAMES.index("ra"), METADATA_NAMES.index("dec")]
_COUNTED = ("joined", "unmatched", "exchanged", "without_wcs", "astray", "ambiguous", "crowded")


@dataclass
class JoinGaps:
    """What joins left open: numbers, an example each, and the rows of the catalogue that were found.

    Those of many joins, in one process or several, add up in a `JoinReport`.
    """

    joined: int = 0
    unmatched: int = 0
    exchanged: int = 0
    """of the unmatched: those that have a row with ra and dec exchanged"""
    without_wcs: int = 0
    astray: int = 0
    """BCGs that are more than a degree from their cutouts, or on no pixel"""
    ambiguous: int = 0
    crowded: int = 0
    examples: dict[str, str] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    found: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """rows of the catalogue by id and path of the cutout, -1 for no row; only for columns that are kept"""

    def remember(self, ids: Sequence[str], paths: Sequence[str], rows: Sequence[int]) -> None:
        """Note the rows of the catalogue that cutouts have, for the columns that are kept of it."""
        for name, path, row in zip(ids, paths, rows, strict=True):
            self.found.setdefault((name, path), []).append(int(row))

    def note(self, kind: str, names: list[str]) -> None:
        """Count cutouts that are `kind` ("ambiguous" or "crowded"), and keep the first name."""
        if names:
            setattr(self, kind, getattr(self, kind) + len(names))
            self.examples.setdefault(kind, names[0])

    def merge(self, later: JoinGaps) -> None:
        """Add what later joins left open."""
        for name in _COUNTED:
            setattr(self, name, getattr(self, name) + getattr(later, name))
        self.examples = later.examples | self.examples
        self.rows = self.rows + later.rows


def place_on(wcs: WCS, size: tuple[int, int], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pixels (n, 2) of positions (n, 2) in degrees, ICRS, on an image of `size` (height, width).

    NaN for positions more than a degree from the centre of the image, and for those on no pixel.
    """
    from astropy.coordinates import SkyCoord

    places = np.full(positions.shape, np.nan)
    height, width = size
    # A projection or a distortion that cannot be inverted there is an error of astropy's, of as many kinds.
    with contextlib.suppress(Exception):
        centre = wcs.pixel_to_world((width - 1) / 2, (height - 1) / 2).icrs
        to_centre = sky_vectors(*positions.T) - sky_vectors(centre.ra.deg, centre.dec.deg)
        near = np.linalg.norm(to_centre, axis=-1) < chord(_FARTHEST_BCG)
        if near.any():
            places[near] = np.stack(wcs.world_to_pixel(SkyCoord(*positions[near].T, unit="deg")), axis=-1)
    return places


class JoinReport:
    """Gaps of many joins with one catalogue, added up in memory that does not grow with the cutouts."""

    def __init__(self) -> None:
        self._total = JoinGaps()
        # By row of the catalogue: how many cutouts have it, 0, 1 or more.
        self._found = np.zeros(0, dtype=np.uint8)
        self._shared = 0

    def add(self, gaps: JoinGaps) -> None:
        """Add what a number of joins left open."""
        self._total.merge(replace(gaps, rows=[]))
        if gaps.rows:
            rows, counts = np.unique(gaps.rows, return_counts=True)
            if rows[-1] >= len(self._found):
                self._found = np.pad(self._found, (0, int(rows[-1]) + 1 - len(self._found)))
            before = self._found[rows]
            many = before + counts > 1
            # The first of several counts once there is a second one.
            self._shared += int((counts[many] + (before[many] == 1)).sum())
            self._found[rows] = np.where(many, 2, 1)

    def messages(self) -> list[str]:
        """A sentence each on the cutouts without a row, with several, or with another's, and on BCGs not placed."""
        total, said = self._total, []
        if total.ambiguous:
            said.append(
                f"{total.ambiguous} cutouts have several rows of their id in the catalogue, such as "
                f"{total.examples['ambiguous']!r}: the first row is used. Keep one of the rows."
            )
        if total.crowded:
            said.append(
                f"{total.crowded} cutouts have several rows within {MATCH_RADIUS:g} arcsec in the catalogue, such "
                f"as {total.examples['crowded']!r}: the nearest is used. Keep one of the rows."
            )
        if self._shared:
            said.append(f"{self._shared} cutouts share a row of the catalogue with another cutout.")
        if total.unmatched:
            exchanged = (
                f" With 'ra' and 'dec' exchanged {total.exchanged} have one: exchange the columns, "
                'columns={"ra": .., "dec": ..}.'
                if total.exchanged and total.unmatched == total.joined
                else ""
            )
            said.append(
                f"{total.unmatched} of {total.joined} cutouts have no row in the catalogue, neither by id nor within "
                f"{MATCH_RADIUS:g} arcsec: their metadata stay unknown and their BCG stays at the centre.{exchanged}"
            )
        if total.without_wcs:
            said.append(
                f"{total.without_wcs} cutouts have no WCS, so bcg_ra and bcg_dec of the catalogue were not used for "
                "them. Give bcg_x and bcg_y in pixels instead."
            )
        if total.astray:
            said.append(
                f"{total.astray} cutouts have a BCG in the catalogue that is more than a degree from them: it stays "
                "at the centre."
            )
        return said

    def warn(self) -> None:
        """Warn of all of them."""
        for message in self.messages():
            warnings.warn(message, UserWarning, stacklevel=2)


class CatalogJoin:
    """A catalogue made ready to be joined to cutouts, a few at a time.

    Parameters
    ----------
    catalog : str, path, DataFrame or astropy Table
        See `read_catalog`.
    columns : mapping of str to str, default=None
        As there.
    keep_columns : sequence of str, default=()
        Columns of the catalogue that follow each cutout into a table.

    Attributes
    ----------
    kept : KeptColumns or None
        None where no columns are kept.
    """

    def __init__(
        self, catalog: CatalogLike, columns: Mapping[str, str] | None = None, keep_columns: Sequence[str] = ()
    ) -> None:
        whole, kept = read_with_kept(catalog, columns, keep_columns)
        repeated = whole.duplicated().to_numpy()
        frame = whole[~repeated].reset_index(drop=True)
        self._columns = known_metadata({name: frame[name].to_numpy() for name in frame.columns if name != "id"})[0]
        self._row_of_id: dict[str, int] = {}
        self._repeated: set[str] = set()
        for row, name in enumerate(frame.get("id", ())):
            if name in self._row_of_id:
                self._repeated.add(name)
            elif name:
                self._row_of_id[name] = row
        self._sky = _SkyIndex(self._columns["ra"], self._columns["dec"]) if {"ra", "dec"} <= set(frame) else None
        self.kept = kept.of_rows(~repeated, self._row_of_id) if keep_columns else None

    def join(self, cutouts: CutoutSet, wcs: WCS | None, gaps: JoinGaps) -> CutoutSet:
        """Return the cutouts with metadata and BCG positions of their rows; values that are NaN change nothing.

        `wcs` is that of the single cutout in the set, or None; without it BCGs given in degrees are not placed. What
        the join leaves open is added to `gaps`.
        """
        known, bcg_xy = cutouts.metadata.to_numpy(copy=True), cutouts.bcg_xy.copy()
        # Selecting two columns of the table would take longer than the rest of the join.
        rows = self.find(cutouts.ids, known[:, _RADEC], gaps)
        gaps.joined += len(rows)
        gaps.unmatched += int(np.sum(rows < 0))
        gaps.rows += rows[rows >= 0].tolist()
        if self.kept is not None:
            gaps.remember(cutouts.ids.tolist(), cutouts.paths.tolist(), rows.tolist())
        for k, name in enumerate(METADATA_NAMES):
            if name in self._columns:
                values = self._values(name, rows)
                known[:, k] = np.where(np.isfinite(values), values, known[:, k])
        metadata = pd.DataFrame(known, columns=cutouts.metadata.columns)
        self._place_bcgs(rows, bcg_xy, wcs, cutouts.pixels.shape[1:3], gaps)
        radec, axes = _follow(cutouts, bcg_xy, metadata)
        return CutoutSet(
            cutouts.pixels,
            bcg_xy=bcg_xy,
            pixel_scale=cutouts.pixel_scale,
            ids=cutouts.ids,
            metadata=metadata,
            paths=cutouts.paths,
            flags=cutouts.flags,
            sky_axes=axes,
            bcg_radec=radec,
        )

    def find(self, ids: Iterable[str], radec: NDArray[np.float64], gaps: JoinGaps) -> NDArray[np.intp]:
        """Return the rows of the catalogue of n cutouts, -1 for none, by id or else by position (n, 2) in degrees."""
        names = [name.strip() for name in ids]
        rows = np.array([self._row_of_id.get(name, -1) for name in names], dtype=np.intp)
        gaps.note("ambiguous", [name for name in names if name in self._repeated])
        if self._sky is None or (rows >= 0).all():
            return rows
        lost = np.flatnonzero(rows < 0)
        ra, dec = radec[lost].T
        rows[lost], several = self._sky.nearest(ra, dec)
        gaps.note("crowded", [names[k] for k in lost[several]])
        far = rows[lost] < 0
        gaps.exchanged += int(np.sum(self._sky.nearest(dec[far], ra[far])[0] >= 0))
        return rows

    def _place_bcgs(
        self,
        rows: NDArray[np.intp],
        bcg_xy: NDArray[np.float64],
        wcs: WCS | None,
        size: tuple[int, int],
        gaps: JoinGaps,
    ) -> None:
        """Write the places of the BCGs of those rows that have one."""
        pixel = self._pairs("bcg_x", "bcg_y", rows)
        in_pixels = np.isfinite(pixel).all(axis=1)
        bcg_xy[in_pixels] = pixel[in_pixels]
        sky = self._pairs("bcg_ra", "bcg_dec", rows)
        on_sky = ~in_pixels & np.isfinite(sky).all(axis=1)
        if not on_sky.any():
            return
        if wcs is None:
            gaps.without_wcs += int(on_sky.sum())
            return
        places = place_on(wcs, size, sky[on_sky])
        placed = np.isfinite(places).all(axis=1)
        bcg_xy[np.flatnonzero(on_sky)[placed]] = places[placed]
        gaps.astray += int(np.sum(~placed))

    def _pairs(self, first: str, second: str, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        if first not in self._columns or second not in self._columns:
            return np.full((len(rows), 2), np.nan)
        return np.stack([self._values(first, rows), self._values(second, rows)], axis=-1)

    def _values(self, name: str, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Values of a column in rows, NaN where the row is -1."""
        values = np.full(len(rows), np.nan)
        values[rows >= 0] = self._columns[name][rows[rows >= 0]]
        return values


def _follow(
    cutouts: CutoutSet, bcg_xy: NDArray[np.float64], metadata: pd.DataFrame
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return position and pixel axes at the BCGs' new places `bcg_xy`; where `ra` and `dec` were a BCG's, move them."""
    axes = cutouts.sky_axes.copy()
    known = np.isfinite(axes[:, 0, 0])
    radec = np.where(known[:, None], cutouts.bcg_radec, np.nan)
    shift = bcg_xy - cutouts.bcg_xy
    moved = known & shift.any(axis=1)
    if moved.any():
        own = moved & (metadata[["ra", "dec"]].to_numpy() == radec).all(axis=1)
        radec[moved], axes[moved] = move_along(radec[moved], axes[moved], shift[moved])
        metadata.loc[own, ["ra", "dec"]] = radec[own]
    return radec, axes


class _SkyIndex:
    """Rows by position, for the nearest one within the match radius of a point."""

    def __init__(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> None:
        from scipy.spatial import cKDTree

        self._rows = np.flatnonzero((np.abs(ra) <= 360.0) & (np.abs(dec) <= 90.0))
        self._tree = cKDTree(sky_vectors(ra[self._rows], dec[self._rows])) if self._rows.size else None

    def nearest(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows nearest to points, -1 where none is near or the point is unknown; and the points that have several."""
        rows = np.full(len(ra), -1, dtype=np.intp)
        known = np.flatnonzero((np.abs(ra) <= 360.0) & (np.abs(dec) <= 90.0))
        if self._tree is None or not known.size:
            return rows, known[:0]
        distance, place = self._tree.query(
            sky_vectors(ra[known], dec[known]), k=2, distance_upper_bound=chord(MATCH_RADIUS)
        )
        near = np.isfinite(distance)
        rows[known[near[:, 0]]] = self._rows[place[near[:, 0], 0]]
        return rows, known[near[:, 1]]
