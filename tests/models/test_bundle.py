import json
import shutil

import numpy as np
import pytest

from gridlens import load_model
from gridlens._errors import GridlensError, ModelError
from gridlens.features import CONTRACT_VERSION
from gridlens.models import model_folder, read_manifest, save_model
from gridlens.models._manifest import sha256_of


@pytest.fixture(scope="module")
def saved(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "bundle"
    save_model(detector, folder, card="# A card\n", training={"seed": 1})
    return folder


@pytest.fixture
def bundle(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "bundle")


def rewrite(bundle, **changes):
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest.update(changes)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def test_a_loaded_detector_scores_the_same_to_the_bit(saved, detector, calibration_rows):
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


def test_nothing_in_it_is_pickled(saved):
    assert {path.suffix for path in saved.rglob("*") if path.is_file()} == {".json", ".txt", ".md"}


def test_a_flipped_byte_is_refused_before_lightgbm_sees_it(bundle, monkeypatch):
    path = bundle / "lightgbm" / "trees.txt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    monkeypatch.setattr("lightgbm.Booster", lambda *_, **__: pytest.fail("LightGBM was reached"))
    with pytest.raises(ModelError, match=r"trees.txt is damaged.*train the model again"):
        load_model(bundle)


def test_a_truncated_and_a_missing_file_are_refused(bundle):
    path = bundle / "lightgbm" / "trees.txt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        load_model(bundle)
    path.unlink()
    with pytest.raises(ModelError, match=r"lacks its file 'lightgbm/trees.txt'"):
        load_model(bundle)


def test_a_loaded_bundle_is_not_tried_again_until_it_changes(saved, bundle, monkeypatch):
    load_model(saved)
    monkeypatch.setattr("gridlens.models._bundle.probe", lambda *_: pytest.fail("tried again"))
    load_model(bundle)  # a copy: the same hashes
    rewrite(bundle, training={"seed": 2})
    with pytest.raises(pytest.fail.Exception, match="tried again"):
        load_model(bundle)


def test_a_broken_model_with_honest_hashes_ends_another_process(bundle):
    """Hashes tell damage, not malice."""
    path = bundle / "lightgbm" / "trees.txt"
    path.write_bytes(path.read_bytes()[:3000])
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    files["lightgbm/trees.txt"] = {"bytes": 3000, "sha256": sha256_of(path)}
    rewrite(bundle, files=files)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(bundle)


def test_another_contract_and_another_bundle_version_are_refused(bundle):
    rewrite(bundle, contract_version=CONTRACT_VERSION + 1)
    with pytest.raises(ModelError, match=r"feature contract 2.*gridlens train"):
        load_model(bundle)
    rewrite(bundle, contract_version=CONTRACT_VERSION, bundle_version=99)
    with pytest.raises(ModelError, match="bundle version 99"):
        load_model(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"bundle_version": 1, "contract_version": 1, "files": {}}'])
def test_a_manifest_that_says_nothing_is_refused(bundle, text):
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match="manifest"):
        load_model(bundle)


def test_a_manifest_cannot_name_files_outside(bundle, tmp_path):
    (tmp_path / "secret").write_text("x")
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    rewrite(bundle, files={**files, "../secret": {"bytes": 1, "sha256": ""}})
    with pytest.raises(ModelError, match="outside the bundle"):
        load_model(bundle)


def test_no_bundle_there(tmp_path):
    with pytest.raises(ModelError, match=r"no manifest.json.*gridlens train"):
        load_model(tmp_path)


def test_a_folder_that_is_not_empty_is_left_alone(detector, bundle):
    before = sorted(path.name for path in bundle.parent.iterdir())
    with pytest.raises(GridlensError, match="is not empty"):
        save_model(detector, bundle, card="", training={})
    assert sorted(path.name for path in bundle.parent.iterdir()) == before


def test_the_bundled_model_is_whole_small_and_loads():
    folder = model_folder("default")
    manifest = read_manifest(folder)
    assert sum(entry["bytes"] for entry in manifest["files"].values()) < 10e6
    assert manifest["training"]["recipe"]["n_train"] >= 16_000
    detector = load_model("default")
    assert detector.member_names_ == ["lightgbm"]
    assert "## Limits" in (folder / "card.md").read_text()
