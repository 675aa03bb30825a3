import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from gridlens.features import dihedral
from gridlens.members import LightGBMMember
from gridlens.stacking import Member

SMALL = {"n_estimators": 30, "learning_rate": 0.1, "min_child_samples": 20}


def test_the_member_follows_the_protocol():
    assert isinstance(LightGBMMember(), Member)
    assert clone(LightGBMMember(n_estimators=7)).n_estimators == 7


def test_a_loaded_member_scores_identically(tmp_path, training_rows, calibration_rows):
    member = LightGBMMember(**SMALL, turns=False).fit(*training_rows)
    member.save(tmp_path)
    again = LightGBMMember.load(tmp_path)
    np.testing.assert_array_equal(again.predict_proba(calibration_rows[0]), member.predict_proba(calibration_rows[0]))
    assert again.get_params() == member.get_params()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".npz", ".txt"]


def test_turned_rows_score_alike(training_rows, calibration_rows):
    X, y = training_rows
    member = LightGBMMember(**SMALL, turns=True).fit(X, y)
    scores = [member.predict_proba(version)[:, 1] for version in dihedral(calibration_rows[0])]
    for other in scores[1:]:
        # Turned angles are rounded again, so an angle occasionally falls on the other side of a split.
        close = np.isclose(other, scores[0], rtol=1e-6)
        assert close.mean() > 0.98
        np.testing.assert_allclose(other, scores[0], atol=0.05)


def test_turns_transfer_an_arc_between_corners(training_rows, calibration_rows):
    X, y = training_rows
    turned = dihedral(calibration_rows[0])[2]
    eager = {**SMALL, "n_estimators": 80, "colsample_bytree": 1.0}
    with_turns = LightGBMMember(**eager, turns=True).fit(X, y).predict_proba(turned)[:, 1]
    without = LightGBMMember(**eager, turns=False).fit(X, y).predict_proba(turned)[:, 1]
    assert roc_auc_score(calibration_rows[1], with_turns) > 0.59
    assert roc_auc_score(calibration_rows[1], without) < 0.56


def test_the_same_seed_gives_the_same_trees(training_rows):
    texts = {LightGBMMember(**SMALL, random_state=4).fit(*training_rows).booster().model_to_string() for _ in range(2)}
    assert len(texts) == 1


def test_weights_count(training_rows):
    X, y = training_rows
    weight = np.where(y == 1, 10.0, 1.0)
    plain = LightGBMMember(**SMALL, turns=False).fit(X, y).predict_proba(X)[:, 1]
    heavy = LightGBMMember(**SMALL, turns=False).fit(X, y, sample_weight=weight).predict_proba(X)[:, 1]
    assert heavy.mean() > plain.mean() + 0.1


def test_rejected_rows_and_empty_input(training_rows):
    member = LightGBMMember(**SMALL, turns=False).fit(*training_rows)
    X = np.full((2, 315), np.nan, np.float32)
    X[1] = training_rows[0][1]
    p = member.predict_proba(X)
    assert np.isnan(p[0]).all()
    assert np.isfinite(p[1]).all()
    assert member.predict_proba(np.empty((0, 315))).shape == (0, 2)


@pytest.mark.parametrize("y", [np.zeros(600), np.ones(599), np.full(600, 2)])
def test_invalid_labels_are_refused(training_rows, y):
    with pytest.raises(ValueError, match="'y' parameter must contain one 0 or 1"):
        LightGBMMember(**SMALL).fit(training_rows[0], y)
