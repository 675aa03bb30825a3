"""Adjustment of odds to the false positive rates of another population."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import expit, logit

from gridlens.calibration._checks import checked_column
from gridlens.calibration._isotonic import IsotonicCalibrator
from gridlens.calibration._prior import shift_prior

__all__ = ["ClassScores", "OddsMap", "ScoreTail", "match_false_alarms", "recalibrated_calibrator"]

_EVEN = 0.5
# Number of scores that a sample is reduced to. The numbers of rows that reach neighbouring scores differ by a few
# percent.
_KEPT = 160
# Number of rows at or above the highest score at which a rate is counted; its standard error is then a third.
_FEWEST_ABOVE = 10
# The lowest score that is matched is reached by this fraction of the rows.
_LARGEST_RATE = 0.9
# Ratio of the rates at neighbouring scores.
_STEP = 1.5
# Rates are counted where positives are at most this fraction of the rows that reach the score.
_POSITIVES_ABOVE = 1.0 / 3.0
# Weight of the second of two assumptions in the geometric mean of the odds, see `match_false_alarms`.
_STRENGTH = 0.5
# Number of linear parts that replace each segment of a calibration curve.
_PARTS = 8
_GRID = 400


class ScoreTail(NamedTuple):
    """Selected scores of a sample, dense towards the highest, with the number of rows that reach each."""

    scores: np.ndarray
    """(k,), float64, decreasing"""
    counts: np.ndarray
    """(k,), int64: number of rows with this score or a higher one, increasing; the last is the size of the sample"""

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """Return the tail of a sample of finite scores, at least one."""
        ordered = np.sort(np.asarray(values, dtype=np.float64))[::-1]
        counts = np.unique(np.round(np.geomspace(1, len(ordered), _KEPT)).astype(np.int64))
        scores = ordered[counts - 1]
        # Of tied scores, the last one counts all rows that reach it.
        last = np.append(scores[1:] < scores[:-1], True)
        return cls(scores[last], np.searchsorted(-ordered, -scores[last], side="right"))

    @property
    def n(self) -> int:
        """Number of rows in the sample."""
        return int(self.counts[-1])

    def moved(self, calibrator: IsotonicCalibrator, prevalence: float) -> ScoreTail:
        """Return the tail of the log-odds, at even prevalence, that a calibrator assigns to the scores."""
        scores = even_log_odds(calibrator.predict(self.scores), prevalence)
        last = np.append(scores[1:] < scores[:-1], True)
        return ScoreTail(scores[last], self.counts[last])

    def rate(self, scores: Any) -> np.ndarray:
        """Return the fraction of the sample at or above each score; 0 above its highest score."""
        log_rate = np.interp(-np.asarray(scores), -self.scores, np.log(self.counts / self.n))
        return np.where(np.asarray(scores) > self.scores[0], 0.0, np.exp(log_rate))

    def reached_by(self, rates: np.ndarray) -> np.ndarray:
        """Return the scores that given fractions of the sample reach; the fractions must be above 0."""
        return np.asarray(np.interp(np.log(rates), np.log(self.counts / self.n), self.scores))


class ClassScores(NamedTuple):
    """Scores of a calibration sample, by class."""

    negative: ScoreTail
    positive: ScoreTail

    @classmethod
    def of(cls, scores: np.ndarray, y: np.ndarray) -> Self:
        """Return the tails of a sample with labels 0 and 1, of both classes."""
        return cls(ScoreTail.of(scores[y == 0]), ScoreTail.of(scores[y == 1]))

    def moved(self, calibrator: IsotonicCalibrator, prevalence: float) -> ClassScores:
        """Return the scores as log-odds at even prevalence, see `ScoreTail.moved`."""
        return ClassScores(*(tail.moved(calibrator, prevalence) for tail in self))

    def to_dict(self) -> dict[str, dict[str, list[Any]]]:
        """Return the scores by class as JSON-serialisable lists."""
        return {name: {part: column.tolist() for part, column in tail._asdict().items()} for name, tail in self._pairs}

    @property
    def _pairs(self) -> list[tuple[str, ScoreTail]]:
        return list(zip(self._fields, self, strict=True))

    @classmethod
    def from_dict(cls, state: Any) -> Self:
        """Restore the result of `to_dict`; raise ValueError if it is incomplete or invalid."""
        return cls(*(_checked_tail(name, state) for name in cls._fields))


def _checked_tail(name: str, state: Any) -> ScoreTail:
    tail = state.get(name) if isinstance(state, dict) else None
    if not isinstance(tail, dict) or not set(ScoreTail._fields) <= set(tail):
        raise ValueError(f"The 'state' parameter must have scores and counts of the {name} class.")
    scores, counts = (checked_column(f"{part} of the {name} class", tail[part]) for part in ScoreTail._fields)
    fits = len(scores) > 0 and len(scores) == len(counts) and np.isfinite(scores).all() and (np.diff(scores) < 0).all()
    if not fits or not (counts >= 1).all() or (np.diff(counts) <= 0).any() or (counts % 1 != 0).any():
        raise ValueError(
            f"The 'state' parameter must have decreasing scores of the {name} class, and an increasing count for each."
        )
    return ScoreTail(scores, counts.astype(np.int64))


def even_log_odds(p: np.ndarray, prevalence: float) -> np.ndarray:
    """Return the log-odds, at even prevalence, of probabilities at another prevalence."""
    return np.asarray(logit(shift_prior(p, prevalence, _EVEN)))


class OddsMap(NamedTuple):
    """Strictly increasing map of log-odds at even prevalence."""

    at: np.ndarray
    """(k,): increasing log-odds"""
    shift: np.ndarray
    """(k,): shift of the log-odds there; linear between, and constant beyond both ends"""
    ratio: float
    """false positives at even odds relative to the calibration sample; NaN where that has none"""

    def moved(self, log_odds: np.ndarray) -> np.ndarray:
        """Return the shifted log-odds; infinite ones are unchanged."""
        return np.asarray(log_odds + np.interp(log_odds, self.at, self.shift))


def match_false_alarms(home: ClassScores, pool: np.ndarray, prevalence: float) -> OddsMap:
    """Estimate the map of log-odds from the false positive rates of a pool.

    A pool shows the scores of negatives but not those of positives. If positives score as in the calibration sample,
    the odds of a score are unchanged. If the scores of positives shift in the same way as those of negatives, a score
    means the same as the calibration score with the same false positive rate. The result is the geometric mean of the
    odds under both assumptions. A rate differs from that of the calibration sample only by as much as exceeds its
    standard error. The shift is constant above the score that ten rows of the pool reach, and where positives are more
    than a third of the rows.

    Parameters
    ----------
    home : ClassScores
        Log-odds of the calibration sample, at even prevalence.
    pool : ndarray of shape (n,)
        Finite log-odds of unlabelled rows, at even prevalence.
    prevalence : float
        Fraction of positives in the pool, from 0 to 0.1. They are assumed to score as in the calibration sample, and
        are subtracted from the rates.
    """
    n, z = len(pool), np.sort(pool)
    rates = _LARGEST_RATE * _STEP ** -np.arange(200.0)
    counts = np.unique((rates * n).astype(np.int64))[::-1]
    counts = counts[counts >= np.ceil(_FEWEST_ABOVE * max(1.0, n / home.negative.n))]
    at = np.unique(z[n - counts])
    reached = 1.0 - np.searchsorted(z, at, side="left") / n
    positives = prevalence * home.positive.rate(at)
    kept = positives <= _POSITIVES_ABOVE * reached
    at, rate = at[kept], _without(reached[kept], positives[kept], prevalence)
    # Range of the calibration scores whose rates agree with the pool. Scores within their own range stay unchanged.
    low, high = (home.negative.reached_by(end) for end in _standard_interval(rate, n, home.negative.n))
    target = np.clip(at, low, high)
    # The full shift preserves the order of the scores; half of it also preserves half of their differences.
    return OddsMap(at, _STRENGTH * (target - at), _ratio_at_even_odds(home, z, prevalence))


def _without(reached: np.ndarray, positives: np.ndarray, prevalence: float) -> np.ndarray:
    """Subtract the positives from rates; the remaining false positive rates decrease with the score."""
    return np.minimum.accumulate(np.atleast_1d((reached - positives) / (1.0 - prevalence)))


def _standard_interval(rate: np.ndarray, n: int, n_home: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the upper and the lower end of Wilson's interval of one standard error for the rates in both samples."""
    # The variances of the two samples add up to that of one sample that is smaller than either.
    size = 1.0 / (1.0 / n + 1.0 / n_home)
    middle = (rate + 0.5 / size) / (1.0 + 1.0 / size)
    half = np.sqrt(rate * (1.0 - rate) / size + 0.25 / size**2) / (1.0 + 1.0 / size)
    return middle + half, middle - half


def _ratio_at_even_odds(home: ClassScores, z: np.ndarray, prevalence: float) -> float:
    reached = np.array(np.mean(z >= 0.0))
    rate = float(_without(reached, prevalence * home.positive.rate(0.0), prevalence)[0])
    expected = float(home.negative.rate(0.0))
    return max(rate, 0.0) / expected if expected > 0.0 else float("nan")


def recalibrated_calibrator(calibrator: IsotonicCalibrator, prevalence: float, odds: OddsMap) -> IsotonicCalibrator:
    """Return a calibrator with shifted probabilities and intervals, at the `prevalence` of the fit.

    Each segment of the old curve is divided into eight linear parts; the numbers of rows in the fit are unchanged.
    """

    def moved(p: np.ndarray) -> np.ndarray:
        # The ends of intervals may be 0 or 1, with infinite log-odds.
        even = odds.moved(even_log_odds(p, prevalence))
        return shift_prior(expit(even), _EVEN, prevalence)

    known = calibrator.thresholds_x_
    if calibrator.method_ == "isotonic":
        whole = np.arange((len(known) - 1) * _PARTS + 1) / _PARTS
        x = np.unique(np.interp(whole, np.arange(len(known)), known))
    else:
        x = np.unique(np.linspace(known[0], known[-1], _GRID))
    state = calibrator.to_dict() | {"method": "isotonic", "thresholds_x": x.tolist()}
    state["thresholds_y"] = moved(calibrator.predict(x)).tolist()
    if calibrator.limits_ is not None:
        at, low, high = calibrator.limits_
        state["limits"] = [at.tolist(), moved(low).tolist(), moved(high).tolist()]
    return IsotonicCalibrator.from_dict(state)
