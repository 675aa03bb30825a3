"""Tests of `conformal_selection`: p-values by hand, Benjamini and Hochberg, and simulated false discovery rates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from gridlens.evaluation import conformal_selection

SCORES = st.lists(st.integers(-8, 8), min_size=1, max_size=40)


def test_by_hand():
    # There are four negatives, and a positive that is ignored; ties count against the test row.
    found = conformal_selection([0, 0, 1, 0, 0], [1, 2, 9, 3, 4], [5, 4, 3.5, 1, 0], fdr=0.5)
    np.testing.assert_allclose(found.p_values, [0.2, 0.4, 0.4, 1.0, 1.0])
    # The bounds are 0.1, 0.2, 0.3, 0.4 and 0.5. None is met, although the best p-value is the lowest that is possible
    # with four negatives.
    assert found.n_selected == 0
    found = conformal_selection([0, 0, 1, 0, 0], [1, 2, 9, 3, 4], [5, 6, 3.5, 1], fdr=0.5)
    np.testing.assert_array_equal(found.selected, [True, True, False, False])
    assert (found.threshold, found.n_selected, found.note) == (5.0, 2, "")


@settings(deadline=None, derandomize=True)
@given(SCORES, SCORES, st.floats(0.05, 0.9), st.randoms(use_true_random=False))
def test_matches_benjamini_hochberg_on_ranks(negative, test, fdr, random):
    found = conformal_selection([0] * len(negative), negative, test, fdr)
    expected = [(1 + sum(s >= t for s in negative)) / (len(negative) + 1) for t in test]
    np.testing.assert_allclose(found.p_values, expected)
    adjusted = false_discovery_control(expected)
    clear = np.abs(adjusted - fdr) > 1e-9
    np.testing.assert_array_equal(found.selected[clear], (adjusted <= fdr)[clear])
    assert found.n_selected == found.selected.sum()
    assert bool(found.note) == (found.n_selected == 0)
    # The selection depends on the order of the scores, but not on the order of the rows.
    moved = conformal_selection([0] * len(negative), np.exp(negative), np.exp(test), fdr)
    np.testing.assert_array_equal(moved.selected, found.selected)
    random.shuffle(negative)
    again = conformal_selection([0] * len(negative), negative, test, fdr, groups=range(len(negative)))
    np.testing.assert_allclose(again.p_values, found.p_values)
    if found.n_selected:
        np.testing.assert_array_equal(found.selected, np.array(test) >= found.threshold)


def test_an_exactly_met_bound_suffices():
    # 1 / (n + 1) equals fdr / m, but floats cannot represent these numbers exactly.
    for n, m in [(29, 3), (69, 7), (9, 1)]:
        test = [n] + [-1] * (m - 1)
        assert conformal_selection([0] * n, np.arange(n), test, fdr=0.1).n_selected == 1
        assert conformal_selection([0] * (n - 1), np.arange(n - 1), test, fdr=0.1).n_selected == 0


@pytest.mark.parametrize(
    ("negative", "test", "note"),
    [
        ([], [1, 2], "none selected: 2 rows score above all 0 negatives; a selection requires 9 negatives"),
        (
            [0],
            [1, -1],
            "none selected: 1 row scores above all 1 negatives; a selection requires 19 negatives",
        ),
        ([5, 6], [1, 6], "none selected: no row scores above all 2 negatives"),
        ([5, 6], [], "none selected: there are no test rows"),
    ],
)
def test_an_empty_list_has_a_note(negative, test, note):
    found = conformal_selection([0] * len(negative), negative, test)
    assert found.selected.shape == found.p_values.shape == (len(test),)
    assert found.selected.dtype == bool
    assert not found.selected.any()
    assert np.isnan(found.threshold)
    assert found.note == note


def test_the_number_of_negatives_in_the_note_suffices():
    test = [9.0, 8.0] + [0.0] * 98
    short = conformal_selection(np.zeros(300), np.linspace(-1, 1, 300), test, 0.1)
    assert "a selection requires 499 negatives" in short.note
    assert conformal_selection(np.zeros(498), np.linspace(-1, 1, 498), test, 0.1).n_selected == 0
    assert conformal_selection(np.zeros(499), np.linspace(-1, 1, 499), test, 0.1).n_selected == 2


def test_a_group_counts_as_one_row():
    # There are three groups: all rows of the first are at or above 5, half of the second, and no row of the third.
    found = conformal_selection([0] * 6, [6, 7, 9, 6, 1, 1], [5], groups=["a", "a", "a", "b", "b", "c"])
    np.testing.assert_allclose(found.p_values, [(1 + 1 + 0.5) / 4])
    assert conformal_selection([0] * 3, [1, 1, 1], [5], groups=[7, 7, 7]).note == (
        "none selected: 1 row scores above all 1 groups of negatives; a selection requires 9 groups of negatives"
    )


def realised(rng, n_repeats, select, n_test=400, prevalence=0.15, shift=2.5):
    """Return the mean false discovery proportion, its standard error, and the mean fraction of positives found."""
    false, found = [], []
    for _ in range(n_repeats):
        truth = rng.random(n_test) < prevalence
        chosen = select(rng, rng.normal(size=n_test) + shift * truth)
        false.append((chosen & ~truth).sum() / max(chosen.sum(), 1))
        found.append(chosen[truth].mean() if truth.any() else 0.0)
    return np.mean(false), np.std(false) / np.sqrt(n_repeats), np.mean(found)


@pytest.mark.slow
@pytest.mark.parametrize("enriched", [0.0, 0.15, 0.8])
@pytest.mark.parametrize("fdr", [0.1, 0.3])
def test_false_discovery_rate_holds_at_any_calibration_prevalence(enriched, fdr):
    def select(rng, test):
        y = (np.arange(1000) < 1000 * enriched).astype(int)
        return conformal_selection(y, rng.normal(size=1000) + 2.5 * y, test, fdr).selected

    rate, error, found = realised(np.random.default_rng(0), 600, select)
    # Bates et al.: the rate is at most fdr times the fraction of negatives, and lower only as p-values are discrete.
    assert rate <= 0.85 * fdr + 3 * error
    assert rate >= 0.6 * fdr
    assert found > 0.2


@pytest.mark.slow
def test_several_views_of_a_calibration_cluster_need_groups():
    # 40 clusters of 25 views with nearly equal scores look like 1000 negatives.
    def select(rng, test, grouped):
        groups = np.repeat(np.arange(40), 25)
        score = np.sqrt(0.99) * rng.normal(size=40)[groups] + 0.1 * rng.normal(size=1000)
        return conformal_selection(np.zeros(1000), score, test, 0.1, groups if grouped else None).selected

    rate, error, _ = realised(np.random.default_rng(1), 400, lambda rng, test: select(rng, test, True))
    assert rate <= 0.085 + 3 * error
    rate, error, _ = realised(np.random.default_rng(1), 400, lambda rng, test: select(rng, test, False))
    assert rate > 0.1 + 3 * error


@pytest.mark.parametrize(
    ("y", "score", "test", "options", "message"),
    [
        ([0, 1], [1, np.nan], [1], {}, "'score' parameter must not contain NaN; .* Got NaN in 1 of 2 rows instead"),
        (
            [0, 1],
            [1, 2],
            [1, np.nan],
            {},
            "'test_score' parameter must not contain NaN; .* Got NaN in 1 of 2 rows inst",
        ),
        ([0, 1], [1, 2], [[1]], {}, r"'test_score' parameter must be of shape \(n,\). Got shape \(1, 1\) instead"),
        ([0, 1], [1], [1], {}, "'score' parameter must be as long as 'y', of length 2. Got length 1 instead"),
        ([0, 2], [1, 2], [1], {}, "'y' parameter must be 0 or 1 in each row. Got 2 instead"),
        ([0, 1], [1, 2], [1], {"fdr": 0}, "'fdr' parameter must be a number between 0 and 1 .* Got 0 instead"),
        ([0, 1], [1, 2], [1], {"groups": [1]}, r"'groups' parameter must be of shape \(2,\), .* Got shape \(1,\) inst"),
    ],
)
def test_invalid_input_is_refused(y, score, test, options, message):
    with pytest.raises(ValueError, match=message):
        conformal_selection(y, score, test, **options)
