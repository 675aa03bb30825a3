"""Tests of `gridlens score` on each format of cutouts."""

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from click.testing import CliRunner
from PIL import Image

from gridlens.cli import main
from gridlens.cutouts import FLAG_MEANINGS, CutoutFlag


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def files(tmp_path, noise):
    """Write the same two cutouts in GalaxiesML's layout of HDF5 and in Zarr, and the first of them as a picture."""
    pixels = noise(2)
    with h5py.File(tmp_path / "galaxies.h5", "w") as file:
        file["image"] = np.moveaxis(pixels, -1, 1)[:, [0, 1, 2, 2, 2]]
        file["object_id"] = [11, 12]
    group = zarr.create_group(tmp_path / "shard.zarr")
    group.create_array("pixels", data=pixels)
    values = np.clip(30 + 12 * pixels[0], 0, 255).astype(np.uint8)
    Image.fromarray(values[::-1, :, ::-1]).save(tmp_path / "picture.png")
    return tmp_path


def test_each_format_is_scored(files, tmp_path):
    out = tmp_path / "scores.csv"
    arguments = ["--pixel-scale", 1, "--bands", "grizy", "--uncalibrated", "--out", out]
    result = run("score", files / "galaxies.h5", files / "picture.png", *arguments)
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(out, dtype={"id": str}, keep_default_na=False).set_index("id")
    assert sorted(table.index) == ["11", "12", "picture"]
    assert set(table["status"]) == {"ok"}
    picture = table.loc["picture"]
    assert picture["flags"] & CutoutFlag.UNCALIBRATED
    assert FLAG_MEANINGS[CutoutFlag.UNCALIBRATED] in picture["message"]
    assert not (table.loc[["11", "12"], "flags"] & int(CutoutFlag.UNCALIBRATED)).any()

    result = run("score", files / "shard.zarr", "--pixel-scale", 1, "--out", out, "--overwrite")
    assert result.exit_code == 0, result.stderr
    other = pd.read_csv(out).set_index("id")
    assert sorted(other.index) == ["shard_000000", "shard_000001"]
    assert set(other["status"]) == {"ok"}
    for name, same in zip(("11", "12"), sorted(other.index), strict=True):
        assert float(table.loc[name, "lightgbm"]) == pytest.approx(other.loc[same, "lightgbm"])


def test_pictures_and_unnamed_bands_name_the_option_to_set(files, tmp_path):
    result = run("score", files / "picture.png")
    assert result.exit_code == 1
    assert "no photometry; --uncalibrated" in result.stderr
    out = tmp_path / "scores.csv"
    result = run("score", files / "galaxies.h5", "--out", out)
    table = pd.read_csv(out)
    assert table["status"].tolist() == ["rejected"]
    assert 'bands="grizy"' in table["message"][0]
