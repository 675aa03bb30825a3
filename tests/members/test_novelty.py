"""Tests of novelty: valid p-values on embeddings of any kind."""

import numpy as np
import pytest
from scipy.stats import betabinom
from sklearn.base import clone

from gridlens.members import Novelty


def test_p_values_of_held_out_rows_are_calibrated():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(8, 60))
    X = rng.normal(size=(8000, 8)) @ mixing + 0.3 * rng.standard_t(4, size=(8000, 60))
    novelty = Novelty().fit(X[:4000])
    p = novelty.p_values(X[4000:])
    compared, held = len(novelty.distances_), len(p)
    assert (compared, held) == (2000, 4000)
    for level in (0.01, 0.05, 0.2, 0.5):
        # Given the reference rows, the number of exceedances is binomial; its probability, the fraction beyond the
        # k-th highest reference value, is Beta(k, n + 1 - k).
        k = int(level * (compared + 1))
        expected = betabinom(held, k, compared + 1 - k)
        low, high = expected.ppf([5e-4, 1 - 5e-4])
        assert low <= np.sum(p <= level) <= high


def test_unusual_rows_have_low_p_values_and_unknown_rows_nan():
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
def test_invalid_input_is_refused(X, words):
    with pytest.raises(ValueError, match=words):
        Novelty().fit(X)


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(300, 6))
    X[:, 2] = 4.0
    return X, Novelty().fit(X)


def test_p_values_do_not_depend_on_other_rows_or_saving(sample, tmp_path):
    X, novelty = sample
    novelty.save(tmp_path / "novelty.npz")
    loaded = Novelty.load(tmp_path / "novelty.npz")
    expected = novelty.p_values(X)
    np.testing.assert_array_equal(loaded.p_values(X), expected)
    np.testing.assert_array_equal([loaded.p_values(row)[0] for row in X[:, None]], expected)
    loaded.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "novelty.npz").read_bytes()


def test_the_distance_is_the_mean_from_the_nearest_rows(sample):
    X, novelty = sample
    components = novelty._components(X[:3])
    for row, found in zip(components, novelty.distance(X[:3]), strict=True):
        away = sorted(np.sqrt(((row - neighbor) ** 2).sum()) for neighbor in novelty.neighbors_.astype(float))
        assert found == pytest.approx(np.mean(away[: novelty.n_neighbors]), rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"columns": np.arange(5.0)}, "whole numbers"),
        ({"columns": np.array([0, 1, 1, 4, 5])}, "must increase"),
        ({"columns": np.array([0, 1, 3, 4, 6])}, "must increase"),
        ({"center": np.zeros(4)}, "must be consistent"),
        ({"components": np.zeros(0)}, "must be consistent"),
        ({"components": np.zeros(7)}, "reshape|must be consistent"),
        ({"scale": np.zeros(5)}, "above 0"),
        ({"mean": np.full(5, np.nan)}, "finite"),
        ({"neighbors": np.zeros(5, dtype=np.float16)}, "as many neighbours"),
        ({"distances": np.array([2.0, 1.0])}, "distances must increase"),
        ({"n_neighbors": np.array(0)}, "as many neighbours"),
        ({"n_features": np.array([6])}, "single numbers"),
    ],
)
def test_stored_values_are_checked(sample, tmp_path, changes, words):
    path = tmp_path / "novelty.npz"
    sample[1].save(path)
    with np.load(path) as stored:
        np.savez(path, **(dict(stored) | changes))
    with pytest.raises(ValueError, match=words):
        Novelty.load(path)


def test_n_neighbors_is_limited_by_the_number_of_rows(sample):
    with pytest.raises(ValueError, match=r"'n_neighbors' parameter must be from 1 to 150, half of the number of rows"):
        Novelty(n_neighbors=151).fit(sample[0])
