"""Selection of candidates at a given false discovery rate, by conformal p-values."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration._checks import checked_column, checked_groups, checked_share
from gridlens.calibration._weights import weighed
from gridlens.evaluation._ranking import _checked

__all__ = ["Selection", "conformal_selection"]


class Selection(NamedTuple):
    """Result of `conformal_selection`.

    Attributes
    ----------
    selected : ndarray of shape (n_test,), bool
        Whether each test row is selected.
    p_values : ndarray of shape (n_test,), float64
        From ``1 / (n + 1)`` to 1; with weights, from ``w_j / (sum w + w_j)``.
    threshold : float
        Lowest selected score; NaN if no row is selected.
    n_selected : int
    note : str
        "", or the reason why no row is selected, and how many negatives would be needed.
    """

    selected: np.ndarray
    p_values: np.ndarray
    threshold: float
    n_selected: int
    note: str = ""


def conformal_selection(
    y: Any,
    score: Any,
    test_score: Any,
    fdr: float = 0.1,
    groups: Any = None,
    sample_weight: Any = None,
    *,
    test_weight: Any = None,
) -> Selection:
    """Select test rows so that the expected fraction of negatives among them is at most `fdr`.

    Each test row is compared with the n clean negatives of the calibration rows (p-value, [1]_ eq. 4 with clipped
    scores, without its random draw among ties): ``p_j = (1 + #{i : s_i >= s_j}) / (n + 1)``. The Benjamini-Hochberg
    procedure then selects the k rows with the smallest p-values, where k is the largest number whose k-th smallest
    p-value is at most ``fdr k / n_test``.

    The guarantee is ``E[false / max(selected, 1)] <= fdr (1 - prevalence)`` [2]_. It requires the following:

    - The negatives among the calibration rows are exchangeable with those among the test rows: same survey, same
      selection, not used in training. Simulated negatives are not exchangeable with real ones.
    - Rows are independent, or dependent only among the calibration rows and described by `groups`. Several views of one
      cluster among the test rows invalidate the proof.
    - It does **not** require equal prevalence: the calibration rows may be enriched in positives, because positives are
      not used. The p-values of [1]_ divide by all calibration rows, which gains a factor ``1 - prevalence``, almost
      nothing for a rare class, and is invalid for an enriched calibration sample.

    The guarantee holds for the mean over many samples; it is not a bound for this list.

    Calibration rows that were selected with unequal probabilities are not exchangeable with the test rows. With
    weights, the p-value is ``p_j = (w_j + sum_i w_i 1{s_i >= s_j}) / (w_j + sum_i w_i)`` [4]_, where w_j is the weight
    that the test row would have had. Each such p-value is valid, but they are dependent, so that the Benjamini-Hochberg
    procedure controls the false discovery rate only approximately, as the calibration sample grows [5]_.

    Parameters
    ----------
    y : array-like of shape (n_calibration,)
        Clean labels, 0 or 1. Only the rows with label 0 are used.
    score : array-like of shape (n_calibration,)
        Scores, higher for more likely positives, by a model that was not trained on these rows. Infinite scores are
        accepted, NaN is not.
    test_score : array-like of shape (n_test,)
        Scores of all rows to select from, not only of the best.
    fdr : float, default=0.1
        Wanted false discovery rate, between 0 and 1 (exclusive).
    groups : array-like of shape (n_calibration,), default=None
        Group labels of the calibration rows. Rows with the same value, such as views of one cluster, belong together.
        Each group then counts as one row, shared by its negatives: ``p_j = (1 + sum_g share_g(s >= s_j)) / (n_groups +
        1)`` [3]_.
    sample_weight : array-like of shape (n_calibration,), default=None
        Weights of the calibration rows, finite and non-negative: the inverse of the probability with which each row was
        selected to be labelled, from a population like the test rows. If None, every row has weight 1.
    test_weight : array-like of shape (n_test,), default=None
        Positive weights of the test rows: the weight that each would have had as a calibration row. If None, the
        largest weight of the calibration negatives is used, which selects fewer rows than the true weights.

    Returns
    -------
    Selection
        Named tuple ``(selected, p_values, threshold, n_selected, note)``. Selecting k rows requires a p-value of at
        most ``fdr k / n_test``, and no p-value is below ``1 / (n + 1)``: with fewer than about ``n_test / (fdr k)``
        negatives nothing can be selected, and the note gives the required number.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, NaN scores, an `fdr` outside (0, 1), missing groups or groups
        of mixed types, weights that are negative, not finite or all 0, a `test_weight` of 0 or without `sample_weight`.

    References
    ----------
    .. [1] Jin & Candes 2023, "Selection by prediction with conformal p-values", Journal of Machine Learning Research
       24, 244.
    .. [2] Bates et al. 2023, "Testing for outliers with conformal p-values", Annals of Statistics 51, 149, theorem 2.
    .. [3] Lee, Barber & Willett 2023, "Distribution-free inference with hierarchical data", arXiv:2306.06342.
    .. [4] Tibshirani et al. 2019, "Conformal prediction under covariate shift", Advances in Neural Information
       Processing Systems 32.
    .. [5] Jin & Candes 2023, "Model-free selective inference under covariate shift via weighted conformal p-values",
       arXiv:2307.09291.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.evaluation import conformal_selection
    >>> found = conformal_selection(np.zeros(99), np.arange(99), [150, 120, 40, 30, 98.5], fdr=0.1)
    >>> found.selected, found.threshold
    (array([ True,  True, False, False,  True]), 98.5)
    >>> conformal_selection(np.zeros(9), np.arange(9), [150, 4, 3, 2, 1], fdr=0.1).note
    'none selected: 1 row scores above all 9 negatives; a selection requires 49 negatives'
    """
    labels, values = _checked(y, score)
    members = None if groups is None else checked_groups(groups, len(labels))
    test = checked_column("test_score", test_score)
    if np.isnan(test).any():
        raise ValueError(
            "The 'test_score' parameter must not contain NaN; leave out the rows of rejected cutouts. "
            f"Got NaN in {int(np.isnan(test).sum())} of {len(test)} rows instead."
        )
    rate = checked_share("fdr", fdr)
    weight, labels, values, members = weighed(sample_weight, labels, values, members)
    negative = labels == 0
    of_negatives = None if weight is None else weight[negative]
    own = _own_weight(test_weight, len(test), of_negatives)
    p_values, n, total = _p_values(
        values[negative], test, None if members is None else members[negative], of_negatives, own
    )
    m = len(test)
    rising = np.sort(p_values)
    # The tolerance keeps rounding from rejecting a p-value that equals its bound.
    passing = np.flatnonzero(rising <= rate * np.arange(1, m + 1) / max(m, 1) * (1.0 + 1e-12))
    selected = p_values <= rising[passing[-1]] if len(passing) else np.zeros(m, dtype=np.bool_)
    count = int(selected.sum())
    if count:
        return Selection(selected, p_values, float(test[selected].min()), count)
    on_top = p_values <= (1.0 + 1e-12) * own / (total + own)
    takes = None if weight is None else float(np.max(own[on_top], initial=0.0))
    note = _why_none(m, n, int(on_top.sum()), rate, members is not None, takes)
    return Selection(selected, p_values, math.nan, 0, note)


def _own_weight(test_weight: Any, length: int, negative: np.ndarray | None) -> np.ndarray:
    """Return the weight of each test row among those of the calibration negatives, 1 without weights."""
    if test_weight is None:
        return np.full(length, 1.0 if negative is None else np.max(negative, initial=0.0) or 1.0)
    if negative is None:
        raise ValueError("The 'test_weight' parameter must be None without 'sample_weight'. Got weights instead.")
    own = checked_column("test_weight", test_weight)
    if own.shape != (length,) or not (np.isfinite(own) & (own > 0.0)).all():
        raise ValueError(
            f"The 'test_weight' parameter must be {length} finite numbers above 0, one for each test row. "
            f"Got {len(own)}, {int((~(np.isfinite(own) & (own > 0.0))).sum())} of them invalid, instead."
        )
    return own


def _p_values(
    negative: np.ndarray,
    test: np.ndarray,
    groups: np.ndarray | None,
    sample_weight: np.ndarray | None,
    own: np.ndarray,
) -> tuple[np.ndarray, int, float]:
    """Return the p-values of the test rows, the number of negatives or groups, and the sum of their weights."""
    weight, n = np.ones(len(negative)) if sample_weight is None else sample_weight, len(negative)
    if groups is not None:
        names, group, size = np.unique(groups, return_inverse=True, return_counts=True)
        weight, n = weight / size[group], len(names)
    total = float(n if sample_weight is None else weight.sum())
    order = np.argsort(negative, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weight[order])])
    first = np.searchsorted(negative[order], test, side="left")
    # The sum of the group fractions equals n up to rounding, and exactly 0 must remain above the highest score.
    return (own + np.where(first == len(negative), 0.0, below[-1] - below[first])) / (total + own), n, total


def _why_none(m: int, n: int, on_top: int, rate: float, grouped: bool, heaviest: float | None) -> str:
    """Return the note for an empty list; `heaviest` is the largest weight of the rows on top, None without weights."""
    if not m:
        return "none selected: there are no test rows"
    kind = "groups of negatives" if grouped else "negatives"
    if not on_top:
        return f"none selected: no row scores above all {n} {kind}"
    rows = "1 row scores" if on_top == 1 else f"{on_top} rows score"
    if heaviest is not None:
        takes = heaviest * (m / (rate * on_top) - 1.0)
        return f"none selected: {rows} above all {n} {kind}; a selection requires a sum of their weights of {takes:.3g}"
    takes = math.ceil(m / (rate * on_top) * (1.0 - 1e-12)) - 1
    return f"none selected: {rows} above all {n} {kind}; a selection requires {takes} {kind}"
