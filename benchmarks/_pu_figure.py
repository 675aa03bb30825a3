"""Figure for `pu.py`: bias and spread of the labelling propensity and the class prior, by overlap and prevalence."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _prior_limits import METHODS, SEPARATIONS, Limit
from _propensity_bias import Row

COLORS = ("#0b6e99", "#d1495b", "#6a994e", "#8d6a9f")


def draw(propensities: Sequence[Row], priors: Sequence[Limit], path: Path) -> None:
    """Draw one figure: estimate over truth of the propensity c on the left, estimated class priors on the right."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    methods = ("mean", "top")
    counts = sorted({row.n_positive for row in propensities})
    for method, color in zip(methods, COLORS, strict=False):
        for n, style in zip(counts, (":", "--", "-"), strict=True):
            chosen = [row for row in propensities if (row.method, row.n_positive) == (method, n)]
            x = sorted({row.separation for row in chosen})
            ratios = [np.concatenate([row.ratios for row in chosen if row.separation == at]) for at in x]
            mean, spread = np.array([r.mean() for r in ratios]), np.array([r.std(ddof=1) for r in ratios])
            axes[0].plot(x, mean, style, color=color, label=f"{method}, {n} labelled")
            axes[0].fill_between(x, mean - spread, mean + spread, color=color, alpha=0.08, linewidth=0)
    axes[0].axhline(1.0, color="0.4", linewidth=0.8)
    axes[0].set(
        title="labelling propensity c, Elkan-Noto",
        xlabel="separation of the classes [standard deviations]",
        ylabel="estimate / truth",
        ylim=(0, 1.5),
        xticks=sorted({row.separation for row in propensities}),
    )
    for axis, separation in zip(axes[1:], SEPARATIONS, strict=True):
        for method, color in zip(METHODS, COLORS, strict=False):
            chosen = [row for row in priors if (row.method, row.separation) == (method, separation)]
            x = [row.prior for row in chosen]
            axis.errorbar(
                x,
                [max(row.mean, 1e-5) for row in chosen],
                [row.spread for row in chosen],
                color=color,
                marker="o",
                markersize=4,
                capsize=2,
                label=method,
            )
        axis.plot([1e-3, 0.3], [1e-3, 0.3], color="0.4", linewidth=0.8)
        axis.set(
            title=f"class prior, classes {separation:g} apart",
            xscale="log",
            yscale="log",
            xlabel="true prior",
            ylabel="estimate",
            ylim=(3e-4, 1),
        )
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
