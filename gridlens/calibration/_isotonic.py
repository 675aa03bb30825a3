"""`IsotonicCalibrator`: probabilities from scores, with the ranking preserved."""

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
    """Calibrator that turns scores into probabilities by isotonic regression on clean labels.

    The regression (pool adjacent violators) finds steps of equal probability, with k positives among m rows each. Class
    weights would destroy the calibration; sample weights of rows that were selected with unequal probabilities restore
    it. Three changes are then made:

    - The first and the last step get ``(k + 1/2) / (m + 1)``, Laplace's rule with half counts, so that no probability
      is 0 or 1. If an end step would pass its neighbour, the two are pooled.
    - The ranking is preserved. Probabilities are interpolated linearly between the mid-points, in score, of the steps
      [2]_. In the outer half of an end step they continue for a tenth of the way to 0 or 1.
    - Beyond the fitted scores, at a distance d in units of their range, they continue by the fraction ``d / (1 + d)``
      of another tenth: strictly monotonic, never far, and never to 0 or 1.

    The output increases strictly with the score as far as float64 can distinguish the results. Rows with equal scores
    enter the regression as one row, with their fraction of positives, and get equal probabilities.

    With fewer positives than `min_positives` there are only few steps, and the highest ones are overconfident. In this
    case a beta calibration [3]_ is fitted instead, with a warning. It is a smooth curve with five parameters over the
    fitted scores, and continues beyond them as above. Beta calibration takes probabilities; Platt's sigmoid [4]_
    computes them from scores of any scale. Both fits use Platt's targets, which no score can reach. With 5 to 50
    positives at a prevalence of 0.01 and eight shapes of score distributions, beta calibration lowers the expected log
    loss from 0.0398 for the sigmoid alone to 0.0381, and the mean distance from the true probability by a quarter. The
    sigmoid is better, by less than 0.001, only where it is the true curve or where fewer than 20 positives lie among
    negatives that scatter twice as widely (``python benchmarks/calibration.py --few``).

    Parameters
    ----------
    strictly_increasing : bool, default=True
        If False, steps are flat, connected by lines from the end of a step to the start of the next, and all scores
        beyond the fitted ones get the outermost probabilities. This is closest to the labels, but scores in one step
        tie. A beta calibration has no steps; only its outermost probabilities are constant.
    min_positives : int, default=50
        Number of positives with clean labels required for isotonic regression; with groups, the number of groups with a
        positive; with weights, their effective number ``(sum w)^2 / sum w^2``. 0 disables the check.

    Attributes
    ----------
    method_ : {"isotonic", "beta"}
        Method that was fitted.
    thresholds_x_ : ndarray of shape (n_thresholds,), float64
        Increasing scores. The first and the last are the range of the fit. Between neighbours the probability is linear
        in the score; for a beta calibration, only the range is stored.
    thresholds_y_ : ndarray of shape (n_thresholds,), float64
        Probabilities at these scores, between 0 and 1.
    limits_ : tuple of ndarray of shape (m,), or None
        Scores, and the lower and upper ends of their 95 % intervals, see `predict_interval`. None in a model that was
        saved before intervals were introduced.
    n_positive_, n_negative_ : int
        Number of rows in the fit, without those of weight 0.

    See Also
    --------
    shift_prior : Adjust probabilities to another prevalence.
    reliability : Compare probabilities with the observed fractions of positives.

    References
    ----------
    .. [1] Zadrozny & Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates",
       KDD 2002, 694.
    .. [2] Oron & Flournoy 2017, "Centered Isotonic Regression", Statistics in Biopharmaceutical Research 9, 258.
       They put the point of a step at its mean score; here it is the middle of its range.
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
        """Fit the calibrator to scores with clean labels.

        Parameters
        ----------
        scores : array-like of shape (n,)
            Scores on any scale, higher for more likely positives. The scores and their range must be finite.
        y : array-like of shape (n,)
            Clean labels: 1 for a positive, 0 for a negative. Leave out unlabelled rows.
        groups : array-like of shape (n,), default=None
            Group labels. Rows with the same value, such as views of one cluster, belong together. Groups widen the
            intervals and do not change any probability. If None, rows are independent.
        sample_weight : array-like of shape (n,), default=None
            Sample weights, finite and non-negative, such as the inverse of the probability with which each row was
            selected to be labelled. Probabilities are then at the prevalence of the weighted rows; half counts and
            intervals use the effective number of rows in a step, ``(sum w)^2 / sum w^2``. If None, every row has weight
            1.

        Returns
        -------
        IsotonicCalibrator

        Warns
        -----
        UserWarning
            If there are fewer positives than `min_positives`, or all scores are equal, so that the rows cannot be
            ranked.

        Raises
        ------
        ValueError
            Invalid shapes or lengths, scores that are not finite or whose range is not, labels other than 0 and 1, a
            single class (rows of weight 0 do not count), weights that are negative or not finite, or an invalid
            parameter.
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
                "The 'y' parameter must contain both classes, at least one 0 and one 1"
                f"{'' if sample_weight is None else ' of a weight above 0'}. "
                f"Got {n_positive} of 1 and {n_negative} of 0 instead."
            )
        levels = tied(values, labels, weight)
        steps = pool(levels)
        if len(levels.rows) == 1:
            warnings.warn(
                "All 'scores' are equal: they cannot rank the rows, and each gets the fraction of positives.",
                UserWarning,
                stacklevel=2,
            )
        self.n_positive_ = n_positive
        self.n_negative_ = n_negative
        # Several views of one positive carry the information of one.
        positive = labels == 1
        n_told = effective_number(weight[positive], None if together is None else together[positive])
        # Sums of equal weights may fall short of a whole number by rounding.
        if n_told * (1.0 + 1e-9) >= least:
            self.method_ = "isotonic"
            ends = pool_ends(steps)
            self.thresholds_x_, self.thresholds_y_ = sloping(ends) if self.strictly_increasing else flat(ends)
        else:
            kind = "positives" if together is None else "groups with a positive"
            told = f"{n_told:.0f}" if sample_weight is None else f"{n_told:.1f} effective"
            warnings.warn(
                f"{told} {kind} are fewer than the {least} required for isotonic regression ('min_positives'): "
                "a beta calibration, a smooth curve, is fitted instead.",
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
        """Return the probability of a positive for each score, at the prevalence of the fit.

        Parameters
        ----------
        scores : array-like of shape (n,)
            Infinite scores get the limit of the probabilities beyond the fitted range.

        Returns
        -------
        ndarray of shape (n,), float64
            Between 0 and 1 (exclusive); NaN where the score is NaN. Of shape (0,) for no scores.

        Raises
        ------
        ValueError
            If `scores` has another shape or is not numeric.
        sklearn.exceptions.NotFittedError
            If the calibrator is not fitted.
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
        # An infinite distance is valid below, so the overflow is harmless.
        with np.errstate(over="ignore"):
            below = np.maximum(x[0] - values, 0.0) / unit
            above = np.maximum(values - x[-1], 0.0) / unit
        # The form d / (1 + d) would be NaN for an infinite score.
        p -= p * SLACK * (1.0 - 1.0 / (1.0 + below))
        p += (1.0 - p) * SLACK * (1.0 - 1.0 / (1.0 + above))
        return p

    def predict_interval(self, scores: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the 95 % interval of the probability for each score, at the prevalence of the fit.

        The interval inverts a likelihood ratio test. If the probability at a score is fixed at a wrong value, the best
        curve that increases with the score fits the labels less well. The interval contains the probabilities for which
        twice the loss of log-likelihood stays below 2.27, the 95 % quantile of that loss at the true probability [1]_;
        where scores tie, the limit is higher, up to the 3.84 of a simple fraction. With groups, it is multiplied by
        their design effect [2]_, the variance of the sums of residuals over the rows of a group in one step, divided by
        that of as many independent rows. The method needs no bootstrap, and assumes only that the curve increases.

        Parameters
        ----------
        scores : array-like of shape (n,)

        Returns
        -------
        low, high : ndarray of shape (n,), float64
            From 0 to 1, with `predict` between them; linear between up to 130 scores of the fit. `low` is 0 below the
            lowest score, and `high` is 1 above the highest. NaN where the score is NaN.

        Raises
        ------
        ValueError
            If `scores` has another shape or is not numeric, or the calibrator is from a model without intervals.
        sklearn.exceptions.NotFittedError
            If the calibrator is not fitted.

        Notes
        -----
        The interval is for the probability at one score, not for the whole curve. In simulations its coverage, averaged
        over rows, is within two points of 95 % (`benchmarks/calibration.py`). It is lower, down to 89 %, with 20
        positives and for scores without information, because the steps of a flat curve are too long for the test.
        ``shift_prior`` adjusts both ends to another prevalence.

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
                "The calibrator has no intervals: its model was saved by an earlier version. Train the model again."
            )
        p = self.predict(scores)
        values = checked_column("scores", scores)
        x, low, high = self.limits_
        inside = np.clip(values, x[0], x[-1])
        lower = np.where(values < x[0], 0.0, interpolate(inside, x, low))
        upper = np.where(values > x[-1], 1.0, interpolate(inside, x, high))
        return np.minimum(lower, p), np.maximum(upper, p)

    def to_dict(self) -> dict[str, Any]:
        """Return the fitted state as JSON-serialisable data.

        Returns
        -------
        dict
            ``strictly_increasing``, ``min_positives``, ``method``, ``thresholds_x``, ``thresholds_y``, ``n_positive``,
            ``n_negative``, ``limits`` (three lists, or None) and, for a beta calibration, ``curve``: bool, int, str and
            lists of float. `from_dict` restores an identical calibrator, also after a round trip through JSON.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the calibrator is not fitted.

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
        """Restore a fitted calibrator from the result of `to_dict`.

        Parameters
        ----------
        state : dict
            Result of `to_dict`. A state without ``method``, from a version with only one method, is isotonic and has no
            intervals.

        Returns
        -------
        IsotonicCalibrator

        Raises
        ------
        ValueError
            If a value is missing or of another type, or the thresholds are not increasing numbers with probabilities
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
        """Return positions in the range of the fit: 0 at its lowest score, 1 at its highest, 0 if they are equal."""
        low, high = self.thresholds_x_[[0, -1]]
        return (scores - low) / (float(high - low) or 1.0)
