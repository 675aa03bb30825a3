"""Survey folders through every command that reads them: the same cluster has the same score whichever way it comes."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from layouts import CLUSTER, LAYOUTS

from gridlens.cli import main


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    return result


def scores(path):
    """The table of scores by id, as text where it is text."""
    return pd.read_csv(path, dtype={"id": str, "path": str, "message": str}).set_index("id")


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_path_gives_the_same_score(tmp_path, name):
    options = LAYOUTS[name](tmp_path / name)
    survey = ["--survey", options["survey"]] if "survey" in options else []
    images = options.get("images", dict.fromkeys("gri", tmp_path / name))
    # An id with leading zeros, and a position that the images do not hold.
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
