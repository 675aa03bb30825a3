import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from click.testing import CliRunner

from gridlens import CutoutSet, load_model
from gridlens.cli import main
from gridlens.cutouts import write_npz
from gridlens.detector._table import ARC_COLUMNS
from gridlens.features import measure

COLUMNS = ["id", "ra", "dec", "path", "rank", "score", "p_lens", "p_low", "p_high", "prevalence"]
COLUMNS += [
    "status",
    "message",
    "flags",
    "valid_fraction",
    "arc_x",
    "arc_y",
    "arc_ra",
    "arc_dec",
    "arc_patch",
    *ARC_COLUMNS,
    "members_in_favour",
    "disagreement",
    "lightgbm",
    "patch",
]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path, noise):
    folder = tmp_path / "cutouts"
    folder.mkdir()
    ids = [f"cluster-{k}" for k in range(4)]
    write_npz(folder / "shard.npz", CutoutSet(noise(4), pixel_scale=1.0, ids=ids))
    np.savez(folder / "lone.npz", pixels=noise(1, size=80, seed=9)[0])
    return folder


def test_csv_has_one_row_per_cutout_best_first(folder, tmp_path):
    out = tmp_path / "scores.csv"
    result = run("score", folder, "--out", out, "--pixel-scale", 1)
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(out)
    assert table.columns.tolist() == COLUMNS
    assert len(table) == 5
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert table["p_lens"].is_monotonic_decreasing
    assert "prevalence of 0.001" in result.stderr
    assert "5 scored, 0 rejected" in result.stderr
    assert "cutouts per second" in result.stderr
    assert result.stdout == ""


def test_prevalence_is_estimated_from_the_scores_on_request(folder, tmp_path):
    out = tmp_path / "scores.csv"
    result = run("score", folder, "--out", out, "--pixel-scale", 1, "--prevalence", "estimate")
    assert result.exit_code == 0, result.stderr
    (taken,) = set(pd.read_csv(out)["prevalence"])
    assert 0 < taken < 1
    # Five images of noise contain no lens, but they are too few for a tight upper limit.
    assert "not distinguishable from none: at most" in result.stderr
    assert f"p_lens is at {taken:.3g}" in result.stderr
    alone = run("score", folder / "lone.npz", "--pixel-scale", 1, "--prevalence", "estimate")
    assert alone.exit_code != 0
    assert "must be a number, such as 1e-3" in alone.stderr
    assert "or 'estimate'. Got 'guess' instead" in run("score", folder, "--prevalence", "guess").stderr


@pytest.mark.parametrize(
    ("suffix", "read"),
    [("parquet", pd.read_parquet), ("fits", Table.read), ("votable", Table.read), ("csv", pd.read_csv)],
)
def test_every_format_contains_the_same_table(folder, tmp_path, suffix, read):
    out = tmp_path / f"scores.{suffix}"
    result = run("score", folder, "--out", out, "--pixel-scale", 1, "--prevalence", 0.01)
    assert result.exit_code == 0, result.stderr
    table = read(out)
    cutouts = CutoutSet.read(folder / "shard.npz", pixel_scale=1)
    expected = load_model().score_cutouts(cutouts, prevalence=0.01).set_index("id")
    names = [str(name) for name in table["id"]]
    assert set(names) == {*expected.index, "lone"}
    for name, p in zip(names, np.asarray(table["p_lens"], dtype=float), strict=True):
        if name != "lone":
            assert p == pytest.approx(expected.loc[name, "p_lens"], rel=1e-12)
    if suffix == "fits":
        assert table.meta["PREVAL"] == 0.01
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == [f".scores.{suffix}.run.json", "cutouts", f"scores.{suffix}"]


def test_table_is_printed_without_an_output_file(folder):
    from io import StringIO

    result = run("score", folder, "--pixel-scale", 1, "--top", 2)
    assert result.exit_code == 0
    table = pd.read_csv(StringIO(result.stdout))
    assert table.columns.tolist() == COLUMNS
    assert table["rank"].tolist() == [1, 2]


def test_top_limits_the_printed_rows_only(folder, tmp_path):
    out = tmp_path / "scores.csv"
    result = run("score", folder, "--pixel-scale", 1, "--top", 1, "--out", out)
    assert len(result.stdout.splitlines()) == 2
    assert len(pd.read_csv(out)) == 5


def test_prevalence_changes_only_p_lens(folder, tmp_path):
    tables = []
    for prevalence in (1e-4, 0.5):
        run("score", folder, "--pixel-scale", 1, "--out", tmp_path / "t.csv", "--prevalence", prevalence, "--overwrite")
        tables.append(pd.read_csv(tmp_path / "t.csv"))
    moved = ["p_lens", "p_low", "p_high", "prevalence"]
    pd.testing.assert_frame_equal(tables[0].drop(columns=moved), tables[1].drop(columns=moved))
    assert [set(table["prevalence"]) for table in tables] == [{1e-4}, {0.5}]
    np.testing.assert_allclose(tables[1]["p_lens"], tables[1]["score"])
    assert (tables[0]["p_lens"] < 0.1 * tables[1]["p_lens"]).all()


def test_a_catalogue_moves_the_bcg(folder, tmp_path):
    catalog = tmp_path / "clusters.csv"
    catalog.write_text("id,bcg_x,bcg_y\ncluster-0,10,12\n")
    run("score", folder / "shard.npz", "--pixel-scale", 1, "--out", tmp_path / "moved.csv", "--catalog", catalog)
    run("score", folder / "shard.npz", "--pixel-scale", 1, "--out", tmp_path / "plain.csv")
    moved, plain = (pd.read_csv(tmp_path / f"{name}.csv").set_index("id")["lightgbm"] for name in ("moved", "plain"))
    assert moved["cluster-0"] != plain["cluster-0"]
    for name in ("cluster-1", "cluster-2", "cluster-3"):
        assert moved[name] == plain[name]


def test_usage_errors_end_with_status_2(folder):
    for arguments in (
        ["score"],
        ["score", folder, "--prevalence", "2"],
        ["score", folder, "--zeropoint", "g=x"],
        ["find"],
    ):
        assert run(*arguments).exit_code == 2


def test_zeropoints_by_band_are_read(folder, tmp_path):
    # One zero point for all three bands scales all fluxes by the same factor, which does not change the scores.
    run("score", folder / "shard.npz", "--zeropoint", "26", "--out", tmp_path / "one.csv")
    run("score", folder / "shard.npz", "--zeropoint", "g=26,r=26,i=25", "--out", tmp_path / "three.csv")
    run("score", folder / "shard.npz", "--out", tmp_path / "none.csv")
    one, three, none = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("one", "three", "none"))
    np.testing.assert_allclose(one["score"], none["score"], rtol=1e-3)
    assert set(three["id"]) == set(one["id"])


def test_columns_of_the_catalogue_are_assigned_by_option(folder, tmp_path, monkeypatch):
    catalog = tmp_path / "clusters.csv"
    catalog.write_text("who,LAMBDA_X,z\ncluster-0,40,0.3\n")
    seen = []

    def look(cutouts, *arguments):
        seen.append(cutouts.metadata)
        return measure(cutouts, *arguments)

    monkeypatch.setattr("gridlens.engine._work.measure", look)
    arguments = ("score", folder / "shard.npz", "--catalog", catalog, "--column", "id=who")
    result = run(*arguments, "--column", "richness=LAMBDA_X")
    assert result.exit_code == 0, result.stderr
    assert "3 of 4 cutouts have no row" in result.stderr
    assert seen[0]["richness"].tolist()[:1] == [40.0]
    assert seen[0]["redshift"].tolist()[:1] == [0.3]
    for column, words in (("richness=RICH", "has no column 'RICH'"), ("mass=z", "Got 'mass' instead")):
        result = run(*arguments, "--column", column)
        assert result.exit_code == 1
        assert words in result.stderr
    assert run(*arguments, "--column", "richness").exit_code == 2


@pytest.mark.parametrize("compiled", [False, True])
def test_compilation_is_announced_once(tmp_path, noise, monkeypatch, compiled):
    np.savez(tmp_path / "a.npz", pixels=noise(n=1, size=64)[0])
    monkeypatch.setattr("gridlens.features._kernels.kernels_are_compiled", lambda: compiled)
    result = run("score", tmp_path, "--pixel-scale", 1, "--jobs", 1)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("compiling the kernels") == (0 if compiled else 1)
    assert "compiling" not in result.stdout
