"""The candidate sheet: why one cutout scored as it did, as a figure and as a page that stands alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from gridlens._file_names import file_stem
from gridlens._files import atomic_path
from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.explain import Explainer, Explanation
from gridlens.reports._figures import GREY, LENS, NO_LENS, bare, image_uri, new_figure
from gridlens.reports._pages import check_libraries, render
from gridlens.reports._pictures import PANEL, draw_panels, n_panels, strip
from gridlens.reports._sheet_values import Bar, SheetValues, sheet_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["candidate_maps", "draw_candidate_sheet", "sheet_for_page", "write_candidate_sheet"]

_DPI = 110
_HEIGHT = 7.8  # inches
_LETTERS = 12.5  # in an inch of the sentence
_LONGEST_TITLE = 90  # characters of the id above a sheet
_LONGEST = 62  # characters of a label beside a bar
_LINE = "#b9c1cc"
_COLORS = {"for": LENS, "against": NO_LENS, "rest": GREY, "mark": "#1c2430"}


def draw_candidate_sheet(
    explainer: Explainer, cutout: CutoutSet, *, prevalence: float = 1e-3, explanation: Explanation | None = None
) -> Figure:
    """Draw why one cutout scored as it did.

    The figure shows the cutout in colour (Lupton) with the arc candidate that contributes most to the score and the
    circle through it, the white and the blue map that candidates are found in, the contribution of each patch, the ten
    strongest terms in words and units, the members' votes, and the probability with its interval.

    Parameters
    ----------
    explainer : Explainer
    cutout : CutoutSet of 1
    prevalence : float, default=1e-3
        Prevalence of lenses among such clusters, between 0 and 1; it affects the probability and nothing else.
    explanation : Explanation of 1, default=None
        Of this cutout, where it was computed before.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GridlensError
        The cutout is rejected, there is more than one, or matplotlib is missing.

    Examples
    --------
    >>> from gridlens import CutoutSet, load_model
    >>> from gridlens.explain import Explainer
    >>> from gridlens.reports import draw_candidate_sheet
    >>> cutouts = CutoutSet.read("cutouts/")  # doctest: +SKIP
    >>> figure = draw_candidate_sheet(Explainer(load_model()), cutouts[:1])  # doctest: +SKIP
    """
    check_libraries()
    found = _explained(explainer, cutout, explanation)
    values = sheet_values(explainer.detector, found, 0, prevalence)
    return _figure(cutout, found, values, candidate_maps(explainer, cutout))


def write_candidate_sheet(
    explainer: Explainer, cutout: CutoutSet, folder: str | os.PathLike[str], *, prevalence: float = 1e-3
) -> tuple[Path, Path]:
    """Write the candidate sheet of one cutout as a picture, NAME.png, and as a page that stands alone, NAME.html.

    Parameters
    ----------
    explainer, cutout, prevalence
        As for `draw_candidate_sheet`.
    folder : str or path
        An existing folder. Characters that file names cannot hold become "_", a long name is cut, and digits of the
        id's hash follow a name that was changed.

    Returns
    -------
    picture, page : Path

    Raises
    ------
    GridlensError
        As for `draw_candidate_sheet`; jinja2 is missing, or the folder cannot be written.
    """
    check_libraries()
    found = _explained(explainer, cutout, None)
    values = sheet_values(explainer.detector, found, 0, prevalence)
    stem = file_stem(values.id)
    picture, page = Path(folder) / f"{stem}.png", Path(folder) / f"{stem}.html"
    # A network takes its time to say where it looks: once for both.
    maps = candidate_maps(explainer, cutout)
    figure = _figure(cutout, found, values, maps)
    html = render(
        "candidate.html", title=f"{values.id}: why this score", sheet=_page_sheet(values, cutout, found, 0, maps, _DPI)
    )
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=_DPI)
    with atomic_path(page) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return picture, page


def candidate_maps(explainer: Explainer, cutout: CutoutSet) -> dict[str, np.ndarray]:
    """Return where members look that offer it, (H, W) by name, in the one cutout of a set."""
    return {name: values[0] for name, values in explainer.maps(cutout).items()}


def sheet_for_page(
    explainer: Explainer, cutout: CutoutSet, explanation: Explanation, row: int, *, prevalence: float, dpi: int
) -> dict[str, Any]:
    """Return what the template of a candidate sheet shows of row `row`, whose cutout is given."""
    values = sheet_values(explainer.detector, explanation, row, prevalence)
    return _page_sheet(values, cutout, explanation, row, candidate_maps(explainer, cutout), dpi)


def _explained(explainer: Explainer, cutout: CutoutSet, explanation: Explanation | None) -> Explanation:
    if len(cutout) != 1:
        raise GridlensError(f"The 'cutout' parameter must be a CutoutSet of one. Got {len(cutout)} cutouts instead.")
    found = explainer.explain(cutout) if explanation is None else explanation
    if found.table["status"][0] != "ok":
        raise GridlensError(
            f"The cutout {found.table['id'][0]} is rejected and has no score to explain: {found.table['message'][0]}"
        )
    return found


def _page_sheet(
    values: SheetValues,
    cutout: CutoutSet,
    explanation: Explanation,
    row: int,
    maps: Mapping[str, np.ndarray],
    dpi: int,
) -> dict[str, Any]:
    figure = new_figure(PANEL * n_panels(maps), PANEL + 0.18, arrange=False)
    draw_panels(strip(figure, n_panels(maps), 0.02, PANEL - 0.06), cutout, explanation, row, maps)
    return {
        **values._asdict(),
        "image": image_uri(figure, dpi),
        "terms": _lines(values.terms),
        "members": _lines(values.members),
        "groups": _lines(values.groups),
    }


def _lines(bars: Sequence[Bar]) -> list[dict[str, Any]]:
    """Return the lines of a bar chart as fractions of its width, in percent."""
    ends = [0.0, *(bar.end for bar in bars), *(bar.begin for bar in bars if bar.begin is not None)]
    low, width = min(ends), max(max(ends) - min(ends), 1e-9)

    def percent(at: float) -> str:
        return f"{100.0 * at / width:.1f}%"

    return [
        {
            "label": bar.label,
            "where": bar.where,
            "kind": bar.kind,
            "value": f"{bar.value:+.2f}",
            "zero": percent(0.0 - low),
            "left": percent((bar.end if bar.begin is None else min(bar.begin, bar.end)) - low),
            "width": "" if bar.begin is None else percent(abs(bar.value)),
        }
        for bar in bars
    ]


def _figure(cutout: CutoutSet, explanation: Explanation, values: SheetValues, maps: Mapping[str, np.ndarray]) -> Figure:
    width = PANEL * n_panels(maps)
    figure = new_figure(width, _HEIGHT, arrange=False)
    draw_panels(strip(figure, n_panels(maps), 3.5, 3.5 + PANEL - 0.08), cutout, explanation, 0, maps)
    title = _short(values.id, _LONGEST_TITLE)
    # A dollar sign in an id begins no formula.
    figure.text(0.06 / width, 1.0 - 0.07 / _HEIGHT, title, va="top", fontsize=13, fontweight="bold", parse_math=False)
    text = f"p = {values.p}{values.beside_p}\n{fill(values.why, int(_LETTERS * width))}"
    figure.text(0.06 / width, 1.0 - 0.32 / _HEIGHT, text, va="top", fontsize=9.5, linespacing=1.35)

    def axes(left: float, bottom: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / width, bottom / _HEIGHT, wide / width, high / _HEIGHT))

    _draw_waterfall(axes(4.0, 0.3, width - 8.3, 2.75), values.terms)
    _draw_bars(axes(width - 2.45, 2.45, 1.9, 0.6), values.members, "members, log-odds over even")
    _draw_bars(axes(width - 2.45, 0.3, 1.9, 1.6), values.groups, "by group of features, log-odds")
    return figure


def _draw_waterfall(ax: Axes, bars: Sequence[Bar]) -> None:
    for k, bar in enumerate(bars):
        if bar.begin is None:
            ax.plot(bar.end, k, "D", color=_COLORS[bar.kind], ms=5)
        else:
            ax.barh(k, bar.value, left=bar.begin, color=_COLORS[bar.kind], height=0.66)
        if k < len(bars) - 1:
            ax.plot([bar.end] * 2, [k - 0.33, k + 1.33], color=_LINE, lw=0.8, zorder=0)
        _number(ax, k, bar.value)
    labels = [_short(f"{bar.label} [{bar.where}]" if bar.where else bar.label, _LONGEST) for bar in bars]
    _finish(ax, labels, "the ten strongest terms, log-odds")
    ax.set_ylim(len(labels) - 0.4, -0.6)


def _draw_bars(ax: Axes, bars: Sequence[Bar], title: str) -> None:
    for k, bar in enumerate(bars):
        ax.barh(k, bar.value, color=_COLORS[bar.kind], height=0.62)
        _number(ax, k, bar.value)
    ax.axvline(0.0, color=_LINE, lw=0.8)
    _finish(ax, [bar.label for bar in bars], title)


def _number(ax: Axes, k: int, value: float) -> None:
    """Write a value beside the axes, at bar `k`."""
    ax.annotate(
        f"{value:+.2f}",
        (1.0, k),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
    )


def _finish(ax: Axes, labels: Sequence[str], title: str) -> None:
    """Label bars that go from top to bottom."""
    ax.set_yticks(range(len(labels)), labels, parse_math=False)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    bare(ax, "top", "right", "left")
    ax.tick_params(axis="y", length=0)
    ax.set_title(title, fontsize=9, loc="left")


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"
