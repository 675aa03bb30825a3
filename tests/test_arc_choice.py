"""Tests of the choice of one arc candidate per row, and of its position."""

import copy

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from scenes import BLUE, add, arc, cluster, plain_noise
from scipy.special import expit
from skies import gnomonic

from gridlens import CutoutSet, load_model
from gridlens.detector._arcs import decisive_arcs
from gridlens.features import FeatureCache, FeatureCacheWriter, best_arc, measure
from gridlens.features._candidates import arc_scores
from gridlens.features._contract import PATCH_FEATURE_NAMES
from gridlens.members import LightGBMMember
from gridlens.models import PretrainedMember
from gridlens.stacking import AveragedMember

ARC = [PATCH_FEATURE_NAMES.index(name) for name in PATCH_FEATURE_NAMES[14:25]]
PLACES = ["ra", "dec", "arc_x", "arc_y", "arc_ra", "arc_dec", "arc_patch"]


class Linear:
    """A member whose log-odds are a weighted sum of the features."""

    def __init__(self, name, weights, consumes="features"):
        self.name, self.weights, self.consumes = name, weights, consumes

    def predict_proba(self, X):
        p = expit((np.nan_to_num(X[:, :306]) * self.weights).sum(axis=1))
        return np.column_stack([1.0 - p, p])


class Stack:
    def __init__(self, members, weights):
        self.members_, self.weights_ = members, np.asarray(weights)


def candidates(rng, n):
    """Return rows of features with up to four candidates each, some of which are in two patches."""
    X = rng.normal(size=(n, 9, 34))
    X[:, :, ARC] = 0.0
    for row in X:
        for _ in range(rng.integers(0, 5)):
            shape = 1.0 + 0.1 * np.abs(rng.normal(size=len(ARC)))
            for patch in rng.choice(9, rng.integers(1, 3), replace=False):
                row[patch, ARC] = shape
    return np.concatenate([X.reshape(n, 306), np.full((n, 9), np.nan)], axis=1).astype(np.float32)


def naive_choice(stack, row, score):
    """Return the candidate of one row as the definition states it."""
    geometric = arc_scores(row[None])[0]
    if geometric.max() < 0:
        return -1
    best = int(geometric.argmax())
    if not score > 0.3:
        return best
    shown = row[:306].reshape(9, 34)[:, ARC]
    left = {}
    for patch in range(9):
        if geometric[patch] < 0.6 * geometric[best] or geometric[patch] < 0:
            continue
        without = row.copy()
        for other in range(9):
            if geometric[other] >= 0 and (shown[other] == shown[patch]).all():
                without[:306].reshape(9, 34)[other, ARC] = 0.0
        parts = [
            weight * np.log(p / (1 - p))
            for member, weight in zip(stack.members_, stack.weights_, strict=True)
            if member.consumes == "features"
            for p in [member.predict_proba(without[None])[0, 1]]
        ]
        left[patch] = sum(parts)
    return min(left, key=left.get)


@pytest.fixture(scope="module")
def stack():
    rng = np.random.default_rng(5)
    members = [Linear(str(k), 0.05 * rng.normal(size=306)) for k in range(2)]
    return Stack([*members, Linear("pixels", None, "cutouts")], [0.7, 1.5, 2.0])


def test_the_choice_matches_the_definition_for_any_batch(stack):
    rng = np.random.default_rng(0)
    X, score = candidates(rng, 300), rng.random(300)
    X[7], score[7] = np.nan, np.nan
    found = decisive_arcs(stack, X, score)
    assert found.tolist() == [naive_choice(stack, row, s) for row, s in zip(X, score, strict=True)]
    others = found != best_arc(X)
    assert others.sum() > 20 and (score[others] > 0.3).all()
    alone = [decisive_arcs(stack, X[k : k + 1], score[k : k + 1])[0] for k in range(0, 300, 10)]
    assert alone == found[::10].tolist()
    assert found.dtype == np.int64 and decisive_arcs(stack, X[:0], score[:0]).shape == (0,)


def test_without_a_member_on_features_the_best_by_shape_is_chosen():
    X = candidates(np.random.default_rng(0), 40)
    only = Stack([Linear("pixels", None, "cutouts")], [1.0])
    np.testing.assert_array_equal(decisive_arcs(only, X, np.ones(40)), best_arc(X))


def test_without_influence_on_the_score_the_best_by_shape_is_chosen(stack):
    X = candidates(np.random.default_rng(0), 40)
    deaf = Stack([Linear("deaf", np.zeros(306))], [1.0])
    np.testing.assert_array_equal(decisive_arcs(deaf, X, np.ones(40)), best_arc(X))


def test_trees_score_only_the_original_orientation_and_are_not_modified(training_rows):
    member = LightGBMMember(n_estimators=10, min_child_samples=20).fit(*training_rows)
    X = candidates(np.random.default_rng(1), 60)
    found = decisive_arcs(Stack([member], [1.0]), X, np.ones(60))
    assert member.turns
    once = copy.copy(member)
    once.turns = False
    assert found.tolist() == [naive_choice(Stack([once], [1.0]), row, 1.0) for row in X]
    folds = AveragedMember([member, member])
    np.testing.assert_array_equal(decisive_arcs(Stack([folds], [1.0]), X, np.ones(60)), found)


def test_a_model_in_a_model_makes_the_same_choice():
    X, model = candidates(np.random.default_rng(1), 60), load_model()
    found = decisive_arcs(model.stack_, X, np.ones(60))
    member = PretrainedMember().fit(X, np.arange(60) % 2)
    np.testing.assert_array_equal(decisive_arcs(Stack([member], [0.5]), X, np.ones(60)), found)
    assert all(getattr(one, "turns", True) for one in member.detector_.stack_.members_)


@pytest.fixture(scope="module")
def oriented():
    rng = np.random.default_rng(3)
    drawn = [cluster(rng, 96, arc_px=px, bcg=(47.5 + px / 9, 46.0)) for px in (14, 18, 22, 26)]
    axes = np.array([[[-0.3, 0.4], [0.4, 0.3]]] * 3 + [np.full((2, 2), np.nan)])
    sky = {"ra": [10.0, 359.9999, 200.0, 5.0], "dec": [0.0, 89.99, -30.0, 1.0]}
    xy = [bcg for _, bcg in drawn]
    return CutoutSet(np.stack([pixels for pixels, _ in drawn]), bcg_xy=xy, sky_axes=axes, metadata=sky)


def test_arc_positions_from_a_cache_agree_and_are_nan_without_sky_axes(oriented, tmp_path):
    model = load_model()
    rows = model.score_rows(oriented)
    with FeatureCacheWriter(tmp_path / "features.parquet", "test") as writer:
        writer.add(measure(oriented))
    cached = model.score_rows(FeatureCache(tmp_path / "features.parquet").read())
    pd.testing.assert_frame_equal(rows[PLACES], cached[PLACES])
    assert (rows["arc_patch"] >= 0).all()
    assert rows["ra"].tolist() == oriented.metadata["ra"].tolist()
    assert np.isfinite(rows[PLACES].iloc[:3]).all(axis=None)
    assert rows[["arc_ra", "arc_dec"]].iloc[3].isna().all() and np.isfinite(rows["arc_x"].iloc[3])
    distance = np.hypot(rows["arc_x"] - oriented.bcg_xy[:, 0], rows["arc_y"] - oriented.bcg_xy[:, 1]) * 0.5
    np.testing.assert_allclose(distance, rows["arc_distance"], rtol=1e-5)
    bcg, there = (SkyCoord(*places.T, unit="deg") for places in (oriented.bcg_radec[:3], rows[PLACES[4:6]].values[:3]))
    np.testing.assert_allclose(bcg.separation(there).arcsec, rows["arc_distance"][:3], rtol=1e-5)


@pytest.mark.parametrize("ra, dec", [(150.0, 2.0), (0.001, -60.0), (33.0, 89.998)])
@pytest.mark.parametrize("turn, flip", [(0.0, False), (125.0, True)])
def test_the_arc_on_the_sky_matches_the_wcs(detector, tmp_path, ra, dec, turn, flip):
    size, bcg = 96, (47.5, 47.5)
    wcs = gnomonic(scale=0.5, turn=turn, flip=flip, ra=ra, dec=dec, crpix=[300.0, -200.0])
    image = plain_noise(np.random.default_rng(0), size)[0].astype(float)
    add(image, arc(size, *bcg, 28, 0.7, 1.4), 15.0, BLUE)
    hdus = [fits.ImageHDU(image[..., k], wcs.to_header(), name=band) for k, band in enumerate("gri")]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    catalog = pd.DataFrame({"id": ["a"], "bcg_x": [50.0], "bcg_y": [45.0]})
    row = detector.score_rows(CutoutSet.read(tmp_path / "a.fits", catalog=catalog)).iloc[0]
    # The arc extends 0.7 rad to either side of its middle, so its centroid lies at 26 px instead of 28 px.
    assert np.hypot(row["arc_x"] - 47.5, row["arc_y"] - 47.5) == pytest.approx(26, abs=3)
    there = wcs.pixel_to_world(row["arc_x"], row["arc_y"])
    assert there.separation(SkyCoord(row["arc_ra"], row["arc_dec"], unit="deg")).arcsec < 0.05
    centre = wcs.pixel_to_world(50.0, 45.0)
    assert centre.separation(SkyCoord(row["ra"], row["dec"], unit="deg")).arcsec < 0.01
