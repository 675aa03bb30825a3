"""Tests that cutouts of every kind are found by the record beside the table, and that no more is read than needed."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skies import DEC, RA, gnomonic, write_image
from triage_page import N, opened

from gridlens.cutouts import CutoutSet, write_npz
from gridlens.engine._record import write_record
from gridlens.errors import GridlensError
from gridlens.explain._remembered import remembered
from gridlens.sources import open_source
from gridlens.triage import _cutouts
from gridlens.triage._cutouts import CutoutReader
from gridlens.triage._scores import ScoreTable

EXAMPLES = Path(__file__).parents[2] / "examples" / "cutouts"


def hdf5(folder, noise):
    h5py = pytest.importorskip("h5py")
    with h5py.File("galaxies.h5", "w") as file:
        file["image"] = np.moveaxis(noise(5), -1, 1)[:, [0, 1, 2, 2, 2]]
        file["object_id"] = [11, 12, 13, 14, 15]
    return {"source": ["galaxies.h5"], "bands": "grizy", "pixel_scale": 1.0}


def zarr_store(folder, noise):
    zarr = pytest.importorskip("zarr")
    zarr.create_group("shard.zarr").create_array("pixels", data=noise(5))
    return {"source": ["shard.zarr"], "pixel_scale": 1.0}


def three_fits_files(folder, noise):
    for path in sorted(EXAMPLES.glob("*.fits"))[:6]:
        shutil.copy(path, folder)
    return {"source": ["."]}


def shards_with_a_catalogue(folder, noise):
    for k in range(2):
        ids = [f"s{k}-{j}" for j in range(3)]
        write_npz(f"shard-{k}.npz", CutoutSet(noise(3, seed=k), ids=ids, pixel_scale=1.0))
    pd.DataFrame({"id": ["s0-0", "s1-2"], "bcg_x": [30.0, 31.0], "bcg_y": [29.0, 33.0]}).to_csv(
        "catalog.csv", index=False
    )
    return {"source": ["shard-0.npz", "shard-1.npz"], "catalog": "catalog.csv"}


def survey_images(folder, noise):
    wcs = gnomonic(size=200)
    for seed, band in enumerate("gri"):
        image = np.random.default_rng(seed).normal(size=(200, 200)).astype(np.float32)
        write_image(folder / f"{band}.fits", image, wcs, MAGZERO=27.0)
    pd.DataFrame({"id": ["x1", "x2"], "ra": [RA, RA + 0.001], "dec": [DEC, DEC]}).to_csv("catalog.csv", index=False)
    images = {band: [f"{band}.fits"] for band in "gri"}
    return {"images": images, "catalog": "catalog.csv", "size": "12arcsec", "npix": 60, "zeropoint": 27.0}


@pytest.mark.parametrize("kind", [hdf5, zarr_store, three_fits_files, shards_with_a_catalogue, survey_images])
def test_cutouts_of_every_kind_of_source_are_found(tmp_path, monkeypatch, noise, kind):
    monkeypatch.chdir(tmp_path)
    arguments = kind(tmp_path, noise)
    source = open_source(**arguments)
    sets = [batch.cutouts for part in source.partitions() for batch in source.read(part) if batch.cutouts is not None]
    rows = pd.DataFrame(
        {"id": np.concatenate([one.ids for one in sets]), "path": np.concatenate([one.paths for one in sets])}
    )
    assert len(rows) > 1
    rows.assign(score=0.5, status="ok").to_parquet("scores.parquet")
    write_record(Path("scores.parquet"), {}, {"folder": os.getcwd(), "source": source.arguments, "models": ["default"]})
    # The page may be started from another folder.
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    table = ScoreTable("../scores.parquet")
    for together in (False, True):
        reader = CutoutReader(table, remembered("../scores.parquet"), {})
        reader.expect(table.ids if together else [])
        for one in sets:
            for k, name in enumerate(one.ids):
                cutout, digest = reader.read(name)
                assert cutout.ids.tolist() == [name] and np.array_equal(cutout.pixels[0], one.pixels[k], equal_nan=True)
                assert cutout.bcg_xy.tolist() == [one.bcg_xy[k].tolist()] and len(digest) == 64


def test_a_file_with_many_cutouts_is_read_once_per_queue(folder, monkeypatch):
    reads = []
    taken = CutoutReader._take
    monkeypatch.setattr(CutoutReader, "_take", lambda self, name, *more: reads.append(name) or taken(self, name, *more))
    reader = CutoutReader(ScoreTable("scores.parquet"), remembered("scores.parquet"), {})
    names = [f"c{k:03d}" for k in range(10)]
    reader.expect(names)
    assert reader.prefetch([*names, "nobody"]) == names
    assert reads == ["c000"]
    with pytest.raises(GridlensError, match="no object with the id 'nobody'"):
        reader.read("nobody")


def test_the_number_of_cached_cutouts_is_limited(folder, monkeypatch):
    monkeypatch.setattr(_cutouts, "_MOST_BYTES", 3 * 48 * 48 * 3 * 4)
    reader = CutoutReader(ScoreTable("scores.parquet"), remembered("scores.parquet"), {})
    for k in range(8):
        assert reader.read(f"c{k:03d}")[0].ids.tolist() == [f"c{k:03d}"]
    assert list(reader._kept) == ["c005", "c006", "c007"] and reader._bytes == 3 * 48 * 48 * 3 * 4


def test_a_lost_cutout_is_not_searched_for_in_other_files(folder, monkeypatch):
    table = pd.read_parquet("scores.parquet")
    table.loc[3, "path"] = "gone.npz"
    table.to_parquet("scores.parquet")
    with opened() as browser:
        page = browser("ada")
        page.triage.reader.expect(table["id"])
        assert "there is no 'gone.npz'" in page.get("/api/image/c003").json()["error"]
        assert page.image("c004", views="raw")[0]["id"] == "c004"
    # Files that are named explicitly may contain it.
    with opened(source=["shard.npz"]) as browser:
        assert browser("ada").image("c003", views="raw")[0]["id"] == "c003"


def test_concurrent_requests_get_their_own_images(folder):
    from concurrent.futures import ThreadPoolExecutor

    with opened() as browser:
        page = browser("ada")
        names = [f"c{k:03d}" for k in range(N)]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda name: page.triage.reader.read(name)[0].ids[0], names))
    assert found == names
