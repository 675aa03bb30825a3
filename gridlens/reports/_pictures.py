"""The picture of a candidate: in colour, the maps that its arc was found in, and what each patch adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gridlens.cutouts import CutoutSet, band_noise
from gridlens.errors import GridlensError
from gridlens.explain import Explanation, by_patch
from gridlens.explain._terms import arc_patch
from gridlens.features import arc_candidate, detection_maps
from gridlens.features._candidates import ArcCandidate
from gridlens.reports._figures import LENS, diverging

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PANEL", "draw_candidate", "draw_panels", "lupton_rgb", "n_panels", "strip"]

_OUTLINE = "#ffffff"
_CIRCLE = "#F0E442"
PANEL = 3.15  # inches
_BAR = 10.0  # arcsec
_SHORT_BAR = 2.0  # arcsec, for cutouts on which the other would be too long
# Maps of S/N: where they end, dark and bright.
_DARK, _BRIGHT = -2.0, 10.0
_LEAST_HEAT = 0.3


def strip(figure: Figure, n: int, bottom: float, top: float) -> Any:
    """Return a row of `n` square axes across a figure of `n` times `PANEL` inches, between heights in inches."""
    width, height = figure.get_size_inches()
    return [
        figure.add_axes(((k * PANEL + 0.04) / width, bottom / height, (PANEL - 0.08) / width, (top - bottom) / height))
        for k in range(n)
    ]


def lupton_rgb(pixels: np.ndarray) -> np.ndarray:
    """Return one cutout as a colour image: i, r, g as red, green, blue, in units of the noise in r.

    The bands are scaled so that most galaxies of a cluster are yellow.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3)
        Bands g, r, i; NaN is black.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
        Row 0 is at y = 0: draw it with ``origin="lower"``.

    References
    ----------
    .. [1] Lupton et al. 2004, "Preparing red-green-blue images from CCD data", PASP 116, 133.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.reports import lupton_rgb
    >>> rgb = lupton_rgb(np.random.default_rng(0).normal(size=(8, 8, 3)))
    >>> rgb.shape, rgb.dtype
    ((8, 8, 3), dtype('uint8'))
    """
    from astropy.visualization import make_lupton_rgb

    fine = np.where(np.isfinite(pixels), pixels, np.nan)
    sky = fine - np.nanpercentile(fine, 40, axis=(0, 1))
    g, r, i = np.nan_to_num(np.moveaxis(sky, 2, 0) / band_noise(pixels[:, :, 1:2])[0])
    return make_lupton_rgb(0.8 * i, r, 1.5 * g, minimum=-1.0, stretch=8.0, Q=8)


def draw_candidate(cutout: CutoutSet, ax: Axes | None = None, *, patch: int | None = None) -> Axes:
    """Draw one cutout in colour, with its BCG, a scale bar and the arc candidate that a patch shows.

    Parameters
    ----------
    cutout : CutoutSet of 1
    ax : matplotlib Axes, default=None
        Where to draw; None makes a figure.
    patch : int, default=None
        Patch from 0 to 8 whose arc candidate is outlined, with the circle through it where there is one: the column
        `arc_patch` of a score table. None and -1 outline nothing.

    Returns
    -------
    Axes

    Raises
    ------
    GridlensError
        There is more than one cutout, or none.

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
    _draw_colour(ax, cutout, lupton_rgb(cutout.pixels[0]), _arc(cutout, -1 if patch is None else patch))
    _frame(ax, len(cutout.pixels[0]))
    return ax


def n_panels(maps: Mapping[str, np.ndarray]) -> int:
    """Return how many panels `draw_panels` draws."""
    return 4 + len(maps)


def draw_panels(
    axes: Any, cutout: CutoutSet, explanation: Explanation, row: int, maps: Mapping[str, np.ndarray]
) -> None:
    """Draw one cutout into a row of axes: colour, white map, blue map, patches, and each map of a member.

    The arc candidate that contributes most to the score is outlined, and the circle through it drawn where it has one.
    """
    pixels, bcg, scale = cutout.pixels[0], cutout.bcg_xy[0], float(cutout.pixel_scale[0])
    arc = _arc(cutout, arc_patch(explanation, row))
    rgb = lupton_rgb(pixels)
    white, blue = detection_maps(pixels, bcg, scale)
    colour, first, second, patches, *others = axes
    _draw_colour(colour, cutout, rgb, arc)
    colour.set_title("i, r, g" + ("; dashed: the circle of the arc" if _has_circle(arc) else ""), fontsize=8)
    for ax, values, title, cmap in (
        (first, white, "white map: all light", "gray"),
        (second, blue, "blue map: bluer than the BCG", _blues()),
    ):
        ax.imshow(values, origin="lower", cmap=cmap, vmin=_DARK, vmax=_BRIGHT, interpolation="nearest")
        ax.set_title(f"{title}, {_DARK:g} to {_BRIGHT:g} sigma", fontsize=8)
        if arc is not None:
            _outline(ax, arc, LENS)
    _heat(patches, rgb, by_patch(explanation.take([row])).to_numpy().reshape(3, 3))
    patches.set_title("what each patch adds, log-odds", fontsize=8)
    for ax, (name, values) in zip(others, maps.items(), strict=True):
        limit = max(float(np.nanmax(np.abs(values))), 1e-6)
        ax.imshow(values, origin="lower", cmap=diverging(), vmin=-limit, vmax=limit, interpolation="nearest")
        # A dollar sign in the name of a member begins no formula.
        ax.set_title(f"{name}: lost where it is hidden, up to {limit:.2g}", fontsize=8, parse_math=False)
    for ax in axes:
        _frame(ax, len(pixels))


def _arc(cutout: CutoutSet, patch: int) -> ArcCandidate | None:
    if patch < 0:
        return None
    return arc_candidate(cutout.pixels[0], cutout.bcg_xy[0], float(cutout.pixel_scale[0]), patch)


def _draw_colour(ax: Axes, cutout: CutoutSet, rgb: np.ndarray, arc: ArcCandidate | None) -> None:
    ax.imshow(rgb, origin="lower", interpolation="nearest")
    ax.plot(*cutout.bcg_xy[0], "+", color=_OUTLINE, ms=7, mew=0.9)
    if arc is not None:
        _outline(ax, arc, _OUTLINE)
        _circle(ax, arc)
    _scale_bar(ax, len(rgb), float(cutout.pixel_scale[0]))


def _frame(ax: Axes, size: int) -> None:
    """Show the whole cutout, without ticks or a box."""
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
    length = _BAR if _BAR / scale < 0.6 * size else _SHORT_BAR
    begin, y = 0.05 * size, 0.05 * size
    ax.plot([begin, begin + length / scale], [y, y], color=_OUTLINE, lw=2.0, solid_capstyle="butt")
    ax.text(begin, y + 0.025 * size, f"{length:g} arcsec", color=_OUTLINE, fontsize=8, va="bottom")


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blue-light", ["#000000", "#0b3d91", "#56B4E9", "#ffffff"])
