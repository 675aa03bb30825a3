"""Tests of KM2: its quadratic programme against scipy, its kernel, and known fractions."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics.pairwise import rbf_kernel

from gridlens.pu import _kernel_mean
from gridlens.pu._kernel_mean import KernelMeans, hull_distance


@pytest.mark.parametrize("seed", range(5))
def test_nearest_point_of_the_hull_matches_a_general_optimiser(seed):
    rng = np.random.default_rng(seed)
    rows, target = rng.normal(size=(8, 4)), rng.normal(size=4) * 2
    found = minimize(
        lambda w: float(((w @ rows - target) ** 2).sum()),
        np.full(8, 1 / 8),
        method="SLSQP",
        bounds=[(0, 1)] * 8,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    off = hull_distance(rows, target)
    np.testing.assert_allclose(off, target - found.x @ rows, atol=1e-5)
    # Optimality: no row lies further in the direction of the target than the point found.
    assert (rows @ off).max() <= (target - off) @ off + 1e-9


def test_distance_to_a_hull_that_contains_the_target_is_0():
    rows = np.random.default_rng(0).normal(size=(30, 3))
    np.testing.assert_allclose(hull_distance(rows, rows.mean(axis=0)), 0, atol=1e-12)


def test_nearest_point_of_a_segment_by_hand():
    segment = np.array([[0.0, 0.0], [2.0, 0.0]])
    np.testing.assert_allclose(hull_distance(segment, np.array([1.0, 3.0])), [0, 3], atol=1e-12)
    np.testing.assert_allclose(hull_distance(segment, np.array([5.0, 4.0])), [3, 4], atol=1e-12)


def test_factor_reproduces_the_gaussian_kernel():
    x = np.random.default_rng(0).normal(size=(150, 2))
    rows = _kernel_mean._factor(x, 0.3)
    assert rows.shape[1] < 150
    np.testing.assert_allclose(rows @ rows.T, rbf_kernel(x, gamma=0.3), atol=2e-6)


def test_width_maximises_the_distance():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(1, 1, (60, 2)), rng.normal(0, 1, (90, 2))])
    median = np.median(np.sqrt(((x[:, None] - x) ** 2).sum(axis=2)))
    factors = [1 / (2 * (m * median) ** 2) for m in (0.1, 10**-0.5, 1, 10**0.5, 10)]

    def apart(factor):
        k = rbf_kernel(x, gamma=factor)
        return k[:60, :60].mean() + k[60:, 60:].mean() - 2 * k[:60, 60:].mean()

    difference = np.concatenate([np.full(60, 1 / 60), np.full(90, -1 / 90)])
    assert _kernel_mean._best_width(x, difference) == pytest.approx(max(factors, key=apart))


def test_slope_is_the_derivative_of_the_distance():
    rng = np.random.default_rng(3)
    means = KernelMeans(rng.normal(2, 1, (60, 2)), rng.normal(0, 1, (80, 2)))
    b, a = means._rows[:60].mean(axis=0), means._rows[60:].mean(axis=0)
    for factor in (1.5, 2.5, 6.0):
        ahead, behind = (means._distance(a, b, factor + step)[0] for step in (1e-4, -1e-4))
        assert means._distance(a, b, factor)[1] == pytest.approx((ahead - behind) / 2e-4, rel=1e-3)


def test_unit_weights_and_constant_features_have_no_effect():
    rng = np.random.default_rng(4)
    positive, unlabelled = rng.normal(2, 1, (60, 1)), rng.normal(0, 1, (80, 1))
    plain = KernelMeans(positive, unlabelled)
    assert plain.share(np.full(60, 1.0), np.full(80, 1.0)) == plain.share()
    wider = KernelMeans(np.column_stack([positive, np.full(60, 7.0)]), np.column_stack([unlabelled, np.full(80, 7.0)]))
    assert wider.share() == pytest.approx(plain.share(), abs=0.005)


def test_unlabelled_rows_like_the_positives_are_all_positive():
    x = np.random.default_rng(5).normal(size=(50, 2))
    assert KernelMeans(x, x).share() == pytest.approx(0.95)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_fraction_of_two_gaussians(share):
    # The estimates scatter by 0.04 each; the bias at this separation is less than 0.05.
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        unlabelled = rng.normal(size=(500, 2))
        unlabelled[:, 0] += 3 * (rng.random(500) < share)
        found.append(KernelMeans(rng.normal([3, 0], 1, (300, 2)), unlabelled).share())
    assert np.mean(found) == pytest.approx(share, abs=0.06)
