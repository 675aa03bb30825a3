import numpy as np
import pandas as pd
import pytest

from gridlens import CutoutSet
from gridlens.cutouts import CutoutBatch, CutoutFlag, ReadFailure, read_batches
from gridlens.engine import score_batches


def test_batches_of_several_sizes_give_one_table(detector, noise):
    small = CutoutSet(noise(3, 64, seed=1), pixel_scale=1.0, ids=["a", "b", "c"])
    large = CutoutSet(noise(2, 80, seed=2), pixel_scale=0.8, ids=["d", "e"])
    done = []
    table = score_batches(
        detector,
        [
            CutoutBatch(small[:2], []),
            CutoutBatch(large, [ReadFailure("x", "x.fits", "Truncated.")]),
            CutoutBatch(small[2], []),
        ],
        prevalence=0.01,
        progress=done.append,
    )
    assert done == [2, 3, 1]
    alone = detector.score_cutouts(small, prevalence=0.01).set_index("id")
    pd.testing.assert_frame_equal(
        table.set_index("id").loc[alone.index].drop(columns="rank"), alone.drop(columns="rank")
    )
    assert table["rank"].tolist() == [1, 2, 3, 4, 5, 0]
    last = table.iloc[-1]
    assert (last["id"], last["path"], last["status"], last["message"]) == ("x", "x.fits", "rejected", "Truncated.")
    assert last[["p_lens", "score", "arc_snr", "lightgbm"]].isna().all()


def test_an_empty_table_has_every_column(detector, noise):
    empty = score_batches(detector, [])
    assert len(empty) == 0
    assert empty.columns.tolist() == detector.score_cutouts(CutoutSet(noise(1), pixel_scale=1.0)).columns.tolist()


@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_batches_do_not_change_a_score(detector, noise, tmp_path, batch_size):
    pixels = noise(5)
    for k in range(5):
        np.save(tmp_path / f"c{k}.npy", pixels[k])
    table = score_batches(detector, read_batches(tmp_path, pixel_scale=1.0, bands="gri", batch_size=batch_size))
    whole = detector.score_cutouts(CutoutSet(pixels, pixel_scale=1.0, ids=[f"c{k}" for k in range(5)]))
    pd.testing.assert_series_equal(table["score"], whole["score"])
    assert table["id"].tolist() == whole["id"].tolist()


def test_a_repeated_id_is_flagged_and_scored(detector, noise):
    one = CutoutSet(noise(2), pixel_scale=1.0, ids=["a", "b"])
    again = CutoutSet(noise(1, seed=9), pixel_scale=1.0, ids=["a"])
    table = score_batches(
        detector, [CutoutBatch(one, []), CutoutBatch(again, [ReadFailure("b", "b.npy", "Truncated.")])]
    )
    flagged = table[table["flags"].to_numpy() & CutoutFlag.DUPLICATE != 0]
    assert sorted(zip(flagged["id"], flagged["status"], strict=True)) == [("a", "ok"), ("b", "rejected")]
    assert all(flagged["message"].str.endswith("An earlier row has this id, or this position within 2 arcsec."))
    assert table["flags"].dtype == np.int64
