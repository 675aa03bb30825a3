"""Tests of comparing simulated with real windows: the AUROC, the columns, and samples without a difference."""

import numpy as np
import pytest
from _realism_sets import Sky, _turned_place
from realism import CENTRE, OUTSIDE, PARTS, columns_of, two_sample, weighted_auroc, weights
from sklearn.metrics import roc_auc_score

from gridlens._turns import turned
from gridlens.features import FEATURE_NAMES
from gridlens.features._contract import N_IMAGE_FEATURES


def test_the_auroc_matches_scikit_learn():
    rng = np.random.default_rng(0)
    label, weight = rng.integers(0, 2, 300), rng.uniform(0.1, 3.0, 300)
    # Rounding produces ties.
    score = np.round(label + rng.normal(size=300), 1)
    expected = roc_auc_score(label, score, sample_weight=weight)
    assert weighted_auroc(label, score, weight) == pytest.approx(expected)


def test_sky_regions_and_classes_have_equal_weight():
    label, groups = np.array([1, 1, 1, 0, 0]), np.array(["a", "a", "b", "s1", "s2"])
    np.testing.assert_allclose(weights(label, groups), 5.0 * np.array([0.25, 0.25, 0.5, 0.5, 0.5]))


def test_columns_exclude_the_bcg_position():
    names = [FEATURE_NAMES[column] for column in columns_of("all")]
    assert len(names) == N_IMAGE_FEATURES - 9 * 12
    assert not any("position" in name or "bcg_distance" in name for name in names)
    inside, outside = (columns_of(part) for part in (CENTRE, OUTSIDE))
    assert sorted([*inside, *outside]) == sorted(columns_of("all"))
    assert all(len(columns_of(part)) for part in PARTS)


@pytest.mark.parametrize("turn", range(8))
def test_a_position_turns_with_its_pixels(turn):
    image = np.zeros((5, 5, 3))
    image[1, 4] = 1.0
    y, x = np.argwhere(turned(image, turn)[:, :, 0] == 1.0)[0]
    assert _turned_place(4 - 2.0, 1 - 2.0, turn) == (x - 2.0, y - 2.0)


def test_only_different_skies_are_distinguished():
    rng = np.random.default_rng(3)

    def sky(name, shift, copies):
        rows = np.repeat(rng.normal(size=(40, N_IMAGE_FEATURES)) + shift, copies, axis=0)
        groups = np.repeat([f"{name}{k}" for k in range(40)], copies)
        return Sky(rows, groups, groups)

    columns = columns_of("edges")
    same, low, high = two_sample(sky("r", 0.0, 4), sky("s", 0.0, 1), columns)
    assert low < same < high
    assert low < 0.5 < high
    assert two_sample(sky("r", 2.0, 4), sky("s", 0.0, 1), columns)[0] > 0.95
