"""Panels of a card: the cutout in colour, the maps that arcs are found in, what each patch adds. Needs matplotlib."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from gridlens.cutouts import CutoutSet
from gridlens.explain._aggregate import by_patch
from gridlens.explain._explainer import Explanation
from gridlens.explain._terms import arc_patch
from gridlens.features import ArcCandidate, arc_candidate, detection_maps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "AGAINST",
    "FOR",
    "GREY",
    "PANEL",
    "diverging",
    "draw_panels",
    "image_uri",
    "lupton_rgb",
    "n_panels",
    "new_figure",
    "strip",
]

# Okabe & Ito, told apart by readers of any colour vision.
FOR, AGAINST, GREY = "#D55E00", "#0072B2", "#767676"
_OUTLINE = "#ffffff"
_CIRCLE = "#F0E442"
PANEL = 3.15  # inches
_BAR = 10.0  # arcsec
# Maps of S/N: where they end, dark and bright.
_DARK, _BRIGHT = -2.0, 10.0
_LEAST_HEAT = 0.3


def new_figure(width: float, height: float, *, arrange: bool = True) -> Figure:
    """A figure of its own, inches, that no window waits for; unless `arrange`, its axes stay where they are put."""
    from matplotlib.figure import Figure

    # To arrange a card takes as long as to draw it.
    return Figure(figsize=(width, height), layout="constrained" if arrange else None)


def strip(figure: Figure, n: int, bottom: float, top: float) -> Any:
    """A row of `n` square axes across a figure of `n` times `PANEL` inches, between heights in inches."""
    width, height = figure.get_size_inches()
    return [
        figure.add_axes(((k * PANEL + 0.04) / width, bottom / height, (PANEL - 0.08) / width, (top - bottom) / height))
        for k in range(n)
    ]


def diverging() -> Any:
    """Colours from against a lens, through white, to for one."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("against-for", [AGAINST, "#ffffff", FOR])


def image_uri(figure: Figure, dpi: int, kind: str = "webp") -> str:
    """The figure as an image within a page."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"pil_kwargs": {"quality": 82}} if kind == "webp" else {}
    figure.savefig(buffer, format=kind, dpi=dpi, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def lupton_rgb(pixels: np.ndarray) -> np.ndarray:
    """Colour image (H, W, 3), 8 bits, of one cutout: i, r, g as red, green, blue, in units of the noise in r.

    Lupton et al. 2004, PASP 116, 133. The bands are scaled so that most galaxies of a cluster come out yellow.
    """
    from astropy.visualization import make_lupton_rgb

    fine = np.where(np.isfinite(pixels), pixels, np.nan)
    sky = fine - np.nanpercentile(fine, 40, axis=(0, 1))
    noise = 1.4826 * np.nanmedian(np.abs(np.diff(sky[:, :, 1], axis=1))) / np.sqrt(2.0)
    g, r, i = np.nan_to_num(np.moveaxis(sky, 2, 0) / noise)
    return make_lupton_rgb(0.8 * i, r, 1.5 * g, minimum=-1.0, stretch=8.0, Q=8)


def n_panels(maps: dict[str, np.ndarray]) -> int:
    """How many panels `draw_panels` draws."""
    return 4 + len(maps)


def draw_panels(axes: Any, cutout: CutoutSet, explanation: Explanation, row: int, maps: dict[str, np.ndarray]) -> None:
    """Draw one cutout into a row of axes: colour, white map, blue map, patches, and each map of a member.

    The arc candidate that the score owes most to is outlined, and the circle through it drawn where it has one.
    """
    pixels, bcg, scale = cutout.pixels[0], cutout.bcg_xy[0], float(cutout.pixel_scale[0])
    patch = arc_patch(explanation, row)
    arc = arc_candidate(pixels, bcg, scale, patch) if patch >= 0 else None
    rgb = lupton_rgb(pixels)
    white, blue = detection_maps(pixels, bcg, scale)
    colour, first, second, patches, *others = axes
    size = len(pixels)

    colour.imshow(rgb, origin="lower", interpolation="nearest")
    colour.plot(*bcg, "+", color=_OUTLINE, ms=7, mew=0.9)
    if arc is not None:
        _outline(colour, arc, _OUTLINE)
        _circle(colour, arc)
    _scale_bar(colour, size, scale)
    for ax, values, title, cmap in (
        (first, white, "white map: all light", "gray"),
        (second, blue, "blue map: bluer than the BCG", _blues()),
    ):
        ax.imshow(values, origin="lower", cmap=cmap, vmin=_DARK, vmax=_BRIGHT, interpolation="nearest")
        ax.set_title(f"{title}, {_DARK:g} to {_BRIGHT:g} sigma", fontsize=8)
        if arc is not None:
            _outline(ax, arc, FOR)
    _heat(patches, rgb, by_patch(explanation.take([row]))[0])
    for ax, (name, values) in zip(others, maps.items(), strict=True):
        limit = max(float(np.nanmax(np.abs(values))), 1e-6)
        ax.imshow(values, origin="lower", cmap=diverging(), vmin=-limit, vmax=limit, interpolation="nearest")
        ax.set_title(f"{name}: what hiding it takes away, up to {limit:.2g}", fontsize=8)
    colour.set_title("i, r, g" + ("; dashed: the circle of the arc" if _has_circle(arc) else ""), fontsize=8)
    patches.set_title("what each patch adds, log-odds", fontsize=8)
    for ax in axes:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_xlim(-0.5, size - 0.5)
        ax.set_ylim(-0.5, size - 0.5)
        for spine in ax.spines.values():
            spine.set_visible(False)


def _heat(ax: Axes, rgb: np.ndarray, added: np.ndarray) -> None:
    size = len(rgb)
    side = size // 3
    begin = (size - 3 * side) // 2 - 0.5
    limit = max(float(np.abs(added).max()), _LEAST_HEAT)
    # Dark on light, so that the colours of the patches keep theirs.
    ax.imshow(rgb.mean(axis=2), origin="lower", cmap="gray_r", vmin=0, vmax=255)
    end = begin + 3 * side
    ax.imshow(
        added, origin="lower", extent=(begin, end, begin, end), cmap=diverging(), vmin=-limit, vmax=limit, alpha=0.65
    )
    for (y, x), value in np.ndenumerate(added):
        ax.text(
            begin + (x + 0.5) * side,
            begin + (y + 0.5) * side,
            f"{value:+.2f}",
            ha="center",
            va="center",
            fontsize=10,
            color="#111111",
            bbox={"boxstyle": "round,pad=0.2", "fc": "#ffffff", "ec": "none", "alpha": 0.75},
        )


def _outline(ax: Axes, arc: ArcCandidate, color: str) -> None:
    ax.contour(arc.mask, levels=[0.5], colors=color, linewidths=0.8)


def _has_circle(arc: ArcCandidate | None) -> bool:
    return arc is not None and np.isfinite(arc.circle[2]) and arc.circle[2] > 0.0


def _circle(ax: Axes, arc: ArcCandidate) -> None:
    from matplotlib.patches import Circle

    if _has_circle(arc):
        x, y, radius = arc.circle
        ax.add_patch(Circle((x, y), radius, fill=False, ls=(0, (4, 3)), lw=0.9, ec=_CIRCLE))


def _scale_bar(ax: Axes, size: int, scale: float) -> None:
    length = _BAR if _BAR / scale < 0.6 * size else 2.0
    begin, y = 0.05 * size, 0.05 * size
    ax.plot([begin, begin + length / scale], [y, y], color=_OUTLINE, lw=2.0, solid_capstyle="butt")
    ax.text(begin, y + 0.025 * size, f"{length:g} arcsec", color=_OUTLINE, fontsize=8, va="bottom")


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blue-light", ["#000000", "#0b3d91", "#56B4E9", "#ffffff"])
