"""Tests of contributions through the stack, and of their aggregates."""

import numpy as np
import pandas as pd
import pytest
from scenes import cluster
from scipy.special import logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from gridlens import CutoutSet, LensDetector, load_model
from gridlens.errors import GridlensError
from gridlens.explain import (
    Explainer,
    Explanation,
    by_feature,
    by_group,
    by_patch,
    importance,
    permutation_importance,
)
from gridlens.features import FEATURE_NAMES, measure
from gridlens.members import LightGBMMember, PatchMember
from gridlens.stacking._contributions import bounded_contributions
from gridlens.stacking._stack import CERTAIN_LOG_ODDS, member_log_odds

SMALL = {"n_estimators": 15, "min_child_samples": 20}


class Pixel(ClassifierMixin, BaseEstimator):
    """A member on cutouts that scores the brightest pixel and maps the total light."""

    name = "pixel"
    consumes = "cutouts"

    def fit(self, X, y, sample_weight=None, groups=None):
        self.fitted_ = True
        return self

    def predict_proba(self, X):
        top = np.clip(np.nanmax(X.pixels.reshape(len(X), -1), axis=1) / 1000.0, 0.01, 0.99)
        return np.column_stack([1.0 - top, top])

    def attribution(self, X):
        return X.pixels.sum(axis=3)


@pytest.fixture(scope="module")
def explained(training_rows, calibration_rows):
    members = (LightGBMMember(**SMALL, turns=False), PatchMember(**SMALL), "linear")
    detector = LensDetector(members=members, random_state=0).fit(*training_rows, calibration=calibration_rows)
    X = calibration_rows[0].copy()
    X[3] = np.nan
    return detector, Explainer(detector).explain(X)


def test_features_without_cutouts_give_the_arc_candidate_of_the_table():
    detector = load_model()
    rng = np.random.default_rng(3)
    pixels, bcg = zip(*(cluster(rng, 96, arc_px=px) for px in (14, 18, 22)), strict=True)
    measured = measure(CutoutSet(np.stack(pixels), bcg_xy=bcg), "all")
    found = Explainer(detector).explain(measured.features)
    assert found.table["arc_patch"].tolist() == detector.score_rows(measured)["arc_patch"].tolist()
    assert found.table["arc_patch"].min() >= 0


def test_base_and_contributions_add_up_to_the_log_odds_of_the_stack(explained):
    detector, found = explained
    expected = detector.stack_.decision_function(detector.member_probabilities(found.features))
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), expected, atol=1e-4)
    np.testing.assert_allclose(found.log_odds, expected)
    assert np.isnan(found.values[3]).all()
    assert np.isfinite(np.delete(found.values, 3, axis=0)).all()


def test_a_member_adds_its_weighted_contributions(explained):
    detector, found = explained
    rows = np.delete(np.arange(len(found)), 3)
    for member, weight in zip(detector.stack_.members_, detector.stack_.weights_, strict=True):
        values, _ = member.contributions(found.features[rows])
        np.testing.assert_allclose(found.by_member[member.name][rows], weight * values)


def test_contributions_of_averaged_folds_add_up(training_rows, calibration_rows):
    members = (LightGBMMember(**SMALL, turns=False), PatchMember(**SMALL))
    detector = LensDetector(members=members, final="average", cv=2, random_state=0)
    detector.fit(*training_rows, calibration=calibration_rows)
    found = Explainer(detector).explain(calibration_rows[0])
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.log_odds, atol=1e-4)


def test_contributions_of_the_bundled_model_add_up():
    X = np.random.default_rng(0).normal(size=(40, 315)).astype(np.float32)
    found = Explainer(load_model()).explain(X)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.log_odds, atol=1e-4)


def test_aggregations_have_the_same_sum(explained):
    _, found = explained
    total = found.log_odds - found.base
    np.testing.assert_allclose(by_group(found).sum(axis=1, skipna=False), total, atol=1e-9)
    np.testing.assert_allclose(by_feature(found).sum(axis=1, skipna=False), total, atol=1e-9)
    patches = by_patch(found)
    assert list(patches.columns) == [f"patch{k}" for k in range(9)]
    np.testing.assert_allclose(patches.sum(axis=1, skipna=False) + by_group(found)["metadata"], total, atol=1e-9)
    columns = [k for k, name in enumerate(FEATURE_NAMES) if name.startswith("patch5_")]
    np.testing.assert_allclose(patches["patch5"], found.values[:, columns].sum(axis=1))
    columns = [k for k, name in enumerate(FEATURE_NAMES) if name.endswith("_arcness")]
    np.testing.assert_allclose(by_feature(found)["arcness"], found.values[:, columns].sum(axis=1))
    assert list(by_group(found).columns) == [
        "intensity", "colour", "edges", "geometry", "arc shape", "arc colour", "position", "metadata",
    ]  # fmt: skip


def test_position_flags_are_never_reported(explained):
    detector, found = explained
    # The flags are noise in these rows, so the members do use them.
    assert by_group(found)["position"].abs().max() > 0.0
    for by in ("group", "feature"):
        names = importance(found, by)["name"].tolist()
        names += permutation_importance(detector, found.features[:60], by=by, n_repeats=1)["name"].tolist()
        assert not [name for name in names if "position" in name]


def test_importance_is_the_mean_within_its_interval(explained):
    _, found = explained
    table = importance(found, "feature")
    assert table["mean_abs"].is_monotonic_decreasing
    first = table.iloc[0]
    values = by_feature(found)[first["name"]].abs()
    assert first["mean_abs"] == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(values.count())
    assert first["high"] - first["mean_abs"] == pytest.approx(half, rel=0.25)
    assert (table["low"] <= table["mean_abs"]).all()
    assert (table["mean_abs"] <= table["high"]).all()
    # This feature distinguishes the lenses in these rows.
    assert first["name"] == "arc_snr"
    assert set(importance(found, "member")["name"]) == {"lightgbm", "patch", "linear"}
    with pytest.raises(GridlensError, match="'by' parameter must be"):
        importance(found, "colour")
    with pytest.raises(GridlensError, match="not rejected"):
        importance(found.take([3]))


def test_permutation_importance_finds_the_informative_feature(detector, calibration_rows):
    X, y = calibration_rows
    labelled = permutation_importance(detector, X, y, by="feature", names=["arc_snr", "mean_g", "seeing"])
    assert labelled["name"][0] == "arc_snr"
    assert labelled["loss"][0] > 0.03
    lost = labelled.set_index("name")["loss"]
    assert lost["seeing"] == 0.0
    assert abs(lost["mean_g"]) < 0.02
    # Without labels, the loss is a divergence, which is never negative.
    assert (permutation_importance(detector, X)["low"] >= 0.0).all()
    with pytest.raises(GridlensError, match=r"Got arcs instead\."):
        permutation_importance(detector, X, names=["arcs"])
    with pytest.raises(GridlensError, match="at least two rows"):
        permutation_importance(detector, X[:1])


def test_a_member_on_cutouts_is_one_bar(noise, training_rows, calibration_rows):
    cutouts = CutoutSet(noise(n=30, size=64), pixel_scale=1.0, ids=[f"c{k}" for k in range(30)])
    y = np.arange(30) % 2
    detector = LensDetector(members=(LightGBMMember(n_estimators=3, turns=False), Pixel()), cv=2, random_state=0)
    detector.fit(cutouts, y)
    explainer = Explainer(detector)
    found = explainer.explain(cutouts)
    assert list(found.bars) == ["pixel"]
    expected = detector.stack_.weights_[1] * (
        member_log_odds(found.table["pixel"].to_numpy()) - logit(detector.training_prevalence_)
    )
    np.testing.assert_allclose(found.bars["pixel"], expected)
    total = found.base + found.values.sum(axis=1) + found.bars["pixel"]
    np.testing.assert_allclose(total, found.log_odds, atol=1e-4)
    np.testing.assert_allclose(total - found.base, by_group(found).sum(axis=1), atol=1e-9)
    maps = explainer.maps(cutouts[:2])
    np.testing.assert_array_equal(maps["pixel"], cutouts.pixels[:2].sum(axis=3))


def test_contributions_that_do_not_add_up_are_refused(detector, calibration_rows, monkeypatch):
    member = detector.stack_.members_[0]
    right = member.contributions(calibration_rows[0])
    monkeypatch.setattr(member, "contributions", lambda X: (right[0] + 1e-5, right[1]))
    with pytest.raises(GridlensError, match=r"member 'lightgbm' must add up to its log-odds"):
        Explainer(detector).explain(calibration_rows[0])


def test_clipped_log_odds_scale_the_contributions():
    values = np.array([[10.0, 10.0], [1.0, -2.0], [-30.0, 0.0], [np.nan, np.nan]])
    kept = bounded_contributions(values, 0.5, CERTAIN_LOG_ODDS)
    np.testing.assert_allclose(0.5 + kept[:3].sum(axis=1), [CERTAIN_LOG_ODDS, -0.5, -CERTAIN_LOG_ODDS])
    np.testing.assert_array_equal(kept[1], values[1])
    assert kept[0, 0] == kept[0, 1]
    assert np.isnan(kept[3]).all()


def test_concatenation_restores_the_explanation(explained):
    _, found = explained
    parts = [found.take(slice(0, 100)), found.take(np.arange(100, len(found)))]
    whole = Explanation.concatenate(parts)
    np.testing.assert_array_equal(whole.values, found.values)
    pd.testing.assert_frame_equal(whole.table, found.table)


def test_a_fitted_detector_is_required():
    with pytest.raises(NotFittedError):
        Explainer(LensDetector())
