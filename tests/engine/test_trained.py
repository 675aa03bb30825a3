"""Tests of rows on which a model was trained: they are recognised, flagged in scores and left out of evaluations."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import gridlens
from gridlens import CutoutSet, LensDetector, evaluate_scores, load_model, train
from gridlens.cli import main
from gridlens.cutouts import CutoutFlag, write_npz
from gridlens.engine import measure_files
from gridlens.engine._scorers import JointScorer
from gridlens.errors import GridlensError, ModelError
from gridlens.features import Measured
from gridlens.models import PretrainedMember, save_model, upgrade_model
from gridlens.models._manifest import sha256_of
from gridlens.sources import open_source

MEMBERS = ["linear(turns=False)"]
SAID = "The model was fitted or calibrated on this cutout, so its score is too good."
pytestmark = pytest.mark.filterwarnings("ignore:.* are fewer than the:UserWarning")


def measured(features):
    n = len(features)
    texts = np.full(n, "", dtype=object)
    ids = np.array([f"c{k}" for k in range(n)], dtype=object)
    return Measured(ids, texts, features, np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool), texts, np.ones(n))


def trained(table):
    return (table["flags"].to_numpy() & CutoutFlag.TRAINED != 0).tolist()


@pytest.fixture(scope="module")
def cutouts():
    """Return cutouts of galaxies, and labels that call the brighter ones lenses."""
    rng = np.random.default_rng(5)
    y, x = np.indices((64, 64)) - 31.5
    galaxy = np.exp(-np.hypot(x, y) / 4.0)[..., None] * [0.4, 1.0, 1.5]
    label = np.arange(60) % 2
    pixels = rng.normal(size=(60, 64, 64, 3)) + galaxy * (100.0 + 200.0 * label)[:, None, None, None]
    return CutoutSet(pixels, ids=[f"c{k}" for k in range(60)]), label


@pytest.fixture(scope="module")
def model(cutouts, tmp_path_factory):
    """Return the path of a bundle trained on the first 40 cutouts, 10 of which calibrate it."""
    folder = tmp_path_factory.mktemp("trained")
    chosen, label = cutouts[0][:40], cutouts[1][:40]
    write_npz(folder / "first.npz", chosen)
    write_npz(folder / "all.npz", cutouts[0])
    labels = pd.DataFrame({"id": chosen.ids, "label": label, "calibration": (np.arange(40) >= 30).astype(int)})
    labels.to_csv(folder / "labels.csv", index=False)
    truth = pd.DataFrame({"id": cutouts[0].ids, "label": cutouts[1]})
    truth.to_csv(folder / "truth.csv", index=False)
    train(folder / "first.npz", folder / "labels.csv", out=folder / "mine", members=MEMBERS, n_jobs=1)
    return folder / "mine"


def test_rows_of_the_fit_and_of_the_calibration_are_flagged(detector, training_rows, calibration_rows):
    for X, _ in (training_rows, calibration_rows):
        table = detector.score_rows(measured(X))
        assert all(trained(table))
        assert set(table["message"]) == {SAID}
        assert table["score"].notna().all()
    others = training_rows[0] + np.float32(0.01)
    mixed = np.concatenate([others[:5], training_rows[0][:3]])
    assert trained(detector.score_rows(measured(mixed))) == [False] * 5 + [True] * 3


def test_metadata_are_ignored_and_rejected_rows_are_not_flagged(detector, training_rows):
    X = training_rows[0][:4].copy()
    X[:, -9:] = 0.5
    X[3] = np.nan
    rows = measured(X)
    rows.rejected[3] = True
    assert trained(detector.score_rows(rows)) == [True, True, True, False]


def test_out_of_fold_calibration_and_empty_input(training_rows):
    found = LensDetector(members=MEMBERS, random_state=0).fit(*training_rows)
    assert len(found.training_rows_) == len(training_rows[0])
    assert all(trained(found.score_rows(measured(training_rows[0]))))
    assert found.score_rows(measured(training_rows[0][:0])).empty


def test_the_second_of_two_models_flags_too(detector, training_rows):
    stranger = LensDetector(members=MEMBERS, random_state=0).fit(training_rows[0] + np.float32(1.0), training_rows[1])
    rows = JointScorer(stranger, detector).rows(measured(training_rows[0][:3]))
    assert all(trained(rows))
    assert set(rows["message"]) == {SAID}


def test_a_training_cutout_is_recognised_in_files_caches_and_memory(model, cutouts, tmp_path):
    folder = model.parent
    expected = {f"c{k}" for k in range(40)}
    measure_files(open_source(folder / "all.npz"), tmp_path / "all.parquet", n_jobs=1)
    said = "40 of 60 cutouts were used to fit or calibrate the model"
    for source in (folder / "all.npz", tmp_path / "all.parquet"):
        with pytest.warns(UserWarning, match=said):
            table = gridlens.score(source, model=model, n_jobs=1)
        assert set(table["id"][trained(table)]) == expected
        assert table["message"][trained(table)].str.endswith(SAID).sum() >= 1
    table = load_model(model).score_cutouts(cutouts[0])
    assert set(table["id"][trained(table)]) == expected
    assert not any(trained(load_model("default").score_cutouts(cutouts[0])))


def test_a_bundle_stores_the_hashes_optionally(model, tmp_path, cutouts):
    known = load_model(model).training_rows_
    assert known.dtype == np.uint64 and len(known) == 40
    assert (model / "training_rows.npy").stat().st_size <= 128 + 8 * 40
    upgrade_model(model, tmp_path / "again.zip")
    np.testing.assert_array_equal(load_model(tmp_path / "again.zip").training_rows_, known)
    silent = load_model(model)
    silent.training_rows_ = known[:0]
    save_model(silent, tmp_path / "silent", card="", training={})
    assert not (tmp_path / "silent" / "training_rows.npy").exists()
    assert not any(trained(load_model(tmp_path / "silent").score_cutouts(cutouts[0])))


def test_a_stack_on_a_model_records_the_rows_of_both(model, training_rows):
    found = LensDetector(members=[PretrainedMember(str(model)), *MEMBERS], random_state=0).fit(*training_rows)
    known = load_model(model).training_rows_
    assert len(found.training_rows_) == len(known) + len(training_rows[0])
    assert set(known) <= set(found.training_rows_)


@pytest.mark.parametrize("hashes", [np.zeros(3), np.zeros((2, 2), dtype=np.uint64), np.array([{}], dtype=object)])
def test_damaged_hashes_are_refused(model, tmp_path, hashes):
    upgrade_model(model, tmp_path / "bad")
    path, manifest = tmp_path / "bad" / "training_rows.npy", tmp_path / "bad" / "manifest.json"
    np.save(path, hashes)
    stored = json.loads(manifest.read_text())
    stored["files"][path.name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    manifest.write_text(json.dumps(stored))
    with pytest.raises(ModelError, match=r"training_rows\.npy in .* is damaged"):
        load_model(tmp_path / "bad")


def evaluated(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments), "--draws", "10", "--jobs", "1"])


def test_evaluating_on_the_training_rows_is_refused(model, tmp_path):
    folder = model.parent
    result = evaluated(folder / "first.npz", folder / "labels.csv", "--model", model, "--out", tmp_path / "report")
    assert result.exit_code == 1
    message = result.stderr.splitlines()[-1]
    assert message.startswith("Error: The truth table must contain cutouts on which the model was not trained. Got 40")
    assert not (tmp_path / "report" / "index.html").exists()


@pytest.mark.slow
def test_an_evaluation_excludes_training_rows(model, tmp_path):
    folder = model.parent
    result = evaluated(folder / "all.npz", folder / "truth.csv", "--model", model, "--out", tmp_path / "report")
    assert result.exit_code == 0, result.stderr
    note = "40 of 60 cutouts are omitted, because the model was fitted or calibrated on them"
    assert note in result.stderr
    # The flags in a table have the same effect.
    with pytest.warns(UserWarning, match="40 of 60"):
        table = gridlens.score(folder / "all.npz", model=model, n_jobs=1)
    table.to_csv(tmp_path / "scores.csv", index=False)
    found = evaluate_scores(tmp_path / "scores.csv", folder / "truth.csv", n_boot=10)
    assert len(found.rows) == found.counts["joined"] == 20
    assert set(found.rows.index) == {f"c{k}" for k in range(40, 60)}
    assert found.notes[0].startswith(note)
    # In a comparison, the training rows of either table are left out.
    other = pd.DataFrame({"id": table["id"], "score": table["score"]})
    assert len(evaluate_scores(other, folder / "truth.csv", against=table, n_boot=10).rows) == 20
    # In tables of other programs, this column may have another meaning.
    foreign = other.assign(flags=int(CutoutFlag.TRAINED))
    assert len(evaluate_scores(foreign, folder / "truth.csv", n_boot=10).rows) == 60
    with pytest.raises(GridlensError, match="Got 40 cutouts, all of which"):
        evaluate_scores(table, pd.read_csv(folder / "labels.csv"), n_boot=10)
