"""Marks on the picture of a cutout: outlines, the circle, a scale bar, and arrows to the north and east."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gridlens.features._candidates import ArcCandidate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_circle", "draw_compass", "draw_scale_bar", "frame", "outline"]

_WHITE = "#ffffff"
_CIRCLE = "#F0E442"
_BARS = (30.0, 10.0, 5.0, 2.0, 1.0)  # arcsec
_LONGEST = 0.4  # maximum length of a scale bar, as a fraction of the side
_ARROW = 0.11  # length of an arrow, as a fraction of the side
_BOX = 0.25  # size of the compass, as a fraction of the side
_CORNERS = ((1, 0), (1, 1), (0, 1))  # bottom right, top right, top left; the scale bar is at the bottom left


def frame(ax: Axes, size: int) -> None:
    """Show the whole cutout of `size` px, without ticks or a box."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlim(-0.5, size - 0.5)
    ax.set_ylim(-0.5, size - 0.5)
    for spine in ax.spines.values():
        spine.set_visible(False)


def outline(ax: Axes, arc: ArcCandidate, color: str, *, dashed: bool = False) -> None:
    """Outline the pixels of a candidate; dashed and faint if it is not the candidate of the table."""
    width, style, alpha = (0.7, "dashed", 0.75) if dashed else (0.9, "solid", 1.0)
    ax.contour(arc.mask, levels=[0.5], colors=color, linewidths=width, linestyles=style, alpha=alpha)


def draw_circle(ax: Axes, arc: ArcCandidate) -> None:
    """Draw the fitted circle of a candidate."""
    from matplotlib.patches import Circle

    x, y, radius = arc.circle
    ax.add_patch(Circle((x, y), radius, fill=False, ls=(0, (4, 3)), lw=0.8, ec=_CIRCLE))


def draw_scale_bar(ax: Axes, size: int, scale: float, fontsize: float = 7.5) -> None:
    """Draw a bar of a round length at the bottom left; `scale` is in arcsec per pixel."""
    length = next((bar for bar in _BARS if bar / scale <= _LONGEST * size), _BARS[-1])
    begin, y = 0.05 * size, 0.05 * size
    (bar,) = ax.plot([begin, begin + length / scale], [y, y], color=_WHITE, lw=1.8, solid_capstyle="butt")
    bar.set_path_effects(_edges(3.0))
    _label(ax, begin, y + 0.02 * size, f"{length:g} arcsec", fontsize, ha="left", va="bottom")


def draw_compass(ax: Axes, axes: np.ndarray, occupied: np.ndarray, fontsize: float = 7.5) -> bool:
    """Draw arrows to the north and the east in a corner, if the orientation is known.

    Parameters
    ----------
    ax : Axes
    axes : ndarray of shape (2, 2)
        As in `CutoutSet.sky_axes`: step to the east (first row) and to the north (second row) per pixel along x and y.
        NaN if unknown.
    occupied : ndarray of shape (H, W), bool
        Pixels that the arrows should avoid if there is a free corner.
    fontsize : float

    Returns
    -------
    bool
        Whether the orientation is known.
    """
    if not np.isfinite(axes).all() or np.linalg.det(axes) == 0.0:
        return False
    size = len(occupied)
    east, north = (way / np.hypot(*way) * _ARROW * size for way in np.linalg.inv(axes).T)
    x, y = _free_corner(occupied) - (east + north) / 2.0
    for name, (dx, dy) in (("N", north), ("E", east)):
        arrow: dict[str, Any] = {"arrowstyle": "-|>", "color": _WHITE, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (x + dx, y + dy), (x, y), arrowprops=arrow)
        _label(ax, x + 1.35 * dx, y + 1.35 * dy, name, fontsize, ha="center", va="center")
    return True


def _free_corner(occupied: np.ndarray) -> np.ndarray:
    """Return the centre (x, y) of the first corner without occupied pixels, or else of the first corner."""
    size = len(occupied)
    side = int(np.ceil(_BOX * size))
    corners = [(x * (size - side), y * (size - side)) for x, y in _CORNERS]
    free = [(x, y) for x, y in corners if not occupied[y : y + side, x : x + side].any()]
    return np.array((free or corners)[0]) + (side - 1) / 2.0


def _label(ax: Axes, x: float, y: float, text: str, fontsize: float, **place: str) -> None:
    ax.text(x, y, text, color=_WHITE, fontsize=fontsize, path_effects=_edges(1.5), **place)  # type: ignore[arg-type]


def _edges(width: float) -> Any:
    """Return dark edges, which make white marks visible on bright galaxies."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="#000000")]
