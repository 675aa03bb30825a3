"""Tests of `IsotonicCalibrator` with few positives: a beta calibration, with a warning."""

import json
import warnings

import numpy as np
import pytest
from scipy.special import expit, logit, xlogy

from gridlens.calibration import IsotonicCalibrator


def draw(seed, n, prevalence=0.01):
    """Return normal scores, positives 2 higher, labels and true probabilities; log-odds are linear in the score."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) < prevalence * n).astype(int)
    scores = rng.normal(size=n) + 2.0 * y
    return scores, y, expit(logit(prevalence) + 2.0 * scores - 2.0)


def fit(scores, y, **parameters):
    with pytest.warns(UserWarning, match="fewer than the"):
        return IsotonicCalibrator(**parameters).fit(scores, y)


def test_fewer_than_fifty_positives_warn_and_fifty_do_not():
    scores, y, _ = draw(0, 4900)
    with pytest.warns(UserWarning, match="49 positives are fewer than the 50 .* a beta calibration"):
        assert IsotonicCalibrator().fit(scores, y).method_ == "beta"
    scores, y, _ = draw(0, 5000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert IsotonicCalibrator().fit(scores, y).method_ == "isotonic"
        assert (
            IsotonicCalibrator(min_positives=0).fit(scores[:200], y[:200] * (np.arange(200) < 5)).method_ == "isotonic"
        )
    assert fit(scores, y, min_positives=51).method_ == "beta"


def test_views_of_one_positive_count_once():
    y = np.repeat([1, 0], [120, 400])
    scores = np.random.default_rng(0).normal(size=520) + y
    groups = np.concatenate([np.arange(120) // 3, 1000 + np.arange(400)])
    with pytest.warns(UserWarning, match="40 groups with a positive are fewer than the 50"):
        assert IsotonicCalibrator().fit(scores, y, groups).method_ == "beta"
    assert IsotonicCalibrator().fit(scores, y).method_ == "isotonic"


def test_curve_is_more_accurate_than_isotonic_regression():
    new, _, truth = draw(100, 40_000)
    loss = {0: [], 50: []}
    for seed in range(10):
        scores, y, _ = draw(seed, 2000)
        for least, found in loss.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                p = IsotonicCalibrator(min_positives=least).fit(scores, y).predict(new)
            # Expected log loss under the true probabilities.
            found.append(-np.mean(xlogy(truth, p) + xlogy(1 - truth, 1 - p)))
    assert np.mean(loss[50]) < np.mean(loss[0]) - 5e-4
    best = -np.mean(xlogy(truth, truth) + xlogy(1 - truth, 1 - truth))
    assert np.mean(loss[50]) < best + 2e-3


def test_many_rows_recover_the_true_line():
    scores, y, truth = draw(1, 50_000, 0.3)
    p = fit(scores, y, min_positives=10**6).predict(scores)
    assert np.sqrt(np.mean((p - truth) ** 2)) < 0.01


def test_curve_does_not_depend_on_scale_or_order():
    scores, y, _ = draw(2, 1000)
    p = fit(scores, y).predict(scores)
    np.testing.assert_array_equal(fit(scores * 2.0**40, y).predict(scores * 2.0**40), p)
    order = np.random.default_rng(0).permutation(len(y))
    np.testing.assert_array_equal(fit(scores[order], y[order]).predict(scores), p)
    # Adding 100 rounds the scores.
    np.testing.assert_allclose(fit(scores + 100.0, y).predict(scores + 100.0), p, rtol=1e-5)


@pytest.mark.parametrize("strict", [True, False])
def test_separable_classes_do_not_become_certain(strict):
    scores = np.concatenate([np.linspace(0, 1, 90), np.linspace(5, 6, 10)])
    y = (scores > 3).astype(int)
    calibrator = fit(scores, y, strictly_increasing=strict)
    p = calibrator.predict(np.linspace(-100, 100, 401))
    assert (p > 0).all()
    assert (p < 1).all()
    # Platt's targets are 11/12 and 1/92.
    assert 0.8 < calibrator.predict([5.5])[0] < 0.97
    assert 0.003 < calibrator.predict([0.5])[0] < 0.03
    assert np.ptp(p[:200]) > 0 if strict else np.ptp(p[:200]) == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_ranking_is_kept_even_for_inverted_scores(sign):
    scores, y, _ = draw(3, 2000)
    calibrator = fit(sign * scores, y)
    assert (np.diff(calibrator.predict(np.linspace(-8, 8, 5001))) > 0).all()
    if sign < 0:
        np.testing.assert_allclose(calibrator.predict(-scores), 0.01, rtol=0.05)


def test_mean_probability_is_the_fraction_of_positives():
    for seed in range(5):
        scores, y, _ = draw(seed, 4000)
        # Platt's targets pull each class towards the other by about one row.
        assert fit(scores, y).predict(scores).mean() == pytest.approx(y.mean(), rel=0.03)


def test_a_missing_score_gives_nan_without_a_warning():
    y = np.repeat([1, 0], [20, 400])
    with pytest.warns(UserWarning, match="beta calibration"):
        calibrator = IsotonicCalibrator().fit(np.random.default_rng(0).normal(size=420) + 2 * y, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = calibrator.predict([np.nan, 0.0])
    assert np.isnan(p[0])
    assert 0 < p[1] < 1


def test_equal_scores_warn_and_give_the_fraction_of_positives():
    y = np.arange(100) < 10
    with pytest.warns(UserWarning, match="All 'scores' are equal: they cannot rank the rows"):
        calibrator = IsotonicCalibrator().fit(np.ones(100), y)
    assert calibrator.method_ == "beta"
    assert calibrator.predict([1.0])[0] == pytest.approx(0.1, rel=0.03)
    assert len(calibrator.thresholds_x_) == 1


def test_json_round_trip_is_exact():
    scores, y, _ = draw(4, 1000)
    calibrator = fit(scores, y)
    state = calibrator.to_dict()
    assert state["method"] == "beta"
    restored = IsotonicCalibrator.from_dict(json.loads(json.dumps(state)))
    new = np.linspace(-9, 9, 101)
    np.testing.assert_array_equal(restored.predict(new), calibrator.predict(new))
    np.testing.assert_array_equal(restored.predict_interval(new), calibrator.predict_interval(new))
    assert restored.to_dict() == state
    assert restored.method_ == "beta"


def test_state_of_earlier_versions_is_isotonic_without_intervals():
    scores, y, _ = draw(5, 6000)
    calibrator = IsotonicCalibrator().fit(scores, y)
    state = calibrator.to_dict()
    old = {
        key: state[key] for key in ("strictly_increasing", "thresholds_x", "thresholds_y", "n_positive", "n_negative")
    }
    restored = IsotonicCalibrator.from_dict(old)
    assert restored.method_ == "isotonic"
    np.testing.assert_array_equal(restored.predict(scores), calibrator.predict(scores))
    with pytest.raises(ValueError, match="has no intervals: its model was saved by an earlier version"):
        restored.predict_interval([0.0])
    assert restored.to_dict()["limits"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "spline"}, "method of isotonic or beta. Got 'spline' instead"),
        ({"curve": None}, r"a curve of 5 finite numbers, slope, .* Got \[\] instead"),
        ({"curve": [1.0, 0.0, -1.0, 1.0, 0.0]}, "with non-negative slopes"),
        ({"curve": [1.0, 0.0, 1.0, 1.0, float("nan")]}, "a curve of 5 finite numbers"),
        ({"limits": [[0.0]]}, "limits of three lists, or None"),
        ({"limits": [[0.0, 1.0], [0.2, 0.3], [0.1, 0.4]]}, "limits of increasing scores"),
        ({"limits": [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]}, "limits of increasing scores"),
    ],
)
def test_damaged_state_is_refused(change, message):
    scores, y, _ = draw(6, 1000)
    state = fit(scores, y).to_dict()
    with pytest.raises(ValueError, match=message):
        IsotonicCalibrator.from_dict(state | change)


@pytest.mark.parametrize("least", [-1, 2.5, True, "many"])
def test_min_positives_must_be_an_integer(least):
    with pytest.raises(ValueError, match=r"'min_positives' parameter must be an integer of at least 0\. Got"):
        IsotonicCalibrator(min_positives=least).fit([0, 1], [0, 1])
