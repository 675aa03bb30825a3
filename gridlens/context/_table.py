"""Context beside the rows of a table: known lenses and Einstein radii."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens._table_columns import CONTEXT_PREFIX
from gridlens.context._known import known_lenses
from gridlens.context._match import match_known_lenses, on_sky
from gridlens.cutouts.catalogs._columns import choose_columns
from gridlens.cutouts.catalogs._sky import chord, sky_vectors
from gridlens.errors import GridlensError
from gridlens.lensing import einstein_radius_distribution
from gridlens.lensing._mass_proxies import LOG_MASS_RANGE, PROXIES, REDSHIFT_RANGE, masses

__all__ = ["add_context"]

# Rows, as a mask, and words on them.
_Note = tuple[NDArray[np.bool_], str]

# Clusters of a catalogue belong to rows that are this near, arcsec.
_SAME_CLUSTER = 2.0
# Two proxies of one cluster contradict each other beyond this many standard deviations.
_CONTRADICTION = 3.0
# So many positions, all of them below 24, are rather hours than degrees.
_ENOUGH_FOR_HOURS = 20


def add_context(
    table: pd.DataFrame,
    *,
    catalogs: Sequence[pd.DataFrame] = (),
    clusters: pd.DataFrame | None = None,
    bundled: bool = True,
) -> pd.DataFrame:
    """Return a table with the columns of its catalogue context, whose names begin with ``context_``.

    Parameters
    ----------
    table : DataFrame of n rows
        With `ra` and `dec` in degrees, and optionally `id`. Columns of redshifts and mass proxies are recognized by the
        names that `gridlens.cutouts.read_catalog` knows.
    catalogs : sequence of DataFrame, default=()
        Known lenses besides the bundled ones, as `read_known_lenses` returns them.
    clusters : DataFrame, default=None
        Catalogue with redshifts and mass proxies, as `gridlens.cutouts.read_catalog` returns it. A row of the table is
        joined with the cluster of the same id, or else with the nearest within 2 arcsec. It overrides the columns of
        the table.
    bundled : bool, default=True
        Whether to use the bundled list of known lenses.

    Returns
    -------
    DataFrame of n rows
        A copy of the table with the columns of `match_known_lenses` and of
        `gridlens.lensing.einstein_radius_distribution`, for sources at a redshift of 2, and `context_note`, which says
        what is missing or contradictory. Earlier columns of these names are replaced.

    Raises
    ------
    GridlensError
        The table has no columns of positions.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.context import add_context
    >>> rows = pd.DataFrame({"id": ["a"], "ra": [198.7631], "dec": [51.8263], "z": [0.277], "lambda": [120.0]})
    >>> add_context(rows)[["context_known_lens", "context_proxy"]].values.tolist()
    [['Abell1703', 'richness']]
    """
    if not {"ra", "dec"} <= set(table):
        raise GridlensError(
            "The table must have the columns ra and dec, in degrees. Score cutouts that have a WCS, or pass a "
            'catalogue with catalog="FILE".'
        )
    table = table.drop(columns=[name for name in table if str(name).startswith(CONTEXT_PREFIX)])
    ra, dec = (pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float) for name in ("ra", "dec"))
    lists = [known_lenses()] if bundled else []
    lists += list(catalogs)
    if not lists:
        raise ValueError("The 'catalogs' parameter must hold a catalogue where 'bundled' is False. Got none instead.")
    found = match_known_lenses(ra, dec, pd.concat(lists, ignore_index=True))
    notes = _position_notes(ra, dec)
    properties = _properties(table, ra, dec, clusters)
    if "redshift" in properties:
        radii, doubts = _expected_radii(properties)
        notes += doubts
        found = pd.concat([found, radii], axis=1)
    found["note"] = _joined(len(table), notes)
    found = found.add_prefix(CONTEXT_PREFIX).set_axis(table.index)
    joined = pd.concat([table, found], axis=1)
    joined.attrs = dict(table.attrs)
    return joined


def _expected_radii(clusters: pd.DataFrame) -> tuple[pd.DataFrame, list[_Note]]:
    """Return the distributions of Einstein radii of clusters, and notes on those that have none or a doubtful one."""
    redshift = clusters["redshift"].to_numpy(dtype=float)
    known = {name: clusters[name].to_numpy(dtype=float) for name in PROXIES if name in clusters}
    radii = einstein_radius_distribution(redshift, **known)
    inside = (redshift >= REDSHIFT_RANGE[0]) & (redshift <= REDSHIFT_RANGE[1])
    return radii, [
        (np.isnan(redshift), "no redshift"),
        (~np.isnan(redshift) & ~inside, f"redshift outside of {REDSHIFT_RANGE[0]:g} to {REDSHIFT_RANGE[1]:g}"),
        (inside & (redshift >= 2.0), "sources at z = 2 are not behind the cluster"),
        (inside & (radii["proxy"] == "").to_numpy(), f"no mass proxy of a cluster ({_mass_range()})"),
        (_contradictory(redshift, known), "mass proxies contradict each other"),
    ]


def _mass_range() -> str:
    return f"M200c from 1e{LOG_MASS_RANGE[0]:g} to 1e{LOG_MASS_RANGE[1]:g} solar masses"


def _contradictory(redshift: np.ndarray, known: dict[str, np.ndarray]) -> np.ndarray:
    """Return where two proxies give masses that differ by more than their scatter allows."""
    found = [masses(redshift, {name: values}) for name, values in known.items()]
    wrong = np.zeros(len(redshift), dtype=bool)
    for k, first in enumerate(found):
        for second in found[k + 1 :]:
            apart = np.abs(first.log_mass - second.log_mass) * np.log(10.0)
            wrong |= apart > _CONTRADICTION * np.hypot(first.scatter, second.scatter)
    return wrong


def _position_notes(ra: np.ndarray, dec: np.ndarray) -> list[_Note]:
    placed = on_sky(ra, dec)
    missing = np.isnan(ra) | np.isnan(dec)
    known = ra[placed]
    hours = placed & (len(known) >= _ENOUGH_FOR_HOURS) & bool(len(known) and known.min() >= 0.0 and known.max() <= 24.0)
    # A field of a few degrees may lie there; positions over all 24 hours do not.
    hours &= bool(len(known) and np.ptp(known) > 12.0)
    return [
        (missing, "no position"),
        (~missing & ~placed, "position out of range"),
        (hours, "right ascensions of all rows are below 24: are they hours?"),
    ]


def _joined(n: int, notes: Iterable[_Note]) -> np.ndarray:
    """Return the words that apply to each row."""
    words = np.full(n, "", dtype=object)
    for mask, text in notes:
        words[mask] = [f"{word}; {text}" if word else text for word in words[mask]]
    return words


def _properties(table: pd.DataFrame, ra: np.ndarray, dec: np.ndarray, clusters: pd.DataFrame | None) -> pd.DataFrame:
    """Return redshifts and mass proxies of the rows, from the catalogue of clusters or the columns of the table."""
    if clusters is not None:
        place = _rows_of_clusters(table, ra, dec, clusters)
        some = clusters[[name for name in ("redshift", *PROXIES) if name in clusters]]
        # A row without a cluster has the place -1, which is in no index.
        return some.reset_index(drop=True).reindex(place).reset_index(drop=True)
    chosen = choose_columns(table.columns, None, "")
    return pd.DataFrame(
        {
            name: pd.to_numeric(table[chosen[name]], errors="coerce").to_numpy(dtype=float)
            for name in ("redshift", *PROXIES)
            if name in chosen
        },
        index=pd.RangeIndex(len(table)),
    )


def _rows_of_clusters(table: pd.DataFrame, ra: np.ndarray, dec: np.ndarray, clusters: pd.DataFrame) -> np.ndarray:
    """Return the row of the catalogue of each row of the table, -1 where there is none."""
    from scipy.spatial import cKDTree

    place = np.full(len(table), -1)
    if "id" in table and "id" in clusters:
        first = {name: row for row, name in reversed(list(enumerate(clusters["id"]))) if name}
        place = np.array([first.get(str(name), -1) for name in table["id"]], dtype=np.intp)
    if {"ra", "dec"} <= set(clusters):
        there = np.flatnonzero(on_sky(clusters["ra"].to_numpy(), clusters["dec"].to_numpy()))
        here = np.flatnonzero((place < 0) & on_sky(ra, dec))
        if len(there) and len(here):
            tree = cKDTree(sky_vectors(clusters["ra"].to_numpy()[there], clusters["dec"].to_numpy()[there]))
            gap, row = tree.query(sky_vectors(ra[here], dec[here]), distance_upper_bound=chord(_SAME_CLUSTER))
            place[here[np.isfinite(gap)]] = there[row[np.isfinite(gap)]]
    return place
