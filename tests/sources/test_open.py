"""Tests of `open_source`, which chooses the kind of source, and of selections from a source."""

import numpy as np
import pandas as pd
import pytest

from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.features import FeatureCacheWriter, measure
from gridlens.sources import CacheSource, FileSource, ReadOptions, open_source
from gridlens.sources._selection import Selection

DECLARED = {"pixel_scale": 0.5, "bands": "gri"}


def read_all(source):
    for partition in source.partitions():
        yield from source.read(partition)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abc":
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(64, 64, 3)).astype(np.float32))
    with FeatureCacheWriter(tmp_path / "measured.parquet", "test") as writer:
        writer.add(measure(CutoutSet.read(tmp_path, **DECLARED)))
    return tmp_path


def test_files_and_caches_are_recognised(folder):
    files = open_source(folder, **DECLARED)
    assert isinstance(files, FileSource) and files.n == 3
    assert files.identity() == FileSource(folder, options=ReadOptions(**DECLARED)).identity()
    for named in (folder / "measured.parquet", [str(folder / "*.parquet")]):
        cache = open_source(named)
        assert isinstance(cache, CacheSource) and cache.n == 3
    assert open_source(files) is files


def test_all_of_a_source_is_read_in_order(folder):
    (batch,) = read_all(open_source(folder, **DECLARED))
    (measured,) = read_all(open_source(folder / "measured.parquet"))
    assert batch.cutouts.ids.tolist() == measured.ids.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": ["a.npy", "b.parquet"]}, "cutouts or feature caches"),
        ({"source": "a.npy", "images": {}}, "must be None if 'images' is given"),
        ({"images": {}}, "catalog=FILE"),
        ({"source": "b.parquet", "catalog": "c.csv", "bands": "gri"}, "does not accept options .* Got catalog, bands"),
        ({"source": "nowhere.parquet"}, "no feature cache"),
    ],
)
def test_invalid_combinations_are_refused(change, words):
    with pytest.raises(GridlensError, match=words):
        open_source(**change)


def test_a_source_takes_no_options(folder):
    with pytest.raises(GridlensError, match="Got survey"):
        open_source(open_source(folder, **DECLARED), survey="hsc")


@pytest.mark.parametrize("source", [np.zeros((2, 64, 64, 3)), CutoutSet(np.zeros((2, 64, 64, 3)))])
def test_cutouts_in_memory_are_refused(source):
    with pytest.raises(TypeError, match=r"must be a path, .* Got (ndarray|CutoutSet) .*score_cutouts\(CutoutSet"):
        open_source(source)


def test_missing_arguments_are_refused():
    with pytest.raises(TypeError, match="'source' and 'images'"):
        open_source()


def test_rows_are_found_without_reading_all_cutouts(folder):
    np.savez(folder / "shard.npz", pixels=np.ones((2, 64, 64, 3)), ids=["x", "y"])
    source = open_source(folder, **DECLARED)

    def ids_of(partitions):
        return [name for part in partitions for batch in source.read(part) for name in batch.cutouts.ids]

    assert ids_of(source.find({"b"}, [str(folder / "b.npy")])) == ["b"]
    assert ids_of(source.find({"y"}, [str(folder / "shard.npz")])) == ["x", "y"]
    assert {"b", "x", "y"} <= set(ids_of(source.find({"b"}, ["moved.npy"])))
    cache = open_source(folder / "measured.parquet")
    (part,) = cache.find({"b"})
    assert [measured.ids.tolist() for measured in cache.read(part)] == [["b"]]


def test_record_of_a_source(folder):
    assert open_source([folder / "a.npy"], **DECLARED).record == [{"path": str(folder / "a.npy")}]
    (cache,) = open_source(folder / "measured.parquet").record
    assert cache["rows"] == 3 and cache["source"] == "test"


def test_a_data_frame_is_accepted_as_catalogue(folder):
    table = pd.DataFrame({"id": ["b"], "richness": [7.0]})
    batches = list(read_all(open_source(folder / "b.npy", catalog=table, **DECLARED)))
    assert batches[0].cutouts.metadata["richness"].tolist() == [7.0]


def test_a_selection_reads_only_the_named_cutouts(folder):
    np.savez(folder / "shard.npz", pixels=np.ones((3, 64, 64, 3)), ids=["x", "y", "z"])
    (folder / "bad.npy").write_bytes(b"nothing")
    source = open_source(folder, **DECLARED)
    some = Selection(source, ["b", "y", "bad"], [str(folder / name) for name in ("b.npy", "shard.npz", "bad.npy")])
    assert some.n == 3
    batches = list(read_all(some))
    assert [name for batch in batches if batch.cutouts is not None for name in batch.cutouts.ids] == ["b", "y"]
    assert [failure.id for batch in batches for failure in batch.failures] == ["bad"]
    assert some.identity() != Selection(source, ["b"]).identity()
    (measured,) = read_all(Selection(open_source(folder / "measured.parquet"), ["c"]))
    assert measured.ids.tolist() == ["c"]
