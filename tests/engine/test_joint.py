"""Tests of tables with both kinds of lenses."""

import types

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gridlens import CutoutSet, LensDetector
from gridlens.cli import main
from gridlens.cutouts import CutoutBatch, ReadFailure
from gridlens.detector._table import CANDIDATE_COLUMNS
from gridlens.engine import score_batches
from gridlens.engine._batches import score_all
from gridlens.engine._scorers import JointScorer
from gridlens.features import measure
from gridlens.members import LinearMember


def score_joint(detector, other, batches, prevalence=1e-3, progress=None):
    return score_all(JointScorer(detector, other), 1, batches, prevalence, progress)


@pytest.fixture(scope="module")
def other(training_rows, calibration_rows):
    """Return a detector that was fitted to the opposite labels."""
    X, y = training_rows
    A, b = calibration_rows
    return LensDetector(members=(LinearMember(turns=False),)).fit(X, 1 - y, calibration=(A, 1 - b))


@pytest.fixture
def batches(noise):
    broken = noise(3, seed=4)
    broken[1] = np.nan
    first = CutoutSet(noise(4), pixel_scale=1.0, ids=["a", "b", "c", "d"])
    second = CutoutSet(broken, pixel_scale=1.0, ids=["e", "f", "g"])
    return [CutoutBatch(first, [ReadFailure("x", "x.npy", "no array", 0)]), CutoutBatch(second, [])]


def test_a_row_rejected_by_the_second_detector_is_rejected(detector, other, batches, monkeypatch):
    member = other.stack_.members_[0]
    monkeypatch.setattr(member, "predict_proba", lambda X: np.full((len(X), 2), np.nan))
    table = score_joint(detector, other, batches, prevalence=0.01)
    assert (table["status"] == "rejected").all()
    assert table["p_any"].isna().all()
    assert table["message"].str.contains("The member 'linear' gave no finite probability").sum() == 6


def test_the_arc_comes_from_the_kind_with_the_higher_score(detector, other, batches):
    measured = measure(batches[0].cutouts)
    one, two = detector.score_rows(measured), other.score_rows(measured)
    # Make the rows differ in every column of the arc.
    arc = list(CANDIDATE_COLUMNS)
    two = two.assign(**{name: k + np.arange(4.0) for k, name in enumerate(arc)}).astype({"arc_patch": np.int64})
    scorers = [types.SimpleNamespace(novelty_=None, score_rows=lambda _, rows=rows, **__: rows) for rows in (one, two)]
    rows = JointScorer(*scorers).rows(measured)
    higher = (two["score"] > one["score"]).to_numpy()
    assert higher.sum() > 0
    for name in arc:
        np.testing.assert_array_equal(rows[name], np.where(higher, two[name], one[name]), name)
    assert rows["arc_patch"].dtype == np.int64


def test_p_any_is_the_complement_of_neither_kind(detector, other, batches):
    done = []
    table = score_joint(detector, other, batches, prevalence=0.01, progress=done.append)
    assert sum(done) == len(table) == 8
    one = score_batches(detector, batches, prevalence=0.01).set_index("id")
    two = score_batches(other, batches, prevalence=0.01).set_index("id")
    by_id = table.set_index("id")
    np.testing.assert_array_equal(by_id["p_gc"], one.loc[by_id.index, "p_lens"])
    np.testing.assert_array_equal(by_id["p_cc"], two.loc[by_id.index, "p_lens"])
    np.testing.assert_array_equal(by_id["score_cc"], two.loc[by_id.index, "score"])
    ok = table[table["status"] == "ok"]
    np.testing.assert_allclose(ok["p_any"], 1 - (1 - ok["p_gc"]) * (1 - ok["p_cc"]))
    assert (np.diff(ok["p_any"]) <= 0).all()
    assert table["rank"].tolist() == [1, 2, 3, 4, 5, 6, 0, 0]
    assert set(table["id"][6:]) == {"f", "x"}
    assert table.attrs["prevalence"] == 0.01
    assert set(table["prevalence"]) == {0.01}
    assert not {"p_lens", "p_low", "score", "score_low", "scored"} & set(table.columns)


def test_detectors_with_different_metadata_measure_separately(detector, training_rows, calibration_rows, batches):
    rich = LensDetector(members=(LinearMember(turns=False),), metadata="all")
    rich.fit(*training_rows, calibration=calibration_rows)
    table = score_joint(detector, rich, batches).set_index("id")
    alone = score_batches(rich, batches).set_index("id")
    np.testing.assert_array_equal(table["p_cc"], alone.loc[table.index, "p_lens"])


def test_no_batches_give_an_empty_table(detector, other):
    assert len(score_joint(detector, other, [])) == 0
    with pytest.raises(ValueError, match="between 0 and 1"):
        score_joint(detector, other, [], prevalence=0.0)


def test_command_line(tmp_path, noise):
    np.save(tmp_path / "one.npy", noise(1, 96)[0])
    run = CliRunner().invoke
    for target, columns in (("joint", {"p_any", "p_gc", "p_cc"}), ("cluster-cluster", {"p_lens", "score"})):
        out = tmp_path / f"{target}.csv"
        declared = ["--pixel-scale", "1", "--bands", "gri"]
        result = run(main, ["score", str(tmp_path / "one.npy"), *declared, "--target", target, "--out", str(out)])
        assert result.exit_code == 0, result.output
        assert columns <= set(pd.read_csv(out).columns)
        assert "model " in result.stderr
        assert "cluster-cluster" in result.stderr
    refused = run(main, ["score", "x", "--target", "joint", "--model", "mine"])
    assert "give --model without --target" in refused.output
    refused = run(main, ["score", "x", "--target", "joint", "--prevalence", "estimate"])
    assert "supports one kind of lens" in refused.output
