"""HTML pages from templates with escaped values."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from gridlens._extras import check_extra
from gridlens.evaluation import Estimate
from gridlens.reports._figures import LENS, NO_LENS

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["check_libraries", "render"]


def check_libraries() -> None:
    """Import the libraries for figures and pages; raise GridlensError if one is missing.

    Raises
    ------
    GridlensError
        A library is missing; the message has the command that installs it.
    """
    check_extra("explain", ("matplotlib", "jinja2"), "Figures and pages")


def render(template: str, **values: Any) -> str:
    """Render a template of this package with values, all of which are escaped except Markup."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("gridlens.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": _cell, "thousands": "{:,}".format, "unbroken": _unbroken}
    environment.globals["colors"] = {"lens": LENS, "no_lens": NO_LENS}
    return environment


class _Cell(NamedTuple):
    """A table cell: a number, its interval, and a note about the number or the reason for its absence."""

    text: str
    interval: str = ""
    note: str = ""


def _cell(value: Any) -> _Cell:
    if isinstance(value, Estimate):
        if value.value != value.value:
            return _Cell("", note=value.note)
        number, interval = str(Estimate(value.value, value.low, value.high)).split(" ", 1)
        return _Cell(number, interval, value.note)
    if isinstance(value, int) and not isinstance(value, bool):
        return _Cell(f"{value:,}")
    if isinstance(value, float):
        return _Cell("" if value != value else f"{value:.3g}")
    return _Cell(_unbroken(str(value)))


def _unbroken(text: str) -> str:
    """Return the text with non-breaking hyphens in numbers such as 1e-3."""
    return re.sub(r"(?<=\de)-(?=\d)", "\N{NON-BREAKING HYPHEN}", text)
