"""Tests of arc candidates: from features back to the pixels of an arc."""

import naive
import numpy as np
import pytest
from measuring import compiled_only, few, measure, measure_arcs
from scenes import BLUE, add, arc, cluster, plain_noise, scenes

from gridlens import CutoutSet, GridPatchExtractor
from gridlens.errors import CutoutError
from gridlens.features import arc_candidate, best_arc, detection_maps
from gridlens.features._contract import PATCH_FEATURE_NAMES

SCENES = [case for case in scenes(0) if case[1].shape[0] <= 130]
MEASURED = few(SCENES, 72)


@pytest.mark.parametrize(("name", "pixels", "bcg_xy", "scale"), MEASURED, ids=[case[0] for case in MEASURED])
def test_candidates_match_the_features(name, pixels, bcg_xy, scale):
    _, row, arc_xy = measure_arcs(pixels, bcg_xy, scale)
    features = row[:306].reshape(9, 34)
    scores = []
    for patch in range(9):
        found = arc_candidate(pixels, bcg_xy, scale, patch)
        scores.append(-1.0 if found is None else found.score)
        if found is None:
            np.testing.assert_array_equal(features[patch, 14:25], 0)
            assert np.isnan(arc_xy[patch]).all()
            continue
        np.testing.assert_array_equal(np.float32(list(found.features.values())), features[patch, 14:25])
        assert list(found.features) == list(PATCH_FEATURE_NAMES[14:25])
        assert found.mask.sum() >= 15
        ys, xs = np.nonzero(found.mask)
        np.testing.assert_allclose(arc_xy[patch], [xs.mean(), ys.mean()], rtol=1e-6)
        assert not (found.mask & ~np.isfinite(pixels).all(axis=2)).any()
    best = best_arc(measure(pixels, bcg_xy, scale)[1][None])[0]
    assert best == (np.argmax(scores) if max(scores) >= 0 else -1)


@compiled_only
def test_mask_and_circle_match_the_reference():
    _, pixels, bcg_xy, scale = next(case for case in SCENES if case[0] == "arc")
    expected = max(naive.candidates(pixels, bcg_xy, scale), key=lambda candidate: candidate.score)
    patch = best_arc(measure(pixels, bcg_xy, scale)[1][None])[0]
    found = arc_candidate(pixels, bcg_xy, scale, patch)
    np.testing.assert_array_equal(np.nonzero(found.mask), (expected.ys, expected.xs))
    assert found.circle == pytest.approx(expected.circle[:3], rel=1e-6)
    assert found.segmentation == expected.segmentation
    assert found.score == pytest.approx(expected.score)


def test_maps_match_the_reference():
    _, pixels, bcg_xy, scale = next(case for case in SCENES if case[0] == "nan_patch")
    expected = naive.prepare(pixels, naive.bcg_position(pixels, bcg_xy), scale)
    white, blue = detection_maps(pixels, bcg_xy, scale)
    np.testing.assert_allclose(white, expected.white, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(blue, expected.blue, rtol=1e-3, atol=1e-3)
    with pytest.raises(CutoutError, match="rejected: The cutout is 40 x 40 px"):
        detection_maps(pixels[:40, :40], bcg_xy, scale)


def test_the_drawn_arc_is_found():
    rng = np.random.default_rng(0)
    size, bcg = 128, (63.5, 63.5)
    image = plain_noise(rng, size)[0].astype(float)
    add(image, arc(size, *bcg, 30, np.pi, 1.6), 15.0, BLUE)
    row = GridPatchExtractor().transform(CutoutSet(image[None]))
    assert best_arc(row)[0] == 3
    found = arc_candidate(image, bcg, 0.5, 3)
    assert found.circle == pytest.approx((63.5, 63.5, 30), abs=3)
    assert found.features["tangentiality"] > 0.95
    assert found.features["arc_distance"] == pytest.approx(13.5, abs=0.7)
    x = np.nonzero(found.mask)[1]
    assert 30 <= x.min() <= 34


def test_noise_has_no_candidate():
    pixels, bcg = plain_noise(np.random.default_rng(0), 128)
    assert arc_candidate(pixels, bcg, 0.5, 4) is None
    rows = np.stack([measure(pixels, bcg, 0.5)[1], np.full(315, np.nan, np.float32)])
    assert best_arc(rows).tolist() == [-1, -1]
    assert best_arc(np.empty((0, 315))).tolist() == []


def test_invalid_input_is_refused():
    pixels, bcg = cluster(np.random.default_rng(0), 64)
    with pytest.raises(ValueError, match=r"The 'patch' parameter must be 0 to 8\. Got 9 instead"):
        arc_candidate(pixels, bcg, 0.5, 9)
    with pytest.raises(CutoutError, match=r"must have shape \(H, W, 3\)\. Got \(64, 64\) instead"):
        arc_candidate(pixels[:, :, 0], bcg, 0.5, 0)
    with pytest.raises(CutoutError, match="rejected: The cutout is 40 x 40 px"):
        arc_candidate(pixels[:40, :40], bcg, 0.5, 0)
    with pytest.raises(ValueError, match=r"shape \(n, 315\)"):
        best_arc(np.zeros((2, 9)))
