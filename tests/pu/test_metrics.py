"""Tests of metrics of positives and unlabelled rows against those of known classes, and of the scorers."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer, precision_score, recall_score, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.svm import LinearSVC

from gridlens.pu import pu_f1, pu_f1_scorer, pu_roc_auc, pu_roc_auc_scorer


@pytest.fixture
def rows(rng):
    """Return scores, classes, and labels of 30 % of the positives."""
    y = rng.random(60_000) < 0.2
    return rng.normal(size=60_000) + 1.5 * y, y, (y & (rng.random(60_000) < 0.3)).astype(int)


def test_f1_by_hand():
    # The recall is 1/2, and half of the rows are predicted positive.
    assert pu_f1([1, 1, 0, 0], [1, 0, 1, 0]) == pytest.approx(0.25 / 0.5)
    assert pu_f1([1, 1, -1, -1], [1, -1, 1, -1]) == pytest.approx(0.5)
    assert pu_f1([True, False], [False, False]) == 0.0
    assert pu_f1([1, 0, 0, 0], [1, 0, 0, 0]) == 4.0


def test_f1_is_precision_times_recall_over_the_prior(rows):
    x, y, s = rows
    for threshold in (-1.0, 0.5, 1.5, 2.5):
        called = x > threshold
        expected = precision_score(y, called) * recall_score(y, called) / y.mean()
        assert pu_f1(s, called) == pytest.approx(expected, rel=0.05)


def test_f1_chooses_the_same_threshold_as_the_true_f1(rows):
    x, y, s = rows
    thresholds = np.linspace(-1, 3, 41)
    true = [f1_score(y, x > t) for t in thresholds]
    assert true[int(np.argmax([pu_f1(s, x > t) for t in thresholds]))] > max(true) - 0.005


def test_auc_with_the_prior_matches_that_with_true_negatives(rows, rng):
    x, y, s = rows
    true = roc_auc_score(y, x)
    # In a single training set, the unlabelled rows lack the labelled positives.
    q, pi = s.mean(), y.mean()
    assert pu_roc_auc(s, x, class_prior=(pi - q) / (1 - q)) == pytest.approx(true, abs=0.01)
    assert pu_roc_auc(s, x) < true - 0.03
    # With separately drawn positives, the unlabelled rows are the population.
    apart = np.concatenate([rng.normal(size=20_000) + 1.5, x])
    labels = np.repeat([1, 0], [20_000, len(x)])
    assert pu_roc_auc(labels, apart, class_prior=0.2) == pytest.approx(true, abs=0.01)
    assert pu_roc_auc(labels, apart) == pytest.approx(0.2 / 2 + 0.8 * true, abs=0.01)


def test_auc_is_not_clipped_and_counts_ties_as_half():
    assert pu_roc_auc([1, 0, 0], [2, 0, 1], class_prior=0.5) == pytest.approx(1.5)
    assert pu_roc_auc([1, -1], [0.0, 0.0]) == 0.5


@pytest.mark.parametrize(("scorer", "estimator"), [(pu_f1_scorer, LinearSVC()), (pu_roc_auc_scorer, LinearSVC())])
def test_scorers_work_in_a_grid_search(rng, scorer, estimator):
    y = rng.random(1500) < 0.4
    X = rng.normal(size=(1500, 2)) + 2.0 * y[:, None]
    s = np.where(y & (rng.random(1500) < 0.6), 1, -1)
    weights = {"class_weight": [{1: 1e-4}, {1: 2.0}]}
    search = GridSearchCV(estimator, weights, scoring=scorer, cv=3).fit(X, s)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    if scorer is pu_f1_scorer:
        assert search.best_params_ == {"class_weight": {1: 2.0}}


def test_the_auc_scorer_uses_probabilities_and_a_prior(rows):
    x, _, s = rows
    model = LogisticRegression().fit(x[:, None], s)
    assert pu_roc_auc_scorer(model, x[:, None], s) == pytest.approx(pu_roc_auc(s, x))
    with_prior = make_scorer(pu_roc_auc, response_method="predict_proba", class_prior=0.15)
    assert with_prior(model, x[:, None], s) == pytest.approx(pu_roc_auc(s, x, class_prior=0.15))


@pytest.mark.parametrize(
    ("s", "score", "prior", "words"),
    [
        ([0, 0], [1, 2], None, "'s' parameter must contain positives and unlabelled rows"),
        ([], [], None, "'s' parameter must contain positives and unlabelled rows"),
        ([0, np.nan], [1, 2], None, "'s' parameter must contain 1 for a labelled positive"),
        ([[0], [1]], [1, 2], None, "'s' parameter must contain one label"),
        ([0, 1], [1, 2, 3], None, r"'score' parameter must have the shape of 's', \(2,\)\. Got \(3,\) instead"),
        ([0, 1], [1, np.nan], None, "'score' parameter must be finite. Got nan instead"),
        ([0, 1], ["low", "high"], None, "'score' parameter must be an array of numbers. Got a non-numeric list"),
        ([0, 1], [1, 2], 1.0, "'class_prior' parameter must be the fraction of positives"),
    ],
)
def test_invalid_auc_input_is_refused(s, score, prior, words):
    with pytest.raises(ValueError, match=words):
        pu_roc_auc(s, score, prior)


@pytest.mark.parametrize(
    ("s", "predicted", "words"),
    [
        ([1, 1], [1, 0], "'s' parameter must contain positives and unlabelled rows"),
        ([0, 1], [0.3, 0.9], "'predicted' parameter must be 1 for predicted .* Got 0.3 instead; apply a threshold"),
        ([0, 1], [0.0, np.nan], "'predicted' parameter must be 1 for predicted .* Got nan instead"),
        ([0, 1], [1], r"'predicted' parameter must have the shape of 's', \(2,\)\. Got \(1,\) instead"),
    ],
)
def test_invalid_f1_input_is_refused(s, predicted, words):
    with pytest.raises(ValueError, match=words):
        pu_f1(s, predicted)
