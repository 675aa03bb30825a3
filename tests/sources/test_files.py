"""Tests of partitions: read in any order, they hold the same cutouts as the whole files."""

import pickle
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from gridlens.cutouts import CutoutSet, read_batches, write_npz
from gridlens.cutouts.catalogs._join import JoinGaps, JoinReport
from gridlens.cutouts.readers._scan import Entry
from gridlens.sources import FileSource, ReadOptions, _files
from gridlens.sources._partition import Partition, Partitions

h5py = pytest.importorskip("h5py")

DECLARED = ReadOptions(pixel_scale=0.5, bands="gri")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder of files with one or many cutouts, some of which are split into partitions.

    Two further files are damaged.
    """
    monkeypatch.setattr(_files, "_PARTITION_CUTOUTS", 4)
    monkeypatch.setattr(_files, "_WHOLE_BYTES", 100_000)
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(11, 48, 48, 3)).astype(np.float32)
    np.save(tmp_path / "a-many.npy", pixels)
    for k in range(6):
        np.save(tmp_path / f"b{k}.npy", pixels[k] + k)
    write_npz(tmp_path / "c.npz", CutoutSet(pixels, ids=[f"c{k}" for k in range(11)]))
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file.create_dataset("pixels", data=pixels, chunks=(3, 48, 48, 3))
        file["ids"] = np.array([f"d{k}" for k in range(11)], dtype="S4")
    whole = (tmp_path / "a-many.npy").read_bytes()
    (tmp_path / "e-cut.npy").write_bytes(whole[: len(whole) * 6 // 11])
    (tmp_path / "f.npz").write_bytes(b"no zip")
    return tmp_path


def rows_of(batches):
    rows = {}
    failed = []
    for cutouts, failures in batches:
        failed += failures
        if cutouts is not None:
            rows |= {name: cutouts.pixels[k].tobytes() for k, name in enumerate(cutouts.ids)}
    return rows, failed


def test_partitions_contain_all_cutouts(folder):
    reader = FileSource(folder, options=DECLARED)
    partitions = reader.partitions()
    assert list(partitions) == list(FileSource(folder, options=DECLARED).partitions())
    made = [rows_of(reader.read(partition)) for partition in reversed(partitions)]
    rows = {name: row for part, _ in made for name, row in part.items()}
    whole, failed = rows_of(read_batches(folder, **asdict(DECLARED)))
    assert rows == whole
    assert {name for name in rows if name.startswith("e-cut")} == {f"e-cut_{k:06d}" for k in range(5)}
    assert len(whole) == 11 + 6 + 11 + 11 + 5
    assert {failure.id for failure in failed} == {"e-cut", "f"}
    lost = {failure.id: failure.message for _, failures in made for failure in failures}
    assert set(lost) == {"e-cut_000005", "f"}
    assert lost["e-cut_000005"].startswith("Cutouts 4 to 5 of this file:")
    # A partition has a few files, or some of the cutouts in one file.
    assert all(len(partition.entries) <= 4 for partition in partitions)
    assert [partition.rows for partition in partitions if partition.entries[0].id == "a-many"] == [
        (0, 4),
        (4, 8),
        (8, 11),
    ]


def test_partitions_of_a_large_file_are_created_lazily():
    huge, small = Entry("huge", "huge.zarr", "zarr", {}), Entry("small", "small.npz", "npz", {})
    partitions = Partitions([small, huge])
    assert len(partitions) == 0
    partitions.add(0, 1)
    partitions.add_rows(1, 10**12, 512)
    partitions.add_rows(1, 0, 512)
    partitions.add_rows(1, 3, 2)
    assert len(partitions) == 1 + 10**12 // 512 + 1 + 2
    assert partitions[0] == Partition((small,))
    assert partitions[1] == Partition((huge,), (0, 512))
    assert partitions[10**9] == Partition((huge,), (512 * (10**9 - 1), 512 * 10**9))
    assert partitions[-4].rows == (10**12 - 512, 10**12)
    assert partitions[-3:] == [Partition((huge,)), Partition((huge,), (0, 2)), Partition((huge,), (2, 3))]
    with pytest.raises(IndexError):
        partitions[len(partitions)]


def test_split_partitions_contain_the_same_cutouts(folder):
    reader = FileSource(folder, options=DECLARED)
    waiting = [partition for partition in reader.partitions() if partition.entries[0].id != "e-cut"]
    single = []
    while waiting:
        partition = waiting.pop()
        halves = reader.split(partition)
        waiting += halves
        if not halves:
            single.append(partition)
    assert len(single) == 11 + 6 + 11 + 11 + 1
    rows = {}
    for partition in single:
        made, failures = rows_of(reader.read(partition))
        assert len(made) + len(failures) == 1
        rows |= made
    whole, _ = rows_of(
        read_batches([folder / f"{name}" for name in ("a-many.npy", "c.npz", "d.h5")], **asdict(DECLARED))
    )
    assert whole.items() <= rows.items()
    names = {reader.lost(partition, "Dead.").id for partition in single}
    assert {"a-many_000005", "b3", "c_000010", "d_000001", "f"} <= names


def test_a_pickled_source_joins_the_catalogue(folder, tmp_path):
    catalog = tmp_path / "clusters.csv"
    names = [f"c{k}" for k in range(10)]
    pd.DataFrame({"id": names, "richness": np.arange(10.0)}).to_csv(catalog, index=False)
    reader = FileSource(folder / "c.npz", catalog=catalog)
    there = pickle.loads(pickle.dumps(reader))
    report = JoinReport()
    for _ in range(2):
        gaps = JoinGaps()
        ((cutouts, _),) = list(there.read(reader.partitions()[0], gaps))
        report.add(gaps)
    assert cutouts.metadata["richness"][9] == 9.0
    unmatched, *others = sorted(report.messages())
    assert unmatched.startswith("2 of 22 cutouts have no row")
    assert others == ["20 cutouts share a row of the catalogue with another cutout."]


def test_identity_depends_on_options_files_and_catalogue(folder, tmp_path):
    before = FileSource(folder, options=DECLARED).identity()
    assert before == FileSource(folder, options=DECLARED).identity()
    changed = {
        name
        for name, value in FileSource(folder, options=ReadOptions(pixel_scale=1.0, bands="gri")).identity().items()
        if value != before[name]
    }
    assert changed == {"reading options"}
    np.save(folder / "b0.npy", np.zeros((50, 50, 3), np.float32))
    changed = {name for name, value in FileSource(folder, options=DECLARED).identity().items() if value != before[name]}
    assert changed == {"cutouts"}
    frame = pd.DataFrame({"id": ["a"], "richness": [1.0]})
    one, other = (
        FileSource(folder, catalog=table, options=DECLARED).identity() for table in (frame, frame.assign(richness=2.0))
    )
    assert one["catalogue"] != other["catalogue"] != before["catalogue"]


@pytest.mark.parametrize(("n", "sizes"), [(24, {24}), (65, {32, 33}), (1000, {55, 63}), (40_000, {454, 507})])
def test_few_files_make_enough_partitions_for_several_workers(n, sizes):
    entries = [Entry(str(k), f"{k}.fits", "fits", {}) for k in range(n)]
    partitions = _files._partitioned(entries)
    assert {len(partition.entries) for partition in partitions} == sizes
    # With 16 partitions or more, processes do the work.
    assert (len(partitions) >= 16) == (n >= 1000)
    assert [entry for partition in partitions for entry in partition.entries] == entries
