"""Tests of `tpr_at_false_positives`, and of the grouped intervals of it and of `tpr_at_fpr`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_curve

from gridlens.calibration import wilson
from gridlens.evaluation import tpr_at_false_positives, tpr_at_fpr

BOTH_CLASSES = st.lists(st.tuples(st.integers(0, 1), st.integers(-6, 6)), min_size=2, max_size=60).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def grouped_rows(rng, n_groups, size, shift):
    """Return labels, scores and groups: every third group is positive, and rows of a group have nearly equal scores."""
    y = np.repeat(np.arange(n_groups) % 3 == 0, size).astype(int)
    score = np.repeat(rng.normal(size=n_groups), size) + 0.1 * rng.normal(size=n_groups * size) + shift * y
    return y, score, np.repeat(np.arange(n_groups), size)


def test_tpr0_and_tpr10_by_hand():
    # From the top: 2 positives, a negative, a positive, 8 negatives, a positive, 2 negatives.
    y = [1, 1, 0, 1] + [0] * 8 + [1] + [0] * 2
    score = np.arange(len(y))[::-1]
    assert tpr_at_false_positives(y, score) == (0.5, *wilson(2, 4), "")
    assert tpr_at_false_positives(y, score, 1).value == 0.75
    # Fewer than ten false positives means at most nine, and the ninth ranks just above the last positive.
    assert tpr_at_false_positives(y, score, 8).value == 0.75
    assert tpr_at_false_positives(y, score, 9).value == 1.0


def test_positives_that_tie_with_the_next_negative_do_not_pass():
    assert tpr_at_false_positives([1, 1, 0, 1, 0], [3, 2, 2, 1, 0]).value == pytest.approx(1 / 3)
    assert tpr_at_false_positives([1, 1, 0, 1, 0], [3, 2, 2, 1, 0], 1).value == 1.0
    # Two tied negatives pass together or not at all.
    assert tpr_at_false_positives([1, 1, 0, 0, 0], [3, 2, 2, 2, 0], 1).value == 0.5
    assert tpr_at_false_positives([0, 1, 1], [5, 5, 5]).value == 0.0


@settings(deadline=None, derandomize=True)
@given(BOTH_CLASSES, st.integers(0, 5), st.randoms(use_true_random=False))
def test_matches_the_roc_curve_and_depends_only_on_the_order_of_scores(rows, n, random):
    y, score = np.array(rows).T
    found = tpr_at_false_positives(y, score, n)
    n_negative = int((y == 0).sum())
    if n_negative <= n:
        assert found.note == f"not resolvable with {n_negative} negative" + "s" * int(n_negative != 1)
        return
    rates, tpr, _ = roc_curve(y, score, drop_intermediate=False)
    assert found.value == pytest.approx(tpr[np.round(rates * n_negative) <= n].max(), abs=1e-12)
    assert tpr_at_false_positives(y, np.exp(score) - 7.0, n) == found
    random.shuffle(rows)
    y, score = np.array(rows).T
    assert tpr_at_false_positives(y, score, n) == found


@pytest.mark.parametrize(
    ("y", "n", "note"),
    [
        ([], 0, "not resolvable with 0 positives"),
        ([0, 0], 0, "not resolvable with 0 positives"),
        ([1, 1], 0, "not resolvable with 0 negatives"),
        ([1, 0], 1, "not resolvable with 1 negative"),
    ],
)
def test_an_undefined_threshold_gives_no_value(y, n, note):
    found = tpr_at_false_positives(y, np.arange(len(y)), n)
    assert np.isnan(found[:3]).all()
    assert found.note == note


@pytest.mark.parametrize(
    ("y", "score", "n", "message"),
    [
        ([0, 1], [1, np.nan], 0, "'score' parameter must not contain NaN; .* Got NaN in 1 of 2 rows instead"),
        ([0, 1], [1], 0, "'score' parameter must be as long as 'y', of length 2. Got length 1 instead"),
        ([[0, 1]], [1, 2], 0, r"'y' parameter must be of shape \(n,\). Got shape \(1, 2\) instead"),
        ([0, 1], [1, 2], -1, "'n' parameter must be an integer of at least 0. Got -1 instead"),
        ([0, 1], [1, 2], 1.5, "'n' parameter must be an integer of at least 0. Got 1.5 instead"),
        ([0, 1], [1, 2], True, "'n' parameter must be an integer of at least 0. Got True instead"),
    ],
)
def test_invalid_input_is_refused(y, score, n, message):
    with pytest.raises(ValueError, match=message):
        tpr_at_false_positives(y, score, n)


@pytest.mark.parametrize("metric", [lambda *a, **k: tpr_at_fpr(*a, 0.05, **k), tpr_at_false_positives])
def test_groups_change_the_interval_but_not_the_value(metric):
    y, score, groups = grouped_rows(np.random.default_rng(0), 90, 8, 2.0)
    alone, grouped = metric(y, score), metric(y, score, groups=groups)
    assert grouped.value == alone.value
    assert 0.0 <= grouped.low <= grouped.value <= grouped.high <= 1.0
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)
    assert metric(y, score, groups=groups) == grouped
    assert metric(y, score, groups=groups, random_state=1) != grouped


def test_grouped_draws_set_the_threshold_again():
    # The expected interval: groups are drawn as blocks of rows, and the metric is computed on the drawn rows.
    y, score, groups = grouped_rows(np.random.default_rng(4), 12, 5, 1.0)
    seeded = np.random.default_rng(7)
    with_positive, without = np.array([0, 3, 6, 9]), np.array([1, 2, 4, 5, 7, 8, 10, 11])
    drawn = []
    for _ in range(200):
        chosen = [*with_positive[seeded.integers(4, size=4)], *without[seeded.integers(8, size=8)]]
        rows = np.concatenate([np.flatnonzero(groups == g) for g in chosen])
        drawn.append(tpr_at_fpr(y[rows], score[rows], 0.2).value)
    found = tpr_at_fpr(y, score, 0.2, groups, n_boot=200, random_state=7)
    np.testing.assert_allclose(found[1:3], np.quantile(drawn, [0.025, 0.975]), rtol=1e-12)


def test_without_spread_the_interval_uses_the_number_of_groups():
    y = np.repeat([1, 0], [10, 90])
    groups = np.arange(100) // 5
    assert tpr_at_fpr(y, y, 0.1, groups)[:3] == (1.0, *wilson(2, 2))
    assert tpr_at_false_positives(y, y, 0, groups)[:3] == (1.0, *wilson(2, 2))
    assert tpr_at_false_positives(y, -y, 0, groups)[:3] == (0.0, *wilson(0, 2))


@pytest.mark.slow
def test_grouped_interval_covers_for_correlated_rows_and_wilson_does_not():
    truth = norm.sf(norm.isf(0.1) - 2.0 / np.sqrt(1.01))
    rng = np.random.default_rng(2)
    covered = {"grouped": 0, "independent": 0}
    for _ in range(150):
        y, score, groups = grouped_rows(rng, 300, 5, 2.0)
        for name, g in (("grouped", groups), ("independent", None)):
            found = tpr_at_fpr(y, score, 0.1, g, n_boot=200)
            covered[name] += found.low <= truth <= found.high
    # 142.5 expected, standard deviation 2.7.
    assert covered["grouped"] >= 133
    assert covered["independent"] < 110
