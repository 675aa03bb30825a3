"""Tests of the intervals of probabilities: a binomial by hand, and the coverage of a known truth."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit, xlogy
from scipy.stats import norm
from sklearn.exceptions import NotFittedError

from gridlens.calibration import IsotonicCalibrator
from gridlens.calibration._likelihood import design_effect
from gridlens.calibration._steps import pool, tied


def draw(seed, n, prevalence=0.01):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < prevalence).astype(int)
    return rng.normal(size=n) + 2.0 * y, y


def truth(scores, prevalence=0.01):
    return expit(logit(prevalence) + 2.0 * scores - 2.0)


@pytest.mark.filterwarnings("ignore:All 'scores' are equal")
def test_one_score_gives_the_likelihood_interval_of_a_fraction():
    y = np.arange(400) < 60
    low, high = IsotonicCalibrator().fit(np.zeros(400), y).predict_interval([0.0])

    def lost(p):
        return 2 * (xlogy(60, 0.15) + xlogy(340, 0.85) - xlogy(60, p) - xlogy(340, 1 - p)) - norm.ppf(0.975) ** 2

    assert low[0] == pytest.approx(brentq(lost, 1e-6, 0.15), rel=1e-2)
    assert high[0] == pytest.approx(brentq(lost, 0.15, 1 - 1e-6), rel=1e-2)


def test_fixed_probability_is_compared_with_the_best_monotone_curve():
    # With the third row, a positive, held at q, the rows below it stay at 0 and the row above it at 1.
    scores, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 1])
    low, high = IsotonicCalibrator(min_positives=0).fit(scores, y).predict_interval(scores)
    # Its log-likelihood, log q, may fall by 2.27 / 2. With the fourth row held at q, the third is at most q as well.
    assert low[2] == pytest.approx(np.exp(-2.26916 / 2), rel=1e-2)
    assert low[3] == pytest.approx(np.exp(-2.26916 / 4), rel=1e-2)
    np.testing.assert_allclose(high[:2], 1 - low[:1:-1], rtol=1e-2)
    np.testing.assert_array_equal(low[:2], 0.0)
    np.testing.assert_array_equal(high[2:], 1.0)


def test_limits_are_monotone_and_open_beyond_the_scores():
    scores, y = draw(0, 6000)
    calibrator = IsotonicCalibrator().fit(scores, y)
    new = np.linspace(-9, 9, 2001)
    low, high = calibrator.predict_interval(new)
    p = calibrator.predict(new)
    assert ((low >= 0) & (low <= p) & (p <= high) & (high <= 1)).all()
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    np.testing.assert_array_equal(low[new < scores.min()], 0.0)
    np.testing.assert_array_equal(high[new > scores.max()], 1.0)
    low, high = calibrator.predict_interval([np.nan, 0.0])
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] < high[1]
    assert calibrator.predict_interval([])[0].shape == (0,)


def test_limits_do_not_depend_on_the_order_of_the_rows():
    scores, y = draw(1, 6000)
    order = np.random.default_rng(0).permutation(len(y))
    np.testing.assert_array_equal(
        IsotonicCalibrator().fit(scores, y).limits_, IsotonicCalibrator().fit(scores[order], y[order]).limits_
    )


@pytest.mark.slow
def test_coverage_is_within_two_points():
    at = np.quantile(draw(99, 200_000)[0], (np.arange(200) + 0.5) / 200)
    covered = []
    for seed in range(25):
        low, high = IsotonicCalibrator().fit(*draw(seed, 10_000)).predict_interval(at)
        covered.append((low <= truth(at)) & (truth(at) <= high))
    # The coverage was 0.966 over 200 repeats with twice the rows.
    assert 0.93 < np.mean(covered) < 0.98


def test_copies_of_rows_do_not_narrow_the_interval():
    scores, y = draw(2, 6000)
    alone = IsotonicCalibrator().fit(scores, y)
    groups = np.arange(len(y))
    np.testing.assert_array_equal(IsotonicCalibrator().fit(scores, y, groups).limits_, alone.limits_)
    # The copies differ slightly, so that they do not tie.
    three = (scores[:, None] + [0.0, 1e-9, 2e-9]).ravel()
    copied, copies = np.repeat(y, 3), np.repeat(groups, 3)
    at = np.linspace(-2, 4, 50)
    low, high = alone.predict_interval(at)
    with_groups = np.subtract(*IsotonicCalibrator().fit(three, copied, copies).predict_interval(at)[::-1])
    without = np.subtract(*IsotonicCalibrator().fit(three, copied).predict_interval(at)[::-1])
    assert without.mean() < 0.75 * (high - low).mean()
    assert with_groups.mean() == pytest.approx((high - low).mean(), rel=0.1)


def test_design_effect_by_hand():
    # One step with 2 positives in 4 rows: the residuals are -1/2, -1/2, 1/2, 1/2.
    scores, y = np.zeros(4), np.array([0, 0, 1, 1])
    steps = pool(tied(scores, y, np.ones(len(y))))
    assert design_effect(steps, scores, y, np.array([0, 0, 1, 1]), np.ones(4)) == 2.0
    # Groups whose residuals cancel vary less than single rows, but the effect never falls below 1.
    assert design_effect(steps, scores, y, np.array([0, 1, 0, 1]), np.ones(4)) == 1.0
    # The two steps have no residuals, so the effect is the largest number of rows of a group in a step.
    scores = np.array([0.0, 0.0, 1.0, 1.0])
    assert design_effect(pool(tied(scores, y, np.ones(len(y)))), scores, y, np.array([0, 0, 0, 1]), np.ones(4)) == 2.0


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([0, 1], r"'groups' parameter must be of shape \(4,\), a group for each row. Got shape \(2,\) instead"),
        ([0, 1, 2, np.nan], "'groups' parameter must have a group for each row; .* Got none in 1 of 4 rows instead"),
        (np.array([0, 1, 2, "a"], dtype=object), "'groups' parameter must be all numbers or all text"),
        ([[0], [1, 2], [3], [4]], r"'groups' parameter must be of shape \(n,\). Got rows of unequal lengths instead"),
    ],
)
def test_invalid_groups_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        IsotonicCalibrator(min_positives=0).fit([0, 1, 2, 3], [0, 0, 1, 1], groups)


def test_interval_needs_a_fit():
    with pytest.raises(NotFittedError):
        IsotonicCalibrator().predict_interval([0.0])
