"""Tests of feature caches: features are measured once and scored many times."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from gridlens import CutoutSet, GridPatchExtractor
from gridlens.cli import main
from gridlens.cutouts import write_npz
from gridlens.features import FEATURE_NAMES, FeatureCache


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path, noise):
    folder = tmp_path / "cutouts"
    folder.mkdir()
    pixels = noise(5)
    pixels[2] = np.nan
    metadata = {"richness": [10.0, 20.0, 30.0, 40.0, 50.0]}
    write_npz(folder / "shard.npz", CutoutSet(pixels, pixel_scale=1.0, ids=list("abcde"), metadata=metadata))
    np.savez(folder / "lone.npz", pixels=noise(1, size=80, seed=9)[0])
    (folder / "z.npz").write_bytes(b"no zip")
    return folder


@pytest.fixture
def cache(folder, tmp_path):
    result = run("features", folder, "--out", tmp_path / "features.parquet")
    assert result.exit_code == 0, result.stderr
    assert "5 measured, 2 rejected" in result.stderr
    return tmp_path / "features.parquet"


def test_a_cache_scores_like_its_cutouts(folder, cache, tmp_path):
    for target in ("galaxy-cluster", "joint"):
        for name, path in (("cached", cache), ("pixels", folder)):
            result = run("score", path, "--target", target, "--out", tmp_path / f"{name}-{target}.csv")
            assert result.exit_code == 0, result.stderr
        one, other = ((tmp_path / f"{name}-{target}.csv").read_text() for name in ("cached", "pixels"))
        assert one == other
        assert one.count("\n") == 8


def test_columns_and_metadata_of_the_file(folder, cache):
    held = FeatureCache(cache)
    rows = held.read()
    # Cutouts of one size come together; an unreadable file comes with the first of them.
    assert rows.ids.tolist() == ["a", "b", "c", "d", "e", "z", "lone"]
    assert rows.rejected.tolist() == [False, False, True, False, False, True, False]
    cutouts = CutoutSet.read(folder / "shard.npz")
    np.testing.assert_array_equal(rows.features[:5], GridPatchExtractor("all").transform(cutouts))
    assert rows.features[0, FEATURE_NAMES.index("richness")] == 10.0
    metadata = pq.read_metadata(cache).metadata
    assert metadata[b"gridlens.contract_version"] == b"1"
    assert len(metadata[b"gridlens.source"]) == 64
    assert pd.read_parquet(cache)["patch4_arcness"].dtype == np.float32


def test_the_source_identifies_the_cutouts(folder, cache, tmp_path):
    assert run("features", folder / "shard.npz", "--out", tmp_path / "other.parquet").exit_code == 0
    assert FeatureCache(tmp_path / "other.parquet").source != FeatureCache(cache).source


def test_invalid_combinations_are_refused(folder, cache, tmp_path):
    for arguments, words in (
        (("score", cache, folder), "cannot be combined in one table"),
        (
            ("score", cache, "--pixel-scale", 1),
            "Got pixel_scale. Remove them, or use them where the cutouts are read",
        ),
        (("score", cache, "--survey", "des"), "Got survey"),
        (("features", cache, "--out", tmp_path / "x.parquet"), "contains no cutouts to measure"),
        (("features", folder, "--out", tmp_path / "x.csv"), "must end in .parquet"),
        (("features", folder, "--out", cache), "exists. Use another output"),
        (("score", tmp_path / "nowhere.parquet"), "There is no feature cache"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1, arguments
        assert words in result.stderr
    assert "nothing left to do" in run("features", folder, "--out", cache, "--resume").stderr


def test_a_cache_of_another_contract_is_refused(cache, tmp_path):
    table = pq.read_table(cache)
    old = table.replace_schema_metadata({**table.schema.metadata, b"gridlens.contract_version": b"0"})
    pq.write_table(old, tmp_path / "old.parquet")
    result = run("score", tmp_path / "old.parquet")
    assert result.exit_code == 1
    assert "contract version 0" in result.stderr
