"""What a few plain columns achieve by themselves, and negatives that are like the positives in them."""

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

# Pairs up to which the assignment is optimal: some 300 MB, and a second or two.
_MOST_PAIRS = 10_000_000
_N_KNOTS = 5


class MatchedNegatives(NamedTuple):
    """What `matched_negatives` returns.

    Attributes
    ----------
    positive, negative : ndarray of shape (n_pairs,), int64
        Rows of each pair. A negative is in one pair, a positive in up to ``ratio``.
    unmatched : ndarray of shape (n_unmatched,), int64
        Rows of the positives without a pair.
    balance : pandas.DataFrame
        For each column the standardised mean difference between positives and negatives, `before` over all rows and
        `after` over the pairs; NaN without pairs.
    """

    positive: np.ndarray
    negative: np.ndarray
    unmatched: np.ndarray
    balance: pd.DataFrame

    @property
    def rows(self) -> np.ndarray:
        """All rows of the pairs, each once, increasing.

        On these, compare the model with a control that was fitted to all rows, out of fold. A control refitted to
        these alone would see a row's twin with the other label, and rank upside down.
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
    """Probabilities, out of fold, of a simple classifier that sees nothing but a few columns.

    A model is only as good as what it adds to what brightness or size alone would give: print a metric of this score
    beside the model's, on the same rows. The classifier is a logistic regression on cubic splines of each column's
    ranks and the products of these, so that it finds a bump in a column or a relation between two.

    Parameters
    ----------
    columns : pandas.DataFrame, dict of arrays, or array-like of shape (n, d)
        A few columns; d = 1 may be of shape (n,). NaN is taken: it gets the median, and a flag to learn from.
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    groups : array-like of shape (n,), default=None
        Rows of one value stay in one fold.
    sample_weight : array-like of shape (n,), default=None
        Weights of the rows in the regression, finite and from 0. Its penalty is that for their effective number. Rows
        of weight 0 get a probability too, and no classifier is fitted to them. None: 1 for each.
    cv : int, default=5
        Folds.
    random_state : int, default=0
        Seed of the folds.

    Returns
    -------
    ndarray of shape (n,), float64
        A row's probability comes from a classifier that has not seen it, nor its group.

    Raises
    ------
    ValueError
        Lengths that differ, no columns, a column without a finite number or with an infinite one, labels other than 0
        and 1, fewer rows (or groups) of a class than folds, groups that are missing or of mixed types, weights that are
        negative, not finite or all 0.

    Notes
    -----
    Where the columns tell nothing, the AUROC of the result is on average below 0.5, as of any score out of
    fold: a positive held out leaves fewer in training.

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
        # The penalty is fixed: as effective rows, weights of any scale are the same to it.
        params = {"logisticregression__sample_weight": weight * weight.sum() / (weight**2).sum()}
    p = cross_val_predict(_classifier(table.shape), table, labels, cv=folds, method="predict_proba", params=params)
    return np.asarray(p[:, 1], dtype=np.float64)


def matched_negatives(
    y: Any, columns: Any, *, ratio: int = 1, caliper: float = 0.2, random_state: int = 0
) -> MatchedNegatives:
    """Negatives that are like the positives in a few columns, each taken once.

    Columns are divided by their robust width, 0.7413 times the interquartile range over all rows. Rows may be paired
    where no column differs by more than the caliper; among these pairs, as many positives as can be are matched at the
    smallest sum of distances (optimal matching [1]_). Beyond 10 million pairs of rows, the positives in random order
    take the nearest negative that is left.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    columns : pandas.DataFrame, dict of arrays, or array-like of shape (n, d)
        A few columns; d = 1 may be of shape (n,). Rows with NaN are not matched.
    ratio : int, default=1
        Most negatives for a positive. All positives get their first before one gets its second.
    caliper : float, default=0.2
        Largest difference in each column, in robust widths. 0.2 is the usual choice for one column [2]_; a smaller one
        balances better and matches fewer.
    random_state : int, default=0
        Seed of the order of the positives.

    Returns
    -------
    MatchedNegatives
        See there for the pairs, the positives left over and the balance. Empty with one class alone.

    Raises
    ------
    ValueError
        Lengths that differ, labels other than 0 and 1, no columns, a column without a finite number or with an
        infinite one, a `ratio` under 1, a `caliper` that is not above 0.

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
        # Who finds no first match finds no second one: only negatives are used up.
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

    # Ranks first: the splines need knots that are apart, also in a column of few distinct values.
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
    """Pairs within the caliper: as many as can be, then at the smallest sum of distances."""
    if not len(positive) or not len(negative):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    squares = np.zeros((len(positive), len(negative)))
    allowed = np.ones(squares.shape, dtype=bool)
    for column in range(positive.shape[1]):
        apart = positive[:, column, None] - negative[:, column]
        allowed &= np.abs(apart) <= caliper
        squares += apart**2
    distance = np.sqrt(squares)
    # One forbidden pair costs more than all allowed ones together.
    most = caliper * np.sqrt(positive.shape[1]) * (len(positive) + 1)
    i, j = linear_sum_assignment(np.where(allowed, distance, most))
    kept = allowed[i, j]
    return i[kept], j[kept]


def _greedy(positive: np.ndarray, negative: np.ndarray, caliper: float) -> tuple[np.ndarray, np.ndarray]:
    """Each positive in turn takes the nearest negative within the caliper that is left."""
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
    """Standardised mean differences; the width is that before matching, so that only the means can move them."""
    first, second = frame[labels == 1], frame[labels == 0]
    width = np.sqrt((first.var() + second.var()) / 2)
    after = frame.iloc[pairs[0]].mean() - frame.iloc[pairs[1]].mean()
    return pd.DataFrame({"before": (first.mean() - second.mean()) / width, "after": after / width})


def _robust_width(table: np.ndarray) -> np.ndarray:
    low, high = np.nanquantile(table, [0.25, 0.75], axis=0)
    # More than half of the rows of one value: the plain width then, and for a constant any.
    width = np.where(high > low, 0.7413 * (high - low), np.nanstd(table, axis=0))
    return np.where(width > 0.0, width, 1.0)


def _checked_columns(columns: Any, length: int) -> pd.DataFrame:
    """`columns` as float64, named."""
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
        raise ValueError("The 'columns' parameter must be of at least one column. Got none instead.")
    for name, part in zip(names, parts, strict=True):
        if part.shape != (length,):
            raise ValueError(
                f"The 'columns' parameter must be as long as 'y', of length {length}. Got {name!r} of shape "
                f"{part.shape} instead."
            )
        if np.isinf(part).any() or (length and np.isnan(part).all()):
            what = "an infinite number" if np.isinf(part).any() else "NaN alone"
            raise ValueError(
                f"The 'columns' parameter must be finite numbers, NaN where unknown; leave out what is of no use. "
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
