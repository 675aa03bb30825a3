"""`estimate_class_prior`: the fraction of positives, estimated from labelled positives and unlabelled rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import cross_val_predict
from sklearn.utils import check_random_state

from gridlens.pu._best_bin import TopBins
from gridlens.pu._checks import checked_groups, checked_s, min_positives
from gridlens.pu._folds import default_estimator, splits
from gridlens.pu._kernel_mean import SLOPE_FROM, KernelMeans
from gridlens.pu._prior_checks import checked_choice, checked_x

__all__ = ["ClassPrior", "PriorComparison", "estimate_class_prior"]

_METHODS = ("best-bin", "elkan-noto", "km2")
# The cost of KM2 scales with the square of the number of rows, and a resample takes a second.
_KM2_ROWS = 800
_KM2_BOOTSTRAP = 20
# Largest ratio of the estimates that counts as agreement.
_AGREEMENT = 1.5


@dataclass(frozen=True)
class ClassPrior:
    """Result of `estimate_class_prior`.

    Attributes
    ----------
    value : float
        Fraction of positives in the whole population, from 0 to 1.
    low, high : float
        Bootstrap 95 % interval, from 0 to 1, which always contains `value`: the quantiles of the resamples about their
        median, shifted to the estimate, because resamples may be biased where the estimate is not. It describes the
        scatter of the estimate but not its bias: in simulations without bias, the intervals of "best-bin" and
        "elkan-noto" contain the true value about nine times in ten. That of "km2" was not tested.
    method : str
        "best-bin", "elkan-noto" or "km2".
    note : str
        Caveat on the value, or empty; it starts with "not resolvable" if the value should not be used.
    bound : tuple of two floats or None
        For best bin estimation only: the 90 % confidence bound of the paper. Its upper end is valid however much the
        classes overlap, its lower end only if the best bin contains no negatives.
    """

    value: float
    low: float
    high: float
    method: str
    note: str = ""
    bound: tuple[float, float] | None = None


@dataclass(frozen=True)
class PriorComparison:
    """Several estimates of one class prior; `str` formats them as a table.

    Attributes
    ----------
    estimates : tuple of ClassPrior
    agree : bool
        Whether the largest value is at most 1.5 times the smallest.
    note : str
        The same as text, with the estimates that are not resolvable.
    """

    estimates: tuple[ClassPrior, ...]
    agree: bool
    note: str

    def __str__(self) -> str:
        rows = [f"{'method':<11} {'prior':>9} {'low':>9} {'high':>9}  note"]
        for e in self.estimates:
            rows.append(f"{e.method:<11} {e.value:>9.3g} {e.low:>9.3g} {e.high:>9.3g}  {e.note}".rstrip())
        return "\n".join([*rows, self.note])


class _Share(NamedTuple):
    """Fraction of positives among the unlabelled rows, its resampled values, and notes."""

    value: float
    resampled: np.ndarray
    positives: np.ndarray
    note: str = ""
    bound: tuple[float, float] | None = None


@overload
def estimate_class_prior(
    X: Any,
    s: Any,
    *,
    method: Literal["best-bin", "elkan-noto", "km2"] = "best-bin",
    scheme: str = "single",
    estimator: Any = None,
    cv: int = 5,
    groups: Any = None,
    n_bootstrap: int = 200,
    random_state: Any = None,
) -> ClassPrior: ...


@overload
def estimate_class_prior(
    X: Any,
    s: Any,
    *,
    method: Literal["all"],
    scheme: str = "single",
    estimator: Any = None,
    cv: int = 5,
    groups: Any = None,
    n_bootstrap: int = 200,
    random_state: Any = None,
) -> PriorComparison: ...


def estimate_class_prior(
    X: Any,
    s: Any,
    *,
    method: str = "best-bin",
    scheme: str = "single",
    estimator: Any = None,
    cv: int = 5,
    groups: Any = None,
    n_bootstrap: int = 200,
    random_state: Any = None,
) -> ClassPrior | PriorComparison:
    """Estimate the fraction of positives in a population in which only some positives are labelled.

    All methods assume that the labelled positives are a random sample of all positives. Otherwise, for example if the
    bright ones were found first, all of them are biased, and agreement between them proves nothing.

    Parameters
    ----------
    X : array-like of shape (n,) or (n, d)
        Scores, higher for more likely positives, from a model that was not fitted to the row (out of fold); for
        "elkan-noto" probabilities of ``s = 1``. Or features, from which `estimator` computes such probabilities; "km2"
        then uses the standardised features themselves. With many features and rare positives, scores are the better
        input to "km2" too. Features may be NaN where they are unknown: the default `estimator` accepts NaN, another one
        must do so too, and "km2" uses the median of the column, and leaves out columns with only NaN.
    s : array-like of shape (n,)
        1 for a labelled positive, 0 for an unlabelled row; labels of -1 and 1 are accepted too.
    method : {"best-bin", "elkan-noto", "km2", "all"}, default="best-bin"
        - "best-bin" [1]_: smallest ratio of unlabelled rows to positives in a bin of the highest scores, with an
          allowance for errors. Biased high if even that bin contains negatives. Best if some scores are certainly
          positive.
        - "elkan-noto" [2]_: from c, the mean probability of ``s = 1`` over the labelled positives. Biased high where
          the classes overlap, because c is then too low; needs calibrated probabilities.
        - "km2" [3]_: kernel mean embedding with gradient thresholding. Needs no scores, but uses at most 800 random
          rows of either kind, and cannot resolve fractions below about 0.05.
        - "all": the three methods, and whether they agree within 50 %.
    scheme : {"single", "separate"}, default="single"
        Sampling scheme. With "single", the rows are one sample in which some positives are labelled. The prior is that
        of all rows, ``(n_p + alpha n_u) / n`` with alpha the fraction among the unlabelled. With "separate", the
        unlabelled rows alone are a sample of the population, and the prior is alpha.
    estimator : classifier with predict_proba, optional
        Classifier that computes scores from features; it is cloned. By default a small `lightgbm.LGBMClassifier` on one
        thread.
    cv : int, default=5
        Number of folds, stratified by `s` and shuffled. Not used with scores.
    groups : array-like of shape (n,), optional
        Group labels. Rows of one group are in one fold and resampled together, such as copies of one object.
    n_bootstrap : int, default=200
        Number of resamples for the interval, at least 2. Scores are resampled; models are not fitted again. "km2" uses
        at most 20.
    random_state : int, RandomState or None, default=None
        Random state of the folds, the resamples and the rows of "km2".

    Returns
    -------
    ClassPrior
        Or `PriorComparison` with ``method="all"``.

    Raises
    ------
    ValueError
        Scores that are not finite, or for "elkan-noto" outside 0 to 1; features that are infinite or all NaN;
        inconsistent shapes or lengths; invalid labels, labels of only one kind, or fewer positives (or groups with one)
        than folds; an invalid parameter.

    References
    ----------
    .. [1] Garg, Wu, Smola, Balakrishnan & Lipton 2021, NeurIPS 34, algorithm 1; arXiv:2111.00980.
    .. [2] Elkan & Noto 2008, "Learning classifiers from only positive and unlabeled data", KDD 2008, 213, section 2.
    .. [3] Ramaswamy, Scott & Tewari 2016, ICML 48, 2052, sections 4 and 6; arXiv:1603.02501.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.pu import estimate_class_prior
    >>> rng = np.random.default_rng(0)
    >>> unlabelled = np.where(rng.random(5000) < 0.2, rng.normal(4, 1, 5000), rng.normal(0, 1, 5000))
    >>> scores = np.concatenate([rng.normal(4, 1, 500), unlabelled])
    >>> s = np.concatenate([np.ones(500), np.zeros(5000)])
    >>> prior = estimate_class_prior(scores, s, scheme="separate", random_state=0)
    >>> print(f"{prior.value:.2f}, from {prior.low:.2f} to {prior.high:.2f}")
    0.21, from 0.20 to 0.23
    """
    checked_choice("method", method, (*_METHODS, "all"))
    checked_choice("scheme", scheme, ("single", "separate"))
    values = checked_x(X)
    labels, _ = checked_s(s, len(values), "s")
    clusters = checked_groups(groups, len(values))
    if isinstance(n_bootstrap, bool) or not isinstance(n_bootstrap, int | np.integer) or n_bootstrap < 2:
        raise ValueError(f"The 'n_bootstrap' parameter must be an integer of at least 2. Got {n_bootstrap!r} instead.")
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    methods = _METHODS if method == "all" else (method,)
    scores = values
    if values.ndim == 2 and methods != ("km2",):
        scores = _out_of_fold(values, labels, estimator, cv, clusters, seed)
    estimates = []
    for name in methods:
        # Each method has its own generator, so that "all" gives the same results as each method alone.
        rng = np.random.default_rng([seed, _METHODS.index(name)])
        if name == "best-bin":
            share = _best_bin(scores, labels, clusters, n_bootstrap, rng)
        elif name == "elkan-noto":
            share = _elkan_noto(scores, labels, clusters, n_bootstrap, rng)
        else:
            share = _km2(values, labels, clusters, min(n_bootstrap, _KM2_BOOTSTRAP), rng)
        estimates.append(_class_prior(name, share, labels, scheme))
    return _compared(estimates) if method == "all" else estimates[0]


def _best_bin(
    scores: np.ndarray, s: np.ndarray, groups: np.ndarray | None, n_bootstrap: int, rng: np.random.Generator
) -> _Share:
    bins = TopBins(scores[s == 1], scores[s == 0])
    best = bins.best()
    # A fixed bin at the highest fifth of the positives shows whether the ratio still decreases above the best bin.
    far = int(np.flatnonzero(bins.shares()[0] >= 0.2)[-1])
    resampled, above, positives = [], [], []
    for weights_p, weights_u in _resamples(s, groups, n_bootstrap, rng):
        resampled.append(bins.best(weights_p, weights_u).value)
        q_p, q_u = bins.shares(weights_p, weights_u)
        above.append(q_u[far] / q_p[far] if q_p[far] > 0.0 else np.inf)
        positives.append(weights_p.sum() / (weights_p.sum() + weights_u.sum()))
    note = ""
    # No interpolation: between a number and inf, it would give NaN.
    ceiling = float(np.quantile(above, 0.975, method="higher"))
    if _AGREEMENT * ceiling < best.value:
        note = (
            f"not resolvable: an upper limit, because the best bin contains negatives (by the highest fifth of the "
            f"positives, at most {ceiling:.2g} of the unlabelled rows are positive)"
        )
    return _Share(best.value, np.array(resampled), np.array(positives), note, (best.low, best.high))


def _elkan_noto(
    scores: np.ndarray, s: np.ndarray, groups: np.ndarray | None, n_bootstrap: int, rng: np.random.Generator
) -> _Share:
    strange = scores[(scores < 0.0) | (scores > 1.0)]
    if len(strange):
        raise ValueError(
            "The 'X' parameter must be probabilities of s = 1 for \"elkan-noto\", from 0 to 1; use other scores with "
            f'"best-bin" and "km2" only. Got {strange[0]:g} instead.'
        )
    of_positives = scores[s == 1]
    c = float(of_positives.mean())
    if c == 0.0:
        raise ValueError(
            "The 'X' parameter must contain probabilities of s = 1, above 0 for some labelled positives. "
            "Got 0 for all of them instead."
        )
    resampled, positives = [], []
    for weights_p, weights_u in _resamples(s, groups, n_bootstrap, rng):
        n_p, n_u = weights_p.sum(), weights_u.sum()
        resampled.append(_odds_share(float(weights_p @ of_positives) / n_p, n_p, n_u))
        positives.append(n_p / (n_p + n_u))
    return _Share(_odds_share(c, s.sum(), len(s) - s.sum()), np.array(resampled), np.array(positives))


def _odds_share(c: float, n_p: float, n_u: float) -> float:
    """Return the fraction among the unlabelled rows, from the odds of labelling, ``c / (1 - c) = n_p / (share n_u)``.

    For one sample this is the ``P(y=1) = P(s=1) / c`` of Elkan and Noto; the odds are also valid for separate samples.
    """
    return 1.0 if c == 0.0 else float(min((1.0 - c) / c * n_p / n_u, 1.0))


def _km2(
    values: np.ndarray, s: np.ndarray, groups: np.ndarray | None, n_bootstrap: int, rng: np.random.Generator
) -> _Share:
    x = _without_gaps(values.reshape(len(values), -1))
    kept = np.concatenate([_some(np.flatnonzero(s == label), rng) for label in (1, 0)])
    x, kept_s = x[kept], s[kept]
    means = KernelMeans(x[kept_s == 1], x[kept_s == 0])
    value = means.share()
    resampled, positives = [], []
    for weights_p, weights_u in _resamples(kept_s, None if groups is None else groups[kept], n_bootstrap, rng):
        resampled.append(means.share(weights_p, weights_u))
        positives.append(s.mean())
    note = f"interval from {n_bootstrap} resamples of {int(kept_s.sum())} + {int((kept_s == 0).sum())} rows"
    if value < SLOPE_FROM:
        note = f"not resolvable: below {SLOPE_FROM:.2g}, where the method evaluates its first slope; {note}"
    return _Share(value, np.array(resampled), np.array(positives), note)


def _without_gaps(x: np.ndarray) -> np.ndarray:
    """Fill NaN with the median of the column, and leave out columns with only NaN."""
    gaps = np.isnan(x)
    if not gaps.any():
        return x
    known = ~gaps.all(axis=0)
    return np.where(gaps[:, known], np.nanmedian(x[:, known], axis=0), x[:, known])


def _some(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Select at most `_KM2_ROWS` of the rows at random."""
    return rows if len(rows) <= _KM2_ROWS else np.sort(rng.choice(rows, _KM2_ROWS, replace=False))


def _resamples(
    s: np.ndarray, groups: np.ndarray | None, n: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield how often each positive and each unlabelled row is drawn, `n` times; groups are drawn as a whole.

    Draws are stratified: the number of positives, or of groups with a positive, is constant.
    """
    if groups is None:
        groups = np.arange(len(s))
    _, place = np.unique(groups, return_inverse=True)
    holds = np.bincount(place, s) > 0
    strata = [np.flatnonzero(holds), np.flatnonzero(~holds)]
    done = 0
    while done < n:
        drawn = np.zeros(len(holds))
        for stratum in strata:
            k = len(stratum)
            if k:
                drawn[stratum] = np.bincount(rng.integers(k, size=k), minlength=k)
        weights = drawn[place]
        # With few groups, a draw may contain no unlabelled row and is repeated.
        if (weights[s == 0] > 0.0).any():
            yield weights[s == 1], weights[s == 0]
            done += 1


def _class_prior(method: str, share: _Share, s: np.ndarray, scheme: str) -> ClassPrior:
    """Convert the fraction among unlabelled rows to a class prior with its interval and a note."""
    low, high = _interval(share.value, share.resampled)
    note = share.note
    if not note.startswith("not resolvable"):
        reason = ""
        if low <= 0.0:
            reason = "not resolvable: the interval reaches 0 among the unlabelled rows"
        elif high - low > share.value:
            reason = "not resolvable: the interval among the unlabelled rows is wider than the value"
        elif share.value >= 1.0:
            reason = "not resolvable: nothing shows that any unlabelled row is negative"
        note = "; ".join(part for part in (reason, note) if part)
    if scheme == "separate":
        return ClassPrior(share.value, low, high, method, note, share.bound)
    labelled = float(s.mean())
    bound = None
    if share.bound is not None:
        bound = (labelled + (1.0 - labelled) * share.bound[0], labelled + (1.0 - labelled) * share.bound[1])
    value = labelled + (1.0 - labelled) * share.value
    low, high = _interval(value, share.positives + (1.0 - share.positives) * share.resampled)
    return ClassPrior(value, low, high, method, note, bound)


def _interval(value: float, resampled: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of an estimate from 0 to 1, by the spread of its resamples about their median."""
    low, middle, high = np.quantile(resampled, [0.025, 0.5, 0.975])
    return max(0.0, value - float(middle - low)), min(1.0, value + float(high - middle))


def _compared(estimates: list[ClassPrior]) -> PriorComparison:
    least, most = (choose(estimates, key=lambda e: e.value) for choose in (min, max))
    agree = most.value <= _AGREEMENT * least.value
    note = f"The methods {'agree' if agree else 'disagree'}: "
    note += f"{least.value:.3g} ({least.method}) to {most.value:.3g} ({most.method})"
    note += f", a factor {most.value / least.value:.2f}." if least.value > 0.0 else "."
    unresolved = [e.method for e in estimates if e.note.startswith("not resolvable")]
    if unresolved:
        note += f" Not resolvable by {', '.join(unresolved)}."
    return PriorComparison(tuple(estimates), agree, note)


def _out_of_fold(
    X: np.ndarray, s: np.ndarray, estimator: Any, cv: int, groups: np.ndarray | None, seed: int
) -> np.ndarray:
    """Return the out-of-fold probability of ``s = 1`` for each row, by a model not fitted to the row nor its group."""
    folds = list(splits(min_positives(s, cv, groups), s, groups, seed))
    if estimator is None:
        estimator = default_estimator(seed)
    elif not hasattr(estimator, "predict_proba"):
        raise ValueError(
            "The 'estimator' parameter must have predict_proba; otherwise pass out-of-fold scores as 'X'. "
            f"Got {type(estimator).__name__} instead."
        )
    return cross_val_predict(clone(estimator), X, s, cv=folds, method="predict_proba")[:, 1]
