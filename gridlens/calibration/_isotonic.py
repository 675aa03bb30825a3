"""`IsotonicCalibrator`: scores in, probabilities out, without losing the ranking."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from gridlens.calibration.checks import checked_column, checked_labels

__all__ = ["IsotonicCalibrator"]

# Share of the way to 0 or 1 that p goes in the outer half of an end step, and at most again beyond the fitted scores.
# Small: no label says how p changes there, only that it must not fall with the score.
_SLACK = 0.1
_KEYS = ("strictly_increasing", "thresholds_x", "thresholds_y", "n_positive", "n_negative")


class IsotonicCalibrator(BaseEstimator):
    """Turn scores into probabilities by isotonic regression on clean labels.

    The regression (pool adjacent violators, unweighted: class weights would destroy the calibration) finds steps of
    equal probability, k positives of m rows each. Three things are then changed:

    - The first and the last step get ``(k + 1/2) / (m + 1)``, Laplace's rule with half counts, so that no
      probability is 0 or 1. An end step that would thereby pass its neighbour is pooled with it.
    - The ranking survives. Probabilities run linearly from the mid-point, in score, of each step to that of the next
      [2]_. In the outer half of an end step they go on for a tenth of the way to 0 or 1.
    - Beyond the fitted scores, at a distance d in units of their range, they go the share ``d / (1 + d)`` of another
      tenth: always onwards, never far, and never to 0 or 1.

    Output is strictly increasing in the score as far as float64 can tell the results apart.

    Parameters
    ----------
    strictly_increasing : bool, default=True
        False keeps the steps flat, with lines only between the end of a step and the start of the next, and the
        outermost probabilities for all scores beyond. Closest to the labels, but scores in one step tie.

    Attributes
    ----------
    thresholds_x_ : ndarray of shape (n_thresholds,), float64
        Scores, increasing, between which the probability is linear. The first and the last are the range of the fit.
    thresholds_y_ : ndarray of shape (n_thresholds,), float64
        Probabilities there, between 0 and 1.
    n_positive_, n_negative_ : int
        Rows of the fit.

    See Also
    --------
    shift_prior : Probabilities at another prevalence than that of the fit.
    reliability : Probabilities against what was observed.

    References
    ----------
    .. [1] Zadrozny & Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates",
       KDD 2002, 694.
    .. [2] Oron & Flournoy 2017, "Centered Isotonic Regression", Statistics in Biopharmaceutical Research 9, 258.
       They put a step's point at its mean score, here it is the middle of its range.

    Examples
    --------
    >>> from gridlens.calibration import IsotonicCalibrator
    >>> calibrator = IsotonicCalibrator().fit([-2, -1, 0, 1, 2, 3], [0, 0, 1, 0, 1, 1])
    >>> calibrator.predict([-9, -2, -1.5, 0.5, 2.5, 3, 9]).round(3)
    array([0.141, 0.15 , 0.167, 0.5  , 0.833, 0.85 , 0.858])
    """

    def __init__(self, strictly_increasing: bool = True) -> None:
        self.strictly_increasing = strictly_increasing

    def fit(self, scores: Any, y: Any) -> Self:
        """Learn from scores with clean labels.

        Parameters
        ----------
        scores : array-like of shape (n,)
            Finite, and so their range; on any scale, higher for more likely positives.
        y : array-like of shape (n,)
            1 for a positive, 0 surely none. Unlabelled rows do not belong here.

        Returns
        -------
        IsotonicCalibrator

        Raises
        ------
        ValueError
            Shapes or lengths that are wrong, scores or a range of them that is not finite, labels other than 0 and 1,
            one class alone, or a parameter that is not one of its choices.
        """
        if not isinstance(self.strictly_increasing, bool | np.bool_):
            raise ValueError(
                f"The 'strictly_increasing' parameter must be True or False. Got {self.strictly_increasing!r} instead."
            )
        labels = checked_labels(y)
        values = checked_column("scores", scores, len(labels))
        bad = values[~np.isfinite(values)]
        if len(bad):
            raise ValueError(
                f"The 'scores' parameter must be finite; leave out the rows of rejected cutouts. Got {bad[0]} instead."
            )
        if len(values) and not np.isfinite(float(values.max()) - float(values.min())):
            raise ValueError(
                "The 'scores' parameter must span a range that float64 can hold; scale the scores down. "
                f"Got scores from {values.min():g} to {values.max():g} instead."
            )
        n_positive = int(labels.sum())
        n_negative = len(labels) - n_positive
        if not n_positive or not n_negative:
            raise ValueError(
                "The 'y' parameter must be of both classes, at least one 0 and one 1. "
                f"Got {n_positive} of 1 and {n_negative} of 0 instead."
            )
        steps = _pool_ends(_pool(values, labels))
        thresholds = _sloping(steps) if self.strictly_increasing else _flat(steps)
        self.thresholds_x_, self.thresholds_y_ = np.array(thresholds, dtype=np.float64).T.copy()
        self.n_positive_ = n_positive
        self.n_negative_ = n_negative
        return self

    def predict(self, scores: Any) -> np.ndarray:
        """Probability of a positive for each score, at the prevalence of the fit.

        Parameters
        ----------
        scores : array-like of shape (n,)
            Infinite scores get the bound that is approached beyond the fitted ones.

        Returns
        -------
        ndarray of shape (n,), float64
            Between 0 and 1, both left out; NaN where the score is NaN. With n = 0, of shape (0,).

        Raises
        ------
        ValueError
            `scores` of another shape, or not numbers.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self, "thresholds_x_")
        values = checked_column("scores", scores)
        x, y = self.thresholds_x_, self.thresholds_y_
        p = _interpolate(np.clip(values, x[0], x[-1]), x, y)
        if not self.strictly_increasing:
            return p
        unit = float(x[-1] - x[0]) or 1.0
        # A distance too large for float64 is an infinite one, which has its place.
        with np.errstate(over="ignore"):
            below = np.maximum(x[0] - values, 0.0) / unit
            above = np.maximum(values - x[-1], 0.0) / unit
        # Not d / (1 + d), which is NaN for an infinite score.
        p -= p * _SLACK * (1.0 - 1.0 / (1.0 + below))
        p += (1.0 - p) * _SLACK * (1.0 - 1.0 / (1.0 + above))
        return p

    def to_dict(self) -> dict[str, Any]:
        """What was learned, as data that JSON can hold.

        Returns
        -------
        dict
            ``strictly_increasing``, ``thresholds_x``, ``thresholds_y``, ``n_positive`` and ``n_negative``, of bool,
            lists of float and int. `from_dict` makes the same calibrator of it, to the bit, also by way of JSON.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.

        Examples
        --------
        >>> from gridlens.calibration import IsotonicCalibrator
        >>> IsotonicCalibrator().fit([0, 0], [0, 1]).to_dict()["thresholds_y"]
        [0.5]
        """
        check_is_fitted(self, "thresholds_x_")
        return {
            "strictly_increasing": bool(self.strictly_increasing),
            "thresholds_x": self.thresholds_x_.tolist(),
            "thresholds_y": self.thresholds_y_.tolist(),
            "n_positive": self.n_positive_,
            "n_negative": self.n_negative_,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """A fitted calibrator from what `to_dict` returned.

        Parameters
        ----------
        state : dict

        Returns
        -------
        IsotonicCalibrator

        Raises
        ------
        ValueError
            Something is missing or of another type, or the thresholds are not increasing numbers with probabilities
            between 0 and 1.
        """
        if not isinstance(state, dict):
            raise ValueError(f"The 'state' parameter must be a dict from to_dict. Got {type(state).__name__} instead.")
        missing = [key for key in _KEYS if key not in state]
        if missing:
            raise ValueError(
                f"The 'state' parameter must be a dict from to_dict, with {', '.join(_KEYS)}. "
                f"Got one without {', '.join(missing)} instead."
            )
        for key, kind in (("strictly_increasing", bool), ("n_positive", int), ("n_negative", int)):
            if type(state[key]) is not kind:
                raise ValueError(
                    f"The 'state' parameter must have {key} of {kind.__name__}. Got {state[key]!r} instead."
                )
        x = checked_column("thresholds_x", state["thresholds_x"])
        y = checked_column("thresholds_y", state["thresholds_y"])
        increasing = len(x) > 0 and np.isfinite(x).all() and (np.diff(x) > 0.0).all()
        if not increasing or len(x) != len(y) or not ((y > 0.0) & (y < 1.0)).all() or (np.diff(y) < 0.0).any():
            raise ValueError(
                "The 'state' parameter must be of increasing thresholds_x and as many thresholds_y between 0 and 1 "
                f"that do not fall. Got {_shown(x)} and {_shown(y)} instead."
            )
        calibrator = cls(strictly_increasing=state["strictly_increasing"])
        calibrator.thresholds_x_ = x
        calibrator.thresholds_y_ = y
        calibrator.n_positive_ = state["n_positive"]
        calibrator.n_negative_ = state["n_negative"]
        return calibrator


class _Step(NamedTuple):
    """Rows of one probability: how many, how many of them positive, their lowest and highest score."""

    positives: int
    rows: int
    low: float
    high: float

    def joined(self, after: _Step) -> _Step:
        return _Step(self.positives + after.positives, self.rows + after.rows, self.low, after.high)

    @property
    def middle(self) -> float:
        # Halves first, for the sum may overflow; halves of the smallest floats may round out of the step.
        return min(max(self.low / 2 + self.high / 2, self.low), self.high)


def _pool(scores: np.ndarray, y: np.ndarray) -> list[_Step]:
    """Steps of the isotonic regression, by pooling adjacent violators; rows of one score are one from the start.

    Counts are compared as whole numbers: two steps of one share are found equal, whatever their rounding.
    """
    values, inverse, rows = np.unique(scores, return_inverse=True, return_counts=True)
    positives = np.bincount(inverse[y == 1], minlength=len(values))
    steps: list[_Step] = []
    for k, m, score in zip(positives.tolist(), rows.tolist(), values.tolist(), strict=True):
        step = _Step(k, m, score, score)
        while steps and steps[-1].positives * step.rows >= step.positives * steps[-1].rows:
            step = steps.pop().joined(step)
        steps.append(step)
    return steps


def _levels(steps: list[_Step]) -> list[float]:
    """Probability of each step, that of the end steps by Laplace's rule with half counts."""
    levels = [step.positives / step.rows for step in steps]
    for end in (0, -1):
        levels[end] = (steps[end].positives + 0.5) / (steps[end].rows + 1)
    return levels


def _pool_ends(steps: list[_Step]) -> list[_Step]:
    """`steps` with its end steps pooled inwards until `_levels` increases: Laplace's rule can pass a neighbour."""
    steps = list(steps)
    while len(steps) > 1:
        levels = _levels(steps)
        if levels[0] >= levels[1]:
            steps[:2] = [steps[0].joined(steps[1])]
        elif levels[-1] <= levels[-2]:
            steps[-2:] = [steps[-2].joined(steps[-1])]
        else:
            break
    return steps


def _sloping(steps: list[_Step]) -> list[tuple[float, float]]:
    """Thresholds (x, y) at the middle of each step, and at the outer ends of the range."""
    levels = _levels(steps)
    thresholds = [(step.middle, level) for step, level in zip(steps, levels, strict=True)]
    if steps[0].low < steps[0].middle:
        thresholds.insert(0, (steps[0].low, levels[0] * (1.0 - _SLACK)))
    if steps[-1].high > steps[-1].middle:
        thresholds.append((steps[-1].high, levels[-1] + _SLACK * (1.0 - levels[-1])))
    return thresholds


def _flat(steps: list[_Step]) -> list[tuple[float, float]]:
    """Thresholds (x, y) at both ends of each step, once where these are one score."""
    thresholds = []
    for step, level in zip(steps, _levels(steps), strict=True):
        thresholds += [(score, level) for score in sorted({step.low, step.high})]
    return thresholds


def _interpolate(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Linear interpolation that never falls: `np.interp` can pass the right end of a segment by a last digit."""
    if len(x) == 1:
        return np.where(np.isnan(values), np.nan, y[0])
    left = np.clip(np.searchsorted(x, values, side="right") - 1, 0, len(x) - 2)
    share = (values - x[left]) / (x[left + 1] - x[left])
    return np.minimum(y[left] + share * (y[left + 1] - y[left]), y[left + 1])


def _shown(values: np.ndarray) -> str:
    """`values`, cut short for a message."""
    return np.array2string(values, threshold=6, edgeitems=3, precision=6)
