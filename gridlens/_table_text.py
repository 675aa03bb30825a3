"""Reader of delimited text tables: CSV, and the variants that people and archives write."""

import csv
import io
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

import pandas as pd

from gridlens._ids import as_id
from gridlens._table_source import Rank, TableError, check_width, text_column

__all__ = ["MISSING", "TextTable", "text_encoding"]

_SHOWN = 3
_MAX_LINE = 16 * 1024**2  # characters
_MAX_REMARKS = 10_000
_DELIMITERS = ("\t", ";", "|", ",")
_BLANKS = r"\s+"
# Missing values of pandas; in columns of ids they are ids.
MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "None", "n/a", "nan", "null"),
)
_WORD = re.compile(r'"[^"]*"|\S+')
_NUMBER = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"  # 150.1, -1e20
    r"|[+-]?\d{1,3}([:hd°]\s*|\s+)\d{1,2}([:m']\s*|\s+)\d{1,2}(\.\d*)?\s*[s\"]?"  # 12:09:23.7
)
_DASHES = re.compile(r"[\s\-+=|;,]*-{2}[\s\-+=|;,]*")
_SECOND_TABLE = re.compile(r"^-{3,}(?:[\t;|,]-{3,})+$", re.MULTILINE)
_EXCEL = re.compile(r"sep=(.)", re.IGNORECASE)
_SEXTRACTOR = re.compile(r"#\s*(\d+)\s+(\S+)[^\[\]]*(?:\[([^\[\]]*)\])?\s*")
# A row of units between the names and the values contains at least one of these.
_ANGLES = {"deg", "degree", "degrees", "h:m:s", "d:m:s", "hms", "dms", "rad", "radian", "hourangle", "arcsec"}
_UNDECODED = re.compile("[\ud800-\udfff]")
_BOMS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


class _Layout(NamedTuple):
    """Layout of a text table."""

    delimiter: str
    names: list[str]
    units: dict[str, str]
    first: int
    """number of lines above the rows"""
    empty: bool
    """whether there are no rows"""


def text_encoding(head: bytes) -> str:
    """Return the encoding of a text from its first bytes; raise TableError if it cannot be text."""
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        raise TableError("it is not text and of no known kind")
    return "utf-8"


class TextTable:
    """Table of delimited text; a `gridlens._table_source.TableSource`.

    Parameters
    ----------
    opened : callable
        Opens the decompressed bytes at their beginning.
    encoding : str
        As returned by `text_encoding`.
    rank : callable
        Distinguishes a line of names from other lines.
    remarks : bool
        Whether lines that begin with # below the names are comments too, not rows.
    """

    typed = False

    def __init__(self, opened: Callable[[], BinaryIO], encoding: str, rank: Rank, remarks: bool) -> None:
        self._opened = opened
        self._encoding = encoding
        self._remarks = remarks
        with self._lines() as lines:
            self._layout = _layout(lines, rank)
        self.notes: list[str] = []
        self.names = [name for name in dict.fromkeys(self._layout.names) if name]
        self.units = self._layout.units
        if self._layout.empty and not rank(self.names):
            raise TableError("it contains a line of text and no rows")

    def read(self, names: Collection[str] | None, text: Collection[str]) -> pd.DataFrame:
        """Read the rows, see `TableSource`."""
        columns = self._layout.names
        place = {name: columns.index(name) for name in self.names}
        as_text = {place[name] for name in text if name in place}
        options: dict[str, Any] = {
            "header": None,
            "names": range(len(columns)),
            "sep": self._layout.delimiter,
            # pandas would convert the id 0012 to the number 12, and NA to a missing value
            "dtype": dict.fromkeys(as_text, object),
            "na_values": {k: MISSING for k in range(len(columns)) if k not in as_text},
            "keep_default_na": False,
            "skipinitialspace": True,
            # otherwise, a comma at the end of each row would shift all values by one column
            "index_col": False,
            "on_bad_lines": "warn",
            "low_memory": False,
        }
        if pd.__version__.startswith("2."):
            # Floats are parsed exactly, as in later versions by default.
            options["float_precision"] = "round_trip"
        with self._lines() as lines, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", pd.errors.ParserWarning)
            rows = _Rows(lines, self._layout, self._remarks)
            try:
                frame = pd.read_csv(rows, **options)
            except pd.errors.EmptyDataError:
                frame = pd.DataFrame(columns=range(len(columns)))
        self._note(caught)
        if rows.like_rows:
            self.notes.append(f"{rows.like_rows} lines that begin with # are treated as comments")
        wanted = [name for name in self.names if names is None or name in names]
        values = {name: frame[place[name]] for name in wanted}
        return pd.DataFrame({name: text_column(column) if name in text else column for name, column in values.items()})

    def _lines(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self._opened(), encoding=self._encoding, errors="surrogateescape", newline=None)

    def _note(self, caught: Sequence[Any]) -> None:
        numbers = [n for warning in caught for n in re.findall(r"kipping line (\d+)", str(warning.message))]
        if numbers:
            shown = ", ".join(numbers[:_SHOWN]) + ("" if len(numbers) <= _SHOWN else ", ...")
            self.notes.append(f"{len(numbers)} lines with more values than columns are left out (line {shown})")


class _Rows(io.TextIOBase):
    """Rows of a text for pandas; other lines are blank, so that its line numbers are those of the file."""

    def __init__(self, lines: io.TextIOWrapper, layout: _Layout, remarks: bool) -> None:
        self._lines = lines
        self._columns = len(layout.names)
        self._delimiter = layout.delimiter
        self.like_rows = 0
        """number of lines that begin with # and have as many values as a row"""
        self._remarks = remarks
        for _ in islice(lines, layout.first):
            pass
        self._number = layout.first
        self._above = "\n" * layout.first

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> str:
        """Return whole lines of about `size` characters, "" at the end."""
        above, self._above = self._above, ""
        # the rest of a line is read without a separate limit
        block = self._lines.read(-1 if size is None else size)
        if block and not block.endswith("\n"):
            block += self._lines.readline()
        if "\0" in block:
            raise TableError("it contains zero bytes, so it is not text")
        if self._remarks and (block.startswith("#") or "\n#" in block):
            block = "\n".join(map(self._without_remark, block.split("\n")))
        if self._delimiter == _BLANKS:
            self._check_words(block)
        if "\n---" in block and _SECOND_TABLE.search(block):
            raise TableError("it contains several tables, one below the other", "Keep one of them in the file.")
        return above + _decoded(block)

    def _without_remark(self, line: str) -> str:
        if not line.startswith("#"):
            return line
        if 1 < self._columns == line.count(self._delimiter) + 1:
            self.like_rows += 1
        return ""

    def _check_words(self, block: str) -> None:
        """Check for missing values and values of several words, which blanks as delimiters would conceal."""
        for number, line in enumerate(block.split("\n"), self._number + 1):
            words = len(_WORD.findall(line))
            if words not in (0, self._columns):
                raise TableError(
                    f"its columns are separated by blanks, and line {number} has {words} words for {self._columns} "
                    "columns",
                    "Write it as CSV.",
                )
        self._number += block.count("\n")


def _layout(lines: Iterator[str], rank: Rank) -> _Layout:
    """Find the names, the units and the first row of a text.

    Raises
    ------
    TableError
        If the text is empty, or has no line of names.
    """
    remarks, top = _beginning(lines)
    if not top:
        raise TableError("it is empty")
    below = [line for _, line in top[1:]]
    excel = _EXCEL.fullmatch(top[0][1].strip())
    if excel and below:
        top, below = top[1:], below[1:]
    first_number, first = top[0]
    delimiter = excel.group(1) if excel else _delimiter(first)
    check_width(len(_split(first, delimiter or _BLANKS)))
    numbered = _numbered_names(remarks, first)
    if numbered is not None:
        return _Layout(_BLANKS, *numbered, first_number - 1, False)
    header = _behind_remark(remarks, first, delimiter, rank)
    if header is not None:
        return _Layout(*header, first_number - 1, False)
    if not delimiter:
        delimiter = _blanks_or_nothing(first, below, rank)
    names = _split(first, delimiter)
    if not rank(names) and sum(map(_is_number, names)) * 2 >= len(names):
        raise TableError(
            f"it has no line with the names of its columns: the first is {first.strip()[:60]!r}",
            "Write the names above the rows, such as id,ra,dec.",
        )
    last, units = _units(top, names, delimiter)
    return _Layout(delimiter, names, units, last, len(top) == 1)


def _beginning(lines: Iterator[str]) -> tuple[list[str], list[tuple[int, str]]]:
    """Return the comments at the top, and the first four other lines with their numbers."""
    remarks: list[str] = []
    top: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if len(line) > _MAX_LINE:
            raise TableError(f"its line {number} is longer than {_MAX_LINE} characters")
        if "\0" in line:
            raise TableError("it contains zero bytes, so it is not text")
        if not line.strip():
            continue
        if line.startswith("#"):
            if not top:
                remarks.append(line)
            if len(remarks) > _MAX_REMARKS:
                raise TableError(f"it begins with more than {_MAX_REMARKS} lines of comments")
            continue
        top.append((number, _decoded(line.rstrip("\n"))))
        if len(top) == 4:
            break
    return remarks, top


def _decoded(text: str) -> str:
    """Return the text with bytes outside its encoding escaped, as in ids."""
    return text if text.isascii() else _UNDECODED.sub(lambda found: as_id(found.group()), text)


def _delimiter(line: str) -> str:
    """Return the delimiter of a line; "" if the values are separated by blanks."""
    bare = re.sub(r'"[^"]*"', "", line)
    counts = [bare.count(delimiter) for delimiter in _DELIMITERS]
    return _DELIMITERS[counts.index(max(counts))] if any(counts) else ""


def _blanks_or_nothing(first: str, below: list[str], rank: Rank) -> str:
    """Distinguish several columns separated by blanks from one column with blanks in its name."""
    words, values = _split(first, _BLANKS), _split(below[0] if below else "", _BLANKS)
    if len(words) < 2 or not below or sum(map(_is_number, values)) < 2:
        return ","
    if len(values) != len(words):
        if rank([first.strip()]) or not rank(words):
            return ","
        raise TableError(
            f"its columns are separated by blanks, and its first row has {len(values)} words for {len(words)} columns",
            "Write it as CSV.",
        )
    return _BLANKS


def _split(line: str, delimiter: str) -> list[str]:
    if delimiter == _BLANKS:
        return [word.strip('"') for word in _WORD.findall(line)]
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    except csv.Error as exc:
        raise TableError(f"its line of names cannot be read ({exc})") from exc


def _is_number(field: str) -> bool:
    return _NUMBER.fullmatch(field) is not None


def _behind_remark(
    remarks: list[str], first: str, delimiter: str, rank: Rank
) -> tuple[str, list[str], dict[str, str]] | None:
    """Return delimiter, names and units from the last comments that fit the first line, if that line is a row."""
    delimiter = delimiter or (_BLANKS if len(_split(first, _BLANKS)) > 1 else ",")
    fields = _split(first, delimiter)
    known, numbers = rank(fields), any(map(_is_number, fields))
    units: list[str] = []
    for remark in reversed(remarks):
        names = _split(remark.lstrip("#").strip(), delimiter)
        if len(names) != len(fields) or any(map(_is_number, names)):
            continue
        if rank(names) > known or (numbers and rank(names)):
            return delimiter, names, _named_units(names, units)
        units = names if _are_units(names) else units
    return None


def _numbered_names(remarks: list[str], first: str) -> tuple[list[str], dict[str, str]] | None:
    """Return names in SExtractor's format, one comment each: "#  2 ALPHA_J2000  Right ascension  [deg]"."""
    found = [match for match in map(_SEXTRACTOR.fullmatch, (line.rstrip("\n") for line in remarks)) if match]
    if not found or found[0].group(1) != "1":
        return None
    columns = len(_split(first, _BLANKS))
    names, units = [], {}
    for match, following in zip(found, [*(int(match.group(1)) for match in found[1:]), columns + 1], strict=True):
        number, name = int(match.group(1)), match.group(2)
        if not number < following <= columns + 1:
            return None
        # a column of several values has as many numbers
        names += [name, *(f"{name}_{k}" for k in range(1, following - number))]
        if match.group(3):
            units[name] = match.group(3)
    return names, units


def _units(top: list[tuple[int, str]], names: list[str], delimiter: str) -> tuple[int, dict[str, str]]:
    """Return the number of the last line above the rows, and the units, which VizieR writes below the names."""
    (last, _), rows = top[0], top[1:]
    for k, (number, line) in enumerate(rows[:2]):
        if _DASHES.fullmatch(line):
            return number, _named_units(names, _split(rows[0][1], delimiter) if k else [])
    units = _split(rows[0][1], delimiter) if rows else []
    if _are_units(units) and not any(map(_is_number, units)):
        return rows[0][0], _named_units(names, units)
    return last, {}


def _are_units(words: list[str]) -> bool:
    return any(word.strip('"').lower() in _ANGLES for word in words)


def _named_units(names: list[str], units: list[str]) -> dict[str, str]:
    return {name: unit for name, unit in zip(names, units, strict=False) if unit}
