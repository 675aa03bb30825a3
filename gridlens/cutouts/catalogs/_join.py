"""Join catalogues to cutouts, and find duplicate rows of a catalogue."""

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
_FARTHEST_BCG = 3600.0  # arcsec; even in the nearest clusters, the BCG is closer to the centre than this


def duplicate_rows(catalog: pd.DataFrame, radius: float = MATCH_RADIUS) -> NDArray[np.bool_]:
    """Find the rows that repeat the cluster of an earlier row.

    Parameters
    ----------
    catalog : DataFrame of n rows
        As returned by `read_catalog`. If it lacks `id`, or `ra` and `dec`, only the other is used.
    radius : float, default=2.0
        arcsec.

    Returns
    -------
    ndarray of shape (n,), bool
        True if an earlier row has the same id, or lies within `radius` and is not itself a duplicate. A missing id or
        position matches nothing. With n = 0, empty.

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
    # Equal positions are handled first: with thousands of rows at one placeholder position, each would be near all the
    # others.
    repeated = pd.DataFrame({"ra": ra[known], "dec": dec[known]}).duplicated().to_numpy()
    found[known[repeated]] = True
    known = known[~repeated]
    if len(known) < 2:
        return found
    points, limit = sky_vectors(ra[known], dec[known]), chord(radius)
    tree = cKDTree(points)
    nearest, _ = tree.query(points, k=2, distance_upper_bound=limit)
    # Rows are processed in order, so that it is known whether the earlier row is a duplicate.
    for row in np.flatnonzero(np.isfinite(nearest[:, 1])):
        if not found[known[row]]:
            near = np.asarray(tree.query_ball_point(points[row], limit))
            found[known[near[near > row]]] = True
    return found


_RADEC = [METADATA_NAMES.index("ra"), METADATA_NAMES.index("dec")]
_COUNTED = ("joined", "unmatched", "exchanged", "without_wcs", "astray", "ambiguous", "crowded")


@dataclass
class JoinGaps:
    """Unresolved cases of joins: their numbers, an example of each kind, and the matched rows of the catalogue.

    A `JoinReport` adds up the gaps of many joins, in one process or several.
    """

    joined: int = 0
    unmatched: int = 0
    exchanged: int = 0
    """unmatched cutouts that would have a row with ra and dec exchanged"""
    without_wcs: int = 0
    astray: int = 0
    """BCGs more than a degree from their cutouts, or not on any pixel"""
    ambiguous: int = 0
    crowded: int = 0
    examples: dict[str, str] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    found: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """rows of the catalogue by id and path of the cutout, -1 for no row; filled only if columns are kept"""

    def remember(self, ids: Sequence[str], paths: Sequence[str], rows: Sequence[int]) -> None:
        """Record the rows of the catalogue that match cutouts, for the columns to keep."""
        for name, path, row in zip(ids, paths, rows, strict=True):
            self.found.setdefault((name, path), []).append(int(row))

    def note(self, kind: str, names: list[str]) -> None:
        """Count cutouts of a `kind` ("ambiguous" or "crowded"), and store the first name."""
        if names:
            setattr(self, kind, getattr(self, kind) + len(names))
            self.examples.setdefault(kind, names[0])

    def merge(self, later: JoinGaps) -> None:
        """Add the gaps of later joins."""
        for name in _COUNTED:
            setattr(self, name, getattr(self, name) + getattr(later, name))
        self.examples = later.examples | self.examples
        self.rows = self.rows + later.rows


def place_on(wcs: WCS, size: tuple[int, int], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pixels (n, 2) of positions (n, 2) in degrees, ICRS, on an image of `size` (height, width).

    NaN for positions more than a degree from the centre of the image, and for positions that are not on any pixel.
    """
    from astropy.coordinates import SkyCoord

    places = np.full(positions.shape, np.nan)
    height, width = size
    # If a projection or a distortion cannot be inverted there, astropy raises one of several kinds of errors.
    with contextlib.suppress(Exception):
        centre = wcs.pixel_to_world((width - 1) / 2, (height - 1) / 2).icrs
        to_centre = sky_vectors(*positions.T) - sky_vectors(centre.ra.deg, centre.dec.deg)
        near = np.linalg.norm(to_centre, axis=-1) < chord(_FARTHEST_BCG)
        if near.any():
            places[near] = np.stack(wcs.world_to_pixel(SkyCoord(*positions[near].T, unit="deg")), axis=-1)
    return places


class JoinReport:
    """Sum of the gaps of many joins with one catalogue; memory does not grow with the number of cutouts."""

    def __init__(self) -> None:
        self._total = JoinGaps()
        # For each row of the catalogue: the number of cutouts matched to it (0, 1 or more).
        self._found = np.zeros(0, dtype=np.uint8)
        self._shared = 0

    def add(self, gaps: JoinGaps) -> None:
        """Add the gaps of one or more joins."""
        self._total.merge(replace(gaps, rows=[]))
        if gaps.rows:
            rows, counts = np.unique(gaps.rows, return_counts=True)
            if rows[-1] >= len(self._found):
                self._found = np.pad(self._found, (0, int(rows[-1]) + 1 - len(self._found)))
            before = self._found[rows]
            many = before + counts > 1
            # The first of several cutouts is counted once a second one is found.
            self._shared += int((counts[many] + (before[many] == 1)).sum())
            self._found[rows] = np.where(many, 2, 1)

    def messages(self) -> list[str]:
        """Return messages about cutouts with no row, several rows or a shared row, and about BCGs not placed."""
        total, said = self._total, []
        if total.ambiguous:
            said.append(
                f"{total.ambiguous} cutouts have several rows of their id in the catalogue, such as "
                f"{total.examples['ambiguous']!r}: the first row is used. Remove the other rows."
            )
        if total.crowded:
            said.append(
                f"{total.crowded} cutouts have several rows within {MATCH_RADIUS:g} arcsec in the catalogue, such "
                f"as {total.examples['crowded']!r}: the nearest row is used. Remove the other rows."
            )
        if self._shared:
            said.append(f"{self._shared} cutouts share a row of the catalogue with another cutout.")
        if total.unmatched:
            exchanged = (
                f" With 'ra' and 'dec' exchanged, {total.exchanged} would have one: exchange the columns, "
                'columns={"ra": .., "dec": ..}.'
                if total.exchanged and total.unmatched == total.joined
                else ""
            )
            said.append(
                f"{total.unmatched} of {total.joined} cutouts have no row in the catalogue, neither by id nor within "
                f"{MATCH_RADIUS:g} arcsec: their metadata are unknown and their BCG is assumed to be at the "
                f"centre.{exchanged}"
            )
        if total.without_wcs:
            said.append(
                f"{total.without_wcs} cutouts have no WCS, so bcg_ra and bcg_dec of the catalogue were not used for "
                "them. Use bcg_x and bcg_y in pixels instead."
            )
        if total.astray:
            said.append(
                f"{total.astray} cutouts have a BCG in the catalogue that is more than a degree away: the BCG is "
                "assumed to be at the centre."
            )
        return said

    def warn(self) -> None:
        """Issue the messages as warnings."""
        for message in self.messages():
            warnings.warn(message, UserWarning, stacklevel=2)


class CatalogJoin:
    """A catalogue prepared for joins to batches of cutouts.

    Parameters
    ----------
    catalog : str, path, DataFrame or astropy Table
        See `read_catalog`.
    columns : mapping of str to str, default=None
        See `read_catalog`.
    keep_columns : sequence of str, default=()
        Columns of the catalogue that are added to each cutout's row of a table.

    Attributes
    ----------
    kept : KeptColumns or None
        None if no columns are kept.
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
        """Return the cutouts with the metadata and BCG positions of their rows; NaN values change nothing.

        `wcs` is the WCS of the single cutout in the set, or None; without it, BCG positions in degrees are not used.
        Unresolved cases are added to `gaps`.
        """
        known, bcg_xy = cutouts.metadata.to_numpy(copy=True), cutouts.bcg_xy.copy()
        # Selecting two columns of the table in pandas would take longer than the rest of the join.
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
        """Return the catalogue rows of n cutouts, by id or else by position (n, 2) in degrees; -1 for no match."""
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
        """Write the BCG positions of the rows that have one."""
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
        """Return the values of a column in rows, NaN if the row is -1."""
        values = np.full(len(rows), np.nan)
        values[rows >= 0] = self._columns[name][rows[rows >= 0]]
        return values


def _follow(
    cutouts: CutoutSet, bcg_xy: NDArray[np.float64], metadata: pd.DataFrame
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions and pixel axes at the new BCG pixels `bcg_xy`; move `ra` and `dec` too if they were a BCG's."""
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
    """Index of rows by position, to find the row nearest to a point within the match radius."""

    def __init__(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> None:
        from scipy.spatial import cKDTree

        self._rows = np.flatnonzero((np.abs(ra) <= 360.0) & (np.abs(dec) <= 90.0))
        self._tree = cKDTree(sky_vectors(ra[self._rows], dec[self._rows])) if self._rows.size else None

    def nearest(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows nearest to points (-1 if there is none or the point is NaN), and the points with several."""
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
