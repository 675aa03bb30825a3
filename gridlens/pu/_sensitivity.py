"""Sensitivity of scores and ranks to the assumed class prior and labelling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.utils import check_random_state

from gridlens.pu._checks import checked_groups, checked_s
from gridlens.pu._folds import splits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Sensitivity", "SensitivityRow", "sensitivity"]


class SensitivityRow(NamedTuple):
    """One change of the assumptions, and its effect."""

    change: str
    mean_probability: float
    median_ratio: float
    """median ratio of the probabilities to the assumed ones, over the highest rows as assumed"""
    rank_correlation: float
    """Spearman's correlation with the assumed scores"""
    top_kept: float
    """fraction of the highest rows as assumed that remain among the highest"""


class Sensitivity(NamedTuple):
    """Result of `sensitivity`; `str` formats it as a table, `plot` draws it."""

    rows: list[SensitivityRow]
    """rows for each change; the first one is as assumed"""
    top: int
    """number of rows that count as the highest"""

    def __str__(self) -> str:
        lines = [
            f"| change | mean p | p over p as assumed, top {self.top} | rank correlation | top {self.top} kept |",
            "|---|---|---|---|---|",
        ]
        for row in self.rows:
            lines.append(
                f"| {row.change} | {row.mean_probability:.3g} | {row.median_ratio:.2f} | {row.rank_correlation:.3f} | "
                f"{row.top_kept:.0%} |"
            )
        return "\n".join(lines)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Plot the changes below each other: the fraction that stays on top, and the change of the probabilities.

        Parameters
        ----------
        axes : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.

        Returns
        -------
        Axes
        """
        import matplotlib.pyplot as plt

        if axes is None:
            _, axes = plt.subplots(figsize=(7.0, 0.5 * len(self.rows) + 1.2), layout="constrained")
        places = np.arange(len(self.rows))[::-1]
        axes.barh(places, [row.top_kept for row in self.rows], color="tab:blue", alpha=0.4, height=0.6)
        for place, row in zip(places, self.rows, strict=True):
            axes.text(0.01, place, f"p x {row.median_ratio:.2f}", va="center", fontsize=8)
        axes.set_yticks(places, [row.change for row in self.rows])
        axes.set_xlim(0.0, 1.0)
        axes.set_xlabel(f"fraction of the top {self.top} that stays there")
        return axes


def sensitivity(
    estimator: Any,
    X: Any,
    s: Any,
    *,
    groups: Any = None,
    factors: Sequence[float] = (0.5, 2.0),
    top: int | None = None,
    cv: int = 5,
    random_state: int | None = None,
) -> Sensitivity:
    """Compute out-of-fold scores for changes of the class prior and of the labelling.

    Labelled positives are rarely a random sample, because the bright ones are found first, and the data do not show by
    how much. This function measures how much the result depends on it: the prior (or the labelling propensity) is
    multiplied by each factor, and half of the labels are removed, once at random and once those with the lowest scores,
    as if only the obvious positives had been found.

    Parameters
    ----------
    estimator : NNPULGBMClassifier, ElkanNotoClassifier, or another classifier
        Classifier that is fitted again on each fold for each change. The first has its `class_prior` changed, the
        second its propensity, and any other only the labels.
    X : array-like of shape (n, d)
    s : array-like of shape (n,)
        1 for a labelled positive, 0 (or -1) for an unlabelled row.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value stay in one fold.
    factors : sequence of float, default=(0.5, 2.0)
        Factors of the change. If one implies fewer positives than labelled ones, or more positives than rows, it is
        replaced by the limit, which the table shows.
    top : int, default=None
        Number of rows that count as the highest. If None, the number of labelled rows.
    cv : int, default=5
        Number of folds.
    random_state : int, default=None

    Returns
    -------
    Sensitivity

    Raises
    ------
    ValueError
        If a label is invalid, or there are fewer positives than folds.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.pu import NNPULGBMClassifier, sensitivity
    >>> rng = np.random.default_rng(0)
    >>> y = rng.random(1000) < 0.3
    >>> X = rng.normal(size=(1000, 2)) + 2.0 * y[:, None]
    >>> s = y & (rng.random(1000) < 0.3)
    >>> found = sensitivity(NNPULGBMClassifier(0.3, n_estimators=30, random_state=0), X, s, cv=3, random_state=0)
    >>> [row.change for row in found.rows][:3]
    ['as assumed', 'class_prior x 0.5', 'class_prior x 2']
    """
    X = np.asarray(X)
    labels, _ = checked_s(s, len(X), "s")
    positives = np.flatnonzero(labels)
    if len(positives) < 2 * cv:
        raise ValueError(
            f"The 's' parameter must contain at least {2 * cv} positives for {cv} folds, because half of the labels "
            f"are removed. Got {len(positives)} instead; use fewer folds."
        )
    random = check_random_state(random_state)
    seed = int(random.randint(2**31 - 1))
    top = len(positives) if top is None else top

    # Fold by the original labels, so that changes are compared on the same rows.
    folds = list(splits(cv, labels, checked_groups(groups, len(X)), seed))

    def scores(model: Any, changed: NDArray[np.int64]) -> NDArray[np.float64]:
        p = np.empty(len(X))
        for train, held in folds:
            p[held] = clone(model).fit(X[train], changed[train]).predict_proba(X[held])[:, 1]
        return p

    assumed = scores(estimator, labels)
    rows = [_row("as assumed", assumed, assumed, top)]
    most_labelled = max(float(np.mean(labels[train])) for train, _ in folds)
    for name, model in _changed_models(estimator, X, labels, factors, most_labelled):
        rows.append(_row(name, scores(model, labels), assumed, top))
    half = len(positives) // 2
    ordered = positives[np.argsort(assumed[positives], kind="stable")]
    for name, dropped in (
        ("half of the labels, at random", random.permutation(positives)[:half]),
        ("half of the labels, the highest scored", ordered[:half]),
    ):
        changed = labels.copy()
        changed[dropped] = 0
        rows.append(_row(name, scores(estimator, changed), assumed, top))
    return Sensitivity(rows, top)


def _changed_models(
    estimator: Any, X: NDArray[Any], labels: NDArray[np.int64], factors: Sequence[float], labelled: float
) -> list[tuple[str, Any]]:
    """Return estimators with other priors or propensities, limited by the fraction of `labelled` rows."""
    parameters = estimator.get_params()
    if "class_prior" in parameters:
        name, value, most = "class_prior", float(estimator.class_prior), 0.99
        least = labelled if parameters.get("scheme") == "single" else 0.0
    elif "propensity" in parameters:
        name, value, most = "propensity", float(clone(estimator).fit(X, labels).propensity_), 1.0
        least = labelled
    else:
        return []
    changed = [min(max(factor * value, least), most) for factor in factors]
    # Show the factor that was used, which may differ from the requested one.
    return [(f"{name} x {other / value:.2g}", clone(estimator).set_params(**{name: other})) for other in changed]


def _row(change: str, p: NDArray[np.float64], assumed: NDArray[np.float64], top: int) -> SensitivityRow:
    best = np.argsort(-assumed, kind="stable")[:top]
    ranks = rankdata(p), rankdata(assumed)
    return SensitivityRow(
        change,
        float(p.mean()),
        float(np.median(p[best] / np.maximum(assumed[best], 1e-12))),
        float(np.corrcoef(*ranks)[0, 1]),
        float(np.isin(best, np.argsort(-p, kind="stable")[:top]).mean()),
    )
