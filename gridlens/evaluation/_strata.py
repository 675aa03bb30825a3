"""Metrics by stratum, and a cross table of models that are tested on the data of others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gridlens.calibration._checks import checked_column, checked_groups, checked_whole
from gridlens.calibration._weights import weighed
from gridlens.evaluation._draws import Metric, named_metrics
from gridlens.evaluation._intervals import Estimate
from gridlens.evaluation._ranking import _checked

__all__ = ["CrossTable", "cross_table", "stratified"]


def stratified(
    metrics: Metric | Mapping[str, Metric],
    y: Any,
    score: Any,
    strata: Any,
    groups: Any = None,
    sample_weight: Any = None,
    *,
    edges: Sequence[float] | None = None,
    min_positives: int = 10,
    min_negatives: int = 100,
) -> pd.DataFrame:
    """Compute metrics for each stratum that is large enough.

    If no negative has a stratum (a property that only positives have), the positives of each stratum are compared with
    all negatives. Otherwise, they are compared with the negatives of the stratum.

    Parameters
    ----------
    metrics : callable or dict of callable by name
        ``metric(y, score, groups=groups)`` that returns an `Estimate`; without groups ``metric(y, score)``, and with
        weights also ``sample_weight``.
    y : array-like of shape (n,)
        Clean labels, 0 or 1.
    score : array-like of shape (n,)
        Scores, higher for more likely positives. Infinite scores are accepted, NaN is not.
    strata : array-like of shape (n,)
        Name of each row's stratum, None or NaN where it has none; with `edges`, a number that is cut at these.
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value, such as views of one cluster, belong together. Passed to the metrics.
    sample_weight : array-like of shape (n,), default=None
        Sample weights, finite and non-negative, passed to the metrics. Rows of weight 0 are left out. If None, every
        row has weight 1.
    edges : sequence of float, default=None
        Increasing edges of ordered strata; each stratum includes its lower edge, the last also its upper edge.
    min_positives, min_negatives : int, default=10 and 100
        Smallest numbers in a stratum. Ordered strata below these are merged with the neighbour that has fewer
        positives, the smallest first; others are marked and not evaluated.

    Returns
    -------
    pandas.DataFrame
        One row for each stratum and metric, "all" first, with ``stratum, n_positive, n_negative, against, metric,
        value, low, high, note``. ``against`` tells which negatives were used: the stratum's "own" or "all". Rows
        without a stratum or beyond the edges come last, with the note "n = 7 positives, in no stratum"; they count in
        "all".

    Raises
    ------
    ValueError
        Inconsistent lengths, labels other than 0 and 1, NaN scores, missing groups or groups of mixed types, edges
        that do not increase, metrics that cannot be called, counts under 1, weights that are negative, not finite or
        all 0.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.evaluation import auroc
    >>> from gridlens.evaluation._strata import stratified
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([1, 0], [60, 500])
    >>> radius = np.where(y == 1, rng.uniform(10, 30, 560), np.nan)
    >>> table = stratified(auroc, y, rng.normal(size=560) + 2 * y, radius, edges=[10, 12, 20, 30])
    >>> print(table[["stratum", "n_positive", "against", "value"]].round(2).to_string(index=False))
     stratum  n_positive against  value
         all          60     all   0.94
    10 to 20          28     all   0.93
    20 to 30          32     all   0.94
    >>> table["note"].tolist()
    ['', 'merged: 10 to 12, 12 to 20', '']
    """
    labels, values = _checked(y, score)
    members = None if groups is None else checked_groups(groups, len(labels))
    named = named_metrics(metrics)
    least = (checked_whole("min_positives", min_positives, 1), checked_whole("min_negatives", min_negatives, 1))
    place, names, known = _cut(strata, edges, len(labels)) if edges is not None else _labelled(strata, len(labels))
    weight, labels, values, members, place, known = weighed(sample_weight, labels, values, members, place, known)
    against = "own" if known[labels == 0].any() else "all"
    parts = [_part(name, labels, place == i, against) for i, name in enumerate(names)]
    if edges is not None:
        parts = _merged(parts, least)
    rows = []
    for part in [_part("all", labels, np.ones(len(labels), dtype=bool), "all"), *parts]:
        lack = "" if part.name == "all" else _lack(part, least)
        taken = np.concatenate([part.positive, part.negative])
        options = {} if members is None else {"groups": members[taken]}
        options |= {} if weight is None else {"sample_weight": weight[taken]}
        for name, metric in named.items():
            nothing = Estimate(math.nan, math.nan, math.nan, f"n = {lack}, not shown")
            rows.append(_row(part, name, nothing if lack else metric(labels[taken], values[taken], **options)))
    outside = _part("none", labels, place < 0, against)
    if len(outside.positive) or (against == "own" and len(outside.negative)):
        counts = [(outside.positive, "positive")] + [(outside.negative, "negative")] * (against == "own")
        note = f"n = {' and '.join(_count(rows, kind) for rows, kind in counts if len(rows))}, in no stratum"
        rows += [_row(outside, name, Estimate(math.nan, math.nan, math.nan, note)) for name in named]
    return pd.DataFrame(rows)


class CrossTable(NamedTuple):
    """Result of `cross_table`; `str` formats it as Markdown.

    Attributes
    ----------
    value : pandas.DataFrame
        Rows for the training data, columns for the test data, float64; NaN where there is no value.
    text : pandas.DataFrame
        The same with intervals, or with the note where there is no value.
    """

    value: pd.DataFrame
    text: pd.DataFrame

    def __str__(self) -> str:
        return _markdown(self.text.rename_axis("trained on / tested on").reset_index())


def cross_table(results: Mapping[str, Mapping[str, Estimate]]) -> CrossTable:
    """Tabulate the performance of each model on its own kind of data and on the others.

    Parameters
    ----------
    results : mapping of str to mapping of str to Estimate
        ``results[trained_on][tested_on]``.

    Returns
    -------
    CrossTable
        Names in the order of their first appearance, those of training data first. Missing results are "not measured".

    Raises
    ------
    ValueError
        If there are no results.

    Examples
    --------
    >>> from gridlens.evaluation import Estimate
    >>> from gridlens.evaluation._strata import cross_table
    >>> good, poor = Estimate(0.95, 0.93, 0.97), Estimate(0.71, 0.62, 0.79)
    >>> print(cross_table({"deep": {"deep": good, "wide": poor}, "wide": {"wide": good}}))
    | trained on / tested on | deep                 | wide                 |
    |------------------------|----------------------|----------------------|
    | deep                   | 0.950 [0.930, 0.970] | 0.710 [0.620, 0.790] |
    | wide                   | not measured         | 0.950 [0.930, 0.970] |
    """
    names = list(dict.fromkeys([*results, *(name for row in results.values() for name in row)]))
    if not names:
        raise ValueError("The 'results' parameter must contain at least one model. Got none instead.")
    absent = Estimate(math.nan, math.nan, math.nan, "not measured")
    cells = [[results.get(trained, {}).get(tested, absent) for tested in names] for trained in names]
    return CrossTable(
        pd.DataFrame([[cell.value for cell in row] for row in cells], names, names, dtype=np.float64),
        pd.DataFrame([[str(cell) for cell in row] for row in cells], names, names, dtype=object),
    )


def _markdown(table: pd.DataFrame) -> str:
    """Return a table of text in Markdown, aligned to be readable as plain text; the index is left out."""
    rows = [list(table.columns), *table.itertuples(index=False)]
    lines = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(table.columns))]
    lines = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    rule = "|".join("-" * (width + 2) for width in widths)
    head, *rest = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, f"|{rule}|", *rest])


class _Part(NamedTuple):
    """Stratum: its name, the rows of its positives and of the negatives that they are compared with, and their kind.

    ``of`` holds the names of the strata that were merged into it.
    """

    name: str
    positive: np.ndarray
    negative: np.ndarray
    against: str
    of: tuple[str, ...] = ()


def _part(name: str, labels: np.ndarray, inside: np.ndarray, against: str) -> _Part:
    negative = (labels == 0) & (inside | (against == "all"))
    return _Part(name, np.flatnonzero((labels == 1) & inside), np.flatnonzero(negative), against)


def _lack(part: _Part, least: tuple[int, int]) -> str:
    """Return which rows are too few in `part`, such as "7 positives"; "" if there are enough."""
    if len(part.positive) < least[0]:
        return _count(part.positive, "positive")
    # With "all", every stratum has the same negatives, so merging would not help.
    if part.against == "own" and len(part.negative) < least[1]:
        return _count(part.negative, "negative")
    return ""


def _merged(parts: list[_Part], least: tuple[int, int]) -> list[_Part]:
    """Merge neighbouring parts until all are large enough or one is left."""
    parts = list(parts)
    while len(parts) > 1 and any(_lack(part, least) for part in parts):
        i = min((i for i, part in enumerate(parts) if _lack(part, least)), key=lambda i: len(parts[i].positive))
        beside = [j for j in (i - 1, i + 1) if 0 <= j < len(parts)]
        j = min(beside, key=lambda j: len(parts[j].positive))
        first, second = parts[min(i, j)], parts[max(i, j)]
        name = f"{first.name.split(' to ')[0]} to {second.name.split(' to ')[1]}"
        positive = np.concatenate([first.positive, second.positive])
        negative = np.union1d(first.negative, second.negative)
        of = (first.of or (first.name,)) + (second.of or (second.name,))
        parts[min(i, j) : max(i, j) + 1] = [_Part(name, positive, negative, first.against, of)]
    return parts


def _row(part: _Part, metric: str, found: Estimate) -> dict[str, Any]:
    notes = ["merged: " + ", ".join(part.of)] * bool(part.of) + [found.note] * bool(found.note)
    return {
        "stratum": part.name.replace(" to inf", " and over"),
        "n_positive": len(part.positive),
        "n_negative": len(part.negative),
        "against": part.against,
        "metric": metric,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "note": "; ".join(notes),
    }


def _count(rows: np.ndarray, kind: str) -> str:
    return f"{len(rows)} {kind}" + ("" if len(rows) == 1 else "s")


def _labelled(strata: Any, length: int) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return each row's index into the sorted names (-1 for none), the names, and which rows have one."""
    column = pd.Series(np.asarray(strata)) if np.ndim(strata) == 1 else pd.Series(dtype=object)
    if len(column) != length:
        raise ValueError(
            f"The 'strata' parameter must be of shape ({length},), like 'y'. Got shape {np.shape(strata)} instead."
        )
    known = column.notna().to_numpy()
    text = column[known].astype(str).to_numpy(dtype=object)
    names, inverse = np.unique(text.astype(str), return_inverse=True)
    place = np.full(length, -1)
    place[known] = inverse
    return place, names.tolist(), known


def _cut(strata: Any, edges: Sequence[float], length: int) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Do the same as `_labelled` for numbers cut at `edges`."""
    column = checked_column("strata", strata, length)
    cuts = checked_column("edges", edges)
    if len(cuts) < 2 or not (np.diff(cuts) > 0.0).all():
        raise ValueError(f"The 'edges' parameter must be two or more increasing numbers. Got {edges} instead.")
    place = np.searchsorted(cuts, column, side="right") - 1
    place[column == cuts[-1]] = len(cuts) - 2
    known = ~np.isnan(column)
    place[~known | (column < cuts[0]) | (column > cuts[-1])] = -1
    return place, [f"{low:g} to {high:g}" for low, high in pairwise(cuts)], known
