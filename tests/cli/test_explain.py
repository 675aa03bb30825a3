"""Tests of `gridlens explain`: it finds the rows of a table in the files from which they were scored, and resumes."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from skies import DEC, RA, gnomonic, write_image

from gridlens import load_model
from gridlens.cli import main
from gridlens.cutouts import CutoutSet, write_npz
from gridlens.errors import GridlensError
from gridlens.explain import Explainer, explain_table
from gridlens.explain._sample import read_one

pytest.importorskip("matplotlib")
SIZE = 500


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def explainer():
    return Explainer(load_model())


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Return a folder of images in three bands, with a catalogue and the scores of its clusters."""
    folder = tmp_path_factory.mktemp("survey")
    rng = np.random.default_rng(5)
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    galaxy = 300.0 * np.exp(-np.hypot(x, y) / 12.0)
    for band, colour in zip("gri", (0.4, 1.0, 1.5), strict=True):
        image = (rng.normal(size=(SIZE, SIZE)) + colour * galaxy).astype(np.float32)
        write_image(folder / f"t_{band}.fits", image, gnomonic(0.2, SIZE), MAGZERO=27.0)
    rows = [f"A,{RA},{DEC}", f"B,{RA + 0.002},{DEC}", f"C,{RA},{DEC - 0.002}"]
    (folder / "c.csv").write_text("\n".join(["id,ra,dec", *rows]))
    result = run("score", *images_of(folder), "--out", folder / "scores.csv")
    assert result.exit_code == 0, result.stderr
    return folder


def images_of(folder):
    images = [word for band in "gri" for word in ("--image", f"{band}={folder / f't_{band}.fits'}")]
    return ["--catalog", folder / "c.csv", *images, "--size", "64arcsec", "--npix", 96]


def test_a_row_contains_all_paths_of_its_cutout(survey):
    table = pd.read_csv(survey / "scores.csv")
    assert set(table["path"]) == {";".join(str(survey / f"t_{band}.fits") for band in "gri")}


def test_scores_from_images_are_explained_from_the_images(survey, explainer):
    table = pd.read_csv(survey / "scores.csv")
    images = {band: str(survey / f"t_{band}.fits") for band in "gri"}
    found = explain_table(explainer, table, 2, catalog=survey / "c.csv", images=images, npix=96)
    assert found.notes == []
    assert found.explanation.table["id"].tolist() == table["id"][:2].tolist()
    np.testing.assert_array_equal(found.explanation.table["score"], table["score"][:2])
    assert [cutout.ids.tolist() for cutout in found.cutouts.values()] == [[name] for name in table["id"][:2]]


@pytest.mark.slow
def test_the_command_follows_images_and_resumes(survey, tmp_path, monkeypatch):
    out = tmp_path / "report"
    command = ["explain", survey / "scores.csv", *images_of(survey), "--out", out]
    with monkeypatch.context() as patch:
        patch.setattr("gridlens.reports.write_explanations", stop)
        result = run(*command)
    assert result.exit_code == 1
    assert "resume the command with --resume" in result.stderr
    assert list((tmp_path / "report.parts").glob("part-*.parquet"))
    result = run(*command)
    assert result.exit_code == 1
    assert "Resume it with --resume" in result.stderr
    # The clusters are not cut out again.
    with monkeypatch.context() as patch:
        patch.setattr("gridlens.sources._images.cut_rows", stop)
        result = run(*command, "--resume")
    assert result.exit_code == 0, result.stderr
    page = (out / "index.html").read_text()
    assert page.count('<div class="sheet"') == 3
    assert not (tmp_path / "report.parts").exists()
    assert "nothing left to do" in run(*command, "--resume").stderr
    (out / "index.html").write_text("")
    assert run(*command, "--overwrite").exit_code == 0
    assert (out / "index.html").stat().st_size == len(page.encode())


def stop(*_, **__):
    raise KeyboardInterrupt


def test_a_folder_with_other_files_is_left_alone(survey, tmp_path):
    (tmp_path / "notes.txt").touch()
    result = run("explain", survey / "scores.csv", *images_of(survey), "--out", tmp_path, "--overwrite")
    assert result.exit_code == 1
    assert "contains files other than a page, such as notes.txt" in result.stderr


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Return a folder of two shards that share an id, with their features and the scores of the features."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    for k, side in enumerate((64, 80)):
        pixels = rng.normal(size=(3, side, side, 3)).astype(np.float32)
        write_npz(folder / f"{k}.npz", CutoutSet(pixels, ids=[f"a{k}", f"b{k}", "same"], pixel_scale=1.0))
    assert run("features", folder, "--out", folder / "f.parquet").exit_code == 0
    assert run("score", folder / "f.parquet", "--out", folder / "scores.csv").exit_code == 0
    return folder


def test_scores_of_a_cache_are_explained_from_the_paths_that_it_names(shards, explainer):
    table = pd.read_csv(shards / "scores.csv")
    found = explain_table(explainer, table)
    assert found.notes == []
    assert found.explanation.table["id"].tolist() == table["id"].tolist()
    assert found.explanation.table["path"].tolist() == table["path"].tolist()
    assert len(found.cutouts) == 6
    without = explain_table(explainer, table, source=shards / "f.parquet")
    np.testing.assert_array_equal(without.explanation.values, found.explanation.values)
    assert without.cutouts == {}


def test_cutouts_that_moved_are_found_by_their_ids(shards, explainer, tmp_path):
    table = pd.read_csv(shards / "scores.csv")
    for path in shards.glob("*.npz"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    found = explain_table(explainer, table.assign(path="gone.npz"), source=tmp_path)
    assert sorted(found.explanation.table["id"]) == sorted(table["id"])


def test_a_sheet_of_a_cache_is_refused(shards):
    with pytest.raises(GridlensError, match="no pixels"):
        read_one(shards / "f.parquet", "a0")


def test_one_cluster_of_the_images(survey, tmp_path):
    result = run("explain", *images_of(survey), "--id", "B", "--out", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["B.html", "B.png"]
    result = run("explain", *images_of(survey), "--id", "no", "--out", tmp_path)
    assert result.exit_code == 1
    assert "no cutout with the id 'no'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Name either cutouts with PATHS or survey images"),
        (["x.npz", "--image", "g=x"], "Name either cutouts"),
        (["scores.csv", "x.npz", "--image", "g=x"], "Name either cutouts"),
        (["scores.csv", "--image", "g=x"], "--image needs a --catalog"),
        (["x.npz", "--resume"], "--resume and --all-sheets need a table of scores"),
        (["x.npz", "--all-sheets"], "--all-sheets need a table of scores"),
        (["x.npz", "--top", 3], "--top needs a table of scores"),
        (["scores.csv", "--top", 3, "--id", "A"], "mutually exclusive"),
    ],
)
def test_usage(arguments, said):
    result = run("explain", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
