"""Tests of the finished parts that a run keeps until its table is written."""

import errno
import os

import pyarrow as pa
import pytest

from gridlens.cutouts.catalogs._join import JoinGaps
from gridlens.engine._parts import Parts
from gridlens.engine._task import Part
from gridlens.errors import GridlensError

IDENTITY = {"cutouts": "a", "model": "b"}


def part(*ids, warnings=()):
    table = pa.table({"id": pa.array(ids, pa.string()), "score": pa.array([0.5] * len(ids), pa.float64())})
    return Part(table, JoinGaps(joined=len(ids), rows=list(range(len(ids)))), list(warnings))


def test_finished_parts_are_restored(tmp_path):
    with Parts(tmp_path / "out.parts", IDENTITY, resume=False) as parts:
        parts.write(4, part("d"))
        parts.write(1, part("a", "b", warnings=["Look."]))
    with Parts(tmp_path / "out.parts", IDENTITY, resume=True) as parts:
        assert parts.done == {1, 4}
        assert parts.resumed == parts.count() == 3
        assert [table["id"].to_pylist() for table in parts.tables(["id"])] == [["a", "b"], ["d"]]
        (gaps, warned), _ = parts.reports()
        assert (gaps.joined, gaps.rows, warned) == (2, [0, 1], ["Look."])
        parts.remove()
    assert not (tmp_path / "out.parts").exists()


def test_a_run_with_other_inputs_is_not_resumed(tmp_path):
    with Parts(tmp_path / "out.parts", IDENTITY, resume=False) as parts:
        parts.write(0, part("a"))
    with pytest.raises(GridlensError, match="Resume it with resume=True"):
        Parts(tmp_path / "out.parts", IDENTITY, resume=False)
    with pytest.raises(GridlensError, match="was started with other values of model\\."):
        Parts(tmp_path / "out.parts", {**IDENTITY, "model": "c"}, resume=True)
    with pytest.raises(GridlensError, match="other values of cutouts, model\\."):
        Parts(tmp_path / "out.parts", {"cutouts": "z", "model": "c"}, resume=True)


def test_damaged_and_truncated_parts_are_computed_again(tmp_path):
    folder = tmp_path / "out.parts"
    with Parts(folder, IDENTITY, resume=False) as parts:
        for k in range(3):
            parts.write(k, part(str(k)))
    whole = (folder / "part-0000001.parquet").read_bytes()
    (folder / "part-0000001.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / ".part-0000009.parquet.partial").write_bytes(b"PAR1")
    (folder / "part-none.parquet").write_bytes(b"")
    with pytest.warns(UserWarning, match="2 finished parts"), Parts(folder, IDENTITY, resume=True) as parts:
        assert parts.done == {0, 2}
    assert not list(folder.glob(".*.partial"))


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "There is no space left"), (errno.EIO, "The finished parts are kept in")]
)
def test_a_full_disk_has_a_clear_message_and_loses_nothing(tmp_path, monkeypatch, number, words):
    with Parts(tmp_path / "out.parts", IDENTITY, resume=False) as parts:
        parts.write(0, part("a"))

        def full(_descriptor):
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(GridlensError, match=words):
                parts.write(1, part("b"))
        assert parts.done == {0}
    with Parts(tmp_path / "out.parts", IDENTITY, resume=True) as parts:
        assert parts.done == {0}


def test_an_unwritable_folder_is_refused(tmp_path):
    with pytest.raises(GridlensError, match="Choose another output"):
        Parts(tmp_path / "nowhere" / "out.parts", IDENTITY, resume=False)
