"""Tests of `IsotonicCalibrator`: scikit-learn's steps, the ends, the ranking, and JSON."""

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.isotonic import IsotonicRegression

from gridlens.calibration import IsotonicCalibrator, expected_calibration_error

# Isotonic regression with any number of positives.
Isotonic = partial(IsotonicCalibrator, min_positives=0)
TRAINING = st.lists(st.tuples(st.integers(-8, 8), st.integers(0, 1)), min_size=2, max_size=60).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


def draw(seed, n, prevalence=0.3):
    """Return scores of two normal populations, their labels and the true probabilities."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < prevalence).astype(int)
    scores = rng.normal(size=n) + 2.0 * y
    return scores, y, expit(np.log(prevalence / (1.0 - prevalence)) + 2.0 * scores - 2.0)


def test_flat_steps_match_scikit_learn_except_at_the_ends():
    scores, y, _ = draw(0, 800)
    scores = scores.round(2)  # creates ties
    p = Isotonic(strictly_increasing=False).fit(scores, y).predict(scores)
    expected = IsotonicRegression().fit(scores, y).predict(scores)
    inner = (expected > expected.min()) & (expected < expected.max())
    assert inner.sum() > 400
    np.testing.assert_allclose(p[inner], expected[inner], rtol=1e-12)
    for end in (expected.min(), expected.max()):
        step = expected == end
        np.testing.assert_allclose(p[step], (y[step].sum() + 0.5) / (step.sum() + 1), rtol=1e-12)


def test_slope_passes_through_the_midpoints_of_the_steps():
    # Steps: 0 of 3 at scores 0 to 4, 1 of 2 at 5 to 7, 2 of 2 at 10 to 12.
    scores, y = [0, 1, 4, 5, 7, 10, 12], [0, 0, 0, 1, 0, 1, 1]
    calibrator = Isotonic().fit(scores, y)
    low, high = 0.5 / 4, 2.5 / 3
    np.testing.assert_allclose(calibrator.thresholds_x_, [0, 2, 6, 11, 12])
    np.testing.assert_allclose(calibrator.thresholds_y_, [0.9 * low, low, 0.5, high, high + 0.1 * (1 - high)])
    np.testing.assert_allclose(calibrator.predict([2, 4, 6, 8.5]), [low, (low + 0.5) / 2, 0.5, (0.5 + high) / 2])
    assert (calibrator.n_positive_, calibrator.n_negative_) == (3, 4)


def test_flat_steps_are_constant_between_their_ends():
    calibrator = Isotonic(strictly_increasing=False).fit([0, 1, 4, 5, 7, 10, 12], [0, 0, 0, 1, 0, 1, 1])
    low, high = 0.5 / 4, 2.5 / 3
    p = calibrator.predict([-50, 0, 3, 4, 4.5, 5, 6, 7, 10, 12, 50])
    np.testing.assert_allclose(p, [low, low, low, low, (low + 0.5) / 2, 0.5, 0.5, 0.5, high, high, high])


def test_end_that_would_exceed_its_neighbour_is_pooled_with_it():
    # Alone, the lowest row would get 1/4, above the 1/5 of the next five rows; pooled, they have 1 positive in 6.
    calibrator = Isotonic(strictly_increasing=False).fit([0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 0, 0, 0, 0, 1, 1])
    np.testing.assert_allclose(calibrator.predict([0, 5, 6]), [1.5 / 7, 1.5 / 7, 2.5 / 3])


def test_extrapolation_is_monotone_and_bounded():
    scores, y, _ = draw(1, 500)
    calibrator = Isotonic().fit(scores, y)
    x, p = calibrator.thresholds_x_, calibrator.thresholds_y_
    beyond = np.geomspace(1e-3, 1e6, 200)
    above, below = calibrator.predict(x[-1] + beyond), calibrator.predict(x[0] - beyond)
    assert (np.diff(above) > 0).all()
    assert (np.diff(below) < 0).all()
    assert p[-1] < above[0]
    assert below[0] < p[0]
    # Below the scores, the probability falls by half of a tenth at a distance of one range, and by a tenth at most.
    span = x[-1] - x[0]
    np.testing.assert_allclose(calibrator.predict([x[0] - span, -np.inf]), p[0] * np.array([0.95, 0.9]))
    np.testing.assert_allclose(
        1 - calibrator.predict([x[-1] + span, np.inf]), (1 - p[-1]) * np.array([0.95, 0.9]), rtol=1e-9
    )


@pytest.mark.parametrize("n", [50, 2000])
def test_ranking_survives(n):
    scores, y, _ = draw(2, n)
    calibrator = Isotonic().fit(scores, y)
    new = np.random.default_rng(3).normal(scale=4.0, size=20000)
    assert (np.diff(calibrator.predict(np.sort(new))) > 0).all()
    # Flat steps tie, which the strict increase avoids.
    flat = Isotonic(strictly_increasing=False).fit(scores, y).predict(new)
    assert len(np.unique(flat)) < len(new)


@pytest.mark.parametrize("seed", [155, 173, 250, 276])
def test_rounding_at_a_threshold_does_not_reverse_the_order(seed):
    # With these seeds, plain interpolation just below a threshold exceeds the probability there by the last digit.
    rng = np.random.default_rng(seed)
    y = (rng.random(60) < 0.4).astype(int)
    calibrator = Isotonic().fit(rng.normal(size=60) + 2 * y, y)
    x = calibrator.thresholds_x_
    assert (np.diff(calibrator.predict(np.sort([*x, *np.nextafter(x, -np.inf)]))) >= 0).all()


@pytest.mark.slow
@settings(deadline=None, derandomize=True)
@given(TRAINING, st.lists(st.floats(-1e6, 1e6), min_size=1), st.booleans())
def test_any_fit_is_monotone_and_never_certain(rows, new, strict):
    scores, y = np.array(rows).T
    calibrator = Isotonic(strict).fit(scores, y)
    p = calibrator.predict(np.sort(np.concatenate([new, scores])))
    assert (p > 0).all()
    assert (p < 1).all()
    assert (np.diff(p) >= 0).all()
    if strict:
        assert (np.diff(calibrator.predict(np.arange(-12, 13))) > 0).all()


@pytest.mark.slow
@settings(deadline=None, derandomize=True)
@given(TRAINING, st.randoms(use_true_random=False), st.booleans())
def test_order_of_the_rows_has_no_effect_and_json_round_trip_is_exact(rows, random, strict):
    scores, y = np.array(rows).T
    calibrator = Isotonic(strict).fit(scores / 3, y)
    random.shuffle(rows)
    scores, y = np.array(rows).T
    state = Isotonic(strict).fit(scores / 3, y).to_dict()
    assert state == calibrator.to_dict()
    restored = IsotonicCalibrator.from_dict(json.loads(json.dumps(state)))
    new = np.linspace(-5, 5, 101)
    np.testing.assert_array_equal(restored.predict(new), calibrator.predict(new))
    assert restored.to_dict() == state
    assert restored.get_params() == {"strictly_increasing": strict, "min_positives": 0}


def test_scale_of_the_scores_does_not_matter():
    scores, y, _ = draw(4, 300)
    new = np.linspace(-8, 8, 50)
    p = Isotonic().fit(scores, y).predict(new)
    # Scaling by a power of two is exact.
    np.testing.assert_array_equal(Isotonic().fit(scores * 2.0**40, y).predict(new * 2.0**40), p)


@pytest.mark.filterwarnings("error")
def test_smallest_and_largest_scores_keep_their_order():
    np.testing.assert_allclose(
        Isotonic().fit([0.0, 5e-324], [0, 1]).predict([-1.0, 0.0, 5e-324, 1.0]),
        [0.225, 0.25, 0.75, 0.775],
    )
    p = Isotonic().fit([-8e307, 8e307], [0, 1]).predict([-1.7e308, -8e307, 0.0, 8e307, 1.7e308])
    assert (np.diff(p) > 0).all()


def test_equal_scores_give_the_fraction_of_positives_everywhere():
    calibrator = Isotonic().fit([2.0] * 9, [1] + [0] * 8)
    p = calibrator.predict([1.0, 2.0, 3.0, np.nan])
    assert p[1] == 1.5 / 10
    assert p[0] < p[1] < p[2]
    assert np.isnan(p[3])


def test_inverted_scores_give_one_step():
    calibrator = Isotonic(strictly_increasing=False).fit([0, 1, 2, 3], [1, 1, 0, 0])
    np.testing.assert_array_equal(calibrator.predict([-1, 0, 3, 9]), 0.5)


def test_nan_and_empty():
    calibrator = Isotonic().fit([0, 1], [0, 1])
    p = calibrator.predict([np.nan, 0.5])
    assert np.isnan(p[0])
    assert p[1] == 0.5
    assert calibrator.predict([]).shape == (0,)
    assert calibrator.predict(np.zeros(2, dtype=np.float32)).dtype == np.float64


@pytest.mark.slow
def test_probabilities_are_calibrated_and_more_accurate_than_steps():
    distance = {True: [], False: []}
    for seed in range(10):
        scores, y, _ = draw(seed, 2000)
        new, new_y, truth = draw(1000 + seed, 20000)
        for strict, found in distance.items():
            p = Isotonic(strict).fit(scores, y).predict(new)
            found.append(np.sqrt(np.mean((p - truth) ** 2)))
            assert expected_calibration_error(new_y, p) < 0.03
    assert np.mean(distance[True]) < np.mean(distance[False]) < 0.05


def test_boolean_and_integral_float_labels_are_accepted():
    scores, y, _ = draw(5, 100)
    state = Isotonic().fit(scores, y).to_dict()
    assert Isotonic().fit(scores, y.astype(bool)).to_dict() == state
    assert Isotonic().fit(list(scores), y.astype(np.float32)).to_dict() == state


def test_clone_is_unfitted():
    calibrator = Isotonic(strictly_increasing=False).fit([0, 1], [0, 1])
    fresh = clone(calibrator)
    assert fresh.strictly_increasing is False
    with pytest.raises(NotFittedError):
        fresh.predict([0.0])
    with pytest.raises(NotFittedError):
        fresh.to_dict()


@pytest.mark.parametrize(
    ("scores", "y", "message"),
    [
        ([[0.0], [1.0]], [0, 1], r"'scores' parameter must be of shape \(n,\)\. Got shape \(2, 1\) instead"),
        ([0.0, 1.0, 2.0], [0, 1], "'scores' parameter must be as long as 'y', of length 2. Got length 3 instead"),
        ([0.0, np.nan], [0, 1], "'scores' parameter must be finite; .* Got nan instead"),
        ([0.0, np.inf], [0, 1], "'scores' parameter must be finite; .* Got inf instead"),
        ([-1e308, 1e308], [0, 1], r"'scores' parameter must span .* Got scores from -1e\+308 to 1e\+308 instead"),
        ([0.0, 1.0], [[0], [1, 0]], r"'y' parameter must be of shape \(n,\)\. Got rows of unequal lengths instead"),
        (["a", "b"], [0, 1], "'scores' parameter must be an array of numbers"),
        ([0.0, 1.0], [[0, 1]], r"'y' parameter must be of shape \(n,\)\. Got shape \(1, 2\) instead"),
        ([0.0, 1.0], [0, 2], "'y' parameter must be 0 or 1 in each row. Got 2 instead"),
        ([0.0, 1.0], [0, np.nan], "'y' parameter must be 0 or 1 in each row. Got nan instead"),
        ([0.0, 1.0], ["0", "1"], "'y' parameter must contain the numbers 0 and 1. Got an array of <U1 instead"),
        ([0.0, 1.0], [1, 1], "'y' parameter must contain both classes, .* Got 2 of 1 and 0 of 0 instead"),
        ([], [], "'y' parameter must contain both classes, .* Got 0 of 1 and 0 of 0 instead"),
    ],
)
def test_invalid_fits_are_refused(scores, y, message):
    with pytest.raises(ValueError, match=message):
        Isotonic().fit(scores, y)


def test_invalid_parameters_and_predictions_are_refused():
    with pytest.raises(ValueError, match=r"'strictly_increasing' parameter must be True or False\. Got 'yes' instead"):
        IsotonicCalibrator(strictly_increasing="yes").fit([0, 1], [0, 1])
    calibrator = Isotonic().fit([0, 1], [0, 1])
    with pytest.raises(ValueError, match=r"'scores' parameter must be of shape \(n,\)\. Got shape \(1, 2\) instead"):
        calibrator.predict([[0.0, 1.0]])


@pytest.mark.parametrize(
    "change",
    [
        {"thresholds_x": []},
        {"thresholds_x": [1.0, 0.0]},
        {"thresholds_x": [0.0, float("nan")]},
        {"thresholds_x": [0.0, 1.0, 2.0]},
        {"thresholds_y": [0.0, 0.5]},
        {"thresholds_y": [0.5, 1.0]},
        {"thresholds_y": [0.6, 0.5]},
    ],
)
def test_damaged_state_is_refused(change):
    state = Isotonic().fit([0, 1], [0, 1]).to_dict()
    assert len(state["thresholds_x"]) == 2
    with pytest.raises(ValueError, match="'state' parameter must have increasing thresholds_x"):
        IsotonicCalibrator.from_dict(state | change)


def test_incomplete_state_is_refused():
    with pytest.raises(ValueError, match="Got one without thresholds_y, n_positive, n_negative instead"):
        IsotonicCalibrator.from_dict({"strictly_increasing": True, "thresholds_x": [0.0]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strictly_increasing": "no"}, "strictly_increasing of bool. Got 'no' instead"),
        ({"n_positive": None}, "n_positive of int. Got None instead"),
        ({"n_negative": True}, "n_negative of int. Got True instead"),
    ],
)
def test_state_with_wrong_types_is_refused(change, message):
    state = Isotonic().fit([0, 1], [0, 1]).to_dict()
    with pytest.raises(ValueError, match=f"'state' parameter must have {message}"):
        IsotonicCalibrator.from_dict(state | change)
    with pytest.raises(ValueError, match=r"'state' parameter must be a dict from to_dict\. Got list instead"):
        IsotonicCalibrator.from_dict(list(state))
