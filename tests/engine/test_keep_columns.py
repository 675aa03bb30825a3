"""Tests of catalogue columns that are kept for each cutout in the table, with their types."""

import pickle

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import QTable, Table
from click.testing import CliRunner
from skies import DEC, RA, gnomonic, write_image

from gridlens import CutoutSet, score
from gridlens._tables import read_table, write_table
from gridlens.cli import main
from gridlens.cutouts import read_catalog, write_npz
from gridlens.cutouts.catalogs._catalog import read_with_kept
from gridlens.engine import measure_files, score_files
from gridlens.engine._score import ScoreWork
from gridlens.engine._task import Task
from gridlens.errors import GridlensError
from gridlens.sources import FileSource, ImageSource, ReadOptions, open_source

KEPT = ["z_err", "n_gal", "relaxed", "notes", "flags"]


@pytest.fixture
def folder(tmp_path, noise):
    folder = tmp_path / "cutouts"
    folder.mkdir()
    ids = ["a", "b", "c", "d"]
    write_npz(folder / "shard.npz", CutoutSet(noise(4), pixel_scale=1.0, ids=ids))
    (folder / "broken.npy").write_bytes(b"no array")
    return folder


@pytest.fixture
def catalog():
    return pd.DataFrame(
        {
            "id": ["b", "a", "broken", "elsewhere"],
            "z_err": [0.01, np.nan, 0.03, 0.04],
            "n_gal": [41, 42, 2**60 + 1, 44],
            "relaxed": [True, False, True, False],
            "notes": ["=cool", None, "é", "x"],
            "flags": [7, 8, 9, 10],
        }
    )


def check(table):
    rows = table.set_index("id")
    assert table.columns[-5:].tolist() == ["z_err", "n_gal", "relaxed", "notes", "flags_catalog"]
    assert rows["n_gal"].dtype == "Int64"
    assert rows.loc["broken", "n_gal"] == 2**60 + 1
    assert rows.loc[["a", "b"], "n_gal"].tolist() == [42, 41]
    assert rows.loc[["c", "d"], ["n_gal", "relaxed", "z_err", "flags_catalog"]].isna().all(axis=None)
    assert rows.loc[["a", "b", "c", "broken"], "notes"].tolist() == ["", "=cool", "", "é"]
    assert rows["relaxed"].dtype == "boolean"
    assert rows.loc["b", "z_err"] == 0.01


def test_columns_stay_with_their_rows(folder, catalog, model):
    with pytest.warns(UserWarning, match="2 of 4 cutouts have no row"):
        table = score(folder, catalog=catalog, keep_columns=KEPT, model=model, n_jobs=1)
    check(table)
    assert table.attrs["columns"]["n_gal"] == {"description": "Column of the catalogue", "unit": ""}


def test_other_processes_give_the_same_columns(folder, catalog, model):
    source = FileSource(folder, catalog=catalog, keep_columns=KEPT)
    task = Task(source, ScoreWork((str(model),)))
    there = pickle.loads(task.alone())
    for partition in source.partitions():
        here, elsewhere = task.run(partition), there.run(partition)
        assert here.table.equals(elsewhere.table)
        assert not here.gaps.found
        assert here.table.schema.equals(task.empty().table.schema)
    check(pd.concat([task.run(partition).table.to_pandas() for partition in source.partitions()]))


def test_tables_of_astropy_are_catalogues(folder, catalog, model, tmp_path):
    table = QTable.from_pandas(catalog.assign(notes=catalog["notes"].fillna("")))
    table["R"] = [1.0, 2.0, 3.0, 4.0] * units.Mpc
    assert read_catalog(table)["id"].tolist() == catalog["id"].tolist()
    source = open_source(folder, catalog=table, keep_columns=["R", "n_gal"])
    changed = table.copy()
    changed["R"] = changed["R"] * 2
    assert source.identity() != open_source(folder, catalog=changed, keep_columns=["R", "n_gal"]).identity()
    assert source.identity()["catalogue"] == pickle.loads(pickle.dumps(source)).identity()["catalogue"]
    assert source.identity() != open_source(folder, catalog=table, keep_columns=["R"]).identity()
    with pytest.warns(UserWarning, match="2 of 4 cutouts have no row"):
        score_files(source, tmp_path / "t.fits", models=(str(model),), n_jobs=1)
    found = Table.read(tmp_path / "t.fits")
    assert found["R"].unit == units.Mpc
    assert dict(zip(found["id"], found["R"], strict=True))["b"] == 1.0
    place = found.colnames.index("R") + 1
    assert fits.getheader(tmp_path / "t.fits", 1)[f"TCOMM{place}"] == "Column of the catalogue"


def test_files_matched_by_position_keep_columns(tmp_path, model):
    for k in range(2):
        pixels = np.random.default_rng(k).normal(size=(3, 64, 64)).astype(np.float32)
        wcs = gnomonic(0.8, 64, ra=RA + k)
        for band, plane in zip("gri", pixels, strict=True):
            write_image(tmp_path / f"same_{k}_{band}.fits", plane, wcs, MAGZERO=27.0)
    catalog = pd.DataFrame({"ra": [RA + 1, RA], "dec": DEC, "name_of_it": ["second", "first"]})
    table = score(str(tmp_path / "*.fits"), catalog=catalog, keep_columns=["name_of_it"], model=model, n_jobs=1)
    assert dict(zip(table["id"], table["name_of_it"], strict=True)) == {"same_0": "first", "same_1": "second"}


def test_clusters_with_repeated_names_keep_their_rows(tmp_path, model):
    for band in "gri":
        pixels = np.random.default_rng(3).normal(size=(300, 300)).astype(np.float32)
        write_image(tmp_path / f"t_{band}.fits", pixels, gnomonic(0.2, 300), MAGZERO=27.0)
    images = {band: str(tmp_path / f"t_{band}.fits") for band in "gri"}
    catalog = pd.DataFrame(
        {"id": ["a", "a", "off"], "ra": [RA, RA + 2e-3, RA + 5], "dec": DEC, "number": [10, 20, 30], "ra_error": 0.5}
    )
    source = ImageSource(catalog, images, keep_columns=["number"])
    task = Task(source, ScoreWork((str(model),)))
    rows = pd.concat([task.run(partition).table.to_pandas() for partition in source.partitions()])
    assert sorted(zip(rows["id"], rows["number"], strict=True)) == [("a", 10), ("a", 20), ("off", 30)]


def test_rows_of_caches_keep_columns(folder, catalog, model, tmp_path):
    cache = tmp_path / "features.parquet"
    measure_files(FileSource(folder, options=ReadOptions(pixel_scale=1.0)), cache, n_jobs=1)
    check(score(cache, catalog=catalog, keep_columns=KEPT, model=model, n_jobs=1))
    source = open_source(cache, catalog=catalog, keep_columns=KEPT)
    assert source.identity() == pickle.loads(pickle.dumps(source)).identity() != open_source(cache).identity()
    with pytest.raises(GridlensError, match=r"does not accept options .* Got bands"):
        open_source(cache, catalog=catalog, keep_columns=KEPT, bands="gri")
    with pytest.raises(GridlensError, match=r"does not accept options .* Got catalog"):
        open_source(cache, catalog=catalog)


def test_leading_zeros_and_large_integers_are_kept(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(
        "id,object_id,code,beyond,z,relaxed,notes\n"
        "a,1234567890123456789,0012,99999999999999999999,0.5,True,NA\nb,,13,1,nan,,x\n"
    )
    names = ["object_id", "code", "beyond", "z", "relaxed", "notes"]
    kept = read_with_kept(path, None, names)[1].frame
    assert kept["object_id"].tolist() == [1234567890123456789, pd.NA]
    assert kept["code"].tolist() == ["0012", "13"]
    assert kept["beyond"].tolist() == ["99999999999999999999", "1"]
    np.testing.assert_array_equal(kept["z"], [0.5, np.nan])
    assert kept["relaxed"].tolist() == [True, pd.NA]
    assert kept["notes"].tolist() == ["NA", "x"]


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".parquet"])
def test_integers_are_kept_beside_missing_values(tmp_path, suffix):
    numbers = pd.array([2**60 + 1, None, 999999], dtype="Int64")
    write_table(pd.DataFrame({"id": ["a", "b", "c"], "number": numbers}), tmp_path / f"c{suffix}")
    kept = read_with_kept(tmp_path / f"c{suffix}", None, ["number"])[1].frame
    assert kept["number"].tolist() == [2**60 + 1, pd.NA, 999999]


def test_names_are_unique_ignoring_case():
    catalog = pd.DataFrame({"id": ["a"], "RA": [1.0], "Dec": [2.0], "dec_catalog": [3.0], 5: [4.0]})
    kept = read_with_kept(catalog, None, ["RA", "Dec", "dec_catalog"])[1]
    assert list(kept.names({"id", "ra", "dec"})) == ["RA_catalog", "Dec_catalog", "dec_catalog_catalog"]
    with pytest.raises(GridlensError, match=r"Got '5' instead\. The catalogue has id, RA, Dec, dec_catalog, 5\."):
        read_with_kept(catalog, None, ["5"])


def test_wrong_names_are_refused(folder, catalog):
    with pytest.raises(
        GridlensError, match=r"Got 'NOTES' instead\. The catalogue has id, z_err, n_gal, relaxed, notes"
    ):
        open_source(folder, catalog=catalog, keep_columns=["NOTES"])
    with pytest.raises(GridlensError, match="'keep_columns' parameter requires the catalogue"):
        open_source(folder, keep_columns=["notes"])


def test_the_command_line_keeps_columns(folder, catalog, model, tmp_path):
    catalog.to_csv(tmp_path / "clusters.csv", index=False)
    arguments = ["score", folder, "--catalog", tmp_path / "clusters.csv", "--model", model, "--jobs", 1]
    out = tmp_path / "t.csv"
    result = CliRunner().invoke(main, list(map(str, [*arguments, "--keep-columns", "n_gal, notes", "--out", out])))
    assert result.exit_code == 0, result.stderr
    rows = read_table(out).set_index("id")
    assert rows.columns[-2:].tolist() == ["n_gal", "notes"]
    assert rows.loc[["a", "b"], "n_gal"].tolist() == [42, 41]
    wrong = CliRunner().invoke(main, list(map(str, [*arguments, "--keep-columns", "mass"])))
    assert wrong.exit_code == 1
    assert "Got 'mass' instead. The catalogue has id" in wrong.stderr
