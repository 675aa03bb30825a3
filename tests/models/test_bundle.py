import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import restate, rewrite, vouch

from gridlens import LensDetector, load_model
from gridlens.errors import GridlensError, ModelError
from gridlens.features import CONTRACT_VERSION
from gridlens.members import LightGBMMember, NNPUMember
from gridlens.models import describe_model, read_manifest, save_model, upgrade_model
from gridlens.models._bundle import model_folder
from gridlens.models._manifest import BUNDLE_VERSION, hash_arrays


def test_a_loaded_detector_scores_identically(saved, detector, calibration_rows):
    np.testing.assert_array_equal(
        load_model(saved).predict_proba(calibration_rows[0]), detector.predict_proba(calibration_rows[0])
    )


def test_the_manifest_lists_every_file_and_how_the_model_was_made(saved):
    manifest = read_manifest(saved)
    files = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == files - {"manifest.json"}
    assert manifest["contract_version"] == CONTRACT_VERSION
    assert manifest["training"] == {"seed": 1}
    assert "lightgbm" in manifest["versions"]
    assert manifest["sources"] == {"lightgbm": "gridlens"}
    assert manifest["parameters"]["random_state"] == 0
    assert len(manifest.get("git_commit", "0" * 40).removesuffix("-dirty")) == 40


def test_the_manifest_does_not_require_git(detector, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    save_model(detector, tmp_path / "model", card="", training={})
    assert "git_commit" not in read_manifest(tmp_path / "model")


def test_training_that_is_not_json_serialisable_is_refused(detector, tmp_path):
    with pytest.raises(ValueError, match="'training' parameter must contain JSON values"):
        save_model(detector, tmp_path / "model", card="", training={"snr": float("nan")})
    assert not list(tmp_path.iterdir())


def test_hashes_of_arrays_depend_on_values_shape_and_type():
    y = np.array([0, 1, 1, 0])
    found = hash_arrays({"y": y, "again": y.astype(">i8"), "row": y[None], "small": y.astype(np.int8)})
    assert found["y"] == found["again"]
    assert found["row"]["sha256"] == found["y"]["sha256"]
    assert found["row"]["shape"] == [1, 4]
    assert found["small"] != found["y"]
    assert found["y"]["dtype"] == "i8"
    assert hash_arrays({"y": np.asfortranarray(np.eye(3)[:, ::2])}) == hash_arrays({"y": np.eye(3)[:, ::2].copy()})
    with pytest.raises(ValueError, match="objects in 'ids'"):
        hash_arrays({"ids": np.array(["a", None])})


def test_averaged_members_are_restored_exactly(training_rows, calibration_rows, tmp_path):
    settings = {"n_estimators": 10, "min_child_samples": 20, "turns": False}
    members = [LightGBMMember(**settings), NNPUMember(class_prior=0.6, **settings)]
    detector = LensDetector(members, final="average", cv=3, random_state=0)
    detector.fit(*training_rows, calibration=calibration_rows)
    # Replace one member by a single fit, which is not an average over the folds.
    detector.stack_.members_[1] = members[1].fit(*training_rows)
    expected = detector.predict_proba(calibration_rows[0])
    for name in ("model", "model.zip"):
        save_model(detector, tmp_path / name, card="", training={})
        np.testing.assert_array_equal(load_model(tmp_path / name).predict_proba(calibration_rows[0]), expected)
    described = describe_model(tmp_path / "model").detector["members"]
    assert [member["averaged"] for member in described.values()] == [True, False]
    restate(tmp_path / "model", averaged=[False, False])
    with pytest.raises(ModelError, match="its 'averaged' of 'lightgbm' does not match the files"):
        load_model(tmp_path / "model")


def test_a_bundle_contains_no_pickles(saved):
    assert {path.suffix for path in saved.rglob("*") if path.is_file()} == {".json", ".npz", ".npy", ".txt", ".md"}


@pytest.mark.parametrize("name", ["trees.txt", "trees.npz"])
def test_a_flipped_byte_is_refused(bundle, name):
    path = bundle / "lightgbm" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=rf"{name} is damaged.*train the model again"):
        load_model(bundle)


def imported_by(code):
    """Return the packages that a fresh process has imported after `code`."""
    script = f"{code}\nimport sys\nprint('\\n' + ' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_loading_scoring_and_explaining_require_no_tree_library(saved):
    code = (
        "import numpy as np, gridlens\n"
        f"for name in ('default', 'cluster-cluster', {str(saved)!r}):\n"
        "    detector = gridlens.load_model(name)\n"
        "    assert np.isfinite(detector.predict_proba(np.zeros((5, 315), np.float32))).all()\n"
        "    detector.stack_.members_[0].contributions(np.zeros((5, 315), np.float32))"
    )
    found = imported_by(code)
    assert "gridlens" in found
    assert not found & {"lightgbm", "xgboost"}


def test_a_bundle_of_version_0_1_scores_the_same(tmp_path):
    """Version 0.1 wrote this bundle of all members on features, and the expected scores."""
    old = Path(__file__).with_name("bundle-0.1.zip")
    with np.load(old.with_name("bundle-0.1-scores.npz")) as expected:
        rows, members, p = (expected[name] for name in ("X", "members", "p"))
    upgrade_model(old, tmp_path / "upgraded")
    for name in (old, tmp_path / "upgraded"):
        detector = load_model(name)
        # The exponential differs between versions of numpy in its last bit.
        np.testing.assert_array_max_ulp(detector.member_probabilities(rows), members, maxulp=2)
        np.testing.assert_array_max_ulp(detector.predict_proba(rows)[:, 1], p, maxulp=4)
    lightgbm, patch, nnpu = detector.stack_.members_[:3]
    assert (lightgbm.n_estimators, lightgbm.subsample, patch.extra_trees) == (4, 0.8, False)
    assert (patch.top_k, nnpu.class_prior) == (2, 0.6)


def test_an_upgraded_bundle_keeps_its_record(tmp_path):
    old = Path(__file__).with_name("bundle-0.1.zip")
    upgrade_model(old, tmp_path / "upgraded")
    before, after = describe_model(old), describe_model(tmp_path / "upgraded")
    assert (after.card, after.manifest["bundle_version"]) == ("# A model of version 0.1\n", BUNDLE_VERSION)
    assert set(after.manifest["files"]) > set(before.manifest["files"])
    changed = {"bundle_version", "files"}
    assert {k: v for k, v in after.manifest.items() if k not in changed} == {
        k: v for k, v in before.manifest.items() if k not in changed
    }
    with pytest.raises(GridlensError, match="is not empty"):
        upgrade_model(old, tmp_path / "upgraded")


def test_a_truncated_and_a_missing_file_are_refused(bundle):
    path = bundle / "lightgbm" / "trees.txt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        load_model(bundle)
    path.unlink()
    with pytest.raises(ModelError, match=r"lacks the file 'lightgbm/trees.txt'"):
        load_model(bundle)


def test_another_contract_and_another_bundle_version_are_refused(bundle):
    rewrite(bundle, contract_version=CONTRACT_VERSION + 1)
    with pytest.raises(ModelError, match=r"feature contract 2.*gridlens train"):
        load_model(bundle)
    rewrite(bundle, contract_version=CONTRACT_VERSION, bundle_version=99)
    with pytest.raises(ModelError, match=r"bundle version 99.*Upgrade gridlens"):
        load_model(bundle)


def test_an_older_bundle_is_upgraded_one_version_at_a_time(bundle, monkeypatch):
    """The state of version 1 passes through the upgrade functions of versions 1, 2 and 3."""
    rewrite(bundle, bundle_version=1)
    state = json.loads((bundle / "detector.json").read_text())
    state["parts"] = state.pop("members")
    (bundle / "detector.json").write_text(json.dumps(state))
    vouch(bundle)
    for module in ("_manifest", "_state"):
        monkeypatch.setattr(f"gridlens.models.{module}.BUNDLE_VERSION", 4)
    upgrades = {
        1: lambda old: {"names": old["parts"], **old},
        2: lambda old: {"words": old["names"], **old},
        3: lambda old: {"members": old["words"], **old},
    }
    monkeypatch.setattr("gridlens.models._state.UPGRADES", upgrades)
    assert load_model(bundle).member_names_ == ["lightgbm"]
    restate(bundle, parts=None)
    with pytest.raises(ModelError, match="members must be"):
        load_model(bundle)
    monkeypatch.setitem(upgrades, 1, lambda old: {"names": old["absent"], **old})
    with pytest.raises(ModelError, match="cannot be upgraded to version 4"):
        load_model(bundle)


def test_a_member_that_is_not_installed_is_named_with_its_plugin(bundle):
    restate(bundle, members=["arcnet"])
    rewrite(bundle, sources={"arcnet": "gridlens-arcnet 1.2"})
    with pytest.raises(ModelError, match=r"'arcnet', which cannot be used here.*from gridlens-arcnet 1.2; install it"):
        load_model(bundle)
    rewrite(bundle, sources={})
    with pytest.raises(ModelError, match=r"'arcnet', which cannot be used here. The 'members' parameter"):
        load_model(bundle)


@pytest.mark.parametrize("name", ["notes.txt", "lightgbm/state.json", "lightgbm/folds.json"])
def test_a_file_that_is_not_listed_is_refused(bundle, name):
    (bundle / name).write_text("{}")
    with pytest.raises(ModelError, match=f"contains '{name}', which its manifest does not list"):
        load_model(bundle)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="requires links and pipes")
@pytest.mark.parametrize("name", ["lightgbm/trees.txt", "lightgbm", "manifest.json", "more"])
def test_links_and_pipes_are_refused(bundle, tmp_path, name):
    path = bundle / name
    if path.exists():
        path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="link"):
        load_model(bundle)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelError, match=r"not a regular file|no manifest.json"):
        load_model(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"bundle_version": 1, "contract_version": 1, "files": {}}'])
def test_an_empty_manifest_is_refused(bundle, text):
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match="manifest"):
        load_model(bundle)


def test_a_manifest_cannot_name_files_outside(bundle, tmp_path):
    (tmp_path / "secret").write_text("x")
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    rewrite(bundle, files={**files, "../secret": {"bytes": 1, "sha256": ""}})
    with pytest.raises(ModelError, match="outside the bundle"):
        load_model(bundle)


def test_a_missing_bundle_is_reported(tmp_path):
    with pytest.raises(ModelError, match=r"no manifest.json.*gridlens train"):
        load_model(tmp_path)


def test_a_folder_that_is_not_empty_is_left_alone(detector, bundle):
    before = sorted(path.name for path in bundle.parent.iterdir())
    with pytest.raises(GridlensError, match="is not empty"):
        save_model(detector, bundle, card="", training={})
    assert sorted(path.name for path in bundle.parent.iterdir()) == before


@pytest.mark.parametrize(("name", "n_train"), [("default", 16_000), ("cluster-cluster", 2_000)])
def test_the_bundled_models_are_complete_small_and_loadable(name, n_train):
    folder = model_folder(name)
    manifest = read_manifest(folder)
    assert sum(entry["bytes"] for entry in manifest["files"].values()) < 10e6
    assert manifest["training"]["recipe"]["n_train"] >= n_train
    detector = load_model(name)
    assert detector.member_names_ == ["lightgbm", "patch"]
    card = (folder / "card.md").read_text()
    assert "## Limits" in card
    assert "In AUROC the stack is better than lightgbm alone" in card
    assert ("It has not\n  been tested on real examples" in card) == (name == "cluster-cluster")
