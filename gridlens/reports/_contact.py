"""Contact sheets: many candidates in one figure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.reports._color import lupton_rgb
from gridlens.reports._figures import image_uri, new_figure, text_width, wrapped
from gridlens.reports._pages import check_libraries
from gridlens.reports._pictures import draw_color, shown_arc
from gridlens.reports._sheet_values import score_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_contact_sheet", "find_cutouts", "thumbnail"]

_NEEDED = ("id", "rank", "score", "arc_patch")
_MOST = 500  # rows
_SIDE, _TITLE, _GAP = 1.8, 0.34, 0.06  # inches
_SIZE, _SMALLEST = 7.0, 4.5  # font size of a title, points
_THUMBNAIL, _THUMBNAIL_DPI = 1.6, 130


def draw_contact_sheet(table: pd.DataFrame, cutouts: CutoutSet | Iterable[CutoutSet], *, columns: int = 6) -> Figure:
    """Draw the cutouts of a score table side by side, in the order of its rows.

    Each picture has the rank, the id and the score above it, a scale bar, a cross on the BCG, and the outline of the
    arc candidate of the table. The fitted circle is drawn if it fits well: at least 35 % of the
    candidate's pixels on it, and its centre within half a radius of the BCG.

    Parameters
    ----------
    table : DataFrame
        Rows of a table from `gridlens.score`, such as ``table.head(24)``; 1 to 500 rows.
    cutouts : CutoutSet or iterable of CutoutSet
        Cutouts in which the rows are found by path and id, or else by id only. Sets may have different sizes; only as
        many sets as needed are read.
    columns : int, default=6
        Number of pictures per row.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``figure.savefig("sheet.png", dpi=300)``.

    Raises
    ------
    GridlensError
        The table lacks a column, has no rows or more than 500, the cutout of a row is missing, or matplotlib is
        missing.
    ValueError
        `columns` is not a positive number.

    Examples
    --------
    >>> import gridlens
    >>> from gridlens.reports import draw_contact_sheet
    >>> table = gridlens.score("cutouts/")  # doctest: +SKIP
    >>> sheet = draw_contact_sheet(table.head(24), gridlens.CutoutSet.read("cutouts/"))  # doctest: +SKIP
    """
    check_libraries()
    if columns < 1:
        raise ValueError(f"The 'columns' parameter must be at least 1. Got {columns} instead.")
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise GridlensError(
            f"The 'table' parameter must have the columns {', '.join(_NEEDED)}. It lacks {', '.join(missing)}. "
            "`gridlens score` writes such a table."
        )
    if not 0 < len(table) <= _MOST:
        raise GridlensError(
            f"The 'table' parameter must have 1 to {_MOST} rows. Got {len(table)} instead. Select some, such as "
            "table.head(24)."
        )
    found = find_cutouts(table, [cutouts] if isinstance(cutouts, CutoutSet) else cutouts)
    lost = [str(name) for row, name in enumerate(table["id"]) if row not in found]
    if lost:
        raise GridlensError(
            f"The 'cutouts' parameter must contain the cutout of each row of the table. {len(lost)} are missing, such "
            f"as {lost[0]}."
        )
    columns = min(columns, len(table))
    rows = -(-len(table) // columns)
    width, height = columns * (_SIDE + _GAP) + _GAP, rows * (_SIDE + _TITLE + _GAP)
    figure = new_figure(width, height, arrange=False)
    for k, line in enumerate(table.to_dict("records")):
        row, column = divmod(k, columns)
        left, top = _GAP + column * (_SIDE + _GAP), height - row * (_SIDE + _TITLE + _GAP)
        ax = figure.add_axes(
            (left / width, (top - _TITLE - _SIDE) / height, _SIDE / width, _SIDE / height),
        )
        _draw(ax, found[k], line)
        _title(figure, left, top, line)
    return figure


def find_cutouts(table: pd.DataFrame, sets: Iterable[CutoutSet]) -> dict[int, CutoutSet]:
    """Return the cutouts of the rows of a table that have one, by row number."""
    names = table["id"].astype(str).tolist()
    paths = table["path"].fillna("").astype(str).tolist() if "path" in table else [""] * len(names)
    wanted: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        wanted.setdefault(name, []).append(row)
    exact: dict[int, CutoutSet] = {}
    by_id: dict[int, CutoutSet] = {}
    for cutouts in sets:
        for k, name in enumerate(cutouts.ids):
            for row in wanted.get(name, ()):
                kept = exact if cutouts.paths[k] == paths[row] else by_id
                if row not in kept:
                    # A copy, because a slice would keep the pixels of the whole set in memory.
                    kept[row] = cutouts[[k]]
        if len(exact) == len(names):
            break
    return by_id | exact


def thumbnail(cutout: CutoutSet, patch: int) -> str:
    """Return one cutout in colour with the candidate of a patch, as a small image for a page."""
    figure = new_figure(_THUMBNAIL, _THUMBNAIL, arrange=False)
    draw_color(figure.add_axes((0, 0, 1, 1)), cutout, lupton_rgb(cutout.pixels[0]), shown_arc(cutout, patch), 6.0)
    return image_uri(figure, _THUMBNAIL_DPI)


def _draw(ax: Any, cutout: CutoutSet, line: dict[Any, Any]) -> None:
    patch = line["arc_patch"]
    arc = shown_arc(cutout, int(patch)) if np.isfinite(line["score"]) and np.isfinite(patch) else None
    draw_color(ax, cutout, lupton_rgb(cutout.pixels[0]), arc, 6.0)


def _title(figure: Figure, left: float, top: float, line: dict[Any, Any]) -> None:
    """Write the rank and id, and the score below them; a long id in a smaller font, and finally in two lines."""
    width, height = figure.get_size_inches()
    name, room = f"{line['rank']}  {line['id']}", 72.0 * _SIDE
    size = max(min(_SIZE, _SIZE * room / text_width(name, _SIZE)), _SMALLEST)
    name = "\n".join(wrapped(name, room, size).split("\n")[:2])
    score = f"score {score_words(line['score'])}" if np.isfinite(line["score"]) else "rejected"
    for text, below, points in ((name, 0.14, size), (score, _TITLE - 0.05, _SIZE)):
        # A dollar sign in an id must not start a formula.
        y = (top - below) / height
        figure.text(left / width, y, text, fontsize=points, va="baseline", linespacing=1.15, parse_math=False)
