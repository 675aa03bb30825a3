"""Convert a column of a catalogue, numbers or text, to numbers in the units of a `CutoutSet`."""

import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens.cutouts._plausible import PAIRS, implausible
from gridlens.cutouts.catalogs._columns import ANGLES, in_hours, to_contract
from gridlens.errors import GridlensError

__all__ = ["Numbers", "read_numbers", "some_rows"]

_SHOWN = 3
_SHOWN_LETTERS = 60
_UNKNOWN = {"", "nan", "none", "null", "--", "-", "n/a", "na", "..."}
_SEXAGESIMAL = re.compile(
    r"^\s*([+-]?)\s*(\d{1,3})(?:[:hd°]\s*|\s+)(\d{1,2})(?:[:m']\s*|\s+)(\d{1,2}(?:\.\d*)?)\s*[s\"]?\s*$"
)


class Numbers(NamedTuple):
    """The numbers of a column, and the values that are treated as unknown."""

    values: NDArray[np.float64]
    """in the units of `CutoutSet`; NaN means unknown"""
    strange: str
    """how many values are not numbers, with examples; "" if there are none"""
    impossible: NDArray[np.bool_]
    """True for implausible numbers, which are NaN in `values`"""


def read_numbers(name: str, values: "pd.Series[Any]", column: Any, unit: str, source: str) -> Numbers:
    """Convert a column to numbers of the quantity `name`.

    Raises
    ------
    GridlensError
        No value is a number, or the unit cannot be converted.
    """
    raw, converted, strange = _numbers(name, values, column, unit, source)
    if name in PAIRS[0]:
        # invalid positions are kept: rows are rejected later, and exchanged columns are detected by them
        impossible = np.zeros(len(raw), dtype=bool)
    else:
        # the logarithm of a number that is not positive is NaN
        impossible = ~np.isnan(raw) & (np.isnan(converted) | implausible(name, converted))
    usable = np.isfinite(converted) & ~impossible
    return Numbers(np.where(usable, converted, np.nan), strange, impossible)


def _numbers(
    name: str, values: "pd.Series[Any]", column: Any, unit: str, source: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Return the numbers as written and as converted, NaN for other values, and a message about those."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        plain = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return plain, to_contract(name, plain, column, unit, source), ""
    text = values
    if "bytes" in pd.api.types.infer_dtype(values):
        text = values.map(lambda value: value.decode(errors="replace") if isinstance(value, bytes) else value)
    plain = _as_floats(text)
    numbers = plain
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
            f"{' in degrees' if name in ANGLES else ''}. Got {rest.iloc[0]!r} instead. Use another column: "
            f'columns={{"{name}": COLUMN}}.'
        )
    words = some_rows(column, missing, rest.tolist()) if len(rest) else ""
    return np.where(np.isnan(plain), numbers, plain), numbers, words


def some_rows(column: Any, rows: NDArray[np.intp], values: list[Any]) -> str:
    """Return a phrase with the number of affected values of a column and the first of them."""
    shown = ", ".join(
        f"row {row + 1} {repr(value)[:_SHOWN_LETTERS]}"
        for row, value in zip(rows[:_SHOWN], values[:_SHOWN], strict=True)
    )
    return f"{len(rows)} in {str(column)!r} ({shown}{'' if len(rows) <= _SHOWN else ', ...'})"


def _as_floats(text: "pd.Series[Any]") -> NDArray[np.float64]:
    """Convert text and mixed columns to numbers; numbers that are too large become infinite."""
    try:
        return pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    except (OverflowError, TypeError, ValueError):
        # too large for a float, such as an integer of 400 digits
        return pd.to_numeric(text.astype(str), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _sexagesimal(text: "pd.Series[str]", hours: bool, most: float) -> NDArray[np.float64]:
    """Convert "12:09:23.7", "12h09m23.7s" or "+26 40 54" to degrees; NaN for other text and beyond `most` degrees.

    A "d" or "°" in the text means degrees and an "h" means hours, regardless of `hours`.
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
