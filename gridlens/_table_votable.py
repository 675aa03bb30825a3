"""Reader of VOTables, after a check that they do not refer to anything outside the file."""

import warnings
from collections.abc import Mapping
from typing import Any, BinaryIO
from xml.parsers import expat

from gridlens._table_astropy import AstropyTable
from gridlens._table_source import Rank, TableError, check_width, choose_table

__all__ = ["read_votable"]

# Number of cells that a file may declare beyond those that fit into its bytes; each takes up to 4 bytes per letter.
_MAX_RATIO = 20
_FREE_LETTERS = 16 * 1024**2


def read_votable(file: BinaryIO, size: int, rank: Rank) -> AstropyTable:
    """Read the best-fitting table of a VOTable file; columns have the names of their fields, not their IDs.

    Raises
    ------
    TableError
        If the file refers to another, declares entities or content that it does not have, or has no table.
    """
    _check_xml(file, size)
    from astropy.io import votable

    file.seek(0)
    with warnings.catch_warnings():
        # warnings on the units and versions of a table do not help the user
        warnings.simplefilter("ignore")
        parsed = votable.parse(file, verify="ignore")
        elements = [element for element in parsed.iter_tables() if element.fields]
        chosen = choose_table([(element.name or "", [f.name for f in element.fields]) for element in elements], rank)
        return AstropyTable(elements[chosen].to_table(use_names_over_ids=True))


class _Seen:
    """Content of a file, collected from its elements."""

    def __init__(self) -> None:
        self.fields = self.letters = self._found = self._claimed = 0
        self.problem = ""
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.element
        self.parser.EntityDeclHandler = _refuse_entities
        self.parser.ExternalEntityRefHandler = _refuse_entities

    @property
    def rows(self) -> int:
        """Number of rows, counted or declared, whichever is larger."""
        return max(self._found, self._claimed)

    def element(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Record the start of an element; raise TableError if it must not be read."""
        if tag == "TD":
            return
        name = tag.rpartition(":")[2].upper()
        if name == "TR":
            self._found += 1
        elif name == "FIELD":
            self.fields += 1
            self.letters += _letters(attributes.get("arraysize", "1"))
        elif name == "STREAM" and "href" in attributes:
            raise TableError(
                f"its rows are not in the file but at {attributes['href'][:100]!r}, which is not downloaded",
                "Save the table with its rows in the file.",
            )
        elif name == "TABLE" and attributes.get("nrows", "").isdigit():
            self._claimed = max(self._claimed, int(attributes["nrows"][:20]))
        elif name == "INFO":
            failed = attributes.get("name", "").upper() == "QUERY_STATUS" and attributes.get("value") == "ERROR"
            self.parser.CharacterDataHandler = self._words if failed else None
        elif self.problem:
            self.parser.CharacterDataHandler = None

    def _words(self, text: str) -> None:
        """Keep the message of a service about a failed query."""
        self.problem += text


def _letters(arraysize: str) -> int:
    total = 1
    for size in arraysize.strip("* ").split("x"):
        total *= int(size[:20]) if size.strip().isdigit() else 1
    return total


def _refuse_entities(*_: Any) -> int:
    raise TableError("it declares entities, which a table does not need", "Save it without them.")


def _check_xml(file: BinaryIO, size: int) -> None:
    """Read the file as plain XML.

    Raises
    ------
    TableError
        If it is not well-formed, or must not be read by astropy.
    """
    seen = _Seen()
    file.seek(0)
    try:
        seen.parser.ParseFile(file)
    except expat.ExpatError as exc:
        raise TableError(f"it is not well-formed XML ({exc})") from exc
    check_width(seen.fields)
    if seen.problem:
        raise TableError(f"it has the error message of a service: {seen.problem.strip()[:200]}", "Query it again.")
    if seen.rows > size or seen.rows * seen.letters > _FREE_LETTERS + _MAX_RATIO * size:
        raise TableError(f"it declares more rows or letters than fit into its {size} bytes", "Save it again.")
