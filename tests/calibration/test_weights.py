"""Tests of weighted rows, for unequal selection probabilities: repeated rows, scikit-learn and known sets."""

import contextlib
import warnings

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from gridlens.calibration import (
    IsotonicCalibrator,
    calibrate_out_of_fold,
    expected_calibration_error,
    reliability,
    wilson,
)
from gridlens.calibration._weights import effective_number, effective_trials


def rows(n=400, seed=0, prevalence=0.3):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < prevalence).astype(int)
    return rng.normal(size=n) + 1.5 * y, y, rng.choice([1.0, 2.0, 3.0, 7.0], n)


def fitted(score, y, weight=None, **options):
    return IsotonicCalibrator(min_positives=0, **options).fit(score, y, sample_weight=weight)


def test_steps_match_scikit_learn():
    score, y, weight = rows()
    found = fitted(score, y, weight, strictly_increasing=False).predict(score)
    expected = IsotonicRegression().fit_transform(score, y, sample_weight=weight)
    # The end steps have half counts, and may be pooled with a neighbour because of them.
    inner = (found > found.min()) & (found < found.max())
    assert inner.sum() > 200
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-12)


@pytest.mark.parametrize("least", [0, 10_000])
def test_scaled_weights_change_nothing(least):
    score, y, weight = rows()
    groups = np.arange(len(y)) // 3
    for together in (None, groups):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            one, other = (
                IsotonicCalibrator(min_positives=least).fit(score, y, together, scale * weight) for scale in (1.0, 0.37)
            )
        np.testing.assert_allclose(one.predict(score), other.predict(score), rtol=1e-6)
        for a, b in zip(one.predict_interval(score), other.predict_interval(score), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("least", [0, 10_000])
def test_equal_weights_have_no_effect_and_zero_weights_remove_rows(least):
    score, y, weight = rows()
    with pytest.warns(UserWarning) if least else contextlib.nullcontext():
        plain, equal = (
            IsotonicCalibrator(min_positives=least).fit(score, y, sample_weight=w).to_dict() for w in (None, 0 * y + 2)
        )
        assert plain == equal
        weight[::3] = 0.0
        left_out = IsotonicCalibrator(min_positives=least).fit(
            score[weight > 0], y[weight > 0], sample_weight=weight[weight > 0]
        )
        assert (
            IsotonicCalibrator(min_positives=least).fit(score, y, sample_weight=weight).to_dict() == left_out.to_dict()
        )


def test_a_weight_of_two_matches_a_repeated_row():
    score, y, _ = rows(600)
    weight = 1 + np.arange(600) % 2
    twice = np.repeat(np.arange(600), weight)
    weighted, repeated = fitted(score, y, weight), fitted(score[twice], y[twice])
    # The half counts of the end steps are based on fewer, effective rows.
    inner = np.abs(score) < 1.2
    np.testing.assert_allclose(weighted.predict(score[inner]), repeated.predict(score[inner]), rtol=1e-12)
    p = expit(score)
    a, b = reliability(y, p, 7, weight), reliability(y[twice], p[twice], 7)
    np.testing.assert_allclose(a.predicted, b.predicted)
    np.testing.assert_allclose(a.observed, b.observed)
    assert a.rows.sum() == 600
    assert expected_calibration_error(y, p, 7, weight) == pytest.approx(
        expected_calibration_error(y[twice], p[twice], 7)
    )


def test_order_of_rows_changes_nothing():
    score, y, weight = rows()
    weight = weight / 7.0
    mixed = np.random.default_rng(1).permutation(len(y))
    assert fitted(score, y, weight).to_dict() == fitted(score[mixed], y[mixed], weight[mixed]).to_dict()


def test_half_counts_refer_to_effective_rows():
    # The effective number of 8 negatives with weights 1 and 3 is 16^2 / 40 (Kish).
    calibrator = fitted(np.repeat([0.0, 1.0], [8, 4]), np.repeat([0, 1], [8, 4]), [1, 3] * 4 + [5] * 4)
    np.testing.assert_allclose(calibrator.predict([0.0, 1.0]), [0.5 / (6.4 + 1), 4.5 / 5])


def test_few_effective_positives_get_a_smooth_curve():
    score, y, _ = rows(400)
    assert IsotonicCalibrator().fit(score, y, sample_weight=np.ones(400)).method_ == "isotonic"
    weight = np.where(np.cumsum(y) * y == 1, 1e4, 1.0)
    with pytest.warns(UserWarning, match=r"1\.0 effective positives are fewer than the 50"):
        calibrator = IsotonicCalibrator().fit(score, y, sample_weight=weight)
    assert calibrator.method_ == "beta"
    assert calibrator.n_positive_ == y.sum()


def test_beta_calibration_has_the_weighted_mean_of_its_targets():
    score, y, weight = rows()
    with pytest.warns(UserWarning):
        p = IsotonicCalibrator(min_positives=10_000).fit(score, y, sample_weight=weight).predict(score)
    k, m = (effective_number(weight[y == one]) for one in (1, 0))
    target = np.where(y == 1, (k + 1) / (k + 2), 1 / (m + 2))
    # This is the score equation of the intercept of a logistic regression.
    assert np.average(p, weights=weight) == pytest.approx(np.average(target, weights=weight), abs=1e-4)


def test_out_of_fold_excludes_rows_of_zero_weight_and_predicts_them():
    score, y, weight = rows(600)
    groups = np.arange(600) // 2
    weight[::5] = 0.0
    weight[groups == 7] = 0.0
    known = weight > 0
    for together in (None, groups):
        p = calibrate_out_of_fold(score, y, together, weight, cv=3)
        assert np.isfinite(p).all()
        alone = None if together is None else together[known]
        expected = calibrate_out_of_fold(score[known], y[known], alone, weight[known], cv=3)
        np.testing.assert_array_equal(p[known], expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(calibrate_out_of_fold(score, y)).all()


def test_effective_numbers():
    assert effective_number(np.full(7, 0.1)) == pytest.approx(7.0)
    assert effective_number(np.array([])) == 0.0
    # Each group counts as one row with the mean weight of its rows.
    assert effective_number(np.array([1.0, 1.0, 1.0, 3.0]), np.array([0, 0, 0, 1])) == pytest.approx(16 / 10)
    score, y, weight = rows()
    bins = (score > 0).astype(int)
    for k, number in enumerate(effective_trials(bins, y, weight)):
        w, hit = weight[bins == k], y[bins == k]
        share = np.average(hit, weights=w)
        variance = sum(w**2 * (hit - share) ** 2) / sum(w) ** 2
        assert number == pytest.approx(min(share * (1 - share) / variance, effective_number(w)))
    np.testing.assert_allclose(effective_trials(bins, y, np.full(400, 0.3)), np.bincount(bins))
    np.testing.assert_allclose(effective_trials(np.zeros(3, int), np.zeros(3, int), np.array([1.0, 1.0, 2.0])), 16 / 6)


def test_intervals_of_bins_use_effective_trials():
    bins = reliability([1] * 8 + [0], [0.2] * 9, sample_weight=[1] * 8 + [4])
    # There are 4 effective trials; see the example of `effective_trials`.
    low, high = wilson(4 * 2 / 3, 4)
    np.testing.assert_allclose([bins.observed[0], bins.low[0], bins.high[0]], [2 / 3, low, high])


@pytest.mark.parametrize("weight", [[1, -1, 1, 1], [1, np.nan, 1, 1], [1, np.inf, 1, 1], [0, 0, 0, 0], [1, 1], "w"])
def test_bad_weights(weight):
    y, p = [0, 1, 0, 1], [0.1, 0.4, 0.2, 0.9]
    for call in (
        lambda: fitted(p, y, weight),
        lambda: calibrate_out_of_fold(p, y, sample_weight=weight, cv=2),
        lambda: reliability(y, p, sample_weight=weight),
        lambda: expected_calibration_error(y, p, sample_weight=weight),
    ):
        with pytest.raises(ValueError, match="The 'sample_weight' parameter must be"):
            call()


def test_a_class_without_weight_is_refused():
    with pytest.raises(ValueError, match=r"one 0 and one 1 of a weight above 0\. Got 0 of 1 and 2 of 0"):
        fitted([1, 2, 3], [0, 0, 1], [1, 1, 0])


@pytest.mark.slow
def test_weighted_intervals_contain_the_curve_of_the_full_set():
    held, unweighted = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        score = rng.normal(size=20_000)
        truth = expit(2.0 * score - 3.0)
        y = (rng.random(20_000) < truth).astype(int)
        # The rows were chosen by another model, which uses information that the score lacks.
        other = rng.normal(size=20_000) + y
        inclusion = np.clip(0.02 * np.exp(1.2 * other + 0.5 * score), 0.01, 1.0)
        drawn = rng.random(20_000) < inclusion
        for found, weight in ((held, 1.0 / inclusion[drawn]), (unweighted, None)):
            calibrator = IsotonicCalibrator().fit(score[drawn], y[drawn], sample_weight=weight)
            low, high = calibrator.predict_interval(score[::20])
            found.append(np.mean((low <= truth[::20]) & (truth[::20] <= high)))
    assert np.mean(held) > 0.92
    assert np.mean(unweighted) < 0.6
