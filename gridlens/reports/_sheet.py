"""The candidate sheet: the explanation of one score, as a figure and as a self-contained page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gridlens._file_names import file_stem
from gridlens._files import atomic_path
from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.explain import Explainer, Explanation
from gridlens.reports._figures import image_uri, new_figure
from gridlens.reports._pages import check_libraries, render
from gridlens.reports._pictures import PANEL, PANEL_TITLE, draw_panels, n_panels, strip
from gridlens.reports._sheet_figure import sheet_figure
from gridlens.reports._sheet_values import Bar, SheetValues, sheet_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["candidate_maps", "draw_candidate_sheet", "sheet_for_page", "write_candidate_sheet"]

_PRINT_DPI = 300
_PAGE_DPI = 200


def draw_candidate_sheet(
    explainer: Explainer, cutout: CutoutSet, *, prevalence: float = 1e-3, explanation: Explanation | None = None
) -> Figure:
    """Draw the candidate sheet of one cutout, which explains its score.

    The figure shows the cutout in colour (Lupton) with north, east and a scale bar, the white and the blue detection
    maps, the contribution of each patch, the ten strongest terms in words and units, the members in favour, the
    position, the score, and the probability with its interval. The arc candidate of the table is outlined, and its
    circle is drawn if it fits well: at least 35 % of the candidate's pixels on it, and its centre within half a radius
    of the BCG. If another candidate has the best shape, it is outlined with dashes, and the sheet mentions it.

    Parameters
    ----------
    explainer : Explainer
    cutout : CutoutSet of 1
    prevalence : float, default=1e-3
        Prevalence of lenses among such clusters, between 0 and 1; it affects only the probability.
    explanation : Explanation of 1, default=None
        Explanation of this cutout, if already computed.

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
    values = sheet_values(explainer.detector, cutout, found, 0, prevalence)
    return sheet_figure(cutout, found, values, candidate_maps(explainer, cutout))


def write_candidate_sheet(
    explainer: Explainer,
    cutout: CutoutSet,
    folder: str | os.PathLike[str],
    *,
    prevalence: float = 1e-3,
    explanation: Explanation | None = None,
) -> tuple[Path, Path]:
    """Write the candidate sheet of one cutout as an image with 300 dpi, NAME.png, and as a page, NAME.html.

    Parameters
    ----------
    explainer, cutout, prevalence, explanation
        As for `draw_candidate_sheet`.
    folder : str or path
        An existing folder. In file names, invalid characters become "_", a long name is truncated, and digits of the
        id's hash are appended to a name that was changed.

    Returns
    -------
    picture, page : Path

    Raises
    ------
    GridlensError
        As for `draw_candidate_sheet`; jinja2 is missing, or the folder cannot be written.
    """
    check_libraries()
    found = _explained(explainer, cutout, explanation)
    values = sheet_values(explainer.detector, cutout, found, 0, prevalence)
    stem = file_stem(values.id)
    picture, page = Path(folder) / f"{stem}.png", Path(folder) / f"{stem}.html"
    # Attribution maps of a network are slow, so they are computed once for both outputs.
    maps = candidate_maps(explainer, cutout)
    figure = sheet_figure(cutout, found, values, maps)
    sheet = _page_sheet(values, cutout, found, 0, maps, _PAGE_DPI)
    html = render("candidate.html", title=f"{values.id}: why this score", sheet=sheet)
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=_PRINT_DPI)
    with atomic_path(page) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return picture, page


def candidate_maps(explainer: Explainer, cutout: CutoutSet) -> dict[str, np.ndarray]:
    """Return the attribution maps (H, W) by member name for a set of one cutout."""
    return {name: values[0] for name, values in explainer.maps(cutout).items()}


def sheet_for_page(
    explainer: Explainer, cutout: CutoutSet, explanation: Explanation, row: int, *, prevalence: float, dpi: int
) -> dict[str, Any]:
    """Return the values for the template of a candidate sheet of row `row`, with its cutout."""
    values = sheet_values(explainer.detector, cutout, explanation, row, prevalence)
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
    figures = [new_figure(PANEL, PANEL + PANEL_TITLE, arrange=False) for _ in range(n_panels(maps))]
    axes = [strip(figure, 1, 0.0, PANEL)[0] for figure in figures]
    note = draw_panels(axes, cutout, explanation, row, maps)
    return {
        **values._asdict(),
        "line": values.line,
        "note": note,
        "images": [image_uri(figure, dpi) for figure in figures],
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
