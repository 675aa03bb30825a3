"""Tests of folders of cutouts: written by the engine from images or files, resumed and replaced."""

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from skies import DEC, RA, gnomonic, stars, write_image

from gridlens.cutouts import CutoutFlag, CutoutSet, extract, write_npz
from gridlens.engine import write_cutouts
from gridlens.errors import GridlensError
from gridlens.sources import _images, open_source

SIZE = 400


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(1)
    wcs = gnomonic(0.2, SIZE)
    sky = SkyCoord(RA + rng.uniform(-20, 20, 6) / 3600, DEC + rng.uniform(-20, 20, 6) / 3600, unit="deg")
    for band in "gri":
        image = stars(wcs, SIZE, sky, 1000.0, fwhm=5.0) + rng.normal(scale=0.05, size=(SIZE, SIZE))
        write_image(folder / f"field_{band}.fits", image.astype(np.float32), wcs, MAGZERO=27.0)
    return {band: str(folder / f"field_{band}.fits") for band in "gri"}


@pytest.fixture
def clusters():
    rows = {"id": ["A", "B", "../away"], "ra": [RA, RA + 5 / 3600, RA + 1.0], "dec": [DEC, DEC - 4 / 3600, DEC]}
    return pd.DataFrame(rows)


def written(source, out, **options):
    made = write_cutouts(source, out, n_jobs=1, **options)
    table = pd.read_csv(out / "cutouts.csv", keep_default_na=False, na_values={"valid_fraction": [""]})
    assert made is None or made.rows == len(table)
    return made, table


@pytest.mark.parametrize("format", ["npz", "fits"])
def test_a_folder_of_cutouts_is_read_back(images, clusters, tmp_path, monkeypatch, format):
    monkeypatch.setattr(_images, "_PARTITION_CLUSTERS", 1)
    out, counted = tmp_path / "out", []
    source = open_source(catalog=clusters, images=images)
    made, table = written(source, out, format=format, progress=counted.append)
    assert sum(counted) == 3
    assert (made.rows, made.rejected, made.resumed) == (3, 1, 0)
    # A cluster outside all images comes after the first cutouts.
    assert table["id"].tolist() == ["A", "../away", "B"]
    assert table["status"].tolist() == ["ok", "rejected", "ok"]
    assert table["valid_fraction"].fillna(-1.0).tolist() == [1.0, -1.0, 1.0]
    expected = {"npz": ["cutouts-00000.npz", "", "cutouts-00001.npz"], "fits": ["A.fits", "", "B.fits"]}
    assert table["file"].tolist() == expected[format]
    assert sorted(path.name for path in out.iterdir()) == sorted({*table["file"], "cutouts.csv"} - {""})
    assert not (tmp_path / "out.parts").exists()
    again, found = CutoutSet.read(out), extract(clusters, images).cutouts
    assert sorted(again.ids) == ["A", "B"]
    order = np.argsort(again.ids)
    np.testing.assert_array_equal(again.pixels[order], found.pixels)
    np.testing.assert_allclose(again.pixel_scale, 0.5)
    np.testing.assert_allclose(again.metadata["ra"].to_numpy()[order], clusters["ra"][:2])


def test_file_names_are_safe_and_unique(images, tmp_path):
    same = pd.DataFrame({"id": ["a/b", "a b", "A_B", "../.."], "ra": RA, "dec": DEC})
    _, table = written(open_source(catalog=same, images=images), tmp_path / "out", format="fits")
    assert table["file"].tolist() == ["a_b.fits", "a_b-2.fits", "A_B-3.fits", "cutout.fits"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*table["file"], "cutouts.csv"])


def test_ids_beyond_ascii_can_be_written_as_fits(images, tmp_path):
    rows = pd.DataFrame({"id": ["Abell-é", "x" * 3000, "a\nb"], "ra": RA, "dec": DEC})
    _, table = written(open_source(catalog=rows, images=images), tmp_path / "out", format="fits")
    assert table["status"].tolist() == ["ok"] * 3
    objects = [fits.getheader(tmp_path / "out" / name)["OBJECT"] for name in table["file"]]
    assert objects == ["Abell-\\u00e9", "x" * 3000, "a\\x0ab"]


@pytest.fixture
def files(tmp_path):
    """Return a folder with cutouts of two sizes, with partly blank bands, and a damaged file."""
    folder = tmp_path / "files"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k, side in enumerate((64, 64, 80)):
        pixels = rng.normal(size=(1, side, side, 3)).astype(np.float32)
        pixels[:, :16, :, 1] = np.nan
        places = [[30.0, 31.0]]
        write_npz(folder / f"{k}.npz", CutoutSet(pixels, ids=[f"c{k}"], pixel_scale=0.3, bcg_xy=places))
    (folder / "bad.npz").write_bytes(b"no zip")
    return folder


@pytest.mark.parametrize("format", ["npz", "fits"])
def test_cutouts_of_any_format_are_written_again(files, tmp_path, format):
    made, table = written(open_source(files), tmp_path / "out", format=format)
    assert (made.rows, made.rejected) == (4, 1)
    assert sorted(table["id"]) == ["bad", "c0", "c1", "c2"]
    assert table["valid_fraction"].dropna().tolist() == [0.75, 0.75, 0.8]
    for name in ("c0", "c2"):
        first = CutoutSet.read(files / f"{name[1]}.npz")
        path = tmp_path / "out" / table.set_index("id")["file"][name]
        again = CutoutSet.read(path)
        again = again[np.flatnonzero(again.ids == name)] if format == "npz" else again
        np.testing.assert_array_equal(again.pixels, first.pixels)
        assert again.pixel_scale.tolist() == [0.3]
        if format == "npz":
            assert again.bcg_xy.tolist() == [[30.0, 31.0]]


def test_an_interrupted_run_is_resumed(files, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gridlens.engine._cutouts._move", stop)
        with pytest.raises(KeyboardInterrupt):
            written(open_source(files), out)
    with pytest.raises(GridlensError, match=r"out\.parts holds the finished parts .* resume=True"):
        written(open_source(files), out)
    made, table = written(open_source(files), out, resume=True)
    assert made.resumed == made.rows == 4
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    _, other = written(open_source(files), tmp_path / "undisturbed")
    pd.testing.assert_frame_equal(table, other)
    assert whole.keys() == {path.name for path in (tmp_path / "undisturbed").iterdir()}
    assert written(open_source(files), out, resume=True)[0] is None
    with pytest.raises(GridlensError, match="other values of reading options"):
        written(open_source(files, pixel_scale=1.0), out, resume=True)


def test_only_cutouts_are_overwritten(files, tmp_path):
    out = tmp_path / "out"
    written(open_source(files), out, format="fits")
    with pytest.raises(GridlensError, match="not empty"):
        written(open_source(files), out)
    _, table = written(open_source(files), out, overwrite=True)
    assert {path.name for path in out.iterdir()} == {*table["file"], "cutouts.csv"} - {""}
    (out / "notes.txt").touch()
    with pytest.raises(GridlensError, match=r"files other .*notes\.txt"):
        written(open_source(files), out, overwrite=True)


@pytest.mark.parametrize(
    ("change", "words"), [({"format": "png"}, "'format' parameter must"), ({"out": "file"}, "must be a folder")]
)
def test_invalid_arguments_are_refused(files, tmp_path, change, words):
    (tmp_path / "file").touch()
    change = dict(change)
    out = tmp_path / change.pop("out", "out")
    with pytest.raises(GridlensError, match=words):
        write_cutouts(open_source(files), out, **change)


def test_assumed_values_are_not_written(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    write_npz(source / "a.npz", CutoutSet(np.ones((1, 48, 48, 3)), pixel_scale=0.3, flags=CutoutFlag.UNCALIBRATED))
    np.savez(source / "b.npz", pixels=np.ones((1, 48, 48, 3), dtype=np.float32), ids=["b"])
    written(open_source(source), tmp_path / "out", format="fits")
    picture, array = (fits.getheader(tmp_path / "out" / name, "r") for name in ("0.fits", "b.fits"))
    assert "MAGZERO" not in picture
    assert picture["PIXSCALE"] == 0.3
    assert array["MAGZERO"] == 27.0
    assert "PIXSCALE" not in array
