"""Controls: the performance of a few simple columns on their own, and negatives matched to the positives in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

from gridlens.calibration._checks import checked_groups, checked_labels, checked_numbers, checked_whole
from gridlens.calibration._folds import stratified_folds
from gridlens.calibration._weights import checked_weights

__all__ = ["MatchedNegatives", "control_score", "matched_negatives"]

# Largest number of pairs for the optimal assignment: about 300 MB, and one or two seconds.
_MOST_PAIRS = 10_000_000
_N_KNOTS = 5


class MatchedNegatives(NamedTuple):
    """Result of `matched_negatives`.

    Attributes
    ----------
    positive, negative : ndarray of shape (n_pairs,), int64
        Rows of each pair. A negative occurs in one pair, a positive in up to ``ratio``.
    unmatched : ndarray of shape (n_unmatched,), int64
        Positives without a pair.
    balance : pandas.DataFrame
        Standardised mean difference between positives and negatives for each column: `before` over all rows, `after`
        over the pairs; NaN without pairs.
    """

    positive: np.ndarray
    negative: np.ndarray
    unmatched: np.ndarray
    balance: pd.DataFrame

    @property
    def rows(self) -> np.ndarray:
        """All rows of the pairs, without repetition, in increasing order.

        On these rows, compare the model with out-of-fold scores of a control that was fitted to all rows. A control
        fitted to these rows alone would have seen the twin of each row with the opposite label, and would rank upside
        down.
        """
        return np.union1d(self.positive, self.negative)

    def __str__(self) -> str:
        matched = len(np.unique(self.positive))
        return (
            f"{matched} of {matched + len(self.unmatched)} positives matched, with {len(self.negative)} negatives\n"
            f"standardised mean differences\n{self.balance.round(3).to_string()}"
        )


def control_score(
    columns: Any, y: Any, groups: Any = None, sample_weight: Any = None, *, cv: int = 5, random_state: int = 0
) -> np.ndarray:
    """Return out-of-fold probabilities of a simple classifier that uses only a few columns.

    They show what brightness or size alone achieve, and thus what a model adds: report a metric of this score beside
    that of the model, on the same rows. The classifier is a logistic regression on cubic splines of the ranks of each
    column and their products, so that it can describe a bump in one column or a relation between two.

    Parameters
    ----------
    columns : pandas.DataFrame, dict of arrays, or array-like of shape (n, d)
        A few columns; a single one may be of shape (n,). NaN is accepted: it is replaced by the median and flagged.
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value stay in one fold.
    sample_weight : array-like of shape (n,), default=None
        Weights of the rows in the regression, finite and non-negative. Its penalty is set for their effective number.
        Rows of weight 0 also get a probability, but do not enter the fits. If None, every row has weight 1.
    cv : int, default=5
        Number of folds.
    random_state : int, default=0
        Random seed of the folds.

    Returns
    -------
    ndarray of shape (n,), float64
        Probability of each row, from a classifier that was not fitted to the row nor to its group.

    Raises
    ------
    ValueError
        Inconsistent lengths, no columns, a column without a finite number or with an infinite one, labels other than 0
        and 1, fewer rows (or groups) of a class than folds, missing groups or groups of mixed types, weights that are
        negative, not finite or all 0.

    Notes
    -----
    Where the columns carry no information, the AUROC of the result is below 0.5 on average, as for any out-of-fold
    score: a positive that is held out leaves fewer in training.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.evaluation import auroc
    >>> from gridlens.evaluation._controls import control_score
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([1, 0], [100, 900])
    >>> control = control_score({"magnitude": rng.normal(size=1000) - y, "size": rng.normal(size=1000)}, y)
    >>> print(auroc(y, control))
    0.706 [0.646, 0.760]
    """
    from sklearn.model_selection import cross_val_predict

    labels = checked_labels(y)
    table = _checked_columns(columns, len(labels)).to_numpy()
    members = None if groups is None else checked_groups(groups, len(labels))
    weight = checked_weights(sample_weight, len(labels))
    folds = stratified_folds(labels, members, weight, checked_whole("cv", cv, 2), random_state)
    params = None
    if weight is not None:
        # The penalty is constant, so scale the weights to effective rows; then their unit does not matter.
        params = {"logisticregression__sample_weight": weight * weight.sum() / (weight**2).sum()}
    p = cross_val_predict(_classifier(table.shape), table, labels, cv=folds, method="predict_proba", params=params)
    return np.asarray(p[:, 1], dtype=np.float64)


def matched_negatives(
    y: Any, columns: Any, *, ratio: int = 1, caliper: float = 0.2, random_state: int = 0
) -> MatchedNegatives:
    """Match negatives to the positives in a few columns, without replacement.

    Columns are divided by their robust width, 0.7413 times the interquartile range over all rows. Two rows may be
    paired if no column differs by more than the caliper; among these pairs, as many positives as possible are matched
    with the smallest sum of distances (optimal matching [1]_). Beyond 10 million pairs of rows, each positive, in
    random order, takes the nearest negative that is left.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    columns : pandas.DataFrame, dict of arrays, or array-like of shape (n, d)
        A few columns; a single one may be of shape (n,). Rows with NaN are not matched.
    ratio : int, default=1
        Largest number of negatives for each positive. All positives get their first before any gets its second.
    caliper : float, default=0.2
        Largest difference in each column, in robust widths. 0.2 is the usual choice for one column [2]_; a smaller
        value balances better and matches fewer.
    random_state : int, default=0
        Random seed of the order of the positives.

    Returns
    -------
    MatchedNegatives
        The pairs, the positives without a pair and the balance. Empty if one class is missing.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, no columns, a column with infinite numbers or without a finite
        one, a `ratio` below 1, a `caliper` that is not above 0.

    References
    ----------
    .. [1] Rosenbaum 1989, Journal of the American Statistical Association 84, 1024.
    .. [2] Austin 2011, Pharmaceutical Statistics 10, 150, for the logit of a propensity score.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.evaluation._controls import matched_negatives
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([1, 0], [100, 2000])
    >>> print(matched_negatives(y, {"magnitude": rng.normal(size=2100) - 0.8 * y}))
    100 of 100 positives matched, with 100 negatives
    standardised mean differences
               before  after
    magnitude  -0.698 -0.001
    """
    labels = checked_labels(y)
    frame = _checked_columns(columns, len(labels))
    ratio = checked_whole("ratio", ratio, 1)
    width = _checked_width(caliper)
    table = frame.to_numpy()
    scaled = (table - np.nanmedian(table, axis=0)) / _robust_width(table) if len(table) else table
    known = np.isfinite(scaled).all(axis=1)
    positive, free = np.flatnonzero(known & (labels == 1)), np.flatnonzero(known & (labels == 0))
    positive = np.random.default_rng(random_state).permutation(positive)
    pairs = [np.empty((2, 0), dtype=np.int64)]
    for _ in range(ratio):
        match = _optimal if len(positive) * len(free) <= _MOST_PAIRS else _greedy
        i, j = match(scaled[positive], scaled[free], width)
        pairs.append(np.array([positive[i], free[j]]))
        # A positive without a first match cannot get a second one, because negatives are only used up.
        positive, free = positive[np.sort(i)], np.delete(free, j)
    matched = np.concatenate(pairs, axis=1)
    matched = matched[:, np.lexsort(matched[::-1])]
    unmatched = np.setdiff1d(np.flatnonzero(labels == 1), matched[0])
    return MatchedNegatives(matched[0], matched[1], unmatched, _balance(frame, labels, matched))


def _classifier(shape: tuple[int, ...]) -> Any:
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer, SplineTransformer

    # Ranks first: the splines need distinct knots, also for a column with few distinct values.
    knots = np.repeat(np.linspace(0.0, 1.0, _N_KNOTS)[:, None], shape[1], axis=1)
    splines = make_pipeline(
        SimpleImputer(strategy="median"),
        QuantileTransformer(n_quantiles=min(200, shape[0] // 2)),
        SplineTransformer(knots=knots, extrapolation="constant"),
    )
    return make_pipeline(
        make_union(splines, MissingIndicator(features="all")),
        PolynomialFeatures(2, interaction_only=True, include_bias=False),
        LogisticRegression(C=0.3, max_iter=2000),
    )


def _optimal(positive: np.ndarray, negative: np.ndarray, caliper: float) -> tuple[np.ndarray, np.ndarray]:
    """Return as many pairs within the caliper as possible, with the smallest sum of distances."""
    if not len(positive) or not len(negative):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    squares = np.zeros((len(positive), len(negative)))
    allowed = np.ones(squares.shape, dtype=bool)
    for column in range(positive.shape[1]):
        apart = positive[:, column, None] - negative[:, column]
        allowed &= np.abs(apart) <= caliper
        squares += apart**2
    distance = np.sqrt(squares)
    # One forbidden pair costs more than all allowed pairs together.
    most = caliper * np.sqrt(positive.shape[1]) * (len(positive) + 1)
    i, j = linear_sum_assignment(np.where(allowed, distance, most))
    kept = allowed[i, j]
    return i[kept], j[kept]


def _greedy(positive: np.ndarray, negative: np.ndarray, caliper: float) -> tuple[np.ndarray, np.ndarray]:
    """Match each positive in turn with the nearest remaining negative within the caliper."""
    tree = KDTree(negative)
    free = np.ones(len(negative), dtype=bool)
    pairs = []
    for i, place in enumerate(positive):
        near = np.array(tree.query_ball_point(place, caliper, p=np.inf), dtype=np.int64)
        near = near[free[near]]
        if len(near):
            j = near[np.argmin(((negative[near] - place) ** 2).sum(axis=1))]
            free[j] = False
            pairs.append((i, j))
    i_all, j_all = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return i_all, j_all


def _balance(frame: pd.DataFrame, labels: np.ndarray, pairs: np.ndarray) -> pd.DataFrame:
    """Return standardised mean differences; both use the width before matching, so that only the means change."""
    first, second = frame[labels == 1], frame[labels == 0]
    width = np.sqrt((first.var() + second.var()) / 2)
    after = frame.iloc[pairs[0]].mean() - frame.iloc[pairs[1]].mean()
    return pd.DataFrame({"before": (first.mean() - second.mean()) / width, "after": after / width})


def _robust_width(table: np.ndarray) -> np.ndarray:
    low, high = np.nanquantile(table, [0.25, 0.75], axis=0)
    # If more than half of the rows are equal, use the standard deviation; for a constant column any width will do.
    width = np.where(high > low, 0.7413 * (high - low), np.nanstd(table, axis=0))
    return np.where(width > 0.0, width, 1.0)


def _checked_columns(columns: Any, length: int) -> pd.DataFrame:
    """Return `columns` as a table of float64 with names."""
    if isinstance(columns, pd.DataFrame | dict):
        names = [str(name) for name in columns]
        parts = [checked_numbers("columns", columns[name]) for name in columns]
    else:
        array = checked_numbers("columns", columns)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2:
            raise ValueError(f"The 'columns' parameter must be of shape (n, d). Got shape {array.shape} instead.")
        names, parts = [f"column {i}" for i in range(array.shape[1])], list(array.T)
    if not names:
        raise ValueError("The 'columns' parameter must have at least one column. Got none instead.")
    for name, part in zip(names, parts, strict=True):
        if part.shape != (length,):
            raise ValueError(
                f"The 'columns' parameter must be as long as 'y', of length {length}. Got {name!r} of shape "
                f"{part.shape} instead."
            )
        if np.isinf(part).any() or (length and np.isnan(part).all()):
            what = "an infinite number" if np.isinf(part).any() else "only NaN"
            raise ValueError(
                f"The 'columns' parameter must be finite numbers, NaN where unknown; leave out columns without values. "
                f"Got {what} in {name!r} instead."
            )
    return pd.DataFrame(dict(zip(names, parts, strict=True)))


def _checked_width(caliper: Any) -> float:
    try:
        width = float(caliper)
    except (TypeError, ValueError):
        width = np.nan
    if not (width > 0.0 and np.isfinite(width)):
        raise ValueError(f"The 'caliper' parameter must be a finite number above 0. Got {caliper!r} instead.")
    return width
