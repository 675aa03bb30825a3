import numpy as np
import pandas as pd
import pytest

from gridlens import CutoutSet
from gridlens.cutouts import write_npz
from gridlens.errors import CutoutError, GridlensError


def test_round_trip(tmp_path, rng):
    cutouts = CutoutSet(
        rng.normal(size=(3, 50, 50, 3)),
        pixel_scale=[0.2, 0.3, 0.4],
        bcg_xy=rng.uniform(0, 49, size=(3, 2)),
        ids=["Abell 1703", "Γ-2", "x"],
        metadata={"redshift": [0.1, np.nan, 0.3], "dec": [-9.5, 0, 88]},
    )
    write_npz(tmp_path / "shard.npz", cutouts)
    again = CutoutSet.read(tmp_path / "shard.npz")
    np.testing.assert_array_equal(again.pixels, cutouts.pixels)
    np.testing.assert_array_equal(again.bcg_xy, cutouts.bcg_xy)
    np.testing.assert_array_equal(again.pixel_scale, cutouts.pixel_scale)
    assert again.ids.tolist() == cutouts.ids.tolist()
    pd.testing.assert_frame_equal(again.metadata, cutouts.metadata)
    assert again.paths.tolist() == [str(tmp_path / "shard.npz")] * 3


def test_only_known_metadata_are_written_and_nothing_is_pickled(tmp_path):
    write_npz(tmp_path / "shard.npz", CutoutSet(np.ones((1, 48, 48, 3)), metadata={"richness": [30]}))
    with np.load(tmp_path / "shard.npz", allow_pickle=False) as file:
        assert set(file.files) == {"pixels", "bands", "bcg_xy", "pixel_scale", "ids", "richness"}
        assert {file[key].dtype.kind for key in file.files} == {"f", "U"}


def test_empty_set_round_trips(tmp_path):
    write_npz(tmp_path / "empty.npz", CutoutSet(np.empty((0, 48, 48, 3))))
    assert len(CutoutSet.read(tmp_path / "empty.npz")) == 0


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(CutoutError, match=r"must end in \.npz"):
        write_npz(tmp_path / "shard.fits", CutoutSet(np.ones((1, 48, 48, 3))))


def test_an_unwritable_folder_has_a_clear_message(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(GridlensError, match=r"Cannot write .*Choose an existing folder"):
        write_npz(tmp_path / "file" / "shard.npz", CutoutSet(np.ones((1, 48, 48, 3))))


def test_an_interrupt_leaves_no_half_written_file(tmp_path, monkeypatch):
    target = tmp_path / "shard.npz"
    write_npz(target, CutoutSet(np.ones((1, 48, 48, 3)), ids=["old"]))

    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_npz(target, CutoutSet(np.ones((1, 48, 48, 3)), ids=["new"]))
    assert [path.name for path in tmp_path.iterdir()] == ["shard.npz"]
    assert CutoutSet.read(target).ids.tolist() == ["old"]
