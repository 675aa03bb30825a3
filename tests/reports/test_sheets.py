"""Tests of candidate sheets and their pages: complete, self-contained, and from the command line."""

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
from gridlens.explain import Explainer
from gridlens.explain._sample import read_one
from gridlens.features import best_arc
from gridlens.reports import draw_candidate, draw_candidate_sheet, write_candidate_sheet, write_explanations
from gridlens.reports._figures import text_width, wrapped
from gridlens.reports._sheet_values import position_words, score_words

pytest.importorskip("matplotlib")
EXAMPLES = Path(__file__).parents[2] / "examples" / "cutouts"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def stands_alone(page):
    text = page.read_text()
    assert "<script" not in text
    # All content is embedded in the page, and each link leads to a part of it.
    assert not re.findall(r'src="(?!data:image/webp;base64,)|href="(?!#)', text)
    anchors = re.findall(r'<\w+[^>]* id="([^"]*)"', text)
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r'href="#([^"]*)"', text)) <= set(anchors)
    return text


@pytest.fixture(scope="module")
def explainer():
    return Explainer(load_model())


@pytest.fixture(scope="module")
def scored(tmp_path_factory, explainer):
    """Create a folder with three FITS files of one cutout, a shard, and the table of their scores."""
    folder = tmp_path_factory.mktemp("scored")
    cutouts = folder / "cutouts"
    cutouts.mkdir()
    for path in [*EXAMPLES.glob("DESJ0330*.fits"), EXAMPLES / "simulated.npz"]:
        shutil.copy(path, cutouts)
    result = run("score", cutouts, "--out", folder / "scores.csv", "--prevalence", 0.01)
    assert result.exit_code == 0, result.stderr
    return folder


def test_a_sheet_explains_the_score(tmp_path, explainer):
    picture, page = write_candidate_sheet(explainer, read_one(EXAMPLES, "J014656-092952"), tmp_path, prevalence=0.01)
    assert picture.name == "J014656-092952.png"
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    text = stands_alone(page)
    for words in (
        "at a prevalence of 0.01",
        "A thin blue arc 12 arcsec",
        "tangential",
        "lightgbm: in favour",
        "2 of 2 members are",
        "RA 01:46:56",
    ):
        assert words in text
    assert page.stat().st_size < 1e6
    assert sorted(path.name for path in tmp_path.iterdir()) == [page.name, picture.name]


@pytest.mark.slow
def test_an_id_that_is_not_a_valid_file_name(tmp_path, explainer, noise):
    cutout = CutoutSet(noise(n=1, size=64), pixel_scale=1.0, ids=["../a b/<c>"])
    picture, page = write_candidate_sheet(explainer, cutout, tmp_path)
    assert picture.parent == tmp_path
    assert page.is_file()
    assert "<c>" not in page.read_text()


def test_a_rejected_cutout_has_no_sheet(tmp_path, explainer):
    cutout = CutoutSet(np.full((1, 64, 64, 3), np.nan), ids=["bad"])
    with pytest.raises(GridlensError, match="The cutout bad is rejected"):
        write_candidate_sheet(explainer, cutout, tmp_path)
    two = CutoutSet(np.zeros((2, 64, 64, 3)))
    with pytest.raises(GridlensError, match=r"a CutoutSet of one\. Got 2"):
        write_candidate_sheet(explainer, two, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_writes_a_sheet(scored, tmp_path):
    out = tmp_path / "sheets"
    files = sorted((scored / "cutouts").glob("DESJ0330*.fits"))
    result = run("explain", *files, "--out", out)
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
    assert text.count('<div class="sheet"') == 3
    # The page begins with the candidates, and each of them links to its sheet.
    links = [text.index(f'<a href="#sheet-{place}"') for place in (1, 2, 3)]
    assert (
        text.index('id="candidates"') < links[0] < links[2] < text.index('id="sheet-1"') < text.index('id="importance"')
    )
    for words in ("Read both together", "at a prevalence of 0.01", "95 % intervals", "circle&#39;s centre off"):
        assert words in text
    again = run("explain", scored / "scores.csv", "--out", out)
    assert again.exit_code == 1
    assert "exists. Use another output, or replace it with --overwrite" in again.stderr


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"nothing")
    result = run("explain", tmp_path / "bad.npy", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "Error: The cutout bad cannot be read" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cutouts/", "--top", 3], "--top needs a table of scores"),
        (["scores.csv", "--top", 0], "Invalid value for '--top'"),
        (["x.npy", "--prevalence", 2], "must be a prevalence between 0 and 1"),
    ],
)
def test_wrong_usage(arguments, said):
    result = run("explain", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_missing_matplotlib_names_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = run("explain", EXAMPLES, "--id", "x")
    assert result.exit_code == 1
    assert "pip install 'gridlens[explain]'" in result.stderr


def test_a_page_of_one_cutout(tmp_path, explainer, noise):
    """Nothing can be shuffled, and the page says what there is."""
    cutout = CutoutSet(noise(n=1, size=64), pixel_scale=1.0, ids=["alone"])
    write_explanations(explainer, explainer.explain(cutout), {}, tmp_path / "bare")
    bare = (tmp_path / "bare" / "index.html").read_text()
    assert "no cutouts with pixels were given" in bare and 'href="#sheets"' not in bare
    write_explanations(explainer, explainer.explain(cutout), {0: cutout}, tmp_path / "page", notes=["A note."])
    text = stands_alone(tmp_path / "page" / "index.html")
    assert "1 · alone" in text
    assert "<p>A note.</p>" in text
    with pytest.raises(GridlensError, match=r"at most 500 cutouts, .* Got 501"):
        write_explanations(explainer, explainer.explain(cutout), dict.fromkeys(range(501), cutout), tmp_path / "many")


@pytest.mark.slow
def test_text_of_cutouts_is_escaped(tmp_path, explainer, noise):
    """Ids, notes and messages are text, never markup."""
    hostile = "<script>alert('x')</script>\"&"
    cutout = CutoutSet(noise(n=1, size=64), pixel_scale=1.0, ids=[hostile])
    found = explainer.explain(cutout)
    found.table["message"] = hostile
    write_explanations(explainer, found, {0: cutout}, tmp_path / "page", notes=[hostile])
    _, sheet = write_candidate_sheet(explainer, cutout, tmp_path)
    for path, times in ((tmp_path / "page" / "index.html", 6), (sheet, 3)):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text and hostile not in text
        assert text.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&#34;&amp;") == times


def test_a_sheet_is_a_figure(explainer):
    cutout = read_one(EXAMPLES, "J014656-092952")
    found = explainer.explain(cutout)
    figure = draw_candidate_sheet(explainer, cutout, explanation=found)
    texts = [text.get_text() for text in figure.texts]
    assert texts[:2] == ["J014656-092952", "RA 01:46:56.03, Dec -09:29:52.1 (ICRS); 26.73347, -9.49781 deg"]
    assert texts[2].startswith("Score 0.9996 at even prevalence; p_lens 0.7 [")
    # Four panels, the waterfall, the members and the groups.
    assert len(figure.axes) == 7
    assert {"N", "E", "10 arcsec"} <= {text.get_text() for text in figure.axes[0].texts}
    # No label is cut, because the axes begin where the longest label ends.
    labels = [label for ax in figure.axes[4:] for label in ax.get_yticklabels()]
    figure.canvas.draw()
    assert min(label.get_window_extent().x0 for label in labels) >= 0.0


def test_a_different_best_candidate_by_shape_is_described(explainer):
    cutout = read_one(EXAMPLES, "J1059_4251")
    found = explainer.explain(cutout)
    best = int(best_arc(found.features)[0])
    for patch, said in ((best, ""), (4, "Dashed: the best candidate by its shape, a red round object 11 arcsec")):
        found.table["arc_patch"] = [patch]
        texts = [text.get_text() for text in draw_candidate_sheet(explainer, cutout, explanation=found).texts]
        assert ("Dashed" in texts[-1]) == bool(said)
        assert said in texts[-1]


def test_an_unknown_orientation_is_stated(explainer, noise):
    cutout = CutoutSet(noise(n=1, size=64), pixel_scale=1.0)
    texts = [text.get_text() for text in draw_candidate_sheet(explainer, cutout).texts]
    assert texts[1] == "Position unknown"
    assert "Orientation unknown." in texts[-1]


def test_a_candidate_is_drawn_alone(explainer):
    cutout = read_one(EXAMPLES, "J014656-092952")
    bare = draw_candidate(cutout)
    assert not bare.collections
    outlined = draw_candidate(cutout, bare, patch=explainer.explain(cutout).table["arc_patch"][0])
    assert outlined is bare
    assert outlined.collections
    assert outlined.get_xlim() == (-0.5, len(cutout.pixels[0]) - 0.5)
    with pytest.raises(GridlensError, match=r"a CutoutSet of one\. Got 0"):
        draw_candidate(cutout[:0])


def test_words_of_scores_and_positions():
    assert [score_words(score) for score in (0.123, 0.98, 0.9996)] == ["0.12", "0.98", "0.9996"]
    assert position_words(0.0, -0.5) == "RA 00:00:00.00, Dec -00:30:00.0 (ICRS); 0.00000, -0.50000 deg"
    assert position_words(np.nan, 0.0) == ""


def test_text_is_wrapped_to_a_width():
    assert wrapped("a b", 1000.0, 8.0) == "a b"
    lines = wrapped("one two three " + "x" * 80, 100.0, 8.0).split("\n")
    assert max(text_width(line, 8.0) for line in lines) <= 100.0
    assert "".join(lines).replace(" ", "") == "onetwothree" + "x" * 80


@pytest.mark.parametrize("library", ["matplotlib", "jinja2"])
def test_a_missing_library_is_reported_early(monkeypatch, tmp_path, explainer, library):
    monkeypatch.setitem(__import__("sys").modules, library, None)
    monkeypatch.setattr(explainer, "explain", None)
    with pytest.raises(GridlensError, match=rf"need the package {library}: pip install 'gridlens\[explain\]'"):
        write_candidate_sheet(explainer, None, tmp_path)
