"""Complete evaluation of a ranking, as shown in a report and recorded in a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gridlens.calibration import reliability
from gridlens.calibration._checks import checked_groups, checked_probabilities, checked_share
from gridlens.calibration._reliability import Reliability
from gridlens.calibration._weights import checked_weights, effective_number, weighed
from gridlens.evaluation._compare import Comparison, McNemar, compare, mcnemar
from gridlens.evaluation._controls import MatchedNegatives, control_score, matched_negatives
from gridlens.evaluation._discovery import DiscoveryCurve, discovery_curve
from gridlens.evaluation._false_positives import tpr_at_false_positives
from gridlens.evaluation._intervals import Estimate, unresolvable
from gridlens.evaluation._precision import average_precision
from gridlens.evaluation._ranking import _checked, auroc, tpr_at_fpr
from gridlens.evaluation._strata import stratified
from gridlens.evaluation._summary import evaluate_ranking

__all__ = ["Evaluation", "Strata", "evaluate"]

_MODEL = "model"
_OPERATING_FPR = 1e-2
# Fewer rows of either class are too few to fit an out-of-fold control.
_LEAST_CONTROL = 20


class Strata(NamedTuple):
    """Strata for `evaluate`: names, or numbers that are cut at `edges`."""

    values: Any
    edges: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Evaluation:
    """Result of `evaluate`.

    Attributes
    ----------
    prevalence : float
        As given.
    n_rows, n_positive, n_groups : int
        Counts without rows of weight 0.
    fraction : float
        Weighted fraction of positives among the rows.
    n_effective : tuple of float, or None
        Effective numbers ``(sum w)^2 / sum w^2`` of the positives and of the negatives; None without weights.
    metrics : dict of str to Estimate
        See `evaluate_ranking`.
    controls : dict of str to dict
        Metrics on all rows by name, for the model and each control.
    matched : MatchedNegatives or None
    matched_metrics : dict of str to dict
        The same metrics on the matched rows only.
    strata : dict of str to DataFrame
        See `stratified`.
    curve : DiscoveryCurve
    bins : Reliability or None
        None without probabilities.
    comparisons : dict of str to Comparison
        Comparisons with the other score; empty without one.
    disagreement : McNemar or None
        None without another score, or with weights, for which there is no such test.
    y, scores : ndarray, and dict of ndarray
        Data for figures: labels, and the scores of the model and of each control.
    sample_weight : ndarray or None
        Weights of these rows.
    n_boot, random_state : int
    """

    prevalence: float
    n_rows: int
    n_positive: int
    n_groups: int
    fraction: float
    n_effective: tuple[float, float] | None
    metrics: dict[str, Estimate]
    controls: dict[str, dict[str, Estimate]]
    matched: MatchedNegatives | None
    matched_metrics: dict[str, dict[str, Estimate]]
    strata: dict[str, pd.DataFrame]
    curve: DiscoveryCurve
    bins: Reliability | None
    comparisons: dict[str, Comparison]
    disagreement: McNemar | None
    n_boot: int
    random_state: int
    y: np.ndarray = field(repr=False)
    scores: dict[str, np.ndarray] = field(repr=False)
    sample_weight: np.ndarray | None = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return everything except the rows, in JSON types; values that are not finite are null."""
        return {
            "prevalence": self.prevalence,
            "rows": self.n_rows,
            "positives": self.n_positive,
            "groups": self.n_groups,
            "effective_positives": None if self.n_effective is None else self.n_effective[0],
            "effective_negatives": None if self.n_effective is None else self.n_effective[1],
            "bootstrap_draws": self.n_boot,
            "random_state": self.random_state,
            "metrics": {name: _plain(found) for name, found in self.metrics.items()},
            "controls": {name: {k: _plain(v) for k, v in found.items()} for name, found in self.controls.items()},
            "matched": None
            if self.matched is None
            else {
                "positives": len(np.unique(self.matched.positive)),
                "negatives": len(np.unique(self.matched.negative)),
                "unmatched": len(self.matched.unmatched),
                "balance": _plain(self.matched.balance.to_dict("index")),
                "metrics": {name: {k: _plain(v) for k, v in m.items()} for name, m in self.matched_metrics.items()},
            },
            "strata": {name: _plain(table.to_dict("records")) for name, table in self.strata.items()},
            "discovery": {
                "half_found": _plain(self.curve.half),
                "rows": self.curve.n_rows,
                "reviewed": _plain(self.curve.reviewed),
                "found": _plain(self.curve.found),
                "low": _plain(self.curve.low),
                "high": _plain(self.curve.high),
            },
            "reliability": None if self.bins is None else {k: _plain(v) for k, v in self.bins._asdict().items()},
            "comparison": {
                name: {part: _plain(getattr(found, part)) for part in ("a", "b", "difference")}
                for name, found in self.comparisons.items()
            },
            "mcnemar": None if self.disagreement is None else _plain(self.disagreement._asdict()),
        }


def evaluate(
    y: Any,
    score: Any,
    prevalence: float,
    *,
    p: Any = None,
    groups: Any = None,
    sample_weight: Any = None,
    strata: Mapping[str, Strata] | None = None,
    controls: Mapping[str, Any] | None = None,
    match_on: Any = None,
    other: Any = None,
    n_boot: int = 1000,
    random_state: int = 0,
    progress: Callable[[int], Any] | None = None,
) -> Evaluation:
    """Evaluate a ranking: metrics, comparison with simple controls, strata, and comparison with another score.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    prevalence : float
        Fraction of positives among the rows that will be scored, between 0 and 1 (exclusive).
    p : array-like of shape (n,), default=None
        Probabilities from 0 to 1, at the weighted fraction of positives in these rows. Adds the metrics of calibration.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, belong together.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, such as the inverse of the probability with which each row was selected
        to be labelled; the metrics then refer to the population from which the rows were selected. Rows of weight 0 are
        left out. Matching ignores the weights; in the metrics of matched rows, a negative has the weight of its
        positive. If None, every row has weight 1.
    strata : dict of str to Strata, default=None
        Strata to evaluate separately, by name. `stratified` describes which negatives each is compared with.
    controls : dict of str to DataFrame, default=None
        Columns of n rows, by name. Each set is evaluated with a simple classifier, as a baseline for the model.
    match_on : DataFrame, default=None
        Columns of n rows in which negatives are matched to the positives. The model is also evaluated on the matched
        rows.
    other : array-like of shape (n,), default=None
        Another score of the same rows for comparison; differences are `other` minus `score`.
    n_boot : int, default=1000
        Number of draws of each bootstrap.
    random_state : int, default=0
        Random seed.
    progress : callable, default=None
        Called with 1 after each of the five steps.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1 or of only one class, scores that are NaN or all equal, a `p`
        outside 0 to 1, a prevalence outside (0, 1), weights that are negative or not finite, or 0 for a whole class.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.evaluation import evaluate
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([1, 0], [100, 2000])
    >>> found = evaluate(y, rng.normal(size=2100) + 2 * y, prevalence=0.01, n_boot=100)
    >>> print(found.metrics["TPR at FPR 1e-2"])
    0.420 [0.328, 0.518]
    """
    labels, values = _checked(y, score)
    share = checked_share("prevalence", prevalence)
    members = None if groups is None else checked_groups(groups, len(labels))
    probabilities = None if p is None else checked_probabilities(p, len(labels))
    others = None if other is None else _checked(labels, other)[1]
    weight = checked_weights(sample_weight, len(labels))
    kept = None if weight is None else weight > 0.0
    strata = {name: Strata(_rows_of(one.values, kept), one.edges) for name, one in (strata or {}).items()}
    controls = {name: _rows_of(table, kept) for name, table in (controls or {}).items()}
    match_on = _rows_of(match_on, kept)
    weight, labels, values, members, probabilities, others = weighed(
        weight, labels, values, members, probabilities, others
    )
    n_positive = int(labels.sum())
    if not 0 < n_positive < len(labels):
        kind = "1" if n_positive else "0"
        raise ValueError(
            f"The 'y' parameter must contain both 0 and 1. Got {len(labels)} rows of {kind} alone instead; "
            "a ranking is evaluated by how it orders the two classes."
        )
    if np.ptp(np.where(np.isfinite(values), values, 0.0)) == 0.0 and len(np.unique(values)) == 1:
        raise ValueError(f"The 'score' parameter must not be constant. Got {values[0]:g} in all rows instead.")

    def done(result: Any) -> Any:
        if progress is not None:
            progress(1)
        return result

    options: dict[str, Any] = {"n_boot": n_boot, "random_state": random_state}
    metrics = done(evaluate_ranking(labels, values, members, share, probabilities, weight, **options))
    scores = {_MODEL: values} | _control_scores(labels, members, weight, controls, random_state)
    measured = {name: _measures(labels, column, members, weight, options) for name, column in scores.items()}
    matched, matched_metrics = _on_matched(labels, scores, members, weight, match_on, options)
    done(None)
    tables = done(
        {
            name: stratified(
                _by_stratum(share, options), labels, values, group.values, members, weight, edges=group.edges
            )
            for name, group in strata.items()
        }
    )
    curve = done(discovery_curve(labels, values, share, members, weight, **options))
    comparisons, disagreement = {}, None
    if others is not None:
        comparisons = compare(labels, values, others, _compared(), members, weight, **options)
        disagreement = mcnemar(labels, values, others, fpr=_OPERATING_FPR) if weight is None else None
        scores["other"] = others
    done(None)
    return Evaluation(
        prevalence=share,
        n_rows=len(labels),
        n_positive=n_positive,
        n_groups=len(labels) if members is None else len(np.unique(members)),
        fraction=float(np.average(labels, weights=weight)),
        n_effective=None if weight is None else _effective(labels, weight),
        metrics=metrics,
        controls=measured,
        matched=matched,
        matched_metrics=matched_metrics,
        strata=tables,
        curve=curve,
        bins=None if probabilities is None else reliability(labels, probabilities, sample_weight=weight),
        comparisons=comparisons,
        disagreement=disagreement,
        n_boot=n_boot,
        random_state=random_state,
        y=labels,
        scores=scores,
        sample_weight=weight,
    )


def _rows_of(table: Any, kept: np.ndarray | None) -> Any:
    """Return the kept rows of one column, or of columns as in `control_score`."""
    if table is None or kept is None or kept.all():
        return table
    if isinstance(table, dict):
        return {name: np.asarray(column)[kept] for name, column in table.items()}
    return table[kept] if isinstance(table, pd.DataFrame) else np.asarray(table)[kept]


def _effective(labels: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    return effective_number(weight[labels == 1]), effective_number(weight[labels == 0])


def _compared() -> dict[str, Callable[..., Estimate]]:
    return {
        "TPR at FPR 1e-3": partial(tpr_at_fpr, fpr=1e-3),
        "TPR at FPR 1e-2": partial(tpr_at_fpr, fpr=1e-2),
        "AUROC": auroc,
    }


def _by_stratum(prevalence: float, options: Mapping[str, Any]) -> dict[str, Callable[..., Estimate]]:
    """Return the metrics for each stratum, with an interval."""
    return {
        "TPR at FPR 1e-3": partial(tpr_at_fpr, fpr=1e-3, **options),
        "TPR at FPR 1e-2": partial(tpr_at_fpr, fpr=1e-2, **options),
        "TPR at FPR 0.1": partial(tpr_at_fpr, fpr=0.1, **options),
        "TPR0": partial(tpr_at_false_positives, n=0, **options),
        "TPR10": partial(tpr_at_false_positives, n=9, **options),
        f"average precision at {prevalence:g}": partial(average_precision, prevalence=prevalence, **options),
        "AUROC": partial(auroc, **options),
    }


def _control_scores(
    labels: np.ndarray,
    groups: np.ndarray | None,
    weight: np.ndarray | None,
    controls: Mapping[str, Any],
    random_state: int,
) -> dict[str, np.ndarray]:
    if min(labels.sum(), len(labels) - labels.sum()) < _LEAST_CONTROL:
        return {}
    return {
        name: control_score(table, labels, groups, weight, random_state=random_state)
        for name, table in controls.items()
    }


def _measures(
    labels: np.ndarray,
    score: np.ndarray,
    groups: np.ndarray | None,
    weight: np.ndarray | None,
    options: Mapping[str, Any],
) -> dict[str, Estimate]:
    return {
        "TPR at FPR 1e-3": tpr_at_fpr(labels, score, 1e-3, groups, weight, **options),
        "TPR at FPR 1e-2": tpr_at_fpr(labels, score, 1e-2, groups, weight, **options),
        "TPR at FPR 0.1": tpr_at_fpr(labels, score, 0.1, groups, weight, **options),
        "AUROC": auroc(labels, score, groups, weight, **options),
    }


def _on_matched(
    labels: np.ndarray,
    scores: Mapping[str, np.ndarray],
    groups: np.ndarray | None,
    weight: np.ndarray | None,
    match_on: Any,
    options: Mapping[str, Any],
) -> tuple[MatchedNegatives | None, dict[str, dict[str, Estimate]]]:
    if match_on is None:
        return None, {}
    matched = matched_negatives(labels, match_on, random_state=options["random_state"])
    rows = matched.rows
    if not len(rows):
        return matched, {name: {"AUROC": unresolvable(0, "matched negative")} for name in scores}
    of_rows = None if groups is None else groups[rows]
    if weight is not None:
        # The negatives get the weights of the positives that they are matched with.
        weight = weight.copy()
        weight[matched.negative] = weight[matched.positive]
        weight = weight[rows]
    found = {name: _measures(labels[rows], column[rows], of_rows, weight, options) for name, column in scores.items()}
    return matched, found


def _plain(value: Any) -> Any:
    """Convert `value` to JSON types."""
    if isinstance(value, Estimate):
        return {"value": _plain(value.value), "low": _plain(value.low), "high": _plain(value.high), "note": value.note}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
