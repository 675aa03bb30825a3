"""Tests of file names that a table or terminal cannot hold: they are escaped in every output and found again."""

import csv
import io
import os
import pty
import subprocess
import sys
import xml.etree.ElementTree

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from click.testing import CliRunner

from gridlens._table_print import print_table
from gridlens._tables import read_table
from gridlens.cli import main

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="non-UTF-8 names require Linux")

# Names of files and the resulting ids.
NAMES = {
    b"plain": "plain",
    b"caf\xe9": "caf\\xe9",
    "Abell-é".encode(): "Abell-é",
    "漢字🔭".encode(): "漢字🔭",
    b"a\rb": "a\\x0db",
    b"a\nb": "a\\x0ab",
    b"\x1b[31mred": "\\x1b[31mred",
    b'q"uo,te': 'q"uo,te',
    b"=1+1": "=1+1",
    b"'=x": "'=x",
    b"@[bold]x[:x:]": "@[bold]x[:x:]",
    b"$\\frac$": "$\\frac$",
    b"<script>": "<script>",
    b"\\u00e9": "\\u00e9",
}
SCORE = ("--pixel-scale", "1", "--bands", "gri", "--jobs", "1")
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def command(*arguments, **environment):
    """Run the command in a new process, since the encoding of a process is set when it starts."""
    known = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    return subprocess.run([sys.executable, "-m", "gridlens", *map(str, arguments)], env=known, capture_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("names") / "cut"
    place.mkdir()
    for k, name in enumerate(NAMES):
        pixels = np.random.default_rng(k).normal(size=(64, 64, 3)).astype(np.float32)
        with open(os.path.join(os.fsencode(place), name + b".npy"), "wb") as file:
            np.save(file, pixels)
    with open(os.path.join(os.fsencode(place), b"bad\xe9\r\x1b.npy"), "wb") as file:
        file.write(b"\x93NUMPY")
    return place


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".fits", ".votable"])
def test_every_format_contains_every_name(folder, tmp_path, suffix):
    out = tmp_path / f"scores{suffix}"
    result = run("score", folder, "--out", out, *SCORE)
    assert result.exit_code == 0, result.stderr
    table = read_table(out).set_index("id")
    assert sorted(table.index) == sorted([*NAMES.values(), "bad\\xe9\\x0d\\x1b"])
    assert table["status"].tolist() == ["ok"] * len(NAMES) + ["rejected"]
    for name in NAMES.values():
        assert table.loc[name, "path"] == f"{folder}/{name}.npy"
    assert table.loc["bad\\xe9\\x0d\\x1b", "message"]
    assert ("written with escapes such as \\u00e9" in result.stderr) == (suffix == ".fits")
    if suffix == ".csv":
        assert {len(row) for row in csv.reader(io.StringIO(out.read_text(encoding="utf-8")))} == {
            1 + len(table.columns)
        }
    if suffix == ".votable":
        xml.etree.ElementTree.parse(out)
        assert sorted(Table.read(out, format="votable")["id"]) == sorted(table.index)


def test_an_unprintable_name_is_escaped(folder, tmp_path):
    for name in (b"\x1b[31m\xe9\r", "é\u2028".encode()):
        result = run("score", os.path.join(os.fsencode(folder), name).decode(errors="surrogateescape"))
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
        assert result.stderr.rstrip("\n").isprintable()


@pytest.mark.parametrize("command", ["score", "features"])
@pytest.mark.parametrize("name", ["caf\udce9.parquet", "a\nb.parquet", "caf\udce9/scores.parquet"])
def test_an_output_path_unsupported_by_parquet_is_refused_early(folder, tmp_path, command, name):
    result = run(command, folder, "--out", tmp_path / name)
    assert result.exit_code == 1
    assert "The output must have a path of printable UTF-8 text. Got" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_format_is_written_in_a_non_utf8_working_folder(folder, tmp_path, monkeypatch):
    place = tmp_path / "caf\udce9"
    place.mkdir()
    monkeypatch.chdir(place)
    for suffix in (".parquet", ".fits", ".votable", ".csv"):
        result = run("score", folder, "--out", f"scores{suffix}", *SCORE)
        assert result.exit_code == 0, result.stderr
        assert len(read_table(f"scores{suffix}")) == len(NAMES) + 1
    result = run("features", folder, "--out", "features.parquet", *SCORE)
    assert result.exit_code == 0, result.stderr
    result = run("score", "features.parquet", "--out", "cached.csv")
    assert result.exit_code == 0, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_unencodable_letters_are_escaped_in_a_pipe(folder, encoding):
    done = command("score", folder, *SCORE, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode(encoding))))
    letter = "\\xe9" if encoding == "ascii" else "é"
    assert f"Abell-{letter}" in [row["id"] for row in rows]
    assert "\\u6f22\\u5b57\\U0001f52d" in [row["id"] for row in rows]
    done = command("score", folder / "漢", PYTHONIOENCODING=encoding)
    assert b"There is no file or folder" in done.stderr
    assert b"\\u6f22" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".votable"])
def test_a_locale_without_utf8_scores_the_same_files(folder, tmp_path, suffix):
    out = tmp_path / f"scores{suffix}"
    done = command("score", folder, "--out", out, *SCORE, **C_LOCALE)
    assert done.returncode == 0, done.stderr
    table = read_table(out)
    assert len(table) == len(NAMES) + 1
    assert "Abell-\\xc3\\xa9" in set(table["id"])
    assert (table["status"] == "ok").sum() == len(NAMES)


def test_cells_that_look_like_formulas_are_quoted_on_request(folder, tmp_path):
    plain, quoted = tmp_path / "plain.csv", tmp_path / "quoted.csv"
    assert run("score", folder, "--out", plain, *SCORE).exit_code == 0
    assert run("score", folder, "--out", quoted, "--quote-formulas", *SCORE).exit_code == 0
    raw = [row["id"] for row in csv.DictReader(io.StringIO(quoted.read_text(encoding="utf-8")))]
    assert {"'=1+1", "'@[bold]x[:x:]", "''=x"} <= set(raw)
    assert not [name for name in raw if name[0] in "=+-@"]
    pd.testing.assert_frame_equal(read_table(quoted), read_table(plain))
    assert "=1+1" in {row["id"] for row in csv.DictReader(io.StringIO(plain.read_text(encoding="utf-8")))}
    printed = run("score", folder, "--quote-formulas", *SCORE).stdout
    assert "'=1+1" in {row["id"] for row in csv.DictReader(io.StringIO(printed))}
    wrong = run("score", folder, "--quote-formulas", "--out", tmp_path / "scores.fits")
    assert wrong.exit_code == 2
    assert "--quote-formulas is for CSV" in wrong.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_a_terminal_shows_names_without_interpreting_markup(monkeypatch, encoding):
    names = ["Abell-é", "漢字🔭", "[/bold]x", "[red]", ":smile:", "\\x1b[31mred"]
    table = pd.DataFrame({"rank": range(1, 7), "id": names, "p_any": 0.5, "status": "ok", "message": ""})
    main_side, other = pty.openpty()
    monkeypatch.setenv("COLUMNS", "120")
    with open(other, "w", encoding=encoding, errors="backslashreplace") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        print_table(table)
    shown = os.read(main_side, 65536).decode(encoding)
    os.close(main_side)
    for name in names:
        assert name.encode(encoding, "backslashreplace").decode(encoding) in shown
    assert "p_any" in shown


@pytest.mark.slow
def test_cutouts_are_found_again_by_their_escaped_paths(folder, tmp_path):
    pytest.importorskip("matplotlib")
    scores, out = tmp_path / "scores.fits", tmp_path / "report"
    assert run("score", folder, "--out", scores, *SCORE).exit_code == 0
    result = run("explain", scores, "--out", out, "--top", 50, "--pixel-scale", 1, "--bands", "gri")
    assert result.exit_code == 0, result.stderr
    assert "could not be read again" not in result.stderr
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count('<div class="sheet"') == len(NAMES)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.slow
def test_one_cutout_is_explained_by_its_escaped_name(folder, tmp_path):
    pytest.importorskip("matplotlib")
    for what in ([folder / "a\\x0db.npy"], [folder, "--id", "a\rb"], [folder, "--id", "$\\frac$"]):
        result = run("explain", *what, "--out", tmp_path, "--pixel-scale", 1, "--bands", "gri")
        assert result.exit_code == 0, result.stderr
    assert sorted(path.name[:6] for path in tmp_path.glob("*.png")) == ["a_x0db", "frac-d"]
