"""Tests of the whole run from files to a table, with each kind of worker."""

import pickle

import pandas as pd
import pytest
from partitions import EACH, SHARDS

from gridlens.engine import measure_files, score_files
from gridlens.engine._score import ScoreWork
from gridlens.errors import GridlensError
from gridlens.models import save_model
from gridlens.sources import CacheSource, FileSource


@pytest.fixture
def catalog(tmp_path):
    path = tmp_path / "clusters.csv"
    names = [f"{k}-{j}" for k in range(SHARDS) for j in range(EACH - 2)]
    pd.DataFrame({"id": names, "richness": 30.0}).to_csv(path, index=False)
    return path


@pytest.mark.slow
def test_processes_and_threads_give_the_same_table(tmp_path, shards, model, catalog, monkeypatch):
    monkeypatch.setattr("gridlens.sources._files._PARTITION_CUTOUTS", 8)
    tables, said, done = {}, {}, []
    for name, fewest in (("threads", 10**9), ("processes", 1)):
        monkeypatch.setattr("gridlens.engine._output._PROCESSES_FROM", fewest)
        out = tmp_path / f"{name}.parquet"
        with pytest.warns(UserWarning) as caught:
            made = score_files(
                FileSource(shards, catalog=catalog), out, models=(str(model),), n_jobs=2, progress=done.append
            )
        tables[name], said[name] = pd.read_parquet(out), {str(warning.message) for warning in caught}
        assert made.rows == len(tables[name]) == SHARDS * EACH + 2
        assert made.rejected == SHARDS + 2
        assert made.duplicates == SHARDS - 1
        assert sum(done) == made.rows
        done.clear()
    pd.testing.assert_frame_equal(tables["threads"], tables["processes"], check_exact=True)
    # In each shard, the last two ids and the repeated one are missing from the catalogue.
    assert any(f"{3 * SHARDS} of {SHARDS * EACH} cutouts have no row" in words for words in said["processes"])
    assert said["threads"] == said["processes"]


def test_a_cache_of_many_files_is_one_source(tmp_path, shards, model):
    whole, parts = tmp_path / "whole.parquet", []
    measure_files(FileSource(sorted(shards.glob("0?.npz"))), whole, n_jobs=1)
    for k in (0, 1):
        parts.append(tmp_path / f"{k}.parquet")
        measure_files(FileSource(sorted(shards.glob("0?.npz"))[5 * k : 5 * k + 5]), parts[-1], n_jobs=1)
    tables = []
    for k, paths in enumerate((whole, parts)):
        source = CacheSource(paths)
        assert source.n == 10 * EACH
        score_files(source, tmp_path / f"{k}.csv", models=(str(model),), n_jobs=1)
        tables.append((tmp_path / f"{k}.csv").read_text())
    assert tables[0] == tables[1]
    (partition, *_) = source.partitions()
    halves = source.split(partition)
    ids = [name for half in halves for measured in source.read(half) for name in measured.ids]
    assert ids == [name for measured in source.read(partition) for name in measured.ids]
    last = partition._replace(rows=(799, 800))
    assert source.split(last) == []
    assert source.lost(last, "Dead.").id == "9-79"


def test_a_model_that_differs_on_the_worker_is_refused(tmp_path, shards, model, detector):
    """Workers on other machines load a model by its path, and must find the same model."""
    save_model(detector, tmp_path / "one", card="# One", training={})
    work = ScoreWork((str(tmp_path / "one"),))
    sent = pickle.dumps(work)
    assert pickle.loads(sent).identity() == work.identity()
    (tmp_path / "one").rename(tmp_path / "two")
    (tmp_path / "one").symlink_to(model)
    with pytest.raises(GridlensError, match="differs on the worker"):
        pickle.loads(sent)


def test_invalid_engines_are_refused(tmp_path, shards):
    reader = FileSource(shards / "00.npz")
    with pytest.raises(GridlensError, match=r"must be 'local' or 'dask'\. Got 'cloud'"):
        score_files(reader, tmp_path / "a.csv", engine="cloud")
    with pytest.raises(GridlensError, match="requires the engine 'dask'"):
        score_files(reader, tmp_path / "a.csv", scheduler="tcp://127.0.0.1:1")
    assert not list(tmp_path.glob("a.csv*"))
