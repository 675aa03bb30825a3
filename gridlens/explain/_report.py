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
from gridlens.explain._card import CARD_STYLE, card_html
from gridlens.explain._explainer import Explainer, Explanation
from gridlens.explain._importance import importance, permutation_importance
from gridlens.explain._pictures import image_uri
from gridlens.explain._plots import plot_beeswarm, plot_dependence, plot_importance
from gridlens.explain._words import FEATURE_LABELS
from gridlens.features import FEATURE_GROUPS, METADATA_NAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_explanations"]

_SWARM, _DEPENDENCE = 14, 6
_FIGURE_DPI, _CARD_DPI = 130, 78
_STYLE = CARD_STYLE + "figure img { width: 100%; height: auto; } figure.half img { max-width: 46rem; }"


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
        "<p>The arc candidate that a score owes most to is outlined, and the circle through it dashed. Terms are in the "
        "order of their strength; grey words say in which patches.</p>"
    )
    for place, (row, cutout) in enumerate(sorted(cutouts.items()), start=1):
        parts.append(
            card_html(explainer, cutout, explanation, row, prevalence=prevalence, dpi=_CARD_DPI, title=f"{place} · ")
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
        f'<p class="lead">{fine:,} cutouts.{left} Contributions are exact Shapley values, in log-odds of the stack before '
        "calibration: base and contributions of a cutout add up to its score. Brackets are 95 % intervals of bootstrap "
        "draws of the cutouts.</p>"
    )


def _importances(explainer: Explainer, explanation: Explanation) -> list[str]:
    groups, features = importance(explanation), importance(explanation, "feature")
    on_features = all(member.consumes == "features" for member in explainer.detector.stack_.members_)
    shown = [name for name in features["name"][:_SWARM] if name in FEATURE_LABELS]
    losses = {"group": pd.DataFrame({"name": [], "loss": []}), "feature": pd.DataFrame({"name": [], "loss": []})}
    enough = int(np.isfinite(explanation.log_odds).sum()) > 1
    if on_features and enough:
        losses["group"] = permutation_importance(explainer.detector, explanation.features)
        losses["feature"] = permutation_importance(
            explainer.detector, explanation.features, by="feature", names=shown, n_repeats=3
        )
    parts = [
        "<h2>What the scores are made of</h2>",
        "<p>The first column is what a group or feature adds or takes away, on the whole. The second is what the model's "
        "judgement loses where the columns of the group are shuffled among these cutouts: the Kullback-Leibler "
        "divergence of its probabilities, at even prevalence, from those before.</p>"
        "<p><b>Read them together.</b> Features say the same things: nine patches may show one arc, and a long arc is an "
        "elongated one. Shapley values share what such features add among them, so that each looks weak, and which of them "
        "gets most hangs on which one the trees happened to ask. A shuffle of one leaves the others to speak for it, "
        "and shows the model rows that cannot be. Sums over groups suffer least. Neither says that the sky is so.</p>",
    ]
    if not on_features:
        parts.append(
            "<p>Nothing was shuffled: a member looks at cutouts, and shuffled features change nothing there.</p>"
        )
    for title, table, loss in (("group", groups, losses["group"]), ("feature", features, losses["feature"])):
        lines = _lines(table, loss)
        parts.append(
            report_table(
                (title, "mean |contribution|", "mean", "lost where shuffled, nats a cutout", "of"), lines, text=(4,)
            )
        )
    members = importance(explanation, "member")
    parts += [
        "<h3>By member</h3>",
        report_table(
            ("member", "mean |contribution|", "mean"), [line[:3] for line in _lines(members, losses["group"])]
        ),
        _figure(
            plot_importance(features, "by feature, over all patches"),
            "Mean absolute contribution of each feature",
            "half",
        ),
    ]
    return parts


def _lines(table: pd.DataFrame, loss: pd.DataFrame) -> list[tuple[Any, ...]]:
    lost = dict(zip(loss["name"], loss["loss"], strict=True))
    group_of = {
        name.split("_", 1)[1]: group for group, names in FEATURE_GROUPS.items() for name in names if "patch" in name
    }
    group_of |= dict.fromkeys(METADATA_NAMES, "metadata")
    return [
        (
            FEATURE_LABELS.get(row.name, row.name),
            Estimate(row.mean_abs, row.low, row.high),
            f"{row.mean:+.3f}",
            f"{lost[row.name]:.4f}" if row.name in lost else "",
            group_of.get(row.name, ""),
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


def _figure(figure: Figure, caption: str, kind: str = "") -> str:
    return (
        f'<figure class="{kind}"><img alt="{escape(caption)}" src="{image_uri(figure, _FIGURE_DPI)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
