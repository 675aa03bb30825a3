"""Tests of turning rows while LightGBM reads them: the same rows, and trees of the same quality."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from gridlens.features import dihedral
from gridlens.features._symmetry import turn_features
from gridlens.members import LightGBMMember
from gridlens.members import _features as batches
from gridlens.members import _lightgbm as turned
from gridlens.members import _trees as room
from gridlens.members._turned_rows import TurnedRows


@pytest.fixture
def few_copies(monkeypatch):
    monkeypatch.setattr(turned, "_MOST_COPIES", 100)


@pytest.mark.parametrize("versions", [1, 8])
def test_batches_contain_the_rows_of_all_turns(training_rows, versions):
    X = training_rows[0][:50]
    every = dihedral(X)[:versions].reshape(-1, 315)
    rows = TurnedRows(X, versions)
    assert len(rows) == len(every)
    for start, stop in ((0, 3), (40, 60), (30, 45), (0, len(every)), (len(every) - 4, len(every) + 9)):
        np.testing.assert_array_equal(rows[start:stop], every[start:stop])
    np.testing.assert_array_equal(rows.drawn(10**6, 0), every)
    drawn = rows.drawn(30, 0)
    places = [np.flatnonzero((every[:, :306] == row[:306]).all(axis=1)) for row in drawn]
    assert [len(place) for place in places] == [1] * 30
    assert (np.diff(np.concatenate(places)) > 0).all()


@pytest.mark.parametrize("version", range(8))
def test_one_turn_matches_that_of_all_turns(training_rows, version):
    X = training_rows[0][:20]
    np.testing.assert_array_equal(turn_features(X, version), dihedral(X)[version])


@pytest.mark.parametrize("turns", [True, False])
def test_trees_are_the_same_with_bins_from_all_rows(training_rows, few_copies, monkeypatch, tmp_path, capfd, turns):
    X, y = training_rows
    np.save(tmp_path / "rows.npy", X)
    weight = np.linspace(0.5, 1.5, len(y))
    member = LightGBMMember(n_estimators=10, min_child_samples=20, turns=turns)
    assert isinstance(member._turned(X), TurnedRows)
    read = member.fit(np.load(tmp_path / "rows.npy", mmap_mode="r"), y, weight).booster().model_to_string()
    monkeypatch.setattr(turned, "_MOST_COPIES", 10**9)
    whole = member.fit(X, y, weight).booster().model_to_string()
    assert read.split("parameters:")[0] == whole.split("parameters:")[0]
    assert capfd.readouterr() == ("", "")


def test_bins_from_few_rows_are_as_accurate(training_rows, calibration_rows, few_copies, monkeypatch):
    monkeypatch.setattr(room, "_BIN_ROWS", 500)
    held, truth = calibration_rows
    found = {}
    for most in (100, 10**9):
        monkeypatch.setattr(turned, "_MOST_COPIES", most)
        member = LightGBMMember(n_estimators=40, min_child_samples=20, turns=False).fit(*training_rows)
        found[most] = roc_auc_score(truth, member.predict_proba(held)[:, 1])
    assert found[100] > 0.75
    assert found[100] == pytest.approx(found[10**9], abs=0.03)


def test_rows_are_scored_in_batches(training_rows, calibration_rows, monkeypatch):
    X = calibration_rows[0].copy()
    X[[0, 150]] = np.nan
    member = LightGBMMember(n_estimators=10, min_child_samples=20).fit(*training_rows)
    whole = member.predict_proba(X)
    monkeypatch.setattr(batches, "_BATCH_ROWS", 150)
    np.testing.assert_array_equal(member.predict_proba(X), whole)
    assert np.isnan(whole[[0, 150]]).all()
    assert np.isfinite(np.delete(whole, [0, 150], axis=0)).all()
