"""Match positions with known lenses."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from gridlens.context._known import GRADES, RADII, known_lenses
from gridlens.cutouts.catalogs._sky import chord, sky_vectors

__all__ = ["all_matches", "match_known_lenses", "on_sky"]

FloatArray = NDArray[np.float64]

# Positions that are matched at a time, which bounds the memory.
_BATCH = 200_000
_SKY = 4.0 * np.pi * (180.0 * 3600.0 / np.pi) ** 2  # arcsec^2
# A cap about a lens in which its neighbours are counted for the local density, degrees.
_CAP = 1.0


def match_known_lenses(ra: ArrayLike, dec: ArrayLike, lenses: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the best known lens within the match radius of each position.

    The radius depends on the type of the lens: 10 arcsec for a galaxy, 30 for a group, 60 for a cluster. Confident and
    probable lenses come before unverified ones, and the nearest of them is returned.

    Parameters
    ----------
    ra, dec : array-like of shape (n,)
        Degrees, ICRS; NaN or out of range where unknown.
    lenses : DataFrame, default=None
        Known lenses, as `known_lenses` and `read_known_lenses` return them; None for the bundled list.

    Returns
    -------
    DataFrame of n rows
        `known_lens`, `known_type`, `known_grade`, `known_ref` : str, "" without a match; `known_sep` : float64,
        arcsec; `known_z` : float64; `n_known` : int64, number of lenses within their radii; `known_chance` : float64,
        probability of one or more chance matches at this position, 1 - exp(-pi r^2 n), for the density n of lenses of
        each type within 1 degree (of the whole sky where there are none); NaN without a position; `contaminant` : str,
        name of the nearest object in the lists that was taken for a lens and is not one. The index counts from 0.

    Examples
    --------
    >>> from gridlens.context import match_known_lenses
    >>> found = match_known_lenses([198.7631, 10.0], [51.8263, 80.0])
    >>> found["known_lens"].tolist()
    ['Abell1703', '']
    """
    lenses = known_lenses() if lenses is None else lenses
    ra, dec = np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)
    if ra.ndim != 1 or ra.shape != dec.shape:
        raise ValueError(
            f"The 'ra' and 'dec' parameters must be arrays of one dimension and the same length. Got the shapes "
            f"{ra.shape} and {dec.shape} instead."
        )
    real = lenses[lenses["grade"] != "contaminant"].reset_index(drop=True)
    false = lenses[lenses["grade"] == "contaminant"].reset_index(drop=True)
    pairs = all_matches(ra, dec, real)
    unverified = (real["grade"] == GRADES[2]).to_numpy()[pairs["lens"]]
    best = pairs.iloc[np.lexsort([pairs["sep"], unverified, pairs["row"]])].drop_duplicates("row")
    row, lens = best["row"].to_numpy(), best["lens"].to_numpy()
    table = pd.DataFrame(index=pd.RangeIndex(len(ra)))
    for name, column in (("known_lens", "name"), ("known_type", "type"), ("known_grade", "grade")):
        table[name] = _placed(len(ra), row, real[column].to_numpy(dtype=object)[lens], "")
    table["known_sep"] = _placed(len(ra), row, best["sep"].to_numpy(), np.nan)
    table["known_z"] = _placed(len(ra), row, real["z"].to_numpy()[lens], np.nan)
    table["known_ref"] = _placed(len(ra), row, real["ref"].to_numpy(dtype=object)[lens], "")
    table["n_known"] = np.bincount(pairs["row"], minlength=len(ra))
    table["known_chance"] = _chance(ra, dec, real)
    wrong = all_matches(ra, dec, false).sort_values("sep").drop_duplicates("row")
    names = false["name"].to_numpy(dtype=object)[wrong["lens"]]
    table["contaminant"] = _placed(len(ra), wrong["row"].to_numpy(), names, "")
    return table


def all_matches(ra: ArrayLike, dec: ArrayLike, lenses: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return every pair of a position and a known lens within its match radius.

    Parameters
    ----------
    ra, dec : array-like of shape (n,)
        Degrees, ICRS.
    lenses : DataFrame, default=None
        As in `match_known_lenses`.

    Returns
    -------
    DataFrame
        `row` and `lens` : int64, positions in `ra` and in `lenses`; `sep` : float64, arcsec. Pairs are sorted by row.

    Examples
    --------
    >>> from gridlens.context import all_matches
    >>> len(all_matches([182.3475], [26.6796])) > 0
    True
    """
    lenses = known_lenses() if lenses is None else lenses
    ra, dec = np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)
    rows, places, gaps = [np.empty(0, np.intp)], [np.empty(0, np.intp)], [np.empty(0)]
    known = np.flatnonzero(on_sky(ra, dec))
    for kind, radius in RADII.items():
        these = np.flatnonzero((lenses["type"] == kind).to_numpy())
        if not len(these):
            continue
        tree = cKDTree(sky_vectors(lenses["ra"].to_numpy()[these], lenses["dec"].to_numpy()[these]))
        for start in range(0, len(known), _BATCH):
            some = known[start : start + _BATCH]
            found = cKDTree(sky_vectors(ra[some], dec[some])).sparse_distance_matrix(
                tree, chord(radius), output_type="ndarray"
            )
            rows.append(some[found["i"]])
            places.append(these[found["j"]])
            gaps.append(np.degrees(2.0 * np.arcsin(0.5 * found["v"])) * 3600.0)
    table = pd.DataFrame({"row": np.concatenate(rows), "lens": np.concatenate(places), "sep": np.concatenate(gaps)})
    return table.sort_values(["row", "sep", "lens"], ignore_index=True)


def on_sky(ra: FloatArray, dec: FloatArray) -> NDArray[np.bool_]:
    """Return where a position is on the sky."""
    return np.asarray((np.abs(ra) <= 360.0) & (np.abs(dec) <= 90.0))


def _placed(n: int, rows: NDArray[np.intp], values: np.ndarray, missing: object) -> np.ndarray:
    """Return an array of n values with `values` in some rows, and `missing` elsewhere."""
    placed = np.full(n, missing, dtype=values.dtype if values.dtype.kind == "f" else object)
    placed[rows] = values
    return placed


def _chance(ra: FloatArray, dec: FloatArray, lenses: pd.DataFrame) -> FloatArray:
    """Return the probability of a chance match at each position.

    The lists are dense where lenses were searched for: the density is that of the neighbours within a degree. It
    includes the matched lens itself, so it is slightly high for an isolated one.
    """
    expected = np.full(len(ra), np.nan)
    known = np.flatnonzero(on_sky(ra, dec))
    expected[known] = 0.0
    points = sky_vectors(ra[known], dec[known])
    cap = 2.0 * np.pi * (1.0 - np.cos(np.radians(_CAP))) * (180.0 * 3600.0 / np.pi) ** 2  # arcsec^2
    for kind, radius in RADII.items():
        these = lenses[lenses["type"] == kind]
        if not len(these):
            continue
        tree = cKDTree(sky_vectors(these["ra"].to_numpy(), these["dec"].to_numpy()))
        near = np.asarray(tree.query_ball_point(points, chord(_CAP * 3600.0), return_length=True))
        density = np.where(near > 0, near / cap, len(these) / _SKY)
        expected[known] += np.pi * radius**2 * density
    return -np.expm1(-expected)
