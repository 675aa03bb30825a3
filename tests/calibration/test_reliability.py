"""Tests of `reliability`, `expected_calibration_error` and `wilson`: by hand, against scipy, and in simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from sklearn.calibration import calibration_curve

from gridlens.calibration import expected_calibration_error, reliability, wilson
from gridlens.calibration._reliability import Reliability


def test_bins_by_hand():
    y = [0, 0, 1, 0, 1, 1]
    p = [0.1, 0.2, 0.3, 0.6, 0.8, 0.9]
    bins = reliability(y, p, n_bins=3)
    assert isinstance(bins, Reliability)
    np.testing.assert_array_equal(bins.rows, [2, 2, 2])
    np.testing.assert_allclose(bins.predicted, [0.15, 0.45, 0.85])
    np.testing.assert_allclose(bins.observed, [0.0, 0.5, 1.0])
    np.testing.assert_allclose([bins.low[1], bins.high[1]], wilson(1, 2))
    assert expected_calibration_error(y, p, n_bins=3) == pytest.approx((0.15 + 0.05 + 0.15) / 3)


def test_bins_are_weighted_by_their_rows():
    # Ties make the bins unequal: 3 rows at 0.1, one of them positive, and 1 negative row at 0.9.
    error = expected_calibration_error([1, 0, 0, 0], [0.1, 0.1, 0.1, 0.9], n_bins=2)
    assert error == pytest.approx(0.75 * abs(1 / 3 - 0.1) + 0.25 * 0.9)


def test_ties_go_to_the_bin_of_their_midpoint():
    # Three of the four rows tie: they begin in the lower half, but most of them lie in the upper half.
    np.testing.assert_array_equal(reliability([0, 0, 1, 1], [0.1, 0.9, 0.9, 0.9], n_bins=2).rows, [1, 3])


def test_bins_without_ties_match_scikit_learn():
    rng = np.random.default_rng(0)
    p = rng.random(1500)
    y = (rng.random(1500) < p**2).astype(int)
    observed, predicted = calibration_curve(y, p, n_bins=15, strategy="quantile")
    bins = reliability(y, p)
    np.testing.assert_array_equal(bins.rows, 100)
    np.testing.assert_allclose(bins.observed, observed)
    np.testing.assert_allclose(bins.predicted, predicted)


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])), min_size=1, max_size=40),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_every_row_is_counted_in_any_order_and_ties_are_not_split(rows, n_bins, random):
    y, p = np.array(rows).T
    bins = reliability(y, p, n_bins)
    assert bins.rows.sum() == len(rows)
    assert len(bins.rows) <= min(n_bins, len(np.unique(p)))
    assert (np.diff(bins.predicted) > 0).all()
    assert ((bins.low <= bins.observed) & (bins.observed <= bins.high)).all()
    random.shuffle(rows)
    y, p = np.array(rows).T
    for one, other in zip(bins, reliability(y, p, n_bins), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_error_is_small_for_the_truth_and_large_for_a_wrong_prevalence():
    rng = np.random.default_rng(1)
    p = rng.beta(0.5, 3.0, size=30000)
    y = (rng.random(30000) < p).astype(int)
    assert expected_calibration_error(y, p) < 0.01
    assert expected_calibration_error(y, p**0.5) > 0.1
    bins = reliability(y, p)
    assert ((bins.low <= bins.predicted) & (bins.predicted <= bins.high)).sum() >= 12


def test_fewer_rows_than_bins_and_one_class():
    bins = reliability([1, 1], [0.2, 0.9])
    np.testing.assert_array_equal(bins.rows, [1, 1])
    assert expected_calibration_error([1, 1], [0.2, 0.9]) == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("y", "p", "n_bins", "message"),
    [
        ([], [], 15, "'y' parameter must have at least one row. Got none instead"),
        ([0, 1], [0.5], 15, "'p' parameter must be as long as 'y', of length 2. Got length 1 instead"),
        ([0, 3], [0.5, 0.5], 15, "'y' parameter must be 0 or 1 in each row. Got 3 instead"),
        ([0, 1], [0.5, np.nan], 15, "'p' parameter must be probabilities from 0 to 1, .* Got nan instead"),
        ([0, 1], [0.5, 1.5], 15, "'p' parameter must be probabilities from 0 to 1, .* Got 1.5 instead"),
        ([0, 1], [0.5, 0.5], 0, "'n_bins' parameter must be an integer of at least 1. Got 0 instead"),
        ([0, 1], [0.5, 0.5], 2.5, "'n_bins' parameter must be an integer of at least 1. Got 2.5 instead"),
    ],
)
def test_invalid_input_is_refused(y, p, n_bins, message):
    with pytest.raises(ValueError, match=message):
        reliability(y, p, n_bins)


@pytest.mark.parametrize("level", [0.68, 0.95, 0.99])
def test_wilson_matches_scipy(level):
    for k, n in [(0, 5), (1, 1), (3, 7), (50, 1000), (999, 1000)]:
        expected = binomtest(k, n).proportion_ci(level, method="wilson")
        np.testing.assert_allclose(wilson(k, n, level), expected, rtol=1e-12, atol=1e-15)


def test_wilson_broadcasts_and_has_exact_ends():
    low, high = wilson([0, 3, 7], 7)
    assert low.shape == high.shape == (3,)
    assert low[0] == 0.0
    assert high[2] == 1.0
    np.testing.assert_allclose([low[1], high[1]], wilson(3, 7))
    assert isinstance(wilson(3, 7)[0], float)


def test_wilson_ends_are_exact_whatever_the_rounding():
    n = np.arange(1, 400)
    assert (wilson(0, n)[0] == 0.0).all()
    assert (wilson(n, n)[1] == 1.0).all()


def test_wilson_covers():
    k = np.arange(101)
    low, high = wilson(k, 100)
    for share in (0.05, 0.3, 0.5):
        covered = binom.pmf(k, 100, share)[(low <= share) & (share <= high)].sum()
        assert 0.93 < covered < 0.98


@pytest.mark.parametrize(
    ("k", "n", "level", "message"),
    [
        (1, 0, 0.95, "'n' parameter must be above 0. Got 0 instead"),
        (3, 2, 0.95, "'k' parameter must be from 0 to 'n'. Got 3 instead"),
        ([0, -1], 2, 0.95, "'k' parameter must be from 0 to 'n'. Got -1 instead"),
        ("few", 2, 0.95, "'k' parameter must be an array of numbers. Got a non-numeric str instead"),
        (1, "many", 0.95, "'n' parameter must be an array of numbers. Got a non-numeric str instead"),
        (np.nan, 2, 0.95, "'k' parameter must be from 0 to 'n'. Got nan instead"),
        (1, 2, 95, r"'level' parameter must be a number between 0 and 1 \(exclusive\). Got 95 instead"),
    ],
)
def test_wilson_refuses_invalid_fractions(k, n, level, message):
    with pytest.raises(ValueError, match=message):
        wilson(k, n, level)
