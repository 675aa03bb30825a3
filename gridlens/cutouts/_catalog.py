"""Catalogues: read them, and join them to cutouts."""

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens._errors import GridlensError
from gridlens.cutouts._set import METADATA_NAMES, CutoutSet

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["CatalogJoin", "read_catalog"]

# Columns that are understood, by the names that catalogues give them; the case does not matter, the first wins.
_ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id", "name", "cluster_id", "cluster", "objid"),
    "ra": ("ra", "raj2000", "ra_deg", "ra_icrs", "radeg"),
    "dec": ("dec", "dej2000", "decj2000", "dec_deg", "de_icrs", "decdeg"),
    "bcg_x": ("bcg_x", "x_bcg"),
    "bcg_y": ("bcg_y", "y_bcg"),
    "bcg_ra": ("bcg_ra", "ra_bcg"),
    "bcg_dec": ("bcg_dec", "dec_bcg"),
    "redshift": ("redshift", "z", "z_lambda"),
    "richness": ("richness", "lambda", "lambda_chisq"),
    **{name: (name,) for name in METADATA_NAMES if name not in ("ra", "dec", "redshift", "richness")},
}
_ANGLES = ("ra", "dec", "bcg_ra", "bcg_dec")
_MATCH_RADIUS = 5.0
"""arcsec"""


def read_catalog(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a catalogue of clusters.

    Parameters
    ----------
    path : str or path
        CSV (also .csv.gz), or what `astropy.table.Table.read` knows by its name: FITS table, ECSV, VOTable.
        Columns are found by name in any case: `id` (or name, cluster_id), `ra` and `dec` in degrees (or
        RAJ2000, DEJ2000, ra_deg, ...), `bcg_x` and `bcg_y` in 0-based pixels, or `bcg_ra` and `bcg_dec` in
        degrees, and the metadata names (also z, lambda). Columns that state an angular unit are converted.

    Returns
    -------
    DataFrame
        The columns that were understood, under the names above: `id` as str ("" where missing), the others
        float64, NaN where missing.

    Raises
    ------
    GridlensError
        The file cannot be read, has neither `id` nor `ra` and `dec`, or a column is not numeric.

    Notes
    -----
    A cutout takes the first row whose `id` equals its own, or else the nearest row within 5 arcsec of its centre.

    Examples
    --------
    >>> read_catalog("clusters.csv")  # doctest: +SKIP
    """
    path = Path(path)
    name = path.name.lower()
    try:
        if name.endswith((".csv", ".csv.gz")):
            # pandas would turn the id 0012 into the number 12
            columns = pd.read_csv(path, nrows=0, comment="#", skipinitialspace=True).columns
            text = {column: str for column in columns if _plain(column) in _ALIASES["id"]}
            frame = pd.read_csv(path, dtype=text, comment="#", skipinitialspace=True)
        else:
            frame = _read_table(path)
    except FileNotFoundError:
        raise GridlensError(f"There is no catalogue {path}. Check the path.") from None
    except Exception as exc:
        # astropy's many readers raise as many kinds of error for a damaged or unknown file
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
        raise GridlensError(
            f"Cannot read the catalogue {path}: {reason}. It must be a CSV, FITS, ECSV or VOTable file."
        ) from exc
    return tidy_catalog(frame, str(path))


def tidy_catalog(frame: pd.DataFrame, source: str = "the DataFrame") -> pd.DataFrame:
    """Pick out and rename the columns that are understood; raise GridlensError where too few are there."""
    chosen = _choose_columns(frame.columns)
    if "id" not in chosen and not {"ra", "dec"} <= set(chosen):
        raise GridlensError(
            f"The catalogue {source} must have a column 'id', or the columns 'ra' and 'dec' in degrees. "
            f"Got {', '.join(map(str, frame.columns)) or 'no columns'} instead. Rename the columns that hold them."
        )
    tidy = {}
    for name, column in chosen.items():
        values = frame[column]
        if name == "id":
            tidy[name] = values.fillna("").map(_as_name)
            continue
        try:
            tidy[name] = pd.to_numeric(values).astype(np.float64).replace([np.inf, -np.inf], np.nan)
        except (TypeError, ValueError):
            text = next(value for value in values if pd.isna(pd.to_numeric(value, errors="coerce")) and pd.notna(value))
            raise GridlensError(
                f"The column {column!r} of the catalogue {source} must be numbers"
                f"{' in degrees' if name in _ANGLES else ''}. Got {str(text)!r} instead; leave unknown values empty."
            ) from None
    return pd.DataFrame(tidy).reset_index(drop=True)


def _choose_columns(columns: Any) -> dict[str, Any]:
    lower: dict[str, Any] = {}
    for column in columns:
        lower.setdefault(_plain(column), column)
    found = {}
    for name, aliases in _ALIASES.items():
        column = next((lower[alias] for alias in aliases if alias in lower), None)
        if column is not None:
            found[name] = column
    return found


def _plain(column: Any) -> str:
    """Reduce a column's name to what aliases are compared with: lower case, without a unit in brackets behind it."""
    return re.sub(r"\s*\[.*\]$", "", str(column).strip().lower())


def _as_name(value: Any) -> str:
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()


def _read_table(path: Path) -> pd.DataFrame:
    from astropy import units
    from astropy.table import Table

    with warnings.catch_warnings():
        # what a table says about its units and versions is no concern of the user's here
        warnings.simplefilter("ignore")
        table = Table.read(path)
    chosen = _choose_columns(table.colnames)
    frame = table[list(chosen.values())].to_pandas() if chosen else pd.DataFrame()
    for name in _ANGLES:
        if name in chosen and (unit := table[chosen[name]].unit) is not None and unit != units.deg:
            frame[chosen[name]] *= unit.to(units.deg)
    # the others are kept, empty, so that an error can list what the table has
    return frame.reindex(columns=[*frame.columns, *(c for c in table.colnames if c not in frame.columns)])


class CatalogJoin:
    """A catalogue made ready to be joined to cutouts, a few at a time.

    Parameters
    ----------
    catalog : str, path or DataFrame
        See `read_catalog`; a DataFrame takes the same columns.
    """

    def __init__(self, catalog: str | os.PathLike[str] | pd.DataFrame) -> None:
        frame = tidy_catalog(catalog) if isinstance(catalog, pd.DataFrame) else read_catalog(catalog)
        frame = frame.drop_duplicates(ignore_index=True)
        self._columns = {name: frame[name].to_numpy() for name in frame.columns if name != "id"}
        self._row_of_id: dict[str, int] = {}
        self._repeated: set[str] = set()
        for row, name in enumerate(frame.get("id", ())):
            if name in self._row_of_id:
                self._repeated.add(name)
            elif name:
                self._row_of_id[name] = row
        self._ambiguous: list[str] = []
        self._sky = _SkyIndex(self._columns["ra"], self._columns["dec"]) if {"ra", "dec"} <= set(frame) else None
        self._joined = self._unmatched = self._without_wcs = 0

    def join(self, cutouts: CutoutSet, wcs: "WCS | None") -> CutoutSet:
        """Return the cutouts with metadata and BCG positions of their rows; values that are NaN change nothing.

        `wcs` is that of the single cutout in the set, or None; without it BCGs given in degrees are not placed.
        """
        rows = np.array([self._find(cutouts, k) for k in range(len(cutouts))], dtype=np.intp)
        self._joined += len(rows)
        self._unmatched += int(np.sum(rows < 0))
        metadata, bcg_xy = cutouts.metadata.copy(), cutouts.bcg_xy.copy()
        for name in METADATA_NAMES:
            if name in self._columns:
                values = np.where(rows >= 0, self._columns[name][rows], np.nan)
                metadata[name] = np.where(np.isfinite(values), values, metadata[name])
        for k in np.flatnonzero(rows >= 0):
            place = self._bcg(rows[k], wcs)
            if place is not None:
                bcg_xy[k] = place
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
        """Warn of the cutouts without a row, or with several, and of BCG positions that could not be placed."""
        if self._ambiguous:
            warnings.warn(
                f"{len(self._ambiguous)} cutouts have several rows of their id in the catalogue, such as "
                f"{self._ambiguous[0]!r}: the first row is used. Keep one of the rows.",
                UserWarning,
                stacklevel=2,
            )
        if self._unmatched:
            warnings.warn(
                f"{self._unmatched} of {self._joined} cutouts have no row in the catalogue, neither by id nor within "
                f"{_MATCH_RADIUS:g} arcsec: their metadata stay unknown and their BCG stays at the centre.",
                UserWarning,
                stacklevel=2,
            )
        if self._without_wcs:
            warnings.warn(
                f"{self._without_wcs} cutouts have no WCS, so bcg_ra and bcg_dec of the catalogue were not used for "
                "them. Give bcg_x and bcg_y in pixels instead.",
                UserWarning,
                stacklevel=2,
            )

    def _find(self, cutouts: CutoutSet, k: int) -> int:
        name = cutouts.ids[k].strip()
        row = self._row_of_id.get(name, -1)
        if name in self._repeated:
            self._ambiguous.append(name)
        if row < 0 and self._sky is not None:
            row = self._sky.nearest(cutouts.metadata["ra"].iat[k], cutouts.metadata["dec"].iat[k])
        return row

    def _bcg(self, row: int, wcs: "WCS | None") -> tuple[float, float] | None:
        pixel = self._pair("bcg_x", "bcg_y", row)
        if pixel is not None:
            return pixel
        sky = self._pair("bcg_ra", "bcg_dec", row)
        if sky is None:
            return None
        if wcs is None:
            self._without_wcs += 1
            return None
        from astropy.coordinates import SkyCoord

        x, y = wcs.world_to_pixel(SkyCoord(*sky, unit="deg"))
        return float(x), float(y)

    def _pair(self, first: str, second: str, row: int) -> tuple[float, float] | None:
        columns: Mapping[str, NDArray[np.float64]] = self._columns
        if first not in columns or second not in columns:
            return None
        values = float(columns[first][row]), float(columns[second][row])
        return values if np.isfinite(values).all() else None


class _SkyIndex:
    """Rows sorted by declination, for the nearest row within the match radius of a point."""

    def __init__(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> None:
        known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
        self._rows = known[np.argsort(dec[known], kind="stable")]
        self._ra, self._dec = np.radians(ra[self._rows]), np.radians(dec[self._rows])

    def nearest(self, ra: float, dec: float) -> int:
        """Return the row nearest to (ra, dec), degrees, or -1 where none is near or the point is unknown."""
        if not (np.isfinite(ra) and np.isfinite(dec)):
            return -1
        ra, dec, radius = np.radians(ra), np.radians(dec), np.radians(_MATCH_RADIUS / 3600)
        low, high = np.searchsorted(self._dec, [dec - radius, dec + radius])
        strip = slice(low, high)
        # the haversine, exact for small angles where the cosine is not
        half = (
            np.sin((self._dec[strip] - dec) / 2) ** 2
            + np.cos(self._dec[strip]) * np.cos(dec) * np.sin((self._ra[strip] - ra) / 2) ** 2
        )
        if not half.size:
            return -1
        best = int(np.argmin(half))
        return int(self._rows[low + best]) if 2 * np.arcsin(np.sqrt(half[best])) <= radius else -1
