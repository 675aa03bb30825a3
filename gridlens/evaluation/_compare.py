"""Comparison of two scores of the same rows: differences of metrics, and McNemar's test at an operating point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest, rankdata

from gridlens.calibration._checks import checked_groups, checked_labels, checked_share, checked_whole
from gridlens.calibration._weights import weighed
from gridlens.evaluation._draws import Metric, draws, groups_of, metric_values, named_metrics
from gridlens.evaluation._intervals import Estimate, expected_labels, unresolvable
from gridlens.evaluation._ranking import _checked

__all__ = ["Comparison", "McNemar", "compare", "mcnemar"]


class Comparison(NamedTuple):
    """Metric of two scores on the same rows.

    Attributes
    ----------
    a, b : Estimate
        Metric of each score, with its own interval.
    difference : Estimate
        b minus a, with the paired interval. It does not follow from the intervals of `a` and `b`, and is much narrower
        where both scores fail on the same rows.
    """

    a: Estimate
    b: Estimate
    difference: Estimate

    def __str__(self) -> str:
        note = self.difference.note
        change = note or f"{self.difference.value:+.3f} [{self.difference.low:+.3f}, {self.difference.high:+.3f}]"
        return f"{self.a} against {self.b}: {change}"


class McNemar(NamedTuple):
    """Result of `mcnemar`; `str` summarises it in one sentence.

    Attributes
    ----------
    both, only_a, only_b, neither : int
        Number of positives found by both scores, by only one of them, and by neither.
    p_value : float
        Two-sided exact p-value; NaN with a note if there is no test.
    fpr_a, fpr_b : float
        Fraction of the negatives that pass the threshold of each score.
    note : str
        "", or the reason why there is no result, such as "not resolvable with 200 negatives".
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float
    fpr_a: float
    fpr_b: float
    note: str = ""

    def __str__(self) -> str:
        if self.note:
            return self.note
        total = self.both + self.only_a + self.only_b + self.neither
        return f"of {total} positives {self.only_a} by a alone, {self.only_b} by b alone, p = {self.p_value:.2g}"


def compare(
    y: Any,
    score_a: Any,
    score_b: Any,
    metrics: Metric | Mapping[str, Metric],
    groups: Any = None,
    sample_weight: Any = None,
    *,
    n_boot: int = 1000,
    random_state: int = 0,
) -> dict[str, Comparison]:
    """Compute metrics of two scores on the same rows, and the interval of their difference.

    Each draw of the bootstrap uses the same rows or groups for both scores and all metrics, so the difficulty of a row,
    which affects both scores, cancels.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score_a, score_b : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    metrics : callable or dict of callable by name
        ``metric(y, score, groups=groups)`` that returns an `Estimate`; without groups ``metric(y, score)``, and with
        weights also ``sample_weight``. Bind other arguments with `functools.partial`. If a metric has a parameter
        ``n_boot``, its own bootstrap is switched off inside each draw.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, are drawn together.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, such as the inverse of the probability with which each row was selected
        to be labelled. A row keeps its weight in each draw. If None, every row has weight 1.
    n_boot : int, default=1000
        Number of bootstrap draws.
    random_state : int, default=0
        Random seed of the bootstrap.

    Returns
    -------
    dict of Comparison by metric
        The interval of the difference spans the 2.5 to 97.5 % quantiles of the draws, which are stratified into groups
        with and without a positive. With weights, it also includes the spread of draws whose labels are drawn again, by
        a logistic regression on both scores: most samples contain none of the few positives of large weight and low
        score, so their draws underestimate the spread. Where no draw changes the difference of two scores that are not
        identical (both separate perfectly, or there are too few rows), there is no interval, and the note gives the
        difference.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, NaN scores, missing groups or groups of mixed types, fewer
        than 1 draw, metrics that cannot be called, weights that are negative, not finite or all 0.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.evaluation import auroc, compare
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([1, 0], [100, 400])
    >>> noise = rng.normal(size=500)
    >>> print(compare(y, noise + y, noise + 1.3 * y, auroc, n_boot=200)["auroc"])
    0.789 [0.738, 0.832] against 0.845 [0.801, 0.881]: +0.057 [+0.047, +0.065]
    """
    labels = checked_labels(y)
    first, second = _checked_score(labels, "score_a", score_a), _checked_score(labels, "score_b", score_b)
    members = None if groups is None else checked_groups(groups, len(labels))
    n_boot = checked_whole("n_boot", n_boot, 1)
    named = named_metrics(metrics)
    weight, labels, first, second, members = weighed(sample_weight, labels, first, second, members)
    options = {} if members is None else {"groups": members}
    options |= {} if weight is None else {"sample_weight": weight}
    a = {name: metric(labels, first, **options) for name, metric in named.items()}
    b = {name: metric(labels, second, **options) for name, metric in named.items()}
    # A metric that is undefined for all rows is undefined for every draw of them.
    values = {name: metric_values(metric) for name, metric in named.items() if not (a[name].note or b[name].note)}
    drawn: dict[str, list[float]] = {name: [] for name in values}
    redrawn: dict[str, list[float]] = {name: [] for name in values}
    if values:
        expected = None if weight is None else expected_labels(labels, rankdata(first) + rankdata(second))
        rng = np.random.default_rng([random_state, 1])
        for times in draws(labels, groups_of(members, len(labels)), n_boot, random_state):
            rows = np.repeat(np.arange(len(labels)), times)
            versions = [(drawn, labels[rows])]
            if expected is not None:
                versions.append((redrawn, (rng.random(len(rows)) < expected[rows]).astype(np.int64)))
            weights = {} if weight is None else {"sample_weight": weight[rows]}
            for found_differences, of_rows in versions:
                for name, value in values.items():
                    a_drawn, b_drawn = (value(of_rows, score[rows], **weights) for score in (first, second))
                    found_differences[name].append(b_drawn - a_drawn)
    same = np.array_equal(first, second)
    found = {}
    for name in named:
        note = a[name].note or b[name].note
        difference = Estimate(math.nan, math.nan, math.nan, note)
        if not note:
            change = b[name].value - a[name].value
            difference = _difference(change, np.array(drawn[name]), np.array(redrawn[name]), same)
        found[name] = Comparison(a[name], b[name], difference)
    return found


def mcnemar(
    y: Any, score_a: Any, score_b: Any, *, fpr: float | None = None, thresholds: tuple[float, float] | None = None
) -> McNemar:
    """Test whether two scores find the same fraction of the positives at their operating points (McNemar's exact test).

    Only positives found by exactly one of the scores carry information [1]_. Under the null hypothesis, each of these
    is found by either score with probability one half; the p-value is that of the two-sided binomial test, ``min(1, 2
    P(X <= min(only_a, only_b)))``.

    Rows are assumed to be independent: pass one row of each group. The thresholds are treated as known; use `compare`
    with `tpr_at_fpr` where their uncertainty matters, as it does when few negatives pass.

    Parameters
    ----------
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score_a, score_b : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    fpr : float, default=None
        Operating point as a false positive rate, between 0 and 1 (exclusive), which sets the threshold of each score as
        in `tpr_at_fpr`.
    thresholds : tuple of two floats, default=None
        Operating point as one threshold for each score; rows strictly above it pass. Give either this or `fpr`. With
        thresholds, also compare `fpr_a` and `fpr_b`: a score that lets more negatives through finds more positives.

    Returns
    -------
    McNemar
        The p-value is 1 where both scores find the same positives. NaN with a note when ``fpr`` times the number of
        negatives is below 1, or there are no positives.

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, NaN scores, both or neither of `fpr` and `thresholds`, an `fpr`
        outside (0, 1), thresholds that are not two numbers.

    References
    ----------
    .. [1] McNemar 1947, Psychometrika 12, 153. The exact form is the sign test on the discordant pairs.

    Examples
    --------
    >>> from gridlens.evaluation._compare import mcnemar
    >>> y = [1, 1, 1, 1, 1, 1, 0, 0]
    >>> result = mcnemar(y, [5, 5, 1, 1, 1, 5, 0, 3], [5, 5, 5, 5, 5, 1, 3, 0], thresholds=(2, 2))
    >>> print(result)
    of 6 positives 1 by a alone, 3 by b alone, p = 0.62
    """
    labels = checked_labels(y)
    first, second = _checked_score(labels, "score_a", score_a), _checked_score(labels, "score_b", score_b)
    if (fpr is None) == (thresholds is None):
        raise ValueError(
            f"The 'fpr' parameter must be given, or 'thresholds' instead of it. Got {fpr} and {thresholds} instead."
        )
    n_negative = int((1 - labels).sum())
    if fpr is not None:
        passing = _most_passing(checked_share("fpr", fpr), n_negative)
        if passing < 1:
            return _no_test(unresolvable(n_negative, "negative").note)
        cuts = [float(np.sort(score[labels == 0])[::-1][passing]) for score in (first, second)]
    else:
        cuts = _checked_thresholds(thresholds)
    if not labels.any():
        return _no_test(unresolvable(0, "positive").note)
    passes_a, passes_b = first > cuts[0], second > cuts[1]
    positive, negative = labels == 1, labels == 0
    only_a = int((passes_a & ~passes_b & positive).sum())
    only_b = int((passes_b & ~passes_a & positive).sum())
    return McNemar(
        both=int((passes_a & passes_b & positive).sum()),
        only_a=only_a,
        only_b=only_b,
        neither=int((~passes_a & ~passes_b & positive).sum()),
        p_value=float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0,
        fpr_a=float(passes_a[negative].mean()) if n_negative else math.nan,
        fpr_b=float(passes_b[negative].mean()) if n_negative else math.nan,
    )


def _difference(value: float, drawn: np.ndarray, redrawn: np.ndarray, same: bool) -> Estimate:
    # A draw may be too small for the metric.
    drawn, redrawn = drawn[np.isfinite(drawn)], redrawn[np.isfinite(redrawn)]
    if len(drawn) and (same or np.ptp(drawn) > 0.0):
        low, high = np.quantile(drawn, [0.025, 0.975])
        if len(redrawn):
            below, above = value + np.quantile(redrawn, [0.025, 0.975]) - redrawn.mean()
            low, high = min(low, below), max(high, above)
        return Estimate(value, float(low), float(high))
    return Estimate(value, math.nan, math.nan, f"{value:+.3f}, interval not resolvable with these rows")


def _most_passing(rate: float, n: int) -> int:
    """Return the largest k with ``k / n <= rate``; the product alone would round 29 to 28.99."""
    if not n:
        return 0
    k = math.floor(rate * n)
    return k + ((k + 1) / n <= rate)


def _no_test(note: str) -> McNemar:
    return McNemar(0, 0, 0, 0, math.nan, math.nan, math.nan, note)


def _checked_score(labels: np.ndarray, name: str, score: Any) -> np.ndarray:
    try:
        return _checked(labels, score)[1]
    except ValueError as exc:
        raise ValueError(str(exc).replace("'score'", f"'{name}'")) from exc


def _checked_thresholds(thresholds: Any) -> list[float]:
    try:
        cuts = [float(cut) for cut in thresholds]
    except (TypeError, ValueError):
        cuts = []
    if len(cuts) != 2 or any(math.isnan(cut) for cut in cuts):
        raise ValueError(
            f"The 'thresholds' parameter must be two numbers, one for each score. Got {thresholds!r} instead."
        )
    return cuts
