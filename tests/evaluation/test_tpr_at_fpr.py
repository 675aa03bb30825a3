"""Tests of `tpr_at_fpr`: the threshold, its ties, and too few negatives."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from gridlens.calibration import wilson
from gridlens.evaluation import tpr_at_fpr


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(-6, 6)), min_size=2, max_size=60).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    ),
    st.floats(0.01, 0.99),
)
@example([(0, score) for score in range(100)] + [(1, 72), (1, 70), (1, 71)], 0.29)
def test_value_is_the_highest_point_of_the_roc_curve_up_to_the_rate(rows, fpr):
    y, score = np.array(rows).T
    found = tpr_at_fpr(y, score, fpr)
    n_negative = int((y == 0).sum())
    if np.isnan(found.value):
        assert 1 / n_negative > fpr
        return
    rates, tpr, _ = roc_curve(y, score, drop_intermediate=False)
    assert found.value == pytest.approx(tpr[rates <= fpr].max(), abs=1e-12)


@pytest.mark.parametrize("n", [100, 200, 300, 1000, 7000])
def test_whole_numbers_of_negatives_are_exact_despite_rounding(n):
    y = np.repeat([0, 1], n)
    score = np.tile(np.arange(n, dtype=float), 2) + np.repeat([0.0, 0.5], n)
    for k in range(1, n, max(1, n // 100)):
        # The k highest negatives pass, and so do all positives above the next negative.
        assert tpr_at_fpr(y, score, k / n).value == (k + 1) / n


def test_positives_that_tie_with_the_last_negative_do_not_pass():
    y = [0] * 10 + [1] * 4
    negatives = [1, 1, 1, 1, 1, 1, 1, 1, 5, 9]
    assert tpr_at_fpr(y, [*negatives, 5, 5, 6, 9], 0.1).value == 0.5
    # Two tied negatives pass together or not at all: at 0.1 only one may pass, so neither does.
    negatives = [1, 1, 1, 1, 1, 1, 1, 1, 5, 5]
    assert tpr_at_fpr(y, [*negatives, 5, 5, 6, 9], 0.1).value == 0.5
    assert tpr_at_fpr(y, [*negatives, 5, 5, 6, 9], 0.2).value == 1.0


def test_constant_score_finds_nothing():
    found = tpr_at_fpr([0] * 50 + [1] * 20, np.zeros(70), 0.5)
    assert found[:3] == (0.0, *wilson(0, 20))


def test_interval_matches_wilson():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [500, 40])
    found = tpr_at_fpr(y, rng.normal(size=540) + 2 * y, 0.05)
    assert found[1:] == (*wilson(round(found.value * 40), 40), "")
    assert 0.3 < found.value < 0.95


def test_interval_covers_with_many_negatives():
    # With 5000 negatives, the threshold hardly varies between draws; the truth follows from the tails of the normals.
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], [5000, 50])
    covered = 0
    for _ in range(200):
        found = tpr_at_fpr(y, rng.normal(size=5050) + 2.0 * y, 0.05)
        covered += found.low <= 0.6387600313 <= found.high  # norm.sf(norm.isf(0.05) - 2)
    assert covered >= 178


@pytest.mark.parametrize(
    ("n_positive", "n_negative", "fpr", "note"),
    [
        (5, 200, 1e-3, "not resolvable with 200 negatives"),
        (5, 999, 1e-3, "not resolvable with 999 negatives"),
        (5, 1, 0.5, "not resolvable with 1 negative"),
        (5, 0, 0.5, "not resolvable with 0 negatives"),
        (0, 200, 0.1, "not resolvable with 0 positives"),
        (0, 0, 0.1, "not resolvable with 0 negatives"),
    ],
)
def test_too_few_rows_have_a_note(n_positive, n_negative, fpr, note):
    y = np.repeat([1, 0], [n_positive, n_negative])
    found = tpr_at_fpr(y, np.arange(len(y)), fpr)
    assert np.isnan(found[:3]).all()
    assert found.note == str(found) == note


def test_the_minimum_number_of_negatives_suffices():
    y = np.repeat([1, 0], [5, 1000])
    assert tpr_at_fpr(y, np.arange(1005)[::-1], 1e-3).value == 1.0


@pytest.mark.parametrize("fpr", [0, 1, -0.1, np.nan, "low"])
def test_rates_outside_the_open_interval_are_refused(fpr):
    with pytest.raises(ValueError, match=r"'fpr' parameter must be a number between 0 and 1 \(exclusive\)\. Got "):
        tpr_at_fpr([0, 1], [1, 2], fpr)


def test_invalid_input_is_refused():
    with pytest.raises(ValueError, match=r"'score' parameter must not contain NaN; .* Got NaN in 2 of 3 rows instead"):
        tpr_at_fpr([0, 1, 1], [np.nan, 2, np.nan], 0.1)
