"""Cards and pages: written whole, alone, and by the command line; every bad input ends in a sentence."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gridlens import CutoutSet, load_model
from gridlens.cli import main
from gridlens.errors import GridlensError
from gridlens.explain import Explainer, explain_table, read_one, write_card, write_explanations

pytest.importorskip("matplotlib")
EXAMPLES = Path(__file__).parents[2] / "examples" / "cutouts"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def stands_alone(page):
    text = page.read_text()
    assert "<script" not in text
    # Whatever a page shows is in it.
    assert not re.findall(r'(?:src|href)="(?!data:image/webp;base64,)', text)
    return text


@pytest.fixture(scope="module")
def explainer():
    return Explainer(load_model())


@pytest.fixture(scope="module")
def scored(tmp_path_factory, explainer):
    """A folder with a trio of FITS files and a shard, and the table of its scores."""
    folder = tmp_path_factory.mktemp("scored")
    cutouts = folder / "cutouts"
    cutouts.mkdir()
    for path in [*EXAMPLES.glob("DESJ0330*.fits"), EXAMPLES / "simulated.npz"]:
        shutil.copy(path, cutouts)
    result = run("score", cutouts, "--out", folder / "scores.csv", "--prevalence", 0.01)
    assert result.exit_code == 0, result.stderr
    return folder


def test_a_card_says_why(tmp_path, explainer):
    picture, page = write_card(explainer, read_one(EXAMPLES, "J014656-092952"), tmp_path, prevalence=0.01)
    assert picture.name == "J014656-092952.png"
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    text = stands_alone(page)
    for words in ("at a prevalence of 0.01", "The arc candidate adds", "tangential", "lightgbm: a lens", "arc shape"):
        assert words in text
    assert page.stat().st_size < 1e6
    assert sorted(path.name for path in tmp_path.iterdir()) == [page.name, picture.name]


def test_a_name_that_no_file_can_have(tmp_path, explainer, noise):
    cutout = CutoutSet(noise(n=1, size=64), pixel_scale=1.0, ids=["../a b/<c>"])
    picture, page = write_card(explainer, cutout, tmp_path)
    assert picture.parent == tmp_path
    assert page.is_file()
    assert "<c>" not in page.read_text()


def test_a_rejected_cutout_has_no_card(tmp_path, explainer):
    cutout = CutoutSet(np.full((1, 64, 64, 3), np.nan), ids=["bad"])
    with pytest.raises(GridlensError, match="The cutout bad is rejected"):
        write_card(explainer, cutout, tmp_path)
    two = CutoutSet(np.zeros((2, 64, 64, 3)))
    with pytest.raises(GridlensError, match=r"a CutoutSet of one\. Got 2"):
        write_card(explainer, two, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_a_card(scored, tmp_path):
    out = tmp_path / "cards"
    # Of three files of one cutout the table names the first, and so may one do here.
    (first,) = (scored / "cutouts").glob("DESJ0330*_g_sci.fits")
    result = run("explain", first, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert [Path(line).suffix for line in result.stdout.split()] == [".png", ".html"]
    assert len(list(out.iterdir())) == 2


def test_the_command_writes_a_page(scored, tmp_path, monkeypatch):
    out = tmp_path / "report"
    result = run("explain", scored / "scores.csv", "--top", 3, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == f"{out}/index.html"
    text = stands_alone(out / "index.html")
    best = pd.read_csv(scored / "scores.csv").head(3)
    places = [text.index(f"{place} · {name}") for place, name in enumerate(best["id"], start=1)]
    assert places == sorted(places)
    assert text.count('<div class="card">') == 3
    for words in ("Read the two together", "at a prevalence of 0.01", "95 % intervals", "circle&#x27;s centre off"):
        assert words in text
    again = run("explain", scored / "scores.csv", "--out", out)
    assert again.exit_code == 1
    assert "is not empty" in again.stderr


def test_a_table_that_is_not_of_this_model_is_told(scored, explainer):
    table = pd.read_csv(scored / "scores.csv")
    found = explain_table(explainer, table, top=2)
    assert found.notes == []
    assert found.prevalence == 0.01
    assert list(found.explanation.table["id"]) == list(table["id"][:2])
    np.testing.assert_allclose(found.explanation.table["score"], table["score"][:2], atol=1e-6)
    table.loc[0, "score"] = 0.2
    (note,) = explain_table(explainer, table, top=2).notes
    assert "The scores of 1 cutouts differ from the table's" in note


def test_cutouts_that_are_gone(scored, explainer):
    table = pd.read_csv(scored / "scores.csv")
    fits = table["path"].str.endswith(".fits")
    table.loc[fits, "path"] = "nowhere.fits"
    found = explain_table(explainer, table, top=20)
    assert len(found.explanation) == len(table) - 1
    assert found.notes == [f"1 of the best {len(table)} cutouts could not be read again: {table['id'][fits].iloc[0]}."]
    with pytest.raises(GridlensError, match=r"There is no 'nowhere\.fits'; go to the folder"):
        explain_table(explainer, table.assign(path="nowhere.fits"))
    with pytest.raises(GridlensError, match=r"It lacks rank, status; `gridlens score"):
        explain_table(explainer, table[["id", "path"]])
    with pytest.raises(GridlensError, match="a row with the status 'ok'"):
        explain_table(explainer, table.assign(status="rejected"))


def test_one_of_several(scored):
    cutouts = scored / "cutouts"
    assert read_one(cutouts / "simulated.npz", "sim-2026-000007").ids.tolist() == ["sim-2026-000007"]
    with pytest.raises(GridlensError, match=r"several cutouts in .* Name one of them with --id"):
        read_one(cutouts)
    with pytest.raises(GridlensError, match="no cutout with the id 'x'"):
        read_one(cutouts, "x")


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"nothing")
    result = run("explain", tmp_path / "bad.npy", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "Error: The cutout bad cannot be read" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cutouts/", "--top", 3], "--top goes with a table of scores"),
        (["scores.csv", "--id", "x"], "--id picks one of several cutouts"),
        (["scores.csv", "--top", 0], "Invalid value for '--top'"),
        (["x.npy", "--prevalence", 2], "must be a share between 0 and 1"),
    ],
)
def test_wrong_usage(arguments, said):
    result = run("explain", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = run("explain", EXAMPLES, "--id", "x")
    assert result.exit_code == 1
    assert "pip install 'gridlens[explain]'" in result.stderr


def test_a_page_of_one_cutout(tmp_path, explainer, noise):
    """Nothing can be shuffled, and the page says what there is."""
    cutout = CutoutSet(noise(n=1, size=64), pixel_scale=1.0, ids=["alone"])
    write_explanations(explainer, explainer.explain(cutout), {0: cutout}, tmp_path / "page", notes=["A note."])
    text = stands_alone(tmp_path / "page" / "index.html")
    assert "1 · alone" in text
    assert "<p>A note.</p>" in text
