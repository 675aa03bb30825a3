"""Pieces of a page that stands alone: headings, tables, drawn figures; no script, nothing from elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from gridlens.evaluation._intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cell", "figure_svg", "page", "table"]

# Columns from which a table is set smaller.
_WIDE = 7
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; color: #1c2430; background: #fff;
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
p { max-width: 44rem; margin: .5rem 0; } .lead { color: #4a5666; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .75rem 0; font-variant-numeric: tabular-nums; font-size: .93rem; }
table.wide { font-size: .84rem; } table.wide .interval { font-size: .74rem; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; vertical-align: top; border-bottom: 1px solid #e6e9ee; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; border-bottom-color: #b9c1cc; }
td.text, th.text { text-align: left; color: #4a5666; }
.interval { color: #6b7685; font-size: .82rem; white-space: nowrap; } .note { color: #6b7685; font-size: .85rem; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; max-width: 38rem; }
figcaption { color: #4a5666; font-size: .88rem; max-width: 44rem; }
"""


def page(title: str, body: Sequence[str], style: str = "") -> str:
    """A whole HTML document; `style` is CSS beside its own."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], text: Sequence[int] = ()) -> str:
    """A table; columns `text` are set as words. Cells are estimates, numbers or words."""

    def kind(k: int) -> str:
        return ' class="text"' if k in text else ""

    head = "".join(f"<th{kind(k)}>{_words(name)}</th>" for k, name in enumerate(header))
    lines = ["<tr>" + "".join(f"<td{kind(k)}>{cell(one)}</td>" for k, one in enumerate(row)) + "</tr>" for row in rows]
    wide = ' class="wide"' if len(header) > _WIDE else ""
    return f'<div class="scroll"><table{wide}>\n<tr>{head}</tr>\n' + "\n".join(lines) + "\n</table></div>"


def cell(value: Any) -> str:
    """What stands in a cell: the number, its interval in grey below it, or why there is none."""
    if isinstance(value, Estimate):
        if value.value != value.value:
            return f'<span class="note">{escape(value.note)}</span>'
        number, interval = str(Estimate(value.value, value.low, value.high)).split(" ", 1)
        note = f'<br><span class="note">{escape(value.note)}</span>' if value.note else ""
        return f'{escape(number)}<br><span class="interval">{escape(interval)}</span>{note}'
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return "" if value != value else f"{value:.3g}"
    return _words(str(value))


def _words(text: str) -> str:
    """Words of a cell; the hyphen of 1e-3 does not break a line."""
    return re.sub(r"(?<=\de)-(?=\d)", "\N{NON-BREAKING HYPHEN}", escape(text))


def figure_svg(axes: Axes, caption: str, name: str) -> str:
    """The figure of these axes, as SVG within the page; `name` keeps its parts apart from those of other figures."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    figure: Any = axes.get_figure(root=True)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    # Names of parts are global in a page, and links to namespaces are no use there.
    drawing = re.sub(r'\bid="', f'id="{name}-', drawing)
    drawing = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", drawing)
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = drawing.replace("<svg ", f'<svg role="img" aria-label="{escape(caption)}" ', 1)
    return f"<figure>\n{drawing}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"
