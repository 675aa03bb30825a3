"""Stopping rules: the number of lenses left, from random items of queues, and the run of non-lenses."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import binom

from gridlens.evaluation import Estimate
from gridlens.evaluation._intervals import unresolvable
from gridlens.grading._inclusion import with_strata
from gridlens.grading._labels import checked_grades

__all__ = ["lenses_left", "non_lens_run"]

_TAIL = 0.025


class _Rounds(NamedTuple):
    """Rounds with labels of random items.

    Attributes
    ----------
    size : ndarray of shape (n_rounds,), float64
        Number of objects from which the random items of a round were drawn.
    drawn, lenses : ndarray of shape (n_rounds,), int64
        Number of random items with a label, and of lenses among them.
    found : ndarray of shape (n_rounds,), int64
        Number of lenses found so far among the objects from which the items were drawn.
    beside, beside_lenses : ndarray of shape (n_rounds,), float64
        Number of objects that were chosen for certain but are not graded yet, and of lenses expected among them.
    """

    size: np.ndarray
    drawn: np.ndarray
    lenses: np.ndarray
    found: np.ndarray
    beside: np.ndarray
    beside_lenses: np.ndarray


def lenses_left(items: pd.DataFrame, grades: pd.DataFrame, q: pd.Series[float]) -> Estimate:
    """Estimate the number of lenses among the objects of the pool that are not graded yet.

    Each round of grading draws random items from all objects that are neither graded nor chosen for certain. All
    lenses found since then are among these objects, so each round gives an estimate of the number of lenses left now:
    the fraction of lenses among its random items, times the number of objects from which they were drawn, minus the
    lenses found since then. The estimate is the mean over the rounds, weighted by the number of random items.

    The interval contains the numbers L for which the lenses found among the random items of all rounds are neither too
    few nor too many, with 2.5 % on each side, as in the interval of Clopper and Pearson [1]_ for one round. In round r
    their number is assumed to be binomial, with the probability ``(L + found since) / drawn from``. Draws from strata
    at one rate and without replacement vary less, so the interval is slightly too wide. Without any lens it is an upper
    limit.

    Parameters
    ----------
    items : DataFrame
        Items of all queues in the order in which the queues were made, as for `inclusion_weights`.
    grades : DataFrame
        The columns `object_id`, `grader` and `grade`, and optionally `queue_id`.
    q : Series of float
        Probability that an object is a lens, by object id, such as `q_grades` of the consensus; objects of at least
        0.5 count as lenses, and NaN as unsure.

    Returns
    -------
    Estimate
        At least 0, so that the mean of many such estimates is slightly too high if few lenses are left. The note is
        "not resolvable with 0 random objects" if no random item has a label.

    Raises
    ------
    GridlensError
        A column is missing or a grade is unknown.

    Notes
    -----
    Random items that are unsure or not graded are assumed to be missing at random. Items that were chosen for certain
    but are not graded yet are assumed to contain the same fraction of lenses as the graded ones; for the upper limit,
    all of them count as lenses. Objects that were graded outside the queues are ignored.

    References
    ----------
    .. [1] Clopper & Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial",
       Biometrika 26, 404.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.grading import lenses_left
    >>> names = [f"c{k}" for k in range(50)]
    >>> items = pd.DataFrame(
    ...     {"queue_id": "q1", "object_id": names, "kind": "random", "inclusion_probability": 0.01, "stratum": "1"}
    ... )
    >>> grades = pd.DataFrame({"object_id": names, "grader": "ada", "grade": "X"})
    >>> print(lenses_left(items, grades, pd.Series(0.0, index=names)))
    0.000 [0.000, 355.609]
    """
    rounds = _rounds(with_strata(items, grades), q)
    n_drawn = rounds.drawn.sum()
    if not n_drawn:
        return unresolvable(0, "random object")
    each = rounds.size * rounds.lenses / rounds.drawn - rounds.found + rounds.beside_lenses
    value = max(float((each * rounds.drawn).sum() / n_drawn), 0.0)
    observed = int(rounds.lenses.sum())
    most = float((rounds.size - rounds.found + rounds.beside).max())

    def below(left: float) -> float:
        return _probability(rounds, left - rounds.beside, observed)

    def above(left: float) -> float:
        return 1.0 - _probability(rounds, np.full(len(rounds.size), left), observed - 1)

    high = most if below(most) > _TAIL else _crossing(lambda left: below(left) - _TAIL, most)
    low = 0.0 if not observed or above(0.0) > _TAIL else _crossing(lambda left: above(left) - _TAIL, most)
    return Estimate(value, min(low, value), max(high, value))


def non_lens_run(grades: pd.DataFrame) -> int:
    """Return the number of objects graded X since the last A, B or C.

    This is only a hint. For the number of lenses left, see `lenses_left`.

    Parameters
    ----------
    grades : DataFrame
        The columns `object_id`, `grader` and `grade`, in the order of grading or with `t_graded`. U and the kinds gold
        and repeat are left out.

    Returns
    -------
    int
        0 without grades.

    Raises
    ------
    GridlensError
        A column is missing or a grade is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.grading import non_lens_run
    >>> non_lens_run(pd.DataFrame({"object_id": ["1", "2", "3"], "grader": "ada", "grade": ["B", "X", "X"]}))
    2
    """
    frame = checked_grades(grades)
    if "kind" in frame:
        frame = frame[~frame["kind"].isin(["gold", "repeat"])]
    frame = frame[frame["grade"] != "U"]
    if "t_graded" in frame:
        frame = frame.sort_values("t_graded", kind="stable", na_position="first")
    possible = np.flatnonzero(frame["grade"] != "X")
    return int(frame["object_id"].iloc[possible[-1] + 1 if len(possible) else 0 :].nunique())


def _rounds(sampled: pd.DataFrame, q: pd.Series[float]) -> _Rounds:
    probability = sampled["object_id"].map(q[~q.index.duplicated()]).to_numpy(dtype=np.float64)
    is_random, round_of = (sampled["kind"] == "random").to_numpy(), sampled["round"].to_numpy(dtype=np.int64)
    graded = sampled["graded"].to_numpy()
    known = sampled["labelled"].to_numpy() & ~np.isnan(probability)
    is_lens = known & (probability >= 0.5)
    objects = sampled["object_id"].to_numpy()
    ever = set(objects[graded])
    rows = []
    for r in np.unique(round_of[is_random & known]):
        own, later = round_of == r, round_of > r
        skipped = objects[own & ~is_random & ~graded]
        certain = own & ~is_random & known
        open_items = sum(name not in ever for name in skipped)
        rows.append(
            (
                (1.0 / sampled["inclusion_probability"].to_numpy()[own & is_random]).sum(),
                (own & is_random & known).sum(),
                (own & is_random & is_lens).sum(),
                # Objects skipped in this round were not drawn from, even if they were found later.
                (own & is_random & is_lens).sum() + (later & is_lens & ~np.isin(objects, skipped)).sum(),
                open_items,
                open_items * (certain & is_lens).sum() / max(certain.sum(), 1),
            )
        )
    return _Rounds(*np.array(rows, dtype=np.float64).reshape(-1, 6).T)


def _probability(rounds: _Rounds, left: np.ndarray, k: int) -> float:
    """Return the probability of at most `k` lenses among all random items, if `left` lenses are left by each round."""
    if k < 0:
        return 0.0
    share = np.clip((left + rounds.found) / rounds.size, 0.0, 1.0)
    total = np.ones(1)
    for n, p in zip(rounds.drawn.astype(int), share, strict=True):
        total = np.convolve(total, binom.pmf(np.arange(min(n, k) + 1), n, p))[: k + 1]
    return float(total.sum())


def _crossing(function: Callable[[float], float], most: float) -> float:
    """Return the root of a function that changes sign between 0 and `most`."""
    return float(brentq(function, 0.0, most, xtol=1e-6))
