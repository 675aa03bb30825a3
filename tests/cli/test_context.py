"""Tests of `gridlens context`."""

import socket
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from gridlens.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples" / "cutouts"


@pytest.fixture
def no_sockets(monkeypatch):
    def refused(*_args, **_kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "create_connection", refused)


@pytest.fixture
def scores(tmp_path):
    """Write a table with three lenses, a position without a lens and a row without a position."""
    table = pd.DataFrame(
        {
            "id": ["J014656-092952", "SDSSJ1209_2640", "Abell1703", "nothing", "nowhere"],
            "ra": [26.733469, 182.348767, 198.771881, 273.3, None],
            "dec": [-9.497815, 26.679677, 51.817348, -6.8, None],
            "score": [0.9, 0.8, 0.7, 0.2, 0.1],
        }
    )
    table.to_parquet(tmp_path / "scores.parquet")
    return tmp_path / "scores.parquet"


def run(*arguments):
    return CliRunner().invoke(main, ["context", *map(str, arguments)])


@pytest.mark.usefixtures("no_sockets")
def test_known_lenses_are_found_offline(scores, tmp_path):
    out = tmp_path / "context.parquet"
    done = run(scores, "--out", out)
    assert done.exit_code == 0, done.output
    assert "3 are known lenses or candidates" in done.stderr
    assert "--clusters" in done.stderr
    assert "rows with 'no position': 1" in done.stderr
    found = pd.read_parquet(out)
    assert found["context_known_lens"][0] == "SDSS J0146-0929"
    assert (found["context_known_lens"] != "").tolist() == [True, True, True, False, False]


@pytest.mark.usefixtures("no_sockets")
def test_clusters_and_a_user_catalogue_of_lenses(scores, tmp_path):
    (tmp_path / "clusters.csv").write_text("name,z,lambda\nnothing,0.4,80\nAbell1703,0.28,-1\n")
    (tmp_path / "mine.csv").write_text("name,ra,dec,grade\nmy lens,273.301,-6.8,probable\nlost,,,\n")
    out = tmp_path / "context.csv"
    done = run(scores, "--out", out, "--clusters", tmp_path / "clusters.csv", "--catalog", tmp_path / "mine.csv")
    assert done.exit_code == 0, done.output
    found = pd.read_csv(out).set_index("id")
    assert found.loc["nothing", "context_known_lens"] == "my lens"
    assert found.loc["nothing", "context_theta_e_p50"] > 5.0
    assert found["context_theta_e_p50"].notna().sum() == 1
    assert "1 rows of" in done.stderr
    assert "no mass proxy" in found.loc["Abell1703", "context_note"]


@pytest.mark.slow
@pytest.mark.usefixtures("no_sockets")
def test_scores_and_sheets_have_the_context(tmp_path):
    files = sorted(EXAMPLES.glob("J014656-092952_?.fits"))
    (tmp_path / "clusters.csv").write_text("name,z,M200\nJ014656-092952,0.447,14.8\n")
    out = tmp_path / "scores.parquet"
    arguments = ["score", *map(str, files), "--context", "--catalog", str(tmp_path / "clusters.csv"), "--out", str(out)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    row = pd.read_parquet(out).iloc[0]
    assert row["context_known_lens"] == "SDSS J0146-0929"
    assert row["context_proxy"] == "log_mass"
    # The record of the run is kept with the new table, so that its cutouts are found.
    assert run(out, "--out", tmp_path / "context.parquet").exit_code == 0
    arguments = ["explain", str(tmp_path / "context.parquet"), "--id", "J014656-092952", "--out", str(tmp_path)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "J014656-092952.html").read_text()
    assert "Known lens SDSS J0146-0929 (cluster, confident) at 0.6 arcsec" in page


def test_failures(scores, tmp_path):
    (tmp_path / "ids.csv").write_text("id,score\na,0.1\n")
    (tmp_path / "bare.csv").write_text("name,z\na,0.1\n")
    out = tmp_path / "context.csv"
    for arguments, said in (
        ([tmp_path / "ids.csv", "--out", out], "must have the columns ra and dec"),
        ([scores, "--out", out, "--catalog", tmp_path / "bare.csv"], "must have positions"),
        ([scores, "--out", tmp_path / "context.txt"], "output must end in"),
    ):
        done = run(*arguments)
        assert done.exit_code == 1
        assert said in done.stderr
        assert "Traceback" not in done.output
    assert not out.exists()


@pytest.mark.slow
def test_a_complete_table_gets_no_context_and_a_solution_is_suggested(tmp_path):
    arguments = ["score", str(EXAMPLES / "simulated.npz"), "--out", str(tmp_path / "scores.csv")]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    done = CliRunner().invoke(main, [*arguments, "--context", "--resume"])
    assert done.exit_code == 0, done.output
    assert "add them with `gridlens context`" in done.stderr
    assert "context_known_lens" not in pd.read_csv(tmp_path / "scores.csv")
    assert CliRunner().invoke(main, [*arguments, "--context", "--overwrite"]).exit_code == 0
    done = CliRunner().invoke(main, [*arguments, "--context", "--resume"])
    assert "is complete" in done.stderr
    assert "context columns" not in done.stderr
