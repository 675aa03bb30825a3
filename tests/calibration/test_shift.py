"""Tests of `estimate_shift`: EM by hand, a known truth, and rows that cannot resolve the prevalence."""

import warnings

import numpy as np
import pytest
from scipy.special import expit, logit

from gridlens.calibration import estimate_shift, shift_prior


def draw(seed, n, prevalence, gap=3.0):
    """Return true probabilities at even prevalence for rows at another prevalence, from two normal populations."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n) + gap * (rng.random(n) < prevalence)
    return expit(gap * score - gap**2 / 2)


@pytest.mark.parametrize("prevalence", [0.02, 0.3, 0.9])
def test_shift_is_the_fixed_point_of_em(prevalence):
    p = draw(0, 2000, prevalence)
    share = 0.5
    for _ in range(3000):
        share = shift_prior(p, 0.5, share).mean()
    found = estimate_shift(p, 0.5, n_boot=2)
    assert found.value == pytest.approx(share, rel=1e-6)
    assert 0 < found.iterations < 30


def test_two_kinds_of_rows_by_hand():
    # The densities are 3 : 1 and 1 : 3, and 60 of 100 rows are of the first kind: 3/4 q + 1/4 (1 - q) = 0.6, q = 0.7.
    assert estimate_shift([0.75] * 60 + [0.25] * 40, 0.5, n_boot=2).value == pytest.approx(0.7, abs=1e-9)
    # The same densities, calibrated at a prevalence of 0.1.
    p = shift_prior([0.75] * 60 + [0.25] * 40, 0.5, 0.1)
    assert estimate_shift(p, 0.1, n_boot=2).value == pytest.approx(0.7, abs=1e-9)


@pytest.mark.slow
def test_value_is_unbiased_and_the_interval_covers_the_truth():
    found = [estimate_shift(draw(seed, 4000, 0.05), 0.5, n_boot=60) for seed in range(60)]
    value, low, high = np.array([one[:3] for one in found]).T
    assert value.mean() == pytest.approx(0.05, abs=3 * value.std() / 60**0.5)
    assert 0.85 < np.mean((low <= 0.05) & (high >= 0.05)) <= 1.0
    assert not any(one.note for one in found)
    # Counts of labelled rows would give 0.0034.
    assert 0.0034 < value.std() < 0.006


def test_no_positives_are_not_distinguishable_from_few():
    found = estimate_shift(draw(1, 4000, 0.0), 0.5)
    assert found.low == 0.0
    assert found.note == f"not distinguishable from none: at most {found.high:.2g}"
    assert found.high < 0.005
    assert str(found).endswith(found.note)
    whole = estimate_shift(1.0 - draw(1, 4000, 0.0), 0.5)
    assert whole.high == 1.0
    assert whole.note == f"not distinguishable from all: at least {whole.low:.2g}"


def test_few_and_extreme_rows_have_notes():
    # Bootstrap draws without a positive would put the upper limit at 0, but 0 of n rows still allows 3 in n.
    none = estimate_shift([1e-9] * 50 + [2e-9] * 50, 0.5)
    assert none.value == 0.0
    assert none.high == pytest.approx(1 - 0.05 ** (1 / 100))
    few = estimate_shift([1e-3, 0.5, 0.999], 0.5)
    assert few.note == "not resolvable with 3 rows"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extreme = estimate_shift([1e-300, 5e-324] * 60 + [1.0 - 1e-16, 1.0] * 40, 0.5)
    assert extreme.value == pytest.approx(0.4, abs=1e-6)


def test_groups_are_drawn_whole():
    p = draw(2, 1000, 0.1)
    alone = estimate_shift(p, 0.5)
    copied = estimate_shift(np.repeat(p, 4), 0.5)
    together = estimate_shift(np.repeat(p, 4), 0.5, np.repeat(np.arange(1000), 4))
    assert copied.value == pytest.approx(alone.value, rel=1e-8)
    assert copied.high - copied.low < 0.65 * (alone.high - alone.low)
    np.testing.assert_allclose(together[:3], alone[:3], rtol=1e-6)


def test_certain_rows_are_accepted():
    p = np.array([0.0] * 70 + [1.0] * 30)
    assert estimate_shift(p, 0.2, n_boot=2).value == pytest.approx(0.3, abs=1e-9)
    assert estimate_shift(np.append(p, 0.2), 0.2, n_boot=2).value == pytest.approx(0.3, abs=1e-9)


def test_seed_and_round_trip_with_shift_prior():
    p = draw(3, 3000, 0.2)
    assert estimate_shift(p, 0.5, random_state=1) == estimate_shift(p, 0.5, random_state=1)
    value = estimate_shift(p, 0.5).value
    # EM stops where the mean of the shifted probabilities equals the prevalence that they were shifted to.
    assert shift_prior(p, 0.5, value).mean() == pytest.approx(value, rel=1e-8)
    assert logit(value) < 0


@pytest.mark.parametrize(
    ("p", "prior", "groups", "message"),
    [
        ([0.1, 1.2], 0.5, None, "'p' parameter must be probabilities from 0 to 1, .* Got 1.2 instead"),
        ([0.1, np.nan], 0.5, None, "'p' parameter must be probabilities from 0 to 1, .* Got nan instead"),
        ([0.1, 0.2], 0.0, None, "'train_prior' parameter must be a number between 0 and 1 .* Got 0.0 instead"),
        ([0.1, 0.2], 1, None, "'train_prior' parameter must be a number between 0 and 1 .* Got 1 instead"),
        ([0.1, 0.1], 0.5, None, "'p' parameter must differ between rows: .* Got 0.1 in all 2 rows instead"),
        ([], 0.5, None, "'p' parameter must have at least two rows or groups. Got 0 instead"),
        ([0.1, 0.2], 0.5, [1, 1], "'p' parameter must have at least two rows or groups. Got 1 instead"),
        ([0.1, 0.2], 0.5, [1], r"'groups' parameter must be of shape \(2,\)"),
    ],
)
def test_invalid_input_is_refused(p, prior, groups, message):
    with pytest.raises(ValueError, match=message):
        estimate_shift(p, prior, groups)
