"""Tests of the symmetries stated in the contract: no dependence on the flux scale, and patches that permute."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measuring import JIT, agree, compiled_only, measure, measure_arcs, turned
from scenes import cluster

from gridlens.features import FEATURE_NAMES, best_arc, dihedral
from gridlens.features._contract import PATCH_FEATURE_NAMES

ARC = slice(PATCH_FEATURE_NAMES.index("arcness"), PATCH_FEATURE_NAMES.index("arc_snr") + 1)

# Nine patches fill 48 px, and leave a margin on both sides of 50 px; with a margin on one side only, the patches would
# shift under a flip.
drawn = st.tuples(st.integers(0, 10**6), st.sampled_from([48, 50]), st.floats(18, 30), st.floats(18, 30))
quick = settings(max_examples=25 if JIT else 3, deadline=None, derandomize=True)


def draw(seed, size, x, y):
    return cluster(np.random.default_rng(seed), size, bcg=(x, y), arc_px=13, n_galaxies=4)


@quick
@given(drawn, st.integers(-12, 12))
def test_a_power_of_two_of_flux_changes_nothing(scene, power):
    pixels, bcg = draw(*scene)
    features = measure(pixels, bcg, 1.0)[1]
    # Without the floor of the colours, 1e-12 in flux, the features would be equal bit by bit.
    np.testing.assert_allclose(measure(pixels * np.float32(2.0**power), bcg, 1.0)[1], features, rtol=1e-6, atol=1e-7)


@quick
@given(drawn, st.floats(1e-4, 1e6))
def test_any_factor_of_flux_changes_nothing(scene, factor):
    pixels, bcg = draw(*scene)
    features = measure(pixels, bcg, 1.0)[1]
    assert agree(measure(pixels * np.float32(factor), bcg, 1.0)[1][:306], features[:306]).mean() > 0.99


@quick
@given(drawn, st.floats(-100, 100))
def test_a_sky_level_changes_nothing(scene, level):
    pixels, bcg = draw(*scene)
    features = measure(pixels, bcg, 1.0)[1]
    assert agree(measure(pixels + np.float32(level), bcg, 1.0)[1][:306], features[:306], 2e-3).mean() > 0.99


@compiled_only
@pytest.mark.parametrize("k", range(8))
def test_turned_cutouts_give_turned_centroids(k):
    """A bright arc, alone in its patch, keeps its centroid to 0.3 px: noise along rows adds or removes a few pixels."""
    rng = np.random.default_rng(6)
    for size, bcg in [(96, (47.5, 47.5)), (96, (40.2, 55.9))]:
        pixels, bcg = cluster(rng, size, bcg=bcg, arc_px=22, n_galaxies=0)
        _, row, arc_xy = measure_arcs(pixels, bcg, 0.5)
        version, place = turned(pixels, bcg, k)
        _, again, turned_xy = measure_arcs(version, place, 0.5)
        arc = arc_xy[best_arc(row[None])[0]]
        np.testing.assert_allclose(turned(pixels, arc, k)[1], turned_xy[best_arc(again[None])[0]], atol=0.3)


@compiled_only
@pytest.mark.parametrize("k", range(8))
def test_turned_cutouts_give_turned_features(k):
    """Features without arc candidates agree within 3 %, with rare exceptions, as noise is measured along rows."""
    rng = np.random.default_rng(6)
    kept = []
    for size, bcg in [(128, (63.5, 63.5)), (129, (64.0, 64.0)), (128, (50.2, 70.9))]:
        pixels, bcg = cluster(rng, size, bcg=bcg, arc_px=28)
        version = dihedral(measure(pixels, bcg, 0.5)[1][None])[k, 0]
        again = measure(*turned(pixels, bcg, k), 0.5)[1]
        both = [row[:306].reshape(9, 34) for row in (version, again)]
        np.testing.assert_allclose(both[0][:, 10:13], both[1][:, 10:13], atol=1e-5)
        kept.append(np.delete(agree(*both, 0.03), np.r_[ARC], axis=1))
    kept = np.concatenate(kept)
    assert kept.mean() > 0.99
    assert kept.mean(axis=0).min() > 0.85


@compiled_only
@pytest.mark.parametrize("k", range(8))
def test_most_arc_features_turn_too(k):
    """At least half of the entries agree within 3 %; the others differ as the triplets follow the raster."""
    rng = np.random.default_rng(6)
    kept = []
    for _ in range(4):
        pixels, bcg = cluster(rng, 128, arc_px=28)
        version = dihedral(measure(pixels, bcg, 0.5)[1][None])[k, 0, :306].reshape(9, 34)[:, ARC]
        again = measure(*turned(pixels, bcg, k), 0.5)[1][:306].reshape(9, 34)[:, ARC]
        shown = (version[:, 2] > 0) & (again[:, 2] > 0)
        assert shown.sum() >= 6
        kept.append(agree(version, again, 0.03)[shown])
    assert np.concatenate(kept).mean() > 0.5


def test_dihedral_is_a_group_of_eight():
    rows = rows_of_noise()
    versions = dihedral(rows)
    assert versions.shape == (8, 3, 315)
    assert versions.dtype == rows.dtype
    np.testing.assert_array_equal(versions[0], rows)
    np.testing.assert_allclose(dihedral(versions[1])[3], rows, rtol=1e-6, atol=1e-6)
    for k in range(4, 8):
        np.testing.assert_allclose(dihedral(versions[k])[k], rows, rtol=1e-6, atol=1e-6)
    assert len({versions[k, 0].tobytes() for k in range(8)}) == 8


def test_dihedral_keeps_position_flags_and_metadata():
    rows = rows_of_noise()
    flags = [FEATURE_NAMES.index(f"patch{p}_position_{k}") for p in range(9) for k in range(9)]
    for version in dihedral(rows):
        np.testing.assert_array_equal(version[:, flags], rows[:, flags])
        np.testing.assert_array_equal(version[:, 306:], rows[:, 306:])


def test_dihedral_of_empty_nan_and_misshapen_rows():
    assert dihedral(np.empty((0, 315), np.float32)).shape == (8, 0, 315)
    assert np.isnan(dihedral(np.full((2, 315), np.nan))).sum() == 8 * 2 * 315
    with pytest.raises(ValueError, match=r"shape \(n, 315\)\. Got shape \(3, 306\) instead"):
        dihedral(np.zeros((3, 306)))


def rows_of_noise():
    """Return three rows of features with all metadata known."""
    rng = np.random.default_rng(4)
    rows = np.stack([measure(cluster(rng, 50, arc_px=13)[0], xy, 1.0)[1] for xy in [(24.5, 24.5), (20, 31), (24, 25)]])
    rows[:, 306:] = rng.random((3, 9))
    return rows
