"""Tests that members are scikit-learn classifiers, so that its tools work on each of them."""

import inspect
import pickle

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from gridlens import CutoutSet
from gridlens.members import (
    ElkanNotoMember,
    LightGBMMember,
    LinearMember,
    NNPUMember,
    PatchMember,
    PolarMember,
    RankedMember,
    XGBoostMember,
)
from gridlens.members._polar import POLAR_NAMES

pytestmark = pytest.mark.filterwarnings("ignore:The labelling propensity differs:UserWarning")
FEW = {"n_estimators": 5, "min_child_samples": 5}
EVERY = [
    LightGBMMember(**FEW, turns=False),
    XGBoostMember(n_estimators=5, turns=False),
    RankedMember(**FEW),
    PatchMember(**FEW),
    PolarMember(**FEW),
    LinearMember(turns=False),
    NNPUMember(**FEW, class_prior=0.6, turns=False),
    ElkanNotoMember(**FEW, cv=2, turns=False),
]
TREES = [member for member in EVERY if member.name != "linear"]
of_each = pytest.mark.parametrize("member", EVERY, ids=lambda member: member.name)
of_trees = pytest.mark.parametrize("member", TREES, ids=lambda member: member.name)


def rows(member, n=240):
    """Return rows that the member accepts, and labels that depend on a few columns."""
    width = len(POLAR_NAMES) if member.name == "polar" else 315
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    X = rng.normal(size=(n, width)).astype(np.float32)
    X[:, 10:16] += 1.5 * y[:, None]
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, y


@of_each
def test_predictions_are_consistent(member):
    X, y = rows(member)
    fitted = clone(member).fit(X, y)
    X[3] = np.nan
    p, log_odds, labels = fitted.predict_proba(X), fitted.decision_function(X), fitted.predict(X)
    np.testing.assert_array_equal(p[:, 1], expit(log_odds))
    assert log_odds.shape == labels.shape == y.shape
    assert labels.dtype.kind == "i"
    # A rejected row has no log-odds, and is not classified as a lens.
    assert np.isnan(log_odds[3])
    assert labels[3] == 0
    np.testing.assert_array_equal(labels, np.nan_to_num(log_odds, nan=-1.0) > 0.0)
    assert fitted.score(X, y) == np.mean(labels == y)
    np.testing.assert_array_equal(fitted.classes_, [0, 1])
    assert fitted.n_features_in_ == X.shape[1]
    for method in (fitted.decision_function, fitted.predict):
        assert method(X[:0]).shape == (0,)


@pytest.mark.slow
@of_each
def test_members_can_be_cross_validated(member):
    X, y = rows(member)
    groups = np.arange(len(y)) // 2
    scores = cross_val_score(member, X, y, cv=StratifiedGroupKFold(3), groups=groups, scoring="roc_auc")
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()
    for method in ("predict_proba", "decision_function", "predict"):
        found = cross_val_predict(member, X, y, cv=3, method=method)
        assert len(found) == len(y)
    assert np.isfinite(cross_val_score(member, X, y, cv=3)).all()


@of_trees
def test_parameters_can_be_searched(member):
    X, y = rows(member)
    search = GridSearchCV(member, {"n_estimators": [1, 5], "learning_rate": [0.1]}, cv=2, scoring="roc_auc").fit(X, y)
    assert search.best_params_["n_estimators"] in (1, 5)
    assert search.predict_proba(X).shape == (len(y), 2)


def test_the_regularisation_of_the_regression_can_be_searched():
    X, y = rows(LinearMember())
    assert GridSearchCV(LinearMember(turns=False), {"C": [0.001, 1.0]}, cv=2).fit(X, y).best_params_["C"] in (0.001, 1)


@of_each
def test_members_work_in_a_pipeline_and_a_voting_classifier(member):
    X, y = rows(member)
    expected = clone(member).fit(X, y).predict_proba(X)
    pipeline = make_pipeline(FunctionTransformer(), clone(member)).fit(X, y)
    np.testing.assert_array_equal(pipeline.predict_proba(X), expected)
    np.testing.assert_array_equal(pipeline.decision_function(X), pipeline[-1].decision_function(X))
    vote = VotingClassifier([("a", clone(member)), ("b", clone(member))], voting="soft").fit(X, y)
    np.testing.assert_allclose(vote.predict_proba(X), expected)


@of_each
def test_members_can_be_cloned_configured_and_displayed(member):
    again = clone(member)
    assert again.get_params() == member.get_params()
    assert again is not member
    name = "C" if member.name == "linear" else "n_estimators"
    assert again.set_params(**{name: 3}).get_params()[name] == 3
    assert f"{name}=3" in repr(again)
    assert type(member).__name__ in again._repr_html_()
    assert clone(again).get_params() == again.get_params()
    with pytest.raises(ValueError, match="Invalid parameter 'n_trees'"):
        again.set_params(n_trees=3)
    with pytest.raises(TypeError, match="n_trees"):
        type(member)(n_trees=3)
    signature = inspect.signature(type(member))
    assert {p.name: p.default for p in signature.parameters.values()} == type(member)().get_params()


@of_each
def test_fitted_members_can_be_pickled(member):
    X, y = rows(member)
    fitted = clone(member).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert "Fitted" in fitted._repr_html_()


@of_each
def test_rows_of_another_shape_are_refused(member):
    X, y = rows(member)
    with pytest.raises((ValueError, TypeError), match="'X' parameter"):
        clone(member).fit(X[:, :-1], y)


def test_parameter_names_match_the_libraries():
    """Parameters have the libraries' names; the others are about cutouts, patches and labels."""
    lightgbm = pytest.importorskip("lightgbm")
    xgboost = pytest.importorskip("xgboost")
    own = {"turns", "top_k", "cv", "class_prior"}
    for member in TREES:
        library = xgboost.XGBClassifier() if member.name == "xgboost" else lightgbm.LGBMClassifier()
        known = {*library.get_params(), "extra_trees"}
        assert set(member.get_params()) - own <= known, member.name


def test_a_member_on_pixels_takes_cutouts():
    pixels = np.random.default_rng(0).normal(size=(60, 64, 64, 3))
    cutouts, y = CutoutSet(pixels, pixel_scale=1.0), np.arange(60) % 2
    member = PolarMember(n_estimators=5).fit(cutouts, y)
    assert member.decision_function(cutouts).shape == member.predict(cutouts).shape == (60,)
    assert 0.0 <= member.score(cutouts, y) <= 1.0
    assert cross_val_predict(PolarMember(n_estimators=5), cutouts, y, cv=2, method="predict_proba").shape == (60, 2)
