"""Tests of `average_precision`, `required_fpr` and `tpr_at_precision`: scikit-learn, by hand, known truths."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import average_precision_score

from gridlens.calibration import wilson
from gridlens.evaluation import average_precision, required_fpr, tpr_at_precision

BOTH_CLASSES = st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 5)), min_size=2, max_size=40).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)
PRIOR = st.floats(0.02, 0.98)


def normal_rows(rng, n_positive, n_negative, shift):
    y = np.repeat([1, 0], [n_positive, n_negative])
    return y, rng.normal(size=len(y)) + shift * y


def true_average_precision(prevalence, shift):
    t = np.linspace(14, -8, 200_001)
    tpr, fpr = norm.sf(t - shift), norm.sf(t)
    precision = prevalence * tpr / (prevalence * tpr + (1 - prevalence) * fpr)
    return float(np.diff(tpr) @ (precision[1:] + precision[:-1]) / 2)


@settings(deadline=None, derandomize=True)
@given(BOTH_CLASSES)
def test_value_matches_scikit_learn(rows):
    y, score = np.array(rows).T
    found = average_precision(y, score, n_boot=5)
    assert found.value == pytest.approx(average_precision_score(y, score), abs=1e-12)
    assert 0.0 <= found.low <= found.high <= 1.0


@settings(deadline=None, derandomize=True)
@given(BOTH_CLASSES, PRIOR)
def test_a_prevalence_weighs_the_negatives(rows, prevalence):
    y, score = np.array(rows).T
    n_positive, n_negative = y.sum(), (1 - y).sum()
    assume(abs(n_negative * prevalence - (1 - prevalence)) > 1e-9)  # on the limit, rounding decides
    found = average_precision(y, score, prevalence, n_boot=5)
    if n_negative * prevalence < 1 - prevalence:
        assert found.note == f"not resolvable with {n_negative} negative" + "s" * int(n_negative != 1)
        return
    weight = np.where(y == 1, prevalence / n_positive, (1 - prevalence) / n_negative)
    assert found.value == pytest.approx(average_precision_score(y, score, sample_weight=weight), abs=1e-9)


@settings(deadline=None, derandomize=True)
@given(BOTH_CLASSES, st.sampled_from([None, 0.5]), st.randoms(use_true_random=False))
def test_value_depends_on_the_order_of_scores_but_not_of_rows(rows, prevalence, random):
    y, score = np.array(rows).T
    found = average_precision(y, score, prevalence, n_boot=20)
    np.testing.assert_equal(average_precision(y, np.exp(score) - 7.0, prevalence, n_boot=20), found)
    random.shuffle(rows)
    y, score = np.array(rows).T
    assert average_precision(y, score, prevalence, n_boot=5).value == pytest.approx(found.value, nan_ok=True)


def test_by_hand_at_a_prevalence():
    # Thresholds at the positives give TPR 1/2 with FPR 0, and TPR 1 with FPR 1/4, at 3 negatives to a positive.
    found = average_precision([1, 0, 1, 0, 0, 0], [6, 5, 4, 3, 2, 1], 0.25, n_boot=5)
    assert found.value == pytest.approx(0.5 * 1.0 + 0.5 * 1.0 / (1.0 + 3.0 / 4.0))


def test_a_negative_that_outweighs_all_positives_is_not_resolvable():
    y, score = normal_rows(np.random.default_rng(0), 20, 998, 2.0)
    assert average_precision(y, score, 1e-3).note == "not resolvable with 998 negatives"
    y, score = normal_rows(np.random.default_rng(0), 20, 999, 2.0)
    assert average_precision(y, score, 1e-3, n_boot=5).note == ""


def test_perfect_separation_does_not_imply_a_rate_of_zero():
    # None of 2000 negatives passes: the rate is below 3.7 / 2000 in 97.5 % of cases, a lot at a prevalence of 1e-3.
    y = np.repeat([1, 0], [100, 2000])
    found = average_precision(y, y, 1e-3)
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(1 / (1 + 999 * 3.69 / 2000), abs=0.05)
    assert average_precision(y, y, 0.1).low > 0.9


def test_groups_widen_the_interval():
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(120) % 4 == 0, 6).astype(int)
    score = np.repeat(rng.normal(size=120), 6) + 2.0 * y
    alone, grouped = average_precision(y, score), average_precision(y, score, groups=np.repeat(np.arange(120), 6))
    assert grouped.value == alone.value
    assert grouped.high - grouped.low > 1.7 * (alone.high - alone.low)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_positive", "n_negative", "prevalence", "shift"),
    [(100, 2000, 1e-3, 2.0), (100, 2000, 1e-3, 3.5), (200, 4000, 1e-2, 2.5), (150, 1500, 1 / 11, 2.0)],
)
def test_intervals_cover_with_few_negatives(n_positive, n_negative, prevalence, shift):
    truth = true_average_precision(prevalence, shift)
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(80):
        found = average_precision(*normal_rows(rng, n_positive, n_negative, shift), prevalence, n_boot=100)
        covered += found.low <= truth <= found.high
    # 76 expected, standard deviation 1.9; plain percentile intervals cover only 49 % and 66 % in the first two cases.
    assert covered >= 71


def test_required_fpr_follows_from_bayes_rule():
    assert required_fpr(0.5, 1.0, 0.5) == pytest.approx(1.0)
    for precision, tpr, prevalence in [(0.5, 0.5, 1e-3), (0.9, 0.1, 0.02), (0.3, 1, 0.2)]:
        fpr = required_fpr(precision, tpr, prevalence)
        assert prevalence * tpr / (prevalence * tpr + (1 - prevalence) * fpr) == pytest.approx(precision)
    # The whole list already has this precision, so every rate is sufficient.
    assert required_fpr(0.1, 1.0, 0.5) == 1.0


@pytest.mark.parametrize("tpr", [0, 1.01, -1, np.nan, "all", None])
def test_required_fpr_refuses_an_invalid_tpr(tpr):
    with pytest.raises(ValueError, match=r"'tpr' parameter must be a number above 0 and at most 1\. Got "):
        required_fpr(0.5, tpr, 0.1)


@pytest.mark.parametrize("name", ["precision", "prevalence"])
@pytest.mark.parametrize("fraction", [0, 1, np.nan, "half"])
def test_fractions_outside_the_open_interval_are_refused(name, fraction):
    fractions = {"precision": 0.5, "prevalence": 0.1, name: fraction}
    message = rf"'{name}' parameter must be a number between 0 and 1 \(exclusive\). Got "
    with pytest.raises(ValueError, match=message):
        required_fpr(tpr=0.5, **fractions)
    with pytest.raises(ValueError, match=message):
        tpr_at_precision([0, 1], [1, 2], **fractions)
    if name == "prevalence":
        with pytest.raises(ValueError, match=message):
            average_precision([0, 1], [1, 2], fraction)


def test_tpr_at_precision_by_hand():
    # There are 10 negatives at even odds. The thresholds in turn: TPR 1/4 and 1/2 with FPR 0, 3/4 with 0.1, 1 with 0.4.
    y = [1, 1, 0, 1, 0, 0, 0, 1] + [0] * 6
    score = np.arange(len(y))[::-1]
    assert tpr_at_precision(y, score, 0.85, 0.5, n_boot=5).value == 0.75  # 0.75 / 0.85 = 0.882
    assert tpr_at_precision(y, score, 0.7, 0.5, n_boot=5).value == 1.0  # 1 / 1.4 = 0.714
    # This precision is met exactly: 1 / (1 + 0.4).
    assert tpr_at_precision(y, score, 1 / 1.4, 0.5, n_boot=5).value == 1.0
    # A TPR of 0.5 has no false positive, but a single one is more than the FPR of 0.056 that this precision allows.
    assert tpr_at_precision(y, score, 0.9, 0.5).note == "not resolvable with 10 negatives"
    # A single one of 100 negatives would be acceptable, but all of them rank first.
    assert tpr_at_precision([0] * 100 + [1] * 5, -np.arange(105), 0.9, 0.5, n_boot=5)[:3] == (0.0, *wilson(0, 5))


@pytest.mark.slow
def test_interval_of_tpr_at_precision_covers():
    # The truth is where the line of constant precision meets the ROC curve of two normal distributions.
    prevalence, precision, shift = 0.01, 0.5, 2.5
    t = np.linspace(-2, 6, 800_001)
    tpr, fpr = norm.sf(t - shift), norm.sf(t)
    truth = tpr[fpr * (1 - prevalence) / prevalence * precision / (1 - precision) <= tpr].max()
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(80):
        found = tpr_at_precision(*normal_rows(rng, 200, 8000, shift), precision, prevalence, n_boot=100)
        covered += found.low <= truth <= found.high
    assert covered >= 71


@pytest.mark.parametrize(
    ("y", "note"),
    [
        ([], "not resolvable with 0 positives"),
        ([0, 0], "not resolvable with 0 positives"),
        ([1, 1], "not resolvable with 0 negatives"),
    ],
)
def test_one_class_has_no_precision(y, note):
    for found in (
        average_precision(y, np.arange(len(y))),
        average_precision(y, np.arange(len(y)), 0.1),
        tpr_at_precision(y, np.arange(len(y)), 0.5, 0.1),
    ):
        assert np.isnan(found[:3]).all()
        assert found.note == note


@pytest.mark.parametrize(
    ("score", "options", "message"),
    [
        ([1, np.nan], {}, "'score' parameter must not contain NaN; .* Got NaN in 1 of 2 rows instead"),
        ([1, 2, 3], {}, "'score' parameter must be as long as 'y', of length 2. Got length 3 instead"),
        (
            [1, 2],
            {"groups": [0]},
            r"'groups' parameter must be of shape \(2,\), a group .* Got shape \(1,\) instead",
        ),
        ([1, 2], {"n_boot": 0}, "'n_boot' parameter must be an integer of at least 1. Got 0 instead"),
    ],
)
def test_invalid_input_is_refused(score, options, message):
    with pytest.raises(ValueError, match=message):
        average_precision([0, 1], score, **options)
    with pytest.raises(ValueError, match=message):
        tpr_at_precision([0, 1], score, 0.5, 0.5, **options)
