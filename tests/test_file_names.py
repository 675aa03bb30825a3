"""Tests of file names made from ids: they are safe, bounded and distinct."""

import subprocess
import sys

import pytest

from gridlens._file_names import existing_paths, file_stem, joined_paths

ODD = [
    "",
    ".",
    "..",
    "../..",
    "a/b",
    "a_b",
    "A_B",
    "a\\b",
    "x" * 5000,
    "x" * 5000 + "y",
    "é" * 5000,
    "con",
    "NUL",
    "com1.x",
]
ODD += [
    "a b",
    " a",
    "a.",
    "a\nb",
    "*?",
    "e\u0301",
    "\u00e9",
    "-rf",
    "~",
    "$HOME",
    "caf\\xe9",
    "a:b",
    "🔭",
]


def test_every_id_has_a_unique_file(tmp_path):
    taken = set()
    for name in ODD:
        path = tmp_path / f"{file_stem(name, taken)}.html"
        assert not path.exists()
        path.write_text(name)
        assert path.parent == tmp_path
    names = [path.name for path in tmp_path.iterdir()]
    assert len({name.casefold() for name in names}) == len(ODD)
    assert max(len(name.encode()) for name in names) < 200
    assert not [name for name in names if name.startswith(".")]


def test_files_written_one_at_a_time_do_not_replace_each_other():
    names = {file_stem(name) for name in ODD}
    assert len(names) == len(ODD)
    assert max(len(name.encode()) for name in names) < 200
    assert file_stem("a/b") != file_stem("a_b") == "a_b"


@pytest.mark.parametrize("name", ["con", "NUL", "nul.x", "com1", "LPT9", "aux.tar.gz"])
def test_no_file_has_the_name_of_a_windows_device(name):
    assert file_stem(name, set()) == f"_{name}"


@pytest.mark.parametrize("name", ["J1234+56", "A1703", "Abell-é", "0012", "cone", "com", "a_b-2"])
def test_an_ordinary_id_is_unchanged(name):
    assert file_stem(name, set()) == name


def test_an_ascii_file_system_gets_ascii_names(tmp_path):
    script = "from gridlens._file_names import file_stem; open(file_stem('Abell-\\u00e9', set()), 'w'); print('done')"
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "done\n", done.stderr


def test_files_of_a_cutout_are_joined_and_split_again(tmp_path):
    names = ["a_g.fits", "a;b_r.fits", "caf\udce9.fits"]
    for name in names:
        (tmp_path / name).touch()
    paths = [str(tmp_path / name) for name in names]
    text = joined_paths(paths)
    assert text.count(";") == 2 and text.isprintable()
    assert existing_paths(text) == paths
    assert existing_paths(joined_paths(paths[1:2])) == paths[1:2]
    # This name was not joined by gridlens, so the semicolon is part of it.
    assert existing_paths(paths[1]) == paths[1:2]
    assert existing_paths("gone_g.fits;gone_r.fits") == ["gone_g.fits", "gone_r.fits"]
    assert existing_paths("") == []


def test_paths_are_searched_in_the_order_of_the_folders(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, names in ((here, ["a.npz", "x_g.fits"]), (there, ["a.npz", "b.npz", "x_g.fits", "x_r.fits"])):
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    monkeypatch.chdir(here)
    folders = ("", str(there))
    assert existing_paths("a.npz", folders) == ["a.npz"]
    assert existing_paths("b.npz", folders) == [str(there / "b.npz")]
    # All files of one cutout come from the same folder.
    assert existing_paths("x_g.fits;x_r.fits", folders) == [str(there / "x_g.fits"), str(there / "x_r.fits")]
    assert existing_paths("gone.npz", folders) == ["gone.npz"]
