"""Tests of clusters cut out of survey images as a source: partitions, rows found by id, and identity."""

import pickle

import numpy as np
import pandas as pd
import pytest
from skies import DEC, RA, gnomonic, write_image

from gridlens.cutouts import extract
from gridlens.sources import CutOptions, ImageSource, _images, open_source

SIZE = 300


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(2)
    for band in "gri":
        pixels = rng.normal(size=(SIZE, SIZE)).astype(np.float32)
        write_image(folder / f"t_{band}.fits", pixels, gnomonic(0.2, SIZE), MAGZERO=27.0)
    return {band: str(folder / f"t_{band}.fits") for band in "gri"}


@pytest.fixture
def clusters():
    rows = 5
    return pd.DataFrame({"id": [f"c{k}" for k in range(rows)], "ra": RA + np.arange(rows) * [1e-4], "dec": DEC})


def batches_of(source, partitions):
    return [batch for partition in partitions for batch in source.read(partition)]


def test_partitions_contain_what_extract_returns(images, clusters, monkeypatch):
    monkeypatch.setattr(_images, "_PARTITION_CLUSTERS", 2)
    options = CutOptions(size=20.0, npix=64)
    source = ImageSource(clusters, images, options=options)
    assert source.n == 5
    assert [partition.rows for partition in source.partitions()] == [(0, 0), (0, 2), (2, 4), (4, 5)]
    cutouts = [batch.cutouts for batch in batches_of(source, source.partitions())]
    whole = extract(clusters, images, size=20.0, npix=64).cutouts
    np.testing.assert_array_equal(np.concatenate([part.pixels for part in cutouts]), whole.pixels)
    # A source that is unpickled in another process has the same identity.
    there = pickle.loads(pickle.dumps(source))
    assert there.identity() == source.identity() != ImageSource(clusters, images).identity()


def test_clusters_are_found_by_id(images, clusters):
    source = open_source(catalog=clusters, images=images, npix=64)
    found = batches_of(source, source.find({"c3", "c1", "elsewhere"}, ["any.fits"]))
    assert [batch.cutouts.ids.tolist() for batch in found] == [["c1"], ["c3"]]
    assert source.record == [{"path": path, "band": band} for band, path in images.items()]
