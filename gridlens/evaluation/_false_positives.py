"""True positive rate before the first false positives: TPR0 and TPR10 of the Bologna lens finding challenge."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gridlens.calibration import wilson
from gridlens.calibration._checks import checked_whole
from gridlens.calibration._weights import effective_trials
from gridlens.evaluation._bootstrap import Draw, Pending, Sample, both_classes, percentiles, settled
from gridlens.evaluation._intervals import Estimate, unresolvable
from gridlens.evaluation._ranking import sample_of

__all__ = ["tpr_at_false_positives"]


def tpr_at_false_positives(
    y: Any,
    score: Any,
    n: int = 0,
    groups: Any = None,
    sample_weight: Any = None,
    *,
    n_boot: int = 1000,
    random_state: int = 0,
) -> Estimate:
    """Return the largest fraction of the positives, ``TP(t) / P``, found with at most `n` false positives.

    The Bologna lens finding challenge [1]_ ranks by two of these: TPR0, before the first false positive, is ``n=0``;
    TPR10, with fewer than ten, is ``n=9``. The challenge had 100 000 cases. The TPR0 of the same ranking decreases with
    the number of negatives, so only compare values for the same number. `tpr_at_fpr` does not depend on it.

    Rows at or above a threshold pass. Positives that tie with the first negative beyond the allowed ones do not pass.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Clean labels, 0 or 1.
    score : array-like of shape (n_rows,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    n : int, default=0
        Number of false positives allowed, at least 0.
    groups : array-like of shape (n_rows,), default=None
        Group labels. Rows with the same value belong together. The interval is then from a bootstrap that draws whole
        groups.
    sample_weight : array-like of shape (n_rows,), default=None
        Sample weights, finite and non-negative, such as the inverse of the probability with which each row was selected
        to be labelled. The `n` false positives then refer to the population: a negative counts as its weight.
        If None, every row has weight 1.
    n_boot : int, default=1000
        Number of bootstrap draws.
    random_state : int, default=0
        Random seed of the bootstrap.

    Returns
    -------
    Estimate
        With Wilson's interval for the number of positives, or that of the bootstrap, in both cases for the threshold
        that these negatives set; the threshold in another sample is unknown. With weights, Wilson's interval is for the
        effective number of positives. NaN with a note if there are no positives, or at most `n` negatives, which cannot
        set the threshold; and where the highest negative that sets it has a weight above ``n + 1``, because other
        negatives that it represents may score higher.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, NaN scores, an `n` that is not a whole number of at least 0,
        missing groups or groups of mixed types, fewer than 1 draw, weights that are negative, not finite or all 0.

    References
    ----------
    .. [1] Metcalf et al. 2019, "The strong gravitational lens finding challenge", Astronomy & Astrophysics 625, A119.

    Examples
    --------
    >>> from gridlens.evaluation import tpr_at_false_positives
    >>> y, score = [0, 0, 0, 0, 1, 1, 1, 1], [1, 2, 3, 6, 3, 5, 7, 8]
    >>> print(tpr_at_false_positives(y, score))
    0.500 [0.150, 0.850]
    >>> print(tpr_at_false_positives(y, score, 9))
    not resolvable with 4 negatives
    """
    sample = sample_of(y, score, groups, sample_weight)
    plan = tpr_at_false_positives_plan(sample, checked_whole("n", n, 0))
    return settled(sample, [plan], checked_whole("n_boot", n_boot, 1), random_state)[0]


def tpr_at_false_positives_plan(sample: Sample, n: int) -> Estimate | Pending:
    """Plan `tpr_at_false_positives` for a sample, before the bootstrap."""
    missing = both_classes(sample)
    if missing is not None:
        return missing
    tp, fp = sample.whole.tp, sample.whole.fp
    most = n * (1.0 + 1e-12)
    if fp[-1] <= most:
        return unresolvable(len(sample.negative), "negative")
    passed = int(np.searchsorted(fp, most, side="right"))
    heaviest = float(sample.weight[sample.negative[sample.level[sample.negative] <= passed]].max())
    if heaviest > (n + 1) * (1.0 + 1e-9):
        note = f"not resolvable: one of the highest negatives has a weight of {heaviest:.3g}"
        return Estimate(math.nan, math.nan, math.nan, note)
    value = float(tp[passed - 1] / tp[-1]) if passed else 0.0
    if not sample.grouped:
        rows = sample.positive
        hit = sample.level[rows] < passed
        trials = len(rows)
        if sample.weighted:
            trials = effective_trials(np.zeros(len(rows), dtype=np.int64), hit, sample.weight[rows])[0]
        low, high = wilson(min(value, 1.0) * trials, trials)
        return Estimate(value, float(low), float(high))

    def statistic(draw: Draw) -> float:
        return float(draw.tp[passed - 1] / draw.tp[-1]) if passed else 0.0

    return Pending(value, statistic, percentiles(value, sample.groups_with[1], no_narrower=sample.weighted))
