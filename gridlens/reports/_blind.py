"""The picture of a candidate for blind grading, without score, explanation or outline."""

from __future__ import annotations

import hashlib
import os

import numpy as np

from gridlens._files import atomic_path
from gridlens.cutouts import CutoutSet
from gridlens.reports._figures import new_figure
from gridlens.reports._pictures import PANEL, PANEL_TITLE, draw_views, strip

__all__ = ["write_blind_sheet"]

_DPI = 150


def write_blind_sheet(cutout: CutoutSet, path: str | os.PathLike[str]) -> str:
    """Write one cutout as a PNG file, in colour, its white map and its blue map, and return the hash of its pixels.

    Parameters
    ----------
    cutout : CutoutSet of 1
    path : str or path
        File in an existing folder.

    Returns
    -------
    str
        SHA-256 of the pixels (H, W, 3) as little-endian float32, row by row. A grade belongs to the shown pixels.

    Raises
    ------
    GridlensError
        The file cannot be written.
    """
    figure = new_figure(3 * PANEL, PANEL + PANEL_TITLE, arrange=False)
    draw_views(strip(figure, 3, 0.0, PANEL), cutout)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DPI)
    return hashlib.sha256(np.ascontiguousarray(cutout.pixels[0], dtype="<f4").tobytes()).hexdigest()
