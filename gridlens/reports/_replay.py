"""Plot of a replay of grading: the lenses found by each strategy, and the calibration of the models."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gridlens._files import atomic_path
from gridlens.reports._figures import COLORS, GREY, bare, new_figure

__all__ = ["draw_replay"]

_PANELS = (
    ("recall", "Lenses found", "fraction of all lenses"),
    ("lenses_per_100", "Lenses in the last batch", "per 100 objects"),
    ("recall_next", "Lenses in the next 200 objects", "fraction of the lenses not graded"),
    ("calibration_error", "Calibration error", "on objects that are not graded"),
)


def draw_replay(table: pd.DataFrame, path: Path) -> None:
    """Draw recall, lenses per 100, recall of the next list and calibration error against the objects graded.

    Parameters
    ----------
    table : DataFrame
        As returned by `gridlens.training.replay_grading`.
    path : Path
        PNG file, written atomically.
    """
    figure = new_figure(9.0, 6.4)
    axes = figure.subplots(2, 2, sharex=True)
    for ax, (column, title, unit) in zip(axes.flat, _PANELS, strict=True):
        for k, (strategy, rows) in enumerate(table.groupby("strategy", sort=False)):
            color, line = (GREY, "--") if k == 0 else (COLORS[(k - 1) % len(COLORS)], "-")
            ax.plot(rows["n_graded"], rows[column], color=color, ls=line, lw=1.8, marker="o", ms=4, label=str(strategy))
            if column == "calibration_error":
                low, high = rows["calibration_low"], rows["calibration_high"]
                ax.fill_between(rows["n_graded"], low, high, color=color, alpha=0.12, lw=0)
        ax.set_title(title, fontsize=11, loc="left")
        ax.set_ylabel(unit, fontsize=9)
        ax.set_ylim(bottom=0.0)
        bare(ax, "top", "right")
    for ax in axes[1]:
        ax.set_xlabel("objects graded", fontsize=9)
    axes[0, 0].legend(frameon=False, fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
