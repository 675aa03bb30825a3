"""Tests that the content of a file, not its name, decides how it is read."""

import gzip
import os
import zipfile

import numpy as np
import pytest
from astropy.io import fits

from gridlens.cutouts import CutoutFlag, CutoutSet, count_cutouts, read_batches
from gridlens.errors import CutoutError
from gridlens.sources import FileSource, ReadOptions, _files

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def pixels(rng):
    return rng.normal(loc=(10, 20, 30), size=(3, 50, 50, 3)).astype(np.float32)


def save_npy(path, pixels):
    with open(path, "wb") as file:
        np.save(file, pixels)


def save_npz(path, pixels):
    with open(path, "wb") as file:
        np.savez(file, pixels=pixels)


def save_hdf5(path, pixels):
    with h5py.File(path, "w") as file:
        file["pixels"] = pixels


def save_zarr(path, pixels):
    with zarr.storage.ZipStore(path, mode="w") as store:
        zarr.create_group(store).create_array("pixels", data=pixels)


MANY = {"npy": save_npy, "npz": save_npz, "hdf5": save_hdf5, "zarr in zip": save_zarr}
DECLARED = {"pixel_scale": 0.3, "bands": "gri", "zeropoint": 27.0}
NAMES = ["a.npy", "a.npz", "a.h5", "a.fits", "a.png"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", MANY)
def test_arrays_are_read_under_any_name(tmp_path, pixels, name, content):
    path = tmp_path / name
    MANY[content](path, pixels)
    np.testing.assert_array_equal(CutoutSet.read(path, **DECLARED, uncalibrated=True).pixels, pixels)
    assert count_cutouts(path, uncalibrated=True) == 3
    assert not CutoutSet.read(path, **DECLARED, uncalibrated=True).flags.any(), "arrays have photometry"


@pytest.mark.parametrize("content", MANY)
def test_large_files_with_other_suffixes_are_split_by_their_content(tmp_path, pixels, content, monkeypatch):
    monkeypatch.setattr(_files, "_PARTITION_CUTOUTS", 2)
    monkeypatch.setattr(_files, "_WHOLE_BYTES", 1000)
    MANY[content](tmp_path / "a.npy", pixels)
    reader = FileSource(tmp_path / "a.npy", options=ReadOptions(**DECLARED))
    rows = [partition.rows for partition in reader.partitions()]
    assert rows == ([None] if content == "npz" else [(0, 2), (2, 3)])
    sets = [batch.cutouts.pixels for partition in reader.partitions() for batch in reader.read(partition)]
    np.testing.assert_array_equal(np.concatenate(sets), pixels)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5"])
def test_fits_is_read_under_other_names(tmp_path, pixels, wcs_header, name):
    planes = [fits.ImageHDU(pixels[0, ..., k], wcs_header(size=50), name=band) for k, band in enumerate("gri")]
    fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(tmp_path / name)
    np.testing.assert_array_equal(CutoutSet.read(tmp_path / name).pixels, pixels[:1])


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "a.fits"])
def test_pictures_are_never_read_as_calibrated(tmp_path, rng, kind, name):
    path = tmp_path / name
    Image.fromarray(rng.integers(0, 256, (50, 50, 3), dtype=np.uint8)).save(path, format=kind)
    with pytest.raises(CutoutError, match=r"content of the file is a picture.*uncalibrated=True"):
        CutoutSet.read(path)
    assert CutoutSet.read(path, pixel_scale=0.3, uncalibrated=True).flags.tolist() == [CutoutFlag.UNCALIBRATED]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "a.npy",
            gzip.compress(b"anything", mtime=0),
            "is compressed with gzip, which is supported for FITS images only",
        ),
        ("a.h5", b"\xfd7zXZ\0" + bytes(50), "is compressed with xz"),
        ("a.fits", b"<html>404 not found</html>", "web page"),
        ("a.npz", b"<!DOCTYPE html>", "web page, perhaps the error message of a server"),
        ("a.npy", b"PAR1" + bytes(50), "is a Parquet table"),
    ],
)
def test_the_content_of_other_files_is_reported(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CutoutError, match=words):
        CutoutSet.read(tmp_path / name)
    assert count_cutouts(tmp_path / name) == 1


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "a.fits", "a.zarr", "a.zarr.zip", "a.png"])
def test_pipes_and_devices_are_not_opened(tmp_path, name):
    os.mkfifo(tmp_path / name)
    os.symlink("/dev/zero", tmp_path / f"link-{name}")
    (batch,) = read_batches(tmp_path, uncalibrated=True)
    assert batch.cutouts is None
    assert count_cutouts(tmp_path, uncalibrated=True) == 2
    for failure in batch.failures:
        assert "read from regular files only" in failure.message


def test_a_missing_file_is_reported(tmp_path, pixels):
    np.save(tmp_path / "a.npy", pixels)
    batches = read_batches(tmp_path, **DECLARED)
    (tmp_path / "a.npy").unlink()
    (batch,) = batches
    assert batch.failures[0].message.startswith("The file cannot be opened: No such file or directory.")


def test_an_unknown_zip_file_lists_its_members(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(CutoutError, match=r"no array 'pixels' in the file, only notes\.txt"):
        CutoutSet.read(tmp_path / "a.npz")
