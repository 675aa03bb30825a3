"""Tests of `precision_at_k` and `recall_at_k`: the list, its ties, and its value at a declared prevalence."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from gridlens.calibration import wilson
from gridlens.evaluation import precision_at_k, recall_at_k

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=1, max_size=30)


def test_list_by_hand():
    y, score = [1, 0, 1, 1, 0, 0], [6, 5, 4, 3, 2, 1]
    assert precision_at_k(y, score, 3) == (2 / 3, *wilson(2, 3), "")
    assert recall_at_k(y, score, 3) == (2 / 3, *wilson(2, 3), "")
    assert precision_at_k(y, score, 6) == (0.5, *wilson(3, 6), "")
    assert recall_at_k(y, score, 6) == (1.0, *wilson(3, 3), "")


def test_ties_give_the_mean_over_all_orders():
    # The list takes the first row and two of four tied rows; one of the four is positive.
    y, score = np.array([1, 0, 0, 1, 0, 1]), np.array([9, 5, 5, 5, 5, 1])
    found = [1 + y[list(pair)].sum() for pair in itertools.combinations(range(1, 5), 2)]
    assert precision_at_k(y, score, 3).value == pytest.approx(np.mean(found) / 3)
    assert recall_at_k(y, score, 3).value == pytest.approx(np.mean(found) / 3)
    np.testing.assert_allclose(precision_at_k(y, score, 3)[1:3], wilson(1.5, 3))
    # A constant score is equivalent to a random draw.
    assert precision_at_k([1, 0, 0, 0], np.zeros(4), 2).value == 0.25


@settings(deadline=None, derandomize=True)
@given(ROWS, st.integers(1, 30), st.randoms(use_true_random=False))
def test_value_depends_on_the_order_of_scores_but_not_of_rows(rows, k, random):
    y, score = np.array(rows).T
    k = min(k, len(y))
    found = precision_at_k(y, score, k)
    assert 0.0 <= found.low <= found.value + 1e-12
    assert found.value <= found.high + 1e-12 <= 1.0 + 1e-12
    if y.sum():
        assert recall_at_k(y, score, k).value == pytest.approx(found.value * k / y.sum())
    assert precision_at_k(y, np.exp(score) - 7.0, k) == found
    random.shuffle(rows)
    y, score = np.array(rows).T
    assert precision_at_k(y, score, k) == found


@settings(deadline=None, derandomize=True)
@given(ROWS.filter(lambda rows: len({label for label, _ in rows}) == 2), st.integers(1, 30))
def test_values_do_not_depend_on_the_prevalence_of_the_rows(rows, k):
    y, score = np.array(rows).T
    k = min(k, len(y))
    for metric in (precision_at_k, recall_at_k):
        assert metric(y, score, k, y.mean(), n_boot=3).value == pytest.approx(metric(y, score, k).value)


def test_list_at_a_prevalence_by_hand():
    # At prevalence 0.2, each of 2 positives represents 1/10 of the rows to be scored, and each of 4 negatives 1/5.
    y, score = [1, 0, 1, 0, 0, 0], [6, 5, 4, 3, 2, 1]
    assert precision_at_k(y, score, 30, 0.2, out_of=100, n_boot=5).value == pytest.approx(1 / 3)
    assert recall_at_k(y, score, 30, 0.2, out_of=100, n_boot=5).value == pytest.approx(0.5)
    assert precision_at_k(y, score, 35, 0.2, out_of=100, n_boot=5).value == pytest.approx(0.15 / 0.35)
    assert recall_at_k(y, score, 4000, 0.2, out_of=10000, n_boot=5).value == pytest.approx(1.0)
    # This list is half as long as the number of rows that one negative represents.
    assert precision_at_k(y, score, 10, 0.2, out_of=100).note == "not resolvable with 4 negatives"
    assert recall_at_k(y, score, 10, 0.2, out_of=100).note == "not resolvable with 4 negatives"


def test_only_the_fraction_of_the_list_matters():
    rng = np.random.default_rng(0)
    y = (rng.random(500) < 0.2).astype(int)
    score = rng.normal(size=500) + y
    assert precision_at_k(y, score, 50) == precision_at_k(y, score, 500, out_of=5000)
    assert precision_at_k(y, score, 1, out_of=1000).note == "not resolvable with 500 rows"
    first = precision_at_k(y, score, 500, 0.01, out_of=5000, n_boot=50)
    assert first == precision_at_k(y, score, 50, 0.01, n_boot=50)


@pytest.mark.slow
def test_intervals_cover():
    # 2000 rows of prevalence 0.1, of which 100 are listed; then lists of 100 from 2000 rows of prevalence 0.01.
    truths, rng = {}, np.random.default_rng(1)
    t = np.linspace(-4, 8, 400_001)
    for prevalence in (0.1, 0.01):
        tpr, fpr = norm.sf(t - 2.0), norm.sf(t)
        at = np.argmin(np.abs(prevalence * tpr + (1 - prevalence) * fpr - 0.05))
        truths[prevalence] = (prevalence * tpr[at] / 0.05, tpr[at])
    covered = np.zeros(4)
    y = np.repeat([1, 0], [200, 1800])
    for _ in range(80):
        score = rng.normal(size=2000) + 2.0 * y
        found = [metric(y, score, 100) for metric in (precision_at_k, recall_at_k)]
        found += [metric(y, score, 100, 0.01, n_boot=100) for metric in (precision_at_k, recall_at_k)]
        truth = truths[0.1] + truths[0.01]
        covered += [e.low <= value <= e.high for e, value in zip(found, truth, strict=True)]
    # 76 expected, standard deviation 1.9. Wilson's interval for a fixed length is conservative.
    assert (covered >= 70).all()


def test_intervals_depend_on_groups_not_on_their_rows():
    rng = np.random.default_rng(2)
    y = np.repeat(np.arange(150) % 5 == 0, 6).astype(int)
    score = np.repeat(rng.normal(size=150), 6) + 1.5 * y
    groups = np.repeat(np.arange(150), 6)
    for metric in (precision_at_k, recall_at_k):
        alone, grouped = metric(y, score, 90), metric(y, score, 90, groups=groups)
        assert grouped.value == alone.value
        assert grouped.high - grouped.low > 1.3 * (alone.high - alone.low)
    # If all rows of the list are positive, the draws do not differ, and the interval is Wilson's for the number of
    # groups: all 30 groups of positives tie.
    perfect = precision_at_k(y, y, 12, groups=groups)
    assert perfect[:3] == pytest.approx((1.0, *wilson(30, 30)))


@pytest.mark.parametrize("metric", [precision_at_k, recall_at_k])
def test_missing_classes_and_rows(metric):
    assert metric([], [], 5).note == "not resolvable with 0 rows"
    assert metric([1, 1], [1, 2], 1, 0.1).note == "not resolvable with 0 negatives"
    assert metric([0, 0], [1, 2], 1, 0.1).note == "not resolvable with 0 positives"
    assert precision_at_k([0, 0], [1, 2], 1)[:3] == (0.0, *wilson(0, 1))
    assert recall_at_k([0, 0], [1, 2], 1).note == "not resolvable with 0 positives"


@pytest.mark.parametrize("metric", [precision_at_k, recall_at_k])
@pytest.mark.parametrize(
    ("k", "options", "message"),
    [
        (0, {}, "'k' parameter must be an integer of at least 1. Got 0 instead"),
        (1.0, {}, "'k' parameter must be an integer of at least 1. Got 1.0 instead"),
        (3, {}, "'k' parameter must be at most the 2 rows available. Got 3 instead"),
        (9, {"out_of": 8}, "'k' parameter must be at most the 8 'out_of' rows that will be scored. Got 9 instead"),
        (1, {"out_of": 0}, "'out_of' parameter must be an integer of at least 1. Got 0 instead"),
        (1, {"prevalence": 1.0}, "'prevalence' parameter must be a number between 0 and 1 .* Got 1.0 instead"),
        (1, {"groups": [1, None]}, "'groups' parameter must have a group for each row; .* Got none in 1 of 2 rows"),
    ],
)
def test_invalid_input_is_refused(metric, k, options, message):
    with pytest.raises(ValueError, match=message):
        metric([0, 1], [1, 2], k, **options)
