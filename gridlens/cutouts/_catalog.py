"""Read catalogues of clusters."""

import gzip
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens._errors import GridlensError
from gridlens.cutouts._columns import ANGLES, choose_columns, in_hours, split_unit, to_contract
from gridlens.cutouts._set import METADATA_NAMES

__all__ = ["read_catalog"]

_SHOWN = 3
_OPTIONAL = frozenset(METADATA_NAMES) - {"ra", "dec"}
_UNKNOWN = {"", "nan", "none", "null", "--", "-", "n/a", "na", "..."}
_SEXAGESIMAL = re.compile(
    r"^\s*([+-]?)\s*(\d{1,3})(?:[:hd°]\s*|\s+)(\d{1,2})(?:[:m']\s*|\s+)(\d{1,2}(?:\.\d*)?)\s*[s\"]?\s*$"
)


def read_catalog(
    catalog: str | os.PathLike[str] | pd.DataFrame, *, columns: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Read a catalogue of clusters.

    Parameters
    ----------
    catalog : str, path or DataFrame
        CSV (also .csv.gz), Parquet, or what `astropy.table.Table.read` knows by its name: FITS table, ECSV, VOTable.
        Columns are found by the names that catalogues give them, in any case: `id` (name, cluster_id, ...), `ra` and
        `dec` (RAJ2000, RA [deg], ...), `bcg_x` and `bcg_y` in 0-based pixels, or `bcg_ra` and `bcg_dec`, and the
        metadata names (z, lambda, LAMBDA_CHISQ, zlens, ...). Units that the file states, or a header such as
        ``RA [hourangle]`` or ``M500 [1e14 solMass]``, are converted; right ascension as text (12:09:23.7) is in hours
        where no unit says degrees. Lines of a CSV that begin with # are remarks.
    columns : mapping of str to str, default=None
        Columns of the catalogue by the names used here, such as ``{"richness": "LAMBDA_CHISQ"}``; they go before those
        that are found.

    Returns
    -------
    DataFrame
        The columns that were understood, under the names used here: `id` as str ("" where missing), the others float64
        in the units of `CutoutSet` (degrees ICRS, arcsec, km/s, log10 erg/s, log10 solMass), NaN where missing. All
        rows are kept but lines of a CSV with more values than columns; values that are not numbers become NaN. One
        warning says where.

    Raises
    ------
    GridlensError
        The file cannot be read, has neither `id` nor `ra` and `dec`, or a position, a place of the BCG or a column of
        `columns` holds no number at all or is in a unit that cannot be converted. Other columns of that kind are left
        out with a warning.

    Notes
    -----
    A cutout takes the first row whose `id` equals its own, or else the nearest row within 2 arcsec of its centre.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.cutouts import read_catalog
    >>> read_catalog(pd.DataFrame({"Name": ["A1703"], "RA [hourangle]": [13.25], "DEC": [51.8]}))
          id      ra   dec
    0  A1703  198.75  51.8
    """
    if isinstance(catalog, pd.DataFrame):
        return _tidy(catalog, {}, columns, "in memory", "")
    path = Path(catalog)
    name = path.name.lower()
    units: dict[Any, str] = {}
    left_out = ""
    try:
        if name.endswith((".csv", ".csv.gz")):
            frame, left_out = _read_csv(path, columns)
        elif name.endswith((".parquet", ".pq")):
            frame = pd.read_parquet(path)
        else:
            frame, units = _read_table(path)
    except FileNotFoundError:
        raise GridlensError(f"There is no catalogue {path}. Check the path.") from None
    except Exception as exc:
        # astropy's many readers raise as many kinds of error for a damaged or unknown file
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
        raise GridlensError(
            f"Cannot read the catalogue {path}: {reason}. It must be a CSV, FITS, ECSV, VOTable or Parquet file."
        ) from exc
    return _tidy(frame, units, columns, str(path), left_out)


def _read_csv(path: Path, stated: Mapping[str, str] | None) -> tuple[pd.DataFrame, str]:
    """A table, and which lines were left out of it: words, or ""."""
    with gzip.open(path) if path.name.lower().endswith(".gz") else open(path, "rb") as lines:
        # not pandas' comment="#", which would cut the row of a cluster "A #5" short
        remarks = [number for number, line in enumerate(lines) if line.startswith(b"#")]
    options: dict[str, Any] = {"skiprows": remarks, "skipinitialspace": True, "encoding_errors": "replace"}
    header = pd.read_csv(path, nrows=0, **options).columns
    try:
        name = choose_columns(header, stated, str(path)).get("id")
    except GridlensError:
        name = None  # said again, with the rest of the columns, once they are read
    # pandas would turn the id 0012 into the number 12
    dtype = {} if name is None else {name: str}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", pd.errors.ParserWarning)
        # without index_col=False a comma at the end of each row would move all values by one column
        frame = pd.read_csv(path, dtype=dtype, index_col=False, on_bad_lines="warn", low_memory=False, **options)
    numbers = [number for warning in caught for number in re.findall(r"kipping line (\d+)", str(warning.message))]
    if not numbers:
        return frame, ""
    shown = ", ".join(numbers[:_SHOWN]) + ("" if len(numbers) <= _SHOWN else ", ...")
    return frame, f"{len(numbers)} lines with more values than columns are left out (line {shown})"


def _read_table(path: Path) -> tuple[pd.DataFrame, dict[Any, str]]:
    """A table and the units of its columns."""
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    with warnings.catch_warnings():
        # what a table says about its units and versions is no concern of the user's here
        warnings.simplefilter("ignore")
        table = Table.read(path)
        for name in [name for name in table.colnames if isinstance(table[name], SkyCoord)]:
            sky = table[name].icrs
            table.remove_column(name)
            table[f"{name} ra" if "ra" in table.colnames else "ra"] = sky.ra.deg
            table[f"{name} dec" if "dec" in table.colnames else "dec"] = sky.dec.deg
        flat = table[[name for name in table.colnames if getattr(table[name], "ndim", 1) == 1]]
        units = {name: str(flat[name].unit) for name in flat.colnames if getattr(flat[name], "unit", None) is not None}
        return flat.to_pandas(), units


def _tidy(
    frame: pd.DataFrame, units: dict[Any, str], stated: Mapping[str, str] | None, source: str, left_out: str
) -> pd.DataFrame:
    """Pick out, rename and convert the columns that are understood; `left_out` says which rows the table lacks."""
    frame = frame.loc[:, ~frame.columns.duplicated()]
    chosen = choose_columns(frame.columns, stated, source)
    if "id" not in chosen and not {"ra", "dec"} <= set(chosen):
        raise GridlensError(
            f"The catalogue {source} must have a column 'id', or the columns 'ra' and 'dec' in degrees. "
            f"Got {', '.join(map(str, frame.columns)) or 'no columns'} instead. Name the columns that hold them: "
            "--column ra=COLUMN --column dec=COLUMN."
        )
    tidy: dict[str, Any] = {}
    faults: list[str] = []
    left_columns: list[str] = []
    for name, column in chosen.items():
        if name == "id":
            tidy[name] = _names(frame[column])
            continue
        # VizieR writes "h:m:s" with the quotes
        unit = re.sub(r'^"(.+)"$', r"\1", units.get(column) or split_unit(column)[1])
        try:
            values = _numbers(name, frame[column], column, unit, source, faults)
        except GridlensError as exc:
            # What nobody asked for by name must not keep the positions from being read.
            if name in (stated or {}) or name not in _OPTIONAL:
                raise
            left_columns.append(f"{exc} It is left out.")
            continue
        tidy[name] = np.where(np.isfinite(values), values, np.nan)
    said = left_columns
    if left_out:
        said.append(f"In the catalogue {source} {left_out}.")
    if faults:
        said.append(
            f"Some values of the catalogue {source} are not numbers and are taken as unknown: {'; '.join(faults)}."
        )
    if said:
        warnings.warn(" ".join(said), UserWarning, stacklevel=3)
    return pd.DataFrame(tidy).reset_index(drop=True)


def _names(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Ids as str, "" where there is none."""
    if pd.api.types.infer_dtype(values) != "string":
        values = values.map(_as_name, na_action="ignore")
    return values.astype(object).where(values.notna(), "").str.strip()


def _as_name(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    # whole numbers among missing ones come as 12.0
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _numbers(
    name: str, values: "pd.Series[Any]", column: Any, unit: str, source: str, faults: list[str]
) -> NDArray[np.float64]:
    """The numbers of a column in the contract's unit; where it has something else, NaN, and a line in `faults`."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return to_contract(name, values.to_numpy(dtype=np.float64, na_value=np.nan), column, unit, source)
    text = values
    if "bytes" in pd.api.types.infer_dtype(values):
        text = values.map(lambda value: value.decode(errors="replace") if isinstance(value, bytes) else value)
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    missing = np.flatnonzero(np.isnan(numbers))
    rest = text.iloc[missing]
    told = rest.notna().to_numpy() & ~rest.astype(str).str.strip().str.lower().isin(_UNKNOWN).to_numpy()
    missing, rest = missing[told], rest[told].astype(str)
    numbers = np.array(to_contract(name, numbers, column, unit, source))
    if name in ANGLES and len(rest):
        degrees = _sexagesimal(rest, in_hours(name, unit), 90 if name in ("dec", "bcg_dec") else 360)
        numbers[missing] = degrees
        missing, rest = missing[np.isnan(degrees)], rest[np.isnan(degrees)]
    if len(rest) and not np.isfinite(numbers).any():
        raise GridlensError(
            f"The column {str(column)!r} of the catalogue {source} must be numbers"
            f"{' in degrees' if name in ANGLES else ''}. Got {rest.iloc[0]!r} instead; name another column: "
            f"--column {name}=COLUMN."
        )
    if len(rest):
        shown = ", ".join(
            f"row {row + 1} {value!r}" for row, value in zip(missing[:_SHOWN], rest[:_SHOWN], strict=True)
        )
        more = "" if len(rest) <= _SHOWN else ", ..."
        faults.append(f"{len(rest)} in {str(column)!r} ({shown}{more})")
    return numbers


def _sexagesimal(text: "pd.Series[str]", hours: bool, most: float) -> NDArray[np.float64]:
    """Degrees of "12:09:23.7", "12h09m23.7s" or "+26 40 54"; NaN of what is none, or more than `most` degrees.

    A "d" or "°" makes hours degrees, an "h" degrees hours.
    """
    parts = text.str.extract(_SEXAGESIMAL)
    whole, minutes, seconds = (pd.to_numeric(parts[k], errors="coerce").to_numpy(dtype=np.float64) for k in (1, 2, 3))
    with np.errstate(invalid="ignore"):
        fine = (minutes < 60) & (seconds < 60)
    degrees = np.where(fine, whole + minutes / 60 + seconds / 3600, np.nan)
    degrees *= np.where(parts[0] == "-", -1.0, 1.0)
    letter = text.str.extract("([hd°])", expand=False)
    degrees *= np.where((letter == "h") | (letter.isna() & hours), 15.0, 1.0)
    return np.where(np.abs(degrees) <= most, degrees, np.nan)
