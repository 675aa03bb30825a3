"""Tests of `shift_prior`: Bayes' rule, its limits 0 and 1, and the inverse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from gridlens.calibration import shift_prior

PRIOR = st.floats(0.03, 0.97)
UNIT = st.floats(0.0, 1.0)


@settings(deadline=None, derandomize=True)
@given(UNIT, PRIOR, PRIOR)
def test_shifting_back_restores(p, train, target):
    assert abs(shift_prior(shift_prior(p, train, target), target, train) - p) <= 1e-12


def test_odds_are_multiplied():
    p = np.linspace(0.01, 0.99, 99)
    expected = expit(logit(p) + logit(1e-3) - logit(0.4))
    np.testing.assert_allclose(shift_prior(p, 0.4, 1e-3), expected, rtol=1e-12)


def test_bayes_rule_on_counts():
    # 60 % of the positives and 5 % of the negatives have this score.
    at_even = 0.6 * 0.5 / (0.6 * 0.5 + 0.05 * 0.5)
    at_rare = 0.6 * 0.001 / (0.6 * 0.001 + 0.05 * 0.999)
    np.testing.assert_allclose(shift_prior(at_even, 0.5, 0.001), at_rare, rtol=1e-13)


@pytest.mark.parametrize("target", [1e-12, 0.3, 1 - 1e-12])
def test_zero_one_and_nan_stay(target):
    np.testing.assert_array_equal(shift_prior([0.0, np.nan, 1.0], 0.5, target), [0.0, np.nan, 1.0])


def test_shape_ranks_and_input_are_kept():
    p = np.random.default_rng(0).random((4, 5))
    before = p.copy()
    shifted = shift_prior(p, 0.5, 0.01)
    assert shifted.shape == (4, 5)
    np.testing.assert_array_equal(np.argsort(shifted, axis=None), np.argsort(p, axis=None))
    np.testing.assert_array_equal(p, before)
    assert shift_prior([], 0.5, 0.01).shape == (0,)
    assert float(shift_prior(0.5, 0.5, 0.01)) == pytest.approx(0.01, abs=1e-15)


@pytest.mark.parametrize("prior", [0, 1, -0.1, 1.5, np.nan, None, "half", [0.1, 0.2]])
@pytest.mark.parametrize("name", ["train_prior", "target_prior"])
def test_priors_outside_0_and_1_are_refused(name, prior):
    priors = {"train_prior": 0.5, "target_prior": 0.5, name: prior}
    with pytest.raises(ValueError, match=rf"'{name}' parameter must be a number between 0 and 1 \(exclusive\). Got "):
        shift_prior([0.5], **priors)


@pytest.mark.parametrize(("p", "shown"), [([0.2, 1.01], "1.01"), ([[-0.5]], "-0.5"), ([np.inf], "inf")])
def test_invalid_probabilities_are_refused(p, shown):
    with pytest.raises(ValueError, match=f"'p' parameter must be probabilities from 0 to 1. Got {shown} instead"):
        shift_prior(p, 0.5, 0.1)


def test_non_numeric_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"'p' parameter must be probabilities\. Got a non-numeric list"):
        shift_prior(["high"], 0.5, 0.1)
