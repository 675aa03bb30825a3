"""Ids and names as text: one spelling everywhere, without characters that tables or terminals cannot represent."""

import numbers
import re
import sys
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np

from gridlens.errors import GridlensError

__all__ = ["InexactIdError", "as_ascii", "as_id", "as_ids", "escaped", "from_ascii", "unescaped"]

# Control characters, the line separators of Unicode, surrogates (bytes of a file name that are not UTF-8) and the two
# noncharacters that XML forbids.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})")
# Characters that `as_ascii` escapes: those beyond ASCII, and backslashes that `from_ascii` would treat as escapes.
_CODE = r"u([0-9a-f]{4})|U(00(?:0[0-9a-f]|10)[0-9a-f]{4})"
_BEYOND_ASCII = re.compile(rf"[^\x00-\x7f]|\\(?={_CODE})")
_ASCII_ESCAPE = re.compile(rf"\\(?:{_CODE})")
# Bytes of file names that are not UTF-8 are represented by these surrogates.
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF


class InexactIdError(GridlensError):
    """Floating-point id above the range in which each integer is exact."""

    way_out = "Store ids as integers or as text."

    def __init__(self, value: float) -> None:
        super().__init__(
            f"The id {value!r} is a floating-point number too large to be exact: its last digits are lost. "
            f"{self.way_out}"
        )
        self.value = value


def as_id(value: Any) -> str:
    r"""Return an id as text, "" if it is missing.

    Text is kept as written, including leading zeros and characters beyond ASCII, without surrounding blanks. Characters
    that are not printable are escaped, bytes are decoded as UTF-8, and a whole number has no decimal point: 7.0 and 7
    are the same id.

    Parameters
    ----------
    value : str, bytes, number or None
        None, NaN, NaT, `pandas.NA` and masked values are missing.

    Raises
    ------
    InexactIdError
        If a floating-point number is above 2^53, or above the exact integers of its own type.

    Examples
    --------
    >>> as_id("0012"), as_id(36407084763872845), as_id(7.0), as_id(b"A1703 "), as_id(None)
    ('0012', '36407084763872845', '7', 'A1703', '')
    >>> as_id("caf\udce9")
    'caf\\xe9'
    """
    if type(value) is str and value.isprintable():
        return value.strip()
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode("utf-8", "surrogateescape")
    if isinstance(value, str):
        # FITS and HDF5 pad text with zero bytes.
        return escaped(value.rstrip("\0").strip())
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return as_id(None if np.ma.is_masked(value) else value.item())
    if _is_missing(value):
        return ""
    if isinstance(value, Decimal) and value.is_finite():
        return str(int(value)) if value == value.to_integral_value() else format(value.normalize(), "f")
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral | bool | np.bool_):
        return _float_id(value)
    return escaped(str(value).strip())


def as_ids(values: Iterable[Any]) -> list[str]:
    """Return each id as text, see `as_id`.

    Integers are never converted to floating point. The ids may be an array, a masked array, a pandas column or index,
    or a list.
    """
    if isinstance(values, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(values).ravel()
        return ["" if hidden else as_id(value) for value, hidden in zip(values.data.ravel(), masked, strict=True)]
    if getattr(getattr(values, "dtype", None), "kind", "") == "f":
        values = np.asarray(values)  # pandas converts shorter floats to Python's, which then seem exact
    return [as_id(value) for value in values]


def escaped(text: str) -> str:
    r"""Escape characters that are not printable, such as \x0d and \u2028; other characters are kept.

    Bytes of file names that are not UTF-8, which Python represents by surrogates, are escaped as bytes.

    Examples
    --------
    >>> escaped("a\rb"), escaped("Abell-é")
    ('a\\x0db', 'Abell-é')
    """
    return _UNPRINTABLE.sub(_escape, text)


def unescaped(text: str) -> str:
    r"""Undo `escaped`, to open the file of an escaped path.

    A name that contains a backslash, an x and two digits cannot be distinguished from an escaped one: try the unchanged
    path first.
    """
    return _ESCAPED.sub(_unescape, text)


def as_ascii(text: str) -> str:
    r"""Escape characters beyond ASCII, such as \u00e9; `from_ascii` undoes it exactly.

    Examples
    --------
    >>> as_ascii("Abell-é")
    'Abell-\\u00e9'
    """
    return _BEYOND_ASCII.sub(_escape_unicode, text)


def from_ascii(text: str) -> str:
    """Undo `as_ascii`."""
    return _ASCII_ESCAPE.sub(lambda found: chr(int(found.group(1) or found.group(2), 16)), text)


def _escape_unicode(found: "re.Match[str]") -> str:
    code = ord(found.group())
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape(found: "re.Match[str]") -> str:
    code = ord(found.group())
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _unescape(found: "re.Match[str]") -> str:
    if found.group(2):
        return chr(int(found.group(2), 16))
    code = int(found.group(1), 16)
    return chr(code + 0xDC00) if code >= 0x80 else chr(code)


def _float_id(value: Any) -> str:
    number = float(value)
    digits = np.finfo(type(value)).nmant + 1 if isinstance(value, np.floating) else sys.float_info.mant_dig
    if 2.0**digits < abs(number) < float("inf"):
        raise InexactIdError(number)
    return str(int(number)) if number.is_integer() else repr(number)


def _is_missing(value: Any) -> bool:
    if value is None or value is np.ma.masked:
        return True
    # Only NaN, NaT and pandas.NA differ from themselves; for the last one, the comparison is neither true nor false.
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return True
