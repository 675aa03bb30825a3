"""Comparison of a model of your own cutouts with the bundled model on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from gridlens.evaluation import auroc, compare, tpr_at_fpr
from gridlens.models import PretrainedMember, load_model
from gridlens.training._markdown import markdown_table

__all__ = ["Beside", "beside_bundled", "builds_on_bundled", "bundled_log_odds"]

_BUNDLED = "default"
_DRAWS = 300
_BATCH_ROWS = 65536
_MEASURES: dict[str, Any] = {
    "AUROC": auroc,
    "TPR at FPR 0.01": partial(tpr_at_fpr, fpr=0.01),
    "TPR at FPR 0.001": partial(tpr_at_fpr, fpr=0.001),
}


class Beside(NamedTuple):
    """The comparison of a model with another model."""

    verdict: str
    """a sentence that tells which model is better"""
    table: str
    """in Markdown; "" if the models were not compared"""
    other: str = "the bundled model"
    accepted: bool = True
    """whether the model may replace the other one"""


def bundled_log_odds(features: np.ndarray) -> np.ndarray:
    """Return the log-odds (n,) of the bundled model for features (n, 315); NaN for rows that it rejects."""
    detector = load_model(_BUNDLED)
    # In batches, since metadata that the model does not use are masked in a copy.
    starts = range(0, len(features), _BATCH_ROWS)
    return np.concatenate([detector.decision_function(features[start : start + _BATCH_ROWS]) for start in starts])


def builds_on_bundled(members: Sequence[Any]) -> bool:
    """Return whether the bundled model is among the members of a model."""
    return any(isinstance(member, PretrainedMember) and member.model == _BUNDLED for member in members)


def beside_bundled(
    label: np.ndarray, score: np.ndarray, bundled: np.ndarray, group: np.ndarray | None, builds_on_it: bool
) -> Beside:
    """Compare held-out scores of a model with those of the bundled model, paired by row.

    Parameters
    ----------
    label : ndarray of shape (n,)
    score, bundled : ndarray of shape (n,)
        Scores of the model and of the bundled model, higher for more likely lenses. Rows where the latter is NaN are
        left out.
    group : ndarray of shape (n,) or None
        Clusters.
    builds_on_it : bool
        Whether the bundled model is a member of the model.
    """
    both = np.isfinite(bundled)
    if not 0 < label[both].sum() < both.sum():
        return Beside(
            "This model and the bundled model cannot be compared on these rows: the bundled model scores only "
            f"{int(both.sum())} of {len(label)}.",
            "",
        )
    # The metrics depend on the ranks alone; with ranks, models that give the same order compare as equal.
    found = compare(
        label[both],
        rankdata(bundled[both]),
        rankdata(score[both]),
        _MEASURES,
        groups=None if group is None else group[both],
        n_boot=_DRAWS,
    )
    rows = [[name, one.b, one.a, _gain(one.difference)] for name, one in found.items()]
    head = ["measure", "this model", "the bundled model", "difference"]
    left_out = "" if both.all() else f" ({int(both.sum()):,} of {len(label):,}, those that both models score)"
    return Beside(_verdict(found["AUROC"], left_out, builds_on_it), markdown_table(head, rows))


def _verdict(auroc: Any, left_out: str, builds_on_it: bool) -> str:
    gain = auroc.difference
    if gain.note:
        return f"This model and the bundled model cannot be compared on these rows{left_out}: {gain.note}."
    first, second, way_out = auroc.b.value, auroc.a.value, ""
    if gain.low > 0.0:
        said = "This model is better than the bundled model on these rows"
    elif gain.high < 0.0:
        said = "The bundled model is better than this model on these rows"
        first, second = second, first
        way_out = (
            "" if builds_on_it else ' Build on the bundled model with init_model="default" to keep its performance.'
        )
    else:
        said = "This model and the bundled model cannot be distinguished on these rows"
    return f"{said}{left_out}: AUROC {first:.3f} against {second:.3f}, a paired difference of {_gain(gain)}.{way_out}"


def _gain(gain: Any) -> str:
    return str(gain.note) or f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
