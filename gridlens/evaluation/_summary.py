"""All metrics of a ranking at once, from one bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gridlens.calibration._checks import checked_groups, checked_probabilities, checked_share, checked_whole
from gridlens.calibration._weights import weighed
from gridlens.evaluation._bootstrap import Pending, Sample, settled
from gridlens.evaluation._false_positives import tpr_at_false_positives_plan
from gridlens.evaluation._intervals import Estimate, unresolvable
from gridlens.evaluation._precision import average_precision_plan, tpr_at_precision_plan
from gridlens.evaluation._proper import calibration_plan, loss_plan
from gridlens.evaluation._ranking import _checked, auroc_plan, tpr_at_fpr_plan
from gridlens.evaluation._top import top_plan

__all__ = ["evaluate_ranking"]

_RATES = (1e-4, 1e-3, 1e-2, 0.1)


def evaluate_ranking(
    y: Any,
    score: Any,
    groups: Any = None,
    prevalence: float | None = None,
    p: Any = None,
    sample_weight: Any = None,
    *,
    ks: Sequence[int] = (100, 500),
    n_boot: int = 1000,
    random_state: int = 0,
) -> dict[str, Estimate]:
    """Compute all metrics of this package from one bootstrap, the most informative first.

    Each equals the result of its own function for the same rows, `n_boot` and `random_state`.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, are drawn together.
    prevalence : float, default=None
        Fraction of positives among the rows that will be scored, between 0 and 1 (exclusive). Adds the metrics at this
        prevalence.
    p : array-like of shape (n,), default=None
        Probabilities from 0 to 1, no NaN. Adds their metrics, at the prevalence of these rows.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, as for each of the functions. If None, every row has weight 1.
    ks : sequence of int, default=(100, 500)
        Lengths of the lists, out of the number of rows, or the sum of their weights.
    n_boot : int, default=1000
        Number of bootstrap draws.
    random_state : int, default=0
        Random seed of the bootstrap.

    Returns
    -------
    dict of str to Estimate
        "TPR at FPR 1e-4", "1e-3", "1e-2", "0.1"; "TPR0", "TPR10"; "average precision"; "precision at 100", "recall at
        100" and so on for `ks`; the same at the given prevalence, such as "average precision at prevalence 1e-3",
        preceded by "TPR at precision 0.5 and prevalence 1e-3"; "AUROC"; with `p` also "Brier score", "log loss",
        "calibration error".

    Raises
    ------
    ValueError
        As in these functions.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.evaluation._summary import evaluate_ranking
    >>> score = np.arange(300)
    >>> for name, estimate in evaluate_ranking(score >= 280, score, ks=[50]).items():
    ...     print(f"{name}: {estimate}")
    TPR at FPR 1e-4: not resolvable with 280 negatives
    TPR at FPR 1e-3: not resolvable with 280 negatives
    TPR at FPR 1e-2: 1.000 [0.839, 1.000]
    TPR at FPR 0.1: 1.000 [0.839, 1.000]
    TPR0: 1.000 [0.839, 1.000]
    TPR10: 1.000 [0.839, 1.000]
    average precision: 1.000 [0.705, 1.000]
    precision at 50: 0.400 [0.276, 0.538]
    recall at 50: 1.000 [0.839, 1.000]
    AUROC: 1.000 [0.839, 1.000]
    """
    labels, scores = _checked(y, score)
    values = None if p is None else checked_probabilities(p, len(labels))
    members = None if groups is None else checked_groups(groups, len(labels))
    weight, labels, scores, values, members = weighed(sample_weight, labels, scores, values, members)
    sample = Sample(labels, scores, members, weight)
    share = None if prevalence is None else checked_share("prevalence", prevalence)
    lengths = [checked_whole("ks", k, 1) for k in ks]
    draws = checked_whole("n_boot", n_boot, 1)

    plans: dict[str, Estimate | Pending] = {}
    for rate in _RATES:
        plans[f"TPR at FPR {_short(rate)}"] = tpr_at_fpr_plan(sample, rate)
    plans["TPR0"] = tpr_at_false_positives_plan(sample, 0)
    plans["TPR10"] = tpr_at_false_positives_plan(sample, 9)
    plans |= _of_lists(sample, lengths, None)
    if share is not None:
        at = f"prevalence {_short(share)}"
        plans[f"TPR at precision 0.5 and {at}"] = tpr_at_precision_plan(sample, 0.5, share)
        plans |= {f"{name} at {at}": plan for name, plan in _of_lists(sample, lengths, share).items()}
    plans["AUROC"] = auroc_plan(sample)
    if values is not None:
        plans["Brier score"] = loss_plan("brier", sample, values, None)
        plans["log loss"] = loss_plan("log", sample, values, None)
        plans["calibration error"] = calibration_plan(sample, values, 15)
    return dict(zip(plans, settled(sample, list(plans.values()), draws, random_state), strict=True))


def _of_lists(sample: Sample, lengths: list[int], prevalence: float | None) -> dict[str, Estimate | Pending]:
    """Plan the average precision, and precision and recall at each length."""
    plans = {"average precision": average_precision_plan(sample, prevalence)}
    n = sample.total
    for k in lengths:
        for measure in ("precision", "recall"):
            plan = top_plan(measure, sample, k, n, prevalence) if k <= n else unresolvable(len(sample.y), "row")
            plans[f"{measure} at {k}"] = plan
    return plans


def _short(share: float) -> str:
    """Format a fraction, 0.001 as "1e-3" and 0.25 as "0.25"."""
    if share >= 0.1:
        return f"{share:g}"
    mantissa, exponent = f"{share:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
