"""A page about many scores: the best candidates, and the importance of features."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from gridlens._files import atomic_folder, check_new_folder
from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.evaluation import Estimate
from gridlens.explain import Explainer, Explanation, importance, permutation_importance
from gridlens.explain._sample import MOST_SHEETS
from gridlens.explain._words import FEATURE_LABELS
from gridlens.features._contract import METADATA_NAMES
from gridlens.reports._contact import thumbnail
from gridlens.reports._explanation_plots import plot_beeswarm, plot_dependence, plot_importance
from gridlens.reports._figures import image_uri
from gridlens.reports._pages import check_libraries, render
from gridlens.reports._sheet import sheet_for_page

__all__ = ["write_explanations"]

_SWARM, _DEPENDENCE, _SHUFFLES = 14, 6, 3
_FIGURE_DPI, _SHEET_DPI = 130, 110


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
    """Write `index.html` into a new folder, atomically: an explanation of the scores of cutouts.

    The page starts with small pictures of the candidates, which link to their candidate sheets. The importance by
    group, feature and member with bootstrap intervals, the permutation importance, a beeswarm plot and dependence plots
    follow. The page needs no other files or scripts.

    Parameters
    ----------
    explainer : Explainer
    explanation : Explanation of n
        Explanation, best first. Rejected cutouts are counted and omitted.
    cutouts : dict of int to CutoutSet of 1
        Cutouts by row of `explanation`, for candidate sheets: at most 500, so that a browser can open the page.
    folder : str or path
        New or empty folder.
    prevalence : float, default=1e-3
        Prevalence of the probabilities on the sheets.
    notes : sequence of str
        Sentences to show below the title.
    progress : callable, optional
        Called with 1 after each sheet.

    Raises
    ------
    GridlensError
        There are no cutouts left, `cutouts` has more than 500, the folder is not empty or cannot be written, or
        matplotlib or jinja2 is missing; both are in the extra ``explain``.
    """
    check_libraries()
    if len(cutouts) > MOST_SHEETS:
        raise GridlensError(
            f"The 'cutouts' parameter must contain at most {MOST_SHEETS} cutouts, since the page would be too large "
            "for a browser. "
            f"Got {len(cutouts)} instead."
        )
    check_new_folder(folder)
    values = _importances(explainer, explanation) | _figures(explanation)
    sheets = []
    for place, (row, cutout) in enumerate(sorted(cutouts.items()), start=1):
        sheet = sheet_for_page(explainer, cutout, explanation, row, prevalence=prevalence, dpi=_SHEET_DPI)
        small = thumbnail(cutout, int(explanation.table["arc_patch"][row]))
        sheets.append({**sheet, "place": place, "thumbnail": small})
        if progress is not None:
            progress(1)
    fine = int(np.isfinite(explanation.log_odds).sum())
    page = render(
        "explanations.html",
        title="Why these scores",
        n_explained=fine,
        n_rejected=len(explanation) - fine,
        most_sheets=MOST_SHEETS,
        notes=notes,
        sheets=sheets,
        **values,
    )
    with atomic_folder(folder) as temporary:
        (temporary / "index.html").write_text(page, encoding="utf-8")


def _importances(explainer: Explainer, explanation: Explanation) -> dict[str, Any]:
    groups, features = importance(explanation), importance(explanation, "feature")
    on_features = all(member.consumes == "features" for member in explainer.detector.stack_.members_)
    several = int(np.isfinite(explanation.log_odds).sum()) > 1
    lost_groups = lost_features = None
    if on_features and several:
        shown = [name for name in features["name"] if name in FEATURE_LABELS]
        lost_groups = _lost(explainer, explanation, "group", None)
        lost_features = _lost(explainer, explanation, "feature", shown)
    return {
        "shuffled": on_features and several,
        "unshuffled_because": "there is only one cutout" if on_features else "a member uses cutouts, not features",
        "groups": _lines(groups, lost_groups),
        "members": [line[:3] for line in _lines(importance(explanation, "member"), None)],
        "features": _lines(features, lost_features),
        "importance_image": image_uri(plot_importance(features, lost_features), _FIGURE_DPI),
    }


def _lost(
    explainer: Explainer, explanation: Explanation, by: Literal["group", "feature"], names: list[str] | None
) -> pd.Series[float]:
    """Return the losses of shuffles by name."""
    table = permutation_importance(explainer.detector, explanation.features, by=by, names=names, n_repeats=_SHUFFLES)
    return table.set_index("name")["loss"]


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


def _figures(explanation: Explanation) -> dict[str, str]:
    # Only the order of the features is used.
    table = importance(explanation, "feature", n_boot=2)
    names = [name for name in table["name"] if name in FEATURE_LABELS and name not in METADATA_NAMES]
    return {
        "beeswarm_image": image_uri(plot_beeswarm(explanation, names[:_SWARM]), _FIGURE_DPI),
        "dependence_image": image_uri(plot_dependence(explanation, names[:_DEPENDENCE]), _FIGURE_DPI),
    }
