"""A page on many scores: what the model leans on, and the best candidates as cards. Needs matplotlib."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridlens._files import atomic_folder
from gridlens.cutouts import CutoutSet
from gridlens.evaluation import Estimate, report_page, report_table
from gridlens.explain._card import CARD_STYLE, card_html, card_maps
from gridlens.explain._explainer import Explainer, Explanation
from gridlens.explain._importance import importance, permutation_importance
from gridlens.explain._pictures import image_uri
from gridlens.explain._plots import plot_beeswarm, plot_dependence, plot_importance
from gridlens.explain._words import FEATURE_LABELS
from gridlens.features import METADATA_NAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_explanations"]

_SWARM, _DEPENDENCE, _SHUFFLES = 14, 6, 3
_FIGURE_DPI, _CARD_DPI = 130, 78
_STYLE = (
    CARD_STYLE + "figure img { width: 100%; height: auto; max-width: 58rem; } "
    ".pair { display: flex; flex-wrap: wrap; gap: 0 4rem; } summary { cursor: pointer; color: #4a5666; }"
)


def write_explanations(
    explainer: Explainer,
    explanation: Explanation,
    cutouts: Mapping[int, CutoutSet],
    folder: str | os.PathLike[str],
    *,
    prevalence: float = 1e-3,
    notes: Sequence[str] = (),
    progress: Callable[[int], Any] | None = None,
) -> None:
    """Write `index.html` into a new folder, whole or not at all: why these cutouts scored as they did.

    Importance by group, feature and member with bootstrap intervals, permutation importance beside it, a beeswarm,
    dependence plots, and a card for each of `cutouts`. The page needs nothing else, and no script.

    Parameters
    ----------
    explainer : Explainer
    explanation : Explanation of n
        The best first. Rejected cutouts are counted and left out.
    cutouts : dict of int to CutoutSet of 1
        Cutouts by their row in `explanation`, for cards.
    folder : str or path
        New, or empty.
    prevalence : float, default=1e-3
        Of the probabilities on the cards.
    notes : sequence of str
        Sentences below the title.
    progress : callable, optional
        Called with 1 after each card.

    Raises
    ------
    GridlensError
        No cutout is left, or the folder is not empty or cannot be written.
    """
    parts = [_lead(explanation), *(f"<p>{escape(note)}</p>" for note in notes)]
    parts += _importances(explainer, explanation)
    parts += _figures(explanation)
    parts.append(f"<h2>The best {len(cutouts)} candidates</h2>" if len(cutouts) > 1 else "<h2>The best candidate</h2>")
    parts.append(
        "<p>The arc candidate that a score owes most to is outlined, and the circle through it dashed. Terms are in "
        "the order of their strength; grey words say in which patches.</p>"
    )
    for place, (row, cutout) in enumerate(sorted(cutouts.items()), start=1):
        maps, title = card_maps(explainer, cutout), f"{place} · "
        parts.append(
            card_html(explainer, cutout, explanation, row, maps, prevalence=prevalence, dpi=_CARD_DPI, title=title)
        )
        if progress is not None:
            progress(1)
    body = report_page("Why these scores", parts, _STYLE)
    with atomic_folder(folder) as temporary:
        (temporary / "index.html").write_text(body, encoding="utf-8")


def _lead(explanation: Explanation) -> str:
    fine = int(np.isfinite(explanation.log_odds).sum())
    rejected = len(explanation) - fine
    left = f" {rejected} that were rejected are left out." if rejected else ""
    return (
        "<h1>Why these scores</h1>"
        f'<p class="lead">{fine:,} cutouts.{left} Contributions are exact Shapley values, in log-odds of the stack '
        "before calibration: base and contributions of a cutout add up to its score. Brackets are 95 % intervals of "
        "bootstrap draws of the cutouts.</p>"
    )


def _importances(explainer: Explainer, explanation: Explanation) -> list[str]:
    groups, features = importance(explanation), importance(explanation, "feature")
    on_features = all(member.consumes == "features" for member in explainer.detector.stack_.members_)
    several = int(np.isfinite(explanation.log_odds).sum()) > 1
    lost: dict[str, pd.Series[float]] = {}
    if on_features and several:
        shown = [name for name in features["name"] if name in FEATURE_LABELS]
        for by, names in (("group", None), ("feature", shown)):
            table = permutation_importance(
                explainer.detector,
                explanation.features,
                by=by,  # type: ignore[arg-type]
                names=names,
                n_repeats=_SHUFFLES,
            )
            lost[by] = table.set_index("name")["loss"]
    head = ("mean |contribution|", "mean", "lost by a shuffle, nats")
    return [
        "<h2>What the scores are made of</h2>",
        "<p>A contribution is what a group or feature adds to, or takes from, the log-odds. Beside it stands what the "
        "model's judgement loses where the columns of the group are shuffled among these cutouts: the Kullback-Leibler "
        "divergence of its probabilities, at even prevalence, from those before.</p>",
        "<p><b>Read the two together.</b> Features say the same things: nine patches may show one arc, and a long arc "
        "is an elongated one. Shapley values share among such features what they add, so that each looks weak, and "
        "which of them gets most hangs on which one the trees happened to ask. A shuffle of one feature leaves the "
        "others to speak for it, and shows the model rows that cannot be. Sums over groups suffer least. Neither tells "
        "what makes a lens: both are about the model.</p>",
        "" if on_features else "<p>Nothing was shuffled: a member looks at cutouts, not at features.</p>",
        '<div class="pair"><div>',
        report_table(("group", *head), _lines(groups, lost.get("group"))),
        "</div><div>",
        report_table(("member", *head[:2]), [line[:3] for line in _lines(importance(explanation, "member"), None)]),
        "</div></div>",
        _figure(
            plot_importance(features, lost.get("feature")),
            "By feature, over all patches: mean absolute contribution, and what a shuffle of its columns loses",
        ),
        "<details><summary>The same in numbers</summary>",
        report_table(("feature", *head), _lines(features, lost.get("feature"))),
        "</details>",
    ]


def _lines(table: pd.DataFrame, lost: pd.Series[float] | None) -> list[tuple[str, ...]]:
    return [
        (
            FEATURE_LABELS.get(row.name, row.name),
            str(Estimate(row.mean_abs, row.low, row.high)),
            f"{row.mean:+.3f}",
            f"{lost[row.name]:.4f}" if lost is not None and row.name in lost else "",
        )
        for row in table.itertuples(index=False)
    ]


def _figures(explanation: Explanation) -> list[str]:
    table = importance(explanation, "feature", n_boot=2)
    names = [name for name in table["name"] if name in FEATURE_LABELS and name not in METADATA_NAMES]
    return [
        "<h2>Which values speak for a lens</h2>",
        _figure(
            plot_beeswarm(explanation, names[:_SWARM]),
            "A point is one patch of one cutout. Patches without an arc candidate are grey in the features of arcs.",
        ),
        _figure(
            plot_dependence(explanation, names[:_DEPENDENCE]),
            "What the strongest features add, against their values in a patch; the line is the running median. "
            "Arc features are of patches that show a candidate.",
        ),
    ]


def _figure(figure: Figure, caption: str) -> str:
    return (
        f'<figure><img alt="{escape(caption)}" src="{image_uri(figure, _FIGURE_DPI)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
