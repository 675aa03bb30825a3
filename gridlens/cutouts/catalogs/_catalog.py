"""Read cluster catalogues."""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens._table_files import open_table
from gridlens._table_source import UNNAMED_INDEX, TableError, TableSource, text_column
from gridlens.cutouts._conventions import METADATA_NAMES, CatalogLike
from gridlens.cutouts._plausible import PAIRS
from gridlens.cutouts.catalogs._catalog_values import read_numbers, some_rows
from gridlens.cutouts.catalogs._columns import catalog_rank, choose_columns, magnitude_z, split_unit
from gridlens.cutouts.catalogs._kept import KeptColumns, check_kept
from gridlens.errors import GridlensError

__all__ = ["catalog_frame", "read_catalog", "read_with_kept"]

_OPTIONAL = frozenset(METADATA_NAMES) - {"ra", "dec"}


def read_catalog(catalog: CatalogLike, *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read a cluster catalogue.

    Parameters
    ----------
    catalog : str, path, DataFrame or astropy Table
        Delimited text (CSV, semicolons or tabs, also as written by VizieR, TOPCAT or SExtractor), a FITS, FITS_LDAC,
        ECSV, VOTable, IPAC or CDS table, or a Parquet file or folder of Parquet files (HATS), plain or compressed with
        gzip, bzip2 or xz. The format is determined from the first bytes of the file. Columns are found by their common
        names, ignoring case: `id` (name, cluster_id, ...), `ra` and `dec` (RAJ2000, RA [deg], ...), `bcg_x` and `bcg_y`
        in 0-based pixels, or `bcg_ra` and `bcg_dec`, and the metadata names (z, lambda, LAMBDA_CHISQ, zlens, ...).
        Index levels are treated as columns; `z` next to `g` and `r` is a magnitude; `FWHM` is the seeing only if it has
        a unit. Units given by the file, or by a header such as ``RA [hourangle]`` or ``M500 [1e14 solMass]``, are
        converted; right ascension as text (12:09:23.7) is in hours unless its unit is degrees. Lines of a CSV that
        begin with # are comments. If a file holds several tables, the one with positions is read.
    columns : mapping of str to str, default=None
        Mapping of the names used here to columns of the catalogue, such as ``{"richness": "LAMBDA_CHISQ"}``. It
        overrides the columns found by name.

    Returns
    -------
    DataFrame
        The recognized columns, under the names used here: `id` as str ("" where missing), the others float64
        in the units of `CutoutSet` (degrees ICRS, arcsec, km/s, log10 erg/s, log10 solMass), NaN if missing. All
        rows are kept, except lines of a CSV with more values than columns. Values that are not numbers and implausible
        values, such as a redshift of -99, become NaN, and one warning counts them. `ra` and `dec` are not changed, even
        if they are invalid.

    Raises
    ------
    GridlensError
        The file cannot be read; it has neither `id` nor `ra` and `dec`; a position, a BCG position or a column given in
        `columns` has no numeric value or a unit that cannot be converted; or ids are floating-point numbers too large
        to be exact. Other columns without numbers or with such a unit are omitted with a warning.

    Notes
    -----
    A cutout is matched to the first row with the same `id`, or else to the nearest row within 2 arcsec of its centre.
    Ids are compared as text: 7, 7.0 and "7" are equal, but "007" differs.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.cutouts import read_catalog
    >>> read_catalog(pd.DataFrame({"Name": ["A1703"], "RA [hourangle]": [13.25], "DEC": [51.8]}))
          id      ra   dec
    0  A1703  198.75  51.8
    """
    return read_with_kept(catalog, columns, ())[0]


def read_with_kept(
    catalog: CatalogLike, columns: Mapping[str, str] | None, keep: Sequence[str]
) -> tuple[pd.DataFrame, KeptColumns]:
    """Read a catalogue like `read_catalog`, and return the columns `keep` of the same rows unchanged.

    Raises
    ------
    GridlensError
        As in `read_catalog`, and if the catalogue lacks a column of `keep`.
    """
    source = "in memory" if _is_in_memory(catalog) else str(catalog)
    try:
        if isinstance(catalog, pd.DataFrame):
            frame = _with_index(catalog)
            chosen = _chosen(frame.columns, {}, columns, source)
            check_kept(keep, frame.columns, source)
            kept = frame[_once(keep)]
            if "id" in chosen:
                frame[chosen["id"]] = text_column(frame[chosen["id"]]).to_numpy()
            read = _Read(frame, chosen, {}, _magnitude(frame.columns, chosen, source), kept, typed=True)
        elif _is_astropy(catalog):
            read = _read_source(_astropy_source(catalog), columns, keep, source)
        else:
            with open_table(Path(catalog), catalog_rank(columns), remarks=True) as table:
                read = _read_source(table, columns, keep, source)
        tidy, said = _tidy(read.frame, read.chosen, read.units, columns, source)
    except FileNotFoundError:
        raise GridlensError(f"There is no catalogue {source}. Check the path.") from None
    except TableError as exc:
        raise GridlensError(f"Cannot read the catalogue {source}: {exc}") from exc
    if read.said or said:
        warnings.warn(" ".join(read.said + said), UserWarning, stacklevel=3)
    return tidy, KeptColumns(read.kept, read.units, typed=read.typed)


def catalog_frame(catalog: CatalogLike) -> pd.DataFrame | None:
    """Return the values and units of a table in memory, to compute their digest; None for a file."""
    if isinstance(catalog, pd.DataFrame):
        return catalog
    if not _is_astropy(catalog):
        return None
    source = _astropy_source(catalog)
    return source.read(None, ()).rename(columns=lambda name: f"{name} [{source.units.get(name, '')}]")


def _is_in_memory(catalog: CatalogLike) -> bool:
    return isinstance(catalog, pd.DataFrame) or _is_astropy(catalog)


def _is_astropy(catalog: Any) -> bool:
    return hasattr(catalog, "colnames")


def _astropy_source(table: Any) -> TableSource:
    from gridlens._table_astropy import AstropyTable

    return AstropyTable(table.copy(copy_data=False))


class _Read(NamedTuple):
    """Columns of a catalogue before conversion."""

    frame: pd.DataFrame
    chosen: dict[str, Any]
    """columns under the names used here"""
    units: Mapping[Any, str]
    said: list[str]
    """messages for the user, one sentence each"""
    kept: pd.DataFrame
    """the columns to keep, unchanged"""
    typed: bool
    """whether the kept columns have types; False if they are text"""


def _read_source(table: TableSource, columns: Mapping[str, str] | None, keep: Sequence[str], source: str) -> _Read:
    chosen = _chosen(table.names, table.units, columns, source)
    check_kept(keep, table.names, source)
    frame = table.read(set(chosen.values()), {chosen["id"]} if "id" in chosen else set())
    said = [f"In the catalogue {source} {note}." for note in table.notes]
    # Columns to keep are read as text: types are inferred from all rows, and no digit is lost.
    kept = table.read(keep, () if table.typed else keep) if keep else pd.DataFrame(index=frame.index)
    return _Read(
        frame, chosen, table.units, said + _magnitude(table.names, chosen, source), kept[_once(keep)], table.typed
    )


def _once(keep: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(keep))


def _magnitude(names: Any, chosen: Mapping[str, Any], source: str) -> list[str]:
    column = magnitude_z(names)
    if column is None or "redshift" in chosen:
        return []
    return [
        f"The column {str(column)!r} of the catalogue {source} is next to g and r and is treated as a magnitude. If it "
        f'is the redshift, use columns={{"redshift": "{column}"}}.'
    ]


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its index levels as columns; a level without a name is included only if it is text."""
    frame = frame.loc[:, ~frame.columns.duplicated()].copy(deep=False)
    for k, name in enumerate(frame.index.names):
        level = frame.index.get_level_values(k)
        if name is None and pd.api.types.infer_dtype(level) == "string":
            name = UNNAMED_INDEX
        if name is not None and name not in frame.columns:
            frame[name] = level
    return frame


def _chosen(names: Any, units: Mapping[Any, str], stated: Mapping[str, str] | None, source: str) -> dict[str, Any]:
    """Return the recognized columns; raise GridlensError if there are neither ids nor positions."""
    chosen = choose_columns(names, stated, source, units)
    if "id" not in chosen and not {"ra", "dec"} <= set(chosen):
        raise GridlensError(
            f"The catalogue {source} must have a column 'id', or the columns 'ra' and 'dec' in degrees. "
            f'Got {_some(names)} instead. Give the names of these columns: columns={{"ra": COLUMN, "dec": COLUMN}}.'
        )
    return chosen


def _some(names: Any) -> str:
    shown = [str(name) for name in names]
    return (", ".join(shown[:50]) + (f" and {len(shown) - 50} more" if len(shown) > 50 else "")) or "no columns"


def _tidy(
    frame: pd.DataFrame,
    chosen: Mapping[str, Any],
    units: Mapping[Any, str],
    stated: Mapping[str, str] | None,
    source: str,
) -> tuple[pd.DataFrame, list[str]]:
    """Rename and convert the chosen columns; return them with messages about unknown values and omitted columns."""
    tidy: dict[str, Any] = {}
    strange: list[str] = []
    impossible: dict[str, NDArray[np.bool_]] = {}
    said: list[str] = []
    for name, column in chosen.items():
        if name == "id":
            tidy[name] = frame[column]
            continue
        # VizieR writes "h:m:s" with the quotes
        unit = re.sub(r'^"(.+)"$', r"\1", units.get(column) or split_unit(column)[1])
        try:
            numbers = read_numbers(name, frame[column], column, unit, source)
        except GridlensError as exc:
            # A column that the caller did not name must not prevent the positions from being read.
            if name in (stated or {}) or name not in _OPTIONAL:
                raise
            said.append(f"{exc} It is omitted.")
            continue
        tidy[name], impossible[name] = numbers.values, numbers.impossible
        strange += [numbers.strange] if numbers.strange else []
    _check_pairs(tidy, impossible)
    wrong = [
        some_rows(chosen[name], rows, [_plain(frame[chosen[name]].iloc[row]) for row in rows[:3]])
        for name, mask in impossible.items()
        if len(rows := np.flatnonzero(mask))
    ]
    for words, what in ((strange, "are not numbers"), (wrong, "are implausible")):
        if words:
            said.append(f"Some values of the catalogue {source} {what} and are treated as unknown: {'; '.join(words)}.")
    return pd.DataFrame(tidy).reset_index(drop=True), said


def _plain(value: Any) -> Any:
    """Return a number as a plain Python object."""
    return value.item() if isinstance(value, np.generic) else value


def _check_pairs(tidy: dict[str, Any], impossible: dict[str, NDArray[np.bool_]]) -> None:
    """Set BCG positions to NaN if one of their coordinates is implausible."""
    for pair in PAIRS[1:]:
        if set(pair) <= tidy.keys():
            unknown = impossible[pair[0]] | impossible[pair[1]]
            for name in pair:
                tidy[name] = np.where(unknown, np.nan, tidy[name])
