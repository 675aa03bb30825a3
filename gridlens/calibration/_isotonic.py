"""`IsotonicCalibrator`: scores in, probabilities out, without losing the ranking."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from gridlens.calibration._beta import fit_beta
from gridlens.calibration._checks import checked_column, checked_groups, checked_labels, checked_whole
from gridlens.calibration._likelihood import design_effect, likelihood_limits
from gridlens.calibration._state import checked_state
from gridlens.calibration._steps import SLACK, flat, interpolate, pool, pool_ends, sloping, tied
from gridlens.calibration._weights import effective_number, weighed

__all__ = ["IsotonicCalibrator"]


class IsotonicCalibrator(BaseEstimator):
    """Turn scores into probabilities by isotonic regression on clean labels.

    The regression (pool adjacent violators) finds steps of equal probability, k positives of m rows each. Class weights
    would destroy the calibration; weights of rows that were chosen with unequal probabilities restore it. Three things
    are then changed:

    - The first and the last step get ``(k + 1/2) / (m + 1)``, Laplace's rule with half counts, so that no
      probability is 0 or 1. An end step that would thereby pass its neighbour is pooled with it.
    - The ranking survives. Probabilities run linearly from the mid-point, in score, of each step to that of the next
      [2]_. In the outer half of an end step they continue for a tenth of the way to 0 or 1.
    - Beyond the fitted scores, at a distance d in units of their range, they go the share ``d / (1 + d)`` of another
      tenth: always onwards, never far, and never to 0 or 1.

    Output is strictly increasing in the score as far as float64 can tell the results apart. Rows of one score are
    one row to the regression, with their fraction of positives, and get one probability: ties stay ties.

    Fewer positives than `min_positives` make few steps, and the topmost promise too much. A beta calibration [3]_ is
    fitted instead, with a warning. It is a smooth curve of five numbers through the fitted scores, and continues beyond
    them as above. Beta calibration takes probabilities: Platt's sigmoid [4]_ makes them from the scores, whatever their
    scale. Its targets, which no score can reach, serve both fits. With 5 to 50 positives at a prevalence of 0.01 and
    eight shapes of scores, the beta calibration lowers the expected log loss from 0.0398 for the sigmoid alone to
    0.0381, and the mean distance from the true probability by a quarter. The sigmoid is better, by less than 0.001,
    only where it is the true curve or where fewer than 20 positives lie among negatives that scatter twice as widely
    (``python benchmarks/calibration.py --few``).

    Parameters
    ----------
    strictly_increasing : bool, default=True
        False keeps the steps flat, with lines only between the end of a step and the start of the next, and the
        outermost probabilities for all scores beyond. Closest to the labels, but scores in one step tie. The curve of
        few positives has no steps, only its outermost probabilities are held.
    min_positives : int, default=50
        Positives, of clean labels, that the isotonic regression asks for; with groups, groups that hold one; with
        weights, their effective number ``(sum w)^2 / sum w^2``. 0 asks for none.

    Attributes
    ----------
    method_ : {"isotonic", "beta"}
        What was fitted.
    thresholds_x_ : ndarray of shape (n_thresholds,), float64
        Scores, increasing. The first and the last are the range of the fit. Between neighbours the probability is
        linear in the score; of a beta calibration, there is nothing but the range.
    thresholds_y_ : ndarray of shape (n_thresholds,), float64
        Probabilities there, between 0 and 1.
    limits_ : tuple of ndarray of shape (m,), or None
        Scores, and the lower and the upper end of the 95 % interval there, see `predict_interval`. None in a model
        from before there were intervals.
    n_positive_, n_negative_ : int
        Rows of the fit, without those of weight 0.

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
    .. [3] Kull, Silva Filho & Flach 2017, "Beta calibration", AISTATS, PMLR 54, 623.
    .. [4] Platt 1999, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers, 61.

    Examples
    --------
    >>> from gridlens.calibration import IsotonicCalibrator
    >>> calibrator = IsotonicCalibrator(min_positives=0).fit([-2, -1, 0, 1, 2, 3], [0, 0, 1, 0, 1, 1])
    >>> calibrator.predict([-9, -2, -1.5, 0.5, 2.5, 3, 9]).round(3)
    array([0.141, 0.15 , 0.167, 0.5  , 0.833, 0.85 , 0.858])
    """

    def __init__(self, strictly_increasing: bool = True, min_positives: int = 50) -> None:
        self.strictly_increasing = strictly_increasing
        self.min_positives = min_positives

    def fit(self, scores: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> Self:
        """Learn from scores with clean labels.

        Parameters
        ----------
        scores : array-like of shape (n,)
            Finite, and so their range; on any scale, higher for more likely positives.
        y : array-like of shape (n,)
            1 for a positive, 0 surely none. Unlabelled rows do not belong here.
        groups : array-like of shape (n,), default=None
            Rows with the same value belong together, such as views of one cluster. They widen the intervals and change
            no probability. None: each row by itself.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows, finite and from 0, such as the inverse of the probability with which each was chosen to
            be labelled. Probabilities are then at the prevalence of the weighted rows; half counts and intervals are
            those of the effective number of rows in a step, ``(sum w)^2 / sum w^2``. None: 1 for each.

        Returns
        -------
        IsotonicCalibrator

        Warns
        -----
        UserWarning
            Fewer positives than `min_positives`; or all scores are equal, so that no row can be distinguished from
            another.

        Raises
        ------
        ValueError
            Shapes or lengths that are wrong, scores or a range of them that is not finite, labels other than 0 and 1,
            one class alone (rows of weight 0 do not count), weights that are negative or not finite, or a parameter
            that is not one of its choices.
        """
        if not isinstance(self.strictly_increasing, bool | np.bool_):
            raise ValueError(
                f"The 'strictly_increasing' parameter must be True or False. Got {self.strictly_increasing!r} instead."
            )
        least = checked_whole("min_positives", self.min_positives, 0)
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
        together = None if groups is None else checked_groups(groups, len(labels))
        weight, labels, values, together = weighed(sample_weight, labels, values, together)
        if weight is None:
            weight = np.ones(len(labels))
        n_positive = int(labels.sum())
        n_negative = len(labels) - n_positive
        if not n_positive or not n_negative:
            raise ValueError(
                "The 'y' parameter must be of both classes, at least one 0 and one 1"
                f"{'' if sample_weight is None else ' of a weight above 0'}. "
                f"Got {n_positive} of 1 and {n_negative} of 0 instead."
            )
        levels = tied(values, labels, weight)
        steps = pool(levels)
        if len(levels.rows) == 1:
            warnings.warn(
                "All 'scores' are equal: they tell no row from another, and each gets the fraction of positives.",
                UserWarning,
                stacklevel=2,
            )
        self.n_positive_ = n_positive
        self.n_negative_ = n_negative
        # Views of one positive teach what one does.
        positive = labels == 1
        n_told = effective_number(weight[positive], None if together is None else together[positive])
        # Sums of equal weights may fall short of a whole number by a last digit.
        if n_told * (1.0 + 1e-9) >= least:
            self.method_ = "isotonic"
            ends = pool_ends(steps)
            self.thresholds_x_, self.thresholds_y_ = sloping(ends) if self.strictly_increasing else flat(ends)
        else:
            kind = "positives" if together is None else "groups with a positive"
            told = f"{n_told:.0f}" if sample_weight is None else f"{n_told:.1f} effective"
            warnings.warn(
                f"{told} {kind} are fewer than the {least} that an isotonic regression asks for ('min_positives'): "
                "this is a beta calibration, a smooth curve.",
                UserWarning,
                stacklevel=2,
            )
            self.method_ = "beta"
            self.thresholds_x_ = np.unique(levels.low[[0, -1]])
            self.curve_ = fit_beta(self._place(values), labels, weight)
            self.thresholds_y_ = self.curve_.predict(self._place(self.thresholds_x_))
        effect = 1.0 if together is None else design_effect(steps, values, labels, together, weight)
        self.limits_: tuple[np.ndarray, np.ndarray, np.ndarray] | None = likelihood_limits(levels, steps, effect)
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
        x = self.thresholds_x_
        inside = np.clip(values, x[0], x[-1])
        if self.method_ == "isotonic":
            p = interpolate(inside, x, self.thresholds_y_)
        else:
            p = self.curve_.predict(self._place(inside))
        if not self.strictly_increasing:
            return p
        unit = float(x[-1] - x[0]) or 1.0
        # A distance too large for float64 is an infinite one, which has its place.
        with np.errstate(over="ignore"):
            below = np.maximum(x[0] - values, 0.0) / unit
            above = np.maximum(values - x[-1], 0.0) / unit
        # Not d / (1 + d), which is NaN for an infinite score.
        p -= p * SLACK * (1.0 - 1.0 / (1.0 + below))
        p += (1.0 - p) * SLACK * (1.0 - 1.0 / (1.0 + above))
        return p

    def predict_interval(self, scores: Any) -> tuple[np.ndarray, np.ndarray]:
        """95 % interval of the probability for each score, at the prevalence of the fit.

        Held at a wrong probability, the best curve that rises with the score fits the labels worse. The interval has
        the probabilities at which twice the loss of log-likelihood stays under 2.27, the 95 % quantile of that loss at
        the right one [1]_; where scores tie, under more, up to the 3.84 of a plain share. With groups, that is
        multiplied by their design effect [2]_, the variance of the sums of residuals over a group's rows in one step,
        over that of as many independent rows. It needs no draws, and assumes nothing of the curve but that it rises.

        Parameters
        ----------
        scores : array-like of shape (n,)

        Returns
        -------
        low, high : ndarray of shape (n,), float64
            From 0 to 1, with `predict` between them; linear between up to 130 scores of the fit. Beyond the lowest
            score `low` is 0, beyond the highest `high` is 1. NaN where the score is NaN.

        Raises
        ------
        ValueError
            `scores` of another shape, or not numbers; or the calibrator is from a model without intervals.
        sklearn.exceptions.NotFittedError
            Before `fit`.

        Notes
        -----
        The interval is of the probability at one score, not of the curve as a whole. In simulations its coverage,
        averaged over rows, lies within two points of 95 % (`benchmarks/calibration.py`). It is short with 20 positives,
        down to 89 %, and of scores that tell nothing: a curve that is flat leaves steps too long for the test.
        ``shift_prior`` takes both ends to another prevalence.

        References
        ----------
        .. [1] Banerjee & Wellner 2001, "Likelihood ratio tests for monotone functions", Annals of Statistics 29, 1699.
        .. [2] Rao & Scott 1984, "On chi-squared tests for multiway contingency tables with cell proportions estimated
           from survey data", Annals of Statistics 12, 46.

        Examples
        --------
        >>> from gridlens.calibration import IsotonicCalibrator
        >>> calibrator = IsotonicCalibrator(min_positives=0).fit([-2, -1, 0, 1, 2, 3], [0, 0, 1, 0, 1, 1])
        >>> low, high = calibrator.predict_interval([0.0, 3.0])
        >>> low.round(2), high.round(2)
        (array([0.09, 0.57]), array([0.91, 1.  ]))
        """
        check_is_fitted(self, "thresholds_x_")
        if self.limits_ is None:
            raise ValueError(
                "The calibrator has no intervals: it comes from a model of an earlier version. Train the model again."
            )
        p = self.predict(scores)
        values = checked_column("scores", scores)
        x, low, high = self.limits_
        inside = np.clip(values, x[0], x[-1])
        lower = np.where(values < x[0], 0.0, interpolate(inside, x, low))
        upper = np.where(values > x[-1], 1.0, interpolate(inside, x, high))
        return np.minimum(lower, p), np.maximum(upper, p)

    def to_dict(self) -> dict[str, Any]:
        """What was learned, as data that JSON can hold.

        Returns
        -------
        dict
            ``strictly_increasing``, ``min_positives``, ``method``, ``thresholds_x``, ``thresholds_y``, ``n_positive``,
            ``n_negative``, ``limits`` (three lists, or None) and, of a beta calibration, ``curve``: bool, int, str and
            lists of float. `from_dict` makes the same calibrator of it, to the bit, also by way of JSON.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.

        Examples
        --------
        >>> from gridlens.calibration import IsotonicCalibrator
        >>> IsotonicCalibrator(min_positives=0).fit([0, 1], [0, 1]).to_dict()["thresholds_y"]
        [0.25, 0.75]
        """
        check_is_fitted(self, "thresholds_x_")
        state = {
            "strictly_increasing": bool(self.strictly_increasing),
            "min_positives": int(self.min_positives),
            "method": self.method_,
            "thresholds_x": self.thresholds_x_.tolist(),
            "thresholds_y": self.thresholds_y_.tolist(),
            "n_positive": self.n_positive_,
            "n_negative": self.n_negative_,
            "limits": None if self.limits_ is None else [column.tolist() for column in self.limits_],
        }
        return state | ({"curve": list(self.curve_)} if self.method_ == "beta" else {})

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """A fitted calibrator from what `to_dict` returned.

        Parameters
        ----------
        state : dict
            One from before there were other methods, without ``method`` and what came with it, is isotonic and has no
            intervals.

        Returns
        -------
        IsotonicCalibrator

        Raises
        ------
        ValueError
            Something is missing or of another type, or the thresholds are not increasing numbers with probabilities
            between 0 and 1.
        """
        known = checked_state(state)
        calibrator = cls(strictly_increasing=known.strictly_increasing, min_positives=known.min_positives)
        calibrator.method_ = known.method
        calibrator.thresholds_x_ = known.thresholds_x
        calibrator.thresholds_y_ = known.thresholds_y
        calibrator.n_positive_ = known.n_positive
        calibrator.n_negative_ = known.n_negative
        calibrator.limits_ = known.limits
        if known.curve is not None:
            calibrator.curve_ = known.curve
        return calibrator

    def _place(self, scores: np.ndarray) -> np.ndarray:
        """Where in the range of the fit: 0 at its lowest score, 1 at its highest, 0 where these are one."""
        low, high = self.thresholds_x_[[0, -1]]
        return (scores - low) / (float(high - low) or 1.0)
