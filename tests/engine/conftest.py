"""Shards on disk, and a small model that scores them quickly."""

import numpy as np
import pytest
from partitions import EACH, SHARDS

from gridlens import CutoutSet, LensDetector
from gridlens.cutouts import write_npz
from gridlens.members import LinearMember
from gridlens.models import save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory, training_rows, calibration_rows):
    folder = tmp_path_factory.mktemp("model") / "linear"
    detector = LensDetector(members=(LinearMember(turns=False),)).fit(*training_rows, calibration=calibration_rows)
    save_model(detector, folder, card="# One\n", training={})
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Return a folder of shards. Each has a blank cutout and an id that occurs in all shards.

    Two further files are a damaged shard and an invalid zip file.
    """
    folder = tmp_path_factory.mktemp("shards")
    pixels = np.random.default_rng(0).normal(size=(EACH, 48, 48, 3)).astype(np.float32)
    pixels[5] = np.nan
    for k in range(SHARDS):
        ids = [f"{k}-{j}" for j in range(EACH)]
        ids[7] = "again"
        write_npz(folder / f"{k:02d}.npz", CutoutSet(np.roll(pixels, k, axis=1), pixel_scale=1.0, ids=ids))
    whole = bytearray((folder / "00.npz").read_bytes())
    whole[len(whole) // 2] ^= 255
    (folder / "98.npz").write_bytes(whole)
    (folder / "99.npz").write_bytes(b"PK no zip")
    return folder
