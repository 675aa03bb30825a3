"""Tests of sets of scenes on disk."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from gridlens import CutoutSet
from gridlens.cutouts import METADATA_NAMES, read_batches
from gridlens.errors import GridlensError
from gridlens.simulate import TRUTH_COLUMNS, Scene, SceneSettings, scenes_to_cutouts, write_training_set
from gridlens.simulate import _dataset as dataset_module
from gridlens.simulate._dataset import BLOCK, map_blocks, write_scenes

SMALL = SceneSettings(surveys=("des",), varied_fraction=1.0)


def plain_scene(index, size=48):
    """Return a scene of noise, which is quick to make."""
    pixels = np.random.default_rng(index).normal(size=(size, size, 3)).astype(np.float32)
    truth = dict.fromkeys(TRUTH_COLUMNS, np.nan) | {
        "id": f"plain-{index}",
        "label": index % 2,
        "redshift": 0.01 * index,
    }
    return Scene(pixels, (23.0, 24.0), 0.5, truth, np.zeros_like(pixels))


def broken_scene(index):
    if index == BLOCK + 1:
        raise ArithmeticError("scene 65")
    return plain_scene(index)


def bounds(make, start, stop):
    return start, stop, make(start)


@pytest.mark.slow
def test_the_same_files_on_one_core_and_two(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_module, "BLOCK", 2)
    one, two = tmp_path / "one", tmp_path / "two"
    truth = write_training_set(one, 5, settings=SMALL, seed=7, n_jobs=1)
    write_training_set(two, 5, settings=SMALL, seed=7, n_jobs=2)
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in two.iterdir())
    assert len(names) > 3
    assert (one / "truth.csv").read_bytes() == (two / "truth.csv").read_bytes()
    for name in names[:-1]:
        with np.load(one / name) as first, np.load(two / name) as second:
            assert first.files == second.files
            for key in first.files:
                np.testing.assert_array_equal(first[key], second[key])
    assert list(truth.columns) == list(TRUTH_COLUMNS)
    assert truth["id"].tolist() == [f"sim-7-{index:06d}" for index in range(5)]


def test_the_set_is_read_back_with_its_truth(tmp_path):
    truth = write_training_set(tmp_path / "set", 6, settings=SMALL, seed=2, n_jobs=1)
    stored = pd.read_csv(tmp_path / "set" / "truth.csv", dtype={"id": str}, keep_default_na=False, na_values=[""])
    assert stored["id"].tolist() == truth["id"].tolist()
    assert stored["label"].tolist() == truth["label"].tolist()
    read = [cutouts for cutouts, failures in read_batches(tmp_path / "set") if not failures]
    assert len({cutouts.pixels.shape for cutouts in read}) == len(read) > 1
    rows = truth.set_index("id")
    assert sorted(name for cutouts in read for name in cutouts.ids) == sorted(truth["id"])
    for cutouts in read:
        own = rows.loc[list(cutouts.ids)]
        assert (own["size"] == cutouts.pixels.shape[1]).all()
        np.testing.assert_allclose(cutouts.pixel_scale, own["pixel_scale"].astype(float))
        np.testing.assert_allclose(cutouts.bcg_xy, own[["bcg_x", "bcg_y"]].astype(float))
        np.testing.assert_allclose(cutouts.metadata, own[list(METADATA_NAMES)].astype(float))


def test_blocks_cover_every_scene_in_order():
    found = list(map_blocks(bounds, plain_scene, 2 * BLOCK + 3, n_jobs=1))
    assert [done for done, _ in found] == [BLOCK, BLOCK, 3]
    assert [(start, stop) for _, (start, stop, _) in found] == [(0, 64), (64, 128), (128, 131)]
    assert [scene.truth["id"] for _, (_, _, scene) in found] == ["plain-0", "plain-64", "plain-128"]


def test_each_block_of_one_size_is_a_shard_and_advances_progress(tmp_path):
    seen = []
    write_scenes(tmp_path / "set", BLOCK + 6, plain_scene, n_jobs=1, progress=seen.append)
    assert seen == [BLOCK, 6]
    shards = sorted(path.name for path in (tmp_path / "set").glob("*.npz"))
    assert shards == ["scenes-0000000-48px.npz", "scenes-0000064-48px.npz"]
    cutouts = CutoutSet.read(tmp_path / "set" / shards[1])
    np.testing.assert_array_equal(cutouts.pixels[2], plain_scene(BLOCK + 2).pixels)
    assert cutouts.ids[2] == f"plain-{BLOCK + 2}"


def test_scenes_to_cutouts():
    cutouts = scenes_to_cutouts([plain_scene(3), plain_scene(4)])
    assert cutouts.ids.tolist() == ["plain-3", "plain-4"]
    assert cutouts.bcg_xy.tolist() == [[23.0, 24.0]] * 2
    assert cutouts.metadata["redshift"].tolist() == [0.03, 0.04]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_between_blocks_leaves_nothing_behind(tmp_path, error):
    def stop(done):
        raise error

    with pytest.raises(error):
        write_scenes(tmp_path / "set", BLOCK + 6, plain_scene, n_jobs=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_a_scene_leaves_an_empty_folder_unchanged(tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(ArithmeticError, match="scene 65"):
        write_scenes(tmp_path / "set", BLOCK + 6, broken_scene, n_jobs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert list((tmp_path / "set").iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "set").mkdir()
    write_scenes(tmp_path / "set", 2, plain_scene, n_jobs=1)
    assert (tmp_path / "set" / "truth.csv").is_file()


def test_a_folder_with_files_is_refused_before_drawing(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(GridlensError, match="is not empty"):
        write_scenes(tmp_path, 2, pytest.fail, n_jobs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("write", [write_training_set, partial(write_scenes, make=plain_scene)])
@pytest.mark.parametrize("n", [0, -3])
def test_an_invalid_number_of_scenes_is_refused(tmp_path, write, n):
    with pytest.raises(ValueError, match=f"'n' parameter must be 1 or more. Got {n} instead."):
        write(tmp_path / "set", n)
    assert list(tmp_path.iterdir()) == []
