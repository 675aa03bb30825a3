"""The kernel that scores trees against LightGBM's own walk, to the bit."""

import gc
import weakref

import lightgbm
import numpy as np
import pytest

from gridlens.members._tree_arrays import ZERO, tree_arrays
from gridlens.members._tree_masks import _limits, lightgbm_scores, tree_masks

TINY = np.float32(1e-35)


def grown(X, num_leaves=31, n_trees=20, **options):
    y = (np.nansum(X[:, :3].astype(np.float64), axis=1) > 0).astype(int)
    settings = {"objective": "binary", "num_leaves": num_leaves, "min_data_in_leaf": 5, "verbosity": -1, **options}
    return lightgbm.train(settings, lightgbm.Dataset(X, y), num_boost_round=n_trees)


def rows(n=800, unknown=0.1, seed=2):
    """Numbers that meet their thresholds often, with zeros among them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)).round(1).astype(np.float32)
    X[rng.random(X.shape) < 0.1] = 0.0
    X[rng.random(X.shape) < unknown] = np.nan
    return X


def asked(X):
    """Rows of all kinds, among them some that no tree has learned from, as many as fill no block."""
    odd = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, TINY, -TINY, 3e38, -3e38, 1e-44], dtype=np.float32)
    return np.concatenate([X, X * TINY, -X * np.float32(2.0) * TINY, np.repeat(odd[:, None], X.shape[1], axis=1)])


@pytest.mark.parametrize("options", [{}, {"use_missing": False}, {"zero_as_missing": True}, {"extra_trees": True}])
@pytest.mark.parametrize("num_leaves", [2, 15, 32, 33])
@pytest.mark.parametrize("unknown", [0.0, 0.1])
def test_scores_are_lightgbms_to_the_bit(options, num_leaves, unknown):
    X = rows(unknown=unknown)
    booster = grown(X, num_leaves, **options)
    reference = booster.predict(asked(X), raw_score=True, num_threads=1)
    assert len(np.unique(reference)) > 2
    for n_jobs in (1, 2):
        np.testing.assert_array_equal(lightgbm_scores(booster, asked(X), n_jobs), reference)
    # The kernel does not stand back without a reason.
    assert (tree_masks(booster) is None) == (num_leaves > 32 or "zero_as_missing" in options)


def test_numbers_next_to_zero_are_zero():
    X = rows() * TINY
    booster = grown(X)
    assert tree_masks(booster) is not None
    np.testing.assert_array_equal(lightgbm_scores(booster, asked(X), 1), booster.predict(asked(X), raw_score=True))


def test_limits_are_the_last_float32_that_goes_left():
    tiny = float(TINY)
    ties = np.array(
        [1.0, 0.1, 1.0 + 1e-12, -0.1, -1.0 - 1e-12, 1e300, -1e300, 0.0, -0.0, tiny, -tiny, tiny / 3, -tiny / 3]
    )
    limits = _limits(ties)
    assert limits.dtype == np.float32
    for threshold, limit in zip(ties, limits, strict=True):
        with np.errstate(over="ignore"):
            near = np.array([limit, np.nextafter(limit, np.float32(np.inf)), np.nextafter(limit, np.float32(-np.inf))])
        for x in [*near, *np.float32([0.0, tiny, -tiny, tiny / 2, -tiny / 2])]:
            seen = 0.0 if abs(float(x)) <= ZERO else float(x)
            assert (x <= limit) == (seen <= threshold), (threshold, x)


@pytest.mark.parametrize("n", [0, 1, 127, 128, 129, 513])
def test_any_number_of_rows(n):
    X = rows()
    booster = grown(X)
    found = lightgbm_scores(booster, X[:n], 1)
    np.testing.assert_array_equal(found, booster.predict(X, raw_score=True)[:n])


def test_trees_of_one_leaf_are_left_to_lightgbm():
    X = np.zeros((100, 2), dtype=np.float32)
    X[:, 0] = np.arange(100) % 2
    settings = {"objective": "binary", "min_data_in_leaf": 60, "verbosity": -1}
    booster = lightgbm.train(settings, lightgbm.Dataset(X, X[:, 0].copy()), 3)
    assert tree_masks(booster) is None
    np.testing.assert_array_equal(lightgbm_scores(booster, X, 1), booster.predict(X, raw_score=True))


def test_trees_are_read_once_and_forgotten_with_their_booster():
    booster = grown(rows())
    masks = tree_masks(booster)
    assert tree_masks(booster) is masks
    assert tree_arrays(booster) is tree_arrays(booster)
    kept = weakref.ref(masks.value)
    del booster, masks
    gc.collect()
    assert kept() is None
