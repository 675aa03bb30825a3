"""The candidate sheet as a figure for print: heading, pictures, and charts of the terms, members and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gridlens.cutouts import CutoutSet
from gridlens.explain import Explanation
from gridlens.reports._figures import GREY, LENS, NO_LENS, bare, new_figure, text_width, wrapped
from gridlens.reports._pictures import PANEL, PANEL_TITLE, draw_panels, n_panels, strip
from gridlens.reports._sheet_values import Bar, SheetValues

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["sheet_figure"]

# Inches.
_MARGIN = 0.08
_NOTE = 0.4  # space for the note below the pictures
_BAR = 0.205
_AXIS, _TITLE = 0.25, 0.25  # space below and above the bars of a chart
_VALUE = 0.45  # space for the number next to a bar
_RIGHT = 3.7  # width of the charts of members and groups
_WIDEST = 4.6, 1.7  # maximum width of the labels of terms and of members

_LABEL = 7.5  # points
_LINE = "#b9c1cc"
_COLORS = {"for": LENS, "against": NO_LENS, "rest": GREY, "mark": "#1c2430"}


def sheet_figure(
    cutout: CutoutSet, explanation: Explanation, values: SheetValues, maps: Mapping[str, np.ndarray]
) -> Figure:
    """Return the candidate sheet as a figure, for an explanation of one row with given values."""
    width = PANEL * n_panels(maps)
    lines = _heading(values, 72.0 * (width - 2 * _MARGIN))
    heights = [(text.count("\n") + 1) * 1.3 * size / 72.0 for text, size, _ in lines]
    terms = _BAR * len(values.terms) + _AXIS + _TITLE
    others = _BAR * (len(values.members) + len(values.groups)) + 2 * (_AXIS + _TITLE)
    charts = max(terms, others)
    bottom = charts + _NOTE
    figure = new_figure(width, bottom + PANEL + PANEL_TITLE + sum(heights) + 2 * _MARGIN, arrange=False)
    height = figure.get_size_inches()[1]
    note = draw_panels(strip(figure, n_panels(maps), bottom, bottom + PANEL - 0.08), cutout, explanation, 0, maps)
    top = height - _MARGIN
    for (text, size, weight), high in zip(lines, heights, strict=True):
        # A dollar sign in an id must not start a formula.
        figure.text(_MARGIN / width, top / height, text, va="top", fontsize=size, fontweight=weight, parse_math=False)
        top -= high
    note = wrapped(note, 72.0 * (width - 2 * _MARGIN), 7.0)
    figure.text(_MARGIN / width, (bottom - 0.05) / height, note, va="top", fontsize=7.0, color="#4a5666")
    _draw_charts(figure, values, charts)
    return figure


def _heading(values: SheetValues, room: float) -> list[tuple[str, float, str]]:
    """Return the lines above the pictures with font size and weight; `room` is the available width in points."""
    return [
        (wrapped(values.id, room, 12.0, "bold"), 12.0, "bold"),
        (values.position or "Position unknown", 8.0, "normal"),
        (f"{values.line[0].upper()}{values.line[1:]}", 8.5, "normal"),
        (wrapped(values.why, room, 9.5), 9.5, "normal"),
        *([(wrapped(values.context, room, 8.0), 8.0, "normal")] if values.context else []),
    ]


def _draw_charts(figure: Figure, values: SheetValues, top: float) -> None:
    """Draw the charts below the pictures, up to a height in inches."""
    width, height = figure.get_size_inches()

    def axes(left: float, low: float, right: float, high: float) -> Axes:
        return figure.add_axes((left / width, low / height, (right - left) / width, (high - low) / height))

    terms = _labels(values.terms, _WIDEST[0])
    members, groups = (_labels(bars, _WIDEST[1]) for bars in (values.members, values.groups))
    middle, right, high = width - _RIGHT, width - _VALUE, top - _TITLE
    _draw_waterfall(axes(_inches(terms) + 2 * _MARGIN, _AXIS, middle - _VALUE - 0.1, high), values.terms, terms)
    left = middle + _MARGIN + max(_inches(members), _inches(groups))
    low = high - max(_BAR * len(members), 2 * _BAR)
    # Titles are aligned with the start of the labels.
    begin = (middle - left) / (right - left)
    title = f"{values.in_favour}; log-odds over even"
    _draw_bars(axes(left, low, right, high), values.members, members, title, begin)
    title = "by group of features, log-odds"
    _draw_bars(axes(left, _AXIS, right, low - _AXIS - _TITLE), values.groups, groups, title, begin)


def _labels(bars: Sequence[Bar], most: float) -> list[str]:
    """Return the labels of bars, broken into lines of at most `most` inches."""
    texts = [f"{bar.label} [{bar.where}]" if bar.where else bar.label for bar in bars]
    return [wrapped(text, 72.0 * most, _LABEL) for text in texts]


def _inches(labels: Sequence[str]) -> float:
    return max(text_width(line, _LABEL) for label in labels for line in label.split("\n")) / 72.0


def _draw_waterfall(ax: Axes, bars: Sequence[Bar], labels: Sequence[str]) -> None:
    for k, bar in enumerate(bars):
        if bar.begin is None:
            ax.plot(bar.end, k, "D", color=_COLORS[bar.kind], ms=5)
        else:
            ax.barh(k, bar.value, left=bar.begin, color=_COLORS[bar.kind], height=0.66)
        if k < len(bars) - 1:
            ax.plot([bar.end] * 2, [k - 0.33, k + 1.33], color=_LINE, lw=0.8, zorder=0)
        _number(ax, k, bar.value)
    _finish(ax, labels, "the ten strongest terms, log-odds")
    ax.set_ylim(len(labels) - 0.4, -0.6)


def _draw_bars(ax: Axes, bars: Sequence[Bar], labels: Sequence[str], title: str, begin: float) -> None:
    for k, bar in enumerate(bars):
        ax.barh(k, bar.value, color=_COLORS[bar.kind], height=0.62)
        _number(ax, k, bar.value)
    ax.axvline(0.0, color=_LINE, lw=0.8)
    _finish(ax, labels, title, begin)


def _number(ax: Axes, k: int, value: float) -> None:
    """Write a value next to the axes, at bar `k`."""
    ax.annotate(
        f"{value:+.2f}",
        (1.0, k),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=_LABEL,
    )


def _finish(ax: Axes, labels: Sequence[str], title: str, begin: float = 0.0) -> None:
    """Label bars from top to bottom; `begin` is the start of the title, as a fraction of the axes."""
    ax.set_yticks(range(len(labels)), labels, parse_math=False, linespacing=0.95)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    bare(ax, "top", "right", "left")
    ax.tick_params(axis="y", length=0)
    ax.tick_params(labelsize=_LABEL)
    ax.set_title(title, fontsize=8, loc="left", x=begin)
