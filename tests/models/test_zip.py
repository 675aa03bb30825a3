"""Tests of a bundle in one file."""

import json
import stat
import zipfile

import numpy as np
import pytest
from bundles import vouch

from gridlens import load_model
from gridlens.errors import GridlensError, ModelError
from gridlens.models import save_model
from gridlens.models._bundle import model_folder


@pytest.fixture(scope="session")
def packed(detector, tmp_path_factory):
    path = tmp_path_factory.mktemp("zip") / "model.zip"
    save_model(detector, path, card="# A card\n", training={"seed": 1})
    return path


@pytest.fixture
def archive(packed, tmp_path):
    """Return a function that writes the archive again with entries changed, removed (None) or added."""

    def write(changes=None, more=(), compression=zipfile.ZIP_DEFLATED):
        path = tmp_path / "changed.zip"
        with zipfile.ZipFile(packed) as old:
            entries = {name: old.read(name) for name in old.namelist()} | (changes or {})
        with zipfile.ZipFile(path, "w", compression) as new:
            for name, content in [*entries.items(), *more]:
                if content is not None:
                    new.writestr(name, content)
        return path

    return write


@pytest.fixture
def unpacked(tmp_path, monkeypatch):
    """Return the folder into which a bundle would be unpacked."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # keeps what was unpacked
    return folder


def test_a_zip_file_scores_like_the_saved_detector(packed, detector, calibration_rows):
    np.testing.assert_array_equal(
        load_model(packed).predict_proba(calibration_rows[0]), detector.predict_proba(calibration_rows[0])
    )


def test_a_zip_file_contains_the_same_as_the_folder(packed, saved):
    with zipfile.ZipFile(packed) as file:
        assert file.namelist()[0] == "manifest.json"
        assert {name: file.read(name) for name in file.namelist()} == {
            path.relative_to(saved).as_posix(): path.read_bytes() for path in saved.rglob("*") if path.is_file()
        }


def test_zip_files_are_byte_identical(packed, detector, tmp_path):
    save_model(detector, tmp_path / "again.zip", card="# A card\n", training={"seed": 1})
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_a_zip_file_is_written_completely_or_not_at_all(detector, tmp_path, monkeypatch):
    monkeypatch.setattr("gridlens.models._bundle.zip_folder", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        save_model(detector, tmp_path / "model.zip", card="", training={})
    assert not list(tmp_path.iterdir())


def test_a_file_that_exists_is_left_alone(detector, tmp_path):
    (tmp_path / "model.zip").write_text("mine")
    with pytest.raises(GridlensError, match=r"model.zip exists. Choose another name"):
        save_model(detector, tmp_path / "model.zip", card="", training={})
    assert (tmp_path / "model.zip").read_text() == "mine"


def test_a_folder_packed_by_hand_is_read(saved, tmp_path):
    """The archive has entries for its folders."""
    path = tmp_path / "by_hand.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.mkdir("lightgbm")
        for each in saved.rglob("*"):
            if each.is_file():
                file.write(each, each.relative_to(saved))
    assert load_model(path).member_names_ == ["lightgbm"]


def test_a_zip_file_has_no_folder(packed):
    with pytest.raises(ModelError, match="not a model bundle"):
        model_folder(packed)


@pytest.mark.parametrize("name", ["/etc/x", "../x", "lightgbm/../../x", "C:/x", "a\\..\\x"])
def test_names_outside_are_refused_before_anything_is_written(archive, unpacked, name):
    path = archive(more=[(name, b"x")])
    with pytest.raises(ModelError, match="outside the bundle"):
        load_model(path)
    assert not [each for each in unpacked.rglob("*") if each.is_file()]


LINK = zipfile.ZipInfo("lightgbm/trees.txt")
LINK.external_attr = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"more": [("card.md", b"other")]}, "'card.md' twice"),
        ({"changes": {"lightgbm/trees.txt": None}, "more": [(LINK, b"/etc/passwd")]}, "a link"),
        ({"more": [("more.txt", b"x")]}, "does not list"),
        ({"changes": {"card.md": None}}, "lacks the file 'card.md'"),
        ({"changes": {"manifest.json": None}}, r"no manifest.json at its top"),
        ({"changes": {"card.md": b"longer than it was"}}, "18 bytes of 'card.md', but its manifest declares 9"),
        ({"changes": {"manifest.json": b" " * (2 << 20)}}, r"manifest.json of over 1048576 bytes"),
        ({"compression": zipfile.ZIP_BZIP2}, "a compression other than deflate"),
    ],
)
def test_other_entries_are_refused_before_anything_is_written(archive, unpacked, changes, said):
    path = archive(**changes)
    with pytest.raises(ModelError, match=said):
        load_model(path)
    assert not [each for each in unpacked.rglob("*") if each.is_file()]


def test_a_bomb_is_refused_before_it_is_written(bundle, archive, unpacked, monkeypatch):
    # The limit is lowered, so that a small bomb suffices; the other files of the bundle count, too.
    monkeypatch.setattr("gridlens.models._zip._MOST_RATIO", 5)
    (bundle / "card.md").write_bytes(b" " * (16 << 20))
    vouch(bundle)
    path = archive({name: (bundle / name).read_bytes() for name in ("card.md", "manifest.json")})
    with pytest.raises(ModelError, match="could fill a disk"):
        load_model(path)
    assert not [each for each in unpacked.rglob("*") if each.is_file()]


def test_a_bomb_that_understates_its_size_is_refused(archive, packed, tmp_path):
    """The directory declares the size in the manifest, but the data are longer."""
    with zipfile.ZipFile(packed) as file:
        declared = json.loads(file.read("manifest.json"))["files"]["card.md"]["bytes"]
    path = archive({"card.md": b" " * 4096})
    content = bytearray(path.read_bytes())
    for size in range(len(content) - 4):
        if content[size : size + 4] == (4096).to_bytes(4, "little"):
            content[size : size + 4] = declared.to_bytes(4, "little")
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=r"damaged|than declared"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip file at all"])
def test_an_invalid_zip_file_is_refused(tmp_path, content):
    (tmp_path / "model.zip").write_bytes(content)
    with pytest.raises(ModelError, match="damaged zip file"):
        load_model(tmp_path / "model.zip")


def test_nothing_stays_behind(packed, archive, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    load_model(packed)
    with pytest.raises(ModelError):
        load_model(archive({"card.md": b"123456789"}))
    assert not list(folder.iterdir())
