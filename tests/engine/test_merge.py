"""Tests that a table sorted through files is equal to the table sorted in memory."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gridlens.cutouts import CutoutFlag
from gridlens.cutouts.catalogs._join import JoinGaps
from gridlens.engine import _merge
from gridlens.engine._merge import rank_parts
from gridlens.engine._parts import Parts
from gridlens.engine._task import Part


class Plain:
    """Work that ranks the rows by score and adds no column except the rank."""

    ranked_by = ("score",)
    attrs: ClassVar = {"columns": {}}
    screened = False

    def settle(self, rows, prevalence):
        return prevalence, f"from {len(rows)}"

    def key(self, rows, prevalence):
        return rows["score"].to_numpy(dtype=np.float64)

    def ranked(self, rows, prevalence, first=1):
        table = rows.sort_values("score", ascending=False, kind="stable", ignore_index=True)
        return table.assign(rank=np.arange(first, first + len(table)))


def make_rows(n, seed, distinct):
    rng = np.random.default_rng(seed)
    score = rng.choice(np.linspace(0, 1, distinct), n)
    score[rng.random(n) < 0.05] = np.nan
    ids = rng.permutation(n).astype(str)
    ids[rng.random(n) < 0.1] = "same"
    return pd.DataFrame(
        {
            "id": ids,
            "score": score,
            "status": np.where(np.isnan(score), "rejected", "ok"),
            "message": "",
            "flags": np.zeros(n, dtype=np.int64),
        }
    )


def parts_of(folder, rows, sizes):
    parts = Parts(folder, {"a": "b"}, resume=False)
    begin = 0
    for k, size in enumerate(sizes):
        table = pa.Table.from_pandas(rows[begin : begin + size], preserve_index=False)
        parts.write(k, Part(table, JoinGaps(), []))
        begin += size
    return parts


@pytest.mark.parametrize(("distinct", "seed"), [(2, 0), (30, 1), (100_000, 2), (1, 3)])
def test_merging_through_files_or_in_memory(tmp_path, distinct, seed, monkeypatch):
    rows = make_rows(1500, seed, distinct)
    monkeypatch.setattr(_merge, "_HASHES", 400)
    with parts_of(tmp_path / "p", rows, [400, 1, 0, 599, 500]) as parts:
        at_once = rank_parts(parts, Plain(), 0.1)
        whole = pd.concat(list(at_once.batches), ignore_index=True)
        in_files = rank_parts(parts, Plain(), 0.1, batch_size=200)
        batches = list(in_files.batches)
        assert len(batches) > 4
        assert max(map(len, batches)) < 400
    pd.testing.assert_frame_equal(pd.concat(batches, ignore_index=True), whole)
    expected = rows.sort_values("score", ascending=False, kind="stable", na_position="last", ignore_index=True)
    assert whole["id"].tolist() == expected["id"].tolist()
    assert whole["rank"].tolist() == list(range(1, 1501))
    assert at_once.rejected == int(rows["score"].isna().sum())
    again = int(rows["id"].duplicated().sum())
    assert at_once.duplicates == in_files.duplicates == again
    assert (whole["flags"] == int(CutoutFlag.DUPLICATE)).sum() == again
    assert whole.loc[whole["flags"] > 0, "message"].str.contains("An earlier row has this id").all()
    assert not list((tmp_path / "p").glob("batches-*"))


def test_prevalence_is_estimated_from_a_sample_of_many_rows(tmp_path, monkeypatch):
    rows = make_rows(1000, 0, 50)
    with parts_of(tmp_path / "p", rows, [300, 700]) as parts:
        assert rank_parts(parts, Plain(), 0.1).prevalence_estimate == "from 1000"
        monkeypatch.setattr(_merge, "_ESTIMATED_FROM", 100)
        assert rank_parts(parts, Plain(), 0.1).prevalence_estimate == "from 100"


def test_hash_collisions_are_not_duplicates(tmp_path, monkeypatch):
    rows = make_rows(50, 0, 50).assign(id=[str(k) for k in range(50)])
    monkeypatch.setattr(_merge.pd.util, "hash_array", lambda ids: np.zeros(len(ids), dtype=np.uint64))
    with parts_of(tmp_path / "p", rows, [20, 30]) as parts:
        assert rank_parts(parts, Plain(), 0.1).duplicates == 0
