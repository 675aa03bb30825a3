"""Tests of the column `novelty` and its flag: on request, without any effect on scores, kept in bundles."""

import numpy as np
import pandas as pd
import pytest
from _spirals import nearby_spirals
from bundles import vouch
from click.testing import CliRunner

from gridlens import CutoutSet, load_model
from gridlens.cli import main
from gridlens.cutouts import CutoutFlag, write_npz
from gridlens.detector._novelty import UNUSUAL_LEVEL, learn_novelty, novelty_numbers
from gridlens.engine import score_files
from gridlens.engine._scorers import JointScorer
from gridlens.errors import GridlensError, ModelError
from gridlens.features import dihedral, measure
from gridlens.sources import FileSource


def unusual(table):
    return table["flags"].to_numpy(dtype=np.int64) & CutoutFlag.UNUSUAL != 0


@pytest.fixture
def cutouts(noise):
    pixels = noise(5)
    pixels[2, :, :, 1] = 3.0
    return CutoutSet(pixels, pixel_scale=1.0, ids=list("abcde"))


def test_the_column_is_optional_and_does_not_change_scores(detector, cutouts):
    plain, table = (detector.score_cutouts(cutouts, novelty=wanted) for wanted in (False, True))
    assert "novelty" not in plain and not unusual(plain).any()
    columns = plain.columns.tolist()
    assert table.columns.tolist() == [*columns[: columns.index("disagreement") + 1], "novelty", "lightgbm"]
    same = [name for name in columns if name not in ("flags", "message")]
    pd.testing.assert_frame_equal(table[same], plain[same])
    assert np.isnan(table["novelty"].iloc[-1]) and table["status"].iloc[-1] == "rejected"
    # Cutouts of noise are unlike the rows that the detector was trained on.
    assert (table["novelty"].iloc[:-1] <= UNUSUAL_LEVEL).all()
    assert unusual(table).tolist() == [True] * 4 + [False]
    assert table["message"].iloc[0].endswith("inspect this one.")


def test_training_rows_are_rarely_flagged(training_rows):
    X = training_rows[0]
    novelty = learn_novelty(X)
    p = novelty.p_values(novelty_numbers(X))
    assert np.mean(p <= UNUSUAL_LEVEL) <= 2 * UNUSUAL_LEVEL
    assert learn_novelty(X[:39]) is None


def test_the_numbers_do_not_depend_on_the_orientation(training_rows):
    X = training_rows[0][:20]
    versions = [novelty_numbers(version) for version in dihedral(X)]
    assert versions[0].shape == (20, 39)
    for version in versions[1:]:
        np.testing.assert_array_equal(version, versions[0])


def test_a_bundle_keeps_the_sample(detector, cutouts, tmp_path):
    detector.save(tmp_path / "model")
    assert (tmp_path / "model" / "novelty.npz").stat().st_size < 300_000
    loaded = load_model(tmp_path / "model")
    expected, found = (model.score_cutouts(cutouts, novelty=True) for model in (detector, loaded))
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("content", [b"", None])
def test_a_damaged_sample_is_refused(detector, tmp_path, content):
    detector.save(tmp_path / "model")
    path = tmp_path / "model" / "novelty.npz"
    if content is None:
        other = learn_novelty(np.random.default_rng(0).normal(size=(50, 315)))
        other.n_features_in_ = 40
        other.save(path)
    else:
        path.write_bytes(content)
    vouch(tmp_path / "model")
    with pytest.raises(ModelError, match=r"novelty.npz in .* is damaged"):
        load_model(tmp_path / "model")


def test_a_model_without_a_sample_refuses_before_any_work(detector, cutouts, tmp_path):
    detector.save(tmp_path / "model")
    (tmp_path / "model" / "novelty.npz").unlink()
    vouch(tmp_path / "model")
    with pytest.raises(GridlensError, match=r"'novelty' parameter must be False .* Got True .*train the model again"):
        load_model(tmp_path / "model").score_rows(cutouts, novelty=True)
    write_npz(tmp_path / "shard.npz", cutouts)
    result = CliRunner().invoke(
        main, ["score", str(tmp_path / "shard.npz"), "--novelty", "--model", str(tmp_path / "model")]
    )
    assert result.exit_code == 1
    assert "leave out --novelty, or train the model again" in " ".join(result.stderr.split())


def test_files_and_two_models_have_the_column(detector, cutouts, tmp_path):
    detector.save(tmp_path / "model")
    write_npz(tmp_path / "shard.npz", cutouts)
    model, source = str(tmp_path / "model"), FileSource(tmp_path / "shard.npz")
    expected = detector.score_cutouts(cutouts, novelty=True)
    result = CliRunner().invoke(
        main, ["score", str(tmp_path / "shard.npz"), "--novelty", "--model", model, "--jobs", "1"]
    )
    assert result.exit_code == 0, result.stderr
    assert "novelty" in result.stdout.splitlines()[0].split(",")
    assert "4 of 4 cutouts are flagged as unusual; about 2 in 100" in result.stderr
    score_files(source, tmp_path / "scores.parquet", models=(model,), novelty=True, n_jobs=1)
    table = pd.read_parquet(tmp_path / "scores.parquet")
    np.testing.assert_array_equal(table["novelty"], expected["novelty"])
    with pytest.raises(GridlensError, match=r"other options|another"):
        score_files(source, tmp_path / "scores.parquet", models=(model,), resume=True, n_jobs=1)
    rows = JointScorer(detector, detector, novelty=True).rows(measure(cutouts))
    np.testing.assert_array_equal(unusual(rows), rows["status"] == "ok")


@pytest.mark.slow
def test_a_nearby_spiral_that_fills_the_field_is_flagged():
    model = load_model("default")
    table = model.score_cutouts(nearby_spirals(16, 5), novelty=True)
    assert np.count_nonzero(unusual(table)) >= 14
