"""Tests of networks in the stack and on the command line."""

import dataclasses
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from gridlens_deep import ResNetMember
from gridlens_deep._data import BatchRows

from gridlens import LensDetector, load_model
from gridlens.cli import main
from gridlens.training import RECIPES

SMALL = {"variant": "10", "size": 32, "pixel_scale": 2.0, "epochs": 2, "batch_size": 32, "device": "cpu"}
WORDS = ", ".join(f"{name}={value!r}" for name, value in SMALL.items())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*positives are fewer than the:UserWarning")
def test_a_stack_with_a_network_is_trained_and_scores_from_the_command_line(tmp_path, monkeypatch):
    tiny = dataclasses.replace(RECIPES["quick"], surveys=("hsc",), n_train=64, n_calibrate=48, n_test=32)
    monkeypatch.setitem(RECIPES, "quick", tiny)
    members = f"lightgbm(n_estimators=20), nnpu(n_estimators=20, class_prior=0.5), resnet({WORDS})"
    model, table = tmp_path / "model", tmp_path / "scores.csv"
    trained = CliRunner().invoke(
        main, ["train", "--out", str(model), "--recipe", "quick", "--members", members, "--jobs", "1"]
    )
    assert trained.exit_code == 0, trained.output
    assert "A stack of lightgbm, nnpu, resnet" in trained.output
    files = {path.name for path in (model / "resnet").iterdir()}
    assert files == {"parameters.json", "state.json", "weights.safetensors"}
    source = json.loads((model / "manifest.json").read_text())["sources"]["resnet"]
    assert source.startswith("gridlens")
    scored = CliRunner().invoke(
        main, ["score", "examples/cutouts", "--model", str(model), "--out", str(table)], catch_exceptions=False
    )
    assert scored.exit_code == 0, scored.output
    header, first = table.read_text().splitlines()[:2]
    row = dict(zip(header.split(","), first.split(","), strict=False))
    assert 0.0 < float(row["resnet"]) < 1.0
    assert float(row["resnet_spread"]) > 0.0
    assert load_model(model).member_names_ == ["lightgbm", "nnpu", "resnet"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*positives are fewer than the:UserWarning")
def test_folds_share_prepared_images_and_have_separate_checkpoints(arcs, tmp_path, monkeypatch):
    cutouts, y = arcs[0][:96], arcs[1][:96]
    prepared = []

    class Counting(ResNetMember):
        def prepare(self, X):
            prepared.append(len(X))
            return super().prepare(X)

    member = Counting(**{**SMALL, "epochs": 1}, checkpoints=str(tmp_path / "states"))
    detector = LensDetector(members=(member, "linear"), cv=3, random_state=0).fit(cutouts, y)
    assert prepared == [96]
    # There are three folds, and the final fit.
    assert len(list((tmp_path / "states").glob("*/last.ckpt"))) == 4
    rows = detector.score_rows(cutouts)
    assert (rows["resnet_spread"] > 0).all()
    np.testing.assert_allclose(rows["resnet"], detector.stack_.members_[0].predict_proba(cutouts)[:, 1])
    # Finished fits are not repeated.

    def refuse(self, batch, index):
        raise AssertionError("trained again")

    monkeypatch.setattr("gridlens_deep._module.LensModule.training_step", refuse)
    again = LensDetector(members=(member, "linear"), cv=3, random_state=0).fit(cutouts, y)
    np.testing.assert_array_equal(again.predict_proba(cutouts), detector.predict_proba(cutouts))


def test_images_are_read_by_row_and_after_pickling(arcs):
    cutouts = arcs[0][:12]
    member = ResNetMember(**SMALL)
    images = member.prepare(cutouts)
    some = images[np.array([7, 3, 5])]
    assert len(some) == 3
    elsewhere = pickle.loads(pickle.dumps(some))
    np.testing.assert_array_equal(elsewhere.read(np.array([1])), images.read(np.array([3])))
    path = images.path
    del images
    assert path.is_file()
    del some
    assert not path.exists()
    wrong = ResNetMember(**{**SMALL, "size": 64}).prepare(cutouts)
    with pytest.raises(ValueError, match=r"images on the member's grid, Grid\(size=32.*Got Grid\(size=64"):
        member.fit(wrong, arcs[1][:12])


def test_batches_depend_on_the_epoch_and_are_split_between_processes(monkeypatch):
    rows = BatchRows(np.arange(100, 133), 16, seed=1)
    first = [batch.tolist() for batch in rows]
    assert [len(batch) for batch in first] == [16, 16]  # A last batch of a single row is left out.
    rows.set_epoch(1)
    second = [batch.tolist() for batch in rows]
    assert first != second
    rows.set_epoch(0)
    assert [batch.tolist() for batch in rows] == first
    plain = BatchRows(np.arange(5), 2)
    assert [batch.tolist() for batch in plain] == [[0, 1], [2, 3], [4]]
    shares = []
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        shares.append({row for batch in rows for row in batch.tolist()})
        assert len(rows) == 1
    assert len(shares[0]) == len(shares[1]) == 16
    assert not shares[0] & shares[1]


@pytest.mark.slow
def test_two_processes_train_one_network(arcs):
    cutouts, y = arcs[0][:96], arcs[1][:96]
    member = ResNetMember(**SMALL, n_devices=2).fit(cutouts, y)
    assert len(member.history_) == 2
    assert np.isfinite(member.predict_proba(cutouts)).all()
    alone = ResNetMember(**SMALL).fit(cutouts, y)
    assert not np.array_equal(member.predict_proba(cutouts), alone.predict_proba(cutouts))


def test_spread_matches_dropout_and_the_probability_the_member(arcs):
    cutouts, y = arcs[0][:48], arcs[1][:48]
    member = ResNetMember(**{**SMALL, "epochs": 1}, dropout=0.3).fit(cutouts, y)
    p, spread = member.predict_with_spread(cutouts)
    np.testing.assert_allclose(p, member.predict_proba(cutouts), rtol=1e-5)
    # For a sum of weighted terms, each kept with probability 0.7: sd^2 = 0.3 / 0.7 sum (w e)^2.
    terms = member.embed(cutouts) * member.network_.last[0]
    expected = np.sqrt(0.3 / 0.7 * (terms.astype(float) ** 2).sum(axis=1)) / member.temperature_
    assert np.median(spread / expected) == pytest.approx(1.0, abs=0.25)
    still = ResNetMember(**{**SMALL, "epochs": 1}, dropout=0.0).fit(cutouts, y)
    np.testing.assert_allclose(still.predict_with_spread(cutouts)[1], 0.0, atol=1e-5)


@pytest.mark.parametrize("absent", ["torch", "lightning", "transformers", "safetensors"])
def test_the_other_members_work_without_torch(monkeypatch, absent):
    monkeypatch.setitem(sys.modules, absent, None)  # makes the import fail
    listed = CliRunner().invoke(main, ["members", "--json"])
    status = {member["name"]: member["status"] for member in json.loads(listed.output)}
    assert status["lightgbm"] == "ok"
    for name in ("resnet", "vit"):
        assert status[name] == (
            f"The member {name!r} needs packages that are not installed: {absent}. Install them with "
            "`pip install 'gridlens[deep]'`."
        )
    # The compact network has its own backbone, and scores without torch.
    expected = {
        "torch": "can score, but fitting it requires packages that are not installed: torch.",
        "lightning": "can score, but fitting it requires packages that are not installed: lightning.",
        "safetensors": "needs packages that are not installed: safetensors.",
        "transformers": "ok",
    }
    assert expected[absent] in status["convnet"]
    refused = CliRunner().invoke(main, ["train", "--recipe", "quick", "--out", "nowhere", "--members", "resnet"])
    assert refused.exit_code == 1
    assert "gridlens[deep]" in refused.output


@pytest.mark.slow
def test_the_package_is_imported_without_torch():
    code = "import sys, gridlens_deep; print('torch' in sys.modules, gridlens_deep.ResNetMember.name)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False resnet\n"


def test_the_global_random_state_is_not_changed(arcs):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    ResNetMember(**{**SMALL, "epochs": 1}).fit(arcs[0][:32], arcs[1][:32])
    assert torch.equal(torch.get_rng_state(), before)
