"""Tests of `compare` and `mcnemar`: intervals against DeLong's and the truth, exact p-values against scipy's."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import binom, norm, rankdata

from gridlens.evaluation import Estimate, auroc, compare, tpr_at_fpr
from gridlens.evaluation._compare import mcnemar


def two_scores(rng, n_positive, n_negative, better=0.0, views=1):
    """Return labels, two scores that share most of their noise, and groups.

    `better` is the additional separation of b. Each row has `views` views, whose scores differ by noise of about 0.1.
    """
    y = np.repeat([1, 0], [n_positive, n_negative])
    common, a, b = rng.normal(size=(3, len(y)))
    a, b = (0.8 * common + 0.6 * own for own in (a, b))
    own = np.sqrt(0.01 / 1.01) if views > 1 else 0.0
    y, a, b = (np.repeat(column, views) for column in (y, a, b))
    a, b = (np.sqrt(1 - own**2) * column + own * rng.normal(size=len(y)) for column in (a, b))
    return y, a + 1.2 * y, b + (1.2 + better) * y, np.repeat(np.arange(n_positive + n_negative), views)


def delong_paired(y, a, b):
    """Return the difference b - a and its standard error, from the variance of the differences of placements."""
    variance, value = 0.0, 0.0
    for one in (0, 1):
        placements = []
        for score in (a, b):
            own, other = score[y == one], score[y != one]
            placements.append((rankdata(np.concatenate([own, other]))[: len(own)] - rankdata(own)) / len(other))
        difference = placements[1] - placements[0]
        variance += difference.var(ddof=1) / len(difference)
        value = difference.mean()
    return value, np.sqrt(variance)


def test_ungrouped_interval_is_close_to_paired_delong():
    y, a, b, _ = two_scores(np.random.default_rng(0), 150, 450, 0.3)
    value, error = delong_paired(y, a, b)
    found = compare(y, a, b, auroc)["auroc"].difference
    assert found.value == pytest.approx(value)
    np.testing.assert_allclose(found[1:3], value + norm.ppf([0.025, 0.975]) * error, atol=0.2 * error)
    # The interval for two unpaired samples is far wider.
    single = compare(y, a, b, auroc, n_boot=1)["auroc"]
    assert found.high - found.low < 0.7 * np.hypot(single.a.high - single.a.low, single.b.high - single.b.low)


def test_values_and_differences_match_the_metrics():
    y, a, b, groups = two_scores(np.random.default_rng(1), 40, 200, 0.5, views=2)
    metrics = {"AUROC": auroc, "TPR": lambda labels, score, groups=None: tpr_at_fpr(labels, score, 0.1)}
    found = compare(y, a, b, metrics, groups, n_boot=50)
    assert list(found) == ["AUROC", "TPR"]
    assert found["AUROC"].a == auroc(y, a, groups)
    assert found["TPR"].b == tpr_at_fpr(y, b, 0.1)
    for one in found.values():
        assert one.difference.value == pytest.approx(one.b.value - one.a.value)
    back = compare(y, b, a, metrics, groups, n_boot=50)["TPR"].difference
    assert back[:3] == pytest.approx((-found["TPR"].difference.value, *[-v for v in found["TPR"].difference[2:0:-1]]))
    assert str(found["AUROC"]).count(" against ") == 1


def test_draws_take_whole_groups_stratified_by_class():
    groups = np.array([0, 0, 1, 1, 2, 3, 3, 4])
    y = np.array([1, 0, 1, 1, 0, 0, 0, 0])
    score = np.arange(8.0)
    seen = []

    def metric(labels, values, groups=None):
        seen.append(np.bincount(values.astype(int), minlength=8))
        return Estimate(float(values.mean()), 0.0, 1.0)

    compare(y, score, score, metric, groups, n_boot=40)
    drawn = np.array(seen[2:])
    assert len(drawn) == 80
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 5] == drawn[:, 6]).all()
    assert (drawn[:, 0] + drawn[:, 2] == 2).all()
    assert (drawn[:, [4, 5, 7]].sum(axis=1) == 3).all()
    # Both scores use the same rows in each draw.
    np.testing.assert_array_equal(drawn[::2], drawn[1::2])
    assert len(np.unique(drawn, axis=0)) > 10


def test_metrics_do_not_bootstrap_inside_a_draw():
    asked = []

    def metric(labels, score, groups=None, *, at, n_boot=1000):
        asked.append((at, n_boot))
        return Estimate(float(score.mean()), 0.0, 1.0)

    found = compare([0, 1, 0, 1], [1, 2, 3, 4], [4, 2, 1, 0], partial(metric, at=7), n_boot=3)
    assert list(found) == ["metric"]
    assert asked == [(7, 1000)] * 2 + [(7, 1)] * 6


def test_a_score_does_not_differ_from_itself():
    y, a, _, _ = two_scores(np.random.default_rng(2), 30, 100)
    assert compare(y, a, a.copy(), auroc, n_boot=20)["auroc"].difference == (0.0, 0.0, 0.0, "")


def test_two_perfect_scores_have_no_interval():
    y = np.repeat([1, 0], [10, 50])
    found = compare(y, y + 0.01 * np.arange(60), y * 2.0, auroc, n_boot=20)["auroc"]
    assert found.difference.value == 0.0
    assert np.isnan(found.difference.low)
    assert str(found).endswith(": +0.000, interval not resolvable with these rows")


@pytest.mark.parametrize("y", [[1, 1, 1], [0, 0, 0], []])
def test_one_class_is_not_compared(y):
    found = compare(y, np.arange(len(y)), np.arange(len(y))[::-1], auroc, n_boot=5)["auroc"]
    assert np.isnan(found.difference.value)
    assert found.difference.note == found.a.note != ""


def mann_whitney(y, score, groups=None):
    """Return the AUROC without an interval, which is far faster."""
    m = int(y.sum())
    value = (rankdata(score)[y == 1].mean() - (m + 1) / 2) / (len(y) - m)
    return Estimate(value, value, value)


@pytest.mark.slow
@pytest.mark.parametrize("views", [1, 3])
def test_interval_of_the_difference_covers(views):
    truth = norm.cdf(1.5 / 2**0.5) - norm.cdf(1.2 / 2**0.5)
    rng = np.random.default_rng(3)
    covered = ignored = 0
    for _ in range(100):
        y, a, b, groups = two_scores(rng, 50, 150, 0.3, views)
        compared = compare(y, a, b, mann_whitney, groups if views > 1 else None, n_boot=150)
        found = compared["mann_whitney"].difference
        covered += found.low <= truth <= found.high
        value, error = delong_paired(y, a, b)
        ignored += abs(value - truth) <= norm.ppf(0.975) * error
    # 95 expected, standard deviation 2.2; the small numbers of draws and positives lower the coverage a little.
    assert covered >= 90, covered
    if views > 1:
        assert ignored < 80, ignored


def test_mcnemar_by_hand():
    y = [1] * 8 + [0] * 4
    a = [9, 9, 9, 9, 1, 1, 1, 1, 0, 1, 2, 3]
    b = [9, 1, 1, 1, 9, 1, 1, 1, 2, 3, 0, 1]
    found = mcnemar(y, a, b, fpr=0.25)
    # Both thresholds are the second highest negative, 2. The discordant counts are 3 and 1: p = 2 (1 + 4) / 16.
    assert found == (1, 3, 1, 3, pytest.approx(0.625), 0.25, 0.25, "")
    assert mcnemar(y, a, b, thresholds=(2, 2)) == found
    assert mcnemar(y, b, a, fpr=0.25)[1:3] == (1, 3)
    assert str(found) == "of 8 positives 3 by a alone, 1 by b alone, p = 0.62"
    lenient = mcnemar(y, a, b, thresholds=(2, 0.5))
    assert (lenient.both, lenient.only_b, lenient.fpr_b) == (4, 4, 0.75)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (0, 1), (0, 6), (5, 5), (3, 14), (120, 170)])
def test_p_value_matches_the_binomial_test(only_a, only_b):
    y = np.ones(only_a + only_b + 7)
    a = np.repeat([1, 0, 1], [only_a, only_b, 7])
    b = np.repeat([0, 1, 1], [only_a, only_b, 7])
    found = mcnemar(y, a, b, thresholds=(0.5, 0.5))
    assert (found.both, found.only_a, found.only_b, found.neither) == (7, only_a, only_b, 0)
    assert found.p_value == pytest.approx(min(1, 2 * binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))
    assert np.isnan(found.fpr_a)


@pytest.mark.slow
def test_mcnemar_has_its_level_and_detects_a_difference():
    rng = np.random.default_rng(4)
    rejected = np.zeros(2)
    for _ in range(400):
        for i, better in enumerate((0.0, 0.8)):
            y, a, b, _ = two_scores(rng, 80, 5000, better)
            rejected[i] += mcnemar(y, a, b, fpr=0.05).p_value <= 0.05
    # At most 20 expected, standard deviation 4.4; an exact test rejects fewer.
    assert rejected[0] <= 28
    assert rejected[1] > 300


@pytest.mark.parametrize(
    ("y", "options", "note"),
    [
        ([1] + [0] * 99, {"fpr": 1e-3}, "not resolvable with 99 negatives"),
        ([1], {"fpr": 0.5}, "not resolvable with 0 negatives"),
        ([0] * 10, {"fpr": 0.5}, "not resolvable with 0 positives"),
        ([], {"thresholds": (0, 0)}, "not resolvable with 0 positives"),
    ],
)
def test_too_few_rows_are_reported(y, options, note):
    found = mcnemar(y, np.arange(len(y)), np.arange(len(y)), **options)
    assert np.isnan(found.p_value)
    assert found.note == str(found) == note


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare([0, 1], [1, 2], [1, np.nan], auroc), "'score_b' parameter must not contain NaN"),
        (lambda: compare([0, 1], [np.nan, 2], [1, 2], auroc), "'score_a' parameter must not contain NaN"),
        (lambda: compare([0, 1], [1, 2], [1], auroc), "'score_b' parameter must be as long as 'y', of length 2"),
        (lambda: compare([0, 1], [1, 2], [1, 2], []), "'metrics' parameter must be a function of"),
        (
            lambda: compare([0, 1], [1, 2], [1, 2], auroc, n_boot=0),
            "'n_boot' parameter must be an integer of at least 1",
        ),
        (lambda: compare([0, 1], [1, 2], [1, 2], auroc, [None, 1]), "'groups' parameter must have a group for each"),
        (lambda: mcnemar([0, 1], [1, 2], [1, 2]), "'fpr' parameter must be given, or 'thr.* Got None and None instead"),
        (lambda: mcnemar([0, 1], [1, 2], [1, 2], fpr=0.1, thresholds=(1, 2)), "'fpr' parameter must be given, or"),
        (lambda: mcnemar([0, 1], [1, 2], [1, 2], fpr=0), "'fpr' parameter must be a number between 0 and 1"),
        (lambda: mcnemar([0, 1], [1, 2], [1, 2], thresholds=(1,)), r"'thresholds' parameter must be .* Got \(1,\) in"),
        (lambda: mcnemar([0, 1], [1, 2], [1, 2], thresholds=0.5), "'thresholds' parameter must be two numbers"),
        (lambda: mcnemar([0, 1], [1, 2], [np.nan, 2], fpr=0.5), "'score_b' parameter must not contain NaN"),
    ],
)
def test_invalid_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
