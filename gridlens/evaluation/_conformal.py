"""Lists with a guarantee: candidates at a wanted false discovery rate, by conformal p-values."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration._checks import checked_column, checked_groups, checked_share
from gridlens.evaluation._ranking import _checked

__all__ = ["Selection", "conformal_selection"]


class Selection(NamedTuple):
    """What `conformal_selection` returns.

    Attributes
    ----------
    selected : ndarray of shape (n_test,), bool
        The candidates.
    p_values : ndarray of shape (n_test,), float64
        From ``1 / (n + 1)`` to 1.
    threshold : float
        Lowest score selected; NaN if none is.
    n_selected : int
    note : str
        "", or why none is selected, and how many negatives it would take.
    """

    selected: np.ndarray
    p_values: np.ndarray
    threshold: float
    n_selected: int
    note: str = ""


def conformal_selection(y: Any, score: Any, test_score: Any, fdr: float = 0.1, groups: Any = None) -> Selection:
    """Select test rows so that at most a share `fdr` of the selected is expected to be negative.

    Each test row is compared with the n clean negatives of the calibration rows (p-value, [1]_ eq. 4 with clipped
    scores, without its random draw among ties): ``p_j = (1 + #{i : s_i >= s_j}) / (n + 1)``. Benjamini and Hochberg's
    rule then selects the k smallest, k the largest number whose k-th smallest p-value is at most ``fdr k / n_test``.

    The guarantee is ``E[false / max(selected, 1)] <= fdr (1 - prevalence)`` [2]_. It asks for this, no less:

    - Negatives of the calibration are exchangeable with the negatives among the test rows: same survey, same selection,
      not seen in training. Simulated negatives for real test rows are not.
    - Rows are independent, or belong together in the calibration alone and `groups` say how. Views of one cluster among
      the test rows break the proof.
    - It does **not** ask for one prevalence: calibration rows enriched in positives will do, for their positives
      are left out. The p-values of [1]_ divide by all calibration rows, which gains the factor ``1 - prevalence``, next
      to nothing for a rare class, and fails where the calibration is enriched.

    It is a mean over many samples, not a bound for this list.

    Parameters
    ----------
    y : array-like of shape (n_calibration,)
        Clean labels, 0 or 1. Only the rows of 0 are used.
    score : array-like of shape (n_calibration,)
        Higher for more likely positives, of a model that has not seen these rows. Infinite scores are taken, NaN is
        not.
    test_score : array-like of shape (n_test,)
        Scores of the rows to select from, all of them: not the best alone.
    fdr : float, default=0.1
        Wanted false discovery rate, between 0 and 1, both left out.
    groups : array-like of shape (n_calibration,), default=None
        Calibration rows with the same value belong together, such as views of one cluster. Each group then counts as
        one row, which its negatives share: ``p_j = (1 + sum_g share_g(s >= s_j)) / (n_groups + 1)`` [3]_.

    Returns
    -------
    Selection
        The named tuple ``(selected, p_values, threshold, n_selected, note)``. A list of k takes a p-value of at most
        ``fdr k / n_test``, and none is under ``1 / (n + 1)``: with fewer than about ``n_test / (fdr k)`` negatives
        nothing can be selected, and the note says how many it takes.

    Raises
    ------
    ValueError
        Lengths that differ, labels other than 0 and 1, scores of NaN, an `fdr` that is not between 0 and 1, groups that
        are missing or of mixed types.

    References
    ----------
    .. [1] Jin & Candes 2023, "Selection by prediction with conformal p-values", Journal of Machine Learning Research
       24, 244.
    .. [2] Bates et al. 2023, "Testing for outliers with conformal p-values", Annals of Statistics 51, 149, theorem 2.
    .. [3] Lee, Barber & Willett 2023, "Distribution-free inference with hierarchical data", arXiv:2306.06342.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.evaluation import conformal_selection
    >>> found = conformal_selection(np.zeros(99), np.arange(99), [150, 120, 40, 30, 98.5], fdr=0.1)
    >>> found.selected, found.threshold
    (array([ True,  True, False, False,  True]), 98.5)
    >>> conformal_selection(np.zeros(9), np.arange(9), [150, 4, 3, 2, 1], fdr=0.1).note
    'none selected: 1 row scores above all 9 negatives; it takes 49 negatives for that to be enough'
    """
    labels, values = _checked(y, score)
    members = None if groups is None else checked_groups(groups, len(labels))
    test = checked_column("test_score", test_score)
    if np.isnan(test).any():
        raise ValueError(
            "The 'test_score' parameter must be without NaN; leave out the rows of rejected cutouts. "
            f"Got NaN in {int(np.isnan(test).sum())} of {len(test)} rows instead."
        )
    rate = checked_share("fdr", fdr)
    negative = labels == 0
    p_values, n = _p_values(values[negative], test, None if members is None else members[negative])
    m = len(test)
    rising = np.sort(p_values)
    # A p-value that meets its bound exactly is not lost to rounding.
    passing = np.flatnonzero(rising <= rate * np.arange(1, m + 1) / max(m, 1) * (1.0 + 1e-12))
    selected = p_values <= rising[passing[-1]] if len(passing) else np.zeros(m, dtype=np.bool_)
    count = int(selected.sum())
    if count:
        return Selection(selected, p_values, float(test[selected].min()), count)
    on_top = int((p_values <= (1.0 + 1e-12) / (n + 1)).sum())
    return Selection(selected, p_values, math.nan, 0, _why_none(m, n, on_top, rate, members is not None))


def _p_values(negative: np.ndarray, test: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, int]:
    """p-values of the test rows, and the number of negatives or of their groups."""
    if groups is None:
        weight, n = np.ones(len(negative)), len(negative)
    else:
        names, group, size = np.unique(groups, return_inverse=True, return_counts=True)
        weight, n = 1.0 / size[group], len(names)
    order = np.argsort(negative, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weight[order])])
    first = np.searchsorted(negative[order], test, side="left")
    # A sum of shares is n but for rounding, and beyond the highest score exactly nothing is left.
    return (1.0 + np.where(first == len(negative), 0.0, below[-1] - below[first])) / (n + 1.0), n


def _why_none(m: int, n: int, on_top: int, rate: float, grouped: bool) -> str:
    """Note for an empty list."""
    if not m:
        return "none selected: there are no test rows"
    kind = "groups of negatives" if grouped else "negatives"
    if not on_top:
        return f"none selected: no row scores above all {n} {kind}"
    takes = math.ceil(m / (rate * on_top) * (1.0 - 1e-12)) - 1
    rows = "1 row scores" if on_top == 1 else f"{on_top} rows score"
    return f"none selected: {rows} above all {n} {kind}; it takes {takes} {kind} for that to be enough"
