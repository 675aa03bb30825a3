"""Tests of tables passed between commands, in every format, from any folder and without repeated options."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from skies import DEC, RA, gnomonic, write_image

from gridlens import load_model
from gridlens._tables import TABLE_SUFFIXES, read_table
from gridlens.cli import main
from gridlens.cutouts import CutoutSet, write_npz
from gridlens.explain import Explainer, explain_table
from gridlens.explain._remembered import remembered

pytest.importorskip("matplotlib")
SIZE = 500
IDS = list("ABCDEF")


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def explainer():
    return Explainer(load_model())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a project: cutouts without a scale, a catalogue, and tables of scores and features that need both."""
    project = tmp_path_factory.mktemp("made") / "project"
    (project / "cutouts").mkdir(parents=True)
    rng = np.random.default_rng(1)
    y, x = np.indices((64, 64)) - 31.5
    galaxy = 100.0 * np.exp(-np.hypot(x, y) / 4.0)[:, :, None] * [0.4, 1.0, 1.5]
    for name in IDS:
        np.save(project / "cutouts" / f"{name}.npy", (rng.normal(size=(64, 64, 3)) + galaxy).astype(np.float32))
    pd.DataFrame({"id": IDS, "redshift": 0.3, "bcg_x": 31.0, "bcg_y": 33.0}).to_csv(project / "c.csv", index=False)
    pd.DataFrame({"id": IDS, "label": [1, 0] * 3}).to_csv(project / "truth.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        options = ["cutouts", "--catalog", "c.csv", "--pixel-scale", 0.8, "--bands", "gri"]
        for suffix in TABLE_SUFFIXES:
            run("score", *options, "--out", f"scores{suffix}")
        run("features", *options, "--out", "f.parquet")
        run("score", "f.parquet", "--out", "of-features.csv")
    return project


@pytest.fixture
def project(made, tmp_path, monkeypatch):
    """Yield a copy of the project as the working directory, while the original folder is gone."""
    home = tmp_path / "project"
    shutil.copytree(made, home)
    gone = made.rename(tmp_path / "gone")
    monkeypatch.chdir(home)
    yield home
    gone.rename(made)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
def test_every_table_format_is_explained_and_evaluated(project, suffix):
    scores = f"scores{suffix}"
    result = run("explain", scores, "--id", "B", "--out", "sheets")
    assert result.stdout.split() == ["sheets/B.png", "sheets/B.html"]
    assert f"options of the run that wrote {scores}: --bands gri --catalog c.csv --pixel-scale 0.8" in result.stderr
    assert "differ" not in result.stderr
    result = run("evaluate", scores, "truth.csv", "--draws", 20, "--out", "report")
    assert result.stdout.startswith("6 cutouts, 3 of them lenses")
    assert result.stdout.endswith("\nreport/index.html\n")
    assert json.loads((project / "report" / "metrics.json").read_text())["positives"] == 3


def test_tables_are_explained_from_any_folder(project, explainer, tmp_path, monkeypatch):
    here = explain_table(explainer, "scores.csv", 2)
    monkeypatch.chdir(tmp_path)
    there = explain_table(explainer, "project/scores.csv", 2)
    assert here.notes == there.notes == []
    np.testing.assert_array_equal(here.explanation.values, there.explanation.values)
    np.testing.assert_array_equal(here.explanation.table["score"], read_table("project/scores.csv")["score"][:2])


def test_a_folder_of_the_same_name_elsewhere_is_not_taken(made, explainer, tmp_path, monkeypatch):
    """The folder in which the table was made takes precedence over the working directory."""
    shutil.copytree(made / "cutouts", tmp_path / "cutouts")
    for path in (tmp_path / "cutouts").iterdir():
        np.save(path, np.flip(np.load(path), axis=0) + np.float32(1.0))
    monkeypatch.chdir(tmp_path)
    assert explain_table(explainer, made / "scores.csv", 2).notes == []


def test_options_that_are_given_take_precedence(project, explainer):
    (note,) = explain_table(explainer, "scores.csv", 2, pixel_scale=0.5).notes
    assert "The scores of 2 cutouts differ" in note
    shutil.copytree("cutouts", "moved")
    assert explain_table(explainer, "scores.csv", 2, source="moved").notes == []


def test_scores_of_features_are_explained_from_the_cutouts(project, explainer):
    found = explain_table(explainer, "of-features.csv", 2)
    assert found.notes == []
    assert len(found.cutouts) == 2


def test_a_table_without_a_record_requires_the_options(project, explainer):
    (project / ".scores.csv.run.json").unlink()
    options = {"catalog": "c.csv", "pixel_scale": 0.8, "bands": "gri"}
    assert explain_table(explainer, "scores.csv", 2, **options).notes == []


@pytest.mark.parametrize(
    "options",
    [
        {"folder": 3, "models": "default", "source": {"source": "cutouts"}},
        {"folder": "", "models": [1], "source": {"source": ["cutouts"], "loader": "os.system"}},
        {"source": {"images": {"g": 7}, "catalog": "c.csv"}},
        {"source": {"images": ["g"]}},
        [1],
    ],
)
def test_an_invalid_record_is_ignored(project, options):
    path = project / ".scores.csv.run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "options": options}))
    past = remembered("scores.csv")
    assert past.arguments == {}
    assert past.model in (None, "default")


def test_a_fits_table_that_astropy_read_has_bytes(project, explainer):
    table = read_table("scores.fits")
    for name in ("id", "path", "status", "message"):
        table[name] = [text.encode() for text in table[name]]
    options = {"catalog": "c.csv", "pixel_scale": 0.8, "bands": "gri"}
    assert explain_table(explainer, table, 2, **options).notes == []


def test_unexplainable_rows_are_reported(project):
    def fails(*arguments):
        result = CliRunner().invoke(main, ["explain", *arguments])
        assert result.exit_code == 1
        return result.stderr

    assert "no row with the id 'no'" in fails("scores.csv", "--id", "no")
    table = read_table("scores.csv").astype({"message": object})
    table.loc[table["id"] == "A", ["status", "message"]] = ["rejected", "It is blank."]
    table.to_csv("scores.csv", index=False)
    assert "was rejected and has no score to explain. It is blank." in fails("scores.csv", "--id", "A")


@pytest.mark.slow
def test_one_folder_serves_all_reports(project):
    run("evaluate", "scores.csv", "truth.csv", "--draws", 20, "--out", "report")
    result = CliRunner().invoke(main, ["explain", "scores.csv", "--top", "2", "--out", "report"])
    assert result.exit_code == 1
    assert "replace it with --overwrite" in result.stderr
    run("explain", "scores.csv", "--top", 2, "--out", "report", "--overwrite")
    assert [path.name for path in (project / "report").iterdir()] == ["index.html"]
    run("evaluate", "scores.csv", "truth.csv", "--draws", 20, "--out", "report", "--overwrite")
    assert sorted(path.name for path in (project / "report").iterdir()) == ["index.html", "metrics.json"]


@pytest.mark.slow
def test_scores_from_images_need_no_options(tmp_path, monkeypatch):
    rng = np.random.default_rng(5)
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    for band, colour in zip("gri", (120.0, 300.0, 450.0), strict=True):
        image = (rng.normal(size=(SIZE, SIZE)) + colour * np.exp(-np.hypot(x, y) / 12.0)).astype(np.float32)
        write_image(tmp_path / f"t_{band}.fits", image, gnomonic(0.2, SIZE), MAGZERO=27.0)
    (tmp_path / "c.csv").write_text(f"id,ra,dec\nA,{RA},{DEC}\nB,{RA + 0.002},{DEC}\n")
    monkeypatch.chdir(tmp_path)
    images = [word for band in "gri" for word in ("--image", f"{band}=t_{band}.fits")]
    run("score", "--catalog", "c.csv", *images, "--npix", 96, "--out", "scores.csv")
    result = run("explain", "scores.csv", "--id", "B", "--out", "sheets")
    assert "--catalog c.csv --image g=t_g.fits --image r=t_r.fits --image i=t_i.fits --npix 96" in result.stderr
    assert "differ" not in result.stderr


@pytest.mark.slow
def test_the_model_is_recorded(project):
    run("score", "f.parquet", "--target", "cluster-cluster", "--out", "cc.csv")
    result = run("explain", "cc.csv", "--id", "A", "--out", "sheets")
    assert "--model cluster-cluster" in result.stderr
    assert "differ" not in result.stderr


def test_a_shard_may_move_with_its_table(tmp_path, explainer, monkeypatch):
    pixels = np.random.default_rng(0).normal(size=(3, 64, 64, 3)).astype(np.float32)
    write_npz(tmp_path / "shard.npz", CutoutSet(pixels, ids=list("abc"), pixel_scale=1.0))
    monkeypatch.chdir(tmp_path)
    run("score", "shard.npz", "--out", "scores.csv")
    (tmp_path / "elsewhere").mkdir()
    for name in ("shard.npz", "scores.csv"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    assert explain_table(explainer, "elsewhere/scores.csv").notes == []
