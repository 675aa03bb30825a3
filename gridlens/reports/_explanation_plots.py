"""Plots of many explanations: importance, beeswarm, dependence. They require matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridlens.explain import Explanation
from gridlens.explain._aggregate import feature_points
from gridlens.explain._words import FEATURE_LABELS
from gridlens.features._contract import PATCH_FEATURE_UNITS
from gridlens.reports._figures import GREY, LENS, NO_LENS, bare, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_beeswarm", "plot_dependence", "plot_importance"]

_LEVELS = 60  # number of levels of a swarm, along its axis
_RUNS = 12  # number of bins of a running median
_WIDE = "arc_snr"  # feature with a wide range, 10 to 100,000


def plot_importance(table: pd.DataFrame, lost: pd.Series[float] | None = None) -> Figure:
    """Plot mean absolute contributions as bars with intervals, and the losses of shuffles next to them.

    Parameters
    ----------
    table : DataFrame
        From `importance`.
    lost : Series, default=None
        The column `loss` of `permutation_importance`, by name.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(6.4 if lost is None else 9.6, 0.25 * len(table) + 0.8)
    axes = figure.subplots(1, 1 if lost is None else 2, sharey=True, squeeze=False)[0]
    places = np.arange(len(table))
    axes[0].barh(places, table["mean_abs"], color="#9fb6cf", height=0.7)
    axes[0].hlines(places, table["low"], table["high"], color="#1c2430", lw=1.1)
    axes[0].set_yticks(places, [FEATURE_LABELS.get(name, name) for name in table["name"]], fontsize=8)
    axes[0].set_xlabel("mean absolute contribution, log-odds", fontsize=8)
    if lost is not None:
        axes[1].barh(places, [lost.get(name, 0.0) for name in table["name"]], color="#e0b48a", height=0.7)
        axes[1].set_xlabel("loss by a shuffle, nats per cutout", fontsize=8)
    for ax in axes:
        ax.set_ylim(len(table) - 0.5, -0.5)
        bare(ax, "top", "right")
        ax.tick_params(axis="y", length=0)
    return figure


def plot_beeswarm(explanation: Explanation, names: Sequence[str]) -> Figure:
    """Plot contributions of features as one point for each patch of each cutout, coloured by value.

    In arc features, patches without an arc candidate are grey.

    Parameters
    ----------
    explanation : Explanation of n
        Rejected cutouts are omitted.
    names : sequence of str
        Patch features or metadata features, from top to bottom.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(9.0, 0.36 * len(names) + 0.9)
    ax = figure.subplots()
    cmap = _values()
    for k, name in enumerate(names):
        added, value, there = feature_points(explanation, name)
        height = _swarm(added)
        for mask, color in ((~there, GREY), (there, None)):
            if mask.any():
                shade: Any = color if color else _ranks(value[mask])
                options = {} if color else {"cmap": cmap, "vmin": 0.0, "vmax": 1.0}
                ax.scatter(added[mask], k + height[mask], c=shade, s=3.5, lw=0, alpha=0.75, **options)
    ax.axvline(0.0, color="#b9c1cc", lw=0.8, zorder=0)
    ax.set_yticks(range(len(names)), [FEATURE_LABELS[name] for name in names], fontsize=8)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel("contribution of a patch, log-odds", fontsize=8)
    bare(ax, "top", "right")
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(ScalarMappable(cmap=cmap), ax=ax, aspect=40, pad=0.01)
    bar.set_ticks([0.0, 1.0], labels=["low", "high"], fontsize=8)
    bar.set_label("rank of the value", fontsize=8, labelpad=-8)
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def plot_dependence(explanation: Explanation, names: Sequence[str]) -> Figure:
    """Plot contributions of features against their values, with the running median.

    In arc features, patches without an arc candidate are omitted.

    Parameters
    ----------
    explanation : Explanation of n
        Rejected cutouts are omitted.
    names : sequence of str
        Patch features or metadata features, each in separate axes.

    Returns
    -------
    matplotlib.figure.Figure
    """
    columns = 3
    rows = -(-len(names) // columns)
    figure = new_figure(10.5, 2.7 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for ax, name in zip(axes.flat, names, strict=False):
        added, value, there = feature_points(explanation, name)
        added, value = added[there], value[there]
        ax.axhline(0.0, color="#b9c1cc", lw=0.8)
        if len(value):
            ax.scatter(value, added, s=4, lw=0, color=NO_LENS, alpha=0.35)
            order = np.argsort(value, kind="stable")
            runs = [run for run in np.array_split(order, _RUNS) if len(run)]
            ax.plot(
                [np.median(value[run]) for run in runs], [np.median(added[run]) for run in runs], color=LENS, lw=1.6
            )
            low, high = np.quantile(value, [0.005, 0.995])
            if name == _WIDE:
                ax.set_xscale("log")
                ax.set_xlim(0.9 * low, 1.1 * high)
            else:
                ax.set_xlim(low - 0.03 * (high - low + 1e-9), high + 0.03 * (high - low + 1e-9))
        unit = PATCH_FEATURE_UNITS.get(name, "")
        ax.set_xlabel(f"{FEATURE_LABELS[name]} ({unit or name})", fontsize=8)
        ax.set_ylabel("log-odds", fontsize=8)
        bare(ax, "top", "right")
    return figure


def _swarm(added: np.ndarray) -> np.ndarray:
    """Return offsets (n,) from -0.38 to 0.38 that separate points of nearly the same value."""
    span = max(float(np.ptp(added)), 1e-9)
    level = np.round((added - added.min()) / span * _LEVELS).astype(int)
    height = np.zeros(len(added))
    most = max(np.bincount(level).max(), 1)
    for one in np.unique(level):
        rows = np.flatnonzero(level == one)
        height[rows] = (np.arange(len(rows)) - (len(rows) - 1) / 2.0) / most
    return 0.76 * height


def _ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return (rankdata(values) - 0.5) / max(len(values), 1)


def _values() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("low-high", ["#56B4E9", "#0072B2", "#7a3b8f", "#CC79A7", "#E69F00"])
