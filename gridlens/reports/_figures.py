"""Figures, and their inclusion in pages. Matplotlib is imported only when drawing."""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLORS",
    "GREY",
    "LENS",
    "NO_LENS",
    "bare",
    "diverging",
    "image_uri",
    "new_figure",
    "svg_of",
    "text_width",
    "wrapped",
]

# Okabe & Ito, distinguishable with any colour vision; yellow is omitted because it is faint on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LENS, NO_LENS, GREY = "#D55E00", "#0072B2", "#767676"
_WEBP_QUALITY = 82
# Glyphs are rounded to whole pixels: at 100 dpi, a line is wider than its outlines by up to this factor.
_HINTED = 1.05


def new_figure(width: float, height: float, *, arrange: bool = True) -> Figure:
    """Return a figure, in inches, not managed by pyplot; without `arrange`, its axes stay where they are placed."""
    from gridlens.reports._notebook_figure import NotebookFigure

    # Automatic layout of a candidate sheet takes as long as drawing it.
    return NotebookFigure(figsize=(width, height), layout="constrained" if arrange else None)


def bare(ax: Axes, *sides: str) -> None:
    """Remove sides of the box around axes, and set small tick labels."""
    for side in sides:
        ax.spines[side].set_visible(False)
    ax.tick_params(labelsize=8)


def diverging() -> Any:
    """Return a diverging colour map, from against a lens through white to in favour of a lens."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("against-for", [NO_LENS, "#ffffff", LENS])


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of one line of text in points, at a low resolution; `size` is the font size."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size, weight=weight)
    return _HINTED * float(text_to_path.get_text_width_height_descent(text, font, False)[0])


def wrapped(text: str, most: float, size: float, weight: str = "normal") -> str:
    """Return text broken into lines of at most `most` points, between words or else within a word."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size, weight) <= most:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if text_width(lines[-1] + letter, size, weight) > most:
                lines.append("")
            lines[-1] += letter
    return "\n".join(lines)


def image_uri(figure: Figure, dpi: int) -> str:
    """Return a figure as a WebP data URI for a page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", dpi=dpi, pil_kwargs={"quality": _WEBP_QUALITY})
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def svg_of(axes: Axes, name: str) -> Markup:
    """Return the figure of axes as inline SVG, and close it; `name` must be unique within the page."""
    import matplotlib as mpl
    from markupsafe import Markup
    from matplotlib import pyplot as plt

    figure: Any = axes.get_figure(root=True)
    buffer = io.StringIO()
    # Text is drawn as outlines: the page looks the same without the fonts, and user text is not in its source.
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", drawing, flags=re.DOTALL)
    # Ids of SVG elements are global in a page.
    drawing = re.sub(r'\bid="', f'id="{name}-', drawing)
    drawing = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", drawing)
    return Markup(drawing)
