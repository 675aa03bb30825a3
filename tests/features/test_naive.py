"""Tests of the slow reference against known truths: it must be correct before kernels are compared with it."""

import ast
import math
from pathlib import Path

import naive
import numpy as np
import pytest
import scenes

SCENES = scenes.scenes(0)
CENTER = (64.0, 64.0)


def scene(name):
    """Return the pixels, the BCG and the pixel scale of one scene."""
    return next(tuple(rest) for found, *rest in SCENES if found == name)


def column(vector, number):
    """Return feature `number` (1-based, as in the contract's table) of the nine patches."""
    return vector.reshape(9, 34)[:, number - 1]


def noise_image(seed=0, size=129, sigma=1.0):
    return np.random.default_rng(seed).normal(0, sigma, (size, size, 3))


def drawn_arc(radius, opening, angle=0.4, center=CENTER, half_width=0.5):
    """Return the pixels (ys, xs) of a hard-edged arc in raster order."""
    y, x = np.mgrid[:129, :129]
    r, phi = np.hypot(x - center[0], y - center[1]), np.arctan2(y - center[1], x - center[0])
    turn = np.abs((phi - angle + np.pi) % (2 * np.pi) - np.pi)
    return np.nonzero((np.abs(r - radius) <= half_width) & (turn < opening / 2))


def test_reference_never_imports_the_package():
    tree = ast.parse(Path(naive.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} == {"__future__", "math", "typing", "numpy", "scipy"}


# Scenes


@pytest.mark.parametrize(("name", "pixels", "bcg_xy", "scale"), SCENES, ids=[name for name, *_ in SCENES])
def test_every_scene_gives_306_finite_features_in_range(name, pixels, bcg_xy, scale):
    vector = naive.features(pixels, bcg_xy, scale)
    assert vector.shape == (306,)
    assert vector.dtype == np.float64
    assert np.isfinite(vector).all()
    for number in (9, 18, 23):
        assert ((column(vector, number) >= 0) & (column(vector, number) <= 1)).all()
    assert (np.abs(column(vector, 10)) <= 1).all()
    assert (column(vector, 16) <= 1).all()
    assert (column(vector, 24) <= 5).all()
    np.testing.assert_array_equal(vector.reshape(9, 34)[:, 25:], np.eye(9))


def test_scenes_are_seeded():
    again = scenes.scenes(0)
    other = scenes.scenes(1)
    for (name, pixels, bcg_xy, scale), (name2, pixels2, bcg_xy2, scale2) in zip(SCENES, again, strict=True):
        assert (name, bcg_xy, scale) == (name2, bcg_xy2, scale2)
        assert pixels.dtype == np.float32
        np.testing.assert_array_equal(pixels, pixels2)
    assert all(not np.array_equal(a[1], b[1], equal_nan=True) for a, b in zip(SCENES, other, strict=True))


# Preparation


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.ones((64, 64, 3)), "sigma is 0"),
        (np.full((64, 64, 3), np.nan), "no finite pixel"),
        (np.where(np.arange(3) == 1, np.nan, noise_image(size=64)), "band r has no finite pixel"),
        (np.where(np.arange(100)[:, None, None] < 21, np.nan, noise_image(size=100)), "over 20 %"),
        (noise_image(size=64)[:60], "not square"),
        (noise_image(size=47), "under 48 px"),
    ],
)
def test_rejected_cutouts_have_a_reason(pixels, reason):
    with pytest.raises(ValueError, match=reason):
        naive.features(pixels, None, 0.5)


def test_exactly_20_percent_bad_is_accepted():
    pixels = np.where(np.arange(100)[:, None, None] < 20, np.nan, noise_image(size=100))
    assert np.isfinite(naive.features(pixels, None, 0.5)).all()


def test_noise_and_sky_of_gaussian_noise():
    pixels = noise_image(3, size=256) * (1, 2, 5) + (100, -7, 0)
    np.testing.assert_allclose(naive.noise(pixels), (1, 2, 5), rtol=0.03)
    sky = naive.sky_level(pixels, np.zeros((256, 256), bool))
    # The 40th percentile of a Gaussian lies 0.2533 sigma below its mean.
    np.testing.assert_allclose((sky - (100, -7, 0)) / (1, 2, 5), -0.2533, atol=0.05)


def test_bcg_model_removes_round_light_but_not_an_arc():
    r = naive.distance_map((129, 129), CENTER)
    halo = 100 * np.exp(-r / 20)
    model = naive.bcg_model(np.stack([halo] * 3, axis=2), CENTER)
    # The bin [3, 4) contains r = 3 (4 pixels), 3.162 (8) and 3.606 (8). The median is at 3.162 and the centre of the
    # bin at 3.5, so the definition itself leaves an error of exp(0.338 / 20) - 1 = 1.7 % there, the largest of all.
    error = np.abs(model[:, :, 0] / halo - 1)[(r > 3) & (r < 60)]
    assert error.max() == pytest.approx(0.017, abs=5e-4)
    arc = scenes.arc(129, *CENTER, 30, 0.0, 1.0)
    with_arc = naive.bcg_model(np.stack([halo + 50 * arc] * 3, axis=2), CENTER)
    assert np.abs(with_arc - model).max() < 1.5


def test_profile_bins_and_short_bins():
    assert naive.profile_bins(np.array([0, 1.99, 2, 2.99, 3, 7.5])).tolist() == [0, 0, 1, 1, 2, 6]
    bins = np.repeat([0, 1, 2, 3], [9, 8, 7, 12])
    assert naive.profile(10.0 * bins, bins).tolist() == [0, 10, 10, 30]


def test_bcg_flux_is_a_clipped_box_with_a_floor():
    u = np.ones((64, 64, 3)) * (1, 2, -5)
    np.testing.assert_allclose(naive.bcg_flux(u, (30.5, 31.5), np.ones(3)), (49, 98, 7))
    np.testing.assert_allclose(naive.bcg_flux(u, (0.0, 63.0), np.ones(3)), (16, 32, 7))
    u[30, 33] += 1000
    # 30.5 rounds to 30, so column 33 is the last of the box; 29.5 also rounds to 30, and 29.4 rounds to 29.
    assert [naive.bcg_flux(u, (x, 30), np.ones(3))[0] > 1000 for x in (30.5, 29.5, 29.4)] == [True, True, False]


def test_maps_of_white_noise_have_unit_noise():
    sigma = np.array([1.0, 3.0, 0.5])
    rho = noise_image(5, size=256) * sigma
    assert naive.white_map(rho, sigma).std() == pytest.approx(1, abs=0.03)
    assert naive.blue_map(rho, sigma, np.array([2.0, 1.0, 5.0])).std() == pytest.approx(1, abs=0.03)


def test_blue_map_cancels_the_colour_of_the_bcg():
    flux = np.array([2.0, 4.0, 7.0])
    rho = scenes.sersic(129, 40, 90, 4)[:, :, None] * flux * 1e3
    assert np.abs(naive.blue_map(rho, np.ones(3), flux)).max() < 1e-9
    assert naive.white_map(rho, np.ones(3)).max() > 1e3


def test_mesh_background_of_planes():
    y, x = np.mgrid[:128, :128].astype(float)
    np.testing.assert_allclose(naive.mesh_background(np.full((128, 128), 3.25), 8), 3.25)
    plane = 2 * x - y
    inner = (slice(20, 108), slice(20, 108))
    np.testing.assert_allclose(naive.mesh_background(plane, 8)[inner], plane[inner], atol=1e-9)


@pytest.mark.parametrize(("size", "cell", "cells"), [(48, 8, 6), (50, 8, 6), (48, 40, 2), (48, 266, 1)])
def test_mesh_axis_covers_every_pixel(size, cell, cells):
    index, centers = naive.mesh_axis(size, cell)
    assert len(centers) == cells
    assert index.tolist() == sorted(index)
    assert np.average(centers, weights=np.bincount(index)) == pytest.approx((size - 1) / 2)


# Candidates


def test_triplets_follow_the_radical_inverse():
    assert naive.triplet(1, 30) == [15, 10, 6]
    assert naive.triplet(4, 90) == [11, 40, 72]
    # In floating point, 25 * 0.24 (base 5, k = 6) may be slightly below 6.
    assert naive.triplet(6, 25)[2] == 6


def test_kasa_is_exact_on_a_circle_and_undefined_on_a_line():
    angle = np.linspace(0.2, 1.1, 9)
    np.testing.assert_allclose(naive.kasa(7 + 5 * np.cos(angle), -2 + 5 * np.sin(angle)), (7, -2, 5))
    assert naive.kasa(np.arange(5.0), 3 * np.arange(5.0)) is None
    assert naive.kasa(np.ones(3), np.ones(3)) is None


@pytest.mark.parametrize("radius", [20, 30, 45])
def test_circle_of_a_thin_arc(radius):
    ys, xs = drawn_arc(radius, 1.6)
    circle = naive.fit_circle(xs, ys, 129)
    np.testing.assert_allclose((circle.x, circle.y), CENTER, atol=0.6)
    assert circle.radius == pytest.approx(radius, abs=0.6)
    assert circle.inlier_fraction > 0.98


def test_circle_ignores_a_clump_beside_the_arc():
    ys, xs = drawn_arc(30, 2.0)
    clump_y, clump_x = np.mgrid[60:64, 60:64]
    ys, xs = np.append(ys, clump_y), np.append(xs, clump_x)
    order = np.lexsort((xs, ys))
    circle = naive.fit_circle(xs[order], ys[order], 129)
    assert circle.radius == pytest.approx(30, abs=1)
    assert circle.inlier_fraction == pytest.approx(1 - 16 / len(xs), abs=0.03)


def test_a_line_of_pixels_has_no_circle():
    assert naive.fit_circle(np.arange(20), np.full(20, 7), 129) is None


def test_moments_of_a_bar():
    ys, xs = np.mgrid[10:12, 20:50].reshape(2, -1)
    cx, cy, l1, l2, t = naive.moments(xs, ys)
    # With the 1/12, a bar of a x b pixels has the moments a^2 / 12 and b^2 / 12 of a rectangle.
    np.testing.assert_allclose((cx, cy, l1, l2, t), (34.5, 10.5, 900 / 12, 4 / 12, 0))


def test_length_follows_the_arc():
    # The angle 3.0 puts the arc across the branch cut of atan2.
    ys, xs = drawn_arc(40, 3.0, angle=3.0)
    cx, cy, l1, _, _ = naive.moments(xs, ys)
    circle = naive.Circle(*CENTER, 40.0, 1.0)
    assert naive.length(xs, ys, cx, cy, l1, circle) == pytest.approx(120, rel=0.02)
    # The major axis is parallel to the chord; its variance on a thin arc of opening a is R^2 (1/2 - sin(a) / 2a).
    chord = 4 * 40 * math.sqrt(0.5 - math.sin(3.0) / 6)
    assert naive.length(xs, ys, cx, cy, l1, None) == pytest.approx(chord, rel=0.02)


@pytest.mark.parametrize("scale", [0.25, 0.5])
def test_a_bright_arc_is_measured(scale):
    pixels = noise_image(2)
    ys, xs = drawn_arc(40, 2.2, half_width=1.0)
    pixels[ys, xs] += np.array([20.0, 20.0, 20.0])
    best = max(naive.candidates(pixels, None, scale), key=lambda candidate: candidate.score)
    assert best.curvature == pytest.approx(1 / (40 * scale), rel=0.15)
    assert best.tangentiality == pytest.approx(1, abs=0.01)
    # The centroid of an arc of opening a lies R sin(a / 2) / (a / 2) from its centre.
    assert best.distance == pytest.approx(40 * scale * math.sin(1.1) / 1.1, rel=0.03)
    assert best.center_offset < 0.2
    shown = column(naive.features(pixels, None, scale), 16)
    assert shown[shown > 0].max() >= best.curvature


def test_a_radial_bar_is_not_tangential():
    pixels = noise_image(2)
    pixels[63:66, 90:115] += 20
    best = max(naive.candidates(pixels, None, 0.5), key=lambda candidate: candidate.snr)
    assert best.tangentiality < 0.1
    assert best.elongation > 3


def test_plain_noise_has_no_candidate_and_zero_arc_features():
    pixels = noise_image(0)
    assert naive.candidates(pixels, None, 0.5) == []
    assert not naive.features(pixels, None, 0.5).reshape(9, 34)[:, 14:25].any()


def test_bad_pixels_belong_to_no_candidate():
    pixels, bcg_xy, scale = scene("nan_patch")
    bad = ~np.isfinite(pixels).all(axis=2)
    found = naive.candidates(pixels, bcg_xy, scale)
    assert len(found) > 0
    assert not any(bad[candidate.ys, candidate.xs].any() for candidate in found)


def test_signal_to_noise_doubles_with_the_signal():
    sigma = np.array([1.0, 2.0, 3.0])
    rho = np.broadcast_to(sigma * 4, (64, 64, 3))
    # Three bands at 4 sigma each have 4 sqrt(3) sigma together, divided by the noise gain of the kernel, 0.375.
    np.testing.assert_allclose(naive.white_map(rho, sigma), 4 * math.sqrt(3) / 0.375)
    snr = []
    for peak in (20, 40):
        pixels = noise_image(4)
        pixels[20:26, 90:96] += peak
        found = naive.candidates(pixels, None, 0.5)
        snr.append(max(candidate.snr for candidate in found if candidate.segmentation == 1))
    assert snr[1] / snr[0] == pytest.approx(2, rel=0.1)


# Colours


def test_colour_of_sums_and_its_floor():
    gr, ri = naive.color(np.array([1.0, 10.0, 100.0]), np.ones(3), 0.5, -0.25)
    assert (gr, ri) == pytest.approx((2.0, 2.75))
    gr, _ = naive.color(np.array([-5.0, 5.0, 0.0]), np.ones(3), 0.0, 0.0)
    assert gr == pytest.approx(2.5 * math.log10(5 / 0.01))


def test_colour_spread_of_one_and_of_two_colours():
    xs, ys = np.arange(20), np.full(20, 3)
    residual = np.ones((20, 3)) * (1, 2, 3)
    assert naive.color_spread(xs, ys, residual, np.ones(3), 9.5, 3, 0.0, 0.3, 0.1) == pytest.approx(0, abs=1e-12)
    residual[10:, 0] *= 10 ** (-0.4 * 0.6)
    assert naive.color_spread(xs, ys, residual, np.ones(3), 9.5, 3, 0.0, 0.3, 0.1) == pytest.approx(0.3)


def test_patch_colour_is_the_flux_ratio_against_the_bcg():
    pixels = noise_image(6)
    bcg, blob = np.array([1.0, 3.0, 5.0]), np.array([2.0, 2.5, 2.6])
    pixels += 1e4 * scenes.arc(129, *CENTER, 0.0, 0.0, 7.0)[:, :, None] * bcg
    pixels += 1e3 * scenes.arc(129, 22.0, 107.0, 0.0, 0.0, 7.0, width=2.0)[:, :, None] * blob
    vector = naive.features(pixels, CENTER, 0.5)
    truth_gr = -2.5 * math.log10(2.0 / 2.5) + 2.5 * math.log10(1 / 3)
    truth_ri = -2.5 * math.log10(2.5 / 2.6) + 2.5 * math.log10(3 / 5)
    # x = 22, y = 107 is the lower left in image order: row 2, column 0, patch 6.
    assert column(vector, 7)[6] == pytest.approx(truth_gr, abs=0.02)
    assert column(vector, 8)[6] == pytest.approx(truth_ri, abs=0.02)
    assert column(vector, 19)[6] == pytest.approx(truth_gr, abs=0.02)
    assert column(vector, 20)[6] == pytest.approx(truth_ri, abs=0.02)
    assert column(vector, 21)[6] < 0.05


# Patches


@pytest.mark.parametrize(("size", "p", "origin"), [(128, 42, 1), (129, 43, 0), (48, 16, 0), (130, 43, 0), (125, 41, 1)])
def test_patch_layout(size, p, origin):
    patches = naive.patch_slices(size)
    rows, columns, center = patches[5]
    assert (rows.start, rows.stop, columns.start) == (origin + p, origin + 2 * p, origin + 2 * p)
    assert center == (columns.start + (p - 1) / 2, rows.start + (p - 1) / 2)
    assert patches[8][0].stop <= size


def test_patch_distance_angle_and_bin():
    vector = naive.features(noise_image(0), None, 0.5)
    np.testing.assert_allclose(column(vector, 11)[[1, 4, 8]], (21.5, 0, 21.5 * math.sqrt(2)))
    np.testing.assert_allclose(column(vector, 12)[[1, 5, 8, 3]], (-math.pi / 2, 0, math.pi / 4, math.pi))
    assert column(vector, 13).tolist() == [2, 2, 2, 2, 0, 2, 2, 2, 2]
    assert [naive.radial_bin(d) for d in (9.99, 10, 19.99, 20)] == [0, 1, 1, 2]


def test_intensity_features_of_a_raised_patch():
    pixels = noise_image(8)
    pixels[86:, 43:86] += 10
    vector = naive.features(pixels, None, 0.5)
    s = (10 + 0.2533) / naive.noise(pixels)
    assert [column(vector, number)[7] for number in (1, 2, 3)] == pytest.approx(np.arcsinh(s), abs=0.15)
    assert column(vector, 10)[7] > 0.9
    assert column(vector, 10)[[0, 1, 2, 3, 5, 6, 8]].max() < 0
    assert np.exp(column(vector, 4)) == pytest.approx(np.ones(9), abs=0.1)


def test_sobel_of_a_ramp():
    y, x = np.mgrid[:20, :20]
    inner = naive.sobel_magnitude(3.0 * x + 4.0 * y)[1:-1, 1:-1]
    # The differences over two pixels are 6 and 8: sqrt((36 + 64) / 2).
    np.testing.assert_allclose(inner, math.sqrt(50))


def test_features_do_not_depend_on_flux_scale_or_sky_level():
    pixels, bcg_xy, scale = scene("arc")
    pixels = pixels.astype(np.float64)
    expected = naive.features(pixels, bcg_xy, scale)
    np.testing.assert_allclose(naive.features(pixels * 1024, bcg_xy, scale), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(naive.features(pixels + 512, bcg_xy, scale), expected, rtol=1e-6, atol=1e-6)


def test_a_flip_of_the_rows_permutes_the_patches():
    pixels, bcg_xy, scale = scene("arc_odd_size")
    table = naive.features(pixels, bcg_xy, scale).reshape(9, 34)
    flipped = naive.features(pixels[::-1], bcg_xy, scale).reshape(9, 34)[[6, 7, 8, 3, 4, 5, 0, 1, 2]]
    # Noise is measured along rows, so a flip of their order does not change it. Only the mesh of `white`, which starts
    # at the first row, changes, and with it the edges and the arcs.
    same = [*range(8), 9, 10, 12, 13]
    np.testing.assert_allclose(flipped[:, same], table[:, same], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.sin(flipped[:, 11]), -np.sin(table[:, 11]), atol=1e-12)
    np.testing.assert_allclose(flipped[:, 8], table[:, 8], atol=0.01)
