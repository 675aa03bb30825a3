"""The picture of a candidate: in colour, the detection maps, and the contribution of each patch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.explain import Explanation, by_patch
from gridlens.explain._sentences import describe_candidate, has_circle_about_bcg
from gridlens.explain._terms import arc_features
from gridlens.features import arc_candidate, best_arc, detection_maps
from gridlens.features._candidates import ArcCandidate
from gridlens.reports._color import lupton_rgb
from gridlens.reports._figures import LENS, diverging
from gridlens.reports._marks import draw_circle, draw_compass, draw_scale_bar, frame, outline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "PANEL",
    "PANEL_TITLE",
    "draw_candidate",
    "draw_color",
    "draw_panels",
    "draw_views",
    "n_panels",
    "shown_arc",
    "strip",
]

PANEL, PANEL_TITLE = 2.75, 0.18  # inches
_TITLE = 7.5  # points
# Limits of the grey scale of S/N maps, dark and bright.
_DARK, _BRIGHT = -2.0, 10.0
_LEAST_HEAT = 0.3


def strip(figure: Figure, n: int, bottom: float, top: float) -> Any:
    """Return a row of `n` square axes across a figure of `n` times `PANEL` inches, between heights in inches."""
    width, height = figure.get_size_inches()
    return [
        figure.add_axes(((k * PANEL + 0.04) / width, bottom / height, (PANEL - 0.08) / width, (top - bottom) / height))
        for k in range(n)
    ]


def draw_candidate(cutout: CutoutSet, ax: Axes | None = None, *, patch: int | None = None) -> Axes:
    """Draw one cutout in colour, with its BCG, a scale bar and the arc candidate of a patch.

    Arrows to the north and the east are drawn if the orientation is known. The circle through the candidate is drawn if
    it fits: at least 35 % of the candidate's pixels are on it, and its centre is within half a radius of the BCG.

    Parameters
    ----------
    cutout : CutoutSet of 1
    ax : matplotlib Axes, default=None
        Axes to draw into; None creates a figure.
    patch : int, default=None
        Patch from 0 to 8 whose arc candidate is outlined: the column `arc_patch` of a score table. None and -1
        outline nothing.

    Returns
    -------
    Axes

    Raises
    ------
    GridlensError
        If there is not exactly one cutout.

    Examples
    --------
    >>> from gridlens import CutoutSet
    >>> from gridlens.reports import draw_candidate
    >>> ax = draw_candidate(CutoutSet.read("cutouts/")[:1], patch=5)  # doctest: +SKIP
    """
    if len(cutout) != 1:
        raise GridlensError(f"The 'cutout' parameter must be a CutoutSet of one. Got {len(cutout)} cutouts instead.")
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(PANEL, PANEL), layout="constrained")
    pixels = cutout.pixels[0]
    arc = shown_arc(cutout, -1 if patch is None else patch)
    draw_color(ax, cutout, lupton_rgb(pixels), arc)
    draw_compass(ax, cutout.sky_axes[0], _occupied(pixels, arc))
    return ax


def n_panels(maps: Mapping[str, np.ndarray]) -> int:
    """Return the number of panels that `draw_panels` draws."""
    return 4 + len(maps)


def draw_panels(
    axes: Any, cutout: CutoutSet, explanation: Explanation, row: int, maps: Mapping[str, np.ndarray]
) -> str:
    """Draw one cutout into a row of axes: colour, white map, blue map, patches, and the maps of members.

    The arc candidate of the table is outlined, and the circle through it is drawn if it fits. If another candidate has
    the best shape, it is outlined faintly.

    Returns
    -------
    str
        Sentences on the outlines, and on an unknown orientation; "" if there is nothing to say.
    """
    patch = int(explanation.table["arc_patch"][row])
    arc, other = shown_arc(cutout, patch), _other_arc(cutout, explanation, row, patch)
    oriented = draw_views(axes[:3], cutout, arc, other)
    rgb = lupton_rgb(cutout.pixels[0])
    patches, *others = axes[3:]
    _heat(patches, rgb, by_patch(explanation.take([row])).to_numpy().reshape(3, 3))
    patches.set_title("contribution of each patch, log-odds", fontsize=_TITLE)
    for ax, (name, values) in zip(others, maps.items(), strict=True):
        limit = max(float(np.nanmax(np.abs(values))), 1e-6)
        ax.imshow(values, origin="lower", cmap=diverging(), vmin=-limit, vmax=limit, interpolation="nearest")
        # A dollar sign in the name of a member must not start a formula.
        ax.set_title(f"{name}: loss where hidden, up to {limit:.2g}", fontsize=_TITLE, parse_math=False)
    for ax in axes[3:]:
        frame(ax, len(rgb))
    return _note(arc, other, oriented)


def draw_views(
    axes: Any, cutout: CutoutSet, arc: ArcCandidate | None = None, other: ArcCandidate | None = None
) -> bool:
    """Draw one cutout into three axes: colour, white map and blue map.

    Parameters
    ----------
    axes : sequence of 3 matplotlib Axes
    cutout : CutoutSet of 1
    arc, other : ArcCandidate, default=None
        Candidates to outline, the second one dashed.

    Returns
    -------
    bool
        Whether the orientation is known and drawn.
    """
    pixels, bcg, scale = cutout.pixels[0], cutout.bcg_xy[0], float(cutout.pixel_scale[0])
    white, blue = detection_maps(pixels, bcg, scale)
    colour, first, second = axes
    draw_color(colour, cutout, lupton_rgb(pixels), arc)
    colour.set_title("i, r, g", fontsize=_TITLE)
    for ax, values, title, cmap in (
        (first, white, "white map: all light", "gray"),
        (second, blue, "blue map: bluer than the BCG", _blues()),
    ):
        ax.imshow(values, origin="lower", cmap=cmap, vmin=_DARK, vmax=_BRIGHT, interpolation="nearest")
        ax.set_title(f"{title}, {_DARK:g} to {_BRIGHT:g} sigma", fontsize=_TITLE)
        if arc is not None:
            outline(ax, arc, LENS)
    if other is not None:
        outline(colour, other, "#ffffff", dashed=True)
        outline(first, other, LENS, dashed=True)
    oriented = draw_compass(colour, cutout.sky_axes[0], _occupied(pixels, arc, other))
    for ax in axes:
        frame(ax, len(pixels))
    return oriented


def shown_arc(cutout: CutoutSet, patch: int) -> ArcCandidate | None:
    """Return the candidate that a patch of one cutout shows; None for patch -1."""
    if patch < 0:
        return None
    return arc_candidate(cutout.pixels[0], cutout.bcg_xy[0], float(cutout.pixel_scale[0]), patch)


def draw_color(ax: Axes, cutout: CutoutSet, rgb: np.ndarray, arc: ArcCandidate | None, fontsize: float = 7.5) -> None:
    """Draw one cutout in colour, with its BCG, a scale bar, a candidate and, if it fits, the circle through it."""
    ax.imshow(rgb, origin="lower", interpolation="nearest")
    ax.plot(*cutout.bcg_xy[0], "+", color="#ffffff", ms=6, mew=0.8)
    if arc is not None:
        outline(ax, arc, "#ffffff")
        if has_circle_about_bcg(arc.features):
            draw_circle(ax, arc)
    draw_scale_bar(ax, len(rgb), float(cutout.pixel_scale[0]), fontsize)
    frame(ax, len(rgb))


def _occupied(pixels: np.ndarray, *arcs: ArcCandidate | None) -> np.ndarray:
    """Return a mask (H, W) of the pixels of candidates."""
    masks = [arc.mask for arc in arcs if arc is not None]
    return np.any(masks, axis=0) if masks else np.zeros(pixels.shape[:2], bool)


def _other_arc(cutout: CutoutSet, explanation: Explanation, row: int, patch: int) -> ArcCandidate | None:
    """Return the candidate with the best shape, or None if it is the one of patch `patch`."""
    best = int(best_arc(explanation.features[[row]])[0])
    if best < 0 or arc_features(explanation, row, best) == arc_features(explanation, row, patch):
        return None
    return shown_arc(cutout, best)


def _note(arc: ArcCandidate | None, other: ArcCandidate | None, oriented: bool) -> str:
    said = []
    if other is not None:
        said.append(
            "Solid: the candidate that the score depends on most. Dashed: the best candidate by its shape, "
            f"{describe_candidate(other.features)}."
        )
    if arc is not None and has_circle_about_bcg(arc.features):
        said.append("Yellow: the circle through the candidate.")
    if not oriented:
        said.append("Orientation unknown.")
    return " ".join(said)


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
            fontsize=9,
            color="#111111",
            bbox={"boxstyle": "round,pad=0.2", "fc": "#ffffff", "ec": "none", "alpha": 0.75},
        )


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blue-light", ["#000000", "#0b3d91", "#56B4E9", "#ffffff"])
