"""Tests of `auroc`: its value, DeLong's interval, the grouped bootstrap, and unresolvable cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from gridlens.calibration import wilson
from gridlens.evaluation import Estimate, auroc

MIXED = np.array([1, "a"], dtype=object)
BOTH_CLASSES = st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 5)), min_size=2, max_size=40).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def placements_interval(y, score):
    """Return the AUROC and DeLong's interval by definition: compare all pairs, and take the variances of placements."""
    positive, negative = score[y == 1], score[y == 0]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    value = wins.mean()
    variance = wins.mean(1).var(ddof=1) / len(positive) + wins.mean(0).var(ddof=1) / len(negative)
    half = norm.ppf(0.975) * np.sqrt(variance) / (value * (1 - value))
    return value, expit(logit(value) - half), expit(logit(value) + half)


@settings(deadline=None, derandomize=True)
@given(BOTH_CLASSES, st.booleans())
def test_value_matches_scikit_learn_and_lies_in_its_interval(rows, grouped):
    y, score = np.array(rows).T
    found = auroc(y, score, np.arange(len(y)) // 2 if grouped else None, n_boot=20)
    assert found.value == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    assert 0.0 <= found.low <= found.high <= 1.0
    assert found.note == ""
    if not grouped:
        assert found.low - 1e-12 <= found.value <= found.high + 1e-12


@pytest.mark.parametrize("decimals", [1, 8])
def test_interval_matches_the_definition_of_delong(decimals):
    rng = np.random.default_rng(0)
    y = (rng.random(150) < 0.3).astype(int)
    score = (rng.normal(size=150) + y).round(decimals)
    np.testing.assert_allclose(auroc(y, score)[:3], placements_interval(y, score), rtol=1e-10)


@pytest.mark.parametrize(("n_positive", "n_negative", "separation"), [(30, 60, 1.0), (40, 200, 2.0)])
def test_delong_interval_covers(n_positive, n_negative, separation):
    truth = norm.cdf(separation / np.sqrt(2))
    rng = np.random.default_rng(1)
    y = np.repeat([1, 0], [n_positive, n_negative])
    covered = 0
    for _ in range(400):
        found = auroc(y, rng.normal(size=len(y)) + separation * y)
        covered += found.low <= truth <= found.high
    # 380 expected, standard deviation 4.4.
    assert abs(covered - 380) <= 13


def correlated(rng, n_groups, size):
    """Return labels, scores and groups; each group has a single class, and its rows have nearly the same score."""
    y = np.repeat(np.arange(n_groups) % 3 == 0, size).astype(int)
    score = np.repeat(rng.normal(size=n_groups), size) + 0.1 * rng.normal(size=n_groups * size) + y
    return y, score, np.repeat(np.arange(n_groups), size)


def test_bootstrap_covers_for_correlated_rows_and_delong_does_not():
    truth = norm.cdf(1 / np.sqrt(2 * 1.01))
    rng = np.random.default_rng(2)
    covered = {"grouped": 0, "independent": 0}
    for _ in range(100):
        y, score, groups = correlated(rng, 90, 8)
        for name, found in (("grouped", auroc(y, score, groups, n_boot=200)), ("independent", auroc(y, score))):
            covered[name] += found.low <= truth <= found.high
    assert covered["grouped"] >= 87
    assert covered["independent"] < 70


def test_groups_of_one_row_give_nearly_the_delong_interval():
    rng = np.random.default_rng(3)
    y = (rng.random(600) < 0.3).astype(int)
    score = rng.normal(size=600) + y
    grouped, independent = auroc(y, score, np.arange(600)), auroc(y, score)
    assert grouped.value == pytest.approx(independent.value, abs=1e-12)
    np.testing.assert_allclose(grouped[1:3], independent[1:3], atol=0.01)


def test_bootstrap_draws_whole_groups():
    # The expected interval: each group is drawn as a block of rows, groups with a positive are drawn separately, and
    # scikit-learn computes the AUROC.
    rng = np.random.default_rng(4)
    y, score, groups = correlated(rng, 12, 3)
    seeded = np.random.default_rng(7)
    with_positive, without = np.array([0, 3, 6, 9]), np.array([1, 2, 4, 5, 7, 8, 10, 11])
    drawn = []
    for _ in range(300):
        chosen = [*with_positive[seeded.integers(4, size=4)], *without[seeded.integers(8, size=8)]]
        rows = np.concatenate([np.flatnonzero(groups == g) for g in chosen])
        drawn.append(roc_auc_score(y[rows], score[rows]))
    found = auroc(y, score, groups, n_boot=300, random_state=7)
    np.testing.assert_allclose(found[1:3], np.quantile(drawn, [0.025, 0.975]), rtol=1e-12)


def test_bootstrap_is_seeded_and_ignores_group_names():
    y, score, groups = correlated(np.random.default_rng(5), 30, 3)
    first = auroc(y, score, groups, n_boot=100)
    assert auroc(y, score, groups, n_boot=100) == first
    assert auroc(y, score, np.array([f"cluster {g:02d}" for g in groups]), n_boot=100) == first
    assert auroc(y, score, groups, n_boot=100, random_state=1) != first


def test_without_spread_the_interval_is_the_widest_possible():
    perfect = auroc([0] * 90 + [1] * 10, np.arange(100))
    assert perfect == (1.0, *wilson(10, 10), "")
    assert auroc([1] * 10 + [0] * 90, np.arange(100))[:3] == (0.0, *wilson(0, 10))
    assert auroc([0, 0, 0, 1, 1, 1, 1], [5] * 7)[:3] == (0.5, *wilson(1.5, 3))
    assert auroc([0, 0, 0, 1], [1, 2, 4, 3])[:3] == (2 / 3, *wilson(2 / 3, 1))
    # With groups, the interval is based on the number of groups: 2 of them are positive here.
    groups = np.repeat(np.arange(20), 5)
    assert auroc([0] * 90 + [1] * 10, np.arange(100), groups, n_boot=50)[:3] == (1.0, *wilson(2, 2))


def test_one_group_of_a_class_has_no_spread():
    y = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    score = np.array([8, 7, 3, 1, 2, 4, 5, 6])
    found = auroc(y, score, [0, 0, 0, 1, 2, 3, 4, 5], n_boot=50)
    assert found[:3] == pytest.approx((12 / 15, *wilson(0.8, 1)))


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize(
    ("y", "note"),
    [
        ([0, 0, 0], "not resolvable with 0 positives"),
        ([1, 1, 1], "not resolvable with 0 negatives"),
        ([], "not resolvable with 0 positives"),
    ],
)
def test_one_class_has_no_auroc(y, note, groups):
    found = auroc(y, np.arange(len(y)), np.arange(len(y)) if groups else None)
    assert np.isnan(found[:3]).all()
    assert found.note == str(found) == note


def test_infinite_scores_rank():
    assert auroc([0, 0, 1, 1], [-np.inf, 1.0, 0.0, np.inf]).value == 0.75


@pytest.mark.parametrize(
    ("y", "score", "options", "message"),
    [
        ([0, 2], [1, 2], {}, "'y' parameter must be 0 or 1 in each row. Got 2 instead"),
        ([0, 1], [1], {}, "'score' parameter must be as long as 'y', of length 2. Got length 1 instead"),
        ([0, 1], [1, np.nan], {}, "'score' parameter must not contain NaN; .* Got NaN in 1 of 2 rows instead"),
        ([0, 1], [1, 2], {"groups": [0]}, r"'groups' parameter must be of shape \(2,\), .* Got shape \(1,\) instead"),
        ([0, 1], [1, 2], {"groups": [np.nan, 1]}, "'groups' parameter must have .* Got none in 1 of 2 rows instead"),
        ([0, 1], [1, 2], {"groups": [None, None]}, "'groups' parameter must have .* Got none in 2 of 2 rows instead"),
        ([0, 1], [1, 2], {"groups": MIXED}, "'groups' parameter must be all numbers .* Got a mixture instead"),
        ([0, 1], [1, 2], {"n_boot": 0}, "'n_boot' parameter must be an integer of at least 1. Got 0 instead"),
    ],
)
def test_invalid_input_is_refused(y, score, options, message):
    with pytest.raises(ValueError, match=message):
        auroc(y, score, **options)


def test_estimate_prints_as_a_number_with_its_interval():
    assert str(Estimate(0.9621, 0.9514, 0.9712)) == "0.962 [0.951, 0.971]"
    assert f"AUROC {Estimate(0.5, 0.25, 1.0)}" == "AUROC 0.500 [0.250, 1.000]"
    nan = float("nan")
    assert str(Estimate(nan, nan, nan, "not resolvable with 200 negatives")) == "not resolvable with 200 negatives"
