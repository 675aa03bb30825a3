import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from gridlens import CutoutSet, LensDetector
from gridlens.cutouts import CutoutFlag
from gridlens.detector import rank_table
from gridlens.detector._table import ARC_COLUMNS
from gridlens.errors import GridlensError
from gridlens.features import measure
from gridlens.members import LightGBMMember, NNPUMember

COLUMNS = ["id", "ra", "dec", "path", "rank", "score", "p_lens", "p_low", "p_high", "prevalence"]
COLUMNS += [
    "status",
    "message",
    "flags",
    "valid_fraction",
    "arc_x",
    "arc_y",
    "arc_ra",
    "arc_dec",
    "arc_patch",
    *ARC_COLUMNS,
    "members_in_favour",
    "disagreement",
    "lightgbm",
]


def quick(**parameters):
    return LightGBMMember(n_estimators=30, learning_rate=0.1, min_child_samples=20, turns=False, **parameters)


def test_detector_learns_and_its_probabilities_are_calibrated(detector, calibration_rows):
    X, y = calibration_rows
    p = detector.predict_proba(X)
    assert p.shape == (400, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert roc_auc_score(y, p[:, 1]) > 0.75
    assert detector.calibration_prevalence_ == pytest.approx(y.mean())
    assert p[:, 1].mean() == pytest.approx(y.mean(), abs=0.03)


def test_prevalence_shifts_odds_but_not_ranks(detector, calibration_rows):
    X, _ = calibration_rows
    p = detector.predict_proba(X)[:, 1]
    rare = detector.predict_proba(X, prevalence=1e-3)[:, 1]
    base = detector.calibration_prevalence_
    np.testing.assert_allclose(
        np.log(rare / (1 - rare)) - np.log(p / (1 - p)), np.log(1e-3 / 0.999) - np.log(base / (1 - base)), rtol=1e-9
    )
    np.testing.assert_array_equal(np.argsort(p, kind="stable"), np.argsort(rare, kind="stable"))


def test_the_table_is_ranked_and_includes_rejected_cutouts(detector, noise):
    pixels = noise(5)
    pixels[2, :, :, 1] = 3.0
    table = detector.score_cutouts(CutoutSet(pixels, pixel_scale=1.0, ids=list("abcde")), prevalence=0.01)
    assert table.columns.tolist() == COLUMNS
    assert table["id"].tolist()[-1] == "c"
    assert table["status"].tolist() == ["ok"] * 4 + ["rejected"]
    assert table["rank"].tolist() == [1, 2, 3, 4, 0]
    assert table["message"].iloc[-1] != ""
    assert table["p_lens"].iloc[:4].is_monotonic_decreasing
    assert table["p_lens"].iloc[:4].between(0, 1, inclusive="neither").all()
    assert table[["p_lens", "score", "lightgbm", *ARC_COLUMNS]].iloc[-1].isna().all()
    assert table["arc_patch"].iloc[-1] == -1
    assert table.attrs["prevalence"] == 0.01


def test_a_member_without_a_finite_probability_rejects_the_cutout(detector, noise, monkeypatch):
    cutouts = CutoutSet(noise(3), pixel_scale=1.0, ids=list("abc"))
    before = detector.score_cutouts(cutouts).set_index("id")
    member = detector.stack_.members_[0]
    p = member.predict_proba(measure(cutouts).features)
    p[1] = np.nan
    monkeypatch.setattr(member, "predict_proba", lambda _: p)
    table = detector.score_cutouts(cutouts).set_index("id")
    assert table.loc["b", "status"] == "rejected"
    assert table.loc["b", "message"] == "The member 'lightgbm' gave no finite probability for this cutout."
    assert table.loc["b", "flags"] == CutoutFlag.FAILED
    assert table.loc["b", ["p_lens", "score", "lightgbm"]].isna().all()
    assert table.loc["b", "rank"] == 0
    pd.testing.assert_frame_equal(table.loc[["a", "c"]], before.loc[["a", "c"]].assign(rank=table["rank"]))


def test_the_table_names_the_best_arc(detector, noise):
    pixels = noise(1)
    pixels[0, 8:10, 24:40] += 8.0
    row = detector.score_cutouts(CutoutSet(pixels, pixel_scale=1.0)).iloc[0]
    assert row["arc_patch"] == 1
    assert row["arc_distance"] == pytest.approx(22.5, abs=2.0)
    assert row["arc_snr"] > 3.0


def test_scores_do_not_depend_on_other_cutouts_or_threads(detector, noise):
    cutouts = CutoutSet(noise(6), pixel_scale=1.0)
    whole = detector.score_rows(cutouts)
    pd.testing.assert_frame_equal(whole.iloc[4:5].reset_index(drop=True), detector.score_rows(cutouts[4]))
    threaded = clone(detector)
    threaded.__dict__.update(detector.__dict__)
    threaded.n_jobs = 2
    pd.testing.assert_frame_equal(whole, threaded.score_rows(cutouts))


def test_no_cutouts_give_an_empty_table(detector):
    table = detector.score_cutouts(CutoutSet(np.empty((0, 64, 64, 3))))
    assert table.columns.tolist() == COLUMNS
    assert len(table) == 0


def test_prevalence_is_estimated_from_the_scores():
    rng = np.random.default_rng(0)
    lens = rng.random(20_000) < 0.02
    score = expit(3.0 * (rng.normal(size=20_000) + 3.0 * lens) - 4.5)
    rows = pd.DataFrame({"id": range(20_000), "score": score, "score_low": score, "score_high": score, "status": "ok"})
    table = rank_table(rows, "estimate")
    assert table.attrs["prevalence"] == pytest.approx(lens.mean(), rel=0.15)
    assert table["p_lens"].sum() == pytest.approx(lens.sum(), rel=0.15)
    assert table.attrs["prevalence_estimate"].startswith(f"{table.attrs['prevalence']:.3g} [")
    none = rank_table(rows[~lens], "estimate")
    assert "not distinguishable from none" in none.attrs["prevalence_estimate"]
    assert 0 < none.attrs["prevalence"] < 2e-3
    with pytest.raises(ValueError, match=r"or 'estimate'\. Got 'even'"):
        rank_table(rows, "even")


def test_rank_table_keeps_the_order_of_ties():
    rows = pd.DataFrame({"id": list("abc"), "score": [0.5, 0.7, 0.5], "status": "ok"})
    rows["score_low"], rows["score_high"] = rows["score"] - 0.1, rows["score"] + 0.1
    table = rank_table(rows, 0.1)
    assert table["id"].tolist() == ["b", "a", "c"]
    # At a prevalence of one in ten, odds are a ninth of the odds at even prevalence.
    assert table["p_low"].iloc[0] == pytest.approx(1 / (1 + 9 * 0.4 / 0.6))
    assert table["p_high"].iloc[0] == pytest.approx(1 / (1 + 9 * 0.2 / 0.8))


def test_intervals_contain_the_probability(training_rows, calibration_rows):
    detector = LensDetector(members=(quick(),), random_state=0).fit(*training_rows, calibration=calibration_rows)
    assert detector.calibrator_.limits_ is not None
    cutouts = CutoutSet(np.random.default_rng(0).normal(size=(4, 64, 64, 3)).astype(np.float32), pixel_scale=1.0)
    rows = detector.score_rows(cutouts)
    assert (rows["score_low"] <= rows["score"]).all() and (rows["score"] <= rows["score_high"]).all()
    assert (rows["score_high"] - rows["score_low"] > 0.01).all()


def test_without_a_calibration_set_the_detector_calibrates_out_of_fold(training_rows):
    X, y = training_rows
    detector = LensDetector(members=(quick(),), random_state=0).fit(X, y)
    out_of_fold = detector.stack_.out_of_fold({"features": X}, y)[:, 0]
    # The calibrator was fitted to scores of rows unseen by the trees; in-sample scores separate labels far better.
    inside = detector.stack_.decision_function(detector.stack_.member_probabilities({"features": X}))
    assert detector.calibrator_.thresholds_x_[[0, -1]] == pytest.approx([out_of_fold.min(), out_of_fold.max()])
    assert roc_auc_score(y, out_of_fold) < roc_auc_score(y, inside) - 0.05


def test_member_weights_are_fitted_out_of_fold(training_rows, calibration_rows):
    X, y = training_rows
    other = NNPUMember(class_prior=0.5, n_estimators=30, min_child_samples=20, turns=False)
    detector = LensDetector(members=(quick(random_state=3), other), random_state=0)
    detector.fit(X, y, groups=np.arange(len(y)) // 2, calibration=calibration_rows)
    assert detector.stack_.weights_.shape == (2,)
    assert (detector.stack_.weights_ > 0).all()
    table = detector.members_
    assert table["name"].tolist() == ["lightgbm", "nnpu"]
    assert table["weight"].tolist() == detector.stack_.weights_.tolist()
    # The trees perform better on the rows they were trained on than on held-out rows.
    assert (table["auroc_in_sample"] > table["auroc"] + 0.05).all()
    assert table["auroc"].between(0.55, 0.95).all()
    assert roc_auc_score(calibration_rows[1], detector.predict_proba(calibration_rows[0])[:, 1]) > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_trees_on_shuffled_labels_are_uninformative_out_of_fold(training_rows, seed):
    X, y = training_rows
    X, y = np.concatenate([X, X[:, ::-1]]), np.random.default_rng(seed).permutation(np.concatenate([y, y]))
    detector = LensDetector(members=(quick(), "linear"), cv=3, random_state=seed).fit(X, y)
    stack = detector.stack_
    assert roc_auc_score(y, stack.combine(stack.out_of_fold_)) == pytest.approx(0.5, abs=0.05)
    # The trees have memorised the shuffled labels, and the table shows the difference.
    table = detector.members_.set_index("name")
    assert table.loc["lightgbm", "auroc_in_sample"] > 0.85
    assert table["auroc"].to_numpy() == pytest.approx(0.5, abs=0.05)


def test_no_member_is_trained_on_calibration_rows(training_rows, calibration_rows):
    seen = []

    class Recording(LightGBMMember):
        def fit(self, X, y, sample_weight=None, groups=None):
            seen.append(X)
            return super().fit(X, y, sample_weight=sample_weight, groups=groups)

    members = Recording(n_estimators=5, turns=False), "linear"
    LensDetector(members=members, cv=3, random_state=0).fit(*training_rows, calibration=calibration_rows)
    assert [len(X) for X in seen] == [400, 400, 400, 600]
    of_calibration = {row.tobytes() for row in calibration_rows[0]}
    assert not of_calibration & {row.tobytes() for X in seen for row in X}


def test_parameters_follow_scikit_learn():
    detector = LensDetector(members=("lightgbm",), metadata="survey", random_state=5)
    assert clone(detector).get_params()["metadata"] == "survey"
    assert detector._build("lightgbm").random_state == 5


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((4, 315)), [0, 1, 0], "'y' parameter"),
        (np.zeros((4, 315)), [0, 1, 0, 2], "'y' parameter"),
        (np.zeros((4, 300)), [0, 1, 0, 1], "'X' parameter"),
    ],
)
def test_invalid_input_is_refused(X, y, message):
    with pytest.raises((ValueError, GridlensError), match=message):
        LensDetector().fit(X, y)


def test_unknown_or_missing_members_are_refused(training_rows):
    with pytest.raises(GridlensError, match="Got 'lightbgm' instead"):
        LensDetector(members=("lightbgm",)).fit(*training_rows)
    with pytest.raises(GridlensError, match="at least one member"):
        LensDetector(members=()).fit(*training_rows)


def test_a_member_on_cutouts_cannot_be_trained_on_features(training_rows):
    member = quick()
    member.consumes = "cutouts"
    with pytest.raises(GridlensError, match="Pass a CutoutSet"):
        LensDetector(members=(member,)).fit(*training_rows)


def test_calibrated_member_probabilities_equal_predict_proba(training_rows, calibration_rows):
    X = calibration_rows[0].copy()
    X[3] = np.nan
    detector = LensDetector(members=(quick(), "linear"), random_state=0)
    detector.fit(*training_rows, calibration=calibration_rows)
    members = detector.member_probabilities(X)
    assert members.shape == (len(X), 2)
    assert np.isnan(members[3]).all()
    assert np.isfinite(np.delete(members, 3, axis=0)).all()
    np.testing.assert_array_equal(detector.calibrated(members), detector.predict_proba(X)[:, 1])
    np.testing.assert_array_equal(detector.calibrated(members, 1e-3), detector.predict_proba(X, prevalence=1e-3)[:, 1])
