"""Read tables of FITS files, column by column from the rows as they are stored."""

import re
import warnings
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens._table_source import Rank, TableError, check_width, choose_table, text_column

__all__ = ["FitsTable"]

_BLOCK, _CARD = 2880, 80
_MAX_BLOCKS = 20_000  # of one header, 58 MB
_MAX_FIELDS = 999  # by the standard
_DAMAGED = "Fetch or write it again."
_NEEDED = re.compile(
    r"NAXIS\d*|TFIELDS|[PG]COUNT|BITPIX|XTENSION|EXTNAME|ZIMAGE|ZTABLE|(TTYPE|TFORM|TBCOL|TDIM|TUNIT|TNULL|TSCAL|TZERO)\d+"
)
_FORM = re.compile(r"(\d*)([LXBIJKAEDCMPQ])(.*)", re.DOTALL)
_ASCII_FORM = re.compile(r"([AIFED])(\d+)(?:\.(\d+))?")
# Bytes of each type, and how numpy reads those that hold one number.
_BYTES = dict(zip("LBIJKAEDCMPQ", (1, 1, 2, 4, 8, 1, 4, 8, 8, 16, 8, 16), strict=True))
_TYPES = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "L": "S1"}
# Offsets by which FITS stores the integers that it has no type for: signed bytes and unsigned integers.
_OFFSETS = {("B", -128): "i1", ("I", 1 << 15): "u2", ("J", 1 << 31): "u4", ("K", 1 << 63): "u8"}


class _Field(NamedTuple):
    """One column of one value a row."""

    name: str
    dtype: str
    offset: int
    code: str
    cards: dict[str, Any]
    """TUNIT, TNULL, TSCAL and TZERO"""


class _Hdu(NamedTuple):
    """A table, by its header."""

    name: str
    rows: int
    width: int
    start: int
    """of the rows in the file, bytes"""
    fields: list[_Field]


class FitsTable:
    """A table of a FITS file; a `gridlens._table_source.TableSource`. Columns of arrays are passed over.

    Parameters
    ----------
    file : binary file
        Decompressed; it is kept open.
    size : int
        Of the file, bytes.
    rank : callable
        Chooses among several tables.
    """

    def __init__(self, file: BinaryIO, size: int, rank: Rank) -> None:
        self._file = file
        tables = list(_tables(file, size))
        if not tables:
            raise TableError("it is a FITS file without a table", "Name a file with a table.")
        self._hdu = tables[choose_table([(hdu.name, [field.name for field in hdu.fields]) for hdu in tables], rank)]
        self._fields = {field.name: field for field in reversed(self._hdu.fields)}
        self.names = list(dict.fromkeys(field.name for field in self._hdu.fields))
        self.units = {name: str(field.cards["TUNIT"]) for name, field in self._fields.items() if field.cards["TUNIT"]}
        self.notes: list[str] = []

    def read(self, names: Collection[str] | None, text: Collection[str]) -> pd.DataFrame:
        """Read the rows; see `TableSource`."""
        hdu = self._hdu
        wanted = [self._fields[name] for name in self.names if names is None or name in names]
        self._file.seek(hdu.start)
        data = self._file.read(hdu.rows * hdu.width)
        layout = np.dtype(
            {
                "names": [str(k) for k in range(len(wanted))],
                "formats": [field.dtype for field in wanted],
                "offsets": [field.offset for field in wanted],
                "itemsize": hdu.width,
            }
        )
        rows = np.frombuffer(data, dtype=layout, count=hdu.rows) if hdu.width else np.zeros(0, dtype=layout)
        columns = {field.name: _column(field, rows[str(k)], field.name in text) for k, field in enumerate(wanted)}
        return pd.DataFrame(columns, index=range(len(rows)))


def _tables(file: BinaryIO, size: int) -> Iterator[_Hdu]:
    """Tables of a file, once their headers fit its bytes.

    Raises
    ------
    TableError
        A header is damaged.
    """
    start = 0
    while start < size:
        cards, data = _header(file, start)
        if cards is None:
            if start == 0:
                raise TableError("its FITS header has no end", _DAMAGED)
            return  # what follows the last unit is no part of the file
        kind = str(cards.get("XTENSION", "")).strip()
        length = _data_bytes(cards)
        if data + length > size:
            raise TableError(f"its header states {length} bytes of data, and {size - data} are left", _DAMAGED)
        if cards.get("ZTABLE") is True:
            raise TableError("its table is compressed with fpack", "Decompress it with funpack.")
        if kind in ("BINTABLE", "A3DTABLE", "TABLE") and cards.get("ZIMAGE") is not True:
            yield _table(cards, kind, data)
        start = data + -(-length // _BLOCK) * _BLOCK


def _header(file: BinaryIO, start: int) -> tuple[dict[str, Any] | None, int]:
    """Values of a header and where its data begin; None for bytes that are not a header."""
    file.seek(start)
    text = b""
    for _ in range(_MAX_BLOCKS):
        block = file.read(_BLOCK)
        if len(block) < _BLOCK or (not text and block[:8] not in (b"SIMPLE  ", b"XTENSION")):
            return None, 0
        text += block
        if any(block[k : k + 8] == b"END     " for k in range(0, _BLOCK, _CARD)):
            return _cards(text), start + len(text)
    return None, 0


def _cards(text: bytes) -> dict[str, Any]:
    from astropy.io.fits import Card

    cards: dict[str, Any] = {}
    for k in range(0, len(text), _CARD):
        keyword = text[k : k + 8].decode("latin-1").strip()
        if keyword == "END":
            break
        if text[k + 8 : k + 10] == b"= " and _NEEDED.fullmatch(keyword):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    cards.setdefault(keyword, Card.fromstring(text[k : k + _CARD]).value)
            except Exception:
                cards.setdefault(keyword, None)  # told where it is needed
    return cards


def _whole(cards: dict[str, Any], keyword: str, default: int | None = None) -> int:
    value = cards.get(keyword, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TableError(f"the card {keyword} of its header must be a whole number from 0, and is {value!r}", _DAMAGED)
    return value


def _data_bytes(cards: dict[str, Any]) -> int:
    axes = _whole(cards, "NAXIS")
    if axes > _MAX_FIELDS:
        raise TableError(f"its header states {axes} axes", _DAMAGED)
    if axes == 0:
        return 0
    pixels = 1
    for k in range(1, axes + 1):
        pixels *= _whole(cards, f"NAXIS{k}")
    bits = cards.get("BITPIX")
    if bits not in (8, 16, 32, 64, -32, -64):
        raise TableError(f"the card BITPIX of its header is {bits!r}", _DAMAGED)
    return abs(bits) // 8 * _whole(cards, "GCOUNT", 1) * (_whole(cards, "PCOUNT", 0) + pixels)


def _table(cards: dict[str, Any], kind: str, start: int) -> _Hdu:
    if cards.get("BITPIX") != 8 or cards.get("NAXIS") != 2:
        raise TableError("the header of its table has no two axes of bytes", _DAMAGED)
    count = _whole(cards, "TFIELDS")
    check_width(count)
    width, rows = _whole(cards, "NAXIS1"), _whole(cards, "NAXIS2")
    fields: list[_Field] = []
    offset = 0
    for k in range(1, count + 1):
        name = str(cards.get(f"TTYPE{k}", "")).strip() or f"col{k}"
        form = str(cards.get(f"TFORM{k}", "")).strip()
        more = {keyword: cards.get(f"{keyword}{k}") for keyword in ("TUNIT", "TNULL", "TSCAL", "TZERO")}
        if kind == "TABLE":
            fields += _ascii_field(name, form, cards.get(f"TBCOL{k}"), width, more)
            continue
        found = _FORM.fullmatch(form)
        if found is None:
            raise TableError(f"the type {form!r} of its column {name!r} is unknown", _DAMAGED)
        repeat, code = int(found.group(1) or 1), found.group(2)
        if code == "A" and repeat and f"TDIM{k}" not in cards:
            fields.append(_Field(name, f"S{repeat}", offset, code, more))
        elif repeat == 1 and code in _TYPES:
            fields.append(_Field(name, _TYPES[code], offset, code, more))
        offset += -(-repeat // 8) if code == "X" else repeat * _BYTES[code]
    if kind != "TABLE" and offset != width:
        raise TableError(f"its columns take {offset} bytes a row, and its header states {width}", _DAMAGED)
    return _Hdu(str(cards.get("EXTNAME", "")).strip(), rows, width, start, fields)


def _ascii_field(name: str, form: str, place: Any, width: int, more: dict[str, Any]) -> list[_Field]:
    found = _ASCII_FORM.fullmatch(form)
    length = int(found.group(2)) if found else 0
    if found is None or not isinstance(place, int) or not 1 <= place <= place + length - 1 <= width:
        raise TableError(f"the type {form!r} or the place {place!r} of its column {name!r} is impossible", _DAMAGED)
    return [_Field(name, f"S{length}", place - 1, "text" if found.group(1) == "A" else "number", more)]


def _column(field: _Field, values: NDArray[Any], is_text: bool) -> Any:
    """Values of a column; those that are missing are masked or NaN."""
    null, scale, zero = (field.cards[keyword] for keyword in ("TNULL", "TSCAL", "TZERO"))
    if field.code in ("A", "text"):
        return text_column(values)
    if field.code == "number":
        text = pd.Series([value.decode("latin-1").strip() for value in values.tolist()], dtype=object)
        text = text.where(text != str(null).strip(), None)
        return text_column(text) if is_text else pd.to_numeric(text.str.replace("D", "E"), errors="coerce")
    if field.code == "L":
        return pd.Series(np.select([values == b"T", values == b"F"], [True, False], default=None), dtype=object)  # type: ignore[call-overload]
    values = values.astype(values.dtype.newbyteorder("="))
    missing = np.zeros(len(values), dtype=bool)
    if field.code in "BIJK" and isinstance(null, int):
        missing = values == null
    if (scale, zero) not in ((None, None), (1, None), (None, 0), (1, 0)):
        values = _scaled(field.code, values, 1 if scale is None else scale, 0 if zero is None else zero)
    if is_text:
        return text_column(np.ma.array(values, mask=missing))
    return pd.Series(np.where(missing, np.nan, values) if missing.any() else values)


def _scaled(code: str, values: NDArray[Any], scale: Any, zero: Any) -> NDArray[Any]:
    try:
        unsigned = _OFFSETS.get((code, int(zero))) if scale == 1 else None
        if unsigned is None:
            return values * float(scale) + float(zero)
    except (TypeError, ValueError, OverflowError) as exc:
        raise TableError(f"the scale {scale!r} or the offset {zero!r} of a column is no number", _DAMAGED) from exc
    # the sign bit turned over adds the offset without leaving the integers
    wide = values.view(f"u{values.dtype.itemsize}")
    turned = wide ^ wide.dtype.type(1 << (8 * wide.dtype.itemsize - 1))
    return turned.view(unsigned)
