"""Tests of `brier_score`, `log_loss` and `calibration_error`: scikit-learn, by hand, coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as log_loss_of_scikit_learn

from gridlens.calibration import expected_calibration_error, shift_prior, wilson
from gridlens.evaluation import brier_score, calibration_error, log_loss

METRICS = [brier_score, log_loss]
ROWS = st.lists(st.tuples(st.integers(0, 1), st.floats(0.001, 0.999)), min_size=2, max_size=40).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def calibrated(rng, n, power=1.0):
    """Return labels that are positive with probability p, and p raised to a power as the stated probability."""
    p = rng.beta(0.5, 3.0, size=n)
    return (rng.random(n) < p).astype(int), p**power


@settings(deadline=None, derandomize=True)
@given(ROWS, st.randoms(use_true_random=False))
def test_values_match_scikit_learn_in_any_order(rows, random):
    y, p = np.array(rows).T
    weight = np.where(y == 1, 0.2 / y.sum(), 0.8 / (1 - y).sum())
    expected = {
        brier_score: (brier_score_loss(y, p), brier_score_loss(y, p, sample_weight=weight)),
        log_loss: (log_loss_of_scikit_learn(y, p), log_loss_of_scikit_learn(y, p, sample_weight=weight)),
    }
    random.shuffle(rows)
    for metric, (plain, weighted) in expected.items():
        for y, p in (zip(*rows, strict=True), np.array(rows).T):
            found = metric(list(y), list(p))
            assert found.value == pytest.approx(plain, rel=1e-9)
            assert found.low <= found.value <= found.high
        assert metric(y, p, 0.2).value == pytest.approx(weighted, rel=1e-9)


def test_brier_interval_by_hand():
    # The losses are 0.01 and 0.16 in each class, with a variance of 0.01125; the squared error is a quarter of the sum
    # over classes of half of it.
    value, error = 0.085, np.sqrt(0.5 * 0.01125 / 2)
    found = brier_score([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9])
    half = 1.959963985 * error / value
    assert found[:3] == pytest.approx((value, value * np.exp(-half), value * np.exp(half)))


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
def test_intervals_cover(metric):
    # For given numbers of positives and negatives, each class has a fixed mean loss.
    rng = np.random.default_rng(0)
    y, p = calibrated(rng, 1_000_000)
    positive, negative = p[y == 1], p[y == 0]
    truth = metric(y, shift_prior(p, y.mean(), 0.05), 0.05).value
    covered = 0
    for _ in range(300):
        q = np.concatenate([rng.choice(positive, 60), rng.choice(negative, 400)])
        found = metric(np.repeat([1, 0], [60, 400]), shift_prior(q, y.mean(), 0.05), 0.05)
        covered += found.low <= truth <= found.high
    # 285 expected, standard deviation 3.8.
    assert covered >= 272


@pytest.mark.parametrize("metric", METRICS)
def test_groups_widen_the_interval(metric):
    y, p = (np.repeat(column, 6) for column in calibrated(np.random.default_rng(1), 200))
    groups = np.repeat(np.arange(200), 6)
    for prevalence in (None, 0.05):
        alone, grouped = metric(y, p, prevalence), metric(y, p, prevalence, groups)
        assert grouped.value == alone.value
        assert 1.8 < (grouped.high - grouped.low) / (alone.high - alone.low) < 3.2


def test_intervals_without_spread():
    assert brier_score([0, 1], [0.0, 1.0])[:3] == (0.0, *wilson(0, 1))
    assert brier_score([0, 0, 1, 1], [0.5] * 4)[:3] == (0.25, *wilson(0.5, 2))
    assert brier_score([0, 0, 1, 1], [0.5] * 4, groups=[0, 1, 2, 3])[:3] == (0.25, *wilson(0.5, 2))
    assert log_loss([0, 0, 1, 1], [0.5] * 4)[:3] == pytest.approx((np.log(2), 0.0, np.inf))
    assert log_loss([0, 0, 1, 1], [0.5] * 4, groups=[0, 1, 2, 3])[:3] == pytest.approx((np.log(2), 0.0, np.inf))
    assert log_loss([0, 1], [0.0, 1.0])[:3] == (0.0, 0.0, np.inf)


def test_infinite_log_loss_has_a_note():
    found = log_loss([0, 1, 1], [1.0, 0.0, 0.5])
    assert found[:3] == (np.inf, np.inf, np.inf)
    assert found.note == "infinite: 2 rows have a probability of 0 for their label"
    assert log_loss([0, 0], [1e-20, 1e-20]).value == pytest.approx(1e-20, rel=1e-12)


@pytest.mark.filterwarnings("error")
def test_no_rows_and_one_class():
    for metric in (brier_score, log_loss, calibration_error):
        assert metric([], []).note == "not resolvable with 0 rows"
        assert metric([0, 0, 0], [0.1, 0.2, 0.4]).low > 0.0
    for metric in METRICS:
        assert metric([0, 0], [0.1, 0.2], 0.1).note == "not resolvable with 0 positives"
        assert metric([1, 1], [0.1, 0.2], 0.1).note == "not resolvable with 0 negatives"


@settings(deadline=None, derandomize=True, max_examples=40)
@given(ROWS, st.integers(1, 8))
def test_calibration_error_matches_expected_calibration_error(rows, n_bins):
    y, p = np.array(rows).T
    p = p.round(1)
    found = calibration_error(y, p, n_bins=n_bins, n_boot=20)
    assert found.value == pytest.approx(expected_calibration_error(y, p, n_bins), abs=1e-12)
    assert 0.0 <= found.low <= found.high <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("power", [0.6, 0.8, 0.9])
def test_interval_of_the_calibration_error_covers_the_error_without_noise(power):
    rng = np.random.default_rng(2)
    truth = expected_calibration_error(*calibrated(rng, 1_000_000, power))
    covered, above = 0, 0
    for _ in range(120):
        found = calibration_error(*calibrated(rng, 1500, power), n_boot=100)
        covered += found.low <= truth <= found.high
        above += found.value > truth
    # 114 expected, standard deviation 2.4; the value itself is usually above the truth.
    assert covered >= 106
    assert above > 60


def test_noise_is_not_reported_as_a_calibration_error():
    found = calibration_error(*calibrated(np.random.default_rng(3), 3000))
    assert found.low < 0.005 < found.value


@pytest.mark.parametrize("metric", [*METRICS, calibration_error])
@pytest.mark.parametrize(
    ("y", "p", "options", "message"),
    [
        ([0, 1], [0.5, np.nan], {}, "'p' parameter must be probabilities from 0 to 1, .* Got nan instead"),
        ([0, 1], [0.5, 1.5], {}, "'p' parameter must be probabilities from 0 to 1, .* Got 1.5 instead"),
        ([0, 1], [0.5], {}, "'p' parameter must be as long as 'y', of length 2. Got length 1 instead"),
        ([0, 2], [0.5, 0.5], {}, "'y' parameter must be 0 or 1 in each row. Got 2 instead"),
        ([0, 1], [0.5, 0.5], {"groups": [0]}, r"'groups' parameter must be of shape \(2,\), .* Got shape \(1,\) inst"),
        ([0, 1], [0.5, 0.5], {"n_boot": 0}, "'n_boot' parameter must be an integer of at least 1. Got 0 instead"),
    ],
)
def test_invalid_input_is_refused(metric, y, p, options, message):
    with pytest.raises(ValueError, match=message):
        metric(y, p, **options)


def test_invalid_prevalence_and_n_bins_are_refused():
    with pytest.raises(ValueError, match=r"'prevalence' parameter must be .* Got 0 instead"):
        brier_score([0, 1], [0.5, 0.5], 0)
    with pytest.raises(ValueError, match=r"'n_bins' parameter must be an integer of at least 1. Got 0 instead"):
        calibration_error([0, 1], [0.5, 0.5], n_bins=0)
