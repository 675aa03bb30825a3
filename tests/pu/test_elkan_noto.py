"""Tests of `ElkanNotoClassifier`: known probabilities, folds, weights, behaviour and error messages."""

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_estimator

from gridlens.pu import ElkanNotoClassifier, _elkan_noto, pu_f1_scorer, pu_roc_auc_scorer

pytestmark = pytest.mark.filterwarnings("ignore:The labelling propensity differs:UserWarning")


def population(n, rng, prior=0.3, propensity=0.4, separation=2.5):
    """Return the rows of two Gaussian classes, their labels, and the true P(y=1 | x)."""
    y = rng.random(n) < prior
    X = rng.normal(size=(n, 3))
    X[:, 0] += separation * y
    p = expit(logit(prior) + separation * X[:, 0] - separation**2 / 2)
    return X, (y & (rng.random(n) < propensity)).astype(int), p


class Oracle(ClassifierMixin, BaseEstimator):
    """A classifier that returns P(s=1 | x) exactly and stores the data of its fit."""

    def __init__(self, propensity=0.4):
        self.propensity = propensity

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.seen_ = X, y, sample_weight
        return self

    def predict_proba(self, X):
        p = self.propensity * expit(logit(0.3) + 2.5 * X[:, 0] - 2.5**2 / 2)
        return np.column_stack([1 - p, p])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["weighted", "ratio"])
@pytest.mark.parametrize(("propensity", "bound"), [(0.4, 0.04), ("top", 0.05)])
def test_probabilities_match_the_true_ones(rng, method, propensity, bound):
    X, s, _ = population(12_000, rng)
    new, _, p = population(4000, rng)
    model = ElkanNotoClassifier(method=method, propensity=propensity, random_state=0).fit(X, s)
    found = model.predict_proba(new)
    assert np.abs(found[:, 1] - p).mean() < bound
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert np.mean(model.predict(new) == (p > 0.5)) > 0.95
    assert model.class_prior_ == pytest.approx(0.3, rel=0.2)


def test_weighted_probabilities_are_not_divided_by_the_propensity(rng):
    X, s, _ = population(12_000, rng)
    new, _, p = population(4000, rng)
    model = ElkanNotoClassifier(propensity=0.4, random_state=0).fit(X, s)
    found = model.predict_proba(new)[:, 1]
    assert found.mean() == pytest.approx(p.mean(), rel=0.1)
    # Dividing by c = 0.4 as well would double the sum, even with values above 1 clipped.
    half = p < 0.4
    assert found[half].sum() == pytest.approx(p[half].sum(), rel=0.2)
    assert (found[half] / 0.4).sum() > 2.0 * p[half].sum()


def test_weights_match_the_paper(rng, monkeypatch):
    monkeypatch.setattr(_elkan_noto, "calibrated_scores", lambda scores, *_: scores)
    X, s, p = population(3000, rng)
    w = rng.uniform(0.5, 2.0, 3000)
    model = ElkanNotoClassifier(Oracle(), propensity=0.4, random_state=0).fit(X, s, sample_weight=w)
    rows, y, weight = model.estimator_.seen_
    # P(y=1 | x, s=0) by Bayes' rule: the fraction of positives among the unlabelled rows.
    missed = 0.6 * p / (0.6 * p + 1 - p)
    u = s == 0
    np.testing.assert_array_equal(rows, np.concatenate([X, X[u]]))
    np.testing.assert_array_equal(y, np.repeat([1, 0], [3000, u.sum()]))
    np.testing.assert_allclose(weight[:3000], w * np.where(u, missed, 1.0))
    np.testing.assert_allclose(weight[3000:], (w * (1 - missed))[u], atol=1e-12)
    assert weight.sum() == pytest.approx(w.sum())


def test_weights_stay_between_0_and_1_for_scores_above_the_propensity(rng):
    X, s, _ = population(1000, rng)
    for given, c in ((0.9, 0.3), (1.0, 0.3), (0.5, 1.0), (1.0, 1.0)):
        model = ElkanNotoClassifier(Oracle(given), propensity=c).fit(X, s)
        weight = model.estimator_.seen_[2]
        assert np.isfinite(weight).all()
        assert (weight >= 0).all() and (weight <= 1).all()
        # With c = 1 every positive is labelled, so no other row is positive.
        assert c < 1.0 or weight[:1000].sum() == s.sum()


def test_ratio_divides_by_the_propensity_and_is_clipped_at_1(rng):
    X, s, p = population(1000, rng)
    found = ElkanNotoClassifier(Oracle(), method="ratio", propensity=0.4).fit(X, s).predict_proba(X)[:, 1]
    np.testing.assert_allclose(found, p)
    found = ElkanNotoClassifier(Oracle(), method="ratio", propensity=0.2).fit(X, s).predict_proba(X)[:, 1]
    np.testing.assert_allclose(found, np.minimum(2 * p, 1.0))


@pytest.mark.slow
def test_the_propensity_is_recovered_and_its_mean_is_biased_low_by_overlap(rng):
    ratios = {}
    for separation in (2.0, 4.0):
        X, s, _ = population(12_000, rng, separation=separation)
        for how in ("mean", "top"):
            model = ElkanNotoClassifier(method="ratio", propensity=how, random_state=1).fit(X, s)
            ratios[separation, how] = model.propensity_ / 0.4
    assert ratios[4.0, "top"] == pytest.approx(1.0, abs=0.08)
    assert ratios[4.0, "mean"] == pytest.approx(0.95, abs=0.07)
    assert ratios[2.0, "mean"] < 0.75
    assert ratios[2.0, "mean"] + 0.15 < ratios[2.0, "top"] < 1.1


def test_attributes_and_the_warning(rng):
    X, s, _ = population(3000, rng)
    model = ElkanNotoClassifier(LogisticRegression(), cv=4, random_state=0)
    with pytest.warns(UserWarning, match=r"differs between folds by \d+% of its mean, from 0\.\d+ to [01]\.?\d*; over"):
        model.fit(X[:200], s[:200])
    folds = model.propensity_folds_
    assert folds.shape == (4,)
    assert model.propensity_spread_ == pytest.approx((np.nanmax(folds) - np.nanmin(folds)) / np.nanmean(folds))
    assert 0.01 < model.propensity_se_ < 0.3
    assert model.class_prior_ == pytest.approx(s[:200].mean() / model.propensity_)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_params(propensity="mean", estimator=Oracle()).fit(X, s)
        model.set_params(propensity=0.4).fit(X[:200], s[:200])
    assert model.propensity_ == 0.4
    assert np.isnan([model.propensity_se_, model.propensity_spread_]).all()
    assert model.propensity_folds_.shape == (0,)


def test_the_propensity_is_at_least_the_labelled_fraction(rng):
    # The scores carry no information and are far too low: with c below the labelled fraction, there would be more
    # positives than rows.
    X, s, _ = population(400, rng)
    model = ElkanNotoClassifier(Oracle(1e-3), method="ratio", propensity="mean").fit(X, s)
    assert model.propensity_ == s.mean()
    assert model.class_prior_ == 1.0


def test_no_group_is_in_two_folds(rng):
    X, s, _ = population(2000, rng)
    groups = rng.permutation(2000) // 4
    X[:, 2] = groups
    seen = []

    class Watching(Oracle):
        def fit(self, X, y, sample_weight=None):
            self.groups_ = set(X[:, 2])
            return super().fit(X, y, sample_weight)

        def predict_proba(self, X):
            seen.append(self.groups_ & set(X[:, 2]))
            return super().predict_proba(X)

    ElkanNotoClassifier(Watching(), random_state=0).fit(X, s, groups=groups)
    assert seen == [set()] * 5
    seen.clear()
    ElkanNotoClassifier(Watching(), random_state=0).fit(X, s)
    assert all(seen)


def test_scores_are_out_of_fold(rng):
    X, s, _ = population(300, rng)
    # A nearest-neighbour classifier reproduces the labels of the rows that it was fitted to.
    model = ElkanNotoClassifier(KNeighborsClassifier(1), method="ratio", propensity="mean", random_state=0).fit(X, s)
    assert model.estimator_.predict_proba(X[s == 1])[:, 1].mean() == 1.0
    assert model.propensity_ < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("method", ["weighted", "ratio"])
def test_fits_are_reproducible(rng, method):
    X, s, _ = population(1000, rng)
    model = ElkanNotoClassifier(method=method, random_state=3)
    first, second = model.fit(X, s).predict_proba(X), clone(model).fit(X, s).predict_proba(X)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, clone(model).set_params(random_state=4).fit(X, s).predict_proba(X))


def test_labels_of_minus_one_are_returned(rng):
    X, s, _ = population(600, rng)
    first = ElkanNotoClassifier(LogisticRegression(), random_state=0).fit(X, s)
    second = ElkanNotoClassifier(LogisticRegression(), random_state=0).fit(X, 2 * s - 1)
    assert second.classes_.tolist() == [-1, 1]
    assert set(second.predict(X)) == {-1, 1}
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))


@pytest.mark.parametrize("method", ["weighted", "ratio"])
def test_rows_of_weight_zero_are_ignored(rng, method):
    X, s, _ = population(2000, rng)
    # Half of the rows have the wrong sign, and a weight of 0.
    wrong = rng.random(2000) < 0.5
    X[wrong] *= -1
    model = ElkanNotoClassifier(LogisticRegression(), method=method, propensity=0.4, random_state=0)
    weight = np.where(wrong, 0.0, 1.0)
    found = model.fit(X, s, sample_weight=weight).predict_proba(X[~wrong])
    alone = model.fit(X[~wrong], s[~wrong]).predict_proba(X[~wrong])
    np.testing.assert_allclose(found, alone, atol=0.05)
    assert weight.sum() == (~wrong).sum()


def test_missing_values_require_an_estimator_that_supports_them(rng):
    X, s, _ = population(600, rng)
    X[::7, 1] = np.nan
    assert np.isfinite(ElkanNotoClassifier(random_state=0).fit(X, s).predict_proba(X)).all()
    with pytest.raises(ValueError, match="contains NaN"):
        ElkanNotoClassifier(LogisticRegression()).fit(X, s)


def test_pipelines_and_searches(rng):
    X, s, p = population(3000, rng)
    pipeline = make_pipeline(StandardScaler(), ElkanNotoClassifier(LogisticRegression(), random_state=0))
    pipeline.fit(X, s, elkannotoclassifier__groups=np.arange(3000) // 2)
    assert np.abs(pipeline.predict_proba(X)[:, 1] - p).mean() < 0.08
    grid = {"elkannotoclassifier__estimator__C": [1e-6, 1.0]}
    for scorer in (pu_f1_scorer, pu_roc_auc_scorer):
        search = GridSearchCV(pipeline, grid, scoring=scorer, cv=3, error_score="raise").fit(X, s)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        if scorer is pu_f1_scorer:
            assert search.best_params_ == {"elkannotoclassifier__estimator__C": 1.0}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["weighted", "ratio"])
def test_scikit_learn_checks_pass_with_two_arbitrary_labels(monkeypatch, method):
    """Expected failures come from labels: with the larger of two classes read as 1, only the check of weights fails."""
    refusing = _elkan_noto.checked_s

    def taking(y, n):
        classes = np.unique(y)
        return (refusing(y == classes[1], n)[0], classes) if len(classes) == 2 else refusing(y, n)

    monkeypatch.setattr(_elkan_noto, "checked_s", taking)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(ElkanNotoClassifier(method=method, cv=2, random_state=0), on_fail=None, on_skip=None)
    failed = {result["check_name"] for result in results if result["status"] == "failed"}
    assert failed == {"check_sample_weight_equivalence_on_dense_data"}
    assert len(results) > 50


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"method": "both"}, "'method' parameter of ElkanNotoClassifier must be 'weighted' or 'ratio'. Got 'both'"),
        ({"propensity": "best"}, "'propensity' parameter of ElkanNotoClassifier must be .* Got 'best' instead"),
        ({"propensity": 0.0}, "'propensity' parameter .* above 0 and at most 1. Got 0.0 instead"),
        ({"propensity": 1.1}, "'propensity' parameter .* above 0 and at most 1. Got 1.1 instead"),
        ({"propensity": np.nan}, "'propensity' parameter .* Got nan instead"),
        ({"propensity": True}, "'propensity' parameter .* Got True instead"),
        ({"propensity": None}, "'propensity' parameter .* Got None instead"),
        (
            {"propensity": 0.02},
            r"'propensity' parameter must be at least the fraction of labelled rows, 0\.1: .* Got 0.02",
        ),
        ({"cv": 1}, "'cv' parameter must be an integer of at least 2. Got 1 instead"),
        ({"cv": 2.5}, "'cv' parameter must be an integer of at least 2. Got 2.5 instead"),
        (
            {"cv": 11},
            "not be larger than the number of labelled positives.* Got 11 folds for 10 instead; use fewer folds",
        ),
        ({"estimator": LinearSVC()}, r"'estimator' parameter .* with predict_proba. Got LinearSVC\(\) instead"),
        ({"estimator": KNeighborsClassifier()}, "whose fit accepts sample_weight for method='weighted'. Got KNeigh"),
        ({"estimator": make_pipeline(LogisticRegression())}, "whose fit accepts sample_weight .* steps of a pipeline"),
    ],
)
def test_invalid_parameters_are_refused(rng, parameters, words):
    X, s = rng.normal(size=(100, 2)), np.arange(100) < 10
    with pytest.raises(ValueError, match=words):
        ElkanNotoClassifier(**parameters).fit(X, s)


@pytest.mark.parametrize(
    ("s", "words"),
    [
        ([0] * 20, "Got only unlabelled rows; add positive ones"),
        ([1] * 20, "Got only positive rows; add unlabelled ones"),
        ([1, 1, 1] + [0] * 17, "not be larger than the number of labelled positives.* Got 5 folds for 3 instead"),
        ([0, 0, 0] + [1] * 17, "not be larger than the number of unlabelled rows.* Got 5 folds for 3 instead"),
        ([np.nan] + [1.0] * 9 + [0.0] * 10, "NaN"),
        ([2] * 10 + [0] * 10, "must contain 1 for a labelled positive and 0 .* Got 0, 2 instead"),
        ([-1, 0] + [1] * 18, "must contain 1 for a labelled positive and 0 .* Got -1, 0, 1 instead"),
        (["lens"] * 10 + [""] * 10, "must contain 1 for a labelled positive"),
        ([0, 1] * 9, "inconsistent numbers of samples"),
    ],
)
def test_invalid_labels_are_refused(rng, s, words):
    with pytest.raises(ValueError, match=words):
        ElkanNotoClassifier().fit(rng.normal(size=(20, 2)), s)


def test_invalid_groups_and_weights_are_refused(rng):
    X, s = rng.normal(size=(60, 2)), np.arange(60) < 20
    model = ElkanNotoClassifier(LogisticRegression())
    with pytest.raises(ValueError, match=r"'groups' parameter must contain one value for each of the 60 rows"):
        model.fit(X, s, groups=np.arange(59))
    with pytest.raises(ValueError, match=r"groups with labelled positives, .* Got 5 folds for 2 instead"):
        model.fit(X, s, groups=np.arange(60) // 10)
    with pytest.raises(ValueError, match=r"'sample_weight' parameter must be above zero .* all labelled positives"):
        model.fit(X, s, sample_weight=np.where(s, 0.0, 1.0))
    with pytest.raises(ValueError, match=r"'sample_weight' parameter must be above zero .* all unlabelled rows"):
        model.fit(X, s, sample_weight=np.where(s, 1.0, 0.0))
    with pytest.raises(ValueError, match="Negative values"):
        model.fit(X, s, sample_weight=np.full(60, -1.0))
    with pytest.raises(ValueError, match="whose fit accepts sample_weight for a sample_weight"):
        ElkanNotoClassifier(KNeighborsClassifier(), method="ratio").fit(X, s, sample_weight=np.ones(60))


def test_sparse_rows_are_refused_with_a_clear_message(rng):
    X, s = rng.normal(size=(60, 2)), np.arange(60) < 20
    with pytest.raises(TypeError, match=r"Sparse data was passed for X, but dense data is required"):
        ElkanNotoClassifier().fit(csr_array(X), s)
    model = ElkanNotoClassifier(LogisticRegression(), random_state=0).fit(X, s)
    with pytest.raises(TypeError, match=r"Sparse data was passed for X, but dense data is required"):
        model.predict_proba(csr_array(X))
