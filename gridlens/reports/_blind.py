"""The picture of a candidate for a person who grades it: no score, no explanation, no outline."""

from __future__ import annotations

import os

from gridlens._files import atomic_path
from gridlens.cutouts import CutoutSet
from gridlens.reports._figures import new_figure
from gridlens.reports._pictures import PANEL, PANEL_TITLE, draw_views, strip

__all__ = ["write_blind_sheet"]

_DPI = 150


def write_blind_sheet(cutout: CutoutSet, path: str | os.PathLike[str]) -> None:
    """Write one cutout as a PNG file: in colour, its white map and its blue map.

    Parameters
    ----------
    cutout : CutoutSet of 1
    path : str or path
        File in an existing folder.

    Raises
    ------
    GridlensError
        The file cannot be written.
    """
    figure = new_figure(3 * PANEL, PANEL + PANEL_TITLE, arrange=False)
    draw_views(strip(figure, 3, 0.0, PANEL), cutout)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DPI)
