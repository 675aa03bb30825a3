"""Tests with scikit-learn's tools, which take cutouts, measured cutouts and features alike."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr

from gridlens import CutoutSet, GridPatchExtractor, LensDetector
from gridlens.features import measure

FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


def fast(**parameters):
    return LensDetector(members=("linear(turns=False)",), cv=3, random_state=0, **parameters)


@pytest.fixture(scope="module")
def labelled():
    """Return cutouts of noise, half of them with a bright arc below the BCG, and their labels."""
    rng = np.random.default_rng(3)
    pixels = rng.normal(size=(60, 64, 64, 3)).astype(np.float32)
    y = np.arange(60) % 2
    pixels[y == 1, 8:10, 24:40] += 8.0
    return CutoutSet(pixels, pixel_scale=1.0), y


@pytest.fixture(scope="module", params=["cutouts", "measured", "features"])
def rows(request, labelled):
    cutouts, y = labelled
    forms = {"cutouts": lambda: cutouts, "measured": lambda: measure(cutouts), "features": lambda: features(cutouts)}
    return forms[request.param](), y


def features(cutouts):
    return GridPatchExtractor().fit_transform(cutouts)


@pytest.mark.slow
def test_cross_validation(rows):
    X, y = rows
    assert cross_val_score(fast(), X, y, cv=FOLDS, scoring="roc_auc").mean() > 0.9
    p = cross_val_predict(fast(), X, y, cv=FOLDS, method="predict_proba")
    assert p.shape == (60, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    log_odds = cross_val_predict(fast(), X, y, cv=FOLDS, method="decision_function")
    assert log_odds[y == 1].mean() > log_odds[y == 0].mean()


def test_folds_by_cluster(rows):
    X, y = rows
    groups = np.arange(60) // 4
    scores = cross_val_score(fast(), X, y, groups=groups, cv=GroupKFold(3), params={"groups": groups})
    assert len(scores) == 3
    assert np.isfinite(scores).all()


@pytest.mark.slow
def test_grid_search(rows):
    X, y = rows
    search = GridSearchCV(fast(), {"metadata": ["image", "all"], "cv": [2, 3]}, cv=FOLDS, error_score="raise")
    search.fit(X, y)
    assert search.best_params_["cv"] in (2, 3)
    assert search.predict(X).shape == (60,)


def test_train_test_split(labelled):
    cutouts, y = labelled
    train, test, y_train, y_test = train_test_split(cutouts, y, test_size=20, random_state=0, stratify=y)
    assert isinstance(train, CutoutSet)
    assert (len(train), len(test)) == (40, 20)
    assert fast().fit(train, y_train).score(test, y_test) > 0.8


def test_pipeline_of_extractor_and_detector(labelled):
    cutouts, y = labelled
    pipeline = make_pipeline(GridPatchExtractor(), fast()).fit(cutouts, y)
    np.testing.assert_array_equal(pipeline.predict_proba(cutouts), fast().fit(cutouts, y).predict_proba(cutouts))
    assert clone(pipeline).get_params()["lensdetector__cv"] == 3


def test_all_three_forms_give_the_same_detector(labelled):
    cutouts, y = labelled
    expected = fast().fit(cutouts, y).predict_proba(cutouts)
    for X in (measure(cutouts), features(cutouts)):
        np.testing.assert_array_equal(fast().fit(X, y).predict_proba(X), expected)


def test_predictions_agree_with_each_other(labelled):
    cutouts, y = labelled
    detector = fast().fit(cutouts, y)
    p = detector.predict_proba(cutouts)[:, 1]
    predicted = detector.predict(cutouts)
    np.testing.assert_array_equal(predicted, p > 0.5)
    assert predicted.dtype == np.int64
    assert detector.score(cutouts, y) == (predicted == y).mean()
    assert not detector.predict(cutouts, prevalence=1e-6).any()
    order = np.argsort(detector.decision_function(cutouts), kind="stable")
    assert (np.diff(p[order]) >= 0.0).all()


def test_rejected_cutouts_are_predicted_as_0_with_a_warning(labelled):
    cutouts, y = labelled
    detector = fast().fit(cutouts, y)
    pixels = cutouts.pixels[:4].copy()
    pixels[1] = np.nan
    spoiled = CutoutSet(pixels, pixel_scale=1.0)
    with pytest.warns(UserWarning, match="1 of 4 cutouts were rejected and are predicted as 0"):
        assert detector.predict(spoiled)[1] == 0
    assert np.isnan(detector.decision_function(spoiled)).tolist() == [False, True, False, False]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector.predict(cutouts)


def test_pickling_and_cloning(labelled):
    cutouts, y = labelled
    detector = fast().fit(cutouts, y)
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again.predict_proba(cutouts), detector.predict_proba(cutouts))
    copy = clone(detector)
    assert copy.get_params() == detector.get_params()
    with pytest.raises(NotFittedError):
        copy.predict_proba(cutouts)
    with pytest.raises(NotFittedError):
        copy.decision_function(cutouts)


def test_html_and_parameters(labelled):
    cutouts, y = labelled
    detector = fast(verbose=1).set_params(cv=4)
    assert "LensDetector" in estimator_html_repr(detector)
    assert detector.get_params()["verbose"] == 1
    assert "LensDetector" in estimator_html_repr(detector.fit(cutouts, y))


def test_the_library_is_silent(labelled, monkeypatch, capsys):
    cutouts, y = labelled
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    fast().fit(cutouts, y)
    assert capsys.readouterr() == ("", "")
    fast(verbose=1).fit(cutouts, y)
    assert "Fitting" in capsys.readouterr().err


def test_excluded_metadata_are_hidden_in_features(labelled):
    cutouts, y = labelled
    X = features(cutouts)
    told = X.copy()
    told[:, -9:] = y[:, None]
    np.testing.assert_array_equal(fast().fit(told, y).predict_proba(told), fast().fit(X, y).predict_proba(X))
    assert (told[:, -9:] == y[:, None]).all()
