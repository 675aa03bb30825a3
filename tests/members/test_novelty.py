"""Novelty: p-values that hold, on embeddings of any kind."""

import numpy as np
import pytest
from scipy.stats import betabinom
from sklearn.base import clone

from gridlens.members import Novelty


def test_held_out_rows_exceed_as_often_as_promised():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(8, 60))
    X = rng.normal(size=(8000, 8)) @ mixing + 0.3 * rng.standard_t(4, size=(8000, 60))
    novelty = Novelty().fit(X[:4000])
    p = novelty.p_values(X[4000:])
    compared, held = len(novelty.distances_), len(p)
    assert (compared, held) == (2000, 4000)
    for level in (0.01, 0.05, 0.2, 0.5):
        # Given the rows that are compared with, the exceedances are binomial; their probability, the share beyond the
        # k-th highest of these, is Beta(k, n + 1 - k).
        k = int(level * (compared + 1))
        expected = betabinom(held, k, compared + 1 - k)
        low, high = expected.ppf([5e-4, 1 - 5e-4])
        assert low <= np.sum(p <= level) <= high


def test_the_unusual_is_found_and_nothing_is_made_of_nothing():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(600, 20))
    X[:, 3], X[:, 4] = 7.0, np.nan
    novelty = Novelty().fit(X)
    assert not {3, 4} & set(novelty.columns_)
    strange = X[:5].copy()
    strange[:, 10:] += 6.0
    assert (novelty.p_values(strange) < 0.02).all()
    assert np.isnan(novelty.p_values(np.full((2, 20), np.nan))).all()
    assert novelty.p_values(np.full((1, 20), 1e9)) == pytest.approx(1 / 301)
    assert clone(novelty).get_params() == novelty.get_params()


@pytest.mark.parametrize(("X", "words"), [(np.zeros((39, 3)), "at least 40 rows"), (np.ones((50, 3)), "that varies")])
def test_what_is_refused(X, words):
    with pytest.raises(ValueError, match=words):
        Novelty().fit(X)
