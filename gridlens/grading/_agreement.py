"""Agreement of graders with each other, with themselves, and with gold objects."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from gridlens.calibration import wilson
from gridlens.calibration._checks import checked_whole
from gridlens.evaluation import Estimate
from gridlens.evaluation._intervals import unresolvable, widest
from gridlens.grading._labels import LABELS, checked_gold, checked_grades, latest_labels
from gridlens.grading._vocabulary import GRADES

__all__ = ["Agreement", "agreement"]

# Grades by which an object counts as found.
_FOUND = ("A", "B")
# Smallest number of objects for which kappa is reported.
_LEAST = 10
_SNR_EDGES = (0.0, 5.0, 10.0, 20.0, 40.0, math.inf)


@dataclass(frozen=True)
class Agreement:
    """Agreement of graders; see `agreement`. Intervals are `Estimate` objects in the columns of the tables.

    Attributes
    ----------
    kappa : Estimate
        Quadratic-weighted kappa of all pairs of graders together.
    pairs : DataFrame
        A row for each pair of graders: `grader`, `other`, `n_objects` labelled by both, `kappa`.
    repeats : DataFrame
        A row for each grader: `grader`, `n_repeats` (labels of objects that the grader had labelled before), `same`
        (fraction of these with the same label as before).
    gold : DataFrame
        A row for each grader and truth: `grader`, `truth`, the numbers of gold objects with the grades `A` to `U`, and
        `found`, the fraction with A or B: the completeness for lenses, the false positive rate for others.
    completeness : DataFrame
        A row for each bin of S/N: `snr_low`, `snr_high`, `n_objects`, `completeness` (fraction of gold lenses with A or
        B; U counts as not found; averaged first over graders, then over objects); no rows without S/N.
    seconds : DataFrame
        A row for each grader: `grader`, `n_images` with both times, `median` seconds from display to grade; NaN without
        times.
    """

    kappa: Estimate
    pairs: pd.DataFrame
    repeats: pd.DataFrame
    gold: pd.DataFrame
    completeness: pd.DataFrame
    seconds: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return the tables as lists of dictionaries for JSON; missing and infinite numbers are None."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return {name: _plain(one) for name, one in value._asdict().items()}
    if isinstance(value, pd.DataFrame):
        return [{str(name): _plain(one) for name, one in row.items()} for row in value.to_dict("records")]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def agreement(
    grades: pd.DataFrame,
    gold: pd.DataFrame | None = None,
    snr: pd.Series[float] | None = None,
    *,
    n_boot: int = 1000,
    random_state: int = 0,
) -> Agreement:
    """Measure how well graders agree with each other, with themselves and with gold objects.

    Kappa is Cohen's with quadratic weights [1]_, for A, B, C, X as equally spaced steps: 1 for equal labels, 0 for
    labels that agree no better than by chance. Its interval is from a bootstrap over the objects. Kappa of all graders
    uses all pairs of labels of one object, with the marginal distribution of all labels.

    Parameters
    ----------
    grades : DataFrame
        The columns `object_id`, `grader` and `grade`, and optionally `t_shown` and `t_graded`, for the time per image
        and to find the latest of several labels. U is not a label.
    gold : DataFrame, default=None
        `object_id` and `truth`, 1 for a lens and 0 otherwise, and optionally `params_json`.
    snr : Series of float, default=None
        Arc S/N of gold lenses by object id. If None, `arc_snr` in the column `params_json` of `gold`, which
        `GradeBook.gold` has.
    n_boot : int, default=1000
        Number of bootstrap draws.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    Agreement
        An `Estimate` has the note "not resolvable with ..." if there are fewer than 10 shared objects, or no objects
        for a fraction. Without grades, the tables are empty.

    Raises
    ------
    GridlensError
        A table lacks a column, a grade is unknown, a truth is neither 0 nor 1, or an object has two.
    ValueError
        `n_boot` or `random_state` is invalid.

    References
    ----------
    .. [1] Cohen 1968, "Weighted kappa: nominal scale agreement with provision for scaled disagreement or partial
       credit", Psychological Bulletin 70, 213.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.grading import agreement
    >>> ids = [str(k) for k in range(12)]
    >>> ada = pd.DataFrame({"object_id": ids, "grader": "ada", "grade": list("AABBCCXXXXXX")})
    >>> ben = pd.DataFrame({"object_id": ids, "grader": "ben", "grade": list("ABBBCXXXXXXC")})
    >>> print(agreement(pd.concat([ada, ben])).pairs.loc[0, "kappa"])
    0.897 [0.677, 0.979]
    """
    frame = checked_grades(grades)
    truth = checked_gold(gold)
    n_boot = checked_whole("n_boot", n_boot, 1)
    rng = np.random.default_rng(checked_whole("random_state", random_state, 0))
    labels = latest_labels(frame)
    graders = list(dict.fromkeys(frame["grader"]))
    step = labels["grade"].map({label: k for k, label in enumerate(LABELS)}).to_numpy(dtype=np.int64)
    labels = labels.assign(step=step)
    return Agreement(
        _overall_kappa(labels, n_boot, rng),
        _pairs(labels, graders, n_boot, rng),
        _repeats(frame, graders),
        _on_gold(frame, truth, graders),
        _completeness(frame, truth, _stated_snr(gold) if snr is None else snr),
        _seconds(frame, graders),
    )


def _overall_kappa(labels: pd.DataFrame, n_boot: int, rng: np.random.Generator) -> Estimate:
    """Return kappa over the pairs of labels of each object."""
    codes, objects = pd.factorize(labels["object_id"])
    cell = codes * len(LABELS) + labels["step"].to_numpy()
    counts = np.bincount(cell, minlength=len(objects) * len(LABELS)).reshape(-1, len(LABELS))
    counts = counts[counts.sum(axis=1) > 1]
    if len(counts) < _LEAST:
        return unresolvable(len(counts), "shared object")
    patterns, times = np.unique(counts, axis=0, return_counts=True)
    n = patterns.sum(axis=1)
    steps = np.arange(len(LABELS))
    first, second = patterns @ steps, patterns @ steps**2
    # Ordered pairs of labels, the squares of their differences, and sums over their first labels.
    moments = np.stack([n * (n - 1), 2.0 * (n * second - first**2), (n - 1) * first, (n - 1) * second], axis=1)

    def kappa(total: np.ndarray) -> np.ndarray:
        pairs, differences, mean, square = (total @ moments).T
        chance = 2.0 * (square / pairs - (mean / pairs) ** 2)
        return np.asarray(1.0 - differences / pairs / np.where(chance > 0.0, chance, np.nan))

    return _estimate(kappa, times, n_boot, rng)


def _pairs(labels: pd.DataFrame, graders: list[str], n_boot: int, rng: np.random.Generator) -> pd.DataFrame:
    own = {name: part.set_index("object_id")["step"] for name, part in labels.groupby("grader", sort=False)}
    rows = []
    for one, other in combinations([name for name in graders if name in own], 2):
        both = pd.concat([own[one], own[other]], axis=1, join="inner").to_numpy()
        rows.append((one, other, len(both), _pair_kappa(both, n_boot, rng)))
    return _table(rows, ("grader", "other", "n_objects", "kappa"))


def _pair_kappa(both: np.ndarray, n_boot: int, rng: np.random.Generator) -> Estimate:
    if len(both) < _LEAST:
        return unresolvable(len(both), "shared object")
    cells, times = np.unique(both, axis=0, return_counts=True)
    a, b = cells.T.astype(np.float64)
    moments = np.stack([np.ones(len(cells)), (a - b) ** 2, a, a**2, b, b**2], axis=1)

    def kappa(total: np.ndarray) -> np.ndarray:
        n, differences, a1, a2, b1, b2 = (total @ moments).T
        chance = a2 / n + b2 / n - 2.0 * (a1 / n) * (b1 / n)
        return np.asarray(1.0 - differences / n / np.where(chance > 0.0, chance, np.nan))

    return _estimate(kappa, times, n_boot, rng)


def _estimate(
    statistic: Callable[[np.ndarray], np.ndarray], times: np.ndarray, n_boot: int, rng: np.random.Generator
) -> Estimate:
    """Return a statistic with bootstrap percentiles over objects, where each pattern occurs `times` times."""
    n = int(times.sum())
    value = float(statistic(times[None, :])[0])
    if math.isnan(value):
        return Estimate(math.nan, math.nan, math.nan, f"not resolvable with one grade in all {n} shared objects")
    # Objects of one pattern are alike, so that a draw of objects is a draw of multinomial numbers of the patterns.
    drawn = statistic(rng.multinomial(n, times / n, size=n_boot))
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (value, value)
    if not low < high:
        low, high = widest(max(value, 0.0), n)
    return Estimate(value, min(float(low), value), max(float(high), value))


def _repeats(grades: pd.DataFrame, graders: list[str]) -> pd.DataFrame:
    labelled = grades[grades["grade"] != "U"]
    if "t_graded" in labelled:
        labelled = labelled.sort_values("t_graded", kind="stable", na_position="first")
    before = labelled.groupby(["object_id", "grader"], sort=False)["grade"].shift()
    again = labelled[before.notna()].assign(same=(labelled["grade"] == before)[before.notna()])
    found = {name: part["same"].to_numpy() for name, part in again.groupby("grader", sort=False)}
    rows = []
    for name in graders:
        same = found.get(name, np.zeros(0, dtype=bool))
        rows.append((name, len(same), _fraction(int(same.sum()), len(same), "repeats")))
    return _table(rows, ("grader", "n_repeats", "same"))


def _on_gold(grades: pd.DataFrame, truth: pd.Series[int], graders: list[str]) -> pd.DataFrame:
    last = _latest_grades(grades[grades["object_id"].isin(truth.index)])
    counts = pd.crosstab([last["grader"], last["object_id"].map(truth)], last["grade"]) if len(last) else None
    rows = []
    for name in graders if len(truth) else []:
        for value, kind in ((1, "gold lenses"), (0, "other gold objects")):
            line = counts.loc[(name, value)] if counts is not None and (name, value) in counts.index else {}
            numbers = [int(line.get(grade, 0)) for grade in GRADES]
            found = sum(int(line.get(grade, 0)) for grade in _FOUND)
            total = sum(numbers)
            rows.append((name, value, *numbers, _fraction(found, total, kind)))
    return _table(rows, ("grader", "truth", *GRADES, "found"))


def _stated_snr(gold: pd.DataFrame | None) -> pd.Series[float]:
    """Return the arc S/N of gold objects by object id, if their parameters contain `arc_snr`."""
    values = {}
    if gold is not None and "params_json" in gold:
        for name, text in zip(gold["object_id"], gold["params_json"], strict=True):
            stated = json.loads(text or "{}")
            if isinstance(stated, dict) and isinstance(stated.get("arc_snr"), int | float):
                values[name] = float(stated["arc_snr"])
    return pd.Series(values, dtype=np.float64)


def _completeness(grades: pd.DataFrame, truth: pd.Series[int], snr: pd.Series[float]) -> pd.DataFrame:
    columns = ("snr_low", "snr_high", "n_objects", "completeness")
    if not len(snr):
        return _table([], columns)
    lenses = truth.index[truth.to_numpy() == 1]
    last = _latest_grades(grades[grades["object_id"].isin(lenses)])
    found = last["grade"].isin(_FOUND).groupby(last["object_id"]).mean()
    ratio = snr[~snr.index.duplicated()].reindex(found.index).to_numpy(dtype=np.float64)
    rows = []
    for low, high in pairwise(_SNR_EDGES):
        chosen = (ratio >= low) & (ratio < high)
        n = int(chosen.sum())
        rows.append((low, high, n, _fraction(float(found[chosen].sum()), n, "gold lenses")))
    return _table(rows, columns)


def _seconds(grades: pd.DataFrame, graders: list[str]) -> pd.DataFrame:
    if {"t_shown", "t_graded"}.issubset(grades.columns):
        taken = (_times(grades["t_graded"]) - _times(grades["t_shown"])).dt.total_seconds()
    else:
        taken = pd.Series(np.nan, index=grades.index)
    by_grader = taken.groupby(grades["grader"])
    n, median = by_grader.count(), by_grader.median()
    rows = [(name, int(n[name]), float(median[name])) for name in graders]
    return _table(rows, ("grader", "n_images", "median"))


def _times(texts: pd.Series[str]) -> pd.Series[pd.Timestamp]:
    return pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")


def _latest_grades(grades: pd.DataFrame) -> pd.DataFrame:
    """Return the latest label of each grader of an object, or U if there is none."""
    labels = latest_labels(grades)
    unsure = grades[grades["grade"] == "U"]
    return pd.concat([labels, unsure]).drop_duplicates(["object_id", "grader"])


def _fraction(count: float, n: int, kind: str) -> Estimate:
    """Return a fraction of objects of a `kind`, in the plural, with Wilson's interval."""
    if not n:
        return Estimate(math.nan, math.nan, math.nan, f"not resolvable with 0 {kind}")
    low, high = wilson(count, n)
    return Estimate(count / n, float(low), float(high))


def _table(rows: Sequence[tuple[object, ...]], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))
