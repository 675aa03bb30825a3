"""Tests of survey folders: each command that reads them gives a cluster the same score."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from layouts import CLUSTER, LAYOUTS

from gridlens.cli import main


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Set a separate cache folder for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    return result


def scores(path):
    """Return the table of scores indexed by id, with text columns as text."""
    return pd.read_csv(path, dtype={"id": str, "path": str, "message": str}).set_index("id")


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_path_gives_the_same_score(tmp_path, name):
    options = LAYOUTS[name](tmp_path / name)
    survey = ["--survey", options["survey"]] if "survey" in options else []
    images = options.get("images", dict.fromkeys("gri", tmp_path / name))
    # One id has leading zeros, and one position is outside the images.
    clusters = pd.DataFrame({**CLUSTER, "id": ["0012"], "z": [-99.0], "bcg_ra": [-99.0], "bcg_dec": [-99.0]})
    clusters.loc[1] = ["0013", 10.0, -40.0, 0.3, 10.0, -40.0]
    clusters.to_csv(tmp_path / "c.csv", index=False)
    source = ["--catalog", tmp_path / "c.csv", *survey, "--size", "20arcsec", "--npix", "64"]
    for band, path in images.items():
        source += ["--image", f"{band}={path}"]

    run("score", *source, "--jobs", "1", "--out", tmp_path / "images.csv")
    run("features", *source, "--jobs", "1", "--out", tmp_path / "features.parquet")
    run("score", tmp_path / "features.parquet", "--jobs", "1", "--out", tmp_path / "cache.csv")
    for kind in ("npz", "fits"):
        run("cutouts", *source, "--format", kind, "--out", tmp_path / kind)
        run("score", tmp_path / kind, "--jobs", "1", "--out", tmp_path / f"{kind}.csv")

    tables = {kind: scores(tmp_path / f"{kind}.csv") for kind in ("images", "cache", "npz", "fits")}
    assert tables["images"].loc["0013", "status"] == "rejected"
    assert "No image of g and r and i" in tables["images"].loc["0013", "message"]
    written = pd.read_csv(tmp_path / "npz" / "cutouts.csv", dtype={"id": str}).set_index("id")
    assert written["status"].to_dict() == {"0012": "ok", "0013": "rejected"}
    for kind, table in tables.items():
        assert table.loc["0012", "status"] == "ok", (kind, table.loc["0012", "message"])
        for column in ("score", "arc_distance", "arc_snr"):
            np.testing.assert_allclose(
                table.loc["0012", column], tables["images"].loc["0012", column], rtol=1e-3, err_msg=f"{kind} {column}"
            )
