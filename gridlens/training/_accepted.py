"""Accept a retrained model, or keep the old one."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from gridlens._tables import some_names
from gridlens.evaluation import auroc, compare, tpr_at_fpr
from gridlens.evaluation._compare import Comparison
from gridlens.training._bundled import Beside
from gridlens.training._markdown import markdown_table

__all__ = ["Scored", "accepted_or_kept"]

_DRAWS = 300
_MEASURES: dict[str, Any] = {"AUROC": auroc, "TPR at FPR 0.01": partial(tpr_at_fpr, fpr=0.01)}
# Fewest rows of a class that a comparison is made on.
_FEWEST = 5
# A known lens counts as found by a model that ranks it in this top fraction of the pool.
_LIST = 0.01


class Scored(NamedTuple):
    """Rows with out-of-fold scores of both models.

    Attributes
    ----------
    label, group : ndarray of shape (n,)
    old, new : ndarray of shape (n,)
    weight : ndarray of shape (n,)
        Number of objects of the pool that a row represents; 0 if unknown.
    gold : ndarray of shape (n,), bool
    lens : ndarray of shape (n,), bool
        Known lenses, gold or labelled in a table.
    ids : ndarray of shape (n,)
    old_pool, new_pool : ndarray of shape (m,)
        Scores of a random sample of the pool.
    """

    label: np.ndarray
    group: np.ndarray
    old: np.ndarray
    new: np.ndarray
    weight: np.ndarray
    gold: np.ndarray
    lens: np.ndarray
    ids: np.ndarray
    old_pool: np.ndarray
    new_pool: np.ndarray


def accepted_or_kept(rows: Scored, old_name: str) -> Beside:
    """Compare a retrained model with the old model on graded rows that represent the pool, and on gold objects.

    The new model is rejected if it is worse on either set, judged by a paired 95 % interval of the AUROC or of the TPR
    at an FPR of 0.01, or if it loses a known lens, which the old model ranks in the top 1 % of the pool and the new
    model does not.

    Parameters
    ----------
    rows : Scored
    old_name : str

    Returns
    -------
    Beside
    """
    sets = {
        "graded objects, weighted to represent the pool": (rows.weight > 0.0) & ~rows.gold,
        "gold objects": rows.gold,
    }
    reasons: list[str] = []
    table: list[list[str]] = []
    for name, chosen in sets.items():
        found = _compared(rows, chosen, None if "gold" in name else rows.weight[chosen])
        for measure, one in found.items():
            gain = one.difference
            told = gain.note or f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
            table.append([name, measure, str(one.b), str(one.a), told])
            if not gain.note and gain.high < 0.0:
                reasons.append(f"it is worse in {measure} on {name} ({told})")
    lost = _lost(rows)
    if len(lost):
        reasons.append(f"it loses {len(lost)} known lenses from the top {_LIST:.0%} of the pool ({some_names(lost)})")
    accepted = not reasons
    if accepted and table:
        verdict = f"This model is accepted: it is not worse than the old model, {old_name}, and loses no known lens."
    elif accepted:
        verdict = (
            f"This model is accepted, but could not be compared with the old model, {old_name}: fewer than {_FEWEST} "
            "lenses or non-lenses are gold objects or represent the pool."
        )
    else:
        verdict = f"This model is not accepted, and the old model, {old_name}, is kept: {'; '.join(reasons)}."
    head = ["rows", "measure", "this model", "the old model", "difference"]
    return Beside(verdict, markdown_table(head, table) if table else "", f"the old model, {old_name}", accepted)


def _compared(rows: Scored, chosen: np.ndarray, weight: np.ndarray | None) -> dict[str, Comparison]:
    label = rows.label[chosen]
    if min(int((label == 1).sum()), int((label == 0).sum())) < _FEWEST:
        return {}
    # The metrics depend on the ranks alone; with ranks, models that give the same order compare as equal.
    old, new = rankdata(rows.old[chosen]), rankdata(rows.new[chosen])
    return compare(label, old, new, _MEASURES, rows.group[chosen], weight, n_boot=_DRAWS)


def _lost(rows: Scored) -> list[str]:
    """Return the known lenses that the old model finds in the pool and the new model does not."""
    if not len(rows.old_pool):
        return []
    old, new = (float(np.quantile(score, 1.0 - _LIST)) for score in (rows.old_pool, rows.new_pool))
    lost = rows.lens & (rows.old >= old) & (rows.new < new)
    return [str(name) for name in rows.ids[lost]]
