"""Tests of the parts of the extractor against those of the reference, or against scipy and plain geometry."""

import math

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from measuring import JIT, kernel

from gridlens.features import _circle, _components, _geometry, _mesh, _order
from gridlens.features._circle import N_GATES, N_TRIPLETS
from gridlens.features._components import most_components, most_runs
from gridlens.features._mesh import most_cells

find_components, find_runs = kernel(_components.find_components), kernel(_components.find_runs)
fill_rings, fill_shares, subtract_mesh = map(kernel, (_geometry.fill_rings, _geometry.fill_shares, _mesh.subtract_mesh))
key_of, median, percentile = kernel(_order.key_of), kernel(_order.median), kernel(_order.percentile)
select, value_of = kernel(_order.select), kernel(_order.value_of)
fit_circle, kasa, opening_angle = kernel(_circle.fit_circle), kernel(_circle.kasa), kernel(_circle.opening_angle)
spread = kernel(_circle.spread)

quick = settings(max_examples=60 if JIT else 10, deadline=None, derandomize=True)


def keys_of(values):
    """Return the sort keys of numbers."""
    bits = np.array(values, np.float32).view(np.int32)
    return bits ^ ((bits >> 31) & np.int32(2**31 - 1))


# Order statistics

GUESSES = [(0.0, 1.0), (-1e30, 1e-3), (1e30, 0.0), (0.3, 1e30)]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 15, 16, 1001])
@pytest.mark.parametrize("levels", [1, 2, 10**6], ids=["equal", "ties", "distinct"])
def test_order_statistics(n, levels):
    values = np.random.default_rng(n).integers(-levels, levels, n).astype(np.float32)
    keys, ordered = keys_of(values), np.sort(values)
    before = keys.copy()
    for guess, step in GUESSES:
        assert median(keys, np.float32(guess), np.float32(step)) == np.median(values)
        assert percentile(keys, 0.4, np.float32(guess), np.float32(step)) == pytest.approx(
            np.percentile(values.astype(float), 40), rel=1e-12
        )
        for k in {0, n // 2, n - 1}:
            assert tuple(select(keys, k, np.float32(guess), np.float32(step))) == (ordered[max(k - 1, 0)], ordered[k])
    np.testing.assert_array_equal(keys, before)


@quick
@given(
    arrays.arrays(np.float32, st.integers(1, 40), elements=st.floats(allow_nan=False, allow_infinity=False, width=32))
)
def test_median_of_arbitrary_numbers(values):
    expected = (
        np.float32(0.5) * np.float32(np.sort(values)[(values.size - 1) // 2])
        + np.float32(0.5) * np.sort(values)[values.size // 2]
    )
    with np.errstate(over="ignore"):
        found = median(keys_of(values), values[0], np.float32(1.0))
    # The sum of two huge numbers overflows before it is halved, as in any float32 mean.
    assert found == pytest.approx(expected, rel=1e-6) or not math.isfinite(found)


@quick
@given(st.floats(allow_nan=False, width=32), st.floats(allow_nan=False, width=32))
def test_keys_sort_like_the_numbers(a, b):
    a, b = np.float32(a), np.float32(b)
    if a < b:
        assert key_of(a) < key_of(b)
    assert value_of(key_of(a)) == a
    assert keys_of([a])[0] == key_of(a)


# Components


def components(image, good, threshold):
    """Return the pixels (ys, xs) of the components of a map above a threshold."""
    size = image.shape[0]
    runs = np.empty((3, most_runs(size)), np.int32)
    flags = np.zeros(-(-size // 8) * 8, bool)
    parent, count, pixels, members = (np.empty(most_runs(size), np.int32) for _ in range(4))
    bounds = np.empty(most_components(size) + 1, np.int32)
    n = find_runs(image, good, np.float32(threshold), flags, flags.view(np.uint64), runs)
    n_components = find_components(runs, n, parent, count, pixels, members, bounds)
    found = []
    for c in range(n_components):
        rows = runs[:, members[bounds[c] : bounds[c + 1]]].T
        ys = np.concatenate([np.full(x1 - x0, y) for y, x0, x1 in rows])
        found.append((ys, np.concatenate([np.arange(x0, x1) for _, x0, x1 in rows])))
    return found


def same_components(image, good, threshold):
    """Check that the components equal those of the reference, pixel by pixel in raster order."""
    found, expected = components(image, good, threshold), naive.components((image > np.float32(threshold)) & good)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.6, 0.65, 0.7, 0.8])
def test_components_match_the_reference(threshold):
    rng = np.random.default_rng(3)
    for size in (48, 51):
        image, good = rng.random((size, size), np.float32), rng.random((size, size)) > 0.05
        same_components(image, good, threshold)


def test_components_of_odd_shapes():
    good = np.ones((49, 49), bool)
    empty = np.zeros((49, 49), np.float32)
    comb, checkers, spiral = empty.copy(), empty.copy(), empty.copy()
    comb[5:45, ::2] = 1
    comb[44] = 1  # teeth that are joined only at the last row
    checkers[::2, ::2] = checkers[1::2, 1::2] = 1  # joined only at corners
    for k in range(0, 20, 2):
        spiral[k, k : 49 - k] = spiral[k : 49 - k, 48 - k] = spiral[48 - k, k : 49 - k] = spiral[k + 2 : 49 - k, k] = 1
        spiral[k + 2, k + 1] = 1
    for image in (empty, empty + 1, comb, comb[::-1].copy(), checkers, spiral, spiral.T.copy()):
        same_components(image, good, 0.5)


# Circles


def test_triplets_are_exact():
    for n in (15, 30, 45, 243, 10**5):
        for k in range(N_TRIPLETS):
            assert [spread(n, corner, k) for corner in range(3)] == naive.triplet(k + 1, n)


def fitted(xs, ys, max_radius=200.0):
    """Call `fit_circle` on pixels."""
    corners, gates = np.empty((6, N_TRIPLETS), np.float32), np.empty((N_GATES, N_TRIPLETS), np.float32)
    counts = np.empty(N_TRIPLETS, np.int32)
    return fit_circle(np.array(xs, np.float32), np.array(ys, np.float32), max_radius, corners, gates, counts)


@pytest.mark.slow
def test_an_arc_has_a_circle_and_a_line_has_none():
    y, x = np.mgrid[:100, :100]
    ys, xs = np.nonzero((np.abs(np.hypot(x - 40, y - 45) - 30) < 0.7) & (x > 50))
    found, circle_x, circle_y, radius, inliers = fitted(xs, ys)
    assert found
    assert (circle_x, circle_y, radius) == pytest.approx((40, 45, 30), abs=0.2)
    assert inliers == xs.size
    line = np.arange(20)
    assert not fitted(line, line)[0]
    assert not fitted(xs, ys, max_radius=3.0)[0]


@pytest.mark.parametrize("seed", range(4))
def test_circles_match_the_reference(seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        mask = np.zeros((64, 64), bool)
        y, x = np.mgrid[:64, :64]
        radius = rng.uniform(8, 25)
        mask |= np.abs(np.hypot(x - 32.3, y - 30.8) - radius) < rng.uniform(0.8, 2.5)
        mask &= np.arctan2(y - 30.8, x - 32.3) > rng.uniform(-3, 2)
        mask &= rng.random(mask.shape) < 0.9
        ys, xs = np.nonzero(mask)
        expected = naive.fit_circle(xs, ys, 64)
        found, circle_x, circle_y, circle_r, inliers = fitted(xs, ys, 128.0)
        assert found
        assert (circle_x, circle_y, circle_r) == pytest.approx(expected[:3], rel=1e-6)
        assert inliers / xs.size == expected.inlier_fraction


def test_kasa_of_sums():
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, 2, 30)
    x, y = 140 + 25 * np.cos(angle), 90 + 25 * np.sin(angle)
    z = x * x + y * y
    sums = (x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum(), (x * z).sum(), (y * z).sum())
    assert kasa(30.0, *sums)[1:] == pytest.approx((140, 90, 25), rel=1e-6)
    assert not kasa(2.0, 3.0, 3.0, 5.0, 5.0, 5.0, 9.0, 9.0)[0]


@pytest.mark.parametrize("middle", np.arange(-3.1, 3.2, 0.7))
@pytest.mark.parametrize("opening", [0.4, 2.0, 3.5, 6.0])
def test_opening_angle(middle, opening):
    angle = middle + np.linspace(-opening / 2, opening / 2, 81)
    xs, ys = (20 + 9 * np.cos(angle)).astype(np.float32), (17 + 9 * np.sin(angle)).astype(np.float32)
    found = opening_angle(xs, ys, xs.mean(dtype=float), ys.mean(dtype=float), 20.0, 17.0, np.empty(96, np.int32))
    assert found == pytest.approx(opening, abs=1e-4)


def test_a_pixel_opposite_the_centroid_counts_on_one_side():
    """Symmetric candidates have a pixel exactly opposite the centroid: rounding must not decide its side."""
    xs, ys = np.float32([-2, 0, 0, 2, 2, 2]), np.float32([0, -2, 2, 0, 1, -1])
    for angle in np.arange(8) * math.pi / 4:
        c, s = math.cos(angle), math.sin(angle)
        px, py = (xs * c - ys * s).astype(np.float32), (xs * s + ys * c).astype(np.float32)
        found = opening_angle(px, py, px.mean(dtype=float), py.mean(dtype=float), 0.0, 0.0, np.empty(16, np.int32))
        assert found == pytest.approx(1.5 * math.pi, abs=1e-4)


# Geometry and mesh


@pytest.mark.slow
@pytest.mark.parametrize("place", [(23.5, 23.5), (23, 24), (-0.5, 47.4), (10.3, 30.9), (0, 0)])
def test_rings_represent_the_model(place):
    size = 48
    order, lower, ring = (np.empty(size * size, np.int32) for _ in range(3))
    start, weight = np.empty(2 * size + 3, np.int64), np.empty(size * size, np.float32)
    n = fill_rings(size, *map(float, place), ring, order, start, lower, weight)
    r = naive.distance_map((size, size), place).ravel()
    bins = naive.profile_bins(r)
    assert n == bins.max() + 1
    np.testing.assert_array_equal(order, np.argsort(bins, kind="stable"))
    np.testing.assert_array_equal(start[: n + 1], np.searchsorted(np.sort(bins), np.arange(n + 1)))
    profile = np.random.default_rng(0).normal(size=n)
    model = np.interp(r, np.r_[1.0, np.arange(1, n) + 1.5], profile)
    longer = np.r_[profile, profile[-1]]
    np.testing.assert_allclose(longer[lower] + weight * (longer[lower + 1] - longer[lower]), model, atol=1e-5)
    shares = np.empty((9, 2 * size + 3))
    fill_shares(size, n, lower, weight, shares)
    for patch, (rows, columns, _) in enumerate(naive.patch_slices(size)):
        assert shares[patch, : n + 1] @ longer == pytest.approx(
            model.reshape(size, size)[rows, columns].sum(), abs=1e-3
        )


@pytest.mark.slow
@pytest.mark.parametrize(("size", "cell"), [(48, 4), (48, 5), (49, 8), (50, 23), (50, 60), (64, 130)])
def test_mesh_matches_the_reference(size, cell):
    image = np.random.default_rng(cell).normal(size=(size, size)).astype(np.float32).cumsum(axis=1, dtype=np.float32)
    m = most_cells(size)
    out = np.empty_like(image)
    subtract_mesh(
        image,
        cell,
        np.empty(size * size, np.int32),
        np.empty(m + 1, np.int64),
        np.empty(size, np.int64),
        np.empty(size, np.float32),
        np.empty((2, m, m), np.float32),
        np.empty((m + 1, size), np.float32),
        out,
    )
    np.testing.assert_allclose(out, image - naive.mesh_background(image.astype(float), cell), atol=1e-4)
