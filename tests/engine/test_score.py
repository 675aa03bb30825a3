"""Tests of `gridlens.score`, which returns the table that the command writes."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import gridlens
from gridlens import CutoutSet
from gridlens._tables import read_table
from gridlens.cli import main
from gridlens.cutouts import write_npz
from gridlens.errors import CutoutError, GridlensError


@pytest.fixture
def folder(tmp_path, noise):
    """Return a folder with cutouts of three sizes in two formats, a damaged file and a file without a finite pixel."""
    place = tmp_path / "cutouts"
    (place / "deep").mkdir(parents=True)
    write_npz(place / "shard.npz", CutoutSet(noise(3), pixel_scale=1.0, ids=["a", "b", "c"]))
    np.save(place / "deep" / "large.npy", noise(1, size=90)[0])
    np.save(place / "small.npy", noise(1, size=50)[0])
    np.save(place / "empty.npy", np.full((64, 64, 3), np.nan, np.float32))
    (place / "damaged.npy").write_bytes(b"nothing")
    return place


def test_score_gives_the_table_of_the_command(folder, tmp_path, capsys):
    table = gridlens.score(folder, pixel_scale=1.0, bands="gri", prevalence=0.01)
    out = tmp_path / "scores.parquet"
    declared = ["--pixel-scale", "1", "--bands", "gri"]
    result = CliRunner().invoke(main, ["score", str(folder), *declared, "--prevalence", "0.01", "--out", str(out)])
    assert result.exit_code == 0, result.stderr
    pd.testing.assert_frame_equal(table, read_table(out), check_dtype=False)
    assert table.attrs["prevalence"] == 0.01
    assert sorted(table["id"]) == ["a", "b", "c", "damaged", "empty", "large", "small"]
    assert table["status"].tolist() == ["ok"] * 5 + ["rejected"] * 2
    assert table["valid_fraction"].tolist()[:5] == [1.0] * 5
    assert set(map(str, table["valid_fraction"][5:])) == {"0.0", "nan"}
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_catalogue_and_a_list_of_paths_are_accepted(folder):
    catalog = pd.DataFrame({"id": ["a", "small"], "ra": [1.0, 2.0], "dec": 0.0})
    with pytest.warns(UserWarning, match="catalogue"):
        table = gridlens.score([folder / "shard.npz", folder / "small.npy"], catalog=catalog, pixel_scale=1.0, n_jobs=1)
    assert len(table) == 4


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -1, "even", None, float("nan")])
def test_an_invalid_prevalence_is_refused_early(tmp_path, prevalence):
    with pytest.raises(ValueError, match=r"'prevalence' parameter must be between 0 and 1, or 'estimate'\. Got"):
        gridlens.score(tmp_path / "nowhere", prevalence=prevalence)


def test_other_mistakes_have_a_clear_message(folder, tmp_path):
    with pytest.raises(CutoutError, match="no file or folder"):
        gridlens.score(tmp_path / "nowhere")
    with pytest.raises(GridlensError, match="is not a model bundle"):
        gridlens.score(folder, model=tmp_path)


def test_a_set_of_several_sizes_suggests_read_batches(folder):
    with pytest.raises(CutoutError, match=r"Score them with gridlens\.score, or .* gridlens\.cutouts\.read_batches"):
        CutoutSet.read([folder / "shard.npz", folder / "small.npy"], pixel_scale=1.0, bands="gri")


@pytest.mark.slow
def test_a_script_without_a_main_guard_scores(folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import gridlens\nprint(len(gridlens.score({str(folder)!r}, pixel_scale=1.0, bands={'gri'!r})))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "7\n"
