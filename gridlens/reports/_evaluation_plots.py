"""Plots of an evaluation, which return their axes. Matplotlib is imported only when drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridlens.calibration._checks import checked_share
from gridlens.calibration._reliability import Reliability
from gridlens.evaluation._discovery import DiscoveryCurve
from gridlens.evaluation._thresholds import counts_above
from gridlens.reports._figures import COLORS, GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_discovery", "plot_precision_recall", "plot_reliability", "plot_roc", "plot_strata"]


def plot_roc(y: Any, scores: Mapping[str, Any], ax: Axes | None = None, *, sample_weight: Any = None) -> Axes:
    """Plot the true positive rate against the false positive rate, on a logarithmic axis.

    The axis starts at one negative, with the smallest weight, since smaller rates are not resolved.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    scores : dict of array-like of shape (n,)
        Scores by legend label.
    ax : matplotlib Axes, default=None
        Axes to draw into; None creates a figure.
    sample_weight : array-like of shape (n,), default=None
        Weights of the rows, finite and at least 0. None means 1 for each row.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        There is only one class, there are no scores, or values are invalid for `auroc`.
    """
    curves = {name: counts_above(y, score, sample_weight) for name, score in _checked_scores(scores).items()}
    ax = _axes(ax, (5.2, 4.2))
    n_negative = max(negatives[-1] for _, negatives in curves.values())
    first, begin = 1.0 / n_negative, f"1 of {n_negative:,.0f} negatives"
    if sample_weight is not None:
        of_negatives = np.asarray(sample_weight)[np.asarray(y) == 0]
        first = of_negatives[of_negatives > 0.0].min() / n_negative
        begin = f"{first:.2g}, the negative of the smallest weight"
    rates = np.geomspace(first, 1.0, 200)
    ax.plot(rates, rates, color=GREY, lw=1.0, ls="--", label="random order")
    for (name, (positives, negatives)), color in zip(curves.items(), _cycled(len(curves)), strict=True):
        ax.step(
            negatives / negatives[-1], positives / positives[-1], where="post", color=color, lw=1.8, label=_plain(name)
        )
    ax.set_xscale("log")
    ax.set_xlim(min(first, 0.1), 1.0)
    ax.set_ylim(0.0, 1.02)
    ax.set_xlabel(f"false positive rate, from {begin}")
    ax.set_ylabel("fraction of the positives found")
    ax.legend(loc="best", frameon=False)
    return ax


def plot_precision_recall(
    y: Any, scores: Mapping[str, Any], prevalence: float, ax: Axes | None = None, *, sample_weight: Any = None
) -> Axes:
    """Plot precision at a declared prevalence against recall.

    ``precision = pi TPR / (pi TPR + (1 - pi) FPR)``, regardless of the fraction of positives in the sample. Thresholds
    that no negative passes are omitted, since their precision is not known to be 1.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    scores : dict of array-like of shape (n,)
        Scores by legend label.
    prevalence : float
        Prevalence of positives among the rows that will be scored, between 0 and 1, both excluded.
    ax : matplotlib Axes, default=None
        Axes to draw into; None creates a figure.
    sample_weight : array-like of shape (n,), default=None
        Weights of the rows, finite and at least 0. None means 1 for each row.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        As for `plot_roc`, or `prevalence` is not between 0 and 1.
    """
    pi = checked_share("prevalence", prevalence)
    curves = {name: counts_above(y, score, sample_weight) for name, score in _checked_scores(scores).items()}
    ax = _axes(ax, (5.2, 4.2))
    for (name, (positives, negatives)), color in zip(curves.items(), _cycled(len(curves)), strict=True):
        told = negatives > 0.0
        tpr, fpr = positives[told] / positives[-1], negatives[told] / negatives[-1]
        ax.plot(tpr, pi * tpr / (pi * tpr + (1.0 - pi) * fpr), color=color, lw=1.8, label=_plain(name))
    ax.axhline(pi, color=GREY, lw=1.0, ls="--", label="random order")
    ax.set_yscale("log")
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(pi / 2.0, 1.1)
    ax.set_xlabel("fraction of the positives found")
    ax.set_ylabel(f"precision at prevalence {pi:g}")
    # The legend is above the axes, since curves start in one corner and controls are along the bottom.
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False)
    return ax


def plot_reliability(bins: Reliability, log: bool = True, ax: Axes | None = None) -> Axes:
    """Plot observed fractions of positives against predicted probabilities, with Wilson's 95 % intervals.

    Parameters
    ----------
    bins : Reliability
        From `reliability`.
    log : bool, default=True
        Whether to use logarithmic axes, for probabilities that are mostly small. They cannot show a bin without
        positives, for which only the interval is drawn, with a mark pointing down.
    ax : matplotlib Axes, default=None
        Axes to draw into; None creates a figure.

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (4.6, 4.4))
    ends = (0.0, 1.0)
    if log:
        shown = np.concatenate([bins.predicted, bins.observed, bins.high])
        ends = (0.5 * float(np.min(shown[shown > 0.0], initial=1.0)), 1.0)
    ax.plot(ends, ends, color=GREY, lw=1.0, ls="--", label="as predicted")
    low = np.maximum(bins.low, ends[0])
    ax.vlines(bins.predicted, low, bins.high, color=COLORS[0], lw=1.4, alpha=0.6)
    none = (bins.observed < ends[0]) & log
    ax.plot(bins.predicted[~none], bins.observed[~none], "o", color=COLORS[0], ms=5, label="observed, 95 %")
    if none.any():
        ax.plot(bins.predicted[none], bins.high[none], "v", color=COLORS[0], ms=5, mfc="white", label="none observed")
    if log:
        ax.set_xscale("log")
        ax.set_yscale("log")
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_xlabel("predicted probability, mean of a bin")
    ax.set_ylabel("observed fraction of positives")
    ax.legend(loc="upper left", frameon=False)
    return ax


def plot_discovery(
    curves: DiscoveryCurve | Mapping[str, DiscoveryCurve] | Sequence[DiscoveryCurve], ax: Axes | None = None
) -> Axes:
    """Plot the expected positives found against the rows reviewed, with an error band, random order and the ideal.

    Parameters
    ----------
    curves : DiscoveryCurve, a sequence, or a dict by legend label
        From `discovery_curve`, all with the same prevalence and length.
    ax : matplotlib Axes, default=None
        Axes to draw into; None creates a figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        There are no curves, or they differ in prevalence or length.
    """
    if isinstance(curves, DiscoveryCurve):
        named = {"this score": curves}
    elif isinstance(curves, Mapping):
        named = dict(curves)
    else:
        named = {f"score {i + 1}": curve for i, curve in enumerate(curves)}
    kinds = {(curve.prevalence, curve.n_rows) for curve in named.values()}
    if len(kinds) != 1:
        raise ValueError(
            "The 'curves' parameter must be at least one curve, all with the same prevalence and list length. Got "
            f"{len(named)} curves with {len(kinds)} combinations of these instead."
        )
    ((prevalence, n_rows),) = kinds
    total = prevalence * n_rows
    ax = _axes(ax, (6.0, 4.6))
    places = np.geomspace(1.0, n_rows, 400)
    ax.plot(places, np.minimum(places, total), color=GREY, lw=1.2, ls=":", label="ideal")
    ax.plot(places, prevalence * places, color=GREY, lw=1.0, ls="--", label="random order")
    for (name, curve), color in zip(named.items(), _cycled(len(named)), strict=True):
        ax.fill_between(curve.reviewed, curve.low, curve.high, color=color, alpha=0.18, lw=0)
        ax.plot(curve.reviewed, curve.found, color=color, lw=1.8, label=_plain(name))
        if not curve.half.note:
            # A dot where half of the positives are found, with its horizontal interval.
            ax.hlines(total / 2, curve.half.low, curve.half.high, color=color, lw=1.2)
            ax.plot(curve.half.value, total / 2, "o", color=color, ms=5)
    resolved = [curve.resolved_from for curve in named.values() if np.isfinite(curve.resolved_from)]
    if resolved:
        ax.axvspan(1.0, min(resolved), color=GREY, alpha=0.10, lw=0, label="not resolvable")
    ax.set_xscale("log")
    ax.set_xlim(1.0, n_rows)
    ax.set_ylim(0.0, 1.05 * total)
    ax.set_xlabel(f"rows reviewed, of {n_rows:,}")
    ax.set_ylabel(f"positives found, of {total:,.4g} expected")
    # The legend is above the axes, since the ideal and the curves leave no free corner.
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False)
    return ax


def plot_strata(table: pd.DataFrame, metric: str, ax: Axes | None = None) -> Axes:
    """Plot a metric by stratum, with its 95 % interval; a stratum without a value keeps its line and shows the reason.

    Parameters
    ----------
    table : pandas.DataFrame
        From `stratified`.
    metric : str
        A value of the column `metric`.
    ax : matplotlib Axes, default=None
        Axes to draw into; None creates a figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        The table has no such metric.
    """
    rows = table[table["metric"] == metric].reset_index(drop=True)
    if rows.empty:
        raise ValueError(
            f"The 'metric' parameter must be one of the metrics of the table, {', '.join(table['metric'].unique())}. "
            f"Got {metric!r} instead."
        )
    ax = _axes(ax, (6.0, 0.42 * len(rows) + 1.1))
    ax.grid(axis="y", visible=False)
    known = rows["value"].notna()
    whole = rows[(rows["stratum"] == "all") & known]
    if len(whole):
        ax.axvline(whole["value"].iloc[0], color=GREY, lw=1.0, ls="--")
    ax.hlines(rows.index[known], rows["low"][known], rows["high"][known], color=COLORS[0], lw=1.6, alpha=0.6)
    ax.plot(rows["value"][known], rows.index[known], "o", color=COLORS[0], ms=6)
    for i in rows.index[~known]:
        ax.annotate(_plain(rows["note"][i]), (0.02, i), xycoords=("axes fraction", "data"), va="center", color=GREY)
    ax.set_yticks(rows.index, [f"{_plain(row.stratum)}\nn = {row.n_positive}" for row in rows.itertuples()])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel(f"{metric}, of n positives")
    return ax


def _plain(name: Any) -> str:
    """Escape a user-defined name for matplotlib, so that a dollar sign does not start a formula."""
    return str(name).replace("$", r"\$")


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return `ax`, or the axes of a new figure, without a box and with a faint grid."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=size, layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="#e6e6e6", lw=0.8)
    ax.set_axisbelow(True)
    return ax


def _cycled(n: int) -> list[str]:
    return [COLORS[i % len(COLORS)] for i in range(n)]


def _checked_scores(scores: Any) -> dict[str, Any]:
    if not isinstance(scores, Mapping) or not scores:
        raise ValueError(
            "The 'scores' parameter must be a dict of scores by name, at least one. "
            f"Got {type(scores).__name__} of {len(scores)} instead."
        )
    return dict(scores)
