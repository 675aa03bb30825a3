"""Tests of weights for rows selected with unequal probabilities: repeated rows, scikit-learn and a known set."""

import math
from functools import partial

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve
from sklearn.metrics import log_loss as sklearn_log_loss

from gridlens.evaluation import (
    Strata,
    auroc,
    average_precision,
    brier_score,
    calibration_error,
    compare,
    conformal_selection,
    discovery_curve,
    evaluate,
    log_loss,
    precision_at_k,
    recall_at_k,
    tpr_at_false_positives,
    tpr_at_fpr,
    tpr_at_precision,
)
from gridlens.evaluation._controls import control_score
from gridlens.evaluation._strata import stratified
from gridlens.evaluation._summary import evaluate_ranking
from gridlens.evaluation._thresholds import counts_above

FEW = {"n_boot": 20}
# Each measure as a function of labels, probabilities that serve as scores, groups and weights.
MEASURES = {
    "AUROC": lambda y, p, g, w: auroc(y, p, g, w, **FEW),
    "TPR at FPR": lambda y, p, g, w: tpr_at_fpr(y, p, 0.1, g, w, **FEW),
    "TPR10": lambda y, p, g, w: tpr_at_false_positives(y, p, 9, g, w, **FEW),
    "average precision": lambda y, p, g, w: average_precision(y, p, None, g, w, **FEW),
    "average precision at": lambda y, p, g, w: average_precision(y, p, 0.05, g, w, **FEW),
    "TPR at precision": lambda y, p, g, w: tpr_at_precision(y, p, 0.4, 0.2, g, w, **FEW),
    "precision": lambda y, p, g, w: precision_at_k(y, p, 40, None, g, w, **FEW),
    "recall": lambda y, p, g, w: recall_at_k(y, p, 40, None, g, w, **FEW),
    "precision out of": lambda y, p, g, w: precision_at_k(y, p, 100, None, g, w, out_of=1000, **FEW),
    "recall at": lambda y, p, g, w: recall_at_k(y, p, 100, 0.05, g, w, out_of=1000, **FEW),
    "Brier": lambda y, p, g, w: brier_score(y, p, None, g, w, **FEW),
    "Brier at": lambda y, p, g, w: brier_score(y, p, 0.05, g, w, **FEW),
    "log loss": lambda y, p, g, w: log_loss(y, p, None, g, w, **FEW),
    "calibration error": lambda y, p, g, w: calibration_error(y, p, g, w, **FEW),
    "half": lambda y, p, g, w: discovery_curve(y, p, 0.05, g, w, **FEW).half,
    "found": lambda y, p, g, w: discovery_curve(y, p, 0.05, g, w, **FEW).at(20_000),
    "difference": lambda y, p, g, w: compare(y, p, p**2 + y, auroc, g, w, **FEW)["auroc"].difference,
    "stratum": lambda y, p, g, w: row(stratified(partial(auroc, **FEW), y, p, np.arange(len(y)) % 2 * 0, g, w)),
}
OF_COUNTS = ("TPR10", "precision", "recall")


def row(table):
    one = table.iloc[-1]
    return one["value"], one["low"], one["high"]


def rows(n=600, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.2).astype(int)
    p = expit(rng.normal(size=n) + 1.5 * y - 1.5).round(3)
    return y, p, rng.choice([1.0, 2.0, 5.0], n)


@pytest.mark.parametrize("name", MEASURES)
def test_a_weight_of_two_equals_a_repeated_row(name):
    y, p, _ = rows()
    weight = 1 + np.arange(600) % 2
    twice = np.repeat(np.arange(600), weight)
    measure = MEASURES[name]
    assert measure(y, p, None, weight)[0] == pytest.approx(measure(y[twice], p[twice], None, None)[0], rel=1e-12)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("grouped", [False, True])
def test_zero_weights_are_ignored_and_scaling_changes_nothing(name, grouped):
    y, p, weight = rows()
    groups = np.arange(600) // 3 if grouped else None
    weight[::4] = 0.0
    some = weight > 0
    measure = MEASURES[name]
    found = measure(y, p, groups, weight)
    kept = measure(y[some], p[some], groups[some] if grouped else None, weight[some])
    np.testing.assert_array_equal(found[:3], kept[:3])
    if name not in OF_COUNTS:
        scaled = measure(y, p, groups, 0.3 * weight)
        np.testing.assert_allclose(scaled[:3], found[:3], rtol=1e-9)


@pytest.mark.parametrize("name", MEASURES)
def test_equal_weights_change_no_value(name):
    y, p, _ = rows()
    measure = MEASURES[name]
    assert measure(y, p, None, np.ones(600))[0] == pytest.approx(measure(y, p, None, None)[0], rel=1e-12)


def test_values_match_scikit_learn():
    y, p, weight = rows()
    assert auroc(y, p, None, weight).value == pytest.approx(roc_auc_score(y, p, sample_weight=weight))
    expected = average_precision_score(y, p, sample_weight=weight)
    assert average_precision(y, p, None, None, weight, **FEW).value == pytest.approx(expected)
    assert brier_score(y, p, None, None, weight).value == pytest.approx(brier_score_loss(y, p, sample_weight=weight))
    assert log_loss(y, p, None, None, weight).value == pytest.approx(sklearn_log_loss(y, p, sample_weight=weight))
    fpr, tpr, _ = roc_curve(y, p, sample_weight=weight, drop_intermediate=False)
    assert tpr_at_fpr(y, p, 0.07, None, weight, **FEW).value == pytest.approx(tpr[fpr <= 0.07].max())
    positives, negatives = counts_above(y, p, weight)
    np.testing.assert_allclose(negatives / negatives[-1], fpr)
    np.testing.assert_allclose(positives / positives[-1], tpr)


def test_delong_matches_placements_by_hand():
    y, p, weight = rows(80)
    found = auroc(y, p, None, weight)
    (a, v), (b, w) = ((p[y == one], weight[y == one]) for one in (1, 0))
    beaten = np.array([[(x > z) + 0.5 * (x == z) for z in b] for x in a])
    value = v @ beaten @ w / v.sum() / w.sum()
    variance = 0.0
    for mean, u in ((beaten @ w / w.sum(), v), (v @ beaten / v.sum(), w)):
        n = u.sum() ** 2 / (u**2).sum()
        variance += (u**2 * (mean - value) ** 2).sum() / u.sum() ** 2 * n / (n - 1)
    half = 1.959964 * math.sqrt(variance) / (value * (1 - value))
    odds = math.log(value / (1 - value))
    assert found.value == pytest.approx(value)
    # The lower end allows for positives that are not in the sample.
    assert 0 < found.low <= expit(odds - half) + 1e-6
    assert found.high == pytest.approx(expit(odds + half), rel=1e-6)


def test_k_counts_the_rows_that_the_weights_represent():
    y, score = [1, 0, 1, 0], [4, 3, 2, 1]
    weight = [2, 10, 8, 80]
    # The list has 12 of 100 rows: 2 positives, then 10 negatives.
    assert precision_at_k(y, score, 2, None, None, weight, **FEW).value == 1.0
    assert recall_at_k(y, score, 12, None, None, weight, **FEW).value == pytest.approx(0.2)
    assert precision_at_k(y, score, 16, None, None, weight, **FEW).value == pytest.approx(6 / 16)
    with pytest.raises(ValueError, match=r"at most the 100 rows that the weights add up to\. Got 101 instead"):
        precision_at_k(y, score, 101, None, None, weight)
    # The highest row represents more rows than this list has.
    assert precision_at_k(y, score, 1, None, None, weight).note == "not resolvable with 4 rows"


def test_one_class_and_few_rows_have_wide_intervals():
    weight = [1.0, 5.0, 2.0]
    found = brier_score([0, 0, 0], [0.1, 0.2, 0.1], None, None, weight)
    assert found.value == pytest.approx((0.01 * 3 + 0.04 * 5) / 8)
    assert 0 < found.low < found.value < found.high <= 1
    assert log_loss([0, 0, 0], [0.0, 0.2, 0.1], None, None, weight).high > 0.2
    one = brier_score([1, 0, 0], [0.9, 0.2, 0.1], None, None, weight)
    assert (one.low, one.high) == pytest.approx((0.0, 0.8), abs=0.2)
    apart = auroc([1, 1, 0, 0], [4, 3, 2, 1], None, [1, 9, 1, 9])
    assert apart.value == 1.0 and apart.low < 0.3
    assert math.isnan(auroc([1, 1], [1, 2], None, [1, 2]).value)


def test_heavy_rows_can_make_metrics_unresolvable():
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], [100, 900])
    score = rng.normal(size=1000) + 3 * y
    light = np.where(score > 1, 1.0, 50.0)
    # 0.001 of the total weight of the negatives is about 38, and the highest negatives have a weight of 1 each.
    assert tpr_at_fpr(y, score, 1e-3, None, light, **FEW).note == ""
    assert tpr_at_fpr(y, score, 1e-3, None, light[::-1] * 0 + 50.0).note == "not resolvable with 900 negatives"
    assert tpr_at_false_positives(y, score, 9, None, light).note == ""
    heavy = tpr_at_false_positives(y, score, 9, None, np.where(y == 1, 1.0, 50.0))
    assert heavy.note == "not resolvable: one of the highest negatives has a weight of 50"
    assert average_precision(y, score, 1e-3, None, 1.0 + 0 * light).note == "not resolvable with 900 negatives"
    assert average_precision(y, score, 1e-3, None, light, **FEW).note == ""
    assert tpr_at_fpr(y, score, 0.1, None, np.where(y == 1, 0.0, 1.0)).note == "not resolvable with 0 positives"


def test_user_metrics_get_the_weights_of_the_drawn_rows():
    y, p, weight = rows(60)

    def mean(labels, score, sample_weight):
        assert len(labels) == len(sample_weight)
        return auroc(labels, score, None, sample_weight)

    found = compare(y, p, p[::-1], mean, None, weight, n_boot=5)["mean"]
    assert found.a.value == pytest.approx(roc_auc_score(y, p, sample_weight=weight))


def test_conformal_p_values_by_hand():
    y, score, weight = np.array([0, 0, 0, 1]), [1.0, 2.0, 3.0, 9.0], [4.0, 2.0, 1.0, 7.0]
    found = conformal_selection(y, score, [5.0, 2.0, 0.0], 0.5, None, weight, test_weight=[1.0, 2.0, 4.0])
    np.testing.assert_allclose(found.p_values, [1 / 8, 5 / 9, 1.0])
    assert found.selected.tolist() == [True, False, False]
    np.testing.assert_allclose(conformal_selection(y, score, [5.0, 2.0], 0.5, None, weight).p_values, [4 / 11, 7 / 11])
    none = conformal_selection(y, score, [5.0, 2.0, 0.0], 0.1, None, weight, test_weight=[1.0, 2.0, 4.0])
    assert (
        none.note
        == "none selected: 1 row scores above all 3 negatives; a selection requires a sum of their weights of 29"
    )
    grouped = conformal_selection(y, score, [5.0, 1.5], 0.5, [0, 0, 1, 2], weight, test_weight=[1.0, 1.0])
    np.testing.assert_allclose(grouped.p_values, [1 / 5, 3 / 5])
    plain = conformal_selection(y, score, [5.0, 2.0], 0.5)
    np.testing.assert_array_equal(
        conformal_selection(y, score, [5.0, 2.0], 0.5, None, np.full(4, 3.0)).p_values, plain.p_values
    )


@pytest.mark.parametrize(
    ("weight", "own", "message"),
    [
        (None, [1.0], "'test_weight' parameter must be None without 'sample_weight'"),
        ([1, 1], [0.0], "'test_weight' parameter must be 1 finite numbers above 0, one for each test row"),
        ([1, 1], [1.0, 2.0], "Got 2, 0 of them invalid, instead"),
    ],
)
def test_invalid_weights_of_test_rows_are_refused(weight, own, message):
    with pytest.raises(ValueError, match=message):
        conformal_selection([0, 1], [1.0, 2.0], [3.0], 0.1, None, weight, test_weight=own)


def test_controls_learn_from_weighted_rows():
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], [150, 850])
    x = rng.normal(size=1000) + y
    weight = rng.choice([0.0, 1.0, 5.0], 1000)
    p = control_score({"x": x}, y, None, weight)
    np.testing.assert_allclose(p, control_score({"x": x}, y, None, 0.1 * weight), rtol=1e-3)
    kept = weight > 0
    np.testing.assert_allclose(p[kept], control_score({"x": x[kept]}, y[kept], None, weight[kept]), rtol=1e-9)
    heavy = control_score({"x": x}, y, None, np.where(y == 1, 50.0, 1.0))
    assert heavy.mean() > 3 * control_score({"x": x}, y).mean()


def test_summary_matches_the_functions():
    y, p, weight = rows()
    found = evaluate_ranking(y, p, None, 0.05, p, weight, ks=[50], n_boot=30)
    assert found["AUROC"] == auroc(y, p, None, weight)
    assert found["precision at 50"] == precision_at_k(y, p, 50, None, None, weight, n_boot=30)
    at = average_precision(y, p, 0.05, None, weight, n_boot=30)
    assert found["average precision at prevalence 5e-2"] == at
    assert found["Brier score"] == brier_score(y, p, None, None, weight)
    assert found["calibration error"] == calibration_error(y, p, None, weight, n_boot=30)


def test_evaluation_uses_the_weights_and_drops_rows_of_zero_weight():
    y, p, weight = rows()
    weight[:30] = 0.0
    column = np.random.default_rng(1).normal(size=600) + y
    arguments = {
        "strata": {"part": Strata(np.arange(600) % 2)},
        "controls": {"column": {"x": column}},
        "match_on": {"x": column},
        "other": p[::-1],
        "n_boot": 10,
    }
    found = evaluate(y, p, 0.05, p=p, sample_weight=weight, **arguments)
    assert found.n_rows == 570
    assert found.fraction == pytest.approx(np.average(y, weights=weight))
    assert found.metrics["AUROC"] == auroc(y, p, None, weight)
    assert found.controls["model"]["AUROC"] == auroc(y, p, None, weight)
    for one, number in zip((1, 0), found.n_effective, strict=True):
        of_class = weight[y == one]
        assert number == pytest.approx(of_class.sum() ** 2 / (of_class**2).sum())
    assert found.disagreement is None
    assert found.comparisons["AUROC"].b.value == pytest.approx(roc_auc_score(y, p[::-1], sample_weight=weight))
    assert found.strata["part"]["n_negative"].iloc[0] == int((weight[y == 0] > 0).sum())
    rows_of = found.matched.rows
    paired = found.sample_weight.copy()
    paired[found.matched.negative] = paired[found.matched.positive]
    kept = weight > 0
    expected = roc_auc_score(y[kept][rows_of], p[kept][rows_of], sample_weight=paired[rows_of])
    assert found.matched_metrics["model"]["AUROC"].value == pytest.approx(expected)
    assert found.to_json()["effective_positives"] == found.n_effective[0]
    assert evaluate(y, p, 0.05, n_boot=10).n_effective is None


@pytest.mark.parametrize("weight", [[1, -1, 1, 1], [1, np.nan, 1, 1], [np.inf, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1]])
@pytest.mark.parametrize("name", MEASURES)
def test_invalid_weights_are_refused(name, weight):
    with pytest.raises(ValueError, match="The 'sample_weight' parameter must be"):
        MEASURES[name](np.array([0, 1, 0, 1]), np.array([0.1, 0.7, 0.3, 0.4]), None, weight)


def full_set(rng, n=20_000):
    """Return labels, probabilities that are twice too high, and the probability with which each row is selected."""
    y = (rng.random(n) < 0.02).astype(int)
    score = rng.normal(size=n) + 2.0 * y
    p = np.minimum(2.0 * expit(2.0 * score - 2.0 + math.log(0.02 / 0.98)), 0.99)
    # The rows were selected by the ranking of another score.
    other = score + rng.normal(size=n)
    return y, p, np.clip(0.01 * np.exp(1.1 * other), 0.01, 1.0)


@pytest.mark.slow
def test_intervals_contain_the_values_of_the_full_set():
    measures = {
        "AUROC": lambda y, p, w, draws: auroc(y, p, None, w),
        "TPR at FPR": lambda y, p, w, draws: tpr_at_fpr(y, p, 0.01, None, w, n_boot=draws),
        "average precision": lambda y, p, w, draws: average_precision(y, p, None, None, w, n_boot=draws),
        "average precision at": lambda y, p, w, draws: average_precision(y, p, 0.01, None, w, n_boot=draws),
        "precision": lambda y, p, w, draws: precision_at_k(y, p, 200, None, None, w, n_boot=draws),
        "recall": lambda y, p, w, draws: recall_at_k(y, p, 200, None, None, w, n_boot=draws),
        "Brier": lambda y, p, w, draws: brier_score(y, p, None, None, w),
        "log loss": lambda y, p, w, draws: log_loss(y, p, None, None, w),
        "calibration error": lambda y, p, w, draws: calibration_error(y, p, None, w, n_boot=draws),
    }
    held = {name: [] for name in [*measures, "difference"]}
    for seed in range(40):
        y, p, inclusion = full_set(np.random.default_rng(seed))
        drawn = np.random.default_rng([seed, 1]).random(len(y)) < inclusion
        weight = 1.0 / inclusion[drawn]
        for name, measure in measures.items():
            truth = measure(y, p, None, 1).value
            found = measure(y[drawn], p[drawn], weight, 100)
            held[name].append(found.low <= truth <= found.high)
        if seed % 3:
            continue
        other = np.log(p) + np.random.default_rng([seed, 2]).normal(size=len(p))
        truth = auroc(y, other).value - auroc(y, p).value
        found = compare(y[drawn], p[drawn], other[drawn], auroc, None, weight, n_boot=40)["auroc"].difference
        held["difference"].append(found.low <= truth <= found.high)
    coverage = {name: float(np.mean(values)) for name, values in held.items()}
    assert min(coverage.values()) >= 0.9, coverage


def test_weighted_selection_keeps_the_false_discovery_rate():
    wrong = {"weighted": [], "unweighted": []}

    def draw(rng, n):
        y = (rng.random(n) < 0.05).astype(int)
        score = rng.normal(size=n) + 3.0 * y
        # Rows with high scores are selected less often.
        return y, score, np.clip(0.3 * np.exp(-1.5 * score), 0.02, 1.0)

    for seed in range(100):
        rng = np.random.default_rng(seed)
        y, score, inclusion = draw(rng, 10_000)
        drawn = rng.random(10_000) < inclusion
        truth, test_score, of_test = draw(rng, 1000)
        for name, weight, own in (("weighted", 1 / inclusion[drawn], 1 / of_test), ("unweighted", None, None)):
            found = conformal_selection(y[drawn], score[drawn], test_score, 0.3, None, weight, test_weight=own)
            wrong[name].append((truth[found.selected] == 0).sum() / max(found.n_selected, 1))
    assert np.mean(wrong["weighted"]) < 0.3
    assert np.mean(wrong["unweighted"]) > 0.5
