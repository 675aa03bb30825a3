"""Tests of the feature cache: values are read back exactly, or an error explains the reason."""

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gridlens.cutouts import ReadFailure
from gridlens.errors import GridlensError
from gridlens.features import FEATURE_NAMES, FeatureCache, FeatureCacheWriter, Measured, _cache
from gridlens.features._cache import is_feature_cache


def make(n, seed=0, first=0):
    """Return measured cutouts with all kinds of numbers, some of them rejected."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32, (n, len(FEATURE_NAMES)), dtype=np.uint32)
    features = bits.view(np.float32)  # NaN with any payload, infinities, subnormals, -0.0
    features[1::7] = np.nan
    names = [f"é{first + i}" for i in range(n)]
    return Measured(
        np.array(names, dtype=object),
        np.array([f"/a b/{name}.npz" for name in names], dtype=object),
        features,
        rng.integers(0, 2**40, n),
        np.arange(n) % 7 == 1,
        np.array(["no pixel" if i % 7 == 1 else "" for i in range(n)], dtype=object),
        np.where(np.arange(n) % 7 == 1, np.nan, rng.random(n)),
        radec=rng.random((n, 2)) * 90.0,
        bcg_xy=rng.random((n, 2)),
        bcg_radec=np.where(np.arange(n)[:, None] % 3 == 1, np.nan, rng.random((n, 2))),
        sky_axes=rng.normal(size=(n, 2, 2)),
        arc_xy=rng.normal(size=(n, 9, 2)).astype(np.float32),
    )


def write(path, parts, source="of a test"):
    with FeatureCacheWriter(path, source) as writer:
        for part in parts:
            writer.add(part)
    return path


def assert_same(a, b):
    columns = [name for name in vars(a) if name != "cutouts"]
    for one, other in ((getattr(a, name), getattr(b, name)) for name in columns):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert (one.tolist() if one.dtype == object else one.tobytes()) == (
            other.tolist() if other.dtype == object else other.tobytes()
        )


@pytest.fixture
def small_groups(monkeypatch):
    monkeypatch.setattr(_cache, "_GROUP_ROWS", 16)


@pytest.fixture
def cache(tmp_path):
    return write(tmp_path / "features.parquet", [make(20)])


def rewritten(path, table=None, **metadata):
    """Rewrite the cache with other columns or key-value metadata and return its path."""
    table = pq.read_table(path) if table is None else table
    kept = {key.decode(): value for key, value in (pq.read_schema(path).metadata or {}).items()}
    kept |= {f"gridlens.{key}": value for key, value in metadata.items()}
    pq.write_table(table.replace_schema_metadata({k: v for k, v in kept.items() if v is not None}), path)
    return path


@pytest.mark.parametrize("sizes", [[50], [1] * 40, [15, 1, 16, 33, 0, 2], [16, 16]])
def test_rows_are_restored_bit_for_bit(tmp_path, small_groups, sizes):
    parts = [make(n, seed=k, first=100 * k) for k, n in enumerate(sizes)]
    cache = FeatureCache(write(tmp_path / "features.parquet", parts))
    assert len(cache) == cache.n == sum(sizes)
    assert cache.source == "of a test"
    assert cache.contract_version == 1
    assert cache.path == tmp_path / "features.parquet"
    assert_same(cache.read(), Measured.concatenate(parts))
    groups = pq.read_metadata(cache.path)
    assert [groups.row_group(k).num_rows for k in range(groups.num_row_groups)][:-1] == [16] * ((sum(sizes) - 1) // 16)


@pytest.mark.parametrize(
    ("start", "stop", "size"), [(0, None, 7), (5, 41, 100), (16, 32, 16), (-9, None, 4), (3, 4, 1)]
)
def test_batches_may_start_and_stop_at_any_row(tmp_path, small_groups, start, stop, size):
    whole = make(50)
    cache = FeatureCache(write(tmp_path / "features.parquet", [whole]))
    batches = list(cache.batches(start, stop, size))
    assert [len(batch.ids) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert_same(Measured.concatenate(batches), whole[start:stop])


def test_concurrent_iterators_are_independent(tmp_path, small_groups):
    cache = FeatureCache(write(tmp_path / "features.parquet", [make(50)]))
    pairs = list(zip(cache.batches(size=10), cache.batches(10, size=10), strict=False))
    assert len(pairs) == 4
    for (_, other), (one, _) in itertools.pairwise(pairs):
        assert_same(one, other)


def test_a_batch_may_be_modified(cache):
    first, again = FeatureCache(cache), FeatureCache(cache)
    batch = next(first.batches(size=5))
    batch.features[:] = 0
    assert_same(next(again.batches(size=5)), make(20)[:5])


def test_a_cache_may_be_empty(tmp_path):
    for parts in ([], [Measured.of_failures([])]):
        cache = FeatureCache(write(tmp_path / "features.parquet", parts))
        assert len(cache) == 0
        assert list(cache.batches()) == []
        assert cache.read().features.shape == (0, 315)
    assert is_feature_cache(tmp_path / "features.parquet")


def test_a_size_of_zero_is_refused(cache):
    with pytest.raises(ValueError, match=r"'size' parameter must be at least 1\. Got 0 instead"):
        next(FeatureCache(cache).batches(size=0))


def test_a_cache_is_pickled_by_its_path(cache):
    there = pickle.loads(pickle.dumps(FeatureCache(cache)))
    assert_same(there.read(), make(20))


def test_an_error_keeps_the_previous_file(tmp_path, cache):
    before = cache.read_bytes()

    def fail():
        with FeatureCacheWriter(cache, "another") as writer:
            writer.add(make(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert cache.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["features.parquet"]


def test_a_full_disk_has_a_clear_message_and_leaves_no_file(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(
        GridlensError, match=r"Cannot write the feature cache .*: No space left on device\. Free some disk space"
    ):
        write(tmp_path / "features.parquet", [make(3)])
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_has_a_clear_message(tmp_path):
    with pytest.raises(GridlensError, match="Choose an existing folder"):
        write(tmp_path / "none" / "features.parquet", [make(3)])


def test_a_missing_file_has_a_clear_message(tmp_path):
    with pytest.raises(
        GridlensError, match=r"no feature cache .*nowhere\.parquet\. Write one with `gridlens features`"
    ):
        FeatureCache(tmp_path / "nowhere.parquet")
    assert not is_feature_cache(tmp_path / "nowhere.parquet")
    assert not is_feature_cache(tmp_path)


def test_a_truncated_file_has_a_clear_message(cache):
    content = cache.read_bytes()
    for length in (0, 3, 100, len(content) // 2, len(content) - 1):
        cache.write_bytes(content[:length])
        assert not is_feature_cache(cache)
        with pytest.raises(GridlensError, match=r"is damaged or not a Parquet file: .*Measure the cutouts again"):
            FeatureCache(cache)


def test_damage_in_the_middle_is_detected_when_it_is_read(tmp_path, small_groups):
    path = write(tmp_path / "features.parquet", [make(50)])
    content = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(1).column(20)
    # The last bytes of the page belong to its values.
    content[column.data_page_offset + column.total_compressed_size - 3] ^= 0x40
    path.write_bytes(content)
    cache = FeatureCache(path)
    assert_same(next(cache.batches(0, 16)), make(50)[:16])
    with pytest.raises(GridlensError, match=r"is damaged or not a Parquet file: .*Measure the cutouts again"):
        cache.read()


def test_another_contract_version_is_refused(cache):
    rewritten(cache, contract_version="7")
    assert is_feature_cache(cache)
    said = (
        r"features\.parquet was measured under contract version 7, but this gridlens has 1\. "
        r"Measure the cutouts again with `gridlens features`\."
    )
    with pytest.raises(GridlensError, match=said):
        FeatureCache(cache)


def test_another_table_is_not_a_cache(tmp_path):
    path = tmp_path / "scores.parquet"
    pq.write_table(pa.table({"id": ["a"], "score": [0.5]}), path)
    assert not is_feature_cache(path)
    with pytest.raises(GridlensError, match=r"is a Parquet file, but not a feature cache\. Write one"):
        FeatureCache(path)


def test_missing_or_mistyped_columns_are_named(cache):
    table = pq.read_table(cache)
    rewritten(cache, table.drop_columns(["flags", *FEATURE_NAMES[3:9]]))
    with pytest.raises(GridlensError, match="lacks the columns flags, patch0_std_g, patch0_std_r and 4 more, or has"):
        FeatureCache(cache)
    place = table.schema.get_field_index("seeing")
    rewritten(cache, table.set_column(place, "seeing", table["seeing"].cast(pa.float64())))
    with pytest.raises(GridlensError, match="lacks the columns seeing, or has them with another type"):
        FeatureCache(cache)


def test_a_cache_without_the_fraction_of_valid_pixels_is_read(cache):
    rewritten(cache, pq.read_table(cache).drop_columns(["valid_fraction"]))
    assert_same(FeatureCache(cache).read(), replace(make(20), valid_fraction=np.full(20, np.nan)))
    assert np.isnan(FeatureCache(cache).read().valid_fraction).all()


def test_a_cache_without_positions_is_read(cache):
    table = pq.read_table(cache)
    places = ("ra_deg", "dec_deg", "bcg_x", "bcg_y", "bcg_ra", "bcg_dec")
    old = [
        name for name in table.column_names if name in places or "_per_" in name or name.endswith(("arc_x", "arc_y"))
    ]
    assert len(old) == 6 + 4 + 18
    rewritten(cache, table.drop_columns(old))
    unknown = dict.fromkeys(("radec", "bcg_xy", "bcg_radec", "sky_axes", "arc_xy"))
    assert_same(FeatureCache(cache).read(), replace(make(20), **unknown))


def test_strings_of_an_older_cache_are_escaped(cache):
    table = pq.read_table(cache)
    place = table.schema.get_field_index("id")
    rewritten(cache, table.set_column(place, "id", pa.array(["a\rb", None, *table["id"].to_pylist()[2:]])))
    assert FeatureCache(cache).read().ids[:3].tolist() == ["a\\x0db", "", "é2"]


def test_failures_with_unusual_names_can_be_written(tmp_path):
    failure = ReadFailure("caf\udce9", "/x/caf\udce9.npy", "No array in caf\udce9.npy:\x1b[31m\nshape\r")
    rows = FeatureCache(write(tmp_path / "features.parquet", [Measured.of_failures([failure])])).read()
    assert rows.ids[0] == "caf\\xe9"
    assert rows.paths[0] == "/x/caf\\xe9.npy"
    assert rows.messages[0] == "No array in caf\\xe9.npy:\\x1b[31m\\x0ashape\\x0d"


def test_columns_are_found_by_name(cache):
    table = pq.read_table(cache)
    rewritten(cache, table.select(table.column_names[::-1]))
    assert_same(FeatureCache(cache).read(), make(20))
