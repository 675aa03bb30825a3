"""Tests of the scores and Shapley values of arrays against the libraries that grew the trees."""

import lightgbm
import numpy as np
import pytest

from gridlens.trees import Trees, from_lightgbm, from_xgboost
from gridlens.trees._lightgbm import _ZERO, _last_on_the_left

TINY = np.float32(1e-35)


def grown(X, num_leaves=31, n_trees=20, **options):
    y = (np.nansum(X[:, :3].astype(np.float64), axis=1) > 0).astype(int)
    settings = {"objective": "binary", "num_leaves": num_leaves, "min_data_in_leaf": 5, "verbosity": -1, **options}
    return lightgbm.train(settings, lightgbm.Dataset(X, y), num_boost_round=n_trees)


def rows(n=800, unknown=0.1, seed=2):
    """Return numbers that often equal a threshold, with zeros among them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)).round(1).astype(np.float32)
    X[rng.random(X.shape) < 0.1] = 0.0
    X[rng.random(X.shape) < unknown] = np.nan
    return X


def asked(X):
    """Return rows of all kinds, some unlike any training row; their number is not a multiple of the block size."""
    odd = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, TINY, -TINY, 3e38, -3e38, 1e-44], dtype=np.float32)
    return np.concatenate([X, X * TINY, -X * np.float32(2.0) * TINY, np.repeat(odd[:, None], X.shape[1], axis=1)])


@pytest.mark.parametrize("options", [{}, {"use_missing": False}, {"extra_trees": True}])
@pytest.mark.parametrize("num_leaves", [2, 15, 32, 33, 70])
@pytest.mark.parametrize("unknown", [0.0, 0.1])
def test_scores_match_lightgbm_exactly(options, num_leaves, unknown):
    X = rows(unknown=unknown)
    booster = grown(X, num_leaves, **options)
    trees = from_lightgbm(booster)
    reference = booster.predict(asked(X), raw_score=True, num_threads=1)
    assert len(np.unique(reference)) > 2
    for n_jobs in (1, 2):
        np.testing.assert_array_equal(trees.raw_scores(asked(X), n_jobs), reference)


@pytest.mark.parametrize("max_depth", [2, 5, 8])
@pytest.mark.parametrize("options", [{}, {"base_score": 0.011}, {"base_score": 0.77}, {"grow_policy": "lossguide"}])
def test_scores_match_xgboost_exactly(options, max_depth):
    xgboost = pytest.importorskip("xgboost")
    X = rows()
    y = (np.nansum(X[:, :3], axis=1) > 0).astype(int)
    settings = {"objective": "binary:logistic", "max_depth": max_depth, "verbosity": 0, **options}
    booster = xgboost.train(settings, xgboost.QuantileDMatrix(X, y), 20)
    trees = from_xgboost(booster)
    # XGBoost refuses infinite values.
    known = asked(X)[~np.isinf(asked(X)).any(axis=1)]
    np.testing.assert_array_equal(trees.raw_scores(known), booster.inplace_predict(known, predict_type="margin"))
    reference = booster.predict(xgboost.DMatrix(X), pred_contribs=True)
    np.testing.assert_allclose(trees.shap_values(X), reference[:, :-1], atol=1e-4)
    assert trees.expected_value == pytest.approx(reference[0, -1], abs=1e-5)


def test_large_trees_and_small_ones_are_scored_alike(monkeypatch):
    """Both kernels give the same scores for the same trees."""
    trees = from_lightgbm(grown(rows()))
    masked = trees.raw_scores(asked(rows()))
    again = from_lightgbm(grown(rows()))
    monkeypatch.setitem(vars(again), "_masks", None)
    np.testing.assert_array_equal(again.raw_scores(asked(rows()), 2), masked)


def test_numbers_close_to_zero_are_zero_as_in_lightgbm():
    X = rows() * TINY
    booster = grown(X)
    np.testing.assert_array_equal(
        from_lightgbm(booster).raw_scores(asked(X)), booster.predict(asked(X), raw_score=True)
    )


def test_limits_are_the_largest_float32_that_goes_left():
    tiny = float(TINY)
    ties = np.array(
        [1.0, 0.1, 1.0 + 1e-12, -0.1, -1.0 - 1e-12, 1e300, -1e300, 0.0, -0.0, tiny, -tiny, tiny / 3, -tiny / 3]
    )
    limits = _last_on_the_left(ties)
    assert limits.dtype == np.float32
    for threshold, limit in zip(ties, limits, strict=True):
        with np.errstate(over="ignore"):
            near = np.array([limit, np.nextafter(limit, np.float32(np.inf)), np.nextafter(limit, np.float32(-np.inf))])
        for x in [*near, *np.float32([0.0, tiny, -tiny, tiny / 2, -tiny / 2])]:
            seen = 0.0 if abs(float(x)) <= _ZERO else float(x)
            assert (x <= limit) == (seen <= threshold), (threshold, x)


@pytest.mark.parametrize("n", [0, 1, 127, 128, 129, 513])
def test_any_number_of_rows(n):
    X = rows()
    booster = grown(X)
    trees = from_lightgbm(booster)
    np.testing.assert_array_equal(trees.raw_scores(X[:n]), booster.predict(X, raw_score=True)[:n])
    assert trees.shap_values(X[:n]).shape == (n, 6)


@pytest.mark.parametrize("options", [{}, {"use_missing": False}, {"extra_trees": True}])
@pytest.mark.parametrize("num_leaves", [2, 31])
def test_shapley_values_match_lightgbm(options, num_leaves):
    # With few columns and large trees, every path splits on the same feature repeatedly.
    X = rows()
    booster = grown(X, num_leaves, **options)
    trees, reference = from_lightgbm(booster), booster.predict(X, pred_contrib=True)
    for n_jobs in (1, 2):
        np.testing.assert_allclose(trees.shap_values(X, n_jobs), reference[:, :-1], atol=1e-10)
    assert trees.expected_value == pytest.approx(reference[0, -1], abs=1e-10)


def test_trees_of_one_leaf():
    X = np.zeros((100, 2), dtype=np.float32)
    X[:, 0] = np.arange(100) % 2
    settings = {"objective": "binary", "min_data_in_leaf": 60, "verbosity": -1}
    booster = lightgbm.train(settings, lightgbm.Dataset(X, X[:, 0].copy()), 3)
    trees = from_lightgbm(booster)
    reference = booster.predict(X, raw_score=True)
    np.testing.assert_array_equal(trees.raw_scores(X), reference)
    assert not trees.shap_values(X).any()
    assert trees.expected_value == pytest.approx(reference[0])


def test_the_mean_score_of_the_training_rows_is_the_expected_value():
    X = rows()
    trees = from_lightgbm(grown(X))
    # Thresholds come from histograms, which use all rows at this sample size.
    assert trees.expected_value == pytest.approx(trees.raw_scores(X).mean(), abs=0.05)
    np.testing.assert_allclose(trees.expected_value + trees.shap_values(X).sum(axis=1), trees.raw_scores(X), atol=1e-10)


@pytest.mark.parametrize("X", [np.zeros((3, 5)), np.zeros(6), np.zeros((2, 3, 6))])
def test_rows_of_other_columns_are_refused(X):
    trees = from_lightgbm(grown(rows()))
    for method in (trees.raw_scores, trees.shap_values):
        with pytest.raises(ValueError, match=r"'X' parameter must be an array of shape \(n, 6\)"):
            method(X)


def test_boosters_of_another_kind_are_refused():
    X = rows()
    with pytest.raises(ValueError, match="treats 0 as a missing value"):
        from_lightgbm(grown(X, zero_as_missing=True))
    categories = lightgbm.Dataset(np.abs(np.nan_to_num(X)) // 1, X[:, 0] > 0, categorical_feature=[1])
    with pytest.raises(ValueError, match="damaged"):
        from_lightgbm(lightgbm.train({"verbosity": -1, "min_data_in_leaf": 5, "max_cat_to_onehot": 1}, categories, 5))


def test_pickled_trees_are_the_same():
    import pickle

    trees = from_lightgbm(grown(rows()))
    trees.raw_scores(rows())
    again = pickle.loads(pickle.dumps(trees))
    assert isinstance(again, Trees)
    assert again.equals(trees)
    assert repr(again) == "Trees(20 trees, 580 splits, 6 features)" or "20 trees" in repr(again)
